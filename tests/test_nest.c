/* Gs that gave way to children: taken from the top by their owner, from the bottom by thieves, and never lost. */
#include "run.h"

#include "runtime/nest.h"
#include "runtime/runq.h"

#include <stdlib.h>
#include <string.h>

#define MANY 600

static struct g gs[MANY];
static struct g_slot slot;

static struct p *p_make(void)
{
    struct p *p = aligned_alloc(64, sizeof *p);
    ck_assert_ptr_nonnull(p);
    memset(p, 0, sizeof *p);
    for (int i = 0; i < MANY; i++)
        gs[i].slot = &slot;
    return p;
}

TEST(nest, the_owner_takes_the_latest_and_thieves_the_earliest)
{
    struct p *p = p_make();
    ck_assert(!nest_any(p));
    ck_assert_ptr_null(nest_pop_owner(p));
    ck_assert_ptr_null(nest_take_lowest_any(p));
    for (int i = 0; i < 5; i++)
        ck_assert_ptr_null(nest_push_owner(p, &gs[i]));
    ck_assert(nest_any(p));
    ck_assert_ptr_eq(nest_pop_owner(p), &gs[4]);
    ck_assert_ptr_eq(nest_take_lowest_any(p), &gs[0]);
    ck_assert_ptr_eq(nest_pop_owner(p), &gs[3]);
    ck_assert_ptr_eq(nest_take_lowest_any(p), &gs[1]);
    ck_assert_ptr_eq(nest_take_lowest_any(p), &gs[2]);
    ck_assert(!nest_any(p));
    free(p);
}

TEST(nest, a_full_one_gives_up_its_lowest)
{
    struct p *p = p_make();
    for (int i = 0; i < MANY; i++) {
        struct g *lowest = nest_push_owner(p, &gs[i]);
        if (i < (int)NEST_SLOTS)
            ck_assert_ptr_null(lowest);
        else
            ck_assert_ptr_eq(lowest, &gs[i - (int)NEST_SLOTS]);
    }
    for (int i = MANY; i-- > MANY - (int)NEST_SLOTS;)
        ck_assert_ptr_eq(nest_pop_owner(p), &gs[i]);
    ck_assert(!nest_any(p));
    free(p);
}

TEST(nest, the_queue_runs_next_then_nested_then_the_others)
{
    struct p *p = p_make();
    bool inherits;
    runq_put_owner(p, &gs[0]);
    runq_put_next_owner(p, &gs[1]);
    runq_put_nested_owner(p, &gs[2]); /* what was next was woken, and goes to the tail */
    runq_put_nested_owner(p, &gs[3]);
    runq_put_nested_owner(p, &gs[4]);
    static const int order[] = { 4, 3, 2, 0, 1 };
    for (int i = 0; i < 5; i++) {
        ck_assert(!runq_is_empty_any(p));
        ck_assert_ptr_eq(runq_get_owner(p, &inherits), &gs[order[i]]);
        ck_assert_int_eq(inherits, i < 3);
    }
    ck_assert(runq_is_empty_any(p));
    free(p);
}

TEST(nest, a_slice_that_is_over_puts_them_behind_the_others)
{
    struct p *p = p_make();
    bool inherits;
    runq_put_owner(p, &gs[0]);
    for (int i = 1; i < 4; i++)
        runq_put_nested_owner(p, &gs[i]);
    runq_demote_next_owner(p);
    for (int i = 0; i < 4; i++) {
        ck_assert_ptr_eq(runq_get_owner(p, &inherits), &gs[i]);
        ck_assert(!inherits);
    }
    free(p);
}

static ATOMIC(uint32_t) taken_by_thieves, over;
static ATOMIC(uint32_t) times[MANY];

static void *thief(void *arg)
{
    struct p *p = arg;
    while (!load_acquire(&over)) {
        struct g *g = nest_take_lowest_any(p);
        if (g) {
            fetch_add_relaxed(&times[g - gs], 1);
            fetch_add_relaxed(&taken_by_thieves, 1);
        }
    }
    return NULL;
}

TEST(nest, each_is_taken_once)
{
    enum { ROUNDS = UNDER_SANITIZER ? 500 : 5000 };
    struct p *p = p_make();
    uint32_t random_state = 3;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, thief, p), 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct g *g;
        for (int i = 0; i < MANY; i++) {
            if ((g = nest_push_owner(p, &gs[i])))
                fetch_add_relaxed(&times[g - gs], 1);
            if (random_next(&random_state) % 3 == 0 && (g = nest_pop_owner(p)))
                fetch_add_relaxed(&times[g - gs], 1);
        }
        while ((g = nest_pop_owner(p)))
            fetch_add_relaxed(&times[g - gs], 1);
    }
    store_release(&over, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < MANY; i++)
        REQUIRE(load_relaxed(&times[i]) == ROUNDS);
    free(p);
}
