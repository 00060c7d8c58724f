/* The flight recorder: what is kept and what goes, and snapshots of real programs. */
#define _GNU_SOURCE
#include "harness.h"
#include "shell.h"

#include "trace/flight.h"

#include <gmptrace/trace.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S 1000000000ll

static const uint8_t bytes[1000];

static void begin(struct flight *flight, uint32_t epoch, int64_t second)
{
    struct writer_clock start = { (uint64_t)second, second * S, 0 };
    flight_begin(flight, epoch, &start);
}

static void add(struct flight *flight, uint32_t epoch, size_t size, uint64_t events)
{
    struct writer_counts counts = { .events = events, .lost = 1 };
    ck_assert_int_eq(flight_add(flight, epoch, bytes, size, &counts), 0);
}

static void check(const struct flight *flight, uint32_t epoch, uint64_t size, uint64_t events)
{
    uint32_t oldest;
    flight_start(flight, &oldest);
    ck_assert_uint_eq(oldest, epoch);
    ck_assert_uint_eq(flight_counts(flight).bytes, size);
    ck_assert_uint_eq(flight_counts(flight).events, events);
}

TEST(flight, the_oldest_go_when_there_are_too_many_bytes)
{
    struct flight *flight = flight_open(&(struct flight_limits){ .bytes = 1000 });
    begin(flight, 1, 1);
    add(flight, 1, 400, 5);
    begin(flight, 2, 2);
    add(flight, 2, 500, 7);
    check(flight, 1, 900, 12);
    add(flight, 2, 200, 1);
    check(flight, 2, 700, 8);
    add(flight, 2, 800, 1); /* the newest is never given up */
    check(flight, 2, 1500, 9);
    begin(flight, 3, 3);
    add(flight, 3, 10, 1);
    check(flight, 3, 10, 1);
    flight_close(flight);
}

TEST(flight, as_much_time_is_kept_as_was_asked_for)
{
    struct flight *flight = flight_open(&(struct flight_limits){ .bytes = 1 << 20, .ns = 10 * S });
    for (uint32_t i = 1; i <= 30; i++) {
        begin(flight, i, i * 2);
        add(flight, i, 10, 1);
    }
    uint32_t oldest;
    ck_assert_int_eq(flight_start(flight, &oldest)->monotonic_ns, 50 * S);
    ck_assert_uint_eq(oldest, 25);
    ck_assert(!flight_due(flight, 61 * S));
    ck_assert(flight_due(flight, 62 * S));
    flight_close(flight);
}

TEST(flight, late_frames_go_to_their_own_generation_or_nowhere)
{
    struct flight *flight = flight_open(&(struct flight_limits){ .bytes = 1000 });
    begin(flight, 1, 1);
    add(flight, 1, 100, 1);
    begin(flight, 2, 2);
    add(flight, 2, 100, 1);
    add(flight, 1, 50, 3);
    check(flight, 1, 250, 5);
    add(flight, 2, 800, 1);
    check(flight, 2, 900, 2);
    add(flight, 1, 50, 3);
    check(flight, 2, 900, 2);
    flight_close(flight);
}

TEST(flight, there_is_an_end_to_generations)
{
    struct flight *flight = flight_open(&(struct flight_limits){ .bytes = 1 << 20 });
    for (uint32_t i = 1; i <= 3 * FLIGHT_GENERATIONS_MAX; i++) {
        begin(flight, i, i);
        add(flight, i, 1, 1);
    }
    check(flight, 2 * FLIGHT_GENERATIONS_MAX + 1, FLIGHT_GENERATIONS_MAX, FLIGHT_GENERATIONS_MAX);
    flight_close(flight);
    flight_close(NULL);
}

/* ---- Real programs ---------------------------------------------------------------------------------------------- */

/* Reads a snapshot, in which nothing may be missing. */
static struct gmpt_trace_info snapshot_read(const char *name)
{
    char path[512];
    struct gmpt_trace_error error;
    struct gmpt_event event;
    snprintf(path, sizeof path, "%s/%s", harness_tmpdir(), name);
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_msg(trace != NULL, "%s: %s", path, error.message);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(trace);
    struct gmpt_trace_info info = *gmpt_trace_info(trace);
    ck_assert_int_eq(info.whole, 1);
    ck_assert_uint_eq(counts->violations, 0);
    ck_assert_uint_gt(counts->kept, 0);
    ck_assert_uint_eq(counts->emitted, counts->kept + counts->lost);
    if (counts->lost == 0) {
        ck_assert_uint_eq(counts->gaps, 0);
        ck_assert_uint_eq(counts->resynced, 0);
    }
    gmpt_trace_close(trace);
    return info;
}

TEST(flight, a_short_program_is_kept_whole)
{
    ck_assert_int_eq(shell_run("$R --flight 60s -o t.data $P/churn 3 20"), 0);
    struct gmpt_trace_info info = snapshot_read("t.data");
    ck_assert_int_eq(info.attached, 0);
    ck_assert_int_eq(info.exit_kind, 1);
    shell_has(shell_err, "the program has ended: the last ");
}

TEST(flight, the_last_part_of_a_long_program_stands_by_itself)
{
    ck_assert_int_eq(shell_run("$R --flight 400ms -d 3s -o t.data $P/churn 3 100000000 & sleep 1.5; "
                               "C=$(pgrep -P $!); kill -USR2 $!; sleep 2; kill -9 $C; wait $!; exit 0"),
                     0);
    struct gmpt_trace_info first = snapshot_read("t.data"), last = snapshot_read("t.data.2");
    ck_assert_int_eq(first.attached & last.attached, 1);
    ck_assert_int_eq(first.exit_kind, 0);
    shell_has(shell_err, "SIGUSR2: the last ");
}

TEST(flight, limited_by_size_it_is_that_small)
{
    ck_assert_int_eq(shell_run("$R --flight 1M -o t.data $P/churn 3 100000000 & sleep 4; C=$(pgrep -P $!); kill -9 $C; "
                               "wait $!; S=$?; test $(stat -c %%s t.data) -lt 1500000 || S=98; exit $S"),
                     137);
    ck_assert_int_eq(snapshot_read("t.data").exit_kind, 2);
}

TEST(flight, the_program_may_ask_for_it)
{
    ck_assert_int_eq(shell_run("$R --flight 10s -o t.data $P/idlers 0 snapshot < /dev/null"), 0);
    shell_has(shell_err, "asked for by the program: the last ");
    snapshot_read("t.data");
    snapshot_read("t.data.2");
}

TEST(flight, wrong_limits_are_wrong_usage)
{
    static const char *const wrong[] = { "x", "0s", "1", "1000K", "-5M", "99999999999999T", "5Q", "" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(shell_run("$R --flight '%s' true", wrong[i]), 2);
        shell_has(shell_err, "is neither a size");
    }
}
