/* Ticks, frames and the last words of a recording. See recorder.h.
 *
 * Each frame carries one clock snapshot, with a promise to the reader: every record that was committed before it is in
 * this frame or an earlier one. So the snapshot is taken before a round, and used only by frames that are written after
 * the round is done; a frame in the middle of a long round repeats the snapshot of the round before. */
#define _GNU_SOURCE
#include "recorder.h"

#include "census.h"
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRAME_INTERVAL_NS 100000000       /* when there are records */
#define FRAME_INTERVAL_IDLE_NS 1000000000 /* when there are none; the clock must still be told */
#define TICK_SLOW_NS 10000000
#define TICK_FAST_NS 1000000
#define LEVEL_HURRIED (-1) /* much faster than level 3: a larger file is better than lost records */

struct recorder {
    struct segment segment;
    struct drain *drain;
    struct writer *writer;
    struct flight *flight; /* NULL: all goes into the file */
    struct writer_info head;
    char *command, *host;        /* of head */
    uint32_t first_epoch;        /* of the recording */
    uint32_t snapshots_asked;    /* as the target counts, when last looked at */
    pid_t stacks_pid;
    struct census *census;       /* while it goes on */
    uint64_t census_records;     /* of one that is over */
    uint64_t begin_bytes;        /* of the file, once its census is over */
    bool attached;
    uint32_t epoch;
    int lock_fd; /* the caller's open of the segment */
    struct recorder_kernel kernel;
    struct kernelring *kernelring; /* NULL: the kernel is not asked */
    struct recorder_moment kernel_moment; /* of the last round that asked it */
    int kernel_error;
    struct writer_clock framed;  /* the last frame's */
    struct writer_clock settled; /* before the last round that is done; during the census, before tracing was on */
    int64_t frame_ns;            /* monotonic time of the last frame */
    int64_t interval_ns;
    int level; /* of compression, when there is time */
    struct recorder_counts counts; /* of the file's whole frames */
    int error;
    bool started; /* there is a frame */
    bool finished;
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The best of a few tries: the one that was least disturbed between its two readings of the counter. */
struct recorder_moment recorder_moment_now(void)
{
    struct recorder_moment best = { 0, 0, 0, 0 };
    uint64_t best_width = UINT64_MAX;
    for (int i = 0; i < 5; i++) {
        uint64_t before = ring_ticks(SEGMENT_CLOCK_TSC);
        int64_t monotonic_ns = clock_ns(CLOCK_MONOTONIC);
        uint64_t width = ring_ticks(SEGMENT_CLOCK_TSC) - before;
        if (width >= best_width)
            continue;
        best_width = width;
        best = (struct recorder_moment){ before + width / 2, monotonic_ns, clock_ns(CLOCK_REALTIME), width };
    }
    return best;
}

struct writer_clock recorder_moment_clock(const struct recorder_moment *moment, uint32_t clock)
{
    return (struct writer_clock){
        .ticks = clock == SEGMENT_CLOCK_TSC ? moment->tsc : (uint64_t)moment->monotonic_ns,
        .monotonic_ns = moment->monotonic_ns,
        .realtime_ns = moment->realtime_ns,
    };
}

/* Between the end of an epoch and its last round. A record that the round misses was begun before its hook could see
 * the end; what depends on it comes later and sees it. So of a cause and its effect the round never has the effect
 * alone. Pairs with the release, in the target, of a G to others after the records about it. */
static void epoch_fence(void) { full_fence(); }

/* For who comes after us, should we be killed: at every moment it is the file of that epoch, or not known. */
static void output_note(const struct segment *segment, uint32_t epoch, const char *path)
{
    volatile char *output = segment->header->output;
    size_t length = path ? strlen(path) : 0;
    output[0] = 0;
    store_release(&segment->header->output_epoch, epoch);
    if (length == 0 || length >= SEGMENT_OUTPUT_BYTES)
        return;
    for (size_t i = length; i > 0; i--)
        output[i] = path[i];
    output[0] = path[0];
}

/* What the target emits from here on is of no epoch that anybody reads. */
static void tracing_end(struct recorder *recorder)
{
    store_release(&recorder->segment.header->tracing, 0);
    epoch_fence();
}

static void counts_update(struct recorder *recorder)
{
    recorder->counts = (struct recorder_counts){
        .file_bytes = writer_bytes(recorder->writer),
        .events = writer_events_saved(recorder->writer),
        .drained = drain_counts(recorder->drain),
    };
}

/* After a frame: remembers how far the file goes by now, or the failure. */
static int frame_account(struct recorder *recorder, int result)
{
    recorder->started = true;
    counts_update(recorder);
    if (result) {
        recorder->error = result;
        tracing_end(recorder);
        return result;
    }
    recorder->frame_ns = clock_ns(CLOCK_MONOTONIC);
    return 0;
}

static struct writer *file_begin(struct recorder *recorder, int out_fd, bool attached)
{
    recorder->head.maxprocs = segment_maxprocs(&recorder->segment);
    recorder->head.quota_cpus = segment_quota(recorder->segment.header);
    recorder->head.attached = attached;
    return writer_open(out_fd, &recorder->head, recorder->level);
}

static void census_begin(struct recorder *recorder)
{
    recorder->census = census_open(&recorder->segment, recorder->epoch, recorder->stacks_pid,
                                   recorder->head.frames_left_out, recorder->head.events_left_out);
}

/* A frame that the flight recorder's writer has made; the tag is its epoch. */
static int frame_keep(void *arg, uint32_t tag, const uint8_t *frame, size_t size, const struct writer_counts *counts)
{
    struct recorder *recorder = arg;
    return flight_add(recorder->flight, tag, frame, size, counts);
}

int recorder_open(struct recorder **out, int segment_fd, int out_fd, const struct recorder_info *info, const char **why)
{
    struct segment segment = { 0 };
    int result = segment_open(&segment, segment_fd, why);
    if (result) {
        if (!*why && result != -EAGAIN)
            *why = "its shared memory cannot be mapped";
        return result;
    }
    struct recorder *recorder = calloc(1, sizeof *recorder);
    if (!recorder) {
        segment_close(&segment);
        *why = "out of memory";
        return -ENOMEM;
    }
    recorder->segment = segment;
    segment_guard(&segment);
    if ((result = segment_lock(segment_fd))) {
        *why = result == -EBUSY ? "it is being recorded already" : "its shared memory cannot be locked";
        recorder_close(recorder);
        return result;
    }
    /* A program that was started to be recorded has begun the first epoch itself. */
    uint32_t running = load_acquire(&segment.header->tracing);
    recorder->attached = info->attach;
    recorder->lock_fd = segment_fd;
    recorder->epoch = info->attach || !running ? segment_next_epoch(&segment, false) : running;
    recorder->first_epoch = recorder->epoch;
    /* One that was started may have started another one in its place. */
    bool known = info->attach || (uint32_t)info->stacks_pid == segment.pid;
    recorder->stacks_pid = known ? info->stacks_pid : 0;
    recorder->snapshots_asked = load_relaxed(&segment.header->snapshots_asked);
    recorder->command = strdup(info->command ? info->command : "");
    recorder->host = strdup(info->host ? info->host : "");
    recorder->level = info->level;
    recorder->head = (struct writer_info){
        .pid = segment.pid,
        .p_count = segment.p_count,
        .clock = (int)segment.clock,
        .command = recorder->command,
        .host = recorder->host,
        .frames_left_out = info->frames_left_out,
        .events_left_out = info->events_left_out,
    };
    segment_leave_out(&segment, info->frames_left_out, info->events_left_out);
    segment_sample(&segment, info->sample_hz);
    recorder->drain = drain_open(&recorder->segment, recorder->epoch, info->attach);
    if (info->attach)
        census_begin(recorder);
    if (info->flight.bytes)
        recorder->flight = flight_open(&info->flight);
    bool room = recorder->drain && recorder->command && recorder->host && (recorder->census || !info->attach) &&
                (recorder->flight || !info->flight.bytes);
    errno = ENOMEM;
    if (room && recorder->flight)
        recorder->writer = writer_open_sink(frame_keep, recorder, info->level);
    else if (room)
        recorder->writer = file_begin(recorder, out_fd, info->attach);
    if (!recorder->writer) {
        result = -errno;
        if (result == -ENOMEM)
            *why = "out of memory";
        recorder_close(recorder);
        return result;
    }
    output_note(&segment, recorder->epoch, info->output);
    struct recorder_moment start = info->start;
    if (info->attach) {
        segment_prepare_rings(&segment, load_relaxed(&segment.header->maxprocs));
        start = recorder_moment_now();
    }
    recorder->settled = recorder_moment_clock(&start, segment.clock);
    if (recorder->flight) {
        drain_leave_tables(recorder->drain);
        flight_begin(recorder->flight, recorder->epoch, &recorder->settled);
    }
    recorder->interval_ns = TICK_FAST_NS;
    store_release(&recorder->segment.header->tracing, recorder->epoch);
    recorder->frame_ns = clock_ns(CLOCK_MONOTONIC);
    *out = recorder;
    return 0;
}

/* ---- What the kernel tells -------------------------------------------------------------------------------------- */

int recorder_kernel(struct recorder *recorder, const struct recorder_kernel *kernel)
{
    recorder->kernel = *kernel;
    recorder->kernel_moment = recorder_moment_now();
    recorder->kernelring = kernelring_open(recorder->segment.ring_count + 1, kernel->tier, recorder->segment.pid,
                                           kernel->others);
    return recorder->kernelring ? 0 : -ENOMEM;
}

int recorder_kernel_error(const struct recorder *recorder) { return recorder->kernel_error; }

/* Bytes of events that are not in a frame yet. */
static size_t kernel_pending(const struct recorder *recorder)
{
    return recorder->kernelring ? kernelring_pending(recorder->kernelring) : 0;
}

/* How far apart the two clocks of a moment may be, by the rate between it and another. */
static int64_t moment_error_ns(const struct recorder_moment *from, const struct recorder_moment *to, uint32_t clock)
{
    uint64_t width = from->width > to->width ? from->width : to->width;
    if (clock != SEGMENT_CLOCK_TSC || to->tsc <= from->tsc)
        return 0;
    double rate = (double)(to->monotonic_ns - from->monotonic_ns) / (double)(to->tsc - from->tsc);
    return (int64_t)((double)width / 2 * rate) + 1;
}

/* What has come by this moment. What fails ends this part of the recording, and nothing else. */
static void kernel_round(struct recorder *recorder, const struct recorder_moment *now)
{
    uint32_t clock = recorder->segment.clock;
    if (!recorder->kernelring || recorder->kernel_error)
        return;
    struct writer_clock from = recorder_moment_clock(&recorder->kernel_moment, clock);
    struct writer_clock to = recorder_moment_clock(now, clock);
    int result = recorder->kernel.poll(recorder->kernel.arg, recorder->finished, recorder->kernelring);
    if (result == 0)
        result = kernelring_round(recorder->kernelring, &from, &to,
                                  recorder->kernel.error_ns +
                                      moment_error_ns(&recorder->kernel_moment, now, clock));
    recorder->kernel_moment = *now;
    recorder->kernel_error = result;
}

/* A frame of its own, with the clock of the frame before: when the reader has it, it has not got the other rings as far
 * as the kernel's. */
static int kernel_frame(struct recorder *recorder)
{
    writer_tag(recorder->writer, recorder->epoch);
    writer_put_clock(recorder->writer, &recorder->framed);
    kernelring_put(recorder->kernelring, recorder->writer);
    return frame_account(recorder, writer_frame(recorder->writer));
}

/* ---- Frames ----------------------------------------------------------------------------------------------------- */

static int frame_write(struct recorder *recorder)
{
    if (recorder->started && kernel_pending(recorder) && kernel_frame(recorder))
        return recorder->error;
    recorder->framed = recorder->settled;
    return frame_account(recorder, drain_write(recorder->drain, recorder->writer, &recorder->settled));
}

/* The first frame has nothing but the clock from just before the first records: it is the trace's start, and with it
 * even the shortest recording has two points in time. */
static int start_write(struct recorder *recorder)
{
    recorder->framed = recorder->settled;
    writer_put_clock(recorder->writer, &recorder->settled);
    return frame_account(recorder, writer_frame(recorder->writer));
}

/* One round, of the records up to its beginning or of all; a batch that fills up in its middle is written at once. */
static int round_run(struct recorder *recorder, bool now_only)
{
    struct recorder_moment now = recorder_moment_now();
    uint64_t now_ticks = recorder_moment_clock(&now, recorder->segment.clock).ticks;
    drain_until(recorder->drain, now_only ? now_ticks : UINT64_MAX);
    drain_begin(recorder->drain);
    writer_set_level(recorder->writer, drain_crowded(recorder->drain) ? LEVEL_HURRIED : recorder->level);
    while (!drain_collect(recorder->drain)) {
        int result = frame_write(recorder);
        if (result)
            return result;
    }
    kernel_round(recorder, &now);
    bool any = drain_pending(recorder->drain) > 0 || kernel_pending(recorder);
    if (!recorder->started && any && start_write(recorder))
        return recorder->error;
    if (!recorder->census)
        recorder->settled = recorder_moment_clock(&now, recorder->segment.clock);
    return 0;
}

/* The census's next part as a frame; the first comes after one with the stacks and names that slots refer to. Its time
 * is before all records, and as long as it goes on no frame has a later snapshot: the reader keeps what it has. */
static int census_run(struct recorder *recorder)
{
    if (!recorder->started && frame_write(recorder))
        return recorder->error;
    writer_tag(recorder->writer, recorder->epoch);
    writer_put_clock(recorder->writer, &recorder->settled);
    int more = census_step(recorder->census, recorder->writer, recorder->settled.ticks);
    int result = more < 0 ? more : writer_frame(recorder->writer);
    recorder->census_records = census_records(recorder->census);
    if (more <= 0) {
        census_close(recorder->census);
        recorder->census = NULL;
    }
    result = frame_account(recorder, result);
    recorder->begin_bytes = recorder->counts.file_bytes;
    return result;
}

static bool frame_due(const struct recorder *recorder)
{
    size_t pending = drain_pending(recorder->drain);
    if (pending >= DRAIN_BATCH_USUAL_BYTES / 2) /* the other half leaves room for what comes in until the next tick */
        return true;
    if (kernel_pending(recorder) >= DRAIN_BATCH_BYTES)
        return true;
    if (drain_holds_much(recorder->drain)) /* the target gets a sub-buffer back once it is written */
        return true;
    return clock_ns(CLOCK_MONOTONIC) - recorder->frame_ns >= (pending ? FRAME_INTERVAL_NS : FRAME_INTERVAL_IDLE_NS);
}

/* The next generation of the flight recorder: an epoch that begins with a census, while the one before may still have
 * records to come. */
static int generation_turn(struct recorder *recorder)
{
    struct recorder_moment now = recorder_moment_now();
    kernel_round(recorder, &now);
    if ((drain_pending(recorder->drain) || kernel_pending(recorder)) && frame_write(recorder))
        return recorder->error;
    recorder->settled = recorder_moment_clock(&now, recorder->segment.clock);
    recorder->epoch = segment_next_epoch(&recorder->segment, true);
    flight_begin(recorder->flight, recorder->epoch, &recorder->settled);
    recorder->framed = recorder->settled;
    if (recorder->kernelring)
        kernelring_begin(recorder->kernelring, false);
    drain_continue(recorder->drain, recorder->epoch);
    store_release(&recorder->segment.header->tracing, recorder->epoch);
    census_begin(recorder);
    if (!recorder->census)
        return recorder->error = -ENOMEM;
    return 0;
}

bool recorder_snapshot_asked(struct recorder *recorder)
{
    uint32_t asked = load_relaxed(&recorder->segment.header->snapshots_asked);
    bool is = asked != recorder->snapshots_asked;
    recorder->snapshots_asked = asked;
    return is;
}

int recorder_snapshot(struct recorder *recorder, int out_fd, int exit_kind, int exit_code,
                      struct recorder_counts *counts, int64_t *length_ns)
{
    while (recorder->error == 0 && recorder->census)
        census_run(recorder);
    if (recorder->error || round_run(recorder, exit_kind == 0) || frame_write(recorder)) {
        close(out_fd);
        return recorder->error;
    }
    uint32_t epoch;
    const struct writer_clock *start = flight_start(recorder->flight, &epoch);
    struct flight_counts kept = flight_counts(recorder->flight);
    struct drain_counts drained = drain_counts(recorder->drain);
    /* Since the last records; the target may say that there are fewer than its markers tell of, which is damage. */
    uint64_t unmarked = drained.lost > drained.marked ? drained.lost - drained.marked : 0;
    bool attached = recorder->attached || epoch != recorder->first_epoch;
    struct drain *tables = drain_open(&recorder->segment, epoch, false);
    struct writer *writer = tables ? file_begin(recorder, out_fd, attached) : NULL;
    if (!writer) {
        int error = tables ? -errno : -ENOMEM;
        drain_close(tables);
        close(out_fd);
        return error;
    }
    int result = drain_write(tables, writer, start);
    if (result == 0)
        result = flight_write(recorder->flight, writer);
    if (result == 0) {
        struct writer_ring_end end = { .emitted = kept.events + kept.lost + unmarked, .lost = kept.lost + unmarked };
        writer_put_clock(writer, &recorder->settled);
        writer_put_end(writer, exit_kind, exit_code, &end, 1);
        result = writer_frame(writer);
    }
    *length_ns = recorder->settled.monotonic_ns - start->monotonic_ns;
    *counts = (struct recorder_counts){ .file_bytes = writer_bytes(writer),
                                        .events = writer_events_saved(writer),
                                        .drained = { .kept = kept.events, .lost = kept.lost + unmarked } };
    drain_close(tables);
    int closed = writer_close(writer);
    return result ? result : closed;
}

int recorder_tick(struct recorder *recorder)
{
    if (recorder->error || recorder->finished)
        return recorder->error;
    if (recorder->census && census_run(recorder))
        return recorder->error;
    int result = round_run(recorder, false);
    if (result)
        return result;
    if (recorder->census)
        recorder->interval_ns = 0;
    else if (drain_crowded(recorder->drain) || !recorder->started)
        recorder->interval_ns = TICK_FAST_NS;
    else if (recorder->interval_ns == 0)
        recorder->interval_ns = TICK_FAST_NS;
    else if (recorder->interval_ns < TICK_SLOW_NS)
        recorder->interval_ns = recorder->interval_ns * 2 < TICK_SLOW_NS ? recorder->interval_ns * 2 : TICK_SLOW_NS;
    if (recorder->flight && !recorder->census && flight_due(recorder->flight, clock_ns(CLOCK_MONOTONIC)))
        return generation_turn(recorder);
    return frame_due(recorder) ? frame_write(recorder) : 0;
}

int64_t recorder_interval_ns(const struct recorder *recorder) { return recorder->interval_ns; }

static int kernel_finish(struct recorder *recorder)
{
    if (recorder->error || !recorder->kernelring)
        return recorder->error;
    if (kernelring_finish(recorder->kernelring))
        return recorder->error = -ENOMEM;
    return recorder->started ? 0 : start_write(recorder);
}

/* The last round of the epoch, which is over, and the end of the file. */
static void file_end(struct recorder *recorder, int exit_kind, int exit_code)
{
    uint32_t census_ring = recorder->segment.ring_count, kernel_ring = census_ring + 1;
    uint32_t rings = recorder->kernelring ? kernel_ring + 1 : recorder->attached ? census_ring + 1 : census_ring;
    struct writer_ring_end *ends = calloc(rings, sizeof *ends);
    if (!ends && recorder->error == 0)
        recorder->error = -ENOMEM;
    while (recorder->error == 0 && recorder->census)
        census_run(recorder);
    if (recorder->error == 0 && round_run(recorder, false) == 0 && kernel_finish(recorder) == 0 &&
        frame_write(recorder) == 0) {
        drain_ends(recorder->drain, ends);
        if (recorder->attached)
            ends[census_ring].emitted = recorder->census_records;
        if (recorder->kernelring)
            ends[kernel_ring].emitted = kernelring_events(recorder->kernelring);
        struct recorder_moment end = recorder_moment_now();
        struct writer_clock end_clock = recorder_moment_clock(&end, recorder->segment.clock);
        writer_put_clock(recorder->writer, &end_clock);
        writer_put_end(recorder->writer, exit_kind, exit_code, ends, rings);
        recorder->error = writer_frame(recorder->writer);
        counts_update(recorder);
    }
    free(ends);
    int closed = writer_close(recorder->writer);
    recorder->writer = NULL;
    if (recorder->error == 0)
        recorder->error = closed;
}

bool recorder_is_full(const struct recorder *recorder, uint64_t bytes)
{
    uint64_t now = recorder->counts.file_bytes;
    return !recorder->census && now >= bytes && now / 2 >= recorder->begin_bytes;
}

int recorder_next(struct recorder *recorder, int out_fd, const struct recorder_info *info,
                  struct recorder_counts *done)
{
    uint32_t epoch = segment_next_epoch(&recorder->segment, false);
    struct census *census = census_open(&recorder->segment, epoch, recorder->stacks_pid,
                                        recorder->head.frames_left_out, recorder->head.events_left_out);
    struct writer *writer = census ? file_begin(recorder, out_fd, true) : NULL;
    int result = -ENOMEM;
    if (!writer) {
        result = census ? -errno : result;
        close(out_fd);
        goto failed;
    }
    struct recorder_moment start = recorder_moment_now();
    store_release(&recorder->segment.header->tracing, epoch);
    epoch_fence();
    file_end(recorder, 0, 0);
    *done = recorder->counts;
    if ((result = recorder->error)) {
        tracing_end(recorder);
        writer_close(writer);
        goto failed;
    }
    output_note(&recorder->segment, epoch, info->output);
    drain_turn(recorder->drain, epoch);
    recorder->epoch = epoch;
    recorder->writer = writer;
    recorder->census = census;
    recorder->census_records = recorder->begin_bytes = 0;
    recorder->attached = true;
    recorder->started = false;
    if (recorder->kernelring)
        kernelring_begin(recorder->kernelring, true);
    recorder->settled = recorder_moment_clock(&start, recorder->segment.clock);
    recorder->frame_ns = clock_ns(CLOCK_MONOTONIC);
    recorder->interval_ns = 0;
    counts_update(recorder);
    return 0;
failed:
    census_close(census);
    return result;
}

int recorder_finish(struct recorder *recorder, int exit_kind, int exit_code)
{
    if (recorder->finished)
        return recorder->error;
    recorder->finished = true;
    tracing_end(recorder);
    if (recorder->writer)
        file_end(recorder, exit_kind, exit_code);
    segment_release_rings(&recorder->segment);
    segment_unlock(recorder->lock_fd);
    return recorder->error;
}

struct recorder_counts recorder_counts(const struct recorder *recorder) { return recorder->counts; }
uint32_t recorder_pid(const struct recorder *recorder) { return recorder->segment.pid; }
const struct segment *recorder_segment(const struct recorder *recorder) { return &recorder->segment; }
const char *recorder_damage(const struct recorder *recorder) { return drain_damage(recorder->drain); }

void recorder_close(struct recorder *recorder)
{
    if (!recorder)
        return;
    if (recorder->writer)
        writer_close(recorder->writer);
    kernelring_close(recorder->kernelring);
    census_close(recorder->census);
    flight_close(recorder->flight);
    free(recorder->command);
    free(recorder->host);
    drain_close(recorder->drain);
    segment_close(&recorder->segment);
    free(recorder);
}
