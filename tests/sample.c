/* A trace as the recorder writes it: P 0 runs the main G, which starts all others; P 1 runs those; the last ring is the
 * one without a P. Ticks are nanoseconds. */
#define _GNU_SOURCE
#include "sample.h"

#include "harness.h"

#include "trace/events.h"
#include "trace/segment.h"
#include "trace/writer.h"

#include <ctype.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RINGS 3
#define RING_BYTES (1 << 20)
#define START_TICKS 1000000ull
#define STEP_NS 100000000ull
#define GS_MAX 4096
#define SCATTER 4 /* all within one line of sample_worker and sample_starter */

/* Where the Gs of the sample wait and were started. Never called. */
__attribute__((noinline, used)) static void gmpt_sample_send(void) { __asm__ volatile("nop"); }
__attribute__((noinline, used)) static void gmpt_sample_go(void) { __asm__ volatile("nop; nop"); }
__attribute__((noinline, used)) static void sample_worker(void) { __asm__ volatile("nop; nop; nop"); }
__attribute__((noinline, used)) static void sample_starter(void) { __asm__ volatile("nop; nop; nop; nop"); }

struct ring_buffer {
    uint8_t bytes[RING_BYTES];
    size_t size;
    uint64_t ticks;
    uint32_t count;
};

struct sample {
    struct ring_buffer *rings;
    uint64_t seq[GS_MAX];
    int events;
};

static void put(struct sample *sample, int ring, uint64_t ticks, enum gmpt_event_type type, uint64_t a, uint64_t b,
                uint64_t c, uint64_t d)
{
    struct ring_buffer *buffer = &sample->rings[ring];
    uint64_t fields[GMPT_EVENT_FIELDS_MAX] = { a, b, c, d };
    if (buffer->size + EVENT_BYTES_MAX > RING_BYTES)
        ck_abort_msg("the sample is too large");
    ck_assert_uint_ge(ticks, buffer->ticks);
    uint8_t *end = event_encode(buffer->bytes + buffer->size, type, ticks - buffer->ticks, fields);
    buffer->size = (size_t)(end - buffer->bytes);
    buffer->ticks = ticks;
    buffer->count++;
    sample->events++;
}

static void put_create(struct sample *sample, uint64_t ticks, uint64_t g, void (*fn)(void), uint64_t stack)
{
    ck_assert_uint_lt(g, GS_MAX);
    put(sample, 0, ticks, GMPT_EVENT_go_create, g, (uint64_t)(uintptr_t)fn, stack, 0);
    sample->seq[g] = 1;
}

static void put_start(struct sample *sample, int ring, uint64_t ticks, uint64_t g)
{
    put(sample, ring, ticks, GMPT_EVENT_go_start, g, ++sample->seq[g], 0, 0);
}

static void put_all(struct sample *sample, const struct sample_options *options)
{
    uint64_t t = START_TICKS, g = 2;
    int most = options->leaks > options->healthy ? options->leaks : options->healthy;
    most = most > options->done ? most : options->done;
    put(sample, 0, t, GMPT_EVENT_proc_start, 4001, 0, 0, 0);
    put(sample, 1, t, GMPT_EVENT_proc_start, 4002, 0, 0, 0);
    put_create(sample, t + 10, 1, sample_starter, 0);
    put_start(sample, 0, t + 20, 1);
    for (int i = 0; i < most; i++) {
        t += STEP_NS;
        for (int kind = 0; kind < 3; kind++) {
            int count = kind == 0 ? options->leaks : kind == 1 ? options->healthy : options->done;
            if (i >= count)
                continue;
            uint64_t stack = 1 + (options->scattered ? g % SCATTER : 0);
            t += 10000;
            put_create(sample, t, g, sample_worker, stack);
            put_start(sample, 1, t + 1000, g);
            if (kind == 2)
                put(sample, 1, t + 2000, GMPT_EVENT_go_exit, 0, 0, 0, 0);
            else
                put(sample, 1, t + 2000, GMPT_EVENT_go_block, GMPT_WAIT_chan_send, 0xabc000 + g, kind == 1, stack);
            sample->seq[g++]++;
        }
    }
}

static int module_find(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    struct gmpt_module *module = arg;
    module->bias = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X)) {
            module->start = info->dlpi_addr + segment->p_vaddr;
            module->end = module->start + segment->p_memsz;
        }
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        const uint8_t *note = (const uint8_t *)(uintptr_t)(info->dlpi_addr + segment->p_vaddr);
        const uint8_t *end = note + segment->p_memsz;
        while (segment->p_type == PT_NOTE && end - note >= (long)sizeof(ElfW(Nhdr))) {
            ElfW(Nhdr) head;
            memcpy(&head, note, sizeof head);
            const uint8_t *id = note + sizeof head + ((head.n_namesz + 3) & ~3u);
            if (head.n_type == NT_GNU_BUILD_ID && head.n_descsz <= sizeof module->build_id) {
                memcpy(module->build_id, id, head.n_descsz);
                module->build_id_bytes = head.n_descsz;
            }
            note = id + ((head.n_descsz + 3) & ~3u);
        }
    }
    return 1; /* the first is the program itself */
}

static void put_tables(struct writer *writer, const struct sample_options *options)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    ck_assert_int_gt(length, 0);
    path[length] = 0;
    struct gmpt_module module = { .path = options->module ? options->module : path };
    dl_iterate_phdr(module_find, &module);
    if (!options->no_modules)
        writer_put_module(writer, &module);
    for (uint32_t i = 0; i < SCATTER; i++) {
        uint64_t create[] = { 2, (uint64_t)(uintptr_t)gmpt_sample_go + 1, (uint64_t)(uintptr_t)sample_starter + 1 + i };
        uint64_t wait[] = { options->tail_called ? 1 : 2, (uint64_t)(uintptr_t)gmpt_sample_send + 1,
                            (uint64_t)(uintptr_t)sample_worker + 1 + i };
        writer_put_stacks(writer, 0, 1 + i, create, 3);
        writer_put_stacks(writer, 1, 1 + i, wait, options->tail_called ? 2 : 3);
    }
}

