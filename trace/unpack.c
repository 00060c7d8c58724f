/* See unpack.h. The loops are written once, and compiled once for each way to read two numbers. */
#include "unpack.h"

#include <string.h>

#define RUN 4   /* numbers that are read without a look at where the column ends, where all of them fit before that */
#define SMALL 8 /* numbers of a byte each that are read as one word */
#define CONTINUED 0x8080808080808080u /* the bit of each byte that says that the number goes on */

#define INLINED static inline __attribute__((always_inline))

/* Two numbers where eight bytes can be read for each. Returns the first byte after them, or NULL: one of them is too
 * long for that, or damage. */
typedef const uint8_t *pair_get(const uint8_t *at, uint64_t pair[2]);

INLINED const uint8_t *pair_get_plain(const uint8_t *at, uint64_t pair[2])
{
    const uint8_t *second = leb_get_evenly(at, &pair[0]);
    return second ? leb_get_evenly(second, &pair[1]) : NULL;
}

/* Longer ones. NULL: one is damage. */
static __attribute__((noinline)) const uint8_t *run_get_longer(const uint8_t *at, uint64_t run[RUN])
{
    for (int i = 0; i < RUN && at; i++)
        at = leb_get_roomy(at, &run[i]);
    return at;
}

INLINED const uint8_t *run_get(const uint8_t *at, uint64_t run[RUN], pair_get *get)
{
    const uint8_t *next = get(at, run);
    if (__builtin_expect(!next || !(next = get(next, run + 2)), 0))
        return run_get_longer(at, run);
    return next;
}

INLINED bool run_fits(const uint8_t *at, const uint8_t *end) { return end - at >= RUN * LEB_MAX_BYTES; }

INLINED unsigned times_unpack(struct column *column, uint64_t *out, unsigned wanted, pair_get *get)
{
    const uint8_t *at = column->at, *end = column->end, *next;
    unsigned count = 0;
    if (column->constant)
        return wanted;
    for (; wanted - count >= RUN && run_fits(at, end) && (next = run_get(at, out + count, get)); count += RUN)
        at = next;
    for (; count < wanted && at < end; count++) {
        next = leb_get_evenly(at, &out[count]);
        if (!next || next > end)
            break;
        at = next;
    }
    column->at = at;
    column->stored = count;
    column->constant = count == 0 && at == end;
    if (at == end)
        for (; count < wanted; count++)
            out[count] = 0;
    return count;
}

/* Differences of a byte each, undone all at once: half of each, and all bits turned where the number was odd. */
INLINED void small_unzigzag(uint64_t word, int8_t differences[SMALL])
{
    uint64_t odd = word & 0x0101010101010101u;
    word = (word >> 1 & 0x3f3f3f3f3f3f3f3fu) ^ ((odd << 8) - odd);
    memcpy(differences, &word, sizeof word);
}

INLINED unsigned field_unpack(struct column *column, uint64_t *out, unsigned step, unsigned wanted, pair_get *get)
{
    const uint8_t *at = column->at, *end = column->end, *next;
    uint64_t before = column->before, word, run[RUN];
    int8_t small[SMALL];
    unsigned count = 0;
    if (column->constant)
        return wanted;
    while (wanted - count >= RUN && run_fits(at, end)) {
        memcpy(&word, at, sizeof word);
        if (!(word & CONTINUED) && wanted - count >= SMALL) {
            small_unzigzag(word, small);
#pragma GCC unroll 8
            for (int i = 0; i < SMALL; i++, out += step)
                *out = before += (uint64_t)small[i];
            at += SMALL;
            count += SMALL;
            continue;
        }
        if (!(next = run_get(at, run, get)))
            break;
#pragma GCC unroll 4
        for (int i = 0; i < RUN; i++, out += step)
            *out = before += leb_unzigzag(run[i]);
        at = next;
        count += RUN;
    }
    for (; count < wanted && at < end; count++, out += step) {
        next = leb_get_roomy(at, &run[0]);
        if (!next || next > end)
            break;
        *out = before += leb_unzigzag(run[0]);
        at = next;
    }
    column->at = at;
    column->before = before;
    column->stored = count;
    column->constant = count == 0 && at == end;
    if (at == end)
        for (; count < wanted; count++, out += step)
            *out = before;
    return count;
}

static unsigned times_plain(struct column *column, uint64_t *out, unsigned wanted)
{
    return times_unpack(column, out, wanted, pair_get_plain);
}

static unsigned field_plain(struct column *column, uint64_t *out, unsigned step, unsigned wanted)
{
    return field_unpack(column, out, step, wanted, pair_get_plain);
}

const struct unpacker unpacker_plain = { times_plain, field_plain };

#ifdef __x86_64__
#include <immintrin.h>

#define GATHERING __attribute__((target("bmi,bmi2")))

/* With the instruction that gathers the bits that a mask chooses: both from the same word. */
GATHERING INLINED const uint8_t *pair_get_gathering(const uint8_t *at, uint64_t pair[2])
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t stops = ~word & CONTINUED, second_stops = _blsr_u64(stops);
    if (__builtin_expect(second_stops == 0, 0))
        return NULL;
    uint64_t first = _blsmsk_u64(stops), both = _blsmsk_u64(second_stops);
    pair[0] = _pext_u64(word, first & ~CONTINUED);
    pair[1] = _pext_u64(word, (both & ~CONTINUED) & ~first);
    return at + 1 + _tzcnt_u64(second_stops) / 8;
}

GATHERING static unsigned times_gathering(struct column *column, uint64_t *out, unsigned wanted)
{
    return times_unpack(column, out, wanted, pair_get_gathering);
}

GATHERING static unsigned field_gathering(struct column *column, uint64_t *out, unsigned step, unsigned wanted)
{
    return field_unpack(column, out, step, wanted, pair_get_gathering);
}

const struct unpacker *unpacker_best(void)
{
    static const struct unpacker gathering = { times_gathering, field_gathering };
    bool has = __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    /* AMD's family 17h has the instruction, but takes a hundred cycles for it. */
    return has && !__builtin_cpu_is("amdfam17h") ? &gathering : &unpacker_plain;
}
#else
const struct unpacker *unpacker_best(void) { return &unpacker_plain; }
#endif
