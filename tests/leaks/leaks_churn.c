/* leaks_churn: nothing leaks here, and nothing stays where it is. Waiters wait, each for something new of its own, and
 * the only handle of that goes from hand to hand: through channels, blocks of malloc's, timers, pools, pipes,
 * arguments, registers, calls that block. Whatever moment a proof of leaks is made of, all of them are alive.
 *
 * Says `ready`; once its standard input has ended it lets all come to an end, and says `end`. */
#define _GNU_SOURCE
#include "trace/atomics.h"

#include <gmptrace/gmpt.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAITERS 24
#define CARRIERS 6
#define ROOM (2 * WAITERS)

/* What a waiter waits for, wherever it lies: a channel of its own, or an object in its frame. */
enum token_kind { TOKEN_CHAN, TOKEN_WAITGROUP, TOKEN_EVENT, TOKEN_SEMAPHORE, TOKEN_CONTEXT, TOKEN_KINDS };
struct token {
    void *object;
    uint32_t kind, hops;
};

static struct gmpt_chan *inboxes[CARRIERS];
static struct gmpt_pool *pool;
static ATOMIC(uint32_t) stopping;
static struct gmpt_waitgroup waiting, carrying;

static uint32_t chance(uint32_t limit)
{
    static ATOMIC(uint32_t) state;
    uint32_t x = fetch_add_relaxed(&state, 0x9e3779b9);
    x = (x ^ x >> 16) * 0x85ebca6b;
    x = (x ^ x >> 13) * 0xc2b2ae35;
    return (x ^ x >> 16) % limit;
}

static void *checked(void *block)
{
    if (!block)
        abort();
    return block;
}

static void token_send(const struct token *token) { gmpt_chan_send(inboxes[chance(CARRIERS)], token); }

/* ---- Waiters ----------------------------------------------------------------------------------------------------- */

static void chan_wait(void)
{
    struct token token = { checked(gmpt_chan_new(0, 0)), TOKEN_CHAN, chance(6) };
    gmpt_chan_retain(token.object);
    token_send(&token);
    gmpt_chan_recv(token.object, NULL);
    gmpt_chan_release(token.object);
}

static void waitgroup_wait(void)
{
    struct gmpt_waitgroup *group = checked(calloc(1, sizeof *group));
    struct token token = { group, TOKEN_WAITGROUP, chance(6) };
    gmpt_waitgroup_add(group, 1);
    token_send(&token);
    gmpt_waitgroup_wait(group);
    free(group);
}

/* In the frame of who waits, where only others have a pointer to it. */
struct event {
    struct gmpt_mutex mutex;
    struct gmpt_cond cond;
    bool happened;
};

static void event_wait(void)
{
    struct event event = { .happened = false };
    struct token token = { &event, TOKEN_EVENT, chance(6) };
    token_send(&token);
    gmpt_mutex_lock(&event.mutex);
    while (!event.happened)
        gmpt_cond_wait(&event.cond, &event.mutex);
    gmpt_mutex_unlock(&event.mutex);
}

static void event_happen(struct event *event)
{
    gmpt_mutex_lock(&event->mutex);
    event->happened = true;
    gmpt_cond_signal(&event->cond);
    gmpt_mutex_unlock(&event->mutex);
}

static void semaphore_wait(void)
{
    struct gmpt_semaphore semaphore = GMPT_SEMAPHORE_INIT(1);
    struct token token = { &semaphore, TOKEN_SEMAPHORE, chance(6) };
    gmpt_semaphore_acquire(&semaphore, 1);
    token_send(&token);
    gmpt_semaphore_acquire(&semaphore, 1);
}

static void context_wait(void)
{
    struct gmpt_context *context = checked(gmpt_context_with_cancel(gmpt_context_background()));
    struct token token = { gmpt_context_retain(context), TOKEN_CONTEXT, chance(6) };
    token_send(&token);
    gmpt_chan_recv(gmpt_context_done(context), NULL);
    gmpt_context_release(context);
}

static void waiter(void *args)
{
    (void)args;
    void (*const waits[])(void) = { chan_wait, waitgroup_wait, event_wait, semaphore_wait, context_wait };
    while (!load_acquire(&stopping))
        waits[chance(TOKEN_KINDS)]();
    gmpt_waitgroup_done(&waiting);
}

