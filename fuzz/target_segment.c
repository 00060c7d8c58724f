/* The recorder against a target that writes what it likes into the shared memory, before it is opened and between the
 * recorder's ticks. Whatever that is, the file that comes out of it must be whole. */
#define _GNU_SOURCE
#include "targets.h"

#include "trace/recorder.h"
#include "trace/segment.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING_BYTES (2 * SUBBUFFER_BYTES)
#define SLOTS 16
#define TICKS_MAX 16

struct place {
    uint8_t *base;
    size_t bytes;
};

static struct place table_place(const struct segment *target, unsigned step)
{
    switch (step) {
    case FUZZ_CONTROLS:
        return (struct place){ (uint8_t *)target->rings, target->ring_count * sizeof target->rings[0] };
    case FUZZ_MODULES:
        return (struct place){ (uint8_t *)target->modules, SEGMENT_MAX_MODULES * sizeof target->modules[0] };
    case FUZZ_DICTIONARY:
        return (struct place){ (uint8_t *)target->dictionary, target->dictionary_words * 8 };
    case FUZZ_STACKS:
        return (struct place){ (uint8_t *)target->stacks, target->ring_count * target->stacks_words * 8 };
    case FUZZ_RINGS:
        return (struct place){ target->subbuffer_base, (size_t)target->ring_count * RING_BYTES };
    default:
        return (struct place){ (uint8_t *)target->header, sizeof *target->header };
    }
}

/* Writes what the step says. Returns the bytes of input that it took. */
static size_t table_write(const struct segment *target, unsigned step, const uint8_t *data, size_t size)
{
    uint32_t offset;
    uint16_t bytes;
    if (size < sizeof offset + sizeof bytes)
        return size;
    memcpy(&offset, data, sizeof offset);
    memcpy(&bytes, data + sizeof offset, sizeof bytes);
    struct place place = table_place(target, step);
    size_t taken = le16toh(bytes), head = sizeof offset + sizeof bytes;
    if (taken > size - head)
        taken = size - head;
    size_t at = le32toh(offset) % place.bytes;
    memcpy(place.base + at, data + head, taken < place.bytes - at ? taken : place.bytes - at);
    return head + taken;
}

void fuzz_segment(const uint8_t *data, size_t size)
{
    struct segment target = { 0 };
    struct recorder *recorder = NULL;
    const char *why;
    const struct recorder_info info = { .command = "hostile", .host = "box", .level = 1, .start = { 1, 1, 1, 0 } };
    if (size == 0)
        return;
    if (segment_create(&target, -1, 1 + data[0] % 4, RING_BYTES, SLOTS))
        abort();
    target.header->clock = SEGMENT_CLOCK_MONOTONIC;
    segment_publish(&target);

    int result = 0, ticks = 0, fd = fuzz_scratch(), out_fd = dup(fd);
    if (out_fd < 0)
        abort();
    for (size_t at = 1; result == 0 && at <= size && ticks < TICKS_MAX;) {
        unsigned step = at < size ? data[at] % FUZZ_STEPS : FUZZ_TICK;
        at++;
        if (step != FUZZ_TICK) {
            at += table_write(&target, step, data + at, size - at);
            continue;
        }
        if (!recorder)
            result = recorder_open(&recorder, target.fd, out_fd, &info, &why);
        if (result == 0)
            result = recorder_tick(recorder);
        ticks++;
    }
    if (recorder) {
        if (result || recorder_finish(recorder, 1, 0))
            abort(); /* there is nothing that can keep it from writing */
        recorder_close(recorder);
        if (!fuzz_trace_read(fd))
            abort();
    } else {
        close(out_fd);
    }
    close(target.fd);
    segment_close(&target);
}
