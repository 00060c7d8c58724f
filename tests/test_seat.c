/* Seats without a scheduler: where stacks lie, what guards them, and how they come back. */
#include "run.h"

#include "runtime/seat.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct p *p_make(void)
{
    struct p *p = aligned_alloc(64, sizeof *p);
    ck_assert_ptr_nonnull(p);
    memset(p, 0, sizeof *p);
    return p;
}

/* Seats and the registry that shows them. */
static void start(void)
{
    uint32_t seats = seat_reserve();
    ck_assert_uint_ge(seats, 1024);
    ck_assert_int_eq(trace_start(1, 1, 0, seats), 0);
}

TEST(seat, stacks_lie_apart)
{
    start();
    struct p *p = p_make();
    for (int i = 0; i < 100; i++) {
        struct g *g = seat_take_owner(p, STACK_DEFAULT);
        ck_assert_ptr_nonnull(g);
        ck_assert_uint_eq(g->slot->stack_hi, (uint64_t)(uintptr_t)g);
        ck_assert_uint_ge(g->slot->stack_hi - g->slot->stack_lo, STACK_BYTES - 4096);
        memset((void *)(uintptr_t)(g->slot->stack_hi - 256), i, 256);
    }
    for (uint32_t i = 0; i < 100; i++)
        for (uint32_t j = 0; j < i; j++)
            ck_assert(seat_slot(i)->stack_hi <= seat_slot(j)->stack_lo ||
                      seat_slot(j)->stack_hi <= seat_slot(i)->stack_lo);
    free(p);
}

TEST(seat, a_g_knows_its_slot_by_its_number)
{
    start();
    struct p *p = p_make();
    struct g *a = seat_take_owner(p, STACK_DEFAULT), *b = seat_take_owner(p, STACK_DEFAULT);
    ck_assert_uint_ne(a->seat, b->seat);
    ck_assert_ptr_eq(a->slot, seat_slot(a->seat));
    ck_assert_ptr_eq(b->slot, seat_slot(b->seat));
    free(p);
}

TEST(seat, a_guard_lies_below_each_stack)
{
    start();
    struct p *p = p_make();
    for (int i = 0; i < 40; i++) {
        struct g *g = seat_take_owner(p, STACK_DEFAULT);
        uint8_t *lo = (uint8_t *)(uintptr_t)g->slot->stack_lo;
        ck_assert_ptr_eq(seat_of_guard(lo - 1), g);
        ck_assert_ptr_eq(seat_of_guard(lo - GUARD_BYTES), g);
        ck_assert_ptr_null(seat_of_guard(lo));
        ck_assert_ptr_null(seat_of_guard(g));
    }
    free(p);
}

TEST(seat, no_byte_of_any_guard_can_be_read)
{
    int ends[2];
    start();
    struct p *p = p_make();
    ck_assert_int_eq(pipe(ends), 0);
    for (int i = 0; i < 100; i++) {
        enum stack_class class = i % 4 ? STACK_DEFAULT : STACK_256K;
        struct g *g = seat_take_owner(p, class);
        uint8_t *lo = (uint8_t *)(uintptr_t)g->slot->stack_lo;
        ck_assert_int_eq(write(ends[1], lo, 1), 1);
        for (uint32_t below = 1; below <= GUARD_BYTES && !g->canary; below += 4095)
            ck_assert_int_eq(write(ends[1], lo - below, 1), -1);
        if (!g->canary)
            ck_assert_int_eq(write(ends[1], lo - GUARD_BYTES, 1), -1);
    }
    close(ends[0]);
    close(ends[1]);
    free(p);
}

/* Or an overflow would go on through what lies below. */
TEST(seat, one_guard_lies_below_all_small_stacks)
{
    int ends[2];
    start();
    struct p *p = p_make();
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_ptr_nonnull(seat_take_owner(p, STACK_SMALL));
    uint8_t *lo = seat_stack_lo(STACK_SMALL, 0) - SMALL_ROOM_BYTES;
    ck_assert_int_eq(write(ends[1], lo, 1), 1);
    for (uint32_t below = 1; below <= GUARD_BYTES; below += 4095)
        ck_assert_int_eq(write(ends[1], lo - below, 1), -1);
    close(ends[0]);
    close(ends[1]);
    free(p);
}

