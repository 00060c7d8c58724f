/* Watching a program's threads from the kernel: an interval each time that one was not on a CPU, with the G that it
 * ran.
 *
 *     offcpu_open -> offcpu_load -> offcpu_attach -> offcpu_aim -> offcpu_poll ... -> offcpu_close
 *
 * Loading and attaching takes CAP_BPF and CAP_PERFMON, aiming and reading takes nothing, so capabilities can be
 * dropped after offcpu_attach. Nothing is left behind when the process ends, however it does. One thread at a time may
 * use a watch; there may be several of them, and several of one program.
 *
 * It takes Linux 5.15 or later, with BTF. */
#ifndef GMPT_OFFCPU_H
#define GMPT_OFFCPU_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "offcpu_record.h"

struct offcpu_target {
    pid_t pid; /* as the first pid namespace has it */
    /* Where the words of its threads lie, as the header of its segment has it; m_word_offset 0 = there are none. */
    int64_t thread_m_offset;
    uint32_t m_word_offset;
    uint64_t words_at; /* where it has mapped offcpu_words; 0 = it has not */
};

struct offcpu;

struct offcpu_options {
    uint64_t kernel_stack_ns; /* with an interval of this length or more comes the stack in the kernel; 0 = with none */
    uint32_t sample_hz;       /* so often a second offcpu_sample has each CPU looked at; 0 = there is no such thing */
};

/* Returns 0, or -errno with nothing left open. */
int offcpu_open(struct offcpu **offcpu, const struct offcpu_options *options);
/* Returns 0 or -errno: -EPERM without the capabilities; gmptrace doctor tells the causes apart. */
int offcpu_load(struct offcpu *offcpu);
/* Returns 0 or -errno. */
int offcpu_attach(struct offcpu *offcpu);
/* After offcpu_load: a map that the program may have in its memory for the words of its threads, OFFCPU_WORDS of struct
 * offcpu_word and nothing else. They are then read without a look into that program. */
int offcpu_words(const struct offcpu *offcpu);
/* If it was opened to sample, after offcpu_attach: takes CAP_PERFMON. Returns 0 or -errno; what was attached stays. */
int offcpu_sample(struct offcpu *offcpu);
/* From here on it watches this program; once. */
void offcpu_aim(struct offcpu *offcpu, const struct offcpu_target *target);

/* stacked is NULL, or the record with stacks that this one is of. */
typedef int offcpu_take(const struct offcpu_record *record, const struct offcpu_stacked *stacked, void *arg);

/* How far off CLOCK_MONOTONIC the times of intervals may be. */
int64_t offcpu_error_ns(const struct offcpu *offcpu);
/* Whether it tells of page faults: not all kernels have that tracepoint. */
bool offcpu_tells_faults(const struct offcpu *offcpu);

/* Hands all records that have come to fn, oldest first within a CPU, but those with stacks before the others, until it
 * returns other than 0. Does not wait: up to 8 CPUs have room for 32768 intervals each, more for 8192, which is 27 ms
 * of 300,000 switches a second. Returns 0, or what fn returned, or -errno. */
int offcpu_poll(struct offcpu *offcpu, offcpu_take *fn, void *arg);
/* After the last one: page faults that no record told of yet. Returns as offcpu_poll. */
int offcpu_finish(struct offcpu *offcpu, offcpu_take *fn, void *arg);

/* Since offcpu_load. */
void offcpu_counts_read(const struct offcpu *offcpu, struct offcpu_counts *counts);

/* Ends it, at any stage; NULL is nothing. What was not polled is gone. */
void offcpu_close(struct offcpu *offcpu);

#endif
