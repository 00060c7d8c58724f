/* "heat": {
 *   "columns": n, "width": ns,
 *   "victims": [[function, creation stack, stack, cause], ...], "wakers": [[function, stack, cause], ...],
 *   "hogs": [[kind, function, creation stack, from, to, ended by], ...],
 *   "rows": [{"p": number or -1, "wait": [ns, ...], "busy": [...], "begun": [...], "longest": [...],
 *             "hogs": [[column, TABLE], ...], "nodes": [[node, victims TABLE, wakers TABLE], ...]}, ...],
 *   "lengths": [[column, length, count, victims TABLE, wakers TABLE], ...], "floors": [ns, ...] }
 * TABLE: see report_topk.c; keys are numbers of the lists, 0 the rest. */
#include "report_parts.h"

#include "trace/keyset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CELLS_KEYS_MAX 65536

/* From the heat map's keys to the page's, which show the same where these do. */
struct shown {
    uint32_t *of; /* by the heat map's key: number + 1, 0 = not asked for yet */
    size_t room;
    struct keyset set;
};

struct heat {
    struct report *report;
    struct shown victims, wakers, hogs;
};

struct shown_key {
    uint32_t part[6];
};

static int64_t shown_get(struct shown *shown, uint32_t key)
{
    return key < shown->room && shown->of[key] ? (int64_t)shown->of[key] - 1 : -1;
}

static int64_t shown_put(struct shown *shown, uint32_t key, const struct shown_key *parts)
{
    if (key >= shown->room) {
        size_t room = (size_t)key * 2 + 64;
        uint32_t *of = reallocarray(shown->of, room, sizeof *of);
        if (!of)
            return -ENOMEM;
        memset(of + shown->room, 0, (room - shown->room) * sizeof *of);
        shown->of = of;
        shown->room = room;
    }
    int64_t number = parts ? keyset_put(&shown->set, parts) : 0;
    if (number >= 0)
        shown->of[key] = (uint32_t)number + 1;
    return number;
}

static bool parts_make(struct shown_key *parts, const int64_t numbers[6])
{
    for (int i = 0; i < 6; i++) {
        if (numbers[i] < 0)
            return false;
        parts->part[i] = (uint32_t)numbers[i];
    }
    return true;
}

static int64_t victim_number(void *heat_arg, uint32_t key)
{
    struct heat *heat = heat_arg;
    int64_t known = shown_get(&heat->victims, key);
    if (known >= 0)
        return known;
    struct report_names *names = heat->report->names;
    struct heatmap_victim victim = heatmap_victim(heat->report->heatmap, key);
    struct shown_key parts;
    int64_t numbers[6] = { report_function(names, victim.fn), report_stack(names, victim.create_stack),
                           report_stack(names, victim.stack), victim.cause, 0, 0 };
    if (!parts_make(&parts, numbers))
        return -ENOMEM;
    return shown_put(&heat->victims, key, key == HEATMAP_OTHERS ? NULL : &parts);
}

static int64_t waker_number(void *heat_arg, uint32_t key)
{
    struct heat *heat = heat_arg;
    int64_t known = shown_get(&heat->wakers, key);
    if (known >= 0)
        return known;
    struct report_names *names = heat->report->names;
    struct heatmap_waker waker = heatmap_waker(heat->report->heatmap, key);
    struct shown_key parts;
    int64_t numbers[6] = { report_function(names, waker.fn), report_stack(names, waker.stack), waker.cause, 0, 0, 0 };
    if (!parts_make(&parts, numbers))
        return -ENOMEM;
    return shown_put(&heat->wakers, key, key == HEATMAP_OTHERS ? NULL : &parts);
}

static int64_t hog_number(void *heat_arg, uint32_t key)
{
    struct heat *heat = heat_arg;
    int64_t known = shown_get(&heat->hogs, key);
    if (known >= 0)
        return known;
    struct report_names *names = heat->report->names;
    struct heatmap_hog hog = heatmap_hog(heat->report->heatmap, key);
    struct shown_key parts;
    int64_t numbers[6] = {
        hog.kind,      report_function(names, hog.fn),      report_stack(names, hog.create_stack),
        report_stack(names, hog.from_stack), report_stack(names, hog.to_stack), hog.ended_by,
    };
    if (!parts_make(&parts, numbers))
        return -ENOMEM;
    return shown_put(&heat->hogs, key, key == HEATMAP_OTHERS ? NULL : &parts);
}

static void cells_write(const struct report *report, unsigned row, const char *name, int which)
{
    fprintf(report->out, ",\"%s\":[", name);
    for (unsigned column = 0; column < report->columns; column++) {
        struct heatmap_cell cell = heatmap_cell(report->heatmap, row, column);
        int64_t values[] = { cell.wait_ns, cell.busy_ns, (int64_t)cell.begun, cell.longest_ns };
        fprintf(report->out, "%s%" PRId64, column ? "," : "", values[which]);
    }
    fputc(']', report->out);
}

