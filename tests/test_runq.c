/* The run queue on its own: no runtime is started, so Gs here are only things to queue. */
#include "harness.h"

#include "runtime/runq.h"
#include "runtime/shared.h"

#include <stdlib.h>
#include <string.h>

static struct g gs[4 * RUNQ_SLOTS];

static struct p *p_make(void)
{
    struct p *p = aligned_alloc(64, sizeof *p);
    ck_assert_ptr_nonnull(p);
    memset(p, 0, sizeof *p);
    if (!sched.queue)
        ck_assert_int_eq(shared_start(1u << 20), 0);
    return p;
}

static void put_range(struct p *p, int from, int to)
{
    for (int i = from; i < to; i++)
        runq_put_owner(p, &gs[i]);
}

/* The index of the next G, -1 when there is none. */
static int get(struct p *p)
{
    bool inherits;
    struct g *g = runq_get_owner(p, &inherits);
    return g ? (int)(g - gs) : -1;
}

TEST(runq, gives_in_the_order_of_putting)
{
    struct p *p = p_make();
    put_range(p, 0, 100);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(get(p), i);
    ck_assert_int_eq(get(p), -1);
    free(p);
}

TEST(runq, next_runs_first_and_inherits_the_slice)
{
    struct p *p = p_make();
    bool inherits;
    put_range(p, 0, 2);
    runq_put_next_owner(p, &gs[7]);
    ck_assert_ptr_eq(runq_get_owner(p, &inherits), &gs[7]);
    ck_assert(inherits);
    ck_assert_ptr_eq(runq_get_owner(p, &inherits), &gs[0]);
    ck_assert(!inherits);
    free(p);
}

TEST(runq, next_displaces_the_one_before_to_the_tail)
{
    struct p *p = p_make();
    runq_put_owner(p, &gs[0]);
    runq_put_next_owner(p, &gs[1]);
    runq_put_next_owner(p, &gs[2]);
    ck_assert_int_eq(get(p), 2);
    ck_assert_int_eq(get(p), 0);
    ck_assert_int_eq(get(p), 1);
    free(p);
}

TEST(runq, of_new_ones_the_latest_runs_first_and_none_displaces_the_next)
{
    struct p *p = p_make();
    bool inherits;
    for (int i = 0; i < 4; i++)
        runq_put_new_owner(p, &gs[i]);
    ck_assert_ptr_eq(runq_get_owner(p, &inherits), &gs[0]);
    ck_assert(inherits);
    runq_put_new_owner(p, &gs[4]);
    ck_assert_int_eq(get(p), 4);
    for (int i = 3; i > 0; i--)
        ck_assert_int_eq(get(p), i);
    ck_assert_int_eq(get(p), -1);
    free(p);
}

TEST(runq, new_ones_go_before_the_queue_and_half_of_them_can_be_stolen)
{
    struct p *p = p_make(), *thief = p_make();
    uint32_t taken;
    runq_put_owner(p, &gs[9]);
    for (int i = 0; i < 6; i++)
        runq_put_new_owner(p, &gs[i]);
    ck_assert_int_eq(get(p), 0);
    ck_assert_int_eq(get(p), 5);
    ck_assert_ptr_eq(runq_steal_owner(thief, p, false, &taken), &gs[9]); /* the queue first */
    ck_assert_uint_eq(taken, 1);
    ck_assert_ptr_eq(runq_steal_owner(thief, p, false, &taken), &gs[1]); /* then the earliest of the new ones */
    ck_assert_uint_eq(taken, 2);
    ck_assert_int_eq(get(thief), 2);
    ck_assert_int_eq(get(p), 4);
    ck_assert_int_eq(get(p), 3);
    ck_assert_int_eq(get(p), -1);
    free(thief);
    free(p);
}

TEST(runq, demoted_next_goes_to_the_tail)
{
    struct p *p = p_make();
    runq_put_next_owner(p, &gs[1]);
    runq_put_owner(p, &gs[0]);
    runq_demote_next_owner(p);
    runq_demote_next_owner(p); /* nothing left to demote */
    ck_assert_int_eq(get(p), 0);
    ck_assert_int_eq(get(p), 1);
    ck_assert_int_eq(get(p), -1);
    free(p);
}

TEST(runq, full_ring_spills_its_older_half)
{
    struct p *p = p_make();
    put_range(p, 0, RUNQ_SLOTS);
    ck_assert_uint_eq(load_relaxed(&sched.queue_size), 0);
    runq_put_owner(p, &gs[RUNQ_SLOTS]);
    ck_assert_uint_eq(load_relaxed(&sched.queue_size), RUNQ_SLOTS / 2 + 1);
    for (unsigned i = 0; i < RUNQ_SLOTS / 2; i++)
        ck_assert_ptr_eq(sched.queue[i], &gs[i]);
    ck_assert_ptr_eq(sched.queue[RUNQ_SLOTS / 2], &gs[RUNQ_SLOTS]);
    for (int i = RUNQ_SLOTS / 2; i < (int)RUNQ_SLOTS; i++)
        ck_assert_int_eq(get(p), i);
    ck_assert_int_eq(get(p), -1);
    free(p);
}

TEST(runq, indices_wrap_around)
{
    struct p *p = p_make();
    store_relaxed(&p->runq_head, UINT32_MAX - 10);
    store_relaxed(&p->runq_tail, UINT32_MAX - 10);
    put_range(p, 0, RUNQ_SLOTS);
    ck_assert_uint_eq(load_relaxed(&sched.queue_size), 0);
    for (int i = 0; i < (int)RUNQ_SLOTS; i++)
        ck_assert_int_eq(get(p), i);
    ck_assert(runq_is_empty_any(p));
    free(p);
}

