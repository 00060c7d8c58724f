/* When a place counts as growing: the rule's every clause, each broken once. */
#include "harness.h"

#include "trace/suspects.h"

#include <stdint.h>

#define MS 1000000ll
#define S 1000000000ll

static struct suspect *place(struct suspects *suspects)
{
    struct suspect_key key = { .fn = 0x1000, .create_stack = 1, .wait_stack = 2, .reason = GMPT_WAIT_chan_send };
    struct suspect *suspect = suspects_get(suspects, &key);
    ck_assert_ptr_nonnull(suspect);
    return suspect;
}

TEST(suspects, one_more_now_and_then_grows)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    for (int i = 1; i <= 10; i++)
        suspect_enter(suspect, i * 100 * MS);
    ck_assert(suspect_grows(suspect, 2 * S));
    suspects_clear(&suspects);
}

TEST(suspects, two_are_too_few)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    suspect_enter(suspect, 100 * MS);
    suspect_enter(suspect, 500 * MS);
    ck_assert(!suspect_grows(suspect, S));
    suspects_clear(&suspects);
}

TEST(suspects, three_spread_over_time_are_enough)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    suspect_enter(suspect, 100 * MS);
    suspect_enter(suspect, 500 * MS);
    suspect_enter(suspect, 800 * MS);
    ck_assert(suspect_grows(suspect, S));
    suspects_clear(&suspects);
}

TEST(suspects, a_pool_that_starts_at_once_does_not_grow)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    for (int i = 0; i < 100; i++)
        suspect_enter(suspect, MS + i * 1000);
    ck_assert(!suspect_grows(suspect, 10 * S));
    suspects_clear(&suspects);
}

TEST(suspects, a_pool_whose_workers_work_does_not_grow)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    unsigned random = 7, waiting = 0;
    for (int64_t t = 0; t < 10000; t++) {
        random = random * 1103515245 + 12345;
        if (waiting > 0 && (random >> 16) % 16 < (waiting > 8 ? 12u : 4u)) {
            suspect_leave(suspect, t * MS);
            waiting--;
        } else {
            suspect_enter(suspect, t * MS);
            waiting++;
        }
    }
    while (waiting < 16) {
        suspect_enter(suspect, 10 * S);
        waiting++;
    }
    ck_assert(!suspect_grows(suspect, 10 * S));
    suspects_clear(&suspects);
}

TEST(suspects, growth_that_falls_back_is_forgiven)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    for (int i = 0; i < 20; i++)
        suspect_enter(suspect, (i + 1) * 40 * MS);
    for (int i = 0; i < 10; i++)
        suspect_leave(suspect, 900 * MS);
    ck_assert(!suspect_grows(suspect, 2 * S));
    suspects_clear(&suspects);
}

TEST(suspects, a_fall_in_the_middle_is_not_forgotten)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    for (int i = 0; i < 20; i++)
        suspect_enter(suspect, (i + 1) * 40 * MS);
    for (int i = 0; i < 20; i++)
        suspect_leave(suspect, 900 * MS);
    for (int i = 0; i < 30; i++)
        suspect_enter(suspect, S + i * 30 * MS);
    ck_assert(!suspect_grows(suspect, 2 * S));
    suspects_clear(&suspects);
}

TEST(suspects, a_tenth_may_be_woken)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    for (int i = 0; i < 100; i++)
        suspect_enter(suspect, (i + 1) * 10 * MS);
    for (int i = 0; i < 10; i++)
        suspect_leave(suspect, 1100 * MS + i);
    ck_assert(suspect_grows(suspect, 2 * S));
    suspect_leave(suspect, 2 * S);
    ck_assert(!suspect_grows(suspect, 2 * S));
    suspects_clear(&suspects);
}

TEST(suspects, healthy_bursts_at_the_same_place_do_not_hide_a_leak)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    for (int i = 0; i < 50; i++) {
        int64_t t = i * 40 * MS;
        for (int k = 0; k < 200; k++)
            suspect_enter(suspect, t + k);
        for (int k = 0; k < 199; k++)
            suspect_leave(suspect, t + MS + k);
    }
    ck_assert_uint_eq(suspect->count, 50);
    ck_assert(suspect_grows(suspect, 2 * S));
    suspects_clear(&suspects);
}

TEST(suspects, the_judgement_does_not_depend_on_the_length_of_the_trace)
{
    for (int64_t scale = MS; scale < 1000 * S; scale *= 10) {
        struct suspects suspects = { 0 };
        struct suspect *suspect = place(&suspects);
        for (int i = 1; i <= 30; i++)
            suspect_enter(suspect, i * scale);
        ck_assert(suspect_grows(suspect, 31 * scale));
        suspects_clear(&suspects);
    }
}

TEST(suspects, a_leak_that_starts_late_is_seen)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    for (int i = 0; i < 10; i++)
        suspect_enter(suspect, 50 * S + i * 5 * S);
    ck_assert(suspect_grows(suspect, 100 * S));
    suspects_clear(&suspects);
}

TEST(suspects, places_differ_by_each_part_of_their_key)
{
    struct suspects suspects = { 0 };
    struct suspect_key key = { .fn = 1, .create_stack = 1, .wait_stack = 1, .reason = GMPT_WAIT_mutex };
    struct suspect *first = suspects_get(&suspects, &key);
    ck_assert_ptr_eq(suspects_get(&suspects, &key), first);
    struct suspect_key other = key;
    other.fn = 2;
    ck_assert_ptr_ne(suspects_get(&suspects, &other), first);
    other = key;
    other.create_stack = 2;
    ck_assert_ptr_ne(suspects_get(&suspects, &other), first);
    other = key;
    other.wait_stack = 2;
    ck_assert_ptr_ne(suspects_get(&suspects, &other), first);
    other = key;
    other.reason = GMPT_WAIT_select;
    ck_assert_ptr_null(suspects_find(&suspects, &other));
    ck_assert_ptr_ne(suspects_get(&suspects, &other), first);
    suspects_clear(&suspects);
}

TEST(suspects, memory_is_bounded_by_a_number_of_places)
{
    struct suspects suspects = { 0 };
    struct suspect_key key = { .reason = GMPT_WAIT_mutex };
    for (uint64_t fn = 1; fn <= SUSPECTS_MAX + 1000; fn++) {
        key.fn = fn;
        ck_assert_ptr_nonnull(suspects_get(&suspects, &key));
    }
    ck_assert_uint_eq(suspects.table.count, SUSPECTS_MAX);
    ck_assert_ptr_null(suspects_find(&suspects, &key));
    suspects_clear(&suspects);
}

TEST(suspects, time_that_steps_back_does_no_harm)
{
    struct suspects suspects = { 0 };
    struct suspect *suspect = place(&suspects);
    suspect_enter(suspect, 500 * MS);
    suspect_enter(suspect, 400 * MS);
    suspect_leave(suspect, -5);
    ck_assert_uint_eq(suspect->count, 1);
    ck_assert(!suspect_grows(suspect, 100 * MS));
    suspects_clear(&suspects);
}
