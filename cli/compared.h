/* Two recordings, place by place: what got slower or faster, more or less frequent, and whether that is more than
 * chance.
 *
 * Which places belong together. Builds differ, so a place is known by its function and the last name of its file, and
 * by its line counted from the function's beginning, so that what was inserted above does not matter. Where lines
 * within the function moved as well, what is left of both is paired in order if it is equally many places, and
 * otherwise added up: then a row stands for several lines.
 *
 * What is more than chance. Values of one run that follow each other are alike: a busy machine, a queue that is full. A
 * test that takes each for independent finds differences everywhere. So there are two samples of everything, and the
 * larger p counts:
 *
 *     all values     as if they were independent
 *     windows        the range is divided into windows, of which each gives one value: the median, or for a rate the
 *                    count. Their variance is enlarged by what they still have in common with their neighbours.
 *
 * With fewer than COMPARED_WINDOWS_MIN windows that have values, nothing is said. p is turned into the rate of false
 * discoveries among all that was tested (q). A finding is what has a small q, and an effect that matters, and an
 * interval of confidence that leaves no change out. What matters is a share, and a shift: some nanoseconds more are a
 * cache line that lies elsewhere, unless they come so often that they make up COMPARED_IMPACT_NS of each second.
 *
 * What no test of two recordings can tell is how much two runs differ anyway, since that is a sample of one each. A run
 * on a machine that does other work has everything happen less often. So a place's rate must differ by itself and also
 * beside the median of all rates' ratios, which is told once, as RNA sequencing has it with samples of different depth
 * (S. Anders, W. Huber, "Differential expression analysis for sequence count data", Genome Biology 11 (2010)). A run
 * that has all its places slower is told as well, but nothing is taken off for it. */
#ifndef GMPT_COMPARED_H
#define GMPT_COMPARED_H

#include "measured.h"

#define COMPARED_WINDOWS_MIN 8
#define COMPARED_WINDOWS 40 /* that the shorter of both is divided into */
#define COMPARED_VALUES_MIN 10
#define COMPARED_COMMON_MIN 5 /* places that make up what is common */
#define COMPARED_IMPACT_NS 5000000
#define COMPARED_CONFIDENCE 0.95 /* of the interval; each of both medians has half of what is left */

enum compared_verdict { COMPARED_UNTOLD, COMPARED_SAME, COMPARED_LESS, COMPARED_MORE };

struct compared_side {
    const struct measured_row *row; /* NULL: this place is not in it */
    const struct measured_site *site, *fn;
    size_t places; /* how many lines were added up: 1, or more */
    double p50, p99;
};

struct compared_test {
    enum compared_verdict verdict;
    double p, q;      /* 1 when untold */
    double ratio;     /* of b to a, of the medians or the rates; 0 or infinite when only one has any */
    double low, high; /* where it lies with the confidence; of medians only */
    double delta;     /* Cliff's, of medians only */
};

struct compared {
    struct compared_side a, b;
    struct compared_test time, rate;
    double impact_ns; /* how much of each second of b the median's change makes; of a place in one only, all its time */
};

struct compared_options {
    double false_rate;    /* the largest q of a finding */
    double change_min;    /* 0.1: medians and rates that differ by less are the same */
    int64_t shift_min_ns; /* and medians that differ by less, unless that is much in sum */
};

struct comparison {
    struct measured *a, *b;
    struct compared *list; /* findings first, by time: slower, faster; by rate: more, less; by impact */
    size_t count, tested;
    double common_time,
        common_rate;             /* the median of the ratios of all medians, of all rates; 1 when they are too few */
    struct measured_row *pooled; /* what was added up; owned */
    size_t pooled_count;
};

/* Both were read with windows of the same width. Returns 0 or -ENOMEM; comparison_free is due either way. */
int comparison_make(struct comparison *comparison, struct measured *a, struct measured *b,
                    const struct compared_options *options);
void comparison_free(struct comparison *comparison);

/* Whether it is a finding. */
static inline bool compared_found(const struct compared *compared)
{
    return compared->time.verdict > COMPARED_SAME || compared->rate.verdict > COMPARED_SAME;
}

/* How many and how much time in each second of the recording. */
double compared_rate(const struct compared_side *side, const struct measured *measured);
double compared_share_ns(const struct compared_side *side, const struct measured *measured);

#endif