TEST(runq, empty_means_neither_ring_nor_next)
{
    struct p *p = p_make();
    ck_assert(runq_is_empty_any(p));
    runq_put_owner(p, &gs[0]);
    ck_assert(!runq_is_empty_any(p));
    get(p);
    runq_put_next_owner(p, &gs[0]);
    ck_assert(!runq_is_empty_any(p));
    get(p);
    ck_assert(runq_is_empty_any(p));
    free(p);
}

static void steal_half_of(int count)
{
    struct p *thief = p_make(), *victim = p_make();
    uint32_t taken = 99;
    put_range(victim, 0, count);
    int half = count - count / 2;
    struct g *g = runq_steal_owner(thief, victim, false, &taken);
    ck_assert_uint_eq(taken, half);
    bool seen[RUNQ_SLOTS] = { false };
    seen[g - gs] = true;
    for (int i = 1; i < half; i++)
        seen[get(thief)] = true;
    ck_assert_int_eq(get(thief), -1);
    for (int i = 0; i < half; i++)
        ck_assert_msg(seen[i], "the thief has not got %d of the oldest %d", i, half);
    for (int i = half; i < count; i++)
        ck_assert_int_eq(get(victim), i);
    ck_assert_int_eq(get(victim), -1);
    free(thief);
    free(victim);
}

TEST(runq, steal_takes_half) { steal_half_of(100); }
TEST(runq, steal_takes_the_larger_half) { steal_half_of(7); }
TEST(runq, steal_takes_an_only_one) { steal_half_of(1); }
TEST(runq, steal_takes_half_of_a_full_ring) { steal_half_of(RUNQ_SLOTS); }

TEST(runq, steal_from_empty_takes_nothing)
{
    struct p *thief = p_make(), *victim = p_make();
    uint32_t taken = 99;
    ck_assert_ptr_null(runq_steal_owner(thief, victim, true, &taken));
    ck_assert_uint_eq(taken, 0);
    free(thief);
    free(victim);
}

TEST(runq, steal_leaves_next_unless_it_may_take_it)
{
    struct p *thief = p_make(), *victim = p_make();
    uint32_t taken;
    runq_put_next_owner(victim, &gs[3]);
    ck_assert_ptr_null(runq_steal_owner(thief, victim, false, &taken));
    ck_assert_ptr_eq(runq_steal_owner(thief, victim, true, &taken), &gs[3]);
    ck_assert_uint_eq(taken, 1);
    ck_assert(runq_is_empty_any(victim));
    free(thief);
    free(victim);
}

TEST(runq, steal_prefers_the_ring_to_next)
{
    struct p *thief = p_make(), *victim = p_make();
    uint32_t taken;
    runq_put_next_owner(victim, &gs[3]);
    runq_put_owner(victim, &gs[4]);
    ck_assert_ptr_eq(runq_steal_owner(thief, victim, true, &taken), &gs[4]);
    ck_assert_int_eq(get(victim), 3);
    free(thief);
    free(victim);
}

#define RACE_GS 200000
#define THIEVES 2

static struct g *race_gs;
static ATOMIC(uint32_t) race_seen[RACE_GS];
static ATOMIC(uint32_t) race_over;
static struct p *race_victim;

static void saw(const struct g *g) { fetch_add_relaxed(&race_seen[g - race_gs], 1); }

static void *thief_main(void *arg)
{
    struct p *p = arg;
    uint32_t taken;
    bool inherits;
    while (!load_acquire(&race_over)) {
        struct g *g = runq_steal_owner(p, race_victim, true, &taken);
        for (; g; g = runq_get_owner(p, &inherits))
            saw(g);
    }
    return NULL;
}

TEST(runq, every_g_is_taken_exactly_once_by_owner_or_thieves)
{
    race_gs = calloc(RACE_GS, sizeof *race_gs);
    race_victim = p_make();
    pthread_t threads[THIEVES];
    struct p *thieves[THIEVES];
    for (int i = 0; i < THIEVES; i++)
        pthread_create(&threads[i], NULL, thief_main, thieves[i] = p_make());
    bool inherits;
    struct g *g;
    for (int i = 0; i < RACE_GS; i++) {
        if (i % 3 == 1)
            runq_put_owner(race_victim, &race_gs[i]);
        else if (i % 3 == 2)
            runq_put_new_owner(race_victim, &race_gs[i]);
        else
            runq_put_next_owner(race_victim, &race_gs[i]);
        if (i % 7 == 0 && (g = runq_get_owner(race_victim, &inherits)))
            saw(g);
    }
    while ((g = runq_get_owner(race_victim, &inherits)))
        saw(g);
    store_release(&race_over, 1);
    for (int i = 0; i < THIEVES; i++) {
        pthread_join(threads[i], NULL);
        while ((g = runq_get_owner(thieves[i], &inherits)))
            saw(g);
        free(thieves[i]);
    }
    for (uint32_t i = 0; i < load_relaxed(&sched.queue_size); i++)
        saw(sched.queue[(sched.queue_first + i) & sched.queue_mask]);
    for (int i = 0; i < RACE_GS; i++)
        ck_assert_msg(load_relaxed(&race_seen[i]) == 1, "G %d was taken %u times", i, load_relaxed(&race_seen[i]));
    free(race_victim);
    free(race_gs);
}
