/* The hash table: what is put in is found, and removal never loses a neighbour. */
#include "harness.h"

#include "trace/table.h"

#include <stdlib.h>

static bool same(const void *entry, const void *key) { return entry == key; }

TEST(table, an_empty_table_finds_nothing)
{
    struct table table = { 0 };
    ck_assert_ptr_null(table_find(&table, 1, NULL, NULL));
    table_remove(&table, 1, &table);
    table_clear(&table);
}

TEST(table, finds_what_was_inserted_after_it_has_grown)
{
    static int entries[10000];
    struct table table = { 0 };
    for (size_t i = 0; i < 10000; i++)
        ck_assert_int_eq(table_insert(&table, table_mix(i), &entries[i]), 0);
    ck_assert_uint_eq(table.count, 10000);
    for (size_t i = 0; i < 10000; i++)
        ck_assert_ptr_eq(table_find(&table, table_mix(i), NULL, NULL), &entries[i]);
    ck_assert_ptr_null(table_find(&table, table_mix(10000), NULL, NULL));
    table_clear(&table);
}

TEST(table, equal_hashes_are_told_apart)
{
    int a, b;
    struct table table = { 0 };
    ck_assert_int_eq(table_insert(&table, 7, &a), 0);
    ck_assert_int_eq(table_insert(&table, 7, &b), 0);
    ck_assert_ptr_eq(table_find(&table, 7, same, &a), &a);
    ck_assert_ptr_eq(table_find(&table, 7, same, &b), &b);
    table_remove(&table, 7, &a);
    ck_assert_ptr_null(table_find(&table, 7, same, &a));
    ck_assert_ptr_eq(table_find(&table, 7, same, &b), &b);
    table_clear(&table);
}

TEST(table, removal_in_crowded_runs_loses_no_neighbour)
{
    enum { ENTRIES = 40, ROUNDS = 20000 };
    int entries[ENTRIES];
    bool in[ENTRIES] = { false };
    struct table table = { 0 };
    unsigned random = 1;
    for (int round = 0; round < ROUNDS; round++) {
        random = random * 1103515245 + 12345;
        unsigned which = (random >> 16) % ENTRIES;
        uint64_t hash = which % 5 + 60; /* five homes near the end, so that runs wrap around */
        if (in[which])
            table_remove(&table, hash, &entries[which]);
        else
            ck_assert_int_eq(table_insert(&table, hash, &entries[which]), 0);
        in[which] = !in[which];
        size_t count = 0;
        for (unsigned i = 0; i < ENTRIES; i++) {
            void *found = table_find(&table, i % 5 + 60, same, &entries[i]);
            ck_assert_ptr_eq(found, in[i] ? &entries[i] : NULL);
            count += in[i];
        }
        ck_assert_uint_eq(table.count, count);
    }
    table_clear(&table);
}

TEST(table, mix_is_one_to_one_on_near_numbers)
{
    for (uint64_t i = 0; i < 1000; i++)
        for (uint64_t k = i + 1; k < i + 20; k++)
            ck_assert(table_mix(i) != table_mix(k));
}
