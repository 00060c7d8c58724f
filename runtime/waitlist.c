/* A queue of Gs in an object, with deadlines. See waitlist.h. */
#include "waitlist.h"

enum place { LAST, FIRST };

static void push_locked(struct waitlist *list, struct waitlist_entry *entry, enum place place)
{
    if (!list->first)
        list->end = &list->first;
    struct waitlist_entry **link = place == FIRST ? &list->first : list->end;
    entry->next = *link;
    *link = entry;
    if (!entry->next)
        list->end = &entry->next;
}

struct g *waitlist_pop_locked(struct waitlist *list)
{
    struct waitlist_entry *entry = list->first;
    if (!entry)
        return NULL;
    list->first = entry->next;
    return entry->g;
}

static inline int wait_locked(struct waitlist *list, const struct wait *wait, enum place place)
{
    struct waitlist_entry entry = { .g = g_self() };
    push_locked(list, &entry, place);
    return scheduler_park(wait, scheduler_after_unlock, &list->lock);
}

int waitlist_wait_locked(struct waitlist *list, const struct wait *wait) { return wait_locked(list, wait, LAST); }

int waitlist_wait_again_locked(struct waitlist *list, const struct wait *wait) { return wait_locked(list, wait, FIRST); }

struct timed_wait {
    struct waitlist_entry entry;
    struct timer timer;
    struct waitlist *list;
    bool expired; /* the deadline passed before the G was queued */
};

static bool remove_locked(struct waitlist *list, struct waitlist_entry *entry)
{
    for (struct waitlist_entry **link = &list->first; *link; link = &(*link)->next) {
        if (*link != entry)
            continue;
        *link = entry->next;
        if (!entry->next)
            list->end = link;
        return true;
    }
    return false;
}

static void deadline_passed(struct timer *timer, struct p *p)
{
    struct timed_wait *wait = container_of(timer, struct timed_wait, timer);
    lock_acquire(&wait->list->lock);
    bool mine = remove_locked(wait->list, &wait->entry);
    wait->expired = true;
    lock_release(&wait->list->lock);
    if (mine)
        scheduler_ready(p, wait->entry.g, -ETIMEDOUT);
}

static int wait_until(struct waitlist *list, bool (*try_locked)(struct waitlist *list), int64_t deadline_ns,
                      struct wait *wait, enum place place)
{
    struct timed_wait timed = { .entry = { .g = g_self() }, .list = list };
    lock_acquire(&list->lock);
    bool done = try_locked(list);
    lock_release(&list->lock);
    if (done)
        return 0;
    if (deadline_ns <= clock_now_ns())
        return -ETIMEDOUT;
    int result = timers_start(m_self()->p, &timed.timer, deadline_ns, deadline_passed);
    if (result)
        return result;
    lock_acquire(&list->lock);
    if (try_locked(list)) {
        lock_release(&list->lock);
    } else if (timed.expired) {
        lock_release(&list->lock);
        result = -ETIMEDOUT;
    } else {
        wait->bounded = true;
        push_locked(list, &timed.entry, place);
        result = scheduler_park(wait, scheduler_after_unlock, &list->lock);
    }
    timers_stop(&timed.timer);
    return result;
}

int waitlist_wait_until(struct waitlist *list, bool (*try_locked)(struct waitlist *list), int64_t deadline_ns,
                        struct wait *wait)
{
    return wait_until(list, try_locked, deadline_ns, wait, LAST);
}

int waitlist_wait_again_until(struct waitlist *list, bool (*try_locked)(struct waitlist *list), int64_t deadline_ns,
                              struct wait *wait)
{
    return wait_until(list, try_locked, deadline_ns, wait, FIRST);
}
