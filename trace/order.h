/* One order out of many rings.
 *
 * The problem: each ring of a trace is in order by itself, but nothing says how the records of two rings lie to each
 * other. Their clocks are those of different CPUs, and the recorder reads one ring after the other, so a cause may come
 * later in the file than its effect, and with a later time.
 *
 * Words: a lane is the reader's side of a ring: the records read but not yet given out, the first of which is its head.
 * A part is one events section. A record is explicit when it names a G and its transition number, implied when it is
 * about the lane's current G. A G's number is that of its last transition given out.
 *
 *         lane 0   go_create 7 | go_block ...                 head time 10
 *         lane 1   go_start 7 #2 | go_exit ...                head time  9: not enabled, 7 does not exist yet
 *
 * An explicit record is enabled when its G's number is one less than the record's and the G's state is the one that the
 * transition starts from. All others are enabled always: what they depend on is earlier in their own lane. Of the
 * enabled heads, the one with the earliest time goes first. So time decides only where cause and effect do not.
 *
 * How far to go on: frames are read one by one. Each begins with a clock snapshot that was taken before the rings were
 * drained, so later records of one lane may be there while earlier ones of another come with the next frame. Hence
 * `hold_ticks`: heads after the newest snapshot wait for the next frame. And hence the memory bound: about two frames.
 *
 * When the cause never comes: records may be lost, so an effect may wait in vain. A head that is not enabled and not
 * after `force_ticks` is forced: given out as it is, and its G's state taken from it. Once anything is known to be lost
 * this limit lies `patience_ticks`, more than clocks differ by, before the newest snapshot, or at the one before that:
 * every record up to there that exists has been read. And it is forced as soon as the other lanes are that far ahead,
 * so that time does not step back further. As long as nothing is lost a forced record proves a bug somewhere, so the
 * limit lies seconds back, and the others go on up to it.
 *
 * 1. Records of one lane are given out in the lane's order, each exactly once.
 * 2. Without losses, a record that carries number n of a G comes after the one that made it n - 1.
 * 3. A G's number never goes back: a forced record with an old number is given out but changes nothing.
 * 4. Every call makes progress: it gives a record out, or asks for a frame; at the end it forces what is left.
 * 5. In a recording that began in the midst of things each G that was there has a go_was before any other record of its
 *    lane that names it, with the number before that record's. It is enabled always, and makes the G known, in that
 *    state since the trace's start; one with an older number, or the same, tells nothing new.
 * 6. A lane that skipped something (a hole, a `lost` record, damage) takes its current G from its part's head, at the
 *    time of that head (the sync below), before its next record. So does a lane's first part that does not begin a
 *    trace; when a go_was of that G follows at once, it is left to that.
 * 7. Between a lane's proc_stop and its next proc_start no record of it is by a G or about one.
 * 8. A G has at most one proc_retake for each of its calls that ended without the P, and one for the call that it is
 *    in. It may have fewer: an M that comes back takes its P out of another's call without a word. Which of the two
 *    comes first is open: the monitor takes the P, the G is back, then it says so. So this is an account, made when the
 *    G ends and at the trace's end; not where the recording began in the midst of things.
 * 9. A lane's time never goes back; where it does it is skew.
 * 10. Records that were lost after a ring's last one have no marker: only the trace's end tells of them. What has not
 *    fitted since that last record is excused then.
 * 11. A P has records only of the M that holds it (holders.h), which spins on it only while it runs no G there.
 *
 * Where nothing of all that is in question, which is nearly always, records are given out in runs (orderrun.h).
 *
 * Rejected: sorting by time with a window (a wrong order where clocks differ by more than the work between two
 * records), and waiting without a limit (one lost record would hold its lane to the end of the file). */
#ifndef GMPT_ORDER_H
#define GMPT_ORDER_H

#include "clockmap.h"
#include "events.h"
#include "frames.h"
#include "gtable.h"
#include "holders.h"
#include "laneheap.h"
#include "sections.h"
#include "stackset.h"

struct order_part; /* lane.h */

struct order_lane {
    /* the head */
    uint64_t ticks;
    const uint64_t *field;  /* of a record: all there are until the lane has another head */
    struct gtable_g *named; /* of an explicit record: its G, when it exists; valid once it was found not enabled */
    unsigned code;          /* ORDER_SYNC stands for no record, but for the state in the head of a part */
    int32_t p;
    uint32_t index;

