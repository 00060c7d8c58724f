/* The public reader: loads frames, keeps what their tables say, feeds the order with their events, and says at the end
 * what the file lacks. */
#define _GNU_SOURCE
#include "reader.h"

#include "frames.h"
#include "misfit.h"
#include "nameset.h"
#include "order.h"
#include "sections.h"
#include "table.h"

#include <gmptrace/trace.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULES_MAX 65536
#define MODULE_PATH_MAX 4096
#define SKEW_MAX_NS 1000000 /* more than the clocks of two CPUs differ by; after a loss, time steps back no more */
#define BUG_PATIENCE_NS 2000000000 /* how long a record may wait for a cause, as long as nothing is lost */
#define BUFFER_SOFT (2 * (uint64_t)FORMAT_FRAME_MAX) /* above: time may give way, cause and effect not yet */
#define BUFFER_HARD (3 * (uint64_t)FORMAT_FRAME_MAX) /* above: nothing is waited for */

struct module_entry {
    struct gmpt_module module;
    char path[];
};

struct gmpt_trace {
    struct frames_file *file;
    struct gmpt_trace_error error;
    struct gmpt_trace_info info;
    char *command, *host, *left_out;
    struct clockmap clocks;
    struct stackset stacks;
    struct nameset names;
    struct event_schema schema;
    struct order order;
    struct module_entry **modules; /* by start address */
    struct table known_modules;    /* the same by their content */
    size_t module_count, module_room;
    uint64_t hold_ticks;         /* the newest frame's snapshot */
    uint64_t earlier_hold_ticks; /* of the last frame with another one */
    uint64_t lost;               /* by the end section */
    uint64_t first_ticks;        /* of the events in the frame that is being loaded */
    int64_t skipped_ns;          /* of the time between frames that have damage between them */
    bool end_seen, finished, reported;
    int last_result; /* of gmpt_trace_next, once finished */
};

/* ---- Sections --------------------------------------------------------------------------------------------------- */

static char *text_copy(const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    return copy;
}

static int info_string(const struct section *section, const char *key, char **place, const char **out)
{
    size_t length;
    const char *value = section_info(section, key, &length);
    if (!value || *place)
        return 0;
    *out = *place = text_copy(value, length);
    return *place ? 0 : -ENOMEM;
}

static int info_load(struct gmpt_trace *trace, const struct section *section)
{
    int64_t p_count = section_info_number(section, "p_count"), pid = section_info_number(section, "pid");
    int64_t maxprocs = section_info_number(section, "maxprocs");
    int64_t quota_cpus = section_info_number(section, "quota_cpus");
    if (p_count > SEGMENT_MAX_PS || maxprocs > SEGMENT_MAX_PS || quota_cpus > SEGMENT_MAX_PS || pid > UINT32_MAX)
        return -EPROTO;
    if (p_count > 0)
        trace->info.p_count = trace->order.p_count = (uint32_t)p_count;
    trace->info.maxprocs = maxprocs > 0 ? (uint32_t)maxprocs : trace->info.p_count;
    trace->info.quota_cpus = quota_cpus > 0 ? (uint32_t)quota_cpus : 0;
    if (pid > 0)
        trace->info.pid = (uint32_t)pid;
    int64_t frames = section_info_number(section, "stack_frames");
    trace->info.stack_frames = frames >= 0 && frames < STACK_DEPTH_MAX ? (uint32_t)frames : STACK_DEPTH_MAX;
    trace->info.attached = trace->order.attached = section_info_number(section, "attached") == 1;
    int result = info_string(section, "command", &trace->command, &trace->info.command);
    if (result == 0)
        result = info_string(section, "left_out", &trace->left_out, &trace->info.left_out);
    return result ? result : info_string(section, "host", &trace->host, &trace->info.host);
}

struct module_key {
    const struct gmpt_module *module;
    const char *path;
    size_t path_bytes;
};

static bool module_equals(const void *entry, const void *key)
{
    const struct module_entry *own = entry;
    const struct module_key *other = key;
    return own->module.start == other->module->start && own->module.end == other->module->end &&
           strlen(own->path) == other->path_bytes && memcmp(own->path, other->path, other->path_bytes) == 0;
}

static uint64_t module_hash(const struct module_key *key)
{
    uint64_t hash = table_mix(key->module->start ^ table_mix(key->module->end));
    for (size_t i = 0; i < key->path_bytes; i++)
        hash = table_mix(hash ^ (uint8_t)key->path[i]);
    return hash;
}

