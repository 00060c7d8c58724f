/* Channels: a buffer and two queues of waiters under one lock.
 *
 * Invariants, while the lock is not held: 1. receivers wait only if the buffer is empty and no live sender waits.
 * 2. Senders wait only if the buffer is full. 3. A closed channel has no waiters. A waiter of a select that has already
 * been woken through another channel may linger in a queue ("stale"); it counts as absent and is dropped where met.
 *
 * Who takes a waiter out of its queue, under the lock, wakes its G, and nobody else does; for a select, whose waiters
 * lie in several queues under several locks, it must also win `select->winner`. */
#ifndef GMPT_CHAN_H
#define GMPT_CHAN_H

#include "scheduler.h"
#include "timers.h"

#define SELECT_NONE (-1)
#define SELECT_TIMED_OUT (-2)

/* What the waiters of one select share. */
struct select_wait {
    ATOMIC(int32_t) winner;   /* SELECT_NONE until one case, by its index, or the deadline has won */
    int chan_count;
    struct gmpt_chan **chans; /* distinct, by address: the order in which they are locked */
};

/* One G in one channel's queue; lies in the frame of the G. */
struct waiter {
    struct waiter *next, *previous;
    struct g *g;
    void *value; /* to send, or where to receive; NULL = throw away */
    struct select_wait *select; /* NULL outside a select */
    int32_t index;              /* of the case */
    bool queued;
};

struct waiter_queue {
    struct waiter *first, *last;
};

struct gmpt_chan {
    struct lock lock;
    uint32_t value_bytes;
    uint64_t capacity;
    uint64_t length;     /* values in the buffer */
    uint64_t read_index; /* of the oldest */
    struct waiter_queue senders, receivers;
    bool closed;
    ATOMIC(uint32_t) references;
    uint8_t buffer[];
};

/* Behind the buffer, never used: a free block of malloc's that follows is named by an address within the last bytes of
 * the block before it, which a proof of leaks would take for a reference. */
#define CHAN_TAIL_BYTES 16u

void waiter_queue_push(struct waiter_queue *queue, struct waiter *waiter);
void waiter_queue_remove(struct waiter_queue *queue, struct waiter *waiter);

/* Tries to send or receive at once. The lock is held, and still is afterwards. Returns 0, -EPIPE, or -EAGAIN; *wake is
 * then a G to make ready with wait_result 0 after the lock is released, or NULL. */
int chan_try_send_locked(struct gmpt_chan *chan, const void *value, struct g **wake);
int chan_try_recv_locked(struct gmpt_chan *chan, void *value, struct g **wake);

/* Waits for what cannot come: for ever, or until the deadline. */
int chan_wait_on_nothing(int64_t deadline_ns, struct api_site site);

#endif
