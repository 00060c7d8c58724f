/* What gmptrace analyze finds in programs with a planted fault, recorded as they run, and in those without one. How
 * long things take is up to the machine, so kinds that follow from that alone are looked for only where they are
 * planted. */
#include "exported.h"
#include "harness.h"

#include <stdio.h>
#include <string.h>

#define PROGRAM "$BUILD/tests/programs/planted"

/* What a machine that does other work can make of any program. */
#define NOT_TIMES "--limit hog=1h --limit long_scheduling_wait=1h --limit p_starvation=1h"

static void record(const char *environment, const char *program)
{
    ck_assert_int_eq(exported_run("rm -f gmptrace.data && %s $GMPTRACE record -- %s", environment, program), 0);
}

static void finds(const char *environment, const char *program, const char *kind, const char *line)
{
    record(environment, program);
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --fail-on %s --section findings", kind), 1);
    exported_has(exported_out, line);
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --json --fail-on %s", kind), 1);
    exported_has(exported_out, "\"findings\": [\n");
    exported_has(exported_out, kind);
}

TEST(planted, a_hog) { finds("", PROGRAM " hog", "hog", "hog ran for "); }

TEST(planted, a_herd)
{
    finds("GMPT_MAXPROCS=1", PROGRAM " herd", "thundering_herd", "24 goroutines were woken at once");
}

TEST(planted, a_convoy) { finds("", PROGRAM " convoy", "lock_convoy", "on average queue for the lock"); }

TEST(planted, a_storm_of_calls) { finds("", PROGRAM " calls", "syscall_storm", "blocking calls a second"); }

TEST(planted, a_storm_of_switches) { finds("", PROGRAM " storm", "scheduling_storm", "times a second"); }

TEST(planted, spawning_without_end)
{
    finds("", PROGRAM " spawning", "unbounded_spawning", "2,000 goroutines of forgotten are alive at the end");
    exported_has(exported_out, "planted.c");
}

TEST(planted, waits_for_a_turn) { finds("GMPT_MAXPROCS=1", PROGRAM " late", "long_scheduling_wait", "had to wait"); }

TEST(planted, goroutines_that_wait_while_a_p_idles)
{
    finds("GMPT_MAXPROCS=2", PROGRAM " starved", "p_starvation", "could run for");
    record("GMPT_MAXPROCS=1", PROGRAM " fed");
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --fail-on p_starvation --section findings"), 0);
}

/* A program in a cgroup of one CPU, with as many Ps as the quota says, and with one more. */
TEST(planted, more_ps_than_the_quota)
{
    static const char make[] = "for root in /sys/fs/cgroup/cpu /sys/fs/cgroup/cpu,cpuacct /sys/fs/cgroup; do "
                               "group=$root/gmptrace-check-$$; mkdir $group 2>/dev/null || continue; "
                               "{ echo 100000 >$group/cpu.cfs_quota_us || echo '100000 100000' >$group/cpu.max; } "
                               "2>/dev/null && echo $group && exit 0; rmdir $group; done; exit 1";
    char group[256], enter[512], leave[512];
    if (exported_run(make) != 0)
        SKIP("no cgroup with a CPU quota can be made here");
    snprintf(group, sizeof group, "%.*s", (int)strcspn(exported_out, "\n"), exported_out);
    snprintf(enter, sizeof enter, "echo $$ >%s/cgroup.procs && GMPT_MAXPROCS=2", group);
    snprintf(leave, sizeof leave, "rmdir %s", group);
    record(enter, PROGRAM " none");
    int found = exported_run("$GMPTRACE analyze --fail-on gomaxprocs_above_quota --section findings");
    exported_has(exported_out, "GOMAXPROCS is 2, but the cgroup's quota allows 1 CPU");
    snprintf(enter, sizeof enter, "echo $$ >%s/cgroup.procs &&", group);
    record(enter, PROGRAM " none");
    int fitting = exported_run("$GMPTRACE analyze --fail-on gomaxprocs_above_quota");
    ck_assert_int_eq(exported_run("%s", leave), 0);
    ck_assert_int_eq(found, 1);
    ck_assert_int_eq(fitting, 0);
}

static void clean(const char *program)
{
    record("", program);
    ck_assert_msg(exported_run("$GMPTRACE analyze --fail-on any " NOT_TIMES " --section findings") == 0, "%s: %s",
                  program, exported_out);
    exported_has(exported_out, "Findings: none");
}

TEST(planted, nothing_is_found_in_clean_programs)
{
    clean(PROGRAM " none");
    clean("$BUILD/tests/programs/talker");
    clean("$BUILD/tests/programs/yielders 10 20");
}

TEST(planted, nothing_is_found_in_the_repaired_gateway)
{
    ck_assert_int_eq(exported_run("rm -f gmptrace.data log; "
                                  "$GMPTRACE record -- $GATEWAY --port 0 --fixed >log 2>&1 & recorder=$!; "
                                  "for i in $(seq 600); do port=$(grep -ao ':[0-9][0-9]*' log | head -n 1 | tr -d :); "
                                  "[ -n \"$port\" ] && break; sleep 0.1; done; "
                                  "for i in $(seq 20); do curl -s -o answer http://127.0.0.1:$port/compute?n=10; done; "
                                  "kill -TERM $recorder; wait $recorder; test -s gmptrace.data"),
                     0);
    ck_assert_msg(exported_run("$GMPTRACE analyze --fail-on any " NOT_TIMES " --section findings") == 0, "%s",
                  exported_out);
}

TEST(planted, times_alone_are_no_fault_at_an_hour)
{
    record("", PROGRAM " hog");
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --fail-on any " NOT_TIMES), 0);
    exported_has(exported_out, "Findings: none");
}
