/* Leaked goroutines, grouped: what every form of a leak report is printed from, whatever it was found in.
 *
 * A report outlives the traces and processes that it was filled from: it has copies of all names. Gs are of one group
 * when they were started at the same lines, wait at the same lines for the same kind of thing, and are judged alike, in
 * whichever process of a run they were. Each finding that is added is either a single G or several alike ones. */
#ifndef GMPT_LEAKREPORT_H
#define GMPT_LEAKREPORT_H

#include "place.h"

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The worst first. */
enum leak_kind {
    LEAK_PROVEN,  /* nothing that is alive can ever reach what it waits for */
    LEAK_CYCLE,   /* their owners wait for each other */
    LEAK_GROWING, /* ever more wait at one place */
    LEAK_STUCK,   /* waits for longer than a limit */
    LEAK_RUNAWAY, /* runs without end */
    LEAK_KINDS
};

#define LEAK_FINGERPRINT_BYTES 24
#define LEAK_KIND_BIT(kind) (1u << (kind))

/* The user's frames, leaf first. */
struct leak_stack {
    struct place_frame *frames;
    size_t count;
};

struct leak_label {
    const char *key, *value;
};

struct leak_group {
    enum leak_kind kind;
    enum gmpt_wait_reason reason; /* none: it does not wait */
    struct place_frame function;  /* that the Gs were started with; its line is where it begins */
    struct leak_stack created, waits;
    uint64_t count;
    uint32_t processes;
    int64_t oldest_ns, newest_ns; /* how long they wait, or run; -1 = not known */
    int64_t held_bytes;           /* of all together, as struct segment says; -1 = not known */
    /* One of them: */
    uint64_t example_g, example_object; /* object 0 = not known */
    uint64_t example_owner;             /* of a cycle: the G that has what it waits for; 0 = none */
    uint32_t example_pid;
    const char *name; /* NULL = it has none */
    struct leak_label *labels;
    size_t label_count;
    /* Stays the same when lines are added above the places, or callers further out change. Set by leak_report_sort. */
    char fingerprint[LEAK_FINGERPRINT_BYTES];
    const struct suppression *suppressed; /* NULL: it counts; else who owns the suppressions owns this, too */
};

/* Not known when one of them is not. */
static inline int64_t leak_held_sum(int64_t a_bytes, int64_t b_bytes)
{
    bool known = a_bytes >= 0 && b_bytes >= 0 && a_bytes <= INT64_MAX - b_bytes;
    return known ? a_bytes + b_bytes : -1;
}

struct leak_report {
    struct leak_group *groups;
    size_t count, room;
    struct leak_strings *strings;
    const char *command; /* NULL = not known */
    uint32_t processes;  /* that were judged */
    uint32_t unjudged;   /* that ended, or could not be asked, before a verdict */
    char **notes;        /* why, and what else a verdict rests on: sentences without an end, each once */
    size_t note_count;
    int64_t time_realtime_ns, duration_ns;
};

/* 0 or -ENOMEM; leak_report_free is due either way. */
int leak_report_open(struct leak_report *report);
void leak_report_free(struct leak_report *report);

/* Adds Gs to the group that they belong to; all that finding points to is copied. fingerprint, processes and suppressed
 * are not looked at. Of a group the oldest G is the example. Returns 0 or -ENOMEM. */
int leak_report_add(struct leak_report *report, const struct leak_group *finding);

/* Adds a note, unless it is there. Returns 0 or -ENOMEM. */
int leak_report_note(struct leak_report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A copy that lives as long as the report; NULL: no memory, or of NULL. */
const char *leak_report_string(struct leak_report *report, const char *text);

/* The worst first, and among those the most Gs; gives the groups their fingerprints. To be called when all is in.
 * Returns 0 or -ENOMEM. */
int leak_report_sort(struct leak_report *report);

/* How many groups, and Gs, of these kinds (LEAK_KIND_BIT) count: are not suppressed. gs may be NULL. */
size_t leak_report_findings(const struct leak_report *report, unsigned kinds, uint64_t *gs);
size_t leak_report_suppressed(const struct leak_report *report);

/* The place to be shown for a group: where its Gs were started, else where their function begins. NULL = no file is
 * known of either. */
const struct place_frame *leak_group_site(const struct leak_group *group);
/* Where they wait; NULL = not known. */
const struct place_frame *leak_group_wait(const struct leak_group *group);
/* The line to point at: of the main goroutine, which nobody has started, where it waits. NULL = none is known. */
const struct place_frame *leak_group_line(const struct leak_group *group);

const char *leak_kind_word(enum leak_kind kind);                /* "proven": for machines, and on the command line */
const char *leak_kind_sentence(enum leak_kind kind);            /* what it means, without an end */
int leak_kind_find(const char *word, size_t length);            /* -1 = there is none */

/* "3 goroutines of compute_worker wait for ever in chan send" and the like, without an end. Returns buffer. */
const char *leak_group_headline(const struct leak_group *group, char *buffer, size_t size);
/* Why the verdict: "nothing that is alive can reach the channel at 0x7f.. any more". Returns buffer. */
const char *leak_group_why(const struct leak_group *group, char *buffer, size_t size);
/* "compute_worker", or "gateway+0x1234" without a name. Returns buffer. */
const char *leak_frame_function(const struct place_frame *frame, char *buffer, size_t size);

#endif
