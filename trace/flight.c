/* Generations of frames in a ring, each frame a block of memory. See flight.h. */
#include "flight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct frame_block {
    struct frame_block *next;
    struct writer_counts counts;
    size_t size;
    uint8_t bytes[];
};

struct generation {
    uint32_t epoch;
    struct writer_clock start;
    struct frame_block *first, **last;
    struct flight_counts counts;
};

/* Generation i lies at i modulo their number; [oldest, end) are kept. */
struct flight {
    struct flight_limits limits;
    uint64_t oldest, end;
    struct flight_counts counts;
    struct generation generations[FLIGHT_GENERATIONS_MAX];
};

static struct generation *generation_at(const struct flight *flight, uint64_t index)
{
    return (struct generation *)&flight->generations[index % FLIGHT_GENERATIONS_MAX];
}

static void oldest_drop(struct flight *flight)
{
    struct generation *generation = generation_at(flight, flight->oldest++);
    for (struct frame_block *block = generation->first, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    flight->counts.bytes -= generation->counts.bytes;
    flight->counts.events -= generation->counts.events;
    flight->counts.lost -= generation->counts.lost;
}

struct flight *flight_open(const struct flight_limits *limits)
{
    struct flight *flight = calloc(1, sizeof *flight);
    if (flight)
        flight->limits = *limits;
    return flight;
}

void flight_close(struct flight *flight)
{
    while (flight && flight->oldest < flight->end)
        oldest_drop(flight);
    free(flight);
}

/* The newest stays, however large it is. */
static void trim(struct flight *flight)
{
    while (flight->end - flight->oldest > 1 && flight->counts.bytes > flight->limits.bytes)
        oldest_drop(flight);
}

void flight_begin(struct flight *flight, uint32_t epoch, const struct writer_clock *start)
{
    while (flight->end - flight->oldest == FLIGHT_GENERATIONS_MAX)
        oldest_drop(flight);
    while (flight->limits.ns && flight->end - flight->oldest > 1 &&
           start->monotonic_ns - generation_at(flight, flight->oldest + 1)->start.monotonic_ns >= flight->limits.ns)
        oldest_drop(flight);
    trim(flight);
    struct generation *generation = generation_at(flight, flight->end++);
    *generation = (struct generation){ .epoch = epoch, .start = *start };
    generation->last = &generation->first;
}

int flight_add(struct flight *flight, uint32_t epoch, const uint8_t *frame, size_t size,
               const struct writer_counts *counts)
{
    struct generation *generation = NULL;
    for (uint64_t i = flight->oldest; i < flight->end && !generation; i++)
        if (generation_at(flight, i)->epoch == epoch)
            generation = generation_at(flight, i);
    if (!generation)
        return 0;
    struct frame_block *block = malloc(sizeof *block + size);
    if (!block)
        return -ENOMEM;
    block->next = NULL;
    block->counts = *counts;
    block->size = size;
    memcpy(block->bytes, frame, size);
    *generation->last = block;
    generation->last = &block->next;
    struct flight_counts *const sums[] = { &generation->counts, &flight->counts };
    for (int i = 0; i < 2; i++) {
        sums[i]->bytes += size;
        sums[i]->events += counts->events;
        sums[i]->lost += counts->lost;
    }
    trim(flight);
    return 0;
}

bool flight_due(const struct flight *flight, int64_t now_ns)
{
    const struct generation *newest = generation_at(flight, flight->end - 1);
    return newest->counts.bytes >= flight->limits.bytes / FLIGHT_PARTS ||
           (flight->limits.ns && now_ns - newest->start.monotonic_ns >= flight->limits.ns / FLIGHT_PARTS);
}

const struct writer_clock *flight_start(const struct flight *flight, uint32_t *epoch)
{
    const struct generation *oldest = generation_at(flight, flight->oldest);
    *epoch = oldest->epoch;
    return &oldest->start;
}

struct flight_counts flight_counts(const struct flight *flight) { return flight->counts; }

int flight_write(const struct flight *flight, struct writer *writer)
{
    for (uint64_t i = flight->oldest; i < flight->end; i++)
        for (const struct frame_block *block = generation_at(flight, i)->first; block; block = block->next) {
            int result = writer_put_frame(writer, block->bytes, block->size, &block->counts);
            if (result)
                return result;
        }
    return 0;
}
