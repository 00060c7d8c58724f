/* gmpt_go: a seat, an id, a copy of the arguments, a place in the queue. Also what a G can do to itself: yield,
 * sleep, tell its id. */
#include "go.h"

#include "latency.h"
#include "mutex.h"
#include "scheduler.h"
#include "timers.h"

#include <string.h>

#define SMALL_ARGS_BYTES_MAX 512u
#define IDS_AT_ONCE 64

static uint64_t next_id(struct p *p)
{
    if (unlikely(p->id_next == p->id_end)) {
        p->id_next = fetch_add_relaxed(&sched.next_id, IDS_AT_ONCE);
        p->id_end = p->id_next + IDS_AT_ONCE;
    }
    return p->id_next++;
}

/* A runnable G on p, not yet in a queue; labels is the set for options that have any. NULL when there are no seats. */
static inline __attribute__((always_inline)) struct g *create(struct p *p, enum stack_class class,
                                                              const struct gmpt_go_options *options, uint32_t labels,
                                                              const struct go_start *start)
{
    struct g *g = seat_take_owner(p, class);
    if (unlikely(!g))
        return NULL;
    void *stack_lo = seat_stack_lo(class, g->index);
    switch_created(&g->context, stack_lo, (uintptr_t)g - (uintptr_t)stack_lo);
    uintptr_t top = ((uintptr_t)g - 1 - start->args_bytes) & ~(uintptr_t)15; /* what ends at g is no argument */
    if (start->args_bytes)
        memcpy((void *)top, start->args, start->args_bytes);
    if (start->head_bytes) {
        top = (top - start->head_bytes) & ~(uintptr_t)15;
        memcpy((void *)top, start->head, start->head_bytes);
    }
    g->id = next_id(p);
    g->mutex_who = mutex_who(g);
    g->seq = 0;
    g->flags = (uint8_t)options->flags;
    g->prefers_p = (int16_t)options->p;
    g->name = NULL;
    g->ready_ticks = 0;
    g->context.sp = switch_prepare((void *)top, start->entry, (void *)top);

    struct g_slot *slot = g->slot;
    store_fence(); /* T of segment.h: the slot's last G is dead before the slot tells of the next */
    store_relaxed(&slot->id, g->id);
    slot->fn = (uint64_t)(uintptr_t)start->shown;
    slot->create_stack = 0;
    store_relaxed(&slot->verdict, 0);
    slot->create_pc = start->site.frame ? codeaddress_of(((uintptr_t *)start->site.frame)[1]) : 0;
    annotate_inherit(g, &start->origin);
    TRACE(go_create, p, g, start->site);
    if (unlikely(options->name != NULL))
        annotate_name(p, g, options->name);
    if (unlikely(options->label_count != 0))
        annotate_labels(p, g, labels);
    if (unlikely(options->scope != 0))
        annotate_scope(p, g, options->scope);
    latency_runnable(p, g);
    g_transition(g, G_RUNNABLE, GMPT_WAIT_none);
    store_relaxed(&p->alive_delta, load_relaxed(&p->alive_delta) + 1);
    return g;
}

static const struct gmpt_go_options defaults;

static inline __attribute__((always_inline)) int64_t start_on(struct p *p, enum stack_class class,
                                                              const struct gmpt_go_options *options, uint32_t labels,
                                                              const struct go_start *start)
{
    uint32_t room = class == STACK_SMALL ? SMALL_ARGS_BYTES_MAX : GO_ARGS_BYTES_MAX;
    if (unlikely(start->args_bytes > room - start->head_bytes))
        return -E2BIG;
    struct g *g = create(p, class, options, labels, start);
    if (unlikely(!g))
        return -ENOMEM;
    int64_t id = (int64_t)g->id;
    scheduler_started(p, g);
    return id;
}

int64_t go_start(struct p *p, const struct go_start *start)
{
    return start_on(p, STACK_DEFAULT, &defaults, 0, start);
}

