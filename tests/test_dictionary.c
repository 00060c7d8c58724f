/* The dictionary's producer: each content once, whole entries only, and an end to its room. */
#include "harness.h"

#include "trace/dictionary.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct segment segment;
static struct dictionary *dictionary;

static void open_empty(void)
{
    ck_assert_int_eq(segment_create(&segment, -1, 1, 2 * SUBBUFFER_BYTES, 1), 0);
    dictionary = calloc(1, sizeof *dictionary);
    ck_assert_ptr_nonnull(dictionary);
    dictionary_init(dictionary, &segment);
}

static uint32_t add(const char *text)
{
    return dictionary_add_locked(dictionary, DICTIONARY_STRING, text, (uint32_t)strlen(text));
}

static uint32_t find(const char *text)
{
    return dictionary_find(dictionary, DICTIONARY_STRING, text, (uint32_t)strlen(text));
}

TEST(dictionary, a_string_has_one_number)
{
    open_empty();
    ck_assert_uint_eq(find("request"), 0);
    ck_assert_uint_eq(add("request"), 1);
    ck_assert_uint_eq(add("reques"), 2);
    ck_assert_uint_eq(add("request"), 1);
    ck_assert_uint_eq(find("request"), 1);
    ck_assert_uint_eq(find("reques"), 2);
    ck_assert_str_eq(dictionary_string(dictionary, 1), "request");
    ck_assert_str_eq(dictionary_string(dictionary, 2), "reques");
    ck_assert_str_eq(dictionary_string(dictionary, 0), "");
}

TEST(dictionary, strings_of_all_lengths_end_with_a_zero)
{
    char text[DICTIONARY_STRING_MAX + 2] = "";
    open_empty();
    memset(segment.dictionary, 0xee, 65536);
    for (uint32_t i = 0; i < DICTIONARY_STRING_MAX; i++) {
        text[i] = (char)('a' + i % 26);
        ck_assert_uint_eq(add(text), i + 1);
    }
    for (uint32_t i = DICTIONARY_STRING_MAX; i > 0; i--) {
        ck_assert_str_eq(dictionary_string(dictionary, i), text);
        text[i - 1] = 0;
    }
}

TEST(dictionary, too_long_a_string_is_refused)
{
    char text[DICTIONARY_STRING_MAX + 2];
    open_empty();
    memset(text, 'x', sizeof text);
    ck_assert_uint_eq(dictionary_add_locked(dictionary, DICTIONARY_STRING, text, DICTIONARY_STRING_MAX + 1), 0);
    ck_assert_uint_eq(load_relaxed(&segment.header->dictionary_used), 0);
}

TEST(dictionary, a_label_set_is_no_string_of_the_same_bytes)
{
    uint64_t pairs[2] = { 1ull << 32 | 2, 3ull << 32 | 4 }, back[DICTIONARY_LABELS_MAX];
    open_empty();
    uint32_t string = dictionary_add_locked(dictionary, DICTIONARY_STRING, pairs, 16);
    uint32_t set = dictionary_add_locked(dictionary, DICTIONARY_LABELS, pairs, 2);
    ck_assert_uint_ne(string, set);
    ck_assert_uint_eq(dictionary_find(dictionary, DICTIONARY_LABELS, pairs, 2), set);
    ck_assert_uint_eq(dictionary_labels(dictionary, set, back), 2);
    ck_assert_mem_eq(back, pairs, sizeof pairs);
    ck_assert_uint_eq(dictionary_labels(dictionary, 0, back), 0);
}

TEST(dictionary, numbers_end_and_the_old_ones_stay)
{
    char text[32];
    uint32_t number = 1, last = 0;
    open_empty();
    for (uint32_t i = 0; number; i++) {
        snprintf(text, sizeof text, "%u", i);
        number = add(text);
        last = number ? number : last;
    }
    ck_assert_uint_eq(last, DICTIONARY_ENTRIES_MAX);
    ck_assert_uint_eq(find("0"), 1);
    ck_assert_uint_eq(add("4711"), 4712);
}

TEST(dictionary, room_ends_with_a_whole_entry)
{
    char text[DICTIONARY_STRING_MAX + 1];
    uint32_t number = 1, count = 0;
    open_empty();
    memset(text, 'x', sizeof text);
    for (uint32_t i = 0; number; i++, count += number != 0) {
        snprintf(text, 16, "%015u", i);
        text[15] = 'x';
        number = dictionary_add_locked(dictionary, DICTIONARY_STRING, text, DICTIONARY_STRING_MAX);
    }
    ck_assert_uint_eq(count, segment.dictionary_words / (1 + DICTIONARY_STRING_MAX / 8 + 1));
    ck_assert_uint_eq(load_relaxed(&segment.header->dictionary_used), count * (1 + DICTIONARY_STRING_MAX / 8 + 1));
    ck_assert_uint_ne(add("short"), 0); /* what is shorter may still fit */
}

/* ---- Finding while others add ---- */

#define WORDS_EACH 20000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t numbers[4][WORDS_EACH];

static void *add_words(void *arg)
{
    uint32_t *own = arg;
    char text[32];
    for (int i = 0; i < WORDS_EACH; i++) {
        snprintf(text, sizeof text, "word %d", i);
        own[i] = find(text);
        if (own[i])
            continue;
        pthread_mutex_lock(&lock);
        own[i] = add(text);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

TEST(dictionary, threads_agree_on_the_numbers)
{
    pthread_t threads[4];
    open_empty();
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add_words, numbers[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(dictionary->count, WORDS_EACH);
    for (int i = 0; i < WORDS_EACH; i++) {
        char text[32];
        snprintf(text, sizeof text, "word %d", i);
        for (int t = 0; t < 4; t++)
            if (strcmp(dictionary_string(dictionary, numbers[t][i]), text) != 0)
                ck_abort_msg("thread %d has %u for '%s'", t, numbers[t][i], text);
    }
}
