/* See measured.h. Places are looked up once for each stack or function; rows are found by numbers only. */
#include "measured.h"

#include "cli.h"

#include "pprof/intern.h"
#include "trace/intervals.h"
#include "trace/table.h"
#include "trace/timesum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a G has done since something that is counted began. */
struct life {
    uint64_t id;
    int64_t ran_ns;  /* since its last wait or call */
    int64_t held_ns; /* of a wait or of being runnable, before its labels changed */
    bool born;       /* its start was seen */
    bool unsure;     /* records were lost since */
};

struct measuring {
    struct table lives; /* by id */
    struct intern keys; /* struct measured_key: the numbers of rows */
    struct intern sites;
    struct table functions; /* site number + 1 by a function's address */
    uint32_t *of_stack;     /* site number + 1; 0 = not looked up */
    size_t of_stack_room, rows_room, sites_room;
    const struct gmpt_event *event;
};

/* ---- Places ------------------------------------------------------------------------------------------------------ */

struct site_key {
    uint64_t function, file; /* hashes of the texts */
    int32_t line, offset;
};

static uint64_t text_hash(const char *text)
{
    uint64_t hash = 1;
    for (; text && *text; text++)
        hash = table_mix(hash ^ (unsigned char)*text) + 1;
    return hash;
}

/* Returns the site's number, or -ENOMEM. */
static int64_t site_put(struct measured *measured, const struct place_frame *frame)
{
    struct measuring *measuring = measured->measuring;
    char text[PLACE_TEXT_BYTES];
    const char *slash = frame->file ? strrchr(frame->file, '/') : NULL;
    struct measured_site site = { .function = frame->function,
                                  .file = slash ? slash + 1 : frame->file,
                                  .line = frame->line,
                                  .offset = frame->function_line ? frame->line - frame->function_line : 0 };
    if (!site.function)
        site.function = place_of_frame(measured->load.places, text,
                                       &(struct place_frame){ .address = frame->address,
                                                              .module = frame->module,
                                                              .module_address = frame->module_address });
    struct site_key key = { text_hash(site.function), text_hash(site.file), site.line, site.offset };
    size_t before = measuring->sites.count;
    if (before == measuring->sites_room) {
        size_t room = before ? 2 * before : 64;
        struct measured_site *sites = reallocarray(measured->sites, room, sizeof *sites);
        if (!sites)
            return -ENOMEM;
        measured->sites = sites;
        measuring->sites_room = room;
    }
    int64_t number = intern_put(&measuring->sites, &key, sizeof key);
    if (number < 0 || measuring->sites.count == before)
        return number;
    measured->sites[number] = site;
    measured->sites[number].function = strdup(site.function);
    if (!measured->sites[number].function)
        return -ENOMEM;
    measured->site_count = measuring->sites.count;
    return number;
}