TEST(seat, other_memory_is_no_guard)
{
    int local;
    start();
    ck_assert_ptr_null(seat_of_guard(NULL));
    ck_assert_ptr_null(seat_of_guard(&local));
    ck_assert_ptr_null(seat_of_guard((void *)UINTPTR_MAX));
}

static volatile uint8_t *below;
static void touch_below(void) { *below = 1; }

TEST(seat, a_write_to_the_guard_ends_the_program)
{
    char err[64];
    start();
    struct p *p = p_make();
    struct g *g = seat_take_owner(p, STACK_DEFAULT);
    below = (uint8_t *)(uintptr_t)g->slot->stack_lo;
    ck_assert_int_eq(run_child(touch_below, err, sizeof err), 0);
    below--;
    ck_assert_int_ne(run_child(touch_below, err, sizeof err), 0);
    free(p);
}

TEST(seat, a_seat_given_back_is_taken_next)
{
    start();
    struct p *p = p_make();
    struct g *first = seat_take_owner(p, STACK_DEFAULT);
    seat_take_owner(p, STACK_DEFAULT);
    seat_give_owner(p, first);
    ck_assert_ptr_eq(seat_take_owner(p, STACK_DEFAULT), first);
    free(p);
}

TEST(seat, many_given_back_are_there_for_other_ps)
{
    start();
    struct p *a = p_make(), *b = p_make();
    static struct g *gs[400];
    for (int i = 0; i < 400; i++)
        gs[i] = seat_take_owner(a, STACK_DEFAULT);
    uint32_t used = load_relaxed(&trace_segment.header->registry_used);
    ck_assert_uint_ge(used, 400);
    for (int i = 0; i < 400; i++)
        seat_give_owner(a, gs[i]);
    for (int i = 0; i < 200; i++)
        ck_assert_uint_lt(seat_take_owner(b, STACK_DEFAULT)->seat, used);
    ck_assert_uint_eq(load_relaxed(&trace_segment.header->registry_used), used);
    free(a);
    free(b);
}

TEST(seat, no_seat_is_handed_out_twice)
{
    start();
    struct p *ps[2] = { p_make(), p_make() };
    static struct g *held[1000];
    static bool taken[4096];
    uint32_t random_state = 12345;
    for (int round = 0; round < 50000; round++) {
        uint32_t r = random_next(&random_state);
        struct g **place = &held[r % 1000];
        struct p *p = ps[r >> 31];
        if (*place) {
            taken[(*place)->seat] = false;
            seat_give_owner(p, *place);
            *place = NULL;
        } else {
            *place = seat_take_owner(p, STACK_DEFAULT);
            ck_assert_uint_lt((*place)->seat, 4096);
            ck_assert_msg(!taken[(*place)->seat], "seat %u was handed out twice", (*place)->seat);
            taken[(*place)->seat] = true;
        }
    }
    free(ps[0]);
    free(ps[1]);
}

static struct g *take(struct p *p, enum stack_class class)
{
    struct g *g = seat_take_owner(p, class);
    ck_assert_ptr_nonnull(g);
    return g;
}

TEST(seat, a_stack_is_cleared_for_the_next_g_when_that_is_wanted)
{
    start();
    struct p *p = p_make();
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        size_t bytes = class == STACK_SMALL ? 1800 : 4096;
        for (int64_t wanted = 0; wanted < 2; wanted++) {
            debug_settings.clearstacks = wanted;
            struct g *g = take(p, class);
            memset((uint8_t *)g - bytes, 0x5a, bytes);
            seat_give_owner(p, g);
            ck_assert_ptr_eq(take(p, class), g);
            for (size_t i = 1; i <= bytes; i++)
                REQUIRE(((uint8_t *)g)[-(ptrdiff_t)i] == (wanted ? 0 : 0x5a));
            seat_give_owner(p, g);
        }
    }
    free(p);
}

