/* The consumer's side of a segment: takes committed records out of the rings, checks them, and hands them to a writer.
 *
 * The drain trusts nothing that the target writes. It copies first and checks the copy; what does not hold together is
 * left out, counted as damage and described, and the drain goes on with the next sub-buffer. Its own memory is one
 * batch of a fixed size, whatever the segment claims.
 *
 * A round: drain_begin fixes how far each ring will be read, drain_collect fills the batch until it is full or the
 * round is done, drain_write empties the batch. Stacks, names and modules are read in drain_write, after the records
 * that name them, and written before them.
 *
 * Only what has been written is given back to the target: the recorder may die at any instruction, and what it had
 * taken but not written is then still in the rings, for recovery.h. */
#ifndef GMPT_DRAIN_H
#define GMPT_DRAIN_H

#include "segment.h"
#include "writer.h"

#include <stdbool.h>
#include <stdint.h>

#define DRAIN_BATCH_USUAL_BYTES (256u << 10) /* a batch becomes a frame, and what is cut off is lost by the frame */
#define DRAIN_BATCH_BYTES (1u << 20)         /* its room; used when the rings are crowded, to empty them sooner */

struct drain;

struct drain_counts {
    uint64_t kept;    /* records taken over, `lost` markers not among them */
    uint64_t lost;    /* records that found no room, by the rings' own counters */
    uint64_t marked;  /* the part of `lost` that markers told; the rest had no success after it */
    uint64_t dropped; /* records that were committed but do not hold together */
    uint64_t damaged; /* places that do not hold together */
};

/* For the records of this epoch; earlier ones are passed over, and where a later one begins, a ring has ended. Begins
 * where the segment's last consumer stopped, or, from_now, with what comes from now on, as is right before the epoch
 * begins: the rings are empty for it then. The segment, which segment_open has checked, must outlive the drain. NULL
 * with errno ENOMEM. */
struct drain *drain_open(const struct segment *segment, uint32_t epoch, bool from_now);
void drain_close(struct drain *drain);

/* Once a round is done and its batch written: goes on with the epoch that follows, where this one's records end in each
 * ring. All counts begin anew, and stacks, names and modules will be written again; drain_damage keeps its sentence
 * until there is another. */
void drain_turn(struct drain *drain, uint32_t epoch);

/* How far a file has a ring already, by the events sections in it. */
struct drain_place {
    bool known;        /* it has some of it */
    uint64_t sequence; /* of the last sub-buffer of which it has records */
    uint64_t offset;   /* in which they end there */
    uint64_t kept, marked;
    uint32_t stacks; /* the stacks of its table up to this one are there */
};

/* Right after drain_open: the file has the rings up to these places (ring_count of them) and so many entries of the
 * dictionary, so the drain goes on from there. Nothing is given back, so that it can be done again. Returns 0, or
 * -EPROTO when the places cannot be in this segment. */
int drain_resume(struct drain *drain, const struct drain_place *places, uint32_t names);

/* The recording goes on in this epoch, which has just begun: records of both are taken from now on. */
void drain_continue(struct drain *drain, uint32_t epoch);
/* drain_write leaves out stacks, names and modules: the segment keeps them, for another drain that reads just these. */
void drain_leave_tables(struct drain *drain);

/* Rounds from the next one on take no record that is later than this; UINT64_MAX, as at first: all. When the time is
 * that of a moment before the round, the rounds up to it have no effect without its cause: a record that the round
 * misses was not committed at that moment, and what depends on it came later. */
void drain_until(struct drain *drain, uint64_t ticks);

/* Starts a round: what has been committed by now will be read. Call it after the round before is done. */
void drain_begin(struct drain *drain);
/* Returns true when the round is done, false when the batch is full: call drain_write, then this again. */
bool drain_collect(struct drain *drain);

/* The batch, part by part; NULL after the last. Valid until the next call that changes the drain. */
const struct writer_events *drain_part(struct drain *drain, uint32_t index);
size_t drain_pending(const struct drain *drain); /* bytes of records in the batch */
bool drain_crowded(const struct drain *drain);   /* as the round began, a ring was more than a quarter full */
bool drain_holds_much(const struct drain *drain); /* a quarter of a ring can be given back once it is written */
uint64_t drain_last_ticks(const struct drain *drain); /* the time of the latest record so far, 0 = there was none */

/* Writes clock, new stacks, new modules and the batch as one frame (more, should they not fit, and one for each epoch,
 * which is its tag). clock is a snapshot
 * from before the start of the last round that is done. Returns 0 or the writer's -errno; the batch is empty then. */
int drain_write(struct drain *drain, struct writer *writer, const struct writer_clock *clock);

/* The account of each ring for writer_put_end: ends has segment->ring_count elements. emitted is what was kept, lost
 * and dropped together. */
void drain_ends(struct drain *drain, struct writer_ring_end *ends);

struct drain_counts drain_counts(const struct drain *drain);
const char *drain_damage(const struct drain *drain); /* a sentence about the first damage, "" when there was none */

#endif
