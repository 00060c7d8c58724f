/* The reader and what is behind it: the order, the state of each G, the summary with suspects and spans, the intervals,
 * whose sums must be the summary's whatever the input, and the text forms. The symbolizer is left out: it opens the
 * files that a trace names, and these are not the fuzzer's. */
#define _GNU_SOURCE
#include "targets.h"

#include "trace/format.h"
#include "trace/intervals.h"
#include "trace/spans.h"
#include "trace/summary.h"
#include "trace/text.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

int fuzz_scratch(void)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET))
        abort();
    return fd;
}

static void file_write(int fd, const void *bytes, size_t size)
{
    if (write(fd, bytes, size) != (ssize_t)size)
        abort();
}

/* Looks at all that a tool would look at, so that a pointer or an index that is no good is found. */
static void event_look(const struct gmpt_trace *trace, const struct gmpt_event *event, uint64_t *sum)
{
    char line[TEXT_EVENT_MAX];
    size_t length;
    *sum += text_event(line, event);
    *sum += (uint8_t)gmpt_event_name(event->type)[0];
    const struct gmpt_g *g = gmpt_trace_g(trace, event->g);
    if (g) {
        *sum += g->id + (uint8_t)gmpt_g_state_words(g->state)[0] + (uint8_t)gmpt_wait_reason_words(g->reason)[0];
        *sum += strlen(gmpt_trace_string(trace, g->name));
        for (uint32_t i = 0; i < gmpt_trace_label_count(trace, g->labels); i++) {
            struct gmpt_trace_label label = gmpt_trace_label(trace, g->labels, i);
            *sum += strlen(label.key) + strlen(label.value);
        }
    }
    if (event->type == GMPT_EVENT_user_log)
        *sum += strlen(gmpt_trace_log_text(trace, &length)) + length;
}

static int g_look(const struct gmpt_g *g, void *sum)
{
    *(uint64_t *)sum += g->id;
    return 0;
}

static void end_look(const struct gmpt_trace *trace, const struct summary *summary, uint64_t *sum)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(trace);
    *sum += strlen(info->command) + strlen(info->host) + strlen(gmpt_trace_error_get(trace)->message);
    *sum += gmpt_trace_counts(trace)->kept;
    gmpt_trace_each_g(trace, g_look, sum);
    for (uint32_t i = 0; i <= gmpt_trace_stack_count(trace); i++) {
        struct gmpt_stack stack = gmpt_trace_stack(trace, i);
        for (uint32_t k = 0; k < stack.count; k++)
            *sum += stack.pc[k];
    }
    for (size_t i = 0; i < gmpt_trace_module_count(trace); i++)
        *sum += strlen(gmpt_trace_module(trace, i)->path);
    size_t count;
    *sum += (uint64_t)summary_totals(summary)->length_ns + (uint64_t)summary_stuck_ns(summary);
    const struct summary_site *sites = summary_sites(summary, &count);
    for (size_t i = 0; i < count; i++)
        *sum += sites[i].created;
    const struct summary_group *groups = summary_groups(summary, &count);
    for (size_t i = 0; i < count; i++)
        *sum += groups[i].count + (uint64_t)groups[i].verdict;
    const struct span_kind *regions = spans_regions(summary_spans(summary), &count);
    for (size_t i = 0; i < count; i++)
        *sum += strlen(gmpt_trace_string(trace, regions[i].name));
}

struct times {
    int64_t state_ns[GMPT_G_STATES];
};

static void time_sum(int64_t *sum_ns, int64_t ns)
{
    if (__builtin_add_overflow(*sum_ns, ns, sum_ns))
        *sum_ns = INT64_MAX;
}

static int interval_look(void *times_arg, const struct interval *interval)
{
    struct times *times = times_arg;
    if (interval->begin_ns < interval->g->created_ns || interval->begin_ns > interval->end_ns ||
        interval->state >= GMPT_G_STATES || interval->reason >= GMPT_WAIT_REASONS)
        abort();
    time_sum(&times->state_ns[interval->state], interval->end_ns - interval->begin_ns);
    return 0;
}

