/* See dictionary.h. */
#define _GNU_SOURCE
#include "dictionary.h"

#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u

void dictionary_init(struct dictionary *dictionary, struct segment *segment) { dictionary->segment = segment; }

static uint32_t content_bytes(enum dictionary_kind kind, uint32_t count)
{
    return kind == DICTIONARY_STRING ? count : count * (uint32_t)sizeof(uint64_t);
}

static uint32_t content_hash(uint64_t head, const void *content, uint32_t bytes)
{
    const uint8_t *p = content;
    uint64_t hash = head, word;
    for (; bytes >= 8; bytes -= 8, p += 8) {
        memcpy(&word, p, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
    for (word = 0; bytes; bytes--)
        word = word << 8 | *p++;
    return (uint32_t)(((hash ^ word) * 0x9e3779b97f4a7c15ull) >> 32);
}

/* The number of the entry, or 0 and in *slot where it would be. */
static uint32_t find(const struct dictionary *dictionary, uint64_t head, const void *content, uint32_t bytes,
                     uint32_t *slot)
{
    const uint64_t *words = dictionary->segment->dictionary;
    uint32_t number;
    for (*slot = content_hash(head, content, bytes) % DICTIONARY_SLOTS;
         (number = load_acquire(&dictionary->slots[*slot])); /* A */
             *slot = (*slot + 1) % DICTIONARY_SLOTS) {
        const uint64_t *entry = words + dictionary->offsets[number];
        if (entry[0] == head && memcmp(entry + 1, content, bytes) == 0)
            return number;
    }
    return 0;
}

uint32_t dictionary_find(const struct dictionary *dictionary, enum dictionary_kind kind, const void *content,
                         uint32_t count)
{
    uint32_t slot;
    return find(dictionary, dictionary_head(kind, count), content, content_bytes(kind, count), &slot);
}

/* A core file has those pages that are in use (segment.c keeps it out of them as a whole). */
static void dump_include(const struct segment *segment, uint64_t words_before, uint64_t words)
{
    uint64_t begin = (words_before * sizeof(uint64_t) + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
    uint64_t end = (words * sizeof(uint64_t) + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
    if (begin < end)
        madvise((uint8_t *)segment->dictionary + begin, end - begin, MADV_DODUMP);
}

uint32_t dictionary_add_locked(struct dictionary *dictionary, enum dictionary_kind kind, const void *content,
                               uint32_t count)
{
    uint32_t slot, bytes = content_bytes(kind, count);
    uint64_t head = dictionary_head(kind, count);
    uint32_t content_words = dictionary_content_words(head);
    uint32_t number = find(dictionary, head, content, bytes, &slot);
    if (number)
        return number;
    if (content_words == 0 || dictionary->count == DICTIONARY_ENTRIES_MAX ||
        dictionary->used + 1 + content_words > dictionary->segment->dictionary_words)
        return 0;
    uint64_t *entry = dictionary->segment->dictionary + dictionary->used;
    entry[0] = head;
    entry[content_words] = 0; /* the last word of a string ends with zeros */
    memcpy(entry + 1, content, bytes);
    number = ++dictionary->count;
    dictionary->offsets[number] = (uint32_t)dictionary->used;
    dump_include(dictionary->segment, dictionary->used, dictionary->used + 1 + content_words);
    dictionary->used += 1 + content_words;
    store_release(&dictionary->segment->header->dictionary_used, dictionary->used); /* B */
    store_release(&dictionary->slots[slot], number);                                /* A */
    return number;
}

const char *dictionary_string(const struct dictionary *dictionary, uint32_t number)
{
    return number ? (const char *)(dictionary->segment->dictionary + dictionary->offsets[number] + 1) : "";
}

uint32_t dictionary_labels(const struct dictionary *dictionary, uint32_t number, uint64_t pairs[DICTIONARY_LABELS_MAX])
{
    if (number == 0)
        return 0;
    const uint64_t *entry = dictionary->segment->dictionary + dictionary->offsets[number];
    uint32_t count = (uint32_t)entry[0];
    if (count > DICTIONARY_LABELS_MAX)
        count = DICTIONARY_LABELS_MAX;
    memcpy(pairs, entry + 1, count * sizeof pairs[0]);
    return count;
}
