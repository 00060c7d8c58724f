/* LEB128: every length, and what is malformed. */
#include "harness.h"
#include "trace/leb.h"

#include <string.h>

static const uint64_t edges[] = {
    0,          1,          0x7f,       0x80,       0x3fff,     0x4000,     0x1fffff,
    0x200000,   0xfffffff,  0x10000000, 0xffffffff, 1ull << 35, 1ull << 42, (1ull << 49) - 1,
    1ull << 49, 1ull << 55, 1ull << 56, 1ull << 63, UINT64_MAX,
};
#define EDGES (sizeof edges / sizeof edges[0])

TEST(leb, every_length_reads_back)
{
    for (size_t i = 0; i < EDGES; i++) {
        uint8_t bytes[LEB_MAX_BYTES];
        uint64_t value = 1;
        uint8_t *end = leb_put(bytes, edges[i]);
        ck_assert_ptr_eq(leb_get(bytes, end, &value), end);
        ck_assert_uint_eq(value, edges[i]);
    }
}

TEST(leb, the_roomy_reader_agrees_with_the_careful_one)
{
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 100000; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint8_t bytes[2 * LEB_MAX_BYTES];
        memset(bytes, i & 1 ? 0xff : 0x00, sizeof bytes);
        uint64_t wanted = i < (int)EDGES ? edges[i] : random >> (random & 63), value = 1;
        uint8_t *end = leb_put(bytes, wanted);
        ck_assert_ptr_eq(leb_get_roomy(bytes, &value), end);
        ck_assert_uint_eq(value, wanted);
    }
}

TEST(leb, no_byte_before_the_end_is_missed)
{
    for (size_t i = 0; i < EDGES; i++) {
        uint8_t bytes[LEB_MAX_BYTES];
        uint64_t value;
        uint8_t *end = leb_put(bytes, edges[i]);
        for (const uint8_t *cut = bytes; cut < end; cut++)
            ck_assert_ptr_null(leb_get(bytes, cut, &value));
    }
}

TEST(leb, more_than_64_bits_are_refused)
{
    uint8_t bytes[16];
    uint64_t value;
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_ptr_null(leb_get(bytes, bytes + sizeof bytes, &value));
    ck_assert_ptr_null(leb_get_roomy(bytes, &value));
    bytes[9] = 2;
    ck_assert_ptr_null(leb_get(bytes, bytes + sizeof bytes, &value));
    ck_assert_ptr_null(leb_get_roomy(bytes, &value));
    bytes[9] = 1;
    ck_assert_ptr_eq(leb_get(bytes, bytes + sizeof bytes, &value), bytes + 10);
    ck_assert_uint_eq(value, UINT64_MAX);
}
