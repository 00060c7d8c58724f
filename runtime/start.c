/* gmpt_run and the little that belongs to the process as a whole. */
#define _GNU_SOURCE
#include "start.h"

#include "blockcheck.h"
#include "debug.h"
#include "go.h"
#include "latency.h"
#include "memorymap.h"
#include "netpoll.h"
#include "overflow.h"
#include "pin.h"
#include "preempt.h"
#include "procs.h"
#include "proof.h"
#include "quit.h"
#include "scheduler.h"
#include "seat.h"
#include "shared.h"
#include "sysmon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PS_ROOM_MIN 64 /* so far gmpt_gomaxprocs can go, or to what the program began with if that is more */

void *start_signal_stack_new(void)
{
    void *stack = mmap(NULL, START_SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return stack == MAP_FAILED ? NULL : stack;
}

void start_signal_stack_free(void *stack)
{
    if (stack)
        munmap(stack, START_SIGNAL_STACK_BYTES);
}

void start_signal_stack_use(void *stack)
{
    stack_t description = { .ss_sp = stack, .ss_size = START_SIGNAL_STACK_BYTES };
    if (sigaltstack(&description, NULL) < 0)
        fatal("a stack for signal handlers (sigaltstack): %s", strerror(errno));
}

struct main_call {
    int (*fn)(void *arg);
    void *arg;
};

static void main_g(void *args)
{
    struct main_call call = *(struct main_call *)args;
    sched.main_result = call.fn(call.arg);
    scheduler_end_main();
}

static void tell_why_not(int error)
{
    struct rlimit space;
    fprintf(stderr, "gmptrace: the runtime could not start: %s", strerror(-error));
    if (error == -ENOMEM && getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
        fprintf(stderr, "; the address space is limited to %llu MiB (ulimit -v), of which some 4096 are "
                        "reserved, for stacks most of all",
                (unsigned long long)space.rlim_cur >> 20);
    fputc('\n', stderr);
}

int gmpt_run(int (*fn)(void *arg), void *arg)
{
    static ATOMIC(uint32_t) started;
    int error;
    if (exchange_acq_rel(&started, 1)) {
        fprintf(stderr, "gmptrace: gmpt_run was called a second time\n");
        return -EALREADY;
    }
    int p_count = maxprocs_choose();
    if (p_count < 0) {
        fprintf(stderr, "gmptrace: GMPT_MAXPROCS=%s is not a number from 1 to %d\n", getenv("GMPT_MAXPROCS"), PS_MAX);
        return p_count;
    }
    if (pin_start() != 0) {
        fprintf(stderr, "gmptrace: GMPT_PIN=%s is neither cpu nor node\n", getenv("GMPT_PIN"));
        return -EINVAL;
    }
    debug_start();
    store_relaxed(&coarse_now_ns, clock_now_ns());
    uint32_t seats = seat_reserve();
    uint32_t p_room = (uint32_t)(p_count > PS_ROOM_MIN ? p_count : PS_ROOM_MIN);
    error = seats ? trace_start(p_room, (uint32_t)p_count, (uint32_t)maxprocs_quota(), seats) : -ENOMEM;
    if (!error)
        error = netpoll_start();
    if (!error) {
        latency_start();
        scheduler_start();
        error = shared_start(seats);
        if (!error)
            error = procs_start(p_room, (uint32_t)p_count);
    }
    struct main_call call = { fn, arg };
    if (!error) {
        overflow_watch();
        quit_start();
        preempt_start();
        blockcheck_start();
        proof_hold_at_exit();
        error = go_start_main(main_g, &call, sizeof call);
    }
    if (error) {
        tell_why_not(error);
        return error;
    }
    memory_map_note_caller();
    sysmon_run();
    proof_stop();
    blockcheck_stop();
    quit_stop();
    return sched.main_result;
}

int64_t gmpt_count(void)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < load_acquire(&sched.p_made); i++)
        count += load_relaxed(&sched.ps[i].alive_delta);
    return count;
}

const char *gmpt_version(void) { return GMPT_VERSION; }

int64_t gmpt_now(void) { return clock_now_ns(); }
