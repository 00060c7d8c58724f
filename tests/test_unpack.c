/* Unpacking: each way to do it gives what the numbers say, one by one, and stops at the same damage. */
#include "harness.h"
#include "trace/unpack.h"

#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 300
#define VALUES_MAX 512
#define MARK 0xabababababababab

static uint64_t random_state;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state;
}

/* A column with as many bytes as its numbers have, and the spare ones behind, so that a sanitizer sees what is read
 * beyond these; the spare bytes may be anything. */
struct packed {
    uint8_t *bytes;
    size_t size;
    unsigned count; /* of whole numbers */
    uint64_t number[NUMBERS_MAX];
};

/* Numbers of at most so many bits; damaged: one of over 64 bits among them. */
static struct packed packed_make(unsigned count, unsigned bits_max, bool damaged)
{
    struct packed packed = { malloc((size_t)(count + 1) * LEB_MAX_BYTES + LEB_MAX_BYTES), 0, count, { 0 } };
    uint8_t *p = packed.bytes;
    unsigned damage = damaged ? (unsigned)random_next() % (count + 1) : count + 1;
    for (unsigned i = 0; i < count; i++) {
        if (i == damage) {
            memset(p, 0xff, LEB_MAX_BYTES);
            p += LEB_MAX_BYTES;
            packed.count = i;
            damage = count + 1;
        }
        unsigned bits = (unsigned)(random_next() % (bits_max + 1));
        packed.number[i] = bits ? random_next() >> (64 - bits) : 0;
        p = leb_put(p, packed.number[i]);
    }
    packed.size = (size_t)(p - packed.bytes);
    memset(p, (int)random_next(), LEB_MAX_BYTES);
    packed.bytes = realloc(packed.bytes, packed.size + LEB_MAX_BYTES);
    return packed;
}

/* Unpacks all in batches of `wanted`, and compares with the numbers. */
static void expect_times(const struct unpacker *unpacker, const struct packed *packed, unsigned wanted)
{
    struct column column = { .at = packed->bytes, .end = packed->bytes + packed->size };
    bool damaged = false;
    for (unsigned done = 0; done < VALUES_MAX - wanted && !damaged; done += wanted) {
        uint64_t out[VALUES_MAX] = { 0 };
        out[wanted] = MARK;
        bool constant = column.constant;
        unsigned got = unpacker->times(&column, out, wanted);
        damaged = got < wanted;
        if (damaged)
            ck_assert_uint_eq(done + got, packed->count);
        for (unsigned i = 0; i < got && !constant; i++)
            ck_assert_uint_eq(out[i], done + i < packed->count ? packed->number[done + i] : 0);
        ck_assert_uint_eq(out[wanted], MARK);
    }
    ck_assert_int_eq(damaged, column.at != column.end);
}

static void expect_field(const struct unpacker *unpacker, const struct packed *packed, unsigned step, unsigned wanted)
{
    struct column column = { .at = packed->bytes, .end = packed->bytes + packed->size };
    bool damaged = false;
    uint64_t sum = 0;
    for (unsigned done = 0; done < VALUES_MAX - wanted && !damaged; done += wanted) {
        uint64_t out[VALUES_MAX * 3 + 1];
        memset(out, 0xab, sizeof out);
        bool constant = column.constant;
        unsigned got = unpacker->field(&column, out, step, wanted);
        damaged = got < wanted;
        if (damaged)
            ck_assert_uint_eq(done + got, packed->count);
        for (unsigned i = 0; i < got && !constant; i++) {
            sum += done + i < packed->count ? leb_unzigzag(packed->number[done + i]) : 0;
            ck_assert_uint_eq(out[i * step], sum);
            for (unsigned between = 1; between < step; between++)
                ck_assert_uint_eq(out[i * step + between], MARK);
        }
        ck_assert_uint_eq(out[wanted * step], MARK);
    }
    ck_assert_int_eq(damaged, column.at != column.end);
}

static void expect_all(const struct unpacker *unpacker, bool damaged)
{
    static const unsigned bits[] = { 0, 6, 7, 8, 14, 15, 28, 29, 31, 56, 57, 64 };
    random_state = 88172645463325252u;
    for (int round = 0; round < 3000; round++) {
        unsigned count = (unsigned)(random_next() % NUMBERS_MAX), wanted = 1 + (unsigned)(random_next() % 70);
        struct packed packed = packed_make(count, bits[(size_t)round % (sizeof bits / sizeof bits[0])], damaged);
        expect_times(unpacker, &packed, wanted);
        expect_field(unpacker, &packed, 1 + (unsigned)round % 3, wanted);
        free(packed.bytes);
    }
}

TEST(unpack, numbers_of_any_length_are_what_they_say)
{
    expect_all(&unpacker_plain, false);
    expect_all(unpacker_best(), false);
}

TEST(unpack, damage_is_told_when_its_turn_has_come)
{
    expect_all(&unpacker_plain, true);
    expect_all(unpacker_best(), true);
}

/* A number that is cut off by the column's end, though the bytes behind it would make it whole. */
TEST(unpack, a_number_ends_where_its_column_does)
{
    uint8_t bytes[2 + LEB_MAX_BYTES] = { 5, 0x80, 1 };
    const struct unpacker *const ways[] = { &unpacker_plain, unpacker_best() };
    for (size_t i = 0; i < 2; i++) {
        uint64_t out[4];
        struct column times = { .at = bytes, .end = bytes + 2 }, field = times;
        ck_assert_uint_eq(ways[i]->times(&times, out, 4), 1);
        ck_assert_uint_eq(ways[i]->field(&field, out, 1, 4), 1);
    }
}
