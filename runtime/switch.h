/* The context switch, and the only place that tells sanitizers of it (Valgrind: memcheck.h).
 *
 * A context that is not running is one word, its stack pointer, below which nothing of it lies:
 *
 *     sp ->  resume address, frame pointer (rbp, x29), ...
 *
 * The switch is inline: the compiler saves what it needs of the other registers, which at most places is nothing. It
 * leaves by a jump, since the return predictor could only guess where to go, and it was not entered by a call, since
 * that would leave the predictor one entry ahead and make every return after it a wrong guess (four of them cost
 * 25 ns). The floating point control words are the thread's and are not saved.
 *
 * On aarch64 the same holds. A resume address is marked as the target of a jump (bti j), for programs that are built
 * with branch protection; signed return addresses stay valid, since they are signed with the place they lie at. */
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
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
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

/* Where a fresh context begins: calls switch_entry_begin(), then fn(args), then switch_entry_end(), which does not
 * return. In switch_x86_64.S and switch_aarch64.S. */
void switch_entry(void);
void switch_entry_begin(void); /* in scheduler.c */
void switch_entry_end(void);

/* Lays out a fresh context whose stack ends at top (16-byte aligned), for fn(args). */
static inline void *switch_prepare(void *top, void (*fn)(void *), void *args)
{
    void **sp = top;
#if defined(__x86_64__)
    *--sp = NULL; /* where a return address would be: stops unwinders that have no CFI */
#endif
    *--sp = args;
    *--sp = (void *)fn;
    *--sp = NULL; /* frame pointer: the end of the frame chain */
    *--sp = (void *)switch_entry;
    return sp;
}

/* Registers that a compiler may use only where it is told of the machine that has them. */
#if defined(__AVX512F__)
#define SWITCH_CLOBBERS_WIDE                                                                                          \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",     \
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#elif defined(__ARM_FEATURE_SVE)
#define SWITCH_CLOBBERS_WIDE                                                                                          \
    , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15"
#else
#define SWITCH_CLOBBERS_WIDE
#endif

/* Saves the running context in *save and goes on with the one at sp; comes back when somebody switches to *save. */
static inline __attribute__((always_inline)) void switch_stacks(void **save, void *sp)
{
#if defined(__x86_64__)
    /* 128: the compiler may keep values in the red zone below rsp. */
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "pushq %%rbp\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq %%rsi, %%rsp\n\t"
                     "popq %%rax\n\t"
                     "popq %%rbp\n\t"
                     "jmpq *%%rax\n"
                     "1:\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "+D"(save), "+S"(sp)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" SWITCH_CLOBBERS_WIDE);
#elif defined(__aarch64__)
    /* There is no red zone, and the stack pointer stays a multiple of 16. */
    register void **save_in __asm__("x0") = save;
    register void *sp_in __asm__("x1") = sp;
    __asm__ volatile("adr x16, 1f\n\t"
                     "stp x16, x29, [sp, #-16]!\n\t"
                     "mov x17, sp\n\t"
                     "str x17, [x0]\n\t"
                     "mov sp, x1\n\t"
                     "ldp x16, x29, [sp], #16\n\t"
                     "br x16\n"
                     "1:\n\t"
                     "hint #36" /* bti j */
                     : "+r"(save_in), "+r"(sp_in)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
                       "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30",
                       "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12",
                       "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",
                       "v27", "v28", "v29", "v30", "v31" SWITCH_CLOBBERS_WIDE);
#else
#error "gmptrace runs on x86-64 and aarch64 only"
#endif
}

/* Memory of the runtime's own that holds pointers into the heap. */
static inline void switch_roots_made(void *base, size_t bytes)
{
    (void)base, (void)bytes;
#ifdef SWITCH_ASAN
    __lsan_register_root_region(base, bytes);
#endif
}

/* Calls fn(arg) on the stack of a context that is not running, below all of it, for what needs more stack than the
 * caller's has. fn must not switch. In the caller, whose frame pointer stays, unwinders find their way back. */
