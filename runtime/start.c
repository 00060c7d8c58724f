/* gmpt_run and the little that belongs to the process as a whole. */
#define _GNU_SOURCE
#include "start.h"

#include "go.h"
#include "netpoll.h"
#include "preempt.h"
#include "procs.h"
#include "scheduler.h"
#include "seat.h"
#include "sysmon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PS_ROOM_MIN 64 /* so far gmpt_gomaxprocs can go, or to what the program began with if that is more */
#define SIGNAL_STACK_BYTES (64u * 1024)

#ifndef SWITCH_ASAN /* which has a better message of its own */
static struct sigaction segv_before;

/* A write to a guard is a stack that was too small; anything else is the program's own affair. */
static void on_segv(int signal, siginfo_t *info, void *context)
{
    int64_t seat = seat_of_guard(info->si_addr);
    if (seat >= 0) {
        struct g_slot *slot = seat_slot((uint32_t)seat);
        char message[768], place[512];
        trace_describe_address(place, sizeof place, slot->fn);
        int length = snprintf(message, sizeof message,
                              "gmptrace: fatal: goroutine %llu (function at %s) overflowed its stack of %u KiB\n",
                              (unsigned long long)load_relaxed(&slot->id), place, STACK_BYTES / 1024);
        if (write(STDERR_FILENO, message, (size_t)length) < 0)
            _exit(134);
        abort();
    }
    if (segv_before.sa_flags & SA_SIGINFO) {
        segv_before.sa_sigaction(signal, info, context);
    } else if (segv_before.sa_handler != SIG_DFL && segv_before.sa_handler != SIG_IGN) {
        segv_before.sa_handler(signal);
    } else {
        struct sigaction plain = { .sa_handler = SIG_DFL };
        sigaction(SIGSEGV, &plain, NULL); /* the access is made again, and ends the program as it would have */
    }
}

static void watch_overflows(void)
{
    struct sigaction action = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &segv_before);
}
#else
static void watch_overflows(void) {}
#endif

void start_signal_stack(void)
{
    stack_t stack = { .ss_size = SIGNAL_STACK_BYTES };
    stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED)
        return; /* only the message of an overflow is lost */
    sigaltstack(&stack, NULL);
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
    store_relaxed(&coarse_now_ns, clock_now_ns());
    uint32_t seats = seat_reserve();
    uint32_t p_room = (uint32_t)(p_count > PS_ROOM_MIN ? p_count : PS_ROOM_MIN);
    error = seats ? trace_start(p_room, (uint32_t)p_count, seats) : -ENOMEM;
    if (!error)
        error = netpoll_start();
    if (!error) {
        scheduler_start();
        error = procs_start(p_room, (uint32_t)p_count);
    }
    struct main_call call = { fn, arg };
    if (!error) {
        watch_overflows();
        preempt_start();
        error = go_start_main(main_g, &call, sizeof call);
    }
    if (error) {
        fprintf(stderr, "gmptrace: the runtime could not start: %s\n", strerror(-error));
        return error;
    }
    sysmon_run();
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
