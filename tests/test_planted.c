/* What gmptrace analyze finds in programs with a planted fault, recorded as they run, and in those without one. How
 * long things take is up to the machine, so kinds that follow from that alone are looked for only where they are
 * planted. */
#include "cgroup.h"
#include "exported.h"
#include "harness.h"
#include "unwatched.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define PROGRAM "$BUILD/tests/programs/planted"

/* What a machine that does other work can make of any program. */
#define NOT_TIMES "--limit hog=1h --limit long_scheduling_wait=1h --limit p_starvation=1h"

static void record(const char *environment, const char *program)
{
    ck_assert_int_eq(exported_run("rm -f gmptrace.data && %s $GMPTRACE record -- %s", environment, program), 0);
}

/* A kind, and maybe options. */
static void finds(const char *environment, const char *program, const char *kind, const char *line)
{
    char name[64];
    record(environment, program);
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --fail-on %s --section findings", kind), 1);
    exported_has(exported_out, line);
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --json --fail-on %s", kind), 1);
    exported_has(exported_out, "\"findings\": [\n");
    snprintf(name, sizeof name, "\"%.*s\"", (int)strcspn(kind, " "), kind);
    exported_has(exported_out, name);
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

/* On a busy machine a thread of the lowest priority takes long to come to its end. */
TEST_TIMEOUT(planted, goroutines_that_wait_while_a_p_idles, 180)
{
    if (getpriority(PRIO_PROCESS, 0) > 5)
        SKIP("it takes a thread of a priority that is far above the lowest");
    /* A thread that is late when it has the P already leaves none idle, but it was late before, too. */
    finds("GMPT_MAXPROCS=2", PROGRAM " starved", "p_starvation --limit p_starvation=2ms", "could run for");
    record("GMPT_MAXPROCS=1", PROGRAM " fed");
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --fail-on p_starvation --section findings"), 0);
}

/* ---- The kernel's side ------------------------------------------------------------------------------------------- */

/* Records with the kernel's side by bpf. NULL, or why that cannot be. */
static const char *kernel_record(const char *environment, const char *program)
{
    static char why[256];
    int status =
        exported_run("rm -f gmptrace.data && %s $GMPTRACE record --kernel=bpf -- %s", environment, program);
    const char *lacking = status == 4 ? strstr(exported_err, "no --kernel=bpf") : NULL;
    ck_assert_msg(status == 0 || lacking, "%s", exported_err);
    if (lacking)
        snprintf(why, sizeof why, "%.*s", (int)strcspn(lacking, "\n"), lacking);
    return lacking ? why : NULL;
}

#define KERNEL_RECORD(environment, program)                                                                            \
    do {                                                                                                               \
        const char *lacking = kernel_record(environment, program);                                                     \
        if (lacking)                                                                                                   \
            SKIP_UNWATCHED(lacking);                                                                                   \
    } while (0)

/* The finding whose sentence begins so, with its line breaks at 80 columns taken out; "" = there is none. */
static const char *sentence(const char *begin)
{
    static char line[2048];
    char *to = line;
    exported_run("COLUMNS=80 $GMPTRACE analyze --section findings");
    for (const char *at = exported_out; *at; at++) {
        if (*at == '\n' && strncmp(at, "\n          ", 11) == 0) {
            *to++ = ' ';
            at += 10;
        } else if (*at == '\n') {
            *to = 0;
            if (strncmp(line, begin, strlen(begin)) == 0)
                return line;
            to = line;
        } else if (to < line + sizeof line - 1) {
            *to++ = *at;
        }
        const char *end = strchr(at, '\n');
        ck_assert_msg(!end || end - at <= 80, "longer than 80 columns: %.100s", at);
    }
    return "";
}

/* Where the program's source has this text. */
static int line_of(const char *text)
{
    char line[256];
    int number = 0, found = 0;
    FILE *file = fopen("tests/programs/planted.c", "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) && ++number)
        if (strstr(line, text))
            found = number;
    fclose(file);
    ck_assert_int_ne(found, 0);
    return found;
}

TEST(planted, a_neighbour_is_named_in_one_sentence_with_the_line)
{
    KERNEL_RECORD("GMPT_MAXPROCS=1", PROGRAM " crowded");
    const char *said = sentence("  warning loudspeaker (process ");
    exported_has(said, " kept the CPU from goroutines that could run on, such as crowded, for ");
    exported_has(said, "started at planted.c:");
    exported_has(said, "(start_many)");
}

TEST(planted, a_call_without_handoff_is_named_in_one_sentence_with_the_line)
{
    SKIP_UNDER_TSAN("ThreadSanitizer's functions call the kernel");
    KERNEL_RECORD("", PROGRAM " handoff");
    const char *said = sentence("  warning a goroutine blocked its thread, and with it a P, in clock_nanosleep");
    exported_has(said, " at planted.c:");
    exported_has(said, "(flush_to_disk) for up to ");
    exported_has(said, " times over 5.00 ms; gmpt_blocking_begin and _end around the call");
    /* On a busy machine the program may be well on its way before the kernel watches it. */
    if (exported_run("$GMPTRACE script | head -n 1 | grep kernel_tier") == 0)
        ck_assert_str_eq(strstr(said, "; 20 times over") ? "20 times" : said, "20 times");
}

TEST(planted, a_storm_of_page_faults_is_named_in_one_sentence_with_the_line)
{
    char at[128];
    SKIP_UNDER_TSAN("ThreadSanitizer's shadow memory has page faults of its own");
    KERNEL_RECORD("", PROGRAM " pages");
    if (strstr(exported_err, "not known: page faults"))
        SKIP("this kernel does not tell of page faults");
    const char *said = sentence("  warning up to ");
    snprintf(at, sizeof at, " page faults a second at planted.c:%d (answer), ", line_of("the storm"));
    exported_has(said, at);
    exported_has(said, " in all; memory that is used again, ");
    exported_has(said, ", G2)"); /* and not the main goroutine */
    /* 128 of 130 are there; the first two come after a while without any, and must not stand for those before it. */
    unsigned long long all, there;
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --json"), 0);
    const char *told = strstr(exported_out, "\"page_faults\": ");
    ck_assert_ptr_nonnull(told);
    int fields = sscanf(told, "\"page_faults\": {\"count\": %llu, \"places\": [ {\"count\": %llu", &all, &there);
    ck_assert_int_eq(fields, 2);
    ck_assert_msg(there >= all / 100 * 92, "%llu of %llu there", there, all);
}

TEST(planted, a_quota_that_is_used_up)
{
    char group[CGROUP_PATH_BYTES], enter[512];
    if (!cgroup_make(20000, group))
        SKIP("no cgroup with a CPU quota can be made here");
    snprintf(enter, sizeof enter, "echo $$ >%s/cgroup.procs && GMPT_MAXPROCS=1", group);
    const char *lacking = kernel_record(enter, PROGRAM " hog");
    cgroup_remove(group);
    if (lacking)
        SKIP_UNWATCHED(lacking);
    const char *said = sentence("  warning goroutines that ran were stopped for ");
    if (*said) {
        exported_has(said, " in all, as a CPU quota was used up; ");
        return;
    }
    /* Another program had the CPU meanwhile, so it looks like a neighbour, but for the doubt. */
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --json --fail-on noisy_neighbour"), 1);
    exported_has(exported_out, "or the CPU quota of the cgroup was used up, which looks the same here");
}

/* A program in a cgroup of one CPU, with as many Ps as the quota says, and with one more. */
TEST(planted, more_ps_than_the_quota)
{
    char group[CGROUP_PATH_BYTES], enter[512];
    if (!cgroup_make(100000, group))
        SKIP("no cgroup with a CPU quota can be made here");
    snprintf(enter, sizeof enter, "echo $$ >%s/cgroup.procs && GMPT_MAXPROCS=2", group);
    record(enter, PROGRAM " none");
    int found = exported_run("$GMPTRACE analyze --fail-on gomaxprocs_above_quota --section findings");
    exported_has(exported_out, "GOMAXPROCS is 2, but the cgroup's quota allows 1 CPU");
    snprintf(enter, sizeof enter, "echo $$ >%s/cgroup.procs &&", group);
    record(enter, PROGRAM " none");
    int fitting = exported_run("$GMPTRACE analyze --fail-on gomaxprocs_above_quota");
    cgroup_remove(group);
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
