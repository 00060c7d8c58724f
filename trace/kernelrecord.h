/* What the kernel tells of a program's threads, in the form in which all its sources tell it.
 *
 * The problem: our own trace says which G an M ran, but not that the M had no CPU meanwhile. The kernel knows when each
 * thread lost its CPU, why, to whom, and when it got one back; in its own time, in a ring of its own, and only to who
 * may ask. So there are tiers of what is known, and one form for all of them.
 *
 *     kernel  --->  tier (bpf, perf, proc)  --->  struct kernel_record  --->  kernelring.h  --->  events of a ring more
 *                   kernel/kernelside.h           CLOCK_MONOTONIC             ticks               kernel_off, ...
 *
 * A record is about a moment, at_ns: the end of what it tells of. An interval without a CPU is told once, when it is
 * over, so a thread that never runs again is not told of; at the end of a recording some intervals are under way.
 *
 * The time: the kernel's is CLOCK_MONOTONIC in nanoseconds, a trace's are ticks, mostly of the CPU's counter. The
 * recorder reads both clocks at once before each round, and takes only what happened before that; between two such
 * moments both clocks are straight lines, so a record's ticks lie between theirs in proportion, and the reader finds
 * the same nanoseconds again by the clock sections of the file. The error is that of the two readings: half the time
 * that reading both took, which the ring's first record tells (error_ns), plus what the kernel's rate changes within a
 * round, some nanoseconds. Lengths of time are not mapped: they stay the kernel's own nanoseconds.
 *
 * The order: a ring's records are in the order of their times. What comes from several CPUs is brought into it here; a
 * record that comes later than one of a later time, by more than a round, takes the time of the round's beginning. Its
 * lengths stay what they are.
 *
 * Which G: in the tier bpf the thread's own word says it in the very moment (m_word_make). Other tiers do not know, and
 * say so; by the time alone, the reader's own state machine tells which G the M ran.
 *
 * What is lost is counted by whoever lost it, and told as a record, exactly. Nothing of the kernel's memory, and no
 * address in it, gets into a file: its functions are told by their names. */
#ifndef GMPT_KERNELRECORD_H
#define GMPT_KERNELRECORD_H

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stdint.h>

#define KERNEL_WORD_UNKNOWN ((uint64_t)GMPT_KERNEL_NOT_KNOWN)
#define KERNEL_COMM_BYTES 16
#define KERNEL_STACK_MAX 32
#define KERNEL_NAME_MAX 49 /* bytes of a function's name that are told */
#define KERNEL_TID_HIDDEN UINT32_MAX /* a thread of another program, which is not to be told of */
#define KERNEL_TID_INTERRUPT (UINT32_MAX - 1) /* as a waker: no thread, but a timer or a device */

enum kernel_record_type {
    KERNEL_INTERVAL, /* kernel_off, with kernel_by and kernel_stack where they are known */
    KERNEL_USAGE,
    KERNEL_THREAD,
    KERNEL_LOST,
    KERNEL_SAMPLE, /* cpu_sample */
    KERNEL_FAULTS,
};

/* A thread that did something to one of ours. */
struct kernel_other {
    uint32_t tid, pid; /* tid 0 = nobody, or not known */
    uint64_t word;     /* of one of ours (m_word_make); else 0 */
    char comm[KERNEL_COMM_BYTES]; /* "" = not known */
};

struct kernel_record {
    enum kernel_record_type type;
    uint32_t tid;
    uint64_t at_ns; /* 0 = since the round before */
    union {
        struct {
            uint64_t off_ns;   /* for how long it was without a CPU */
            uint64_t queue_ns; /* of that, the part at its end when it could run; or GMPT_KERNEL_NS_NOT_KNOWN */
            uint64_t word;             /* KERNEL_WORD_UNKNOWN = not known */
            enum gmpt_kernel_why why;
            int32_t call; /* the system call; -1 = none, or not known */
            uint64_t argument;
            bool by_known; /* next, most, waker and the CPUs are */
            struct kernel_other next, most, waker; /* most: who had the CPU for most of queue_ns */
            uint32_t cpu_from, cpu_to;
        } interval;
        struct {
            uint64_t span_ns, ran_ns, queue_ns, slices;
        } usage;
        struct {
            bool ended;
        } thread;
        struct {
            enum gmpt_kernel_loss what;
            uint64_t count; /* since it was told last */
        } lost;
        struct {
            uint64_t word, cpu_ns;
        } sample;
        struct {
            uint64_t word, count, address;
        } faults;
    };
    /* Of intervals, samples and faults. */
    uint32_t stack_count; /* 0 = not known */
    uint64_t stack[KERNEL_STACK_MAX]; /* as of a cpu_sample */
    uint32_t kernel_count; /* likewise */
    const char *kernel[KERNEL_STACK_MAX]; /* functions by their names, which live as long as the tier */
};

#endif
