/* Contexts: a tree whose nodes are cancelled with all that is below them.
 *
 * A child holds a reference to its parent, never the other way round: the parent's list of children is how cancelling
 * finds them, and a child takes itself out of it when it is cancelled or freed. Who cancels walks the list under the
 * parent's lock and takes a reference to each child that still has one (references > 0: one at 0 is being freed, and
 * waits for that lock to take itself out). No two contexts' locks are held at once, and the tree is walked by a list
 * and not by recursion, since it may be deep and stacks are small.
 *
 * | word       | writers             | readers | order           | pairs with                                     |
 * |------------|---------------------|---------|-----------------|------------------------------------------------|
 * | err        | who cancels, locked | all     | release/acquire | A: cause and text before err                   |
 * | references | all                 | all     | acq_rel         | B: what was done with it before it is freed    |
 *
 * `cancelled` says under the lock what err says without it: no child and no function is added to a cancelled context.
 *
 * A deadline's timer holds no reference. Its function takes one, if there still is one, for the call that it leaves;
 * who frees the context stops the timer first, so the function finds the context whole. */
#ifndef GMPT_CONTEXTS_H
#define GMPT_CONTEXTS_H

#include "timers.h"

struct gmpt_context {
    struct lock lock;
    ATOMIC(uint32_t) references;
    struct gmpt_context *parent;       /* NULL: the background */
    struct gmpt_context *first_child;  /* under lock, as are the next two */
    struct gmpt_timer *first_function; /* to be started when it is cancelled */
    bool cancelled;
    struct gmpt_context *next_sibling, **sibling; /* under the parent's lock; sibling is NULL when it is in no list */
    struct gmpt_context *next_cancelled;          /* on the list of who cancels it */

    ATOMIC(int32_t) err;
    int cause; /* valid once err is not 0, as is the text; which lies here or above, or is "" */
    const char *cause_text;
    char *own_text;

    struct gmpt_chan *done;
    int64_t deadline_ns; /* its own or one above, the earliest */
    bool timed;          /* the timer was started */
    struct timer timer;
    struct timer_call call;

    const void *key; /* NULL: no value */
    void *value;
};

/* gmpt_timer_stop of a function that waits for the context: returns whether that has kept it from being started. */
bool context_forget_function(struct gmpt_timer *function);

#endif