static void put_rings(struct writer *writer, const struct sample *sample, const struct writer_clock *clock, bool apart)
{
    for (uint32_t ring = 0; ring < RINGS; ring++) {
        const struct ring_buffer *buffer = &sample->rings[ring];
        if (buffer->count == 0)
            continue;
        struct writer_events events = {
            .ring = ring,
            .tid = ring == 0 ? 4001 : 4002,
            .count = buffer->count,
            .bytes = buffer->bytes,
            .size = buffer->size,
        };
        if (apart || ring == 0)
            writer_put_clock(writer, clock);
        writer_put_events(writer, &events);
        if (apart)
            ck_assert_int_eq(writer_frame(writer), 0);
    }
    ck_assert_int_eq(writer_frame(writer), 0);
}

void sample_write(const char *path, const struct sample_options *options)
{
    struct sample *sample = calloc(1, sizeof *sample);
    ck_assert_ptr_nonnull(sample);
    sample->rings = calloc(RINGS, sizeof *sample->rings);
    ck_assert_ptr_nonnull(sample->rings);
    put_all(sample, options);

    int64_t length_ns = options->length_ns ? options->length_ns : 2000000000;
    struct writer_info info = {
        .pid = 4000,
        .p_count = 2,
        .clock = SEGMENT_CLOCK_MONOTONIC,
        .command = options->command ? options->command : "./sample --x 1",
        .host = "testhost 6.1",
    };
    struct writer_clock begin = { START_TICKS, START_TICKS, 1700000000000000000 };
    struct writer_clock end = { START_TICKS + (uint64_t)length_ns, (int64_t)START_TICKS + length_ns,
                                1700000000000000000 + length_ns };
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    struct writer *writer = writer_open(fd, &info, 1);
    ck_assert_ptr_nonnull(writer);
    writer_put_clock(writer, &begin);
    put_tables(writer, options);
    ck_assert_int_eq(writer_frame(writer), 0);
    if (options->lost)
        put(sample, 1, sample->rings[1].ticks + 1, GMPT_EVENT_lost, options->lost, 1, 0, 0);
    put_rings(writer, sample, &end, options->apart);
    if (!options->no_end) {
        struct writer_ring_end rings[RINGS] = { { 0 } };
        for (int ring = 0; ring < RINGS; ring++)
            rings[ring].emitted = sample->rings[ring].count;
        if (options->lost) {
            rings[1].emitted += options->lost - 1; /* the marker is not a record of the program */
            rings[1].lost = options->lost;
        }
        writer_put_clock(writer, &end);
        writer_put_end(writer, options->still_running ? 0 : 1, 0, rings, RINGS);
        ck_assert_int_eq(writer_frame(writer), 0);
    }
    ck_assert_int_eq(writer_close(writer), 0);
    free(sample->rings);
    free(sample);
}

int sample_events(const struct sample_options *options)
{
    return 4 + 3 * (options->leaks + options->healthy + options->done);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static bool json_decimals; /* numbers may have a fraction */

static const char *json_value(const char *p, int depth);

static const char *json_space(const char *p)
{
    while (*p && strchr(" \t\r\n", *p))
        p++;
    return p;
}

static const char *json_string(const char *p)
{
    if (*p++ != '"')
        return NULL;
    while (*p != '"') {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p == '\\' && !strchr("\"\\/bfnrtu", p[1]))
            return NULL;
        p += *p == '\\' ? 2 : 1;
    }
    return p + 1;
}

static const char *json_list(const char *p, char close, int depth)
{
    p = json_space(p + 1);
    if (*p == close)
        return p + 1;
    for (;;) {
        if (close == '}') {
            p = json_string(p);
            p = p ? json_space(p) : NULL;
            if (!p || *p++ != ':')
                return NULL;
        }
        p = json_value(json_space(p), depth + 1);
        p = p ? json_space(p) : NULL;
        if (!p || (*p != ',' && *p != close))
            return NULL;
        if (*p++ == close)
            return p;
        p = json_space(p);
    }
}

static const char *json_value(const char *p, int depth)
{
    static const char *const words[] = { "true", "false", "null" };
    if (depth > 50)
        return NULL;
    if (*p == '{')
        return json_list(p, '}', depth);
    if (*p == '[')
        return json_list(p, ']', depth);
    if (*p == '"')
        return json_string(p);
    for (int i = 0; i < 3; i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    if (*p == '-')
        p++;
    if (!isdigit((unsigned char)*p) || (*p == '0' && isdigit((unsigned char)p[1])))
        return NULL;
    while (isdigit((unsigned char)*p))
        p++;
    if (json_decimals && *p == '.' && isdigit((unsigned char)p[1]))
        for (p++; isdigit((unsigned char)*p);)
            p++;
    if (json_decimals && *p == 'e' && strchr("+-", p[1]) && isdigit((unsigned char)p[2]))
        for (p += 2; isdigit((unsigned char)*p);)
            p++;
    return p; /* our numbers are whole unless said otherwise: a fraction is a mistake */
}

bool sample_json_valid(const char *text)
{
    const char *end = json_value(json_space(text), 0);
    return end && *json_space(end) == 0;
}

bool sample_json_valid_decimals(const char *text)
{
    json_decimals = true;
    bool valid = sample_json_valid(text);
    json_decimals = false;
    return valid;
}
