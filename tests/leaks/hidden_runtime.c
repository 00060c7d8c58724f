/* Handles that only the runtime has, or a G of which one would have to know that it goes on: in timers, contexts,
 * queues and buffers, and on stacks. */
#include "hidden.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define SOON_NS INT64_C(1000000000) /* after the proof, and not long */
#define LATER_NS (INT64_C(3600) * 1000000000)

static void close_copied(void *args) { hidden_close(*(struct gmpt_chan **)args); }

/* ---- Timers ------------------------------------------------------------------------------------------------------ */

static struct gmpt_timer *timer;
static void timer_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    timer = gmpt_after_func(LATER_NS, close_copied, &chan, sizeof chan);
}
static void timer_reveal(void) { gmpt_timer_reset(timer, 1); }

/* Nobody has the timer either: it will do it by itself. */
static void released_timer_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    gmpt_timer_release(gmpt_after_func(SOON_NS, close_copied, &chan, sizeof chan));
}

static void ticker_wait(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    hidden_victim_waits();
    gmpt_chan_recv(chan, NULL);
    hidden_victim_woke();
}
static void after_hide(void)
{
    struct gmpt_chan *chan = gmpt_after(SOON_NS);
    gmpt_go(ticker_wait, &chan, sizeof chan);
}
static void ticker_hide(void)
{
    struct gmpt_chan *chan = gmpt_timer_chan(gmpt_ticker_new(SOON_NS));
    gmpt_go(ticker_wait, &chan, sizeof chan);
}

/* ---- Contexts ---------------------------------------------------------------------------------------------------- */

/* Cancelled by its deadline, which nobody but a timer knows of. */
static void context_wait(void *args)
{
    struct gmpt_context *context = *(struct gmpt_context **)args;
    hidden_victim_waits();
    gmpt_chan_recv(gmpt_context_done(context), NULL);
    hidden_victim_woke();
}
static void context_deadline_hide(void)
{
    struct gmpt_context *parent = gmpt_context_with_timeout(gmpt_context_background(), SOON_NS);
    struct gmpt_context *context = gmpt_context_with_cancel(parent);
    gmpt_context_release(parent);
    gmpt_go(context_wait, &context, sizeof context);
}

/* Cancelled with its parent, which somebody else has. */
static struct gmpt_context *parent_context;
static void context_parent_hide(void)
{
    parent_context = gmpt_context_with_cancel(gmpt_context_background());
    struct gmpt_context *context = gmpt_context_with_cancel(parent_context);
    gmpt_go(context_wait, &context, sizeof context);
}
static void context_parent_reveal(void) { gmpt_context_cancel(parent_context); }

/* What is to be done once a context is cancelled. */
static void context_func_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    parent_context = gmpt_context_with_cancel(gmpt_context_background());
    gmpt_timer_release(gmpt_context_after_func(parent_context, close_copied, &chan, sizeof chan));
}

static const char key;
static struct gmpt_context *valued;
static void context_value_hide(void)
{
    struct gmpt_context *parent = gmpt_context_with_value(gmpt_context_background(), &key, hidden_victim());
    valued = gmpt_context_with_cancel(parent);
    gmpt_context_release(parent);
}
static void context_value_reveal(void) { hidden_close(gmpt_context_value(valued, &key)); }

/* ---- Channels ---------------------------------------------------------------------------------------------------- */

static struct gmpt_chan *mail;
static void buffer_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    mail = gmpt_chan_new(sizeof chan, 3);
    gmpt_chan_send(mail, &chan);
}
static void mail_reveal(void)
{
    struct gmpt_chan *chan;
    gmpt_chan_recv(mail, &chan);
    hidden_close(chan);
}

/* A channel in the buffer of a channel in the buffer of a channel. */
static void nested_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    for (int i = 0; i < 3; i++) {
        mail = gmpt_chan_new(sizeof chan, 2);
        gmpt_chan_send(mail, &chan);
        chan = mail;
    }
}
static void nested_reveal(void)
{
    struct gmpt_chan *chan = mail;
    for (int i = 0; i < 3; i++)
        gmpt_chan_recv(chan, &chan);
    hidden_close(chan);
}

