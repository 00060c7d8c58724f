/* See compared.h. */
#define _GNU_SOURCE
#include "compared.h"

#include "statistics.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Pairs ------------------------------------------------------------------------------------------------------- */

/* A row and what its place is called. */
struct named {
    const struct measured_row *row;
    const struct measured_site *site, *fn;
    bool taken;
};

static int text_order(const char *a, const char *b) { return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL); }

static int site_order(const struct measured_site *a, const struct measured_site *b)
{
    int order = text_order(a->function, b->function);
    return order ? order : text_order(a->file, b->file);
}

/* The same but for the line. */
static int name_order(const struct named *a, const struct named *b)
{
    const struct measured_key *left = &a->row->key, *right = &b->row->key;
    int order = left->kind - right->kind;
    order = order ? order : left->reason - right->reason;
    order = order ? order : left->ended_by - right->ended_by;
    order = order ? order : site_order(a->site, b->site);
    return order ? order : site_order(a->fn, b->fn);
}

static int named_compare(const void *a_arg, const void *b_arg)
{
    const struct named *a = a_arg, *b = b_arg;
    int order = name_order(a, b);
    return order ? order : (a->site->line > b->site->line) - (a->site->line < b->site->line);
}

static struct named *named_list(const struct measured *measured)
{
    struct named *list = calloc(measured->row_count + 1, sizeof *list);
    for (size_t i = 0; list && i < measured->row_count; i++) {
        const struct measured_row *row = &measured->rows[i];
        list[i] = (struct named){ row, &measured->sites[row->key.site], &measured->sites[row->key.fn], false };
    }
    if (list)
        qsort(list, measured->row_count, sizeof *list, named_compare);
    return list;
}

static struct compared_side side_of(struct named *named)
{
    named->taken = true;
    return (struct compared_side){ .row = named->row, .site = named->site, .fn = named->fn, .places = 1 };
}

static void pair_put(struct comparison *comparison, struct compared_side a, struct compared_side b)
{
    comparison->list[comparison->count++] = (struct compared){ .a = a, .b = b };
}

/* Adds up what is left. A window's median becomes the mean of the medians by their counts. */
static int side_pool(struct comparison *comparison, struct named *list, size_t count, struct compared_side *side)
{
    struct measured_row *sum = &comparison->pooled[comparison->pooled_count++];
    *sum = (struct measured_row){ .windows = calloc(MEASURED_WINDOWS_MAX, sizeof *sum->windows) };
    *side = (struct compared_side){ .row = sum };
    if (!sum->windows)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct measured_row *row = list[i].row;
        if (list[i].taken)
            continue;
        list[i].taken = true;
        if (!side->site) {
            sum->key = row->key;
            side->site = list[i].site;
            side->fn = list[i].fn;
        }
        side->places++;
        if (histogram_merge(&sum->all, &row->all))
            return -ENOMEM;
        for (size_t k = 0; k < MEASURED_WINDOWS_MAX; k++) {
            struct measured_window *to = &sum->windows[k];
            const struct measured_window *from = &row->windows[k];
            if (!from->count)
                continue;
            to->median = (to->median * (double)to->count + from->median * (double)from->count) /
                         (double)(to->count + from->count);
            to->count += from->count;
        }
    }
    return 0;
}

static size_t left_over(const struct named *list, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        left += !list[i].taken;
    return left;
}

static struct named *next_left(struct named *list)
{
    while (list->taken)
        list++;
    return list;
}

/* All rows of both that have one name, by their lines. */
static int group_pair(struct comparison *comparison, struct named *a, size_t a_count, struct named *b, size_t b_count)
{
    for (size_t i = 0; i < a_count; i++)
        for (size_t k = 0; k < b_count && !a[i].taken; k++)
            if (!b[k].taken && a[i].site->offset == b[k].site->offset &&
                (a[i].site->offset || a[i].site->line == b[k].site->line))
                pair_put(comparison, side_of(&a[i]), side_of(&b[k]));
    size_t a_left = left_over(a, a_count), b_left = left_over(b, b_count);
    if (a_left && b_left && a_left != b_left) {
        struct compared_side a_sum, b_sum;
        if (side_pool(comparison, a, a_count, &a_sum) || side_pool(comparison, b, b_count, &b_sum))
            return -ENOMEM;
        pair_put(comparison, a_sum, b_sum);
        return 0;
    }
    for (; a_left && b_left; a_left--, b_left--)
        pair_put(comparison, side_of(next_left(a)), side_of(next_left(b)));
    for (; a_left; a_left--)
        pair_put(comparison, side_of(next_left(a)), (struct compared_side){ 0 });
    for (; b_left; b_left--)
        pair_put(comparison, (struct compared_side){ 0 }, side_of(next_left(b)));
    return 0;
}

