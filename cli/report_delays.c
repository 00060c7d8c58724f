/* "delays", "pauses": [[site, how many, in all ns, p50, p90, p99, p99.9, longest, [from ns, how many, ...]], ...], that
 * of all first (-1): how long Gs were runnable until they ran, and how long they waited for something. A histogram for
 * each of the sites that came first, one for all others together (site 0). */
#include "report_parts.h"

#include "trace/histogram.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define SITES_SHOWN 200
#define STEPS_AN_OCTAVE 8 /* in the page; quantiles are of the finer ones */

enum kind { DELAY, PAUSE, KINDS };

struct report_delays {
    struct histogram all[KINDS], sites[KINDS][SITES_SHOWN];
};

struct report_delays *report_delays_open(void) { return calloc(1, sizeof(struct report_delays)); }

void report_delays_close(struct report_delays *delays)
{
    if (!delays)
        return;
    for (int kind = 0; kind < KINDS; kind++) {
        histogram_clear(&delays->all[kind]);
        for (int i = 0; i < SITES_SHOWN; i++)
            histogram_clear(&delays->sites[kind][i]);
    }
    free(delays);
}

/* What had not ended by the trace's end has no length yet. */
int report_delays_closed(struct report_delays *delays, const struct interval *interval, uint32_t site)
{
    bool ran = interval->state == GMPT_G_RUNNABLE && interval->ended_by == GMPT_EVENT_go_start;
    bool waited = interval->state == GMPT_G_WAITING && interval->ended_by == GMPT_EVENT_go_unblock;
    if (!ran && !waited)
        return 0;
    enum kind kind = ran ? DELAY : PAUSE;
    int64_t length_ns = interval->end_ns - interval->begin_ns;
    int result = histogram_add(&delays->all[kind], length_ns);
    return result ? result : histogram_add(&delays->sites[kind][site < SITES_SHOWN ? site : 0], length_ns);
}

/* The first value of the coarser step. */
static int64_t coarse(int64_t low)
{
    if (low < STEPS_AN_OCTAVE)
        return low;
    int drop = 63 - __builtin_clzll((uint64_t)low) - __builtin_ctz(STEPS_AN_OCTAVE);
    return low >> drop << drop;
}

static void histogram_write(FILE *out, int site, const struct histogram *histogram)
{
    fprintf(out, "[%d,%" PRIu64 ",%" PRId64, site, histogram->count, histogram->total);
    static const unsigned permilles[] = { 500, 900, 990, 999 };
    for (size_t i = 0; i < sizeof permilles / sizeof permilles[0]; i++)
        fprintf(out, ",%" PRId64, histogram_quantile(histogram, permilles[i]));
    fprintf(out, ",%" PRId64 ",[", histogram->max);
    unsigned cell = 0;
    int64_t low, high, from = -1;
    uint64_t count, together = 0;
    const char *comma = "";
    while (histogram_next(histogram, &cell, &low, &high, &count)) {
        if (from >= 0 && coarse(low) != from) {
            fprintf(out, "%s%" PRId64 ",%" PRIu64, comma, from, together);
            comma = ",";
            together = 0;
        }
        from = coarse(low);
        together += count;
    }
    if (from >= 0)
        fprintf(out, "%s%" PRId64 ",%" PRIu64, comma, from, together);
    fputs("]]", out);
}

int report_delays_write(struct report *report)
{
    static const char *const names[KINDS] = { "delays", "pauses" };
    FILE *out = report->out;
    for (int kind = 0; kind < KINDS; kind++) {
        fprintf(out, "%s\"%s\":[", kind ? ",\n" : "", names[kind]);
        histogram_write(out, -1, &report->delays->all[kind]);
        for (int i = 0; i < SITES_SHOWN; i++)
            if (report->delays->sites[kind][i].count) {
                fputs(",\n", out);
                histogram_write(out, i, &report->delays->sites[kind][i]);
            }
        fputc(']', out);
    }
    return 0;
}
