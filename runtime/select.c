/* Waiting on several channels at once.
 *
 * All channels of a select are locked together, in the order of their addresses, to look at them and to queue on them
 * in one step: otherwise two selects that could serve each other might each look before the other has queued. Once
 * parked, its waiters lie in several queues; who pops one must win `winner` to wake the G, so it is woken once. Awake,
 * the G takes the others out, each under its channel's lock. */
#include "chan.h"

#define CASES_MAX 64
#define CASES_FEW 4 /* with so many the frame fits a small stack */

struct select {
    struct select_wait wait;
    struct waiter *waiters; /* one a case */
    struct timer timer;
    struct g *g;
    bool parked, expired; /* under chans[0]'s lock */
};

/* Fills chans with the channels of the cases; returns how many there are. */
static int sort_chans(struct gmpt_chan **chans, const struct gmpt_select_case *cases, int count)
{
    int chan_count = 0;
    for (int i = 0; i < count; i++) {
        struct gmpt_chan *chan = cases[i].chan;
        int place = chan_count;
        while (place > 0 && (uintptr_t)chans[place - 1] > (uintptr_t)chan)
            place--;
        if (!chan || (place > 0 && chans[place - 1] == chan))
            continue;
        for (int above = chan_count++; above > place; above--)
            chans[above] = chans[above - 1];
        chans[place] = chan;
    }
    return chan_count;
}

static void lock_all(struct select *select)
{
    for (int i = 0; i < select->wait.chan_count; i++)
        lock_acquire(&select->wait.chans[i]->lock);
}

/* The first lock is released last: who then takes it knows that all are free. */
static void unlock_all(struct gmpt_chan *const *chans, int count)
{
    for (int i = count; i-- > 0;)
        lock_release(&chans[i]->lock);
}

static void after_unlock_all(struct m *m, struct g *from, void *arg)
{
    (void)m, (void)from;
    /* With the first unlock the G may run again, but it takes every lock once before it leaves the frame that this lies
     * in, so that the select is there until the last unlock. */
    struct select *select = arg;
    unlock_all(select->wait.chans, select->wait.chan_count);
}

/* The first case that can go on at once, beginning at a random one; all are locked. */
static int try_all_locked(struct gmpt_select_case *cases, int count, struct g **wake)
{
    *wake = NULL;
    int index = (int)((uint64_t)random_next(&m_self()->random_state) * (uint32_t)count >> 32);
    for (int left = count; left > 0; left--, index = index + 1 < count ? index + 1 : 0) {
        struct gmpt_select_case *c = &cases[index];
        if (!c->chan)
            continue;
        int result = c->op == GMPT_SEND ? chan_try_send_locked(c->chan, c->value, wake)
                                        : chan_try_recv_locked(c->chan, c->value, wake);
        if (result != -EAGAIN) {
            c->result = result;
            return index;
        }
    }
    return -EAGAIN;
}

static void deadline_passed(struct timer *timer, struct p *p)
{
    struct select *select = container_of(timer, struct select, timer);
    struct lock *lock = &select->wait.chans[0]->lock;
    int32_t none = SELECT_NONE;
    lock_acquire(lock);
    bool won = select->parked && cas_acq_rel(&select->wait.winner, &none, SELECT_TIMED_OUT);
    if (!select->parked)
        select->expired = true;
    lock_release(lock);
    if (won)
        scheduler_ready(p, select->g, -ETIMEDOUT);
}

static struct waiter_queue *queue_of(const struct gmpt_select_case *c)
{
    return c->op == GMPT_SEND ? &c->chan->senders : &c->chan->receivers;
}

