/* How long a proof of leaks stops a program of so many goroutines, with a heap of so many megabytes, and how long it
 * takes beside it. Prints "ROW VALUE" lines: the median stop and the longest (ms), the median time beside it (ms), and
 * how many goroutines are proven to have leaked. bench/leak_stop.sh runs it; bench/go/leakstop/leakstop.go is its peer.
 *
 *     leak_stop GOROUTINES HEAP_MB ROUNDS
 *
 * Each goroutine waits on a channel of its own. Every tenth has leaked: its channel is in its own frame only, the
 * others' are in a table of the program's. */
#define _GNU_SOURCE
#include "rows.h"
#include "runtime/runtime.h"

#include <inttypes.h>

enum { LEAKED_OF = 10, BLOCK_BYTES = 4096 };
#define NAP_NS 1000000
#define SPREAD 0x9e3779b97f4a7c15u

static struct gmpt_waitgroup parked = GMPT_WAITGROUP_INIT;
static uint64_t goroutines, heap_mb, rounds;

static void park(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    gmpt_waitgroup_done(&parked);
    gmpt_chan_recv(chan, NULL);
}

/* Blocks that point to each other, at random. */
static void **heap_make(uint64_t bytes)
{
    size_t count = bytes / BLOCK_BYTES;
    void **blocks = row_alloc(count + 1, sizeof *blocks);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = row_alloc(1, BLOCK_BYTES);
        for (size_t k = 0; k < BLOCK_BYTES / sizeof(void *); k += 8)
            ((void **)blocks[i])[k] = blocks[(i * SPREAD + k) % (i + 1)];
    }
    return blocks;
}

/* Whether there are verdicts. */
static bool prove(struct segment_header *header)
{
    uint32_t asked = fetch_add_acq_rel(&header->proofs_asked, 1) + 1;
    while ((int32_t)(load_acquire(&header->proofs_done) - asked) < 0)
        gmpt_sleep(NAP_NS);
    return load_relaxed(&header->proof_status) == PROOF_COMPLETE;
}

static int stop_often(void *arg)
{
    (void)arg;
    struct segment_header *header = trace_segment.header;
    struct gmpt_chan **chans = row_alloc(goroutines, sizeof *chans);
    void **heap = heap_make(heap_mb << 20);
    int64_t *stops_ns = row_alloc(rounds, sizeof *stops_ns), *scans_ns = row_alloc(rounds, sizeof *scans_ns);
    for (uint64_t i = 0; i < goroutines; i++) {
        struct gmpt_chan *chan = gmpt_chan_new(0, 0);
        if (!chan) {
            fprintf(stderr, "leak_stop: out of memory\n");
            return 1;
        }
        row_start(&parked, park, &chan, sizeof chan);
        chans[i] = i % LEAKED_OF ? chan : NULL;
    }
    gmpt_waitgroup_wait(&parked);
    for (uint64_t i = 0; i < rounds; i++) {
        if (!prove(header)) {
            fprintf(stderr, "leak_stop: no proof could be had (status %" PRIu32 ")\n",
                    load_relaxed(&header->proof_status));
            return 1;
        }
        stops_ns[i] = (int64_t)load_relaxed(&header->proof_stop_ns);
        scans_ns[i] = (int64_t)load_relaxed(&header->proof_scan_ns);
    }
    row_print("stop_p50", (double)row_percentile(stops_ns, rounds, 50) / 1e6);
    row_print("stop_max", (double)stops_ns[rounds - 1] / 1e6);
    row_print("beside_p50", (double)row_percentile(scans_ns, rounds, 50) / 1e6);
    row_print("proven", (double)load_relaxed(&header->proof_proven));
    return chans[1] && heap ? 0 : 1; /* they are in use until here */
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || *end) {
        fprintf(stderr, "leak_stop: '%s' is no number\n", text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: leak_stop GOROUTINES HEAP_MB ROUNDS\n");
        return 2;
    }
    rows_wanted = argv + argc; /* all */
    goroutines = number(argv[1]);
    heap_mb = number(argv[2]);
    rounds = number(argv[3]);
    if (goroutines < LEAKED_OF || rounds == 0) {
        fprintf(stderr, "leak_stop: at least %d goroutines and one round\n", LEAKED_OF);
        return 2;
    }
    return gmpt_run(stop_often, NULL);
}