/* ---- The ways that a token goes ---------------------------------------------------------------------------------- */

static void token_open(struct token token)
{
    switch ((enum token_kind)token.kind) {
    case TOKEN_CHAN:
        gmpt_chan_close(token.object);
        gmpt_chan_release(token.object);
        break;
    case TOKEN_WAITGROUP:
        gmpt_waitgroup_done(token.object);
        break;
    case TOKEN_EVENT:
        event_happen(token.object);
        break;
    case TOKEN_SEMAPHORE:
        gmpt_semaphore_release(token.object, 1);
        break;
    case TOKEN_CONTEXT:
        gmpt_context_cancel(token.object);
        gmpt_context_release(token.object);
        break;
    case TOKEN_KINDS:
        abort();
    }
}

static void token_sent(void *args) { token_send(args); }

static void through_block(struct token *token)
{
    struct token *block = checked(malloc(sizeof *block + chance(2000)));
    *block = *token;
    memset(token, 0, sizeof *token);
    gmpt_yield();
    block = checked(realloc(block, 40 + chance(4000)));
    gmpt_yield();
    token_send(block);
    free(block);
}

static void through_pipe(struct token *token)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC))
        return token_send(token);
    gmpt_write(fds[1], token, sizeof *token);
    memset(token, 0, sizeof *token);
    gmpt_yield();
    gmpt_read(fds[0], token, sizeof *token);
    gmpt_close(fds[0]);
    gmpt_close(fds[1]);
    token_send(token);
}

static void through_call(struct token *token)
{
    gmpt_blocking_begin();
    usleep(50 + chance(200));
    gmpt_blocking_end();
    token_send(token);
}

/* In registers, as far as the compiler can, while nothing else is done. */
static void through_registers(struct token *token)
{
    struct token kept = *token;
    memset(token, 0, sizeof *token);
    for (uint32_t i = 20000 + chance(100000); i; i--)
        __asm__ volatile("" : "+r"(kept.object), "+r"(i));
    token_send(&kept);
}

static void carry_on(struct token *token)
{
    if (token->hops == 0)
        return token_open(*token);
    token->hops--;
    switch (chance(9)) {
    case 0:
        return through_block(token);
    case 1:
        return through_pipe(token);
    case 2:
        return through_call(token);
    case 3:
        return through_registers(token);
    case 4:
        return gmpt_timer_release(checked(gmpt_after_func(50000 + chance(1000000), token_sent, token, sizeof *token)));
    case 5:
        gmpt_go(token_sent, token, sizeof *token);
        return;
    case 6:
        gmpt_pool_submit(pool, token_sent, token, sizeof *token);
        return;
    case 7:
        gmpt_sleep(50000);
        return token_send(token);
    default:
        return token_send(token);
    }
}

static void carrier(void *args)
{
    struct gmpt_chan *inbox = *(struct gmpt_chan **)args;
    struct token token;
    while (gmpt_chan_recv(inbox, &token) == 0)
        carry_on(&token);
    gmpt_waitgroup_done(&carrying);
}

static int main_g(void *arg)
{
    (void)arg;
    char byte;
    pool = checked(gmpt_pool_new(2, ROOM));
    gmpt_waitgroup_add(&waiting, WAITERS);
    gmpt_waitgroup_add(&carrying, CARRIERS);
    for (int i = 0; i < CARRIERS; i++) {
        inboxes[i] = checked(gmpt_chan_new(sizeof(struct token), ROOM));
        gmpt_go(carrier, &inboxes[i], sizeof inboxes[i]);
    }
    for (int i = 0; i < WAITERS; i++)
        gmpt_go(waiter, NULL, 0);
    puts("ready");
    fflush(stdout);
    while (gmpt_read(STDIN_FILENO, &byte, 1) > 0)
        ;
    store_release(&stopping, 1);
    gmpt_waitgroup_wait(&waiting);
    for (int i = 0; i < CARRIERS; i++)
        gmpt_chan_close(inboxes[i]);
    gmpt_waitgroup_wait(&carrying);
    gmpt_pool_free(pool);
    puts("end");
    return 0;
}

int main(void) { return gmpt_run(main_g, NULL); }
