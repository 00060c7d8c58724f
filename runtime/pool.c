/* gmpt_pool: functions that wait for one of a limited number of Gs.
 *
 * A worker is started when a function comes and fewer than the limit run; it takes functions from the queue until that
 * is empty, and ends: a G costs less to start than one that idles costs to explain. So while functions are queued, all
 * workers run, unless one of them has just been started.
 *
 * Who finds all workers busy and no room in the queue waits in `submitters`. Whoever takes a function from the queue
 * hands its room to the first of them, and a worker that finds the queue empty its own place; so they come in their
 * order, and what was handed over belongs to nobody else.
 *
 * `pending` counts functions from their submission to their end. It is the last thing that is touched, without the
 * lock: at 0 the pool may be freed. */
#include "go.h"
#include "waitlist.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_NS 1000000 /* when no G was to be had */

struct job {
    struct job *next;
    void (*fn)(void *args);
    _Alignas(16) uint8_t args[];
};

struct gmpt_pool {
    struct lock lock;
    struct waitlist submitters;
    struct job *first, **end; /* the queue; end is valid while first is not NULL */
    uint32_t room;            /* left in the queue, and in nobody's hands */
    uint32_t workers, limit;  /* workers: those that run, and places in somebody's hands */
    bool closed;
    struct gmpt_waitgroup pending;
};

/* Results beside 0 and errors: what a submitter that waited was given; that a function is to be started on a worker of
 * its own, whose place is taken. */
enum { HANDED_PLACE = 1, HANDED_ROOM, START };

struct gmpt_pool *gmpt_pool_new(uint32_t workers, uint32_t queue)
{
    if (workers == 0) {
        errno = EINVAL;
        return NULL;
    }
    struct gmpt_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->limit = workers;
    pool->room = queue;
    return pool;
}

static void wake_submitter(struct waitlist_wait *submitter, int handed)
{
    if (submitter)
        scheduler_ready(m_self()->p, submitter->g, handed);
}

/* A place, or room, is free: returns who gets it, or NULL when it is nobody's again. */
static struct waitlist_wait *hand_place_locked(struct gmpt_pool *pool)
{
    struct waitlist_wait *submitter = waitlist_pop_locked(&pool->submitters);
    pool->workers -= !submitter;
    return submitter;
}

static struct waitlist_wait *hand_room_locked(struct gmpt_pool *pool)
{
    struct waitlist_wait *submitter = waitlist_pop_locked(&pool->submitters);
    pool->room += !submitter;
    return submitter;
}

/* ---- workers ---- */

struct worker {
    struct gmpt_pool *pool;
    struct job *job; /* its first */
};

static struct job *next_job(struct gmpt_pool *pool, struct job *done)
{
    free(done);
    API_ENTER();
    lock_acquire(&pool->lock);
    struct job *job = pool->first;
    if (job)
        pool->first = job->next;
    struct waitlist_wait *submitter = job ? hand_room_locked(pool) : hand_place_locked(pool);
    lock_release(&pool->lock);
    wake_submitter(submitter, job ? HANDED_ROOM : HANDED_PLACE);
    gmpt_waitgroup_done(&pool->pending); /* for the one that is done; with a next one it is not the last */
    return job;
}

static void pool_worker(void *args)
{
    struct worker *worker = args;
    for (struct job *job = worker->job; job; job = next_job(worker->pool, job))
        job->fn(job->args);
}

/* Gives the place back that a worker could not be started in. Not when it is the only one and functions are queued:
 * nobody would run them. */
static bool give_up_place(struct gmpt_pool *pool)
{
    lock_acquire(&pool->lock);
    bool can = pool->workers > 1 || !pool->first;
    struct waitlist_wait *submitter = can ? hand_place_locked(pool) : NULL;
    lock_release(&pool->lock);
    wake_submitter(submitter, HANDED_PLACE);
    return can;
}

static int start_worker(struct gmpt_pool *pool, struct job *job, struct api_site site)
{
    struct worker worker = { pool, job };
    struct go_start start = { .entry = pool_worker,
                              .shown = (void (*)(void))job->fn,
                              .args = &worker,
                              .args_bytes = sizeof worker,
                              .origin = annotate_origin_of(g_self()),
                              .site = site };
    while (go_start(m_self()->p, &start) < 0) {
        if (give_up_place(pool))
            return -ENOMEM;
        gmpt_sleep(RETRY_NS);
    }
    return 0;
}

/* ---- submitting ---- */

static void queue_locked(struct gmpt_pool *pool, struct job *job)
{
    job->next = NULL;
    *(pool->first ? pool->end : &pool->first) = job;
    pool->end = &job->next;
}

