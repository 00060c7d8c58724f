/* The context switch, and the only place that tells sanitizers and Valgrind of it.
 *
 * A context that is not running is one word, its stack pointer; the callee-saved registers lie on its stack, in the
 * order that switch_x86_64.S pushes them:
 *
 *     sp ->  r15 r14 r13 r12 rbx rbp  resume address
 *
 * The floating point control words are the thread's and not saved. */
#ifndef GMPT_SWITCH_H
#define GMPT_SWITCH_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define SWITCH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SWITCH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define SWITCH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SWITCH_TSAN 1
#endif
#endif

#ifdef SWITCH_ASAN
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef SWITCH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

struct context {
    void *sp;
#ifdef SWITCH_ASAN
    const void *stack_bottom;
    size_t stack_bytes;
    void *fake_stack;
#endif
#ifdef SWITCH_TSAN
    void *fiber;
#endif
};

/* Saves the running context in *save and goes on with the one at sp; returns when somebody switches back. */
void switch_stacks(void **save, void *sp);

/* Where a fresh context begins: calls begin(), then fn(args), then end(), which does not return. fn and args
 * come in r13 and r12. */
void switch_entry(void);
void switch_entry_begin(void); /* in scheduler.c */
void switch_entry_end(void);

/* Lays out a fresh context whose stack ends at top (16-byte aligned), for fn(args). */
static inline void *switch_prepare(void *top, void (*fn)(void *), void *args)
{
    void **sp = top;
    *--sp = NULL; /* keeps the stack aligned to 16 where switch_entry calls */
    *--sp = NULL; /* where a return address would be: stops unwinders that have no CFI */
    *--sp = (void *)switch_entry;
    *--sp = NULL; /* rbp: the end of the frame chain */
    *--sp = NULL; /* rbx */
    *--sp = args;       /* r12 */
    *--sp = (void *)fn; /* r13 */
    *--sp = NULL; /* r14 */
    *--sp = NULL; /* r15 */
    return sp;
}

static inline void switch_created(struct context *context, void *stack_lo, size_t stack_bytes)
{
    (void)context, (void)stack_lo, (void)stack_bytes;
#ifdef SWITCH_ASAN
    context->stack_bottom = stack_lo;
    context->stack_bytes = stack_bytes;
    context->fake_stack = NULL;
#endif
#ifdef SWITCH_TSAN
    context->fiber = __tsan_create_fiber(0);
#endif
}

/* After the last switch away from the context. */
static inline void switch_destroyed(struct context *context)
{
    (void)context;
#ifdef SWITCH_TSAN
    __tsan_destroy_fiber(context->fiber);
#endif
}

/* The calling thread's own stack becomes a context. */
static inline void switch_adopt_thread(struct context *context)
{
    (void)context;
#ifdef SWITCH_ASAN
    pthread_attr_t attributes;
    void *bottom = NULL;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &bottom, &context->stack_bytes);
        pthread_attr_destroy(&attributes);
    }
    context->stack_bottom = bottom;
#endif
#ifdef SWITCH_TSAN
    context->fiber = __tsan_get_current_fiber();
#endif
}

/* The first thing on a stack that was switched to. */
static inline void switch_arrived(struct context *self)
{
    (void)self;
#ifdef SWITCH_ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
}

/* Leaves from for to. dying: from will never be switched to again. */
static inline void switch_context(struct context *from, struct context *to, int dying)
{
    (void)dying;
#ifdef SWITCH_ASAN
    __sanitizer_start_switch_fiber(dying ? NULL : &from->fake_stack, to->stack_bottom, to->stack_bytes);
#endif
#ifdef SWITCH_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    switch_stacks(&from->sp, to->sp);
}

#endif