/* A sender waits with it; so does one that selects. */
static void send_sealed(void *args)
{
    struct gmpt_chan *chan = hidden_open(*(uintptr_t *)args);
    gmpt_chan_send(mail, &chan);
}
static void sender_hide(void)
{
    uintptr_t sealed = hidden_seal(hidden_victim());
    mail = gmpt_chan_new(sizeof(struct gmpt_chan *), 0);
    gmpt_go(send_sealed, &sealed, sizeof sealed);
}
static void select_sealed(void *args)
{
    struct gmpt_chan *chan = hidden_open(*(uintptr_t *)args);
    struct gmpt_select_case cases[] = { { .chan = gmpt_chan_new(0, 0), .op = GMPT_RECV },
                                        { .chan = mail, .op = GMPT_SEND, .value = &chan } };
    gmpt_select(cases, 2);
}
static void selector_hide(void)
{
    uintptr_t sealed = hidden_seal(hidden_victim());
    mail = gmpt_chan_new(sizeof(struct gmpt_chan *), 0);
    gmpt_go(select_sealed, &sealed, sizeof sealed);
}

/* One of the cases is enough. */
static void select_one(void *args)
{
    struct gmpt_select_case cases[] = { { .chan = gmpt_chan_new(0, 0), .op = GMPT_SEND },
                                        { .chan = *(struct gmpt_chan **)args, .op = GMPT_RECV } };
    hidden_victim_waits();
    gmpt_select(cases, 2);
    hidden_victim_woke();
}
static void one_case_hide(void)
{
    mail = gmpt_chan_new(sizeof(struct gmpt_chan *), 0);
    gmpt_go(select_one, &mail, sizeof mail);
}
static void one_case_reveal(void) { hidden_close(mail); }

/* The program is told of a signal. */
static void signal_wait(void *args)
{
    (void)args;
    struct gmpt_chan *chan = gmpt_chan_new(sizeof(int), 1);
    gmpt_signal_notify(chan, SIGUSR1);
    hidden_victim_waits();
    gmpt_chan_recv(chan, NULL);
    hidden_victim_woke();
}
static void signal_hide(void) { gmpt_go(signal_wait, NULL, 0); }
static void signal_reveal(void) { kill(getpid(), SIGUSR1); }

/* ---- Queues of functions ----------------------------------------------------------------------------------------- */

static struct gmpt_pool *pool;
static void pool_sleep(void *args)
{
    (void)args;
    gmpt_sleep(SOON_NS);
}
static void pool_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    pool = gmpt_pool_new(1, 2);
    gmpt_pool_submit(pool, pool_sleep, NULL, 0);
    gmpt_pool_submit(pool, close_copied, &chan, sizeof chan);
}

/* ---- Stacks ------------------------------------------------------------------------------------------------------ */

static void sleep_with(void *args)
{
    struct gmpt_chan *chan = hidden_open(*(uintptr_t *)args);
    gmpt_sleep(SOON_NS);
    hidden_close(chan);
}
static void sleeper_hide(void)
{
    uintptr_t sealed = hidden_seal(hidden_victim());
    gmpt_go(sleep_with, &sealed, sizeof sealed);
}

/* In its arguments only, and it waits for something else with a deadline. */
static void deadline_with(void *args)
{
    struct gmpt_chan *never = gmpt_chan_new(0, 0);
    gmpt_chan_recv_until(never, NULL, gmpt_now() + SOON_NS);
    close_copied(args);
}
static void deadline_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    gmpt_go(deadline_with, &chan, sizeof chan);
}

