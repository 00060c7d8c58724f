/* The segment's dictionary: strings and label sets, each once, by which records and registry slots name them.
 *
 * An entry is a head word, kind << 32 | count, and its content: of a string count bytes and at least one zero byte, up
 * to a whole word; of a label set count words, key << 32 | value, both being strings. Entries are numbered from 1 and
 * neither change nor go, so whoever has a number may use it for ever. What a string means to others ends with it: a set
 * comes after its strings.
 *
 * The producer finds entries without a lock and adds them under one of the caller's. Its index is its own; it trusts
 * nothing in the segment but what it compares with values of its own.
 *
 * | word            | writer   | reader            | order   | pairs with                                          |
 * |-----------------|----------|-------------------|---------|-----------------------------------------------------|
 * | slots[]         | adder    | finder            | release | A: the entry and its offset are there               |
 * | dictionary_used | adder    | recorder, outside | release | B: the entries below it are there                   | */
#ifndef GMPT_DICTIONARY_H
#define GMPT_DICTIONARY_H

#include "segment.h"

#define DICTIONARY_ENTRIES_MAX 65536u
#define DICTIONARY_SLOTS (2 * DICTIONARY_ENTRIES_MAX)
#define DICTIONARY_STRING_MAX 255u /* bytes */
#define DICTIONARY_LABELS_MAX 16u

enum dictionary_kind { DICTIONARY_STRING = 1, DICTIONARY_LABELS = 2 };

static inline uint64_t dictionary_head(enum dictionary_kind kind, uint32_t count)
{
    return (uint64_t)kind << 32 | count;
}

/* The words of an entry's content; 0 when the head cannot be one's. */
static inline uint32_t dictionary_content_words(uint64_t head)
{
    uint32_t count = (uint32_t)head;
    if (head >> 32 == DICTIONARY_STRING && count <= DICTIONARY_STRING_MAX)
        return count / 8 + 1;
    if (head >> 32 == DICTIONARY_LABELS && count > 0 && count <= DICTIONARY_LABELS_MAX)
        return count;
    return 0;
}

struct dictionary {
    struct segment *segment;
    uint32_t count;
    uint64_t used;                                /* words */
    ATOMIC(uint32_t) slots[DICTIONARY_SLOTS];     /* by hash: numbers, 0 = free */
    uint32_t offsets[DICTIONARY_ENTRIES_MAX + 1]; /* by number: the head's */
};

void dictionary_init(struct dictionary *dictionary, struct segment *segment);

/* The number of the entry with this content, whose count bytes or words may lie anywhere; 0 = there is none. */
uint32_t dictionary_find(const struct dictionary *dictionary, enum dictionary_kind kind, const void *content,
                         uint32_t count);
/* The same, entering it if there is none; 0 = there is no room. One caller at a time. */
uint32_t dictionary_add_locked(struct dictionary *dictionary, enum dictionary_kind kind, const void *content,
                               uint32_t count);

/* Of a number that one of these gave: the string, or "" for 0. It stays. */
const char *dictionary_string(const struct dictionary *dictionary, uint32_t number);
/* Copies the pairs of a set and returns how many; none for 0. */
uint32_t dictionary_labels(const struct dictionary *dictionary, uint32_t number, uint64_t pairs[DICTIONARY_LABELS_MAX]);

#endif
