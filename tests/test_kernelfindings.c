/* What analyze finds wrong by the kernel's side, at each limit and just below: of traces made by hand, in which a G
 * runs on thread 70 from 20 ns on to the end. */
#include "exported.h"
#include "harness.h"
#include "tracefile.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MS 1000000LL
#define FFMPEG "  0 kernel_task tid=9 pid=9 a=0x6765706d6666 b=0x0 c=0x0\n"
#define BY "  0 kernel_by next=%d next_g=0 waker=%d waker_g=%d most=%d most_g=0 cpu_from=%d cpu_to=%d\n"
#define OFF "  %lld kernel_off tid=%d g=%d doing=%d why=%d call=%d argument=0 off_ns=%lld queue_ns=%lld\n"

enum { BLOCKED, PREEMPTED, STARTED, THROTTLED };
enum { SCHEDULER = 0, RUNNING = 2, IN_CALL = 4 };

static char text[1 << 17];
static size_t used;
static const char *head = ""; /* more of the trace's head */
static int64_t now_ns; /* of the last event of the kernel's */
static unsigned own_count, kernel_count;

static void put(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void put(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    used += (size_t)vsnprintf(text + used, sizeof text - used, format, args);
    va_end(args);
    ck_assert_uint_lt(used, sizeof text);
}

/* The trace up to the events of the kernel's ring; `own` are further ones of the P's. */
static void made_begin(int tier, const char *own)
{
    used = own_count = kernel_count = 0;
    now_ns = 0;
    put("pid 7\np_count 1\nclock_kind monotonic\n%sframe\nclock 1000 500000 1700000000000000000\n"
        "stack 0 1 0x1010 0x1011\nstack 2 1 0x1030 0x1031\nstack 2 2 0x1040 0x1031\nstack 2 3 0x1030 0x1051\n"
        "events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=70 lost=0\n"
        "  0 proc_start tid=70\n  10 go_create g=1 fn=0x10 stack=1\n  10 go_start g=1 seq=2\n%s",
        head, own);
    for (const char *line = own; *line; line++)
        own_count += *line == '\n';
    put("events ring=2 sequence=0 offset=0 base=1000 g=0 seq=0 tid=0 lost=0\n"
        "  0 kernel_tier tier=%d others=1 error_ns=5\n" FFMPEG
        "  0 kernel_task tid=70 pid=7 a=0x676f7270 b=0x0 c=0x0\n"
        "  0 kernel_task tid=71 pid=7 a=0x676f7270 b=0x0 c=0x0\n",
        tier);
    kernel_count = 4;
}

/* Thread 70 with G1 has a CPU again at at_ns; who had it meanwhile is `by`, 0 nobody. */
static void made_off(int64_t at_ns, int by, int doing, int why, int call, int64_t off_ns, int64_t queue_ns)
{
    put(BY OFF, by, 0, 0, by, 0, 0, (long long)(at_ns - now_ns), 70, doing == SCHEDULER ? 0 : 1, doing, why,
        call, (long long)off_ns, (long long)queue_ns);
    now_ns = at_ns;
    kernel_count += 2;
}

static void made_end(int64_t length_ns)
{
    put("frame\nclock %lld %lld %lld\nend 1 0\nring %u 0 0\nring 0 0 0\nring %u 0 0\n", (long long)length_ns + 1000,
        (long long)length_ns + 500000, 1700000000000000000 + (long long)length_ns, 3 + own_count, kernel_count);
    ck_assert_int_eq(exported_run("mv %s gmptrace.data", tracefile_build(text)), 0);
}

static bool finds(const char *kind, const char *options)
{
    int status = exported_run("COLUMNS=80 $GMPTRACE analyze --fail-on %s %s --section findings", kind, options);
    ck_assert_msg(status == 0 || status == 1, "%s", exported_err);
    return status == 1;
}

/* ---- A thread that ran a goroutine waits in the kernel's queue -------------------------------------------------- */

static void stopped_once(int64_t queue_ns, int by)
{
    made_begin(3, "");
    made_off(100 * MS, by, RUNNING, PREEMPTED, 0, queue_ns, queue_ns);
    made_end(1000 * MS);
}

TEST(kernelfindings, a_wait_for_a_cpu_is_starvation_from_20_ms_on)
{
    stopped_once(20 * MS, 9);
    ck_assert(finds("kernel_starvation", ""));
    exported_has(exported_out, "0x10 ran, but the kernel gave its thread no CPU for up to 20.0 ms;");
    exported_has(exported_out, "started at 0x1011)");
    stopped_once(20 * MS - 1, 9);
    ck_assert(!finds("kernel_starvation", ""));
    ck_assert(finds("kernel_starvation", "--limit kernel_starvation=19ms"));
}

/* It had announced that it would block, so its P was free for others. */
TEST(kernelfindings, a_wait_in_a_blocking_call_is_no_starvation)
{
    made_begin(3, "  50 syscall_begin stack=1\n");
    made_off(100 * MS, 9, IN_CALL, PREEMPTED, 0, 60 * MS, 60 * MS);
    made_end(1000 * MS);
    ck_assert(!finds("kernel_starvation", ""));
}

/* ---- A quota is used up ----------------------------------------------------------------------------------------- */

static void throttled(int64_t queue_ns, int by)
{
    made_begin(3, "");
    made_off(100 * MS, by, RUNNING, PREEMPTED, 0, 10 * MS, 10 * MS);
    made_off(200 * MS, by, RUNNING, PREEMPTED, 0, queue_ns, queue_ns);
    made_end(1000 * MS);
}

TEST(kernelfindings, stops_with_the_cpu_free_are_throttling_from_20_ms_in_all)
{
    throttled(10 * MS, 0);
    ck_assert(finds("quota_throttling", ""));
    exported_has(exported_out, "goroutines that ran were stopped for 20.0 ms in all, as a CPU quota\n");
    exported_has(exported_out, "was used up; 2 times");
    throttled(10 * MS - 1, 0);
    ck_assert(!finds("quota_throttling", ""));
    ck_assert(finds("quota_throttling", "--limit quota_throttling=19ms"));
    throttled(10 * MS, 9);
    ck_assert(!finds("quota_throttling", ""));
}

/* The kernel says so, whoever has the CPU then, who took nothing. */
TEST(kernelfindings, what_the_kernel_says_of_a_quota_is_throttling_and_nobody_is_a_neighbour)
{
    head = "quota_cpus 1\n";
    made_begin(3, "");
    made_off(100 * MS, 9, RUNNING, THROTTLED, 0, 20 * MS, 20 * MS);
    made_off(200 * MS, 9, RUNNING, PREEMPTED, 0, 25 * MS, 25 * MS);
    made_end(400 * MS);
    ck_assert(finds("quota_throttling", ""));
    exported_has(exported_out, "stopped for 20.0 ms in all");
    exported_has(exported_out, "such as 0x10, for 25.0 ms in all; 1 time");
    ck_assert_ptr_null(strstr(exported_out, "looks the same"));
    head = "";
}

/* Who had the CPU is not known to the tier perf: no reason to say that nobody had. */
TEST(kernelfindings, a_tier_that_does_not_know_who_had_the_cpu_tells_of_no_quota)
{
    made_begin(2, "");
    for (int i = 1; i <= 3; i++) {
        put(OFF, 50 * MS, 70, 0, 15, PREEMPTED, 0, 19 * MS, 19 * MS);
        kernel_count++;
    }
    made_end(1000 * MS);
    ck_assert(!finds("quota_throttling,noisy_neighbour", ""));
    ck_assert(finds("kernel_starvation", "--limit kernel_starvation=19ms"));
}

/* ---- Another program -------------------------------------------------------------------------------------------- */

/* Of ran_ns that the goroutine ran, another program took queue_ns. */
static void crowded(int64_t queue_ns, int64_t ran_ns)
{
    made_begin(3, "");
    made_off(100 * MS, 9, RUNNING, PREEMPTED, 0, queue_ns, queue_ns);
    made_end(20 + ran_ns);
}

TEST(kernelfindings, a_neighbour_is_noisy_from_20_ms_and_5_percent_on)
{
    crowded(20 * MS, 400 * MS);
    ck_assert(finds("noisy_neighbour", ""));
    exported_has(exported_out, "ffmpeg (process 9) kept the CPU from goroutines that could run on,");
    exported_has(exported_out, "for 20.0 ms in all; 1 time");
    crowded(20 * MS - 1, 400 * MS);
    ck_assert(!finds("noisy_neighbour", ""));
    crowded(20 * MS, 402 * MS); /* that is less than 5 % */
    ck_assert(!finds("noisy_neighbour", ""));
}

TEST(kernelfindings, processes_of_one_name_are_one_neighbour)
{
    made_begin(3, "");
    for (int pid = 100; pid < 108; pid++) {
        put("  0 kernel_task tid=%d pid=%d a=0x316363 b=0x0 c=0x0\n", pid, pid);
        kernel_count++;
        made_off((pid - 90) * 10 * MS, pid, RUNNING, PREEMPTED, 0, pid == 105 ? 6 * MS : 2 * MS, 2 * MS);
    }
    made_off(190 * MS, 9, RUNNING, PREEMPTED, 0, 19 * MS, 19 * MS);
    made_end(200 * MS);
    ck_assert(!finds("noisy_neighbour", ""));
    ck_assert(finds("noisy_neighbour", "--limit noisy_neighbour=16ms"));
    exported_has(exported_out, "cc1 (8 processes, such as 100) kept the CPU from goroutines that could");
    exported_has(exported_out, "for 16.0 ms in all; 8 times");
    exported_has(exported_out, "ffmpeg (process 9) kept the CPU");
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --json --limit noisy_neighbour=16ms"), 0);
    exported_has(exported_out, "\"by_program\": {\"pid\": 100, \"name\": \"cc1\", \"processes\": 8}");
}

TEST(kernelfindings, where_there_is_a_quota_a_neighbour_is_in_doubt)
{
    crowded(20 * MS, 400 * MS);
    ck_assert(finds("noisy_neighbour", ""));
    ck_assert_ptr_null(strstr(exported_out, "quota"));
    head = "quota_cpus 1\n";
    crowded(20 * MS, 400 * MS);
    ck_assert(finds("noisy_neighbour", ""));
    exported_has(exported_out, "or the CPU quota of the");
}

TEST(kernelfindings, other_threads_of_the_program_are_no_neighbours)
{
    made_begin(3, "");
    made_off(100 * MS, 71, RUNNING, PREEMPTED, 0, 30 * MS, 30 * MS);
    made_end(200 * MS);
    ck_assert(!finds("noisy_neighbour,quota_throttling", ""));
}

/* ---- A call that blocks a P ------------------------------------------------------------------------------------- */

static void blocked_once(int64_t blocked_ns, int64_t queue_ns)
{
    made_begin(3, "");
    put("  0 kernel_stack stack=1\n");
    kernel_count++;
    made_off(100 * MS, 9, RUNNING, BLOCKED, 1, blocked_ns + queue_ns, queue_ns);
    made_end(1000 * MS);
}

TEST(kernelfindings, a_call_blocks_a_processor_from_5_ms_on_without_the_queue_after_it)
{
    blocked_once(5 * MS, 0);
    ck_assert(finds("blocked_processor", ""));
    exported_has(exported_out, "a goroutine blocked its thread, and with it a P, in read at 0x1030");
    blocked_once(5 * MS - 1, 15 * MS);
    ck_assert(!finds("blocked_processor", ""));
}

/* ---- Wake-ups across CPUs --------------------------------------------------------------------------------------- */

struct crossing {
    int times;
    int64_t every_ns;
    int64_t slept_ns;  /* after the wake-up */
    int cpu, next;     /* where the woken ran; who had the waker's CPU */
    bool reversed;     /* the waker's sleep is told first */
};

/* G1 on thread 70 wakes thread 71, which runs 5 us later, and sleeps for a while. */
static void crossed(const struct crossing *crossing)
{
    int64_t waker_back_ns = crossing->reversed ? 14000 : 60000, woken_ran_ns = crossing->reversed ? 15000 : 5000;
    made_begin(3, "");
    for (int i = 1; i <= crossing->times; i++) {
        int64_t at_ns = i * crossing->every_ns, slept_ns = waker_back_ns - crossing->slept_ns;
        for (int told = 0; told < 2; told++) {
            bool woken = (told == 0) != crossing->reversed;
            int64_t then_ns = at_ns + (woken ? woken_ran_ns : waker_back_ns);
            if (woken)
                put(BY OFF, 0, 70, 1, 0, crossing->cpu, crossing->cpu, (long long)(then_ns - now_ns), 71, 0,
                    SCHEDULER, BLOCKED, 203, 50000LL, (long long)woken_ran_ns);
            else
                put(BY OFF, crossing->next, 0, 0, crossing->next, 0, 0, (long long)(then_ns - now_ns), 70, 1,
                    RUNNING, BLOCKED, 1, (long long)slept_ns, 0LL);
            now_ns = then_ns;
            kernel_count += 2;
        }
    }
    made_end(1000 * MS);
}

#define CROSS "needless_cross_cpu_wakes"

TEST(kernelfindings, wakes_across_cpus_by_who_sleeps_at_once_are_needless_from_a_rate_on)
{
    crossed(&(struct crossing){ .times = 200, .every_ns = 450000, .slept_ns = 10000, .cpu = 1 });
    ck_assert(finds(CROSS, ""));
    exported_has(exported_out, "0x10 woke threads on other CPUs up to 2,000 times a second and slept");
    exported_has(exported_out, "started at 0x1011");
    crossed(&(struct crossing){ .times = 199, .every_ns = 450000, .slept_ns = 10000, .cpu = 1 });
    ck_assert(!finds(CROSS, ""));
    ck_assert(finds(CROSS, "--limit needless_cross_cpu_wakes=1990"));
}

TEST(kernelfindings, a_wake_across_cpus_counts_as_well_when_the_woken_is_told_of_last)
{
    crossed(&(struct crossing){ .times = 200, .every_ns = 450000, .slept_ns = 10000, .cpu = 1, .reversed = true });
    ck_assert(finds(CROSS, ""));
    exported_has(exported_out, "200 times;");
}

TEST(kernelfindings, a_wake_is_not_needless_where_the_waker_goes_on_or_its_cpu_is_wanted)
{
    crossed(&(struct crossing){ .times = 200, .every_ns = 450000, .slept_ns = 10001, .cpu = 1 });
    ck_assert(!finds(CROSS, "--limit needless_cross_cpu_wakes=1"));
    ck_assert(finds(CROSS, "--limit at_once=11us"));
    crossed(&(struct crossing){ .times = 200, .every_ns = 450000, .slept_ns = 10000, .cpu = 0 });
    ck_assert(!finds(CROSS, "--limit needless_cross_cpu_wakes=1"));
    crossed(&(struct crossing){ .times = 200, .every_ns = 450000, .slept_ns = 10000, .cpu = 1, .next = 9 });
    ck_assert(!finds(CROSS, "--limit needless_cross_cpu_wakes=1"));
}

/* ---- Page faults ------------------------------------------------------------------------------------------------- */

/* Ten records of thread 70, a tenth of a second apart, make `count` page faults of this stack. */
static void faulted(int64_t count, int stack)
{
    for (int i = 1; i <= 10; i++) {
        put("  %lld kernel_faults tid=70 g=1 doing=2 count=%lld address=0x7000 stack=%d\n", 100 * MS,
            (long long)(i < 10 ? count / 10 : count - count / 10 * 9), stack);
        kernel_count++;
    }
}

#define STORM "page_fault_storm"

TEST(kernelfindings, page_faults_of_one_line_are_a_storm_from_20000_in_a_second_on)
{
    made_begin(3, "");
    faulted(20000, 1);
    faulted(5000, 2);
    made_end(3000 * MS);
    ck_assert(finds(STORM, ""));
    exported_has(exported_out, "  warning up to about 20,000 page faults a second at 0x1030, about 20,000 in\n");
    exported_has(exported_out, "MAP_POPULATE");
    exported_has(exported_out, "(at 100 ms,\n          G1)\n");
    made_begin(3, "");
    faulted(19999, 1);
    faulted(19999, 2); /* another line, though of the same caller */
    made_end(3000 * MS);
    ck_assert(!finds(STORM, ""));
    ck_assert(finds(STORM, "--limit page_fault_storm=19999"));
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --section kernel"), 0);
    exported_has(exported_out, "  page faults                                               39,998\n");
    exported_has(exported_out, "    at 0x1040 ");
    exported_has(exported_out, " 19,999  about, up to 19,999 a second\n");
}

TEST(kernelfindings, page_faults_of_two_seconds_are_no_storm_of_one)
{
    made_begin(3, "");
    faulted(15000, 1);
    faulted(15000, 1);
    made_end(3000 * MS);
    ck_assert(!finds(STORM, ""));
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --json"), 0);
    exported_has(exported_out, "\"page_faults\": {\"count\": 30000, \"places\": [\n    {\"count\": 30000, "
                               "\"most_per_s\": 15000, \"most_begin_ns\": 100000000, \"goroutine\": 1, \"address\": "
                               "\"0x7000\", ");
}

/* Without its stack it is known by where its goroutine was started; a window and a filter choose. */
TEST(kernelfindings, page_faults_of_one_place_are_told_together_whoever_called_it)
{
    made_begin(3, "");
    faulted(300, 2);
    faulted(200, 1);
    faulted(200, 3);
    made_end(4000 * MS);
    ck_assert_int_eq(exported_run("COLUMNS=80 $GMPTRACE analyze --section kernel"), 0);
    const char *one = strstr(exported_out, "at 0x1030 "), *other = strstr(exported_out, "at 0x1040 ");
    ck_assert_msg(one && other && one < other, "%s", exported_out);
    ck_assert_ptr_null(strstr(one + 1, "at 0x1030 "));
    exported_has(exported_out, "400  about, up to 400 a second\n");
}

TEST(kernelfindings, page_faults_of_an_unknown_place_count_for_their_goroutine)
{
    made_begin(3, "");
    faulted(20000, 0);
    made_end(3000 * MS);
    ck_assert(finds(STORM, ""));
    exported_has(exported_out, "about 20,000 page faults a second in 0x10 (line not known),\n");
    exported_has(exported_out, "started at 0x1011)");
    ck_assert(!finds(STORM, "--from 200ms"));
    ck_assert(finds(STORM, "--filter g=1"));
    ck_assert(!finds(STORM, "--filter g=2"));
}

/* ---- What is not told -------------------------------------------------------------------------------------------- */

static void section(void) { ck_assert_int_eq(exported_run("COLUMNS=80 $GMPTRACE analyze --section kernel"), 0); }

TEST(kernelfindings, what_goes_on_at_the_end_is_said_not_to_be_known)
{
    made_begin(3, "");
    made_off(400 * MS, 9, RUNNING, PREEMPTED, 0, 100 * MS, 100 * MS);
    made_end(1000 * MS);
    section();
    exported_has(exported_out, "  not told: what 1 thread that had not ended did after it last got a CPU; so of");
    exported_has(exported_out, "  the times on a CPU up to 600 ms, and 0 ns of calls, may have been without one\n");
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --json"), 0);
    exported_has(exported_out, "\"open\": {\"threads\": 1, \"running_ns\": 600000000, \"in_calls_ns\": 0}");
}

TEST(kernelfindings, a_call_that_never_ends_is_not_known_since_it_began)
{
    made_begin(3, "  399999980 syscall_begin stack=1\n"); /* at 400 ms */
    made_off(100 * MS, 9, RUNNING, PREEMPTED, 0, MS, MS);
    made_end(1000 * MS);
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --json"), 0);
    exported_has(exported_out, "\"open\": {\"threads\": 1, \"running_ns\": 0, \"in_calls_ns\": 600000000}");
}

TEST(kernelfindings, a_thread_that_has_ended_leaves_nothing_open)
{
    made_begin(3, "  50 go_exit\n  10 proc_stop\n");
    made_off(100 * MS, 9, SCHEDULER, BLOCKED, 203, 50 * MS, 0);
    put("  5 kernel_thread tid=70 ended=1\n");
    kernel_count++;
    made_off(101 * MS, 9, SCHEDULER, PREEMPTED, 0, MS, MS); /* on its way out */
    made_end(1000 * MS);
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --json"), 0);
    exported_has(exported_out, "\"open\": {\"threads\": 0, \"running_ns\": 0, \"in_calls_ns\": 0}");
    section();
    ck_assert_ptr_null(strstr(exported_out, "had not ended"));
}

TEST(kernelfindings, what_was_lost_is_said_apart)
{
    made_begin(2, "");
    put("  5 kernel_lost what=0 count=2\n  5 kernel_lost what=3 count=1\n  5 kernel_lost what=5 count=7\n"
        "  5 kernel_lost what=5 count=1\n");
    kernel_count += 4;
    made_end(1000 * MS);
    section();
    exported_has(exported_out, "The kernel's side, by perf, from 0 ns on; 3 intervals, 8 halves of such lost");
    made_begin(3, "");
    made_end(1000 * MS);
    section();
    exported_has(exported_out, "The kernel's side, by bpf, from 0 ns on; 0 lost, times within 5 ns");
}

/* ---- Nonsense ---------------------------------------------------------------------------------------------------- */

TEST(kernelfindings, lengths_and_numbers_that_cannot_be_do_no_harm)
{
    static const char *const commands[] = {
        "analyze --json",
        "analyze --section kernel",
        "export --format=perfetto -o -",
        "export --format=chrome -o -",
        "export --format=csv --table=offcpu",
        "export --format=csv --table=oncpu",
        "export --format=sqlite -o -",
        "report -o - --columns 16",
    };
    made_begin(9, "");
    put("  0 kernel_task tid=0 pid=0 a=0xffffffffffffffff b=0xffffffffffffffff c=0xffffffffffffffff\n"
        "  5 kernel_off tid=70 g=1 doing=2 why=0 call=1 argument=0 off_ns=18446744073709551614 queue_ns=5\n"
        "  5 kernel_off tid=70 g=1 doing=2 why=1 call=0 argument=0 off_ns=5 queue_ns=18446744073709551614\n"
        "  0 kernel_by next=4294967295 next_g=77 waker=4294967295 waker_g=99 most=0 most_g=9 cpu_from=4294967295 "
        "cpu_to=18446744073709551615\n"
        "  5 kernel_off tid=0 g=999 doing=99 why=99 call=18446744073709551615 argument=18446744073709551615 off_ns=0 "
        "queue_ns=0\n"
        "  5 kernel_by next=1 next_g=0 waker=70 waker_g=1 most=70 most_g=1 cpu_from=0 cpu_to=5000\n"
        "  0 kernel_off tid=70 g=1 doing=4 why=0 call=203 argument=1 off_ns=9223372036854775807 "
        "queue_ns=9223372036854775807\n"
        "  5 kernel_lost what=99 count=18446744073709551615\n  5 kernel_lost what=0 count=18446744073709551615\n"
        "  5 kernel_lost what=3 count=18446744073709551615\n  5 kernel_thread tid=0 ended=9\n"
        "  5 kernel_usage tid=70 span_ns=18446744073709551615 ran_ns=18446744073709551615 "
        "queue_ns=18446744073709551615 slices=18446744073709551615\n"
        "  5 kernel_faults tid=70 g=77 doing=99 count=18446744073709551615 address=0xffffffffffffffff stack=99\n"
        "  5 kernel_faults tid=0 g=1 doing=0 count=18446744073709551615 address=0x0 stack=99\n");
    kernel_count += 13;
    made_end(1000 * MS);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        ck_assert_msg(exported_run("$GMPTRACE %s > out", commands[i]) == 0, "%s: %s", commands[i], exported_err);
}
