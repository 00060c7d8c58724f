/* Records that are found by their number, whether they were found lately or not. */
#include "harness.h"
#include "trace/idtable.h"

#include <stdlib.h>

struct numbered {
    uint64_t id;
};

TEST(idtable, a_number_finds_its_record_among_those_that_share_its_low_bits)
{
    struct idtable *ids = calloc(1, sizeof *ids);
    static struct numbered records[3 * IDTABLE_RECENT];
    const uint64_t count = sizeof records / sizeof records[0];
    for (uint64_t i = 0; i < count; i++) {
        records[i].id = i + 1;
        ck_assert_int_eq(idtable_insert(ids, &records[i]), 0);
    }
    for (int round = 0; round < 2; round++)
        for (uint64_t i = 0; i < count; i++) {
            ck_assert_ptr_eq(idtable_look(ids, i + 1), &records[i]);
            ck_assert_ptr_eq(idtable_find(ids, i + 1), &records[i]);
        }
    ck_assert_ptr_null(idtable_find(ids, count + 1));
    idtable_clear(ids);
    free(ids);
}

TEST(idtable, a_record_that_was_taken_out_is_not_found_and_may_come_back_as_another)
{
    struct idtable *ids = calloc(1, sizeof *ids);
    struct numbered record = { 7 }, other = { 7 + IDTABLE_RECENT }, at_zero = { IDTABLE_RECENT };
    ck_assert_int_eq(idtable_insert(ids, &at_zero), 0);
    idtable_remove(ids, &at_zero);
    ck_assert_ptr_null(idtable_find(ids, 0));
    ck_assert_ptr_null(idtable_look(ids, 0));
    ck_assert_int_eq(idtable_insert(ids, &record), 0);
    ck_assert_int_eq(idtable_insert(ids, &other), 0);
    ck_assert_ptr_eq(idtable_find(ids, 7), &record);
    idtable_remove(ids, &record);
    ck_assert_ptr_null(idtable_find(ids, 7));
    ck_assert_ptr_null(idtable_look(ids, 7));
    ck_assert_uint_eq(record.id, 0);
    record.id = 8;
    ck_assert_int_eq(idtable_insert(ids, &record), 0);
    ck_assert_ptr_eq(idtable_find(ids, 8), &record);
    ck_assert_ptr_eq(idtable_find(ids, 7 + IDTABLE_RECENT), &other);
    idtable_clear(ids);
    free(ids);
}