static int pairs_make(struct comparison *comparison)
{
    size_t a_rows = comparison->a->row_count, b_rows = comparison->b->row_count;
    struct named *a = named_list(comparison->a), *b = named_list(comparison->b);
    int result = -ENOMEM;
    comparison->list = calloc(a_rows + b_rows + 1, sizeof *comparison->list);
    comparison->pooled = calloc(a_rows + b_rows + 1, sizeof *comparison->pooled);
    if (!a || !b || !comparison->list || !comparison->pooled)
        goto out;
    result = 0;
    for (size_t i = 0, k = 0; !result && (i < a_rows || k < b_rows);) {
        size_t a_end = i, b_end = k;
        int order = i == a_rows ? 1 : k == b_rows ? -1 : name_order(&a[i], &b[k]);
        while (order <= 0 && a_end < a_rows && name_order(&a[i], &a[a_end]) == 0)
            a_end++;
        while (order >= 0 && b_end < b_rows && name_order(&b[k], &b[b_end]) == 0)
            b_end++;
        result = group_pair(comparison, &a[i], a_end - i, &b[k], b_end - k);
        i = a_end;
        k = b_end;
    }
out:
    free(a);
    free(b);
    return result;
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

double compared_rate(const struct compared_side *side, const struct measured *measured)
{
    return side->row && measured->length_ns > 0 ? (double)side->row->all.count * 1e9 / (double)measured->length_ns : 0;
}

double compared_share_ns(const struct compared_side *side, const struct measured *measured)
{
    return side->row && measured->length_ns > 0 ? (double)side->row->all.total * 1e9 / (double)measured->length_ns : 0;
}

static int group_compare(const void *a_arg, const void *b_arg)
{
    double a = ((const struct statistics_group *)a_arg)->value, b = ((const struct statistics_group *)b_arg)->value;
    return (a > b) - (a < b);
}

/* What the windows of one side give: in order of time, and sorted. */
struct sample {
    double values[MEASURED_WINDOWS_MAX];
    struct statistics_group sorted[MEASURED_WINDOWS_MAX];
    size_t count;
};

static void sample_make(struct sample *sample, const struct measured_row *row, size_t windows, bool counts)
{
    sample->count = 0;
    for (size_t i = 0; i < windows; i++) {
        const struct measured_window *window = row ? &row->windows[i] : &(struct measured_window){ 0 };
        if (counts || window->count)
            sample->values[sample->count++] = counts ? (double)window->count : window->median;
    }
    for (size_t i = 0; i < sample->count; i++)
        sample->sorted[i] = (struct statistics_group){ sample->values[i], 1 };
    if (sample->count)
        qsort(sample->sorted, sample->count, sizeof sample->sorted[0], group_compare);
}

static struct statistics_ranks samples_test(const struct sample *a, const struct sample *b)
{
    double inflation = fmax(statistics_inflation(a->values, a->count), statistics_inflation(b->values, b->count));
    return statistics_ranks(a->sorted, a->count, b->sorted, b->count, inflation);
}

static size_t groups_fill(const struct histogram *histogram, struct statistics_group *groups)
{
    unsigned cell = 0;
    int64_t low, high;
    uint64_t count;
    size_t filled = 0;
    while (histogram_next(histogram, &cell, &low, &high, &count))
        groups[filled++] = (struct statistics_group){ (double)low, count };
    return filled;
}

static bool sample_interval(const struct sample *sample, double *low, double *high)
{
    double sorted[MEASURED_WINDOWS_MAX];
    for (size_t i = 0; i < sample->count; i++)
        sorted[i] = sample->sorted[i].value;
    return statistics_median_interval(sorted, sample->count, 1 - (1 - COMPARED_CONFIDENCE) / 2, low, high);
}

struct workspace {
    struct sample a, b;
    struct statistics_group a_groups[HISTOGRAM_STEPS * HISTOGRAM_OCTAVES],
        b_groups[HISTOGRAM_STEPS * HISTOGRAM_OCTAVES];
};

static void time_test(const struct comparison *comparison, struct compared *compared, struct workspace *space)
{
    struct compared_test *test = &compared->time;
    const struct measured_row *a = compared->a.row, *b = compared->b.row;
    double a_low, a_high, b_low, b_high;
    if (!a || !b || a->key.kind == MEASURED_START)
        return;
    test->ratio = fmax(compared->b.p50, 1) / fmax(compared->a.p50, 1);
    if (a->all.count < COMPARED_VALUES_MIN || b->all.count < COMPARED_VALUES_MIN)
        return;
    sample_make(&space->a, a, comparison->a->window_count, false);
    sample_make(&space->b, b, comparison->b->window_count, false);
    if (space->a.count < COMPARED_WINDOWS_MIN || space->b.count < COMPARED_WINDOWS_MIN ||
        !sample_interval(&space->a, &a_low, &a_high) || !sample_interval(&space->b, &b_low, &b_high))
        return;
    struct statistics_ranks all = statistics_ranks(space->a_groups, groups_fill(&a->all, space->a_groups),
                                                   space->b_groups, groups_fill(&b->all, space->b_groups), 1);
    struct statistics_ranks windows = samples_test(&space->a, &space->b);
    test->verdict = COMPARED_SAME;
    test->p = fmax(all.p, windows.p);
    test->delta = all.delta;
    test->low = fmax(b_low, 1) / fmax(a_high, 1);
    test->high = fmax(b_high, 1) / fmax(a_low, 1);
}

/* Of what a program does from outside: that it runs so often between is no news. */
static bool rate_matters(const struct measured_row *row)
{
    return row->key.kind == MEASURED_START || row->key.kind == MEASURED_WAITING || row->key.kind == MEASURED_CALL;
}

static bool rate_told(const struct comparison *comparison, const struct compared *compared)
{
    const struct measured_row *a = compared->a.row, *b = compared->b.row;
    uint64_t count = (a ? a->all.count : 0) + (b ? b->all.count : 0);
    return rate_matters(a ? a : b) && count >= COMPARED_VALUES_MIN &&
           comparison->a->window_count >= COMPARED_WINDOWS_MIN && comparison->b->window_count >= COMPARED_WINDOWS_MIN;
}

/* Had b been so many times as long. */
static double rate_p(const struct comparison *comparison, const struct compared *compared, struct workspace *space,
                     double longer)
{
    const struct measured_row *a = compared->a.row, *b = compared->b.row;
    sample_make(&space->a, a, comparison->a->window_count, true);
    sample_make(&space->b, b, comparison->b->window_count, true);
    for (size_t i = 0; i < space->b.count; i++) {
        space->b.values[i] /= longer;
        space->b.sorted[i].value /= longer;
    }
    return fmax(statistics_rate(a ? a->all.count : 0, (double)comparison->a->length_ns, b ? b->all.count : 0,
                                (double)comparison->b->length_ns * longer),
                samples_test(&space->a, &space->b).p);
}

static void rate_test(const struct comparison *comparison, struct compared *compared, struct workspace *space)
{
    struct compared_test *test = &compared->rate;
    if (!rate_told(comparison, compared))
        return;
    test->verdict = COMPARED_SAME;
    test->p =
        fmax(rate_p(comparison, compared, space, 1), rate_p(comparison, compared, space, comparison->common_rate));
}

/* ---- Verdicts ---------------------------------------------------------------------------------------------------- */

static void verdict_make(struct compared_test *test, const struct compared_options *options, double low, double high)
{
    double change = 1 + options->change_min;
    if (test->verdict == COMPARED_UNTOLD || test->q > options->false_rate)
        return;
    if (test->ratio >= change && low > 1)
        test->verdict = COMPARED_MORE;
    else if (test->ratio <= 1 / change && high < 1)
        test->verdict = COMPARED_LESS;
}

static void verdicts_of(const struct comparison *comparison, struct compared *compared,
                        const struct compared_options *options)
{
    double relative = compared->rate.ratio / comparison->common_rate, change = 1 + options->change_min;
    if (fabs(compared->b.p50 - compared->a.p50) >= (double)options->shift_min_ns ||
        fabs(compared->impact_ns) >= COMPARED_IMPACT_NS)
        verdict_make(&compared->time, options, compared->time.low, compared->time.high);
    if (relative >= change || relative <= 1 / change)
        verdict_make(&compared->rate, options, relative, relative);
}

static int verdicts_make(struct comparison *comparison, const struct compared_options *options)
{
    size_t room = 2 * comparison->count + 1;
    struct compared_test **tests = calloc(room, sizeof *tests);
    double *p = calloc(room, sizeof *p), *q = calloc(room, sizeof *q);
    size_t *order = calloc(room, sizeof *order);
    int result = tests && p && q && order ? 0 : -ENOMEM;
    for (size_t i = 0; i < 2 * comparison->count && !result; i++) {
        struct compared *compared = &comparison->list[i / 2];
        struct compared_test *test = i % 2 ? &compared->rate : &compared->time;
        if (test->verdict == COMPARED_UNTOLD)
            continue;
        p[comparison->tested] = test->p;
        tests[comparison->tested++] = test;
    }
    if (!result)
        statistics_discoveries(p, q, order, comparison->tested);
    for (size_t i = 0; i < comparison->tested && !result; i++)
        tests[i]->q = q[i];
    for (size_t i = 0; i < comparison->count && !result; i++)
        verdicts_of(comparison, &comparison->list[i], options);
    free(tests);
    free(p);
    free(q);
    free(order);
    return result;
}

static int double_compare(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double middle(double *values, size_t count)
{
    if (count < COMPARED_COMMON_MIN)
        return 1;
    qsort(values, count, sizeof *values, double_compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static int commons_make(struct comparison *comparison)
{
    double *times = calloc(comparison->count + 1, sizeof *times), *rates = calloc(comparison->count + 1, sizeof *rates);
    size_t time_count = 0, rate_count = 0;
    for (size_t i = 0; i < comparison->count && times && rates; i++) {
        const struct compared *compared = &comparison->list[i];
        if (compared->time.verdict != COMPARED_UNTOLD)
            times[time_count++] = compared->time.ratio;
        if (compared->a.row && compared->b.row && rate_told(comparison, compared))
            rates[rate_count++] = compared->rate.ratio;
    }
    int result = times && rates ? 0 : -ENOMEM;
    comparison->common_time = result ? 1 : middle(times, time_count);
    comparison->common_rate = result ? 1 : middle(rates, rate_count);
    free(times);
    free(rates);
    return result;
}

static int section_of(const struct compared *compared)
{
    return compared->time.verdict == COMPARED_MORE   ? 0
           : compared->time.verdict == COMPARED_LESS ? 1
           : compared->rate.verdict == COMPARED_MORE ? 2
           : compared->rate.verdict == COMPARED_LESS ? 3
                                                     : 4;
}

static int compared_compare(const void *a_arg, const void *b_arg)
{
    const struct compared *a = a_arg, *b = b_arg;
    int order = section_of(a) - section_of(b);
    double left = fabs(a->impact_ns), right = fabs(b->impact_ns);
    if (order || left != right)
        return order ? order : left < right ? 1 : -1;
    const struct compared_side *a_side = a->a.row ? &a->a : &a->b, *b_side = b->a.row ? &b->a : &b->b;
    return named_compare(&(struct named){ a_side->row, a_side->site, a_side->fn, false },
                         &(struct named){ b_side->row, b_side->site, b_side->fn, false });
}

int comparison_make(struct comparison *comparison, struct measured *a, struct measured *b,
                    const struct compared_options *options)
{
    *comparison = (struct comparison){ .a = a, .b = b };
    struct workspace *space = malloc(sizeof *space);
    int result = space ? pairs_make(comparison) : -ENOMEM;
    for (size_t i = 0; i < comparison->count && !result; i++) {
        struct compared *compared = &comparison->list[i];
        struct compared_side *sides[] = { &compared->a, &compared->b };
        for (int k = 0; k < 2; k++)
            if (sides[k]->row) {
                sides[k]->p50 = measured_quantile(&sides[k]->row->all, 0.5);
                sides[k]->p99 = measured_quantile(&sides[k]->row->all, 0.99);
            }
        compared->time.p = compared->time.q = compared->rate.p = compared->rate.q = 1;
        compared->impact_ns = compared->a.row && compared->b.row
                                  ? (compared->b.p50 - compared->a.p50) * compared_rate(&compared->b, b)
                                  : compared_share_ns(&compared->b, b) - compared_share_ns(&compared->a, a);
        compared->rate.ratio = compared_rate(&compared->b, b) / compared_rate(&compared->a, a);
        time_test(comparison, compared, space);
    }
    if (!result)
        result = commons_make(comparison);
    for (size_t i = 0; i < comparison->count && !result; i++)
        rate_test(comparison, &comparison->list[i], space);
    free(space);
    if (!result)
        result = verdicts_make(comparison, options);
    if (!result && comparison->count)
        qsort(comparison->list, comparison->count, sizeof *comparison->list, compared_compare);
    return result;
}

void comparison_free(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->pooled_count; i++) {
        histogram_clear(&comparison->pooled[i].all);
        free(comparison->pooled[i].windows);
    }
    free(comparison->pooled);
    free(comparison->list);
}