static int place_locked(struct gmpt_pool *pool, struct job *job)
{
    if (pool->closed)
        return -EPIPE;
    if (pool->workers < pool->limit) {
        pool->workers++;
        return START;
    }
    if (pool->room == 0)
        return -EAGAIN;
    pool->room--;
    queue_locked(pool, job);
    return 0;
}

/* With room that was handed over; all workers may have ended since. */
static int place_in_room(struct gmpt_pool *pool, struct job *job)
{
    struct waitlist_wait *submitter = NULL;
    lock_acquire(&pool->lock);
    bool starts = pool->workers < pool->limit;
    if (starts) {
        pool->workers++;
        submitter = hand_room_locked(pool);
    } else {
        queue_locked(pool, job);
    }
    lock_release(&pool->lock);
    wake_submitter(submitter, HANDED_ROOM);
    return starts ? START : 0;
}

enum patience { NEVER_WAIT, WAIT };

static int place(struct gmpt_pool *pool, struct job *job, enum patience patience, int64_t deadline_ns,
                 struct api_site site)
{
    lock_acquire(&pool->lock);
    int result = place_locked(pool, job);
    if (result != -EAGAIN || patience == NEVER_WAIT) {
        lock_release(&pool->lock);
        return result;
    }
    struct waitlist_wait self;
    struct wait description = { .reason = GMPT_WAIT_pool, .object = pool, .site = site };
    waitlist_begin(&self, &pool->lock, &pool->submitters);
    if (deadline_ns != GMPT_NEVER) { /* its timer is started without the lock, so look again after that */
        lock_release(&pool->lock);
        result = waitlist_set_deadline(&self, deadline_ns);
        if (result)
            return result;
        lock_acquire(&pool->lock);
        result = place_locked(pool, job);
        if (result == -EAGAIN && self.expired)
            result = -ETIMEDOUT;
    }
    if (result == -EAGAIN) {
        waitlist_push_locked(&self);
        result = waitlist_park_locked(&self, &description);
    } else {
        lock_release(&pool->lock);
    }
    waitlist_end(&self);
    if (result == HANDED_ROOM)
        return place_in_room(pool, job);
    return result == HANDED_PLACE ? START : result;
}

static int submit(struct gmpt_pool *pool, void (*fn)(void *), const void *args, size_t size, enum patience patience,
                  int64_t deadline_ns, struct api_site site)
{
    if (size > GO_ARGS_BYTES_MAX)
        return -E2BIG;
    struct job *job = malloc(sizeof *job + size);
    if (!job)
        return -ENOMEM;
    job->fn = fn;
    if (size)
        memcpy(job->args, args, size);
    gmpt_waitgroup_add(&pool->pending, 1);
    int result = place(pool, job, patience, deadline_ns, site);
    if (result == START)
        result = start_worker(pool, job, site);
    if (result) {
        free(job);
        gmpt_waitgroup_done(&pool->pending);
    }
    return result;
}

int gmpt_pool_submit(struct gmpt_pool *pool, void (*fn)(void *args), const void *args, size_t size)
{
    API_ENTER();
    return submit(pool, fn, args, size, WAIT, GMPT_NEVER, API_SITE(gmpt_pool_submit));
}

int gmpt_pool_submit_until(struct gmpt_pool *pool, void (*fn)(void *args), const void *args, size_t size,
                           int64_t deadline_ns)
{
    API_ENTER();
    return submit(pool, fn, args, size, WAIT, deadline_ns, API_SITE(gmpt_pool_submit_until));
}

int gmpt_pool_try_submit(struct gmpt_pool *pool, void (*fn)(void *args), const void *args, size_t size)
{
    API_ENTER();
    return submit(pool, fn, args, size, NEVER_WAIT, 0, API_SITE(gmpt_pool_try_submit));
}

/* ---- the end ---- */

void gmpt_pool_close(struct gmpt_pool *pool)
{
    API_ENTER();
    struct ready_batch batch;
    struct waitlist_wait *wait;
    batch_begin(&batch);
    lock_acquire(&pool->lock);
    pool->closed = true;
    while ((wait = waitlist_pop_locked(&pool->submitters))) {
        batch_add(&batch, wait);
        wait->g->wait_result = -EPIPE;
    }
    lock_release(&pool->lock);
    batch_ready(&batch, m_self()->p);
}

void gmpt_pool_wait(struct gmpt_pool *pool) { gmpt_waitgroup_wait(&pool->pending); }

void gmpt_pool_free(struct gmpt_pool *pool)
{
    if (!pool)
        return;
    API_ENTER();
    gmpt_pool_close(pool);
    gmpt_waitgroup_wait(&pool->pending);
    free(pool);
}
