/* gmpt_group: Gs that are waited for together, of which the first that fails cancels the others.
 *
 * `state` counts the children that have not ended, in units of ONE, above a few flags. Who starts a child adds ONE,
 * each child that ends takes ONE away, and whoever finds both no child left and WAITED wakes who waits. That is the
 * last thing that a child does to the group, which may lie in the frame of who waits:
 *
 *     the child that ends                          who waits, off its stack by now
 *     W1 state - ONE; nothing more, unless         W2 state | WAITED; if no child was left,
 *        it was ONE | WAITED: wakes waiter            it wakes itself
 *
 * Both are read-modify-writes of one word, so exactly one of them sees the other's. All else (errors, the context, the
 * limit) is rare and under the lock, by children that are still counted or by the opener.
 *
 * | word    | writers          | readers | order            | pairs with                                         |
 * |---------|------------------|---------|------------------|----------------------------------------------------|
 * | state   | all              | all     | acq_rel          | A: what a child did before the end of the wait;    |
 * |         |                  |         |                  | `waiter` before WAITED                             |
 * | context | who makes it     | all     | under lock       |                                                    |
 */
#include "contexts.h"
#include "go.h"
#include "owners.h"
#include "waitlist.h"

#include <string.h>

enum {
    WAITED = 1,   /* waiter is set */
    REFUSING = 2, /* cancelled, or a child failed: no more are started */
    LIMITED = 4,  /* limit is set */
    PARENTED = 8, /* parent is set */
    ONE = 16,
};

struct group {
    ATOMIC(uint64_t) state;
    struct lock lock;
    struct waitlist starters; /* Gs that wait until one more child may run */
    struct g *waiter;
    struct gmpt_context *context; /* NULL until somebody asks for it */
    struct gmpt_context *parent;
    uint32_t limit, running; /* running: children that have a place, if there is a limit */
    int error;               /* the first */
};
_Static_assert(sizeof(struct group) <= sizeof(struct gmpt_group), "it must fit the public type");

static struct group *of(struct gmpt_group *group) { return (struct group *)group; }

void gmpt_group_init(struct gmpt_group *public, struct gmpt_context *parent)
{
    memset(public, 0, sizeof *public);
    struct group *group = of(public);
    group->parent = parent;
    if (parent)
        store_relaxed(&group->state, PARENTED);
}

void gmpt_group_set_limit(struct gmpt_group *public, uint32_t limit)
{
    struct group *group = of(public);
    uint64_t state = load_relaxed(&group->state);
    if (state >= ONE)
        fatal("gmpt_group_set_limit of a group with children (%p)", (void *)public);
    group->limit = limit;
    store_relaxed(&group->state, limit ? state | LIMITED : state & ~(uint64_t)LIMITED);
}

/* ---- cancelling ---- */

/* Starts no more children, and cancels the context if there is one. error is a child's, or 0. */
static void refuse(struct group *group, int error)
{
    struct ready_batch batch;
    struct waitlist_wait *wait;
    batch_begin(&batch);
    lock_acquire(&group->lock);
    if (group->error == 0)
        group->error = error;
    fetch_or_acq_rel(&group->state, REFUSING);
    while ((wait = waitlist_pop_locked(&group->starters))) {
        batch_add(&batch, wait);
        wait->g->wait_result = -ECANCELED;
    }
    struct gmpt_context *context = group->context ? gmpt_context_retain(group->context) : NULL;
    lock_release(&group->lock);
    batch_ready(&batch, m_self()->p);
    if (context) {
        gmpt_context_cancel(context);
        gmpt_context_release(context);
    }
}

void gmpt_group_cancel(struct gmpt_group *group)
{
    API_ENTER();
    refuse(of(group), 0);
}

struct gmpt_context *gmpt_group_context(struct gmpt_group *public)
{
    struct group *group = of(public);
    API_ENTER();
    lock_acquire(&group->lock);
    struct gmpt_context *context = group->context;
    lock_release(&group->lock);
    if (context)
        return context;
    struct gmpt_context *made = gmpt_context_with_cancel(group->parent ? group->parent : gmpt_context_background());
    if (!made)
        return NULL;
    lock_acquire(&group->lock);
    context = group->context;
    if (!context)
        group->context = context = made;
    bool cancelled = load_relaxed(&group->state) & REFUSING;
    lock_release(&group->lock);
    if (context != made)
        gmpt_context_release(made);
    else if (cancelled)
        gmpt_context_cancel(made);
    return context;
}

/* ---- children ---- */

struct child {
    struct group *group;
    int (*fn)(void *args);
};

/* A place is free: it goes to who waits for one first. */
static void give_place(struct group *group)
{
    lock_acquire(&group->lock);
    struct waitlist_wait *next = waitlist_pop_locked(&group->starters);
    if (!next)
        group->running--;
    lock_release(&group->lock);
    if (next)
        scheduler_ready(m_self()->p, next->g, 0);
}

