/* What /proc counts of each thread of a process: how long it ran, how long it waited for a CPU, and how often it was
 * given one, as KERNEL_USAGE, KERNEL_LOST and, where nothing else tells of them, KERNEL_THREAD.
 *
 * A figure is about the time since the one before; of a thread that was there at the beginning, since then, and of one
 * that was not, since the look at which it was not there yet, with all that it has done. A look is a read for each
 * thread; one that has done nothing is told of less often.
 *
 * The kernel counts time on a CPU as a timer ticks, or the CPU is taken away, so a figure may be late by a tick of
 * that, and time in its queue as that ends, so a figure may have more of it than time. Over a life both are exact, but
 * for a mistake of the kernel's (6.18 at least): of a thread that is moved to another CPU just after it fell asleep, it
 * counts that sleep as time in a queue. What a thread did after its last figure, nobody knows: each that ended so, or
 * became another by exec(2), is counted (GMPT_KERNEL_LOST_USAGES). One that came and went between two looks is not seen
 * at all. */
#ifndef GMPT_THREADUSAGE_H
#define GMPT_THREADUSAGE_H

#include "kernelside.h"

struct threadusage;

/* Whether this kernel counts. Returns 0, or -errno with *lack filled. */
int threadusage_try(struct kernelside_lack *lack);

/* period_ns: looks are at least so far apart. threads: tell of their starts and ends, too. Returns 0, or -errno with
 * *lack filled. */
int threadusage_open(struct threadusage **usage, pid_t pid, int64_t period_ns, bool threads,
                     struct kernelside_lack *lack);
/* As of struct kernelside_tier. */
int threadusage_poll(struct threadusage *usage, bool last, kernelside_take *take, void *arg);
void threadusage_close(struct threadusage *usage); /* NULL is allowed */

#endif
