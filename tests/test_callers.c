/* Stacks of events: each is the one that following the frame pointers gives, whatever was kept of the walks before. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/callers.h"
#include "runtime/enter.h"

#include <string.h>

enum {
    GS = 6,
    LOOKS = 20000,
    DEPTH = 6,
    KINDS = 4, /* of functions in each place of a path: 4096 paths, far more than are kept */
};

static const uint64_t *stack_words(const struct ring *ring, uint32_t ordinal)
{
    const uint64_t *entry = ring->stack_words;
    for (uint32_t i = 1; i < ordinal; i++)
        entry += 1 + entry[0];
    return entry;
}

/* What there is to be seen from this frame, by nothing but its pointers. */
static uint32_t naive(const struct g *g, const uint64_t *frame, uint64_t first, uint32_t room, uint64_t *pc)
{
    uint32_t count = 0;
    if (first)
        pc[count++] = first;
    for (; count < room && frame[0] != 0; frame = (const uint64_t *)(uintptr_t)frame[0]) {
        REQUIRE((uintptr_t)frame >= g->slot->stack_lo && (uintptr_t)frame < (uintptr_t)g);
        pc[count++] = frame[1] & ((UINT64_C(1) << 48) - 1); /* above is its signature */
    }
    return count;
}

static uint32_t looks_wrong, looks_done, room_now = STACK_DEPTH_MAX;

static __attribute__((noinline)) void look(uint32_t path)
{
    API_ENTER();
    struct m *m = m_self();
    const void *frame = __builtin_frame_address(0);
    uint64_t expected[STACK_DEPTH_MAX], first = path % 3 == 0 ? (uintptr_t)look + 1 : 0;
    uint32_t ordinal = first ? callers_of_site(m->p, m->current, API_SITE(look))
                             : callers_of_frame(m->p, m->current, frame);
    uint32_t count = naive(m->current, frame, first, room_now, expected);
    const uint64_t *words = stack_words(&m->p->ring, ordinal);
    if (ordinal == 0 || words[0] != count || memcmp(words + 1, expected, count * sizeof *expected) != 0)
        looks_wrong++;
    looks_done++;
}

/* Functions that are alike, so that their frames lie at the same places and only the callers tell them apart. */
static void descend(uint32_t path, int depth);
#define HOP(n)                                                                                                         \
    static __attribute__((noinline)) SIGNS_ITS_RETURN void hop_##n(uint32_t path, int depth)                           \
    {                                                                                                                  \
        descend(path, depth);                                                                                          \
        __asm__ volatile("# " #n);                                                                                     \
    }
HOP(0)
HOP(1)
HOP(2)
HOP(3)

static __attribute__((noinline)) void descend(uint32_t path, int depth)
{
    static void (*const hops[KINDS])(uint32_t, int) = { hop_0, hop_1, hop_2, hop_3 };
    if (depth == 0)
        look(path);
    else
        hops[path % KINDS](path / KINDS, depth - 1);
    __asm__ volatile("");
}

static void look_about(void *args)
{
    uint32_t random = *(const uint32_t *)args;
    for (int i = 0; i < LOOKS; i++) {
        random = random * 1664525 + 1013904223;
        uint32_t few = (random >> 8) % 64 * 61, path = i % 2 ? few : random >> 10;
        if (i % 1000 == 0) { /* the recorder wishes something else */
            room_now = STACK_DEPTH_MAX - (random >> 16) % (STACK_DEPTH_MAX - 1);
            segment_leave_out(&trace_segment, STACK_DEPTH_MAX - room_now, 0);
        }
        descend(path, 1 + (int)(random >> 28) % DEPTH);
    }
}

static int look_from_gs_of_two_sizes(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < GS; i++) {
        struct gmpt_go_options options = { .stack_bytes = i % 2 ? 256 << 10 : 0 };
        EXPECT(gmpt_go_with(&options, look_about, &i, sizeof i) > 0);
        while (looks_done < (i + 1) * LOOKS)
            gmpt_yield();
    }
    return 0;
}

TEST(callers, a_stack_is_what_following_the_frames_gives)
{
    RUN(1, look_from_gs_of_two_sizes);
    ck_assert_uint_eq(looks_done, GS * LOOKS);
    ck_assert_uint_eq(looks_wrong, 0);
}