TEST(seat, classes_do_not_overlap_and_share_the_numbers)
{
    static bool used[400];
    start();
    struct p *p = p_make();
    for (int i = 0; i < 20; i++) {
        for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
            struct g *g = take(p, class);
            ck_assert_uint_lt(g->seat, 400);
            ck_assert(!used[g->seat]);
            used[g->seat] = true;
            ck_assert_int_eq(g->stack_class, class);
            ck_assert_uint_eq(g->slot->stack_hi, (uint64_t)(uintptr_t)g);
            ck_assert_uint_eq(g->slot->stack_lo, (uint64_t)(uintptr_t)seat_stack_lo(class, g->index));
            ck_assert_uint_eq(g->slot->stack_lo % (class == STACK_SMALL ? 2048 : 4096), 0);
            ck_assert_uint_le(g->slot->stack_hi + sizeof *g - g->slot->stack_lo, seat_stack_bytes(class));
            ck_assert(class == STACK_SMALL || g->canary ||
                      seat_of_guard((void *)(uintptr_t)(g->slot->stack_lo - 1)) == g);
        }
    }
    free(p);
}

TEST(seat, the_class_for_a_size_is_the_smallest_that_has_it)
{
    ck_assert_int_eq(seat_class_for(0), STACK_DEFAULT);
    ck_assert_int_eq(seat_class_for(1), UNDER_SANITIZER ? STACK_DEFAULT : STACK_SMALL);
    ck_assert_int_eq(seat_class_for(2048), UNDER_SANITIZER ? STACK_DEFAULT : STACK_SMALL);
    ck_assert_int_eq(seat_class_for(2049), STACK_DEFAULT);
    ck_assert_int_eq(seat_class_for(65537), STACK_256K);
    ck_assert_int_eq(seat_class_for(8 << 20), STACK_8M);
    ck_assert_int_eq(seat_class_for((8 << 20) + 1), STACK_CLASSES);
    ck_assert_int_eq(seat_class_for(UINT32_MAX), STACK_CLASSES);
}

TEST(seat, a_canary_is_renewed_for_each_g)
{
    start();
    struct p *p = p_make();
    struct g *g = take(p, STACK_SMALL);
    ck_assert(g->canary);
    ck_assert(!seat_is_overflowed(g, g));
    *(uint64_t *)seat_stack_lo(STACK_SMALL, g->index) = 0;
    ck_assert(seat_is_overflowed(g, g));
    p->seats[STACK_SMALL].refs[p->seats[STACK_SMALL].count++] = (struct seat_ref){ g->index, g->seat };
    ck_assert_ptr_eq(take(p, STACK_SMALL), g);
    ck_assert(!seat_is_overflowed(g, g));
    free(p);
}

TEST(seat, a_stack_pointer_past_the_canary_is_an_overflow)
{
    start();
    struct p *p = p_make();
    struct g *g = take(p, STACK_SMALL);
    uint8_t *lo = seat_stack_lo(STACK_SMALL, g->index);
    ck_assert(!seat_is_overflowed(g, lo + 16));
    ck_assert(seat_is_overflowed(g, lo - 16));
    free(p);
}

TEST(seat, those_that_were_free_for_longest_are_set_aside_and_cannot_be_taken)
{
    start();
    struct p *p = p_make();
    static struct g *gs[300];
    struct seat_ref *refs;
    for (int i = 0; i < 300; i++)
        gs[i] = take(p, STACK_DEFAULT);
    uint32_t first = gs[0]->seat;
    for (int i = 0; i < 300; i++)
        seat_give_owner(p, gs[i]);
    seat_flush_owner(p, STACK_DEFAULT);
    uint32_t all = seat_free_count(STACK_DEFAULT);
    ck_assert_uint_ge(all, 300);
    ck_assert_uint_eq(seat_reclaim_begin(STACK_DEFAULT, 100, &refs), 100);
    bool aside[4096] = { false }, has_first = false;
    for (int i = 0; i < 100; i++) {
        aside[refs[i].seat] = true;
        has_first |= refs[i].seat == first;
    }
    ck_assert(has_first);
    for (uint32_t i = 0; i < all; i++) { /* more than there are left: new ones are made */
        struct g *g = take(p, STACK_DEFAULT);
        ck_assert_uint_lt(g->seat, 4096);
        ck_assert(!aside[g->seat]);
    }
    seat_reclaim_end(STACK_DEFAULT, 100);
    ck_assert_uint_eq(seat_free_count(STACK_DEFAULT), 100);
    ck_assert_uint_eq(seat_reclaim_begin(STACK_DEFAULT, 100, &refs), 0); /* all are cold */
    free(p);
}

