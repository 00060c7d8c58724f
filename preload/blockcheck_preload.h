/* What libgmptrace-blockcheck.so and the runtime share: the pthread mutexes that a thread holds. The thread alone reads
 * and writes its own. */
#ifndef GMPT_BLOCKCHECK_PRELOAD_H
#define GMPT_BLOCKCHECK_PRELOAD_H

#define BLOCKCHECK_HELD_MAX 32

struct blockcheck_mutex {
    void *mutex;
    void *caller; /* where the call that locked it returns to */
};

struct blockcheck_held {
    unsigned count;
    unsigned overflowed; /* locked when the list was full, and so not seen */
    struct blockcheck_mutex mutexes[BLOCKCHECK_HELD_MAX];
};

/* The name of the function that returns the calling thread's list. */
#define BLOCKCHECK_HELD_FUNCTION "gmpt_blockcheck_held"

#endif