static inline __attribute__((always_inline)) void switch_call_on(const struct context *context, void (*fn)(void *),
                                                                 void *arg)
{
    uintptr_t sp = (uintptr_t)context->sp & ~(uintptr_t)15;
#if defined(__x86_64__)
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %%rdx, %%rsp\n\t"
                     "callq *%%rax\n\t"
                     "movq %%rbx, %%rsp"
                     : "+D"(arg), "+d"(sp), "+a"(fn)
                     :
                     : "rbx", "rcx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3",
                       "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15" SWITCH_CLOBBERS_WIDE);
#elif defined(__aarch64__)
    register void *arg_in __asm__("x0") = arg;
    register uintptr_t sp_in __asm__("x1") = sp;
    register void (*fn_in)(void *) __asm__("x2") = fn;
    __asm__ volatile("mov x20, sp\n\t"
                     "mov sp, x1\n\t"
                     "blr x2\n\t"
                     "mov sp, x20"
                     : "+r"(arg_in), "+r"(sp_in), "+r"(fn_in)
                     :
                     : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
                       "x18", "x20", "x30", "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9",
                       "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23",
                       "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31" SWITCH_CLOBBERS_WIDE);
#endif
}

/* context->sp is set. */
static inline void switch_created(struct context *context, void *stack_lo, size_t stack_bytes)
{
    (void)context, (void)stack_lo, (void)stack_bytes;
#ifdef SWITCH_ASAN
    context->stack_bottom = stack_lo;
    context->stack_bytes = stack_bytes;
    context->fake_stack = NULL;
    __asan_unpoison_memory_region(stack_lo, stack_bytes); /* the last user's frames were left, not returned from */
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
    self->sp = NULL; /* W1 of unwind.h: in use */
#ifdef SWITCH_ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
}

/* Clears what the context that ran before has left in registers. Whoever then runs here for long would keep it there,
 * or where the compiler saves it, and a proof of leaks would take what it finds for the program's. */
static inline __attribute__((always_inline)) void switch_forget(void)
{
#if defined(__x86_64__)
    __asm__ volatile("xorl %%ebx, %%ebx\n\txorl %%r12d, %%r12d\n\txorl %%r13d, %%r13d\n\t"
                     "xorl %%r14d, %%r14d\n\txorl %%r15d, %%r15d\n\tpxor %%xmm0, %%xmm0\n\t"
                     "pxor %%xmm1, %%xmm1\n\tpxor %%xmm2, %%xmm2\n\tpxor %%xmm3, %%xmm3\n\t"
                     "pxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\tpxor %%xmm6, %%xmm6\n\t"
                     "pxor %%xmm7, %%xmm7\n\tpxor %%xmm8, %%xmm8\n\tpxor %%xmm9, %%xmm9\n\t"
                     "pxor %%xmm10, %%xmm10\n\tpxor %%xmm11, %%xmm11\n\tpxor %%xmm12, %%xmm12\n\t"
                     "pxor %%xmm13, %%xmm13\n\tpxor %%xmm14, %%xmm14\n\tpxor %%xmm15, %%xmm15"
                     :
                     :
                     : "rbx", "r12", "r13", "r14", "r15", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#elif defined(__aarch64__)
    __asm__ volatile("mov x19, xzr\n\tmov x20, xzr\n\tmov x21, xzr\n\tmov x22, xzr\n\tmov x23, xzr\n\t"
                     "mov x24, xzr\n\tmov x25, xzr\n\tmov x26, xzr\n\tmov x27, xzr\n\tmov x28, xzr\n\t"
                     "movi v0.16b, #0\n\tmovi v1.16b, #0\n\tmovi v2.16b, #0\n\tmovi v3.16b, #0\n\t"
                     "movi v4.16b, #0\n\tmovi v5.16b, #0\n\tmovi v6.16b, #0\n\tmovi v7.16b, #0"
                     :
                     :
                     : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "v0", "v1", "v2", "v3",
                       "v4", "v5", "v6", "v7");
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
    /* 0: what runs after a switch is ordered after what ran before it. The runtime's own data on an M are handed over
     * so; the price is that a race between two Gs shows only when they run on two Ms. */
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    switch_stacks(&from->sp, to->sp);
}

#endif