TEST(seat, what_was_not_released_is_taken_first)
{
    start();
    struct p *p = p_make();
    static struct g *gs[100];
    struct seat_ref *refs, kept[10];
    for (int i = 0; i < 100; i++)
        gs[i] = take(p, STACK_SMALL);
    for (int i = 0; i < 100; i++)
        seat_give_owner(p, gs[i]);
    seat_flush_owner(p, STACK_SMALL);
    ck_assert_uint_eq(seat_reclaim_begin(STACK_SMALL, 50, &refs), 50);
    memcpy(kept, refs + 40, sizeof kept);
    seat_reclaim_end(STACK_SMALL, 40);
    for (int i = 0; i < 10; i++) {
        bool found = false;
        uint32_t seat = take(p, STACK_SMALL)->seat;
        for (int k = 0; k < 10; k++)
            found |= kept[k].seat == seat;
        ck_assert(found);
    }
    free(p);
}

TEST(seat, surplus_is_what_was_never_needed_in_between)
{
    start();
    struct p *p = p_make();
    static struct g *gs[640];
    for (int i = 0; i < 640; i++)
        gs[i] = take(p, STACK_DEFAULT);
    ck_assert_uint_eq(seat_surplus(STACK_DEFAULT), 0);
    for (int i = 0; i < 640; i++)
        seat_give_owner(p, gs[i]);
    seat_flush_owner(p, STACK_DEFAULT);
    ck_assert_uint_eq(seat_surplus(STACK_DEFAULT), 0); /* there were none at its beginning */
    ck_assert_uint_eq(seat_surplus(STACK_DEFAULT), 640);
    for (int i = 0; i < 200; i++)
        gs[i] = take(p, STACK_DEFAULT);
    for (int i = 0; i < 200; i++)
        seat_give_owner(p, gs[i]);
    seat_flush_owner(p, STACK_DEFAULT);
    uint32_t surplus = seat_surplus(STACK_DEFAULT);
    ck_assert_uint_le(surplus, 440);
    ck_assert_uint_ge(surplus, 440 - SEAT_CACHE);
    free(p);
}

TEST(seat, none_is_handed_out_twice_while_others_are_reclaimed)
{
    start();
    struct p *ps[2] = { p_make(), p_make() };
    static struct g *held[1000];
    static bool taken[8192];
    struct seat_ref *refs;
    uint32_t random_state = 777, aside = 0;
    for (int round = 0; round < 100000; round++) {
        uint32_t r = random_next(&random_state);
        struct g **place = &held[r % 1000];
        struct p *p = ps[r >> 31];
        enum stack_class class = r % 2 ? STACK_SMALL : STACK_DEFAULT; /* by place, and so the same all the time */
        if (round % 500 == 0)
            aside = seat_reclaim_begin(STACK_DEFAULT, r % 300, &refs);
        if (round % 500 == 250 && aside)
            seat_reclaim_end(STACK_DEFAULT, aside / 2);
        if (*place) {
            taken[(*place)->seat] = false;
            seat_give_owner(p, *place);
            *place = NULL;
        } else {
            *place = seat_take_owner(p, class);
            if (!*place || (*place)->seat >= 8192 || taken[(*place)->seat])
                ck_abort_msg("round %d: a seat was handed out twice, or lost", round);
            taken[(*place)->seat] = true;
        }
    }
    free(ps[0]);
    free(ps[1]);
}
