/* What the commands say of made-up programs (gentrace.h) is what happened: from the file to the printed profile, to the
 * nanosecond, of many programs. What is counted within is tested in test_tally.c and test_intervals.c. */
#include "exported.h"
#include "gentrace.h"
#include "harness.h"
#include "tracefile.h"

#include "cli/measured.h"
#include "trace/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS 25
#define STEPS 900

static struct gentrace made;

static const char *make(unsigned seed)
{
    free(made.text);
    made = gentrace_make(seed, STEPS);
    const char *path = tracefile_build(made.text);
    ck_assert_int_eq(exported_run("cp %s gmptrace.data", path), 0);
    return path;
}

/* The sum of the numbers at the ends of the lines. */
static int64_t folded_sum(const char *type)
{
    int64_t sum = 0;
    ck_assert_int_eq(exported_run("$GMPTRACE pprof --type=%s --format=folded", type), 0);
    for (const char *line = exported_out; *line; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n');
        while (end[-1] != ' ')
            end--;
        sum += strtoll(end, NULL, 10);
    }
    return sum;
}

static bool is_network(int reason) { return reason == GMPT_WAIT_net_read || reason == GMPT_WAIT_net_write; }
static bool is_lock(int reason)
{
    return reason == GMPT_WAIT_mutex || reason == GMPT_WAIT_rwmutex_read || reason == GMPT_WAIT_rwmutex_write;
}

static void is(unsigned seed, const char *what, int64_t value, int64_t truth)
{
    ck_assert_msg(value == truth, "seed %u, %s: %" PRId64 ", not %" PRId64, seed, what, value, truth);
}

TEST_TIMEOUT(exactness, printed_profiles_add_up_to_what_happened, 300)
{
    for (unsigned seed = 100; seed < 100 + SEEDS; seed++) {
        int64_t block_ns = 0, net_ns = 0, lock_ns = 0, life_ns = 0;
        make(seed);
        for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++) {
            net_ns += is_network(reason) ? made.wait_ns[reason] : 0;
            lock_ns += is_lock(reason) ? made.wait_ns[reason] : 0;
            block_ns += reason == GMPT_WAIT_sleep || is_network(reason) ? 0 : made.wait_ns[reason];
        }
        for (uint64_t id = 1; id <= made.g_count; id++)
            life_ns += made.g[id].ended_ns - made.g[id].created_ns;
        is(seed, "goroutine", folded_sum("goroutine"), (int64_t)made.alive);
        is(seed, "create", folded_sum("create"), (int64_t)made.g_count);
        is(seed, "wall", folded_sum("wall"), life_ns);
        is(seed, "block", folded_sum("block"), block_ns);
        is(seed, "mutex", folded_sum("mutex"), lock_ns);
        is(seed, "net", folded_sum("net"), net_ns);
        is(seed, "sleep", folded_sum("sleep"), made.wait_ns[GMPT_WAIT_sleep]);
        is(seed, "syscall", folded_sum("syscall"), made.state_ns[GMPT_G_SYSCALL]);
        is(seed, "sched", folded_sum("sched"), made.state_ns[GMPT_G_RUNNABLE]);
        is(seed, "preempt", folded_sum("preempt"), (int64_t)(made.preempts + made.detaches));
        is(seed, "steal", folded_sum("steal"), (int64_t)made.stolen_gs);
    }
}

/* The sum over the states of each G, as the database has them, is its life. */
TEST_TIMEOUT(exactness, states_of_each_add_up_to_its_life, 300)
{
    if (exported_run("command -v sqlite3") != 0)
        SKIP("sqlite3 is not installed");
    for (unsigned seed = 200; seed < 200 + SEEDS; seed++) {
        make(seed);
        ck_assert_int_eq(exported_run("rm -f gmptrace.sqlite* && $GMPTRACE export --format=sqlite && sqlite3 "
                                      "gmptrace.sqlite 'SELECT g, lifetime_ns, running_ns, runnable_ns, waiting_ns, "
                                      "other_ns FROM time_by_state ORDER BY g'"),
                         0);
        const char *line = exported_out;
        for (uint64_t id = 1; id <= made.g_count; id++) {
            const struct gentrace_g *g = &made.g[id];
            char wanted[160];
            snprintf(wanted, sizeof wanted, "%" PRIu64 "|%" PRId64 "|%" PRId64 "|%" PRId64 "|%" PRId64 "|%" PRId64 "\n",
                     id, g->ended_ns - g->created_ns, g->state_ns[GMPT_G_RUNNING], g->state_ns[GMPT_G_RUNNABLE],
                     g->state_ns[GMPT_G_WAITING], g->state_ns[GMPT_G_SYSCALL] + g->state_ns[GMPT_G_PREEMPTED]);
            ck_assert_msg(strncmp(line, wanted, strlen(wanted)) == 0, "seed %u: %.200s not %s", seed, line, wanted);
            line += strlen(wanted);
        }
        ck_assert_str_eq(line, "");
    }
}

