/* The set of distinct stacks, found by ring and ordinal. */
#include "harness.h"
#include "trace/stackset.h"

TEST(stackset, stacks_with_holes_in_their_numbers_are_found)
{
    struct stackset set = { 0 };
    uint64_t pc[2] = { 1, 2 };
    ck_assert_int_eq(stackset_add(&set, 3, 1, pc, 2), 0);
    ck_assert_int_eq(stackset_add(&set, 3, 1000000, pc, 1), 0);
    ck_assert_int_eq(stackset_add(&set, 3, 1000001, pc, 2), 0);
    ck_assert_uint_eq(stackset_index(&set, 3, 1), 1);
    ck_assert_uint_eq(stackset_index(&set, 3, 1000000), 2);
    ck_assert_uint_eq(stackset_index(&set, 3, 1000001), 1);
    ck_assert_uint_eq(stackset_index(&set, 3, 2), 0);
    ck_assert_uint_eq(stackset_index(&set, 3, UINT64_MAX), 0);
    ck_assert_uint_eq(stackset_index(&set, 2, 1), 0);
    stackset_clear(&set);
}

/* Each lookup walks the runs of its ring, so a ring cannot have many; another ring has room all the same. */
TEST(stackset, a_ring_has_no_more_holes_than_can_be_walked)
{
    struct stackset set = { 0 };
    uint64_t pc = 1;
    for (uint32_t i = 0; i <= STACKSET_RUNS_MAX; i++)
        ck_assert_int_eq(stackset_add(&set, 3, 1 + 2 * i, &pc, 1), 0);
    ck_assert_uint_eq(set.refused, 1);
    ck_assert_uint_eq(stackset_index(&set, 3, 1), 1);
    ck_assert_uint_eq(stackset_index(&set, 3, 2 * STACKSET_RUNS_MAX - 1), 1);
    ck_assert_uint_eq(stackset_index(&set, 3, 2 * STACKSET_RUNS_MAX + 1), 0);
    ck_assert_int_eq(stackset_add(&set, 4, 1, &pc, 1), 0);
    ck_assert_uint_eq(stackset_index(&set, 4, 1), 1);
    stackset_clear(&set);
}
