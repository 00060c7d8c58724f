/* The producer's side of a ring: appends records to its sub-buffers in the shared segment, and interns stacks.
 *
 * One producer at a time: whoever holds the P (or the no-P ring's lock) owns the struct ring; its hand-over is ordered
 * by the hand-over of the P. One consumer, in another process, which reads what is committed and moves `consumed`.
 *
 * | word             | writer   | reader   | order   | pairs with                                                  |
 * |------------------|----------|----------|---------|-------------------------------------------------------------|
 * | subbuffer.commit | producer | consumer | release | A: the bytes of a record are there before it counts          |
 * | control.opened   | producer | consumer | release | B: a sub-buffer's head is there before the sub-buffer        |
 * | control.consumed | consumer | producer | acquire | C: the consumer has it in its file before the producer writes |
 * | control.stacks_* | producer | consumer | release | D: a stack is in its table before a record that names it     |
 *
 * A record is committed by one store of A, which carries both the length and the number of records; killing the
 * program at any instruction leaves whole records and a right count. When the ring is full the newest record is
 * dropped and counted; the next that finds room writes a `lost` record first. */
#ifndef GMPT_RING_H
#define GMPT_RING_H

#include "leb.h"
#include "segment.h"

#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define RING_FIELDS_MAX 6
#define RING_RECORD_MAX (1 + LEB_MAX_BYTES * (1 + RING_FIELDS_MAX))
#define RING_STACK_SLOTS 32768u /* in a ring's hash table; half of them may be in use */

struct ring {
    uint8_t *position;      /* where the next record goes */
    uint8_t *limit;         /* while position <= limit a largest record fits */
    struct subbuffer *open; /* NULL before the first */
    uint64_t last_ticks;
    uint64_t count; /* records in `open` */

    struct segment *segment;
    struct segment_ring *control;
    uint32_t index;
    uint64_t opened;
    uint64_t lost;                              /* in all */
    uint64_t lost_pending;                      /* of these, not yet told by a `lost` record */
    uint64_t lost_first_ticks, lost_last_ticks; /* of the pending ones */
    uint32_t epoch;                             /* of the next record; see segment.h */

    /* Tells who runs on the P as a sub-buffer begins; may be NULL. */
    void (*describe)(const struct ring *ring, struct subbuffer *head);

    uint64_t *stack_words; /* this ring's table */
    uint32_t *stack_index; /* word offset + 1 of an entry, 0 = free; process memory, made at the first stack */
    uint32_t stack_count;
    uint64_t stack_used;
    uint32_t *stack_ordinals;
};

static inline uint64_t ring_ticks(enum segment_clock clock)
{
#if defined(__x86_64__)
    if (__builtin_expect(clock == SEGMENT_CLOCK_TSC, 1))
        return __rdtsc();
#else
    (void)clock; /* always the other one: aarch64's counter is what that reads, too, and no finer */
#endif
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void ring_init(struct ring *ring, struct segment *segment, uint32_t index);
void ring_destroy(struct ring *ring); /* frees process memory; the segment is left alone */

/* The next record belongs to another epoch: it begins a sub-buffer. When the recording is another one, too, what was
 * lost since the last record stays in the counters, and no marker tells of it. */
void ring_turn(struct ring *ring, uint32_t epoch, bool continues);

/* Begins a sub-buffer. Returns false, and counts a loss, when the consumer has left no room. */
bool ring_advance(struct ring *ring, uint64_t ticks);

/* Touches every page of the ring, so that emitting does not fault. */
void ring_prefault(struct ring *ring);

/* Whether the next record has room. */
static inline bool ring_is_roomy(const struct ring *ring) { return ring->position <= ring->limit; }

/* The code and the time of a record that has room. Returns where its fields go. */
static inline __attribute__((always_inline)) uint8_t *ring_begin_roomy(struct ring *ring, uint8_t code, uint64_t ticks)
{
    /* A P's next M may sit on a CPU whose counter is a few ticks behind. */
    uint64_t delta = ticks > ring->last_ticks ? ticks - ring->last_ticks : 0;
    ring->last_ticks += delta;
    uint8_t *p = ring->position;
    *p++ = code;
    return leb_put(p, delta);
}

/* The same for any record; NULL when there is no room. */
static inline __attribute__((always_inline)) uint8_t *ring_begin(struct ring *ring, uint8_t code, uint64_t ticks)
{
    if (__builtin_expect(!ring_is_roomy(ring), 0) && !ring_advance(ring, ticks))
        return NULL;
    return ring_begin_roomy(ring, code, ticks);
}

/* The record ends at p, and counts. */
static inline __attribute__((always_inline)) void ring_commit(struct ring *ring, uint8_t *p)
{
    ring->position = p;
    ring->count++;
    uint64_t bytes = (uint64_t)(p - (uint8_t *)(ring->open + 1));
    store_release(&ring->open->commit, ring->count << 32 | bytes); /* A */
}

/* The fields, from p on, and the end of a record that has been begun; count is a constant at every call. */
static inline __attribute__((always_inline)) void ring_finish(struct ring *ring, uint8_t *p, int count, uint64_t a,
                                                              uint64_t b, uint64_t c, uint64_t d)
{
    if (count > 0)
        p = leb_put(p, a);
    if (count > 1)
        p = leb_put(p, b);
    if (count > 2)
        p = leb_put(p, c);
    if (count > 3)
        p = leb_put(p, d);
    ring_commit(ring, p);
}

/* Appends a record with this code and count fields. */
static inline __attribute__((always_inline)) void ring_emit(struct ring *ring, uint8_t code, uint64_t ticks, int count,
                                                            uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint8_t *p = ring_begin(ring, code, ticks);
    if (__builtin_expect(p != NULL, 1))
        ring_finish(ring, p, count, a, b, c, d);
}

/* The same for the rarer records that have more. */
void ring_emit_fields(struct ring *ring, uint8_t code, uint64_t ticks, const uint64_t *fields, int count);

/* The ordinal of a stack in this ring's table, entering it if it is new; 0 when the table is full. */
uint32_t ring_stack(struct ring *ring, const uint64_t *pc, uint32_t count);

#endif