static void times_compare(const struct times *times, const struct summary *summary)
{
    const struct summary_totals *totals = summary_totals(summary);
    if (memcmp(times->state_ns, totals->state_ns, sizeof times->state_ns) != 0)
        abort();
}

int fuzz_trace_read(int fd)
{
    char path[32];
    struct gmpt_trace_error error;
    struct gmpt_event event;
    uint64_t sum = 0;
    int result, whole = 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    if (!trace)
        return 0;
    struct times times = { 0 };
    struct intervals *intervals = intervals_open(trace, interval_look, &times);
    struct summary *summary = summary_open(trace, NULL);
    if (!summary || !intervals)
        goto out;
    while ((result = gmpt_trace_next(trace, &event)) > 0) {
        event_look(trace, &event, &sum);
        if (summary_add(summary, &event) || intervals_add(intervals, &event))
            goto out;
    }
    if (summary_finish(summary) || intervals_finish(intervals, gmpt_trace_info(trace)->duration_ns))
        goto out;
    times_compare(&times, summary);
    end_look(trace, summary, &sum);
    whole = result == 0 && gmpt_trace_info(trace)->whole;
out:
    __asm__ volatile("" : : "r"(sum)); /* or the compiler may leave the looking out */
    summary_close(summary);
    intervals_close(intervals);
    gmpt_trace_close(trace);
    return whole;
}

static void dump(int fd)
{
    static FILE *nowhere;
    char path[32];
    struct gmpt_trace_error error;
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (nowhere)
        text_dump(path, nowhere, &error);
}

void fuzz_file(const uint8_t *data, size_t size)
{
    int fd = fuzz_scratch();
    file_write(fd, data, size);
    fuzz_trace_read(fd);
    dump(fd);
}

static void u32_put(uint8_t *p, uint32_t value)
{
    value = htole32(value);
    memcpy(p, &value, sizeof value);
}

/* The head of a file that was never finished. */
static void head_write(int fd)
{
    uint8_t head[FORMAT_HEAD_BYTES] = FORMAT_MAGIC;
    u32_put(head + 8, FORMAT_VERSION);
    u32_put(head + 12, FORMAT_HEAD_BYTES);
    u32_put(head + FORMAT_HEAD_BYTES - 4, format_check(head, FORMAT_HEAD_BYTES - 4));
    file_write(fd, head, sizeof head);
}

static void frame_write(int fd, const uint8_t *content, size_t size)
{
    static ZSTD_CCtx *zstd;
    if (!zstd && !(zstd = ZSTD_createCCtx()))
        abort();
    size_t room = ZSTD_compressBound(size);
    uint8_t head[FORMAT_FRAME_HEAD_BYTES], *stored = malloc(room);
    size_t stored_bytes = stored ? ZSTD_compressCCtx(zstd, stored, room, content, size, 1) : 0;
    if (!stored || ZSTD_isError(stored_bytes))
        abort();
    u32_put(head, FORMAT_FRAME_MAGIC);
    u32_put(head + 4, (uint32_t)stored_bytes);
    u32_put(head + 8, (uint32_t)size);
    u32_put(head + 12, format_check(head, 12));
    file_write(fd, head, sizeof head);
    file_write(fd, stored, stored_bytes);
    free(stored);
}

void fuzz_sections(const uint8_t *data, size_t size)
{
    int fd = fuzz_scratch();
    head_write(fd);
    while (size >= 4) {
        uint32_t bytes;
        memcpy(&bytes, data, sizeof bytes);
        bytes = le32toh(bytes);
        data += 4;
        size -= 4;
        size_t content = bytes < size ? bytes : size;
        frame_write(fd, data, content);
        data += content;
        size -= content;
    }
    fuzz_trace_read(fd);
    dump(fd);
}

void fuzz_text(const uint8_t *data, size_t size)
{
    struct gmpt_trace_error error;
    int fd = fuzz_scratch(), own = dup(fd);
    char *text = malloc(size + 1);
    if (own < 0 || !text)
        abort();
    memcpy(text, data, size);
    text[size] = 0;
    if (text_build(text, own, &error) == 0) {
        fuzz_trace_read(fd);
        dump(fd);
    }
    free(text);
}
