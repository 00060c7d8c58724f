/* "over": the timeline where it is too long for exact slices.
 *   "lanes": {"width": ns, "ps": [[P, column, site, its ns, all ns that Gs ran, column, ...], ...]}: of each part of a
 *            P's time the site whose Gs ran longest;
 *   "sites": {"width": ns, "rows": [[site, column, [ns by state], column, ...], ...]}: of the sites that came first,
 *            how long their Gs were in each state.
 * Sites are numbers of "sites"; columns in which nothing happened are left out. Constant room: a P runs its Gs one
 * after another, so only the column that it is in needs to know more than the longest. */
#include "report_parts.h"

#include "trace/topk.h"
#include "trace/timesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define LANES_MAX 256
#define SITE_ROWS_MAX 64
#define SITE_COLUMNS_LEAST 16

struct longest {
    uint32_t site;
    int64_t ns, all_ns;
};

struct lane {
    struct topk now; /* of the column at */
    unsigned at;
    struct longest columns[];
};

struct report_over {
    int64_t end_ns, width_ns;
    unsigned columns, site_columns;
    struct lane *lanes[LANES_MAX];
    struct overtime *sites[SITE_ROWS_MAX]; /* by the site's number; 0: of all further ones */
};

struct report_over *report_over_open(const struct report *report)
{
    struct report_over *over = calloc(1, sizeof *over);
    if (!over)
        return NULL;
    over->end_ns = report->end_ns;
    over->columns = report->columns;
    over->width_ns = report->end_ns / report->columns + 1;
    over->site_columns = report->columns / 4 > SITE_COLUMNS_LEAST ? report->columns / 4 : SITE_COLUMNS_LEAST;
    return over;
}

void report_over_close(struct report_over *over)
{
    if (!over)
        return;
    for (int i = 0; i < LANES_MAX; i++)
        free(over->lanes[i]);
    for (int i = 0; i < SITE_ROWS_MAX; i++)
        overtime_close(over->sites[i]);
    free(over);
}

static void lane_settle(struct lane *lane)
{
    struct longest *longest = &lane->columns[lane->at];
    for (uint32_t i = 0; i < lane->now.used; i++) {
        const struct topk_entry *entry = &lane->now.entries[i];
        if (entry->weight - entry->error > longest->ns) {
            longest->site = entry->key;
            longest->ns = entry->weight - entry->error;
        }
    }
    lane->now = (struct topk){ 0 };
}

static int lane_add(struct report_over *over, const struct interval *interval, uint32_t site)
{
    struct lane **lane = &over->lanes[interval->p];
    int64_t begin_ns = interval->begin_ns < 0 ? 0 : interval->begin_ns;
    int64_t end_ns = interval->end_ns > over->end_ns ? over->end_ns : interval->end_ns;
    if (!*lane && !(*lane = calloc(1, sizeof **lane + over->columns * sizeof(struct longest))))
        return -ENOMEM;
    while (begin_ns < end_ns) {
        unsigned column = (unsigned)(begin_ns / over->width_ns);
        int64_t next_ns = column + 1 < over->columns ? (column + 1) * over->width_ns : over->end_ns;
        int64_t part_ns = (end_ns < next_ns ? end_ns : next_ns) - begin_ns;
        if (column != (*lane)->at) {
            lane_settle(*lane);
            (*lane)->at = column;
        }
        topk_add(&(*lane)->now, site, part_ns);
        timesum_add(&(*lane)->columns[column].all_ns, part_ns);
        begin_ns += part_ns;
    }
    return 0;
}

int report_over_closed(struct report_over *over, const struct interval *interval, uint32_t site)
{
    struct overtime **row = &over->sites[site < SITE_ROWS_MAX ? site : 0];
    if (!*row && !(*row = overtime_open(over->end_ns, over->site_columns)))
        return -ENOMEM;
    overtime_add(*row, interval);
    if (interval->state != GMPT_G_RUNNING || interval->p < 0 || interval->p >= LANES_MAX)
        return 0;
    return lane_add(over, interval, site);
}

static void lane_write(FILE *out, const struct report_over *over, int p)
{
    fprintf(out, "[%d", p);
    for (unsigned i = 0; i < over->columns; i++) {
        const struct longest *longest = &over->lanes[p]->columns[i];
        if (longest->all_ns)
            fprintf(out, ",%u,%u,%" PRId64 ",%" PRId64, i, longest->site, longest->ns, longest->all_ns);
    }
    fputc(']', out);
}

static void site_write(FILE *out, const struct report_over *over, int site)
{
    fprintf(out, "[%d", site);
    for (unsigned i = 0; i < over->site_columns; i++) {
        int64_t all_ns = 0;
        for (int state = 0; state < GMPT_G_STATES; state++)
            all_ns |= overtime_ns(over->sites[site], (enum gmpt_g_state)state, i);
        if (!all_ns)
            continue;
        fprintf(out, ",%u", i);
        for (int state = 0; state < GMPT_G_STATES; state++)
            fprintf(out, "%s%" PRId64, state ? "," : ",[", overtime_ns(over->sites[site], (enum gmpt_g_state)state, i));
        fputc(']', out);
    }
    fputc(']', out);
}

int report_over_write(struct report *report)
{
    struct report_over *over = report->over;
    FILE *out = report->out;
    const char *comma = "";
    fprintf(out, "\"over\":{\"lanes\":{\"width\":%" PRId64 ",\"ps\":[", over->width_ns);
    for (int p = 0; p < LANES_MAX; p++)
        if (over->lanes[p]) {
            lane_settle(over->lanes[p]);
            fputs(comma, out);
            lane_write(out, over, p);
            comma = ",\n";
        }
    int64_t width_ns = 0;
    for (int i = 0; i < SITE_ROWS_MAX && !width_ns; i++)
        width_ns = over->sites[i] ? overtime_width_ns(over->sites[i]) : 0;
    fprintf(out, "]},\n\"sites\":{\"width\":%" PRId64 ",\"rows\":[", width_ns);
    comma = "";
    for (int i = 0; i < SITE_ROWS_MAX; i++)
        if (over->sites[i]) {
            fputs(comma, out);
            site_write(out, over, i);
            comma = ",\n";
        }
    fputs("]}}", out);
    return 0;
}
