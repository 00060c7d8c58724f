/* A census without a recording. See look.h. */
#include "look.h"

#include "census.h"
#include "drain.h"
#include "recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define LEVEL (-1) /* it is read once, and soon */
/* Of the segment's drain, which only reads tables here: no ring is in an epoch that was never begun. */
#define EPOCH_OF_NOBODY UINT32_MAX

static struct writer_clock clock_now(const struct segment *segment)
{
    struct recorder_moment now = recorder_moment_now();
    return recorder_moment_clock(&now, segment->clock);
}

static int gs_write(const struct segment *segment, struct census *census, struct writer *writer)
{
    struct writer_clock start = clock_now(segment);
    for (int more = 1; more;) {
        writer_put_clock(writer, &start);
        more = census_step(census, writer, start.ticks);
        int result = more < 0 ? more : writer_frame(writer);
        if (result)
            return result;
    }
    struct writer_clock end = clock_now(segment);
    writer_put_clock(writer, &end);
    return 0;
}

static int end_write(const struct segment *segment, const struct census *census, struct writer *writer)
{
    uint32_t rings = segment->ring_count + 1;
    struct writer_ring_end *ends = calloc(rings, sizeof *ends);
    if (!ends)
        return -ENOMEM;
    ends[rings - 1].emitted = census_records(census);
    writer_put_end(writer, 0, 0, ends, rings);
    free(ends);
    return writer_frame(writer);
}

int look_write(const struct segment *segment, pid_t pid, const struct census_source *source, const char *command,
               const char *host, int fd)
{
    struct writer_info info = {
        .pid = segment->pid,
        .p_count = segment->p_count,
        .clock = (int)segment->clock,
        .command = command,
        .host = host,
        .maxprocs = segment_maxprocs(segment),
        .attached = true,
    };
    struct census *census = census_open(segment, 0, pid, 0, 0);
    struct drain *tables = drain_open(segment, EPOCH_OF_NOBODY, false);
    struct writer *writer = census && tables ? writer_open(fd, &info, LEVEL) : NULL;
    int result = -ENOMEM;
    if (census && source)
        census_ask(census, source);
    if (!writer) {
        close(fd);
        goto out;
    }
    struct writer_clock before = clock_now(segment);
    result = drain_write(tables, writer, &before);
    if (result == 0)
        result = gs_write(segment, census, writer);
    if (result == 0)
        result = end_write(segment, census, writer);
    int closed = writer_close(writer);
    result = result ? result : closed;
out:
    drain_close(tables);
    census_close(census);
    return result;
}
