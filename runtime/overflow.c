/* Tells of stacks that were too small, and of calls from where there is no P. See overflow.h.
 *
 * A guard is hit by a signal, whose handler runs on the M's alternate stack. A dead canary is found on a stack of 2 KiB
 * as a rule, where no message can be formatted, so that the finder raises the same signal. */
#define _GNU_SOURCE
#include "overflow.h"

#include "names.h"
#include "owncode.h"
#include "seat.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static ATOMIC(struct g *) found; /* by a canary */

/* Async-signal-safe but for snprintf. */
static void tell(struct g *g)
{
    struct g_slot *slot = g->slot;
    char message[1024], place[512], advice[128] = "there is no larger class: use less of it";
    enum stack_class class = g->stack_class;
    bool is_main = load_relaxed(&slot->id) == 1;
    if (class + 1 < STACK_CLASSES)
        snprintf(advice, sizeof advice, "start %s by gmpt_go_with with stack_bytes = %u",
                 is_main ? "one for this work" : "it", seat_stack_bytes((enum stack_class)(class + 1)));
    trace_describe_address(place, sizeof place, slot->fn);
    struct name name;
    names_find(names_open(), slot->fn, &name);
    if (is_main)
        name.function = "main";
    int length = snprintf(message, sizeof message,
                          "gmptrace: fatal: goroutine %llu (%s%sfunction %s%sat %s) overflowed its stack of %u KiB%s; "
                          "%s\n",
                          (unsigned long long)load_relaxed(&slot->id), g->name ? g->name : "", g->name ? ", " : "",
                          name.function ? name.function : "", name.function ? " " : "", place,
                          seat_stack_bytes(class) / 1024, load_relaxed(&found) ? " (found by its canary)" : "", advice);
    if (length < 0 || write(STDERR_FILENO, message, (size_t)length) < 0)
        _exit(134);
    abort();
}

#ifndef SWITCH_ASAN /* which has a better message of its own for a guard */
static struct sigaction segv_before;

#define OVERRUN_BYTES_MAX (1u << 20) /* and no less than an M has on a stack of its own */

/* On aarch64 atomic operations may be small functions of the compiler's, which leave the link register alone. */
static bool is_in_runtime(const ucontext_t *context)
{
#if defined(__x86_64__)
    return owncode_has((uintptr_t)context->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
    return owncode_has((uintptr_t)context->uc_mcontext.pc) || owncode_has((uintptr_t)context->uc_mcontext.regs[30]);
#endif
}

/* A small stack has no guard: what overruns it by far goes through its neighbours until it meets memory that is not
 * there. Returns its G, or NULL when the M does not execute that far below it. */
static struct g *far_below_small_stack(const ucontext_t *context)
{
#if defined(__x86_64__)
    uintptr_t sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    uintptr_t sp = (uintptr_t)context->uc_mcontext.sp;
#endif
    const struct m *m = m_self();
    struct g *g = m ? m->current : NULL;
    if (!g || g->stack_class != STACK_SMALL || m->stack_top - sp < OVERRUN_BYTES_MAX)
        return NULL;
    return (uintptr_t)seat_stack_lo(STACK_SMALL, g->index) - sp - 1 < OVERRUN_BYTES_MAX ? g : NULL;
}

/* A public function does not ask whether it may be called: where it may not, the pointer to the M or to the P is NULL.
 * Returns what is wrong with the caller, or NULL when the fault is another one. */
static const char *caller_without_p(const siginfo_t *info, const void *context)
{
    if (!is_in_runtime(context) || (uintptr_t)info->si_addr >= sizeof(struct p))
        return NULL;
    const struct m *m = m_self();
    if (!m)
        return "on a thread that runs no goroutines";
    return m->call_p ? "inside a blocking call" : NULL;
}

static void tell_of_caller(const char *where)
{
    char message[128];
    int length = snprintf(message, sizeof message, "gmptrace: fatal: a function of the runtime was called %s\n", where);
    if (length < 0 || write(STDERR_FILENO, message, (size_t)length) < 0)
        _exit(134);
    abort();
}

/* Has the fault handled as it would have been. */
static void pass_on(const struct sigaction *before, int signal, siginfo_t *info, void *context)
{
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(signal, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(signal);
    } else {
        struct sigaction plain = { .sa_handler = SIG_DFL };
        sigaction(SIGSEGV, &plain, NULL); /* the access is made again, and ends the program as it would have */
    }
}

static void on_segv(int signal, siginfo_t *info, void *context)
{
    struct g *g = load_acquire(&found);
    if (!g)
        g = seat_of_guard(info->si_addr);
    if (!g)
        g = far_below_small_stack(context);
    if (g)
        tell(g);
    const char *where = caller_without_p(info, context);
    if (where)
        tell_of_caller(where);
    pass_on(&segv_before, signal, info, context);
}

static void watch(void (*handler)(int, siginfo_t *, void *), struct sigaction *before)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, before);
}

void overflow_watch(void) { watch(on_segv, &segv_before); }

/* A program that has forgotten gmpt_run is to be told so. By a handler of its own: one that the program installs may
 * pass faults on to the one before, and will be passed faults by the one of gmpt_run. */
static struct sigaction segv_at_load;

static void on_segv_before_run(int signal, siginfo_t *info, void *context)
{
    if (!load_acquire(&sched.p_made) && is_in_runtime(context) && (uintptr_t)info->si_addr < sizeof(struct p))
        tell_of_caller("before gmpt_run");
    pass_on(&segv_at_load, signal, info, context);
}

static __attribute__((constructor)) void watch_before_run(void) { watch(on_segv_before_run, &segv_at_load); }
#else
void overflow_watch(void) {}
#endif

void overflow_fatal(struct g *g)
{
    store_release(&found, g);
    raise(SIGSEGV);
    tell(g); /* the signal has another handler, or is blocked */
    abort();
}
