/* See tracefile.h. */
#define _GNU_SOURCE
#include "tracefile.h"

#include "harness.h"
#include "trace/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *path_get(void)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/trace.data", harness_tmpdir());
    return path;
}

static int file_create(const char *path)
{
    unlink(path); /* ext4 writes a file that is made shorter and filled anew to the disk as it is closed */
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        ck_abort_msg("%s: %s", path, strerror(errno));
    return fd;
}

const char *tracefile_build(const char *text)
{
    struct gmpt_trace_error error;
    const char *path = path_get();
    int result = text_build(text, file_create(path), &error);
    if (result)
        ck_abort_msg("%s (%s)", error.message, strerror(-result));
    return path;
}

const char *tracefile_write(const uint8_t *bytes, size_t size)
{
    const char *path = path_get();
    int fd = file_create(path);
    if (size && write(fd, bytes, size) != (ssize_t)size)
        ck_abort_msg("%s: %s", path, strerror(errno));
    close(fd);
    return path;
}

uint8_t *tracefile_slurp(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        ck_abort_msg("%s: %s", path, strerror(errno));
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    if (fread(bytes, 1, *size, file) != *size)
        ck_abort_msg("%s: cannot read it", path);
    bytes[*size] = 0;
    fclose(file);
    return bytes;
}

static void read_events(struct gmpt_trace *trace, struct tracefile_result *result, FILE *out)
{
    struct gmpt_event event;
    char line[TEXT_EVENT_MAX];
    while ((result->last_result = gmpt_trace_next(trace, &event)) > 0) {
        result->event_count++;
        text_event(line, &event);
        fprintf(out, "%s\n", line);
    }
}

struct tracefile_result tracefile_read(const char *path)
{
    struct tracefile_result result = { 0 };
    size_t bytes;
    struct gmpt_trace *trace = gmpt_trace_open(path, &result.error);
    if (!trace) {
        result.events = strdup("open failed");
        result.last_result = -errno;
        return result;
    }
    FILE *out = open_memstream(&result.events, &bytes);
    read_events(trace, &result, out);
    fclose(out);
    result.gs_alive = gmpt_trace_g_count(trace);
    result.stack_count = gmpt_trace_stack_count(trace);
    result.counts = *gmpt_trace_counts(trace);
    result.info = *gmpt_trace_info(trace);
    result.info.command = result.info.host = NULL;
    result.error = *gmpt_trace_error_get(trace);
    gmpt_trace_close(trace);
    return result;
}

struct tracefile_result tracefile_run(const char *text) { return tracefile_read(tracefile_build(text)); }

char *tracefile_story(const char *text)
{
    struct tracefile_result result = tracefile_run(text);
    char *to = result.events;
    for (char *line = result.events; *line;) {
        char *end = strchrnul(line, '\n');
        char *space = memchr(line, ' ', (size_t)(end - line));
        char *from = space ? space + 1 : line;
        size_t length = (size_t)(end - from) + (*end == '\n');
        memmove(to, from, length);
        to += length;
        line = *end ? end + 1 : end;
    }
    *to = 0;
    return result.events;
}