    struct column_reader *reader; /* of the first part, when reading; NULL before the lane's first */
    bool reading;
    struct order_part *first, *last;

    struct gtable_g *current; /* valid while its id is current_id; NULL = none or not known */
    uint64_t current_id;
    uint32_t current_seq; /* its number, as far as this lane knows */
    uint32_t was_seq;     /* of the last go_was */

    uint32_t text_bytes; /* gathered for the next user_log */
    char *text;          /* GMPT_LOG_BYTES_MAX; NULL before the first */

    bool idle;   /* its P was given up, and nobody has taken it since */
    bool seen;   /* a part has been added; next_* are valid */
    bool unsure; /* something may be missing before the next part */
    uint64_t lost;                 /* by its markers, so far */
    uint64_t lost_at_end;          /* by the trace's end */
    uint64_t stood_at_ticks;       /* the head's time, as a violation was counted last, */
    uint64_t stood_for_violations; /* and how many have been since it came there */
    uint64_t next_sequence;
    uint64_t next_offset;
};
#define ORDER_SYNC 0

struct order {
    struct laneheap heap;                          /* lanes whose head may be enabled */
    struct order_lane *blocked[SECTION_RINGS_MAX]; /* lanes whose head is not */
    uint32_t blocked_count;
    /* Nothing but the first lane's head decides what comes next, if that is before this: the end of hold_ticks while no
     * lane is blocked. 0 at other times, or when it is not known, as after each change of hold_ticks. */
    uint64_t plain_ticks;
    uint64_t hold_ticks, force_ticks, patience_ticks;
    bool excused;          /* something is missing: what does not fit is no bug */
    bool attached;         /* the recording began in the midst of things: go_was tells what there was */
    uint32_t damaged;      /* places of the file that could not be read */
    uint64_t markers;      /* `lost` records given out */
    int64_t retakes;       /* of Gs that are not known, or gone: retakes minus returns without the P */
    struct gmpt_trace_error violation; /* the first of counts.violations */
    struct gtable_g *dead; /* ended with the last record given out */
    int failed;            /* what is returned instead of the next record, or 0 */
    struct gtable gs;
    uint32_t log_bytes; /* of the last user_log given out */
    char log_text[GMPT_LOG_BYTES_MAX + 1];
    struct holders holders;
    uint64_t buffered_bytes; /* of the frames that lanes still need */
    struct order_part *free_parts;
    struct gmpt_trace_counts counts;
    uint32_t p_count;
    uint32_t lane_count; /* lanes from this one on have nothing */

    struct clockmap *clocks;
    const struct stackset *stacks;
    const struct event_schema *schema;
    struct gmpt_trace_error *error;
    int (*more)(void *arg); /* see order_init */
    void *more_arg;

    struct order_lane lane[SECTION_RINGS_MAX];
};

/* Zeroes *order and attaches what it uses; p_count, 0 until then, is set by the caller once it is known. more is called
 * when nothing can be given out: it returns 1 when it has added a frame, said that there is none, or changed how far to
 * go, and else what order_next is to return, at the end 0. */
void order_init(struct order *order, struct clockmap *clocks, const struct stackset *stacks,
                const struct event_schema *schema, struct gmpt_trace_error *error, int (*more)(void *arg), void *arg);
void order_clear(struct order *order);

/* Adds an events section of a frame, which is kept until its records have been given out. Returns 0 or -ENOMEM. */
int order_add(struct order *order, const struct section_events *events, struct frame *frame);
/* Something is missing here, nobody knows of which rings. */
void order_damage(struct order *order);
/* No more will be added: give out everything. excused: the file is not whole. */
void order_finish(struct order *order, bool excused);

/* Returns 1, or what more returned, or -ENOMEM, or -EPROTO with the error filled when the file has more Gs than can
 * be. */
int order_next(struct order *order, struct gmpt_event *event);
/* The same for as many as there is room for, or fewer: returns how many. What is known of Gs is then as of the last of
 * them; but until then nothing has changed of that except states, what Gs wait for, and which there are: an event that
 * tells of anything else than these, Ms and Ps comes alone. */
int order_next_batch(struct order *order, struct gmpt_event *events, int room);

/* The earliest time at which the last part of a lane begins: up to there, lanes with more to come have come. */
uint64_t order_watermark(const struct order *order);

/* Where in the file the frame with the lane's head is; -1 = not known. */
int64_t order_head_offset(const struct order_lane *lane);

uint64_t order_g_count(const struct order *order);

#endif