static int64_t site_of_stack(struct measured *measured, uint32_t stack)
{
    struct measuring *measuring = measured->measuring;
    struct place_frame frames[PLACE_FRAMES_MAX];
    if (stack == 0 || stack > gmpt_trace_stack_count(measured->load.trace))
        return 0;
    if (stack >= measuring->of_stack_room) {
        size_t room = 2 * (size_t)stack + 64;
        uint32_t *grown = reallocarray(measuring->of_stack, room, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        memset(grown + measuring->of_stack_room, 0, (room - measuring->of_stack_room) * sizeof *grown);
        measuring->of_stack = grown;
        measuring->of_stack_room = room;
    }
    if (!measuring->of_stack[stack]) {
        int64_t site = place_frames(measured->load.places, stack, frames) ? site_put(measured, &frames[0]) : 0;
        if (site < 0)
            return site;
        measuring->of_stack[stack] = (uint32_t)site + 1;
    }
    return measuring->of_stack[stack] - 1;
}

static int64_t site_of_function(struct measured *measured, uint64_t fn)
{
    struct measuring *measuring = measured->measuring;
    uintptr_t found = fn ? (uintptr_t)table_find(&measuring->functions, table_mix(fn), NULL, NULL) : 1;
    if (found)
        return (int64_t)found - 1;
    struct place_frame frame = place_function_frame(measured->load.places, fn);
    int64_t site = site_put(measured, &frame);
    if (site >= 0 && table_insert(&measuring->functions, table_mix(fn), (void *)(uintptr_t)(site + 1)))
        return -ENOMEM;
    return site;
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

double measured_quantile(const struct histogram *histogram, double share)
{
    double before = 0, rank = share * (double)histogram->count;
    unsigned cell = 0;
    int64_t low, high;
    uint64_t count;
    while (histogram_next(histogram, &cell, &low, &high, &count)) {
        double inside = (rank - before) / (double)count;
        if (inside <= 1) {
            double top = (double)(high < histogram->max ? high : histogram->max);
            return (double)low + (top - (double)low) * (inside > 0 ? inside : 0);
        }
        before += (double)count;
    }
    return (double)histogram->max;
}

static void window_close(struct measured_row *row)
{
    if (row->now.count)
        row->windows[row->now_index] = (struct measured_window){ row->now.count, measured_quantile(&row->now, 0.5) };
    histogram_clear(&row->now);
}

static int row_add(struct measured *measured, const struct measured_key *key, int64_t time_ns, int64_t value_ns)
{
    struct measuring *measuring = measured->measuring;
    size_t before = measuring->keys.count;
    if (time_ns < measured->from_ns || time_ns >= measured->to_ns)
        return 0;
    if (before == measuring->rows_room) {
        size_t room = before ? 2 * before : 64;
        struct measured_row *rows = reallocarray(measured->rows, room, sizeof *rows);
        if (!rows)
            return -ENOMEM;
        measured->rows = rows;
        measuring->rows_room = room;
    }
    int64_t number = intern_put(&measuring->keys, key, sizeof *key);
    if (number < 0)
        return -ENOMEM;
    struct measured_row *row = &measured->rows[number];
    if (measuring->keys.count > before) {
        *row = (struct measured_row){ .key = *key };
        measured->row_count = measuring->keys.count;
        row->windows = calloc(measured->window_room, sizeof *row->windows);
        if (!row->windows)
            return -ENOMEM;
    }
    if (histogram_add(&row->all, value_ns))
        return -ENOMEM;
    uint64_t window = (uint64_t)(time_ns - measured->from_ns) / (uint64_t)measured->window_ns;
    if (window >= measured->window_room)
        return 0;
    if (window > row->now_index) {
        window_close(row);
        row->now_index = window;
    }
    return histogram_add(&row->now, value_ns);
}

/* fn and stack by address and index; either may be 0. */
static int value_add(struct measured *measured, struct measured_key key, uint64_t fn, uint32_t stack, int64_t time_ns,
                     int64_t value_ns)
{
    int64_t fn_site = site_of_function(measured, fn), site = site_of_stack(measured, stack);
    if (fn_site < 0 || site < 0)
        return -ENOMEM;
    key.fn = (uint32_t)fn_site;
    key.site = (uint32_t)site;
    return row_add(measured, &key, time_ns, value_ns);
}

/* ---- Intervals --------------------------------------------------------------------------------------------------- */

static struct life *life_of(struct measuring *measuring, uint64_t id)
{
    struct life *life = table_find(&measuring->lives, table_mix(id), NULL, NULL);
    if (life)
        return life;
    life = calloc(1, sizeof *life);
    if (!life)
        return NULL;
    life->id = id;
    if (table_insert(&measuring->lives, table_mix(id), life)) {
        free(life);
        return NULL;
    }
    return life;
}

static void life_end(struct measuring *measuring, struct life *life)
{
    table_remove(&measuring->lives, table_mix(life->id), life);
    free(life);
}

static int run_ended(struct measured *measured, struct life *life, const struct interval *interval)
{
    const struct gmpt_event *event = measured->measuring->event;
    struct measured_key key = { .kind = MEASURED_RUNNING, .ended_by = (uint8_t)interval->ended_by };
    uint32_t stack = 0;
    switch (interval->ended_by) {
    case GMPT_EVENT_go_block:
        key.reason = (uint8_t)event->go_block.reason;
        stack = (uint32_t)event->go_block.stack;
        break;
    case GMPT_EVENT_syscall_begin:
        stack = (uint32_t)event->syscall_begin.stack;
        break;
    case GMPT_EVENT_go_yield:
    case GMPT_EVENT_go_exit:
        break;
    default:
        return 0; /* it goes on later */
    }
    bool known = !life->unsure;
    int64_t ran_ns = life->ran_ns;
    life->ran_ns = 0;
    life->unsure = false;
    return known ? value_add(measured, key, interval->g->fn, stack, interval->end_ns, ran_ns) : 0;
}

static int life_ended(struct measured *measured, const struct life *life, const struct interval *interval)
{
    struct measured_key key = { .kind = MEASURED_LIFE };
    return life->born ? value_add(measured, key, interval->g->fn, interval->g->create_stack, interval->end_ns,
                                  interval->end_ns - interval->g->created_ns)
                      : 0;
}

/* A wait, a call, or being runnable: over, unless only its labels changed. */
static int pause_ended(struct measured *measured, struct life *life, const struct interval *interval)
{
    int64_t lasted_ns = life->held_ns + interval->end_ns - interval->begin_ns;
    bool waits = interval->state == GMPT_G_WAITING, calls = interval->state == GMPT_G_SYSCALL;
    struct measured_key key = { .kind = waits   ? MEASURED_WAITING
                                        : calls ? MEASURED_CALL
                                                : MEASURED_RUNNABLE,
                                .reason = waits ? (uint8_t)interval->reason : 0 };
    bool goes_on = interval->ended_by == GMPT_EVENT_go_labels;
    life->held_ns = goes_on ? lasted_ns : 0;
    if (goes_on)
        return 0;
    bool placed = (waits || calls) && interval->stack;
    return value_add(measured, key, placed ? 0 : interval->g->fn, placed ? interval->stack : 0, interval->end_ns,
                     lasted_ns);
}

static int interval_add(void *measured_arg, const struct interval *interval)
{
    struct measured *measured = measured_arg;
    struct life *life = life_of(measured->measuring, interval->g->id);
    int result = 0;
    if (!life)
        return -ENOMEM;
    if (interval->began_by == GMPT_EVENT_go_create && !interval->continued) {
        life->born = true;
        result = value_add(measured, (struct measured_key){ .kind = MEASURED_START }, interval->g->fn,
                           interval->g->create_stack, interval->begin_ns, 0);
    }
    if (result || interval->ended_by == INTERVAL_TRACE_END)
        return result;
    switch (interval->state) {
    case GMPT_G_RUNNING:
    case GMPT_G_PREEMPTED:
        timesum_add(&life->ran_ns, interval->end_ns - interval->begin_ns);
        result = run_ended(measured, life, interval);
        break;
    case GMPT_G_RUNNABLE:
    case GMPT_G_WAITING:
    case GMPT_G_SYSCALL:
        result = pause_ended(measured, life, interval);
        break;
    default:
        life->unsure = true;
        life->ran_ns = life->held_ns = 0;
        break;
    }
    if (interval->ended_by != GMPT_EVENT_go_exit)
        return result;
    if (!result)
        result = life_ended(measured, life, interval);
    life_end(measured->measuring, life);
    return result;
}

/* ---- The trace --------------------------------------------------------------------------------------------------- */

static int no_memory(const struct measured *measured)
{
    cli_error("%s: %s", measured->path, strerror(ENOMEM));
    return CLI_MACHINE;
}

int measured_open(struct measured *measured)
{
    return load_prepare(&measured->load, &(struct load_options){ .path = measured->path });
}

int measured_length(struct measured *measured, int64_t *length_ns)
{
    int64_t end_ns = gmpt_trace_info(measured->load.trace)->expected_duration_ns;
    if (end_ns <= 0) {
        struct gmpt_event event;
        int result;
        while ((result = gmpt_trace_next(measured->load.trace, &event)) > 0)
            if (event.time_ns > end_ns)
                end_ns = event.time_ns;
        load_close(&measured->load);
        int status = result == -ENOMEM ? no_memory(measured) : measured_open(measured);
        if (status != CLI_OK)
            return status;
    }
    if (measured->to_ns < end_ns)
        end_ns = measured->to_ns;
    *length_ns = end_ns > measured->from_ns ? end_ns - measured->from_ns : 0;
    return CLI_OK;
}

static int measured_finish(struct measured *measured, int64_t end_ns)
{
    char first[16], last[16];
    if (measured->to_ns > end_ns)
        measured->to_ns = end_ns;
    measured->length_ns = measured->to_ns - measured->from_ns;
    if (measured->length_ns <= 0 && measured->from_ns > 0)
        return cli_usage("%s ends after %s, before %s", measured->path, cli_duration(first, end_ns),
                         cli_duration(last, measured->from_ns));
    uint64_t whole = measured->length_ns > 0 ? (uint64_t)(measured->length_ns / measured->window_ns) : 0;
    measured->window_count = whole < measured->window_room ? (size_t)whole : measured->window_room;
    for (size_t i = 0; i < measured->row_count; i++)
        window_close(&measured->rows[i]);
    return CLI_OK;
}

static void measuring_close(struct measuring *measuring)
{
    for (size_t i = 0; measuring->lives.slots && i <= measuring->lives.mask; i++)
        free(measuring->lives.slots[i].entry);
    table_clear(&measuring->lives);
    table_clear(&measuring->functions);
    intern_free(&measuring->keys);
    intern_free(&measuring->sites);
    free(measuring->of_stack);
}

int measured_read(struct measured *measured, int64_t window_ns)
{
    struct measuring measuring = { 0 };
    struct gmpt_event event;
    int result = 0, status = CLI_OK;
    measured->measuring = &measuring;
    measured->window_ns = window_ns;
    measured->window_room = MEASURED_WINDOWS_MAX;
    struct intervals *intervals = intervals_open(measured->load.trace, interval_add, measured);
    bool failed = !intervals || site_put(measured, &(struct place_frame){ .function = "" }) != 0;
    measuring.event = &event;
    while (!failed && (result = gmpt_trace_next(measured->load.trace, &event)) > 0) {
        measured->events += event.time_ns >= measured->from_ns && event.time_ns < measured->to_ns;
        failed = intervals_add(intervals, &event) != 0;
    }
    if (failed || result == -ENOMEM || intervals_finish(intervals, gmpt_trace_info(measured->load.trace)->duration_ns))
        status = no_memory(measured);
    if (status == CLI_OK)
        status = cli_trace_finish(measured->load.trace, measured->path, result);
    if (status == CLI_OK)
        status = measured_finish(measured, intervals_end_ns(intervals));
    intervals_close(intervals);
    measuring_close(&measuring);
    measured->measuring = NULL;
    return status;
}

void measured_close(struct measured *measured)
{
    for (size_t i = 0; i < measured->row_count; i++) {
        histogram_clear(&measured->rows[i].all);
        histogram_clear(&measured->rows[i].now);
        free(measured->rows[i].windows);
    }
    for (size_t i = 0; i < measured->site_count; i++)
        free((char *)(uintptr_t)measured->sites[i].function);
    free(measured->rows);
    free(measured->sites);
    load_close(&measured->load);
}
