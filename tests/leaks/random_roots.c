/* The roots of a random world: places of the program's that no G that waits is needed for. See random_run.h. */
#define _GNU_SOURCE
#include "random_run.h"

#include "trace/atomics.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LATER_NS (INT64_C(3600) * 1000000000)

struct node {
    struct node *next;
    char between[24];
    struct ref ref;
};

static struct ref globals[WORLD_ROOTS_MAX];
static uint32_t global_count;
static struct node *list;
static struct __attribute__((packed)) {
    char before;
    struct ref refs[WORLD_ROOTS_MAX];
} unaligned;
static uint32_t unaligned_count;
static struct ref *mapping;
static uint32_t mapping_count;
static int pipe_fds[2] = { -1, -1 };
static uint32_t pipe_count;
static struct gmpt_timer *timers[WORLD_ROOTS_MAX];
static uint32_t timer_count;
static struct gmpt_context *values[WORLD_ROOTS_MAX];
static uint32_t value_count;
static const char value_key;
struct ref *root_main_frame;
static uint32_t main_count;

static void *checked(void *block)
{
    if (!block || block == MAP_FAILED)
        abort();
    return block;
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

/* A thread of the program's takes a reference into its frame or its local storage, and gives it back when it is told
 * to. What goes to it lies in `passed` only until it has it. */
struct keeper {
    ATOMIC(uint32_t) turn; /* 1 passed, 2 taken, 3 to be given back, 4 given back */
    bool local;
    struct ref passed;
};
static struct keeper keepers[WORLD_ROOTS_MAX];
static uint32_t keeper_count;
static _Thread_local struct ref kept_local;

static void turn_wait(struct keeper *keeper, uint32_t turn)
{
    while (load_acquire(&keeper->turn) != turn)
        usleep(200);
}

static void *keep(void *arg)
{
    struct keeper *keeper = arg;
    struct ref kept_here = { 0 }, *kept = keeper->local ? &kept_local : &kept_here;
    turn_wait(keeper, 1);
    *kept = keeper->passed;
    memset(&keeper->passed, 0, sizeof keeper->passed);
    store_release(&keeper->turn, 2);
    turn_wait(keeper, 3);
    keeper->passed = *kept;
    store_release(&keeper->turn, 4);
    return NULL;
}

static void keeper_put(const struct ref *ref, bool local)
{
    struct keeper *keeper = &keepers[keeper_count++];
    pthread_t thread;
    keeper->local = local;
    if (pthread_create(&thread, NULL, keep, keeper))
        abort();
    keeper->passed = *ref;
    store_release(&keeper->turn, 1);
    turn_wait(keeper, 2);
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

static void open_copied(void *args) { ref_open(args, WORLD_NONE); }

static void list_put(const struct ref *ref)
{
    struct node *node = checked(calloc(1, sizeof *node));
    node->ref = *ref;
    node->next = list;
    list = node;
}

static void mapping_put(const struct ref *ref)
{
    if (!mapping)
        mapping = checked(
            mmap(NULL, WORLD_ROOTS_MAX * sizeof *mapping, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    mapping[mapping_count++] = *ref;
}

static void pipe_put(const struct ref *ref)
{
    if (pipe_fds[0] < 0 && pipe2(pipe_fds, O_CLOEXEC))
        abort();
    if (write(pipe_fds[1], ref, sizeof *ref) != sizeof *ref)
        abort();
    pipe_count++;
}

static void value_put(const struct ref *ref)
{
    struct ref *value = checked(malloc(sizeof *value));
    *value = *ref;
    values[value_count++] = checked(gmpt_context_with_value(gmpt_context_background(), &value_key, value));
}

void root_put(enum world_place place, const struct ref *ref)
{
    switch (place) {
    case WORLD_GLOBAL:
        globals[global_count++] = *ref;
        break;
    case WORLD_LIST:
        list_put(ref);
        break;
    case WORLD_UNALIGNED:
        memcpy(&unaligned.refs[unaligned_count++], ref, sizeof *ref);
        break;
    case WORLD_SHARED_MAPPING:
        mapping_put(ref);
        break;
    case WORLD_PIPE:
        pipe_put(ref);
        break;
    case WORLD_TIMER:
        timers[timer_count++] = checked(gmpt_after_func(LATER_NS, open_copied, ref, sizeof *ref));
        break;
    case WORLD_CONTEXT_VALUE:
        value_put(ref);
        break;
    case WORLD_THREAD_LOCAL:
    case WORLD_THREAD_STACK:
        keeper_put(ref, place == WORLD_THREAD_LOCAL);
        break;
    case WORLD_MAIN_STACK:
        root_main_frame[main_count++] = *ref;
        break;
    case WORLD_PLACES:
        abort();
    }
}

void root_open_all(void)
{
    struct ref ref;
    for (uint32_t i = 0; i < global_count; i++)
        ref_open(&globals[i], WORLD_NONE);
    for (struct node *node = list; node; node = node->next)
        ref_open(&node->ref, WORLD_NONE);
    for (uint32_t i = 0; i < unaligned_count; i++) {
        memcpy(&ref, &unaligned.refs[i], sizeof ref);
        ref_open(&ref, WORLD_NONE);
    }
    for (uint32_t i = 0; i < mapping_count; i++)
        ref_open(&mapping[i], WORLD_NONE);
    for (uint32_t i = 0; i < pipe_count; i++) {
        if (read(pipe_fds[0], &ref, sizeof ref) != sizeof ref)
            abort();
        ref_open(&ref, WORLD_NONE);
    }
    for (uint32_t i = 0; i < timer_count; i++)
        gmpt_timer_reset(timers[i], 1);
    for (uint32_t i = 0; i < value_count; i++)
        ref_open(gmpt_context_value(values[i], &value_key), WORLD_NONE);
    for (uint32_t i = 0; i < keeper_count; i++) {
        store_release(&keepers[i].turn, 3);
        while (load_acquire(&keepers[i].turn) != 4)
            gmpt_sleep(200000);
        ref_open(&keepers[i].passed, WORLD_NONE);
    }
    for (uint32_t i = 0; i < main_count; i++)
        ref_open(&root_main_frame[i], WORLD_NONE);
}