static int row_write(struct heat *heat, unsigned row)
{
    const struct report *report = heat->report;
    FILE *out = report->out;
    int result = 0;
    bool comma = false;
    fprintf(out, "{\"p\":%d", row == HEATMAP_NO_P ? -1 : (int)row);
    cells_write(report, row, "wait", 0);
    cells_write(report, row, "busy", 1);
    cells_write(report, row, "begun", 2);
    cells_write(report, row, "longest", 3);
    fputs(",\n\"hogs\":[", out);
    for (unsigned column = 0; column < report->columns && !result; column++) {
        const struct topk *topk = heatmap_hogs(report->heatmap, row, column);
        if (!topk)
            continue;
        fprintf(out, "%s[%u,", comma ? "," : "", column);
        result = report_topk_write(out, topk, hog_number, heat);
        fputc(']', out);
        comma = true;
    }
    fputs("],\n\"nodes\":[", out);
    comma = false;
    for (unsigned number = 1; number < 2 * report->columns && !result; number++) {
        const struct heatmap_node *node = heatmap_node(report->heatmap, row, number);
        if (!node)
            continue;
        fprintf(out, "%s[%u,", comma ? "," : "", number);
        result = report_topk_write(out, &node->victims, victim_number, heat);
        fputc(',', out);
        if (!result)
            result = report_topk_write(out, &node->wakers, waker_number, heat);
        fputc(']', out);
        comma = true;
    }
    fputs("]}", out);
    return result;
}

static int lengths_write(struct heat *heat)
{
    const struct report *report = heat->report;
    int result = 0;
    bool comma = false;
    fputs("],\n\"lengths\":[", report->out);
    for (unsigned column = 0; column < report->columns && !result; column++)
        for (unsigned length = 0; length < HEATMAP_LENGTHS && !result; length++) {
            const struct heatmap_lengths_cell *cell = heatmap_lengths(report->heatmap, column, length);
            if (!cell)
                continue;
            fprintf(report->out, "%s[%u,%u,%" PRIu64 ",", comma ? "," : "", column, length, cell->count);
            result = report_topk_write(report->out, &cell->victims, victim_number, heat);
            fputc(',', report->out);
            if (!result)
                result = report_topk_write(report->out, &cell->wakers, waker_number, heat);
            fputc(']', report->out);
            comma = true;
        }
    fputs("],\n\"floors\":[", report->out);
    for (unsigned length = 0; length < HEATMAP_LENGTHS; length++)
        fprintf(report->out, "%s%" PRId64, length ? "," : "", heatmap_length_floor_ns(length));
    fputc(']', report->out);
    return result;
}

static void keys_write(FILE *out, const char *name, const struct shown *shown, int parts)
{
    fprintf(out, ",\n\"%s\":[[", name);
    for (int i = 0; i < parts; i++)
        fputs(i ? ",0" : "0", out);
    fputc(']', out);
    for (uint32_t number = 1; number <= shown->set.count; number++) {
        const struct shown_key *key = keyset_get(&shown->set, number);
        fputs(",[", out);
        for (int i = 0; i < parts; i++)
            fprintf(out, "%s%u", i ? "," : "", key->part[i]);
        fputc(']', out);
    }
    fputc(']', out);
}

static void shown_free(struct shown *shown)
{
    free(shown->of);
    keyset_free(&shown->set);
}

int report_heat_write(struct report *report)
{
    struct heat heat = { .report = report };
    int result = 0;
    bool comma = false;
    keyset_init(&heat.victims.set, sizeof(struct shown_key), CELLS_KEYS_MAX);
    keyset_init(&heat.wakers.set, sizeof(struct shown_key), CELLS_KEYS_MAX);
    keyset_init(&heat.hogs.set, sizeof(struct shown_key), CELLS_KEYS_MAX);
    fprintf(report->out, "\"heat\":{\"columns\":%u,\"width\":%" PRId64 ",\n\"rows\":[", report->columns,
            heatmap_width_ns(report->heatmap));
    for (unsigned row = 0; row < HEATMAP_ROWS && !result; row++) {
        if (!heatmap_row_used(report->heatmap, row))
            continue;
        fputs(comma ? ",\n" : "", report->out);
        result = row_write(&heat, row);
        comma = true;
    }
    if (!result)
        result = lengths_write(&heat);
    keys_write(report->out, "victims", &heat.victims, 4);
    keys_write(report->out, "wakers", &heat.wakers, 3);
    keys_write(report->out, "hogs", &heat.hogs, 6);
    fputc('}', report->out);
    shown_free(&heat.victims);
    shown_free(&heat.wakers);
    shown_free(&heat.hogs);
    return result;
}
