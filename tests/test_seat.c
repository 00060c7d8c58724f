/* Seats without a scheduler: where stacks lie, what guards them, and how they come back. */
#include "run.h"

#include "runtime/seat.h"

#include <stdlib.h>
#include <string.h>

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
    ck_assert_int_eq(trace_start(1, 1, seats), 0);
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
