/* The Gs and Ps that are there when a recording begins in the midst of things.
 *
 * The recorder reads the registry once tracing is on, and writes what it finds as records of a ring of its own, number
 * ring_count of the segment, at the time from right before tracing was on. A G whose slot says that the epoch has a
 * record of it is left out: the program itself told its state before that record (segment.h). A slot that does not
 * stand still belongs to such a G. So every G that was there is told of once, with a number that fits its next record.
 *
 * Who only looks (look.h) has no epoch, and nobody tells it of a G: one whose slot does not stand still is told of as
 * running, and stacks are those of now, whatever was noted.
 *
 * Stacks that nobody noted are read from the program's memory by the saved frame pointers, with the slot's status as
 * the sequence lock (unwind.h has the argument); nothing is asked of the program. What it has written is not trusted:
 * addresses are only looked at inside the stack that was copied. */
#ifndef GMPT_CENSUS_H
#define GMPT_CENSUS_H

#include "segment.h"
#include "writer.h"

#include <sys/types.h>

struct census;

/* Who knows more of stacks than the frame pointers of Gs that do not run; for who only looks. */
struct census_source {
    /* The G of this slot was looked at before, while its thread stood still: how it was then. False: it was not. */
    bool (*seen)(void *arg, uint32_t slot, struct g_slot *copy, uint64_t *status);
    /* The stack of a G whose slot was like this, innermost first, of at most `room` addresses as they are in a trace;
     * *tid is the thread that runs it, 0 = none. Returns how many, 0 = it is not known. What is read of a G that is
     * not `seen` counts only if its status is the same afterwards. */
    uint32_t (*stack)(void *arg, uint32_t slot, const struct g_slot *copy, uint64_t status, uint64_t *pc, uint32_t room,
                      uint32_t *tid);
    void *arg;
    int64_t now_ns; /* the moment that it is of, on the program's CLOCK_MONOTONIC; 0 = now */
};

/* epoch: 0 = there is none. pid: of the program, to read stacks from; 0 = do not. What is left out is that of the
 * segment's header. The segment must outlive the census. NULL: no memory. */
struct census *census_open(const struct segment *segment, uint32_t epoch, pid_t pid, uint32_t frames_left_out,
                           uint32_t events_left_out);

/* All stacks come from there from now on; those of Gs that neither wait nor are in a call as cpu_sample. */
void census_ask(struct census *census, const struct census_source *source);

/* Puts the next few thousand slots into the writer: stacks, then records, at base_ticks. The first call comes after the
 * epoch has begun. Returns 1 when there are more, 0 when all are
 * done, or -ENOMEM. */
int census_step(struct census *census, struct writer *writer, uint64_t base_ticks);

uint64_t census_records(const struct census *census); /* so far */
void census_close(struct census *census);             /* NULL is allowed */

#endif