int64_t go_start_first(const struct go_start *start)
{
    if (unlikely(start->args_bytes > GO_ARGS_BYTES_MAX - start->head_bytes))
        return -E2BIG;
    struct g *g = create(m_self()->p, STACK_DEFAULT, &defaults, 0, start);
    if (unlikely(!g))
        return -ENOMEM;
    int64_t id = (int64_t)g->id;
    scheduler_started_first(g);
    return id;
}

static inline __attribute__((always_inline)) int64_t start_here(enum stack_class class,
                                                                const struct gmpt_go_options *options, uint32_t labels,
                                                                void (*fn)(void *), const void *args, size_t size,
                                                                struct api_site site)
{
    struct m *m = m_self();
    struct go_start start = { .entry = fn,
                              .shown = (void (*)(void))fn,
                              .args = args,
                              .args_bytes = size,
                              .origin = annotate_origin_of(m->current),
                              .site = site };
    return start_on(m->p, class, options, labels, &start);
}

int64_t gmpt_go(void (*fn)(void *args), const void *args, size_t size)
{
    API_ENTER();
    return start_here(STACK_DEFAULT, &defaults, 0, fn, args, size, API_SITE(gmpt_go));
}

int64_t gmpt_go_with(const struct gmpt_go_options *options, void (*fn)(void *args), const void *args, size_t size)
{
    API_ENTER();
    if (!options)
        options = &defaults;
    enum stack_class class = seat_class_for(options->stack_bytes);
    if (class == STACK_CLASSES || options->flags & ~GMPT_PURE_COMPUTE || options->p < 0 ||
        (uint32_t)options->p > sched.p_room)
        return -EINVAL;
    uint32_t labels = 0;
    if (options->label_count) {
        uint32_t own = load_relaxed(&m_self()->current->slot->labels);
        int error = annotate_label_set(own, options->labels, options->label_count, &labels);
        if (error)
            return error;
    }
    return start_here(class, options, labels, fn, args, size, API_SITE(gmpt_go_with));
}

int go_start_main(void (*fn)(void *args), const void *args, size_t size)
{
    struct p *p = &sched.ps[0];
    struct go_start start = { .entry = fn, .shown = (void (*)(void))fn, .args = args, .args_bytes = size };
    struct g *g = create(p, STACK_DEFAULT, &defaults, 0, &start);
    if (!g)
        return -ENOMEM;
    return scheduler_first(p, g);
}

int64_t gmpt_self(void) { return (int64_t)g_self()->id; }

void gmpt_preempt_check(void)
{
    if (unlikely(load_relaxed(&m_self()->attention))) {
        API_ENTER();
    }
}

struct sleep {
    struct timer timer;
    struct g *g;
};

static void wake_sleeper(struct timer *timer, struct p *p)
{
    timers_ready_after(p, container_of(timer, struct sleep, timer)->g, 0);
}

static int sleep_until(int64_t deadline_ns, struct api_site site)
{
    /* The heap's lock is what the G is parked under: the timer cannot fire before the G is off its stack. */
    struct m *m = m_self();
    struct sleep sleep = { .g = m->current };
    struct timers *timers = &m->p->timers;
    struct wait wait = { .reason = GMPT_WAIT_sleep, .bounded = true, .site = site };
    lock_acquire(&timers->lock);
    int error = timers_start_locked(m->p, &sleep.timer, deadline_ns, wake_sleeper);
    if (error) {
        lock_release(&timers->lock);
        return error;
    }
    return scheduler_park(&wait, scheduler_after_unlock, &timers->lock);
}

int gmpt_sleep_until(int64_t deadline_ns)
{
    API_ENTER();
    if (deadline_ns <= clock_now_ns()) {
        gmpt_yield();
        return 0;
    }
    return sleep_until(deadline_ns, API_SITE(gmpt_sleep_until));
}

int gmpt_sleep(int64_t ns)
{
    API_ENTER();
    if (ns <= 0) {
        gmpt_yield();
        return 0;
    }
    return sleep_until(timers_moment_in(ns), API_SITE(gmpt_sleep));
}