/* Blocks until a case or the deadline has won. All channels are locked. */
static int wait_locked(struct select *select, struct gmpt_select_case *cases, int count, bool bounded,
                       struct api_site site)
{
    for (int i = 0; i < count; i++) {
        if (!cases[i].chan)
            continue;
        select->waiters[i] =
            (struct waiter){ .g = select->g, .value = cases[i].value, .select = &select->wait, .index = i };
        waiter_queue_push(queue_of(&cases[i]), &select->waiters[i]);
    }
    struct wait wait = { .reason = GMPT_WAIT_select,
                         .bounded = bounded,
                         .object = select->wait.chans[0],
                         .record = &select->wait,
                         .site = site };
    select->parked = true;
    int result = scheduler_park(&wait, after_unlock_all, select);
    for (int i = 0; i < count; i++) {
        if (!cases[i].chan)
            continue;
        lock_acquire(&cases[i].chan->lock);
        if (select->waiters[i].queued)
            waiter_queue_remove(queue_of(&cases[i]), &select->waiters[i]);
        lock_release(&cases[i].chan->lock);
    }
    int32_t winner = load_acquire(&select->wait.winner);
    if (winner == SELECT_TIMED_OUT)
        return -ETIMEDOUT;
    cases[winner].result = result;
    return winner;
}

enum patience { NEVER_WAIT, WAIT };

static inline __attribute__((always_inline)) int select_within(struct waiter *waiters, struct gmpt_chan **chans,
                                                              struct gmpt_select_case *cases, int count,
                                                              enum patience patience, int64_t deadline_ns,
                                                              struct api_site site)
{
    struct select select = { .waiters = waiters,
                             .wait = { .chans = chans, .chan_count = sort_chans(chans, cases, count) } };
    if (select.wait.chan_count == 0)
        return patience == NEVER_WAIT ? -EAGAIN : chan_wait_on_nothing(deadline_ns, site);
    store_relaxed(&select.wait.winner, SELECT_NONE);
    select.g = g_self();
    select.parked = select.expired = false;

    /* A deadline's timer is started before the channels are locked: timers' locks come first. So look once without. */
    bool bounded = patience == WAIT && deadline_ns != GMPT_NEVER, timed = false;
    struct g *wake;
    int index;
    for (;;) {
        lock_all(&select);
        index = try_all_locked(cases, count, &wake);
        if (index == -EAGAIN && patience == WAIT && (!bounded || (timed && !select.expired))) {
            index = wait_locked(&select, cases, count, bounded, site);
            break;
        }
        unlock_all(select.wait.chans, select.wait.chan_count);
        if (wake)
            scheduler_ready(m_self()->p, wake, 0);
        if (index != -EAGAIN || patience == NEVER_WAIT)
            break;
        if (timed || deadline_ns <= clock_now_ns()) {
            index = -ETIMEDOUT;
            break;
        }
        int error = timers_start(m_self()->p, &select.timer, deadline_ns, deadline_passed);
        if (error)
            return error;
        timed = true;
    }
    if (timed)
        timers_stop(&select.timer);
    return index;
}

static __attribute__((noinline)) int select_many(struct gmpt_select_case *cases, int count, enum patience patience,
                                                int64_t deadline_ns, struct api_site site)
{
    struct waiter waiters[CASES_MAX];
    struct gmpt_chan *chans[CASES_MAX];
    return select_within(waiters, chans, cases, count, patience, deadline_ns, site);
}

static int select_cases(struct gmpt_select_case *cases, int count, enum patience patience, int64_t deadline_ns,
                        struct api_site site)
{
    API_ENTER();
    if (count < 0 || count > CASES_MAX)
        return -EINVAL;
    if (unlikely(count > CASES_FEW)) {
        if (g_self()->stack_class == STACK_SMALL)
            return -E2BIG;
        return select_many(cases, count, patience, deadline_ns, site);
    }
    struct waiter waiters[CASES_FEW];
    struct gmpt_chan *chans[CASES_FEW];
    return select_within(waiters, chans, cases, count, patience, deadline_ns, site);
}

int gmpt_select(struct gmpt_select_case *cases, int count)
{
    return select_cases(cases, count, WAIT, GMPT_NEVER, API_SITE(gmpt_select));
}

int gmpt_select_until(struct gmpt_select_case *cases, int count, int64_t deadline_ns)
{
    return select_cases(cases, count, WAIT, deadline_ns, API_SITE(gmpt_select_until));
}

int gmpt_try_select(struct gmpt_select_case *cases, int count)
{
    return select_cases(cases, count, NEVER_WAIT, 0, API_SITE(gmpt_try_select));
}