/* Where a module that starts there goes: behind those that start there or before. */
static size_t module_place(const struct gmpt_trace *trace, uint64_t start)
{
    size_t low = 0, high = trace->module_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (trace->modules[middle]->module.start <= start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Modules with the same range and path are one; others may follow each other at the same address. A file may have very
 * many, so none is looked for one by one. */
static int module_load(struct gmpt_trace *trace, const struct section *section)
{
    struct gmpt_module module;
    struct module_key key = { &module, NULL, 0 };
    int result = section_module(section, &module, &key.path, &key.path_bytes);
    const char *nul = result ? NULL : memchr(key.path, 0, key.path_bytes);
    if (result || key.path_bytes > MODULE_PATH_MAX)
        return -EPROTO;
    if (nul)
        key.path_bytes = (size_t)(nul - key.path);
    uint64_t hash = module_hash(&key);
    if (table_find(&trace->known_modules, hash, module_equals, &key))
        return 0;
    if (trace->module_count == MODULES_MAX)
        return -EPROTO;
    if (trace->module_count == trace->module_room) {
        size_t room = trace->module_room ? trace->module_room * 2 : 16;
        struct module_entry **modules = realloc(trace->modules, room * sizeof *modules);
        if (!modules)
            return -ENOMEM;
        trace->modules = modules;
        trace->module_room = room;
    }
    struct module_entry *entry = malloc(sizeof *entry + key.path_bytes + 1);
    if (!entry || table_insert(&trace->known_modules, hash, entry)) {
        free(entry);
        return -ENOMEM;
    }
    entry->module = module;
    entry->module.path = entry->path;
    memcpy(entry->path, key.path, key.path_bytes);
    entry->path[key.path_bytes] = 0;
    size_t at = module_place(trace, module.start);
    memmove(trace->modules + at + 1, trace->modules + at, (trace->module_count - at) * sizeof *trace->modules);
    trace->modules[at] = entry;
    trace->module_count++;
    return 0;
}

static int stacks_load(struct gmpt_trace *trace, const struct section *section)
{
    struct section_stacks stacks;
    uint64_t pc[SECTION_STACK_MAX];
    uint32_t count;
    int result = section_stacks_begin(section, &stacks);
    while (result == 0 && (result = section_stacks_next(&stacks, pc, &count)) > 0)
        result = stackset_add(&trace->stacks, stacks.ring, stacks.ordinal - 1, pc, count);
    return result;
}

static int names_load(struct gmpt_trace *trace, const struct section *section)
{
    struct section_dictionary dictionary;
    struct section_name name;
    int result = section_dictionary_begin(section, &dictionary);
    while (result == 0 && (result = section_dictionary_next(&dictionary, &name)) > 0)
        result = nameset_add(&trace->names, &name);
    return result;
}

static int end_load(struct gmpt_trace *trace, const struct section *section)
{
    struct section_end end;
    int result = section_end_parse(section, &end);
    if (result)
        return result;
    struct gmpt_trace_counts *counts = &trace->order.counts;
    counts->emitted = counts->stacks_lost = trace->lost = 0;
    for (uint32_t i = 0; i < end.ring_count; i++) {
        counts->emitted += end.rings[i].emitted;
        trace->lost += end.rings[i].lost;
        trace->order.lane[i].lost_at_end = end.rings[i].lost;
        counts->stacks_lost += end.rings[i].stacks_lost;
    }
    counts->stacks_lost += trace->stacks.refused;
    trace->info.exit_kind = end.exit_kind;
    trace->info.exit_code = end.exit_code;
    trace->end_seen = true;
    return 0;
}

static int section_load(struct gmpt_trace *trace, const struct section *section, struct frame *frame)
{
    struct section_events events;
    struct writer_clock clock;
    int result;
    switch (section->kind) {
    case FORMAT_CLOCK:
        result = section_clock(section, &clock);
        if (result == 0)
            clockmap_add(&trace->clocks, &clock);
        return result;
    case FORMAT_INFO:
        return info_load(trace, section);
    case FORMAT_SCHEMA:
        return event_schema_parse(&trace->schema, (const char *)section->bytes,
                                  (size_t)(section->end - section->bytes));
    case FORMAT_MODULE:
        return module_load(trace, section);
    case FORMAT_STACKS:
        return stacks_load(trace, section);
    case FORMAT_DICTIONARY:
        return names_load(trace, section);
    case FORMAT_EVENTS:
        result = section_events(section, &events);
        if (result)
            return result;
        if (events.part.base_ticks < trace->first_ticks)
            trace->first_ticks = events.part.base_ticks;
        return order_add(&trace->order, &events, frame);
    case FORMAT_END:
        return end_load(trace, section);
    default:
        return 0;
    }
}

/* ---- Frames ----------------------------------------------------------------------------------------------------- */

/* How far the order may go with what has been loaded; see order.h. */
static void limits_set(struct gmpt_trace *trace, uint64_t hold_ticks)
{
    struct order *order = &trace->order;
    if (hold_ticks != trace->hold_ticks)
        trace->earlier_hold_ticks = trace->hold_ticks;
    trace->hold_ticks = order->hold_ticks = hold_ticks;
    order->plain_ticks = 0;
    order->patience_ticks = clockmap_ticks_in(&trace->clocks, SKEW_MAX_NS);
    if (!order->excused)
        order->force_ticks = clockmap_ticks_ago(&trace->clocks, BUG_PATIENCE_NS);
    else if (hold_ticks > order->patience_ticks && hold_ticks - order->patience_ticks > trace->earlier_hold_ticks)
        order->force_ticks = hold_ticks - order->patience_ticks;
    else
        order->force_ticks = trace->earlier_hold_ticks;
    if (order->buffered_bytes <= BUFFER_SOFT)
        return;
    /* The recorder was late, and its round has more than fits here. It writes a round oldest first, so what is loaded
     * is nearly complete up to where the lane that came least far stands. */
    uint64_t watermark = order_watermark(order);
    if (watermark > order->hold_ticks)
        order->hold_ticks = watermark;
    if (order->excused && watermark > order->force_ticks)
        order->force_ticks = watermark;
}

/* Nothing more can go on with what is loaded: time gives way first, then all else. What is forced to keep memory
 * bounded may have its cause in the next frame, so from here on nothing that does not fit proves a bug. */
static bool limits_lift(struct order *order)
{
    if (order->buffered_bytes <= BUFFER_HARD || order->force_ticks == UINT64_MAX)
        return false;
    if (order->hold_ticks == UINT64_MAX) {
        order->excused = true;
        order->force_ticks = UINT64_MAX;
    }
    order->hold_ticks = UINT64_MAX;
    order->plain_ticks = 0;
    return true;
}

/* How long the records were emitted for that lay between a frame with the snapshot `before` and the one just loaded,
 * with the snapshot `after`: up to its first record, should it have any. */
static int64_t skipped_since(struct gmpt_trace *trace, uint64_t before, uint64_t after)
{
    uint64_t until = trace->first_ticks < after ? trace->first_ticks : after;
    return until > before ? clockmap_ns(&trace->clocks, until) - clockmap_ns(&trace->clocks, before) : 0;
}

/* Loads the sections of a frame. Tables come before what names them, so one pass does. */
static int frame_load(struct gmpt_trace *trace, struct frame *frame)
{
    const uint8_t *p = frame->bytes, *end = frame->bytes + frame->size;
    struct section section = { 0 };
    bool clock_seen = false;
    uint64_t hold_ticks = trace->hold_ticks;
    bool clocks_before = trace->clocks.count > 0;
    int result;
    if (frame->after_damage)
        order_damage(&trace->order);
    trace->first_ticks = UINT64_MAX;
    while ((result = section_next(&p, end, &section)) > 0) {
        if (section.kind == FORMAT_CLOCK && !clock_seen) {
            struct writer_clock clock;
            clock_seen = section_clock(&section, &clock) == 0;
            if (clock_seen)
                hold_ticks = clock.ticks;
        }
        if ((result = section_load(trace, &section, frame)))
            break;
    }
    if (result == -EPROTO) {
        frames_error(&trace->error, frame->offset,
                     "the frame is damaged: its section of kind %u at byte %td is malformed",
                     p < end && section.bytes ? section.kind : 0u, p - frame->bytes);
        order_damage(&trace->order);
        result = 0;
    }
    if (frame->after_damage && clocks_before)
        trace->skipped_ns += skipped_since(trace, trace->hold_ticks, hold_ticks);
    limits_set(trace, hold_ticks);
    trace->info.duration_ns = clockmap_last_ns(&trace->clocks);
    trace->info.start_realtime_ns = trace->clocks.first_realtime_ns;
    trace->info.start_monotonic_ns = trace->clocks.first_monotonic_ns;
    return result;
}

static void trace_finish(struct gmpt_trace *trace, int result)
{
    trace->finished = true;
    trace->reported = result != 0; /* that it cannot be read further */
    trace->last_result = result;
    if (frames_ending(trace->file) == FRAMES_DAMAGED) {
        order_damage(&trace->order);
        if (result == 0)
            trace->last_result = -EPROTO;
    }
    order_finish(&trace->order, !trace->end_seen);
}

/* Adds to the message about damage how much of the file it cost. */
static void damage_report(struct gmpt_trace *trace, uint64_t missing, double missing_s)
{
    const struct frames_head *head = frames_head(trace->file);
    char *message = trace->error.message, places[64] = "";
    size_t used = strlen(message);
    if (trace->order.damaged > 1)
        snprintf(places, sizeof places, " (the last of %u damaged places)", trace->order.damaged);
    if (head->bytes)
        snprintf(message + used, sizeof trace->error.message - used,
                 "%s; %llu of %llu events and %.3f of %.3f seconds are missing", places, (unsigned long long)missing,
                 (unsigned long long)head->events, missing_s, (double)head->duration_ns / 1e9);
    else
        snprintf(message + used, sizeof trace->error.message - used,
                 "%s; the file does not say how much there was; at least %.3f seconds are missing", places, missing_s);
}

/* Once all that can be read has been given out: says what the file lacks, and whether that is nothing. */
static void missing_report(struct gmpt_trace *trace)
{
    const struct frames_head *head = frames_head(trace->file);
    int64_t size = frames_size(trace->file), at = frames_offset(trace->file);
    uint64_t read = trace->order.counts.kept + trace->order.markers;
    uint64_t missing = head->events > read ? head->events - read : 0;
    double missing_s = (double)trace->skipped_ns / 1e9;
    if (head->duration_ns > trace->info.duration_ns)
        missing_s += ((double)head->duration_ns - (double)trace->info.duration_ns) / 1e9;
    trace->info.whole = trace->end_seen && trace->order.damaged == 0 && missing == 0;
    if (trace->info.whole)
        return;
    if (!trace->end_seen && frames_ending(trace->file) != FRAMES_DAMAGED && head->bytes > size) {
        frames_error(
            &trace->error, at,
            "the file is cut off: %lld of its %lld bytes, with %llu of %llu events and %.3f of %.3f seconds, are "
            "missing",
            (long long)(head->bytes - size), (long long)head->bytes, (unsigned long long)missing,
            (unsigned long long)head->events, missing_s, (double)head->duration_ns / 1e9);
    } else if (trace->order.damaged) {
        damage_report(trace, missing, missing_s);
    } else if (trace->end_seen) {
        frames_error(&trace->error, -1, "%s", "frames have been taken out of the file");
        damage_report(trace, missing, missing_s);
    } else if (frames_ending(trace->file) == FRAMES_CUT) {
        frames_error(&trace->error, at,
                     "the file was never finished and ends inside a frame: at least %lld bytes are missing",
                     (long long)frames_missing(trace->file));
    } else if (trace->error.message[0] == 0) {
        frames_error(&trace->error, at, "the file %s",
                     head->bytes ? "says nothing about how the recording ended"
                                 : "was never finished: the recording was cut short");
    }
}

/* Loads one more frame. Returns 0 or -errno. */
static int trace_load(struct gmpt_trace *trace)
{
    struct frame *frame;
    int result = trace->end_seen ? 0 : frames_next(trace->file, &frame, &trace->error);
    if (result > 0) {
        result = frame_load(trace, frame);
        frame_release(frame);
    } else {
        if (result < 0)
            frames_error(&trace->error, frames_offset(trace->file), "cannot read it: %s", strerror(-result));
        trace_finish(trace, result);
        result = 0;
    }
    return result;
}

/* A file that is whole has what the rings' ends say. */
static void emitted_check(struct gmpt_trace *trace)
{
    struct gmpt_trace_counts *counts = &trace->order.counts;
    if (!trace->info.whole || counts->emitted == 0 || counts->emitted == counts->kept + counts->lost)
        return;
    if (counts->violations++ == 0)
        frames_error(&trace->order.violation, -1,
                     "the program emitted %llu records, of which %llu were lost, and %llu are here",
                     (unsigned long long)counts->emitted, (unsigned long long)counts->lost,
                     (unsigned long long)counts->kept);
}

/* The order has nothing to give out: reads on, or says how it all ended. */
static int trace_more(void *trace_arg)
{
    struct gmpt_trace *trace = trace_arg;
    if (trace->finished) {
        if (trace->end_seen)
            trace->order.counts.lost = trace->lost; /* the last losses of a ring have no record */
        if (!trace->reported) {
            missing_report(trace);
            misfit_excuse(&trace->order);
            misfit_account(&trace->order);
            emitted_check(trace);
        }
        trace->reported = true;
        return trace->last_result;
    }
    int result = limits_lift(&trace->order) ? 0 : trace_load(trace);
    return result ? result : 1;
}

/* ---- Public ----------------------------------------------------------------------------------------------------- */

struct gmpt_trace *gmpt_trace_open(const char *path, struct gmpt_trace_error *error)
{
    struct gmpt_trace *trace = calloc(1, sizeof *trace);
    if (!trace) {
        frames_error(error, -1, "out of memory");
        errno = ENOMEM;
        return NULL;
    }
    trace->file = frames_open(path, &trace->error);
    if (!trace->file) {
        int saved = errno;
        *error = trace->error;
        free(trace);
        errno = saved;
        return NULL;
    }
    event_schema_init(&trace->schema);
    order_init(&trace->order, &trace->clocks, &trace->stacks, &trace->schema, &trace->error, trace_more, trace);
    const struct frames_head *head = frames_head(trace->file);
    trace->info = (struct gmpt_trace_info){
        .format_version = head->version,
        .command = "",
        .host = "",
        .left_out = "",
        .stack_frames = STACK_DEPTH_MAX,
        .file_bytes = frames_size(trace->file),
        .expected_bytes = head->bytes,
        .expected_events = head->events,
        .expected_duration_ns = head->duration_ns,
    };
    int result = trace_load(trace); /* the first frame says what was recorded */
    if (result) {
        frames_error(error, -1, "out of memory");
        gmpt_trace_close(trace);
        errno = -result;
        return NULL;
    }
    *error = trace->error;
    return trace;
}

void gmpt_trace_close(struct gmpt_trace *trace)
{
    if (!trace)
        return;
    order_clear(&trace->order);
    frames_close(trace->file);
    stackset_clear(&trace->stacks);
    nameset_clear(&trace->names);
    for (size_t i = 0; i < trace->module_count; i++)
        free(trace->modules[i]);
    free(trace->modules);
    table_clear(&trace->known_modules);
    free(trace->command);
    free(trace->host);
    free(trace->left_out);
    free(trace);
}

int gmpt_trace_next(struct gmpt_trace *trace, struct gmpt_event *event) { return order_next(&trace->order, event); }

int trace_next_batch(struct gmpt_trace *trace, struct gmpt_event *events, int room)
{
    return order_next_batch(&trace->order, events, room);
}

const struct gmpt_trace_error *gmpt_trace_error_get(const struct gmpt_trace *trace) { return &trace->error; }
const struct gmpt_trace_error *gmpt_trace_violation(const struct gmpt_trace *trace) { return &trace->order.violation; }
const struct gmpt_trace_info *gmpt_trace_info(const struct gmpt_trace *trace) { return &trace->info; }
const struct gmpt_trace_counts *gmpt_trace_counts(const struct gmpt_trace *trace) { return &trace->order.counts; }

struct gmpt_stack gmpt_trace_stack(const struct gmpt_trace *trace, uint32_t index)
{
    return stackset_get(&trace->stacks, index);
}

uint32_t gmpt_trace_stack_count(const struct gmpt_trace *trace) { return trace->stacks.count; }
size_t gmpt_trace_module_count(const struct gmpt_trace *trace) { return trace->module_count; }

const struct gmpt_module *gmpt_trace_module(const struct gmpt_trace *trace, size_t index)
{
    return index < trace->module_count ? &trace->modules[index]->module : NULL;
}

const char *gmpt_trace_string(const struct gmpt_trace *trace, uint64_t number)
{
    return nameset_string(&trace->names, number);
}

uint32_t gmpt_trace_label_count(const struct gmpt_trace *trace, uint64_t labels)
{
    return nameset_label_count(&trace->names, labels);
}

struct gmpt_trace_label gmpt_trace_label(const struct gmpt_trace *trace, uint64_t labels, uint32_t index)
{
    return nameset_label(&trace->names, labels, index);
}

const char *gmpt_trace_log_text(const struct gmpt_trace *trace, size_t *bytes)
{
    if (bytes)
        *bytes = trace->order.log_bytes;
    return trace->order.log_text;
}

const struct gmpt_g *gmpt_trace_g(const struct gmpt_trace *trace, uint64_t id)
{
    const struct gtable_g *g = id ? idtable_look(&trace->order.gs.ids, id) : NULL;
    return g ? &g->g : NULL;
}

uint64_t gmpt_trace_g_count(const struct gmpt_trace *trace) { return order_g_count(&trace->order); }

int gmpt_trace_each_g(const struct gmpt_trace *trace, int (*fn)(const struct gmpt_g *g, void *arg), void *arg)
{
    const struct table *table = &trace->order.gs.ids.table;
    for (size_t i = 0; table->slots && i <= table->mask; i++) {
        const struct gtable_g *g = table->slots[i].entry;
        if (!g || g == trace->order.dead)
            continue;
        int result = fn(&g->g, arg);
        if (result)
            return result;
    }
    return 0;
}