/* What diff measures is never more than what there was, and all starts are counted. */
TEST(exactness, what_is_compared_is_what_ended)
{
    for (unsigned seed = 300; seed < 300 + SEEDS; seed++) {
        struct measured measured = { .path = make(seed), .to_ns = INT64_MAX };
        int64_t kind_ns[MEASURED_KINDS] = { 0 }, length_ns, lives_ns = 0;
        uint64_t counts[MEASURED_KINDS] = { 0 }, waits = 0, ended = made.g_count - made.alive;
        ck_assert_int_eq(measured_open(&measured), 0);
        ck_assert_int_eq(measured_length(&measured, &length_ns), 0);
        ck_assert_int_eq(measured_read(&measured, length_ns / 40 + 1), 0);
        for (size_t i = 0; i < measured.row_count; i++) {
            const struct measured_row *row = &measured.rows[i];
            uint64_t in_windows = 0;
            kind_ns[row->key.kind] += row->all.total;
            counts[row->key.kind] += row->all.count;
            for (size_t k = 0; k < MEASURED_WINDOWS_MAX; k++)
                in_windows += row->windows[k].count;
            is(seed, "values in windows", (int64_t)in_windows, (int64_t)row->all.count);
        }
        for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++)
            waits += made.waits[reason];
        for (uint64_t id = 1; id <= made.g_count; id++)
            if (made.g[id].ended_ns < made.length_ns)
                lives_ns += made.g[id].ended_ns - made.g[id].created_ns;
        is(seed, "starts", (int64_t)counts[MEASURED_START], (int64_t)made.g_count);
        is(seed, "lives", (int64_t)counts[MEASURED_LIFE], (int64_t)ended);
        is(seed, "time of lives", kind_ns[MEASURED_LIFE], lives_ns);
        ck_assert_uint_le(counts[MEASURED_WAITING], waits);
        ck_assert_uint_ge(counts[MEASURED_WAITING] + made.alive, waits);
        is(seed, "times from runnable to running", (int64_t)counts[MEASURED_RUNNABLE], (int64_t)made.starts);
        ck_assert_int_le(kind_ns[MEASURED_RUNNING], made.state_ns[GMPT_G_RUNNING] + made.state_ns[GMPT_G_PREEMPTED]);
        ck_assert_int_le(kind_ns[MEASURED_WAITING], made.state_ns[GMPT_G_WAITING]);
        ck_assert_int_le(kind_ns[MEASURED_CALL], made.state_ns[GMPT_G_SYSCALL]);
        ck_assert_int_le(kind_ns[MEASURED_RUNNABLE], made.state_ns[GMPT_G_RUNNABLE]);
        measured_close(&measured);
    }
}

/* A lock that one G releases at two places, and another's that is held to the end: each wait is where it was ended. */
TEST(exactness, contention_is_where_the_lock_was_released)
{
    static const char text[] = TRACEFILE_HEAD
        "frame\nclock 0 0 1700000000000000000\n"
        "stack 0 1 0x1011\nstack 0 2 0x1021\nstack 1 1 0x1031\n"
        "frame\nclock 1000 1000 1700000000000001000\n"
        "events ring=0 sequence=0 offset=0 base=0 g=0 seq=0 tid=1 lost=0\n"
        "0 go_create g=1 fn=0x2000 stack=0\n0 go_start g=1 seq=2\n0 go_create g=2 fn=0x3000 stack=0\n"
        "100 go_unblock g=2 seq=4 by=1 stack=1\n100 go_unblock g=2 seq=7 by=1 stack=2\n"
        "200 go_unblock g=2 seq=10 by=1 stack=1\n"
        "events ring=1 sequence=0 offset=0 base=0 g=0 seq=0 tid=1 lost=0\n"
        "10 go_start g=2 seq=2\n10 go_block reason=mutex object=0xc000 bounded=0 stack=1 owner=1\n"
        "90 go_start g=2 seq=5\n20 go_block reason=rwmutex_write object=0xd000 bounded=0 stack=1 owner=1\n"
        "80 go_start g=2 seq=8\n40 go_block reason=mutex object=0xc000 bounded=0 stack=1 owner=1\n"
        "160 go_start g=2 seq=11\n90 go_block reason=mutex object=0xc000 bounded=0 stack=1 owner=1\nend 0 0\n";
    /* It waits from 20 to 100, from 130 to 200, from 250 to 400, and from 500 to the end. */
    ck_assert_int_eq(exported_run("$GMPTRACE pprof --type=mutex --format=folded %s", tracefile_build(text)), 0);
    ck_assert_str_eq(exported_out, "0x1010 230\n0x1020 70\n[not released] 500\n");
}