static inline void child_ended(struct group *group)
{
    uint64_t before = fetch_sub_acq_rel(&group->state, ONE); /* A, W1 */
    if (before / ONE == 1 && before & WAITED)
        scheduler_ready(m_self()->p, group->waiter, 0);
}

static void child_main(void *head)
{
    struct child *child = head;
    struct group *group = child->group;
    int error = child->fn(go_args_behind(child, sizeof *child));
    API_ENTER();
    if (unlikely(error))
        refuse(group, error);
    if (unlikely(load_relaxed(&group->state) & LIMITED))
        give_place(group);
    child_ended(group);
}

enum patience { NEVER_WAIT, WAIT };

static int take_place(struct group *group, enum patience patience, struct api_site site)
{
    lock_acquire(&group->lock);
    int result = 0;
    if (load_relaxed(&group->state) & REFUSING) {
        result = -ECANCELED;
    } else if (group->running < group->limit) {
        group->running++;
    } else if (patience == NEVER_WAIT) {
        result = -EAGAIN;
    } else {
        struct waitlist_wait self;
        struct wait description = { .reason = GMPT_WAIT_group, .object = group, .site = site };
        waitlist_begin(&self, &group->lock, &group->starters);
        waitlist_push_locked(&self);
        return waitlist_park_locked(&self, &description); /* until it has a place, or the group is cancelled */
    }
    lock_release(&group->lock);
    return result;
}

static __attribute__((noinline)) int admit(struct group *group, enum patience patience, struct api_site site)
{
    uint64_t state = load_relaxed(&group->state);
    if (state & REFUSING)
        return -ECANCELED;
    int result = state & LIMITED ? take_place(group, patience, site) : 0;
    if (result == 0 && group->parent && gmpt_context_err(group->parent)) {
        if (state & LIMITED)
            give_place(group);
        result = -ECANCELED;
    }
    return result;
}

static inline __attribute__((always_inline)) int64_t start_child(struct group *group, int (*fn)(void *),
                                                                 const void *args, size_t size, enum patience patience,
                                                                 struct api_site site)
{
    if (unlikely(load_relaxed(&group->state) & (REFUSING | LIMITED | PARENTED))) {
        int error = admit(group, patience, site);
        if (error)
            return error;
    }
    struct child child = { group, fn };
    struct m *m = m_self();
    struct go_start start = { .entry = child_main,
                              .shown = (void (*)(void))fn,
                              .head = &child,
                              .head_bytes = sizeof child,
                              .args = args,
                              .args_bytes = size,
                              .origin = annotate_origin_of(m->current),
                              .site = site };
    fetch_add_relaxed(&group->state, ONE);
    int64_t id = go_start_first(&start);
    if (unlikely(id < 0)) {
        if (load_relaxed(&group->state) & LIMITED)
            give_place(group);
        child_ended(group);
    }
    return id;
}

int64_t gmpt_group_go(struct gmpt_group *group, int (*fn)(void *args), const void *args, size_t size)
{
    API_ENTER();
    return start_child(of(group), fn, args, size, WAIT, API_SITE(gmpt_group_go));
}

int64_t gmpt_group_try_go(struct gmpt_group *group, int (*fn)(void *args), const void *args, size_t size)
{
    API_ENTER();
    return start_child(of(group), fn, args, size, NEVER_WAIT, API_SITE(gmpt_group_try_go));
}

/* ---- waiting ---- */

const void *group_waiter(const struct gmpt_group *group) { return &((const struct group *)group)->waiter; }

static void after_wait(struct m *m, struct g *from, void *arg)
{
    struct group *group = arg;
    group->waiter = from;
    if (fetch_or_acq_rel(&group->state, WAITED) < ONE) { /* A, W2 */
        m->p->waking = WAKING_BY_NOBODY;
        scheduler_ready(m->p, from, 0);
        m->p->waking = 0;
    }
}

int gmpt_group_wait(struct gmpt_group *public)
{
    struct group *group = of(public);
    API_ENTER();
    if (load_acquire(&group->state) >= ONE) { /* A */
        struct wait wait = { .reason = GMPT_WAIT_group, .object = public, .site = API_SITE(gmpt_group_wait) };
        scheduler_park(&wait, after_wait, group);
    }
    uint64_t state = load_acquire(&group->state); /* A */
    int error = group->error;
    struct gmpt_context *context = group->context;
    if (unlikely(state & (WAITED | REFUSING)))
        store_relaxed(&group->state, state & (LIMITED | PARENTED));
    group->error = 0;
    group->waiter = NULL;
    group->context = NULL;
    if (context) {
        gmpt_context_cancel(context);
        gmpt_context_release(context);
    }
    return error;
}
