/* The ring of a file that has what the kernel tells: records in kernel time become events in ticks, in order.
 *
 * It is the recorder's, so nothing is lost here but for want of memory. A round: kernelring_take each record that has
 * come, then kernelring_round with the clocks of the round's beginning and of the one before; when a frame is due,
 * kernelring_put. See kernelrecord.h for what becomes of the times. */
#ifndef GMPT_KERNELRING_H
#define GMPT_KERNELRING_H

#include "kernelrecord.h"
#include "writer.h"

#include <stdbool.h>
#include <stdint.h>

struct kernelring;

/* ring: its number in the file. others: of kernel_tier; without it threads of other programs than pid are hidden. NULL
 * with errno ENOMEM. */
struct kernelring *kernelring_open(uint32_t ring, enum gmpt_kernel_tier tier, uint32_t pid, bool others);
void kernelring_close(struct kernelring *kernelring); /* NULL is allowed */

/* Stacks, tasks and the tier will be told again: what follows stands without what was before it. With `file` it is
 * another file, which has nothing of the ring so far. */
void kernelring_begin(struct kernelring *kernelring, bool file);

int kernelring_take(struct kernelring *kernelring, const struct kernel_record *record); /* 0 or -ENOMEM */

/* Makes events of all that was taken and was not after `to`; what was before `from` counts as of then. error_ns: how
 * far off both clocks may be. Returns 0 or -ENOMEM. */
int kernelring_round(struct kernelring *kernelring, const struct writer_clock *from, const struct writer_clock *to,
                     int64_t error_ns);
/* The last round of a file is over: what came after it counts as of then, and how large the error was is told. Returns
 * 0 or -ENOMEM. */
int kernelring_finish(struct kernelring *kernelring);

size_t kernelring_pending(const struct kernelring *kernelring); /* bytes of events that wait for kernelring_put */
void kernelring_put(struct kernelring *kernelring, struct writer *writer);
/* In the file by now, with what waits: for its end section. */
uint64_t kernelring_events(const struct kernelring *kernelring);

#endif
