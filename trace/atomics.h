/* The one file that includes <stdatomic.h>: atomic operations with the memory order in the name.
 *
 * No operation defaults to sequential consistency; `full_fence` is the only one that orders a store before a later
 * load, and each use of it names the use that it pairs with. Orders are C11's, not one processor's: on
 * aarch64 a read-modify-write is no fence, a release keeps nothing of what comes after it, and an acquire nothing of
 * what comes before. Built with -DGMPT_FORCE_YIELD every operation may give
 * the CPU away first, to widen the windows in which a protocol can go wrong. */
#ifndef GMPT_ATOMICS_H
#define GMPT_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef GMPT_FORCE_YIELD
void atomics_maybe_yield(void);
#else
static inline void atomics_maybe_yield(void) {}
#endif

#define ATOMIC(type) _Atomic(type)

#define load_relaxed(p) (atomics_maybe_yield(), atomic_load_explicit((p), memory_order_relaxed))
#define load_acquire(p) (atomics_maybe_yield(), atomic_load_explicit((p), memory_order_acquire))
#define store_relaxed(p, v) (atomics_maybe_yield(), atomic_store_explicit((p), (v), memory_order_relaxed))
#define store_release(p, v) (atomics_maybe_yield(), atomic_store_explicit((p), (v), memory_order_release))
#define exchange_acq_rel(p, v) (atomics_maybe_yield(), atomic_exchange_explicit((p), (v), memory_order_acq_rel))
#define fetch_add_relaxed(p, v) (atomics_maybe_yield(), atomic_fetch_add_explicit((p), (v), memory_order_relaxed))
#define fetch_add_acq_rel(p, v) (atomics_maybe_yield(), atomic_fetch_add_explicit((p), (v), memory_order_acq_rel))
#define fetch_and_acq_rel(p, v) (atomics_maybe_yield(), atomic_fetch_and_explicit((p), (v), memory_order_acq_rel))
#define fetch_or_acq_rel(p, v) (atomics_maybe_yield(), atomic_fetch_or_explicit((p), (v), memory_order_acq_rel))
#define fetch_sub_acq_rel(p, v) (atomics_maybe_yield(), atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel))

/* Compare and swap; on failure *expected holds what was there, read with the weaker order of the pair. */
#define cas_acquire(p, expected, v)                                                                                    \
    (atomics_maybe_yield(),                                                                                            \
     atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire, memory_order_relaxed))
#define cas_release(p, expected, v)                                                                                    \
    (atomics_maybe_yield(),                                                                                            \
     atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_release, memory_order_relaxed))
#define cas_acq_rel(p, expected, v)                                                                                    \
    (atomics_maybe_yield(),                                                                                            \
     atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, memory_order_acquire))

#if defined(__SANITIZE_THREAD__)
#define ATOMICS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ATOMICS_TSAN 1
#endif
#endif

/* ThreadSanitizer does not model fences: there they are read-modify-writes of a word that all of them share. */
static inline void atomics_fence(memory_order order)
{
#ifdef ATOMICS_TSAN
    extern _Atomic(int) atomics_fence_word;
    (void)order;
    atomic_fetch_add_explicit(&atomics_fence_word, 1, memory_order_seq_cst);
#else
    atomic_thread_fence(order);
#endif
}

/* Orders every earlier access before every later one, stores before loads included. */
static inline void full_fence(void)
{
    atomics_maybe_yield();
    atomics_fence(memory_order_seq_cst);
}

/* The same right after a read-modify-write, which on x86 already is a full barrier for the processor. */
static inline void full_fence_after_rmw(void)
{
#if (defined(__x86_64__) || defined(__i386__)) && !defined(ATOMICS_TSAN)
    atomics_maybe_yield();
    atomic_signal_fence(memory_order_seq_cst);
#else
    full_fence();
#endif
}

/* Keeps the compiler, and nothing else, from moving accesses across. */
static inline void compiler_fence(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

/* Orders earlier loads before later loads, as a seqlock's reader needs before it checks the word again. */
static inline void load_fence(void)
{
    atomics_fence(memory_order_acquire);
}

/* Orders earlier stores before later stores, as a seqlock's writer needs once it has changed the word: a release store
 * keeps back what comes before it, and nothing of what comes after. No instruction on x86. */
static inline void store_fence(void)
{
#ifdef ATOMICS_TSAN
    compiler_fence(); /* a word that all share would order everything, and hide every other race */
#else
    atomics_fence(memory_order_release);
#endif
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
