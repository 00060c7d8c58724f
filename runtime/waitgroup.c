/* gmpt_waitgroup: a count and those who wait for it to be 0, under one lock. */
#include "waitlist.h"

struct waitgroup {
    int64_t count;
    struct waitlist waiters;
};
_Static_assert(sizeof(struct waitgroup) <= sizeof(struct gmpt_waitgroup), "it must fit the public type");

static struct waitgroup *of(struct gmpt_waitgroup *group) { return (struct waitgroup *)group; }

void gmpt_waitgroup_add(struct gmpt_waitgroup *public, int64_t delta)
{
    struct waitgroup *group = of(public);
    struct g *list = NULL, *g;
    API_ENTER();
    lock_acquire(&group->waiters.lock);
    group->count += delta;
    int64_t count = group->count;
    if (count == 0) {
        struct g **end = &list;
        while ((g = waitlist_pop_locked(&group->waiters))) {
            g->wait_result = 0;
            *end = g;
            end = &g->next;
        }
        *end = NULL;
    }
    lock_release(&group->waiters.lock); /* the last touch of the group: a woken G may free it */
    if (count < 0)
        fatal("wait group %p: the count fell below 0", (void *)public);
    if (list)
        scheduler_ready_list(m_self()->p, list);
}

void gmpt_waitgroup_done(struct gmpt_waitgroup *group) { gmpt_waitgroup_add(group, -1); }

static bool is_zero_locked(struct waitlist *list)
{
    return container_of(list, struct waitgroup, waiters)->count == 0;
}

void gmpt_waitgroup_wait(struct gmpt_waitgroup *public)
{
    struct waitgroup *group = of(public);
    API_ENTER();
    lock_acquire(&group->waiters.lock);
    if (group->count == 0) {
        lock_release(&group->waiters.lock);
        return;
    }
    struct wait wait = { .reason = GMPT_WAIT_wait_group, .object = public, .site = API_SITE(gmpt_waitgroup_wait) };
    waitlist_wait_locked(&group->waiters, &wait);
}

int gmpt_waitgroup_wait_until(struct gmpt_waitgroup *public, int64_t deadline_ns)
{
    if (deadline_ns == GMPT_NEVER) {
        gmpt_waitgroup_wait(public);
        return 0;
    }
    API_ENTER();
    struct wait wait = { .reason = GMPT_WAIT_wait_group,
                         .object = public,
                         .site = API_SITE(gmpt_waitgroup_wait_until) };
    return waitlist_wait_until(&of(public)->waiters, is_zero_locked, deadline_ns, &wait);
}