/* One that waits for one that waits for one that sleeps. */
static void relay(void *args)
{
    struct gmpt_chan **chans = args;
    if (chans[0])
        gmpt_chan_recv(chans[0], NULL);
    else
        gmpt_sleep(SOON_NS);
    hidden_close(chans[1]);
}
static void relay_hide(void)
{
    struct gmpt_chan *chans[2] = { NULL, hidden_victim() };
    for (int i = 0; i < 5; i++) {
        chans[0] = gmpt_chan_new(0, 0);
        gmpt_go(relay, chans, sizeof chans);
        chans[1] = chans[0];
        chans[0] = NULL;
    }
    gmpt_go(relay, chans, sizeof chans);
}

/* A structure on the stack of a G that has leaked, or would have, but that somebody has a pointer to the structure. */
struct shared {
    char before[100];
    struct gmpt_chan *chan;
};
static struct shared *shared;
static void frame_wait(void *args)
{
    (void)args;
    struct shared own = { .chan = gmpt_chan_new(0, 0) };
    shared = &own;
    HIDDEN_OPAQUE(shared);
    hidden_victim_waits();
    gmpt_chan_recv(own.chan, NULL);
    hidden_victim_woke();
}
static void into_stack_hide(void) { gmpt_go(frame_wait, NULL, 0); }
static void into_stack_reveal(void) { hidden_close(shared->chan); }

/* The opener of a group waits for a child that sleeps; a child waits for the group to be cancelled. */
static int child_sleep(void *args)
{
    (void)args;
    gmpt_sleep(SOON_NS);
    return -1;
}
static int child_wait(void *args)
{
    struct gmpt_group *group = *(struct gmpt_group **)args;
    struct gmpt_chan *done = gmpt_context_done(gmpt_group_context(group));
    hidden_victim_waits();
    gmpt_chan_recv(done, NULL);
    hidden_victim_woke();
    return 0;
}
static void group_open(void *args)
{
    (void)args;
    struct gmpt_group group = GMPT_GROUP_INIT, *itself = &group;
    gmpt_group_go(&group, child_sleep, NULL, 0);
    gmpt_group_go(&group, child_wait, &itself, sizeof itself);
    hidden_victim_waits();
    gmpt_group_wait(&group);
    hidden_victim_woke();
}
static void group_hide(void) { gmpt_go(group_open, NULL, 0); }

static const struct hidden_place places[] = {
    { "timer", HIDDEN_LIVE, timer_hide, timer_reveal },
    { "released_timer", HIDDEN_LIVE, released_timer_hide, NULL },
    { "after", HIDDEN_LIVE, after_hide, NULL },
    { "ticker", HIDDEN_LIVE, ticker_hide, NULL },
    { "context_deadline", HIDDEN_LIVE, context_deadline_hide, NULL },
    { "context_parent", HIDDEN_LIVE, context_parent_hide, context_parent_reveal },
    { "context_func", HIDDEN_LIVE, context_func_hide, context_parent_reveal },
    { "context_value", HIDDEN_LIVE, context_value_hide, context_value_reveal },
    { "buffer", HIDDEN_LIVE, buffer_hide, mail_reveal },
    { "nested_buffers", HIDDEN_LIVE, nested_hide, nested_reveal },
    { "waiting_sender", HIDDEN_LIVE, sender_hide, mail_reveal },
    { "waiting_select", HIDDEN_LIVE, selector_hide, mail_reveal },
    { "one_case", HIDDEN_LIVE, one_case_hide, one_case_reveal },
    { "signal_channel", HIDDEN_LIVE, signal_hide, signal_reveal },
    { "pool_queue", HIDDEN_LIVE, pool_hide, NULL },
    { "sleeper", HIDDEN_LIVE, sleeper_hide, NULL },
    { "deadline", HIDDEN_LIVE, deadline_hide, NULL },
    { "relay", HIDDEN_LIVE, relay_hide, NULL },
    { "into_stack", HIDDEN_LIVE, into_stack_hide, into_stack_reveal },
    { "group", HIDDEN_LIVE, group_hide, NULL },
};

const struct hidden_places hidden_runtime = HIDDEN_PLACES(places);
