/* Watching threads from the kernel: what it counts itself of a child process, whose schedule is forced
 * (offcpu_children.h), must be what is recorded. */
#define _GNU_SOURCE
#include "offcpu_children.h"
#include "run.h"
#include "unwatched.h"

#include "ebpf/offcpu.h"
#include "runtime/runtime.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct offcpu *watch;
static struct offcpu_record *records;
static size_t record_count, record_room;

static int record_keep(const struct offcpu_record *record, const struct offcpu_stacked *stacked, void *arg)
{
    (void)stacked;
    (void)arg;
    if (record_count == record_room) {
        record_room = record_room ? 2 * record_room : 1024;
        records = realloc(records, record_room * sizeof *records);
        REQUIRE(records);
    }
    records[record_count++] = *record;
    return 0;
}

static pid_t child;
static uint64_t stacks_from_ns; /* 0 = none */

/* Whether the child has run for long enough, of one that does so until it is told; NULL: it ends by itself. */
static bool (*enough)(void);

/* Starts the child and aims at it. Returns what to say where the kernel does not let us, or NULL. */
static const char *aimed(void (*run)(void), struct offcpu_target *target)
{
    ck_assert_int_eq(pipe(go) | pipe(told), 0);
    child = fork();
    if (child == 0) {
        close(go[1]); /* so that it ends with this process */
        run();
        _exit(0);
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(read(told[0], &report, sizeof report), sizeof report);
    *target = (struct offcpu_target){ child, report.thread_m_offset, report.m_word_offset, 0 };
    ck_assert_int_eq(offcpu_open(&watch, &(struct offcpu_options){ .kernel_stack_ns = stacks_from_ns }), 0);
    int result = offcpu_load(watch);
    if (result == 0)
        result = offcpu_attach(watch);
    if (result == 0)
        offcpu_aim(watch, target);
    if (result < 0) {
        offcpu_close(watch);
        kill(child, SIGKILL);
        return strerror(-result);
    }
    return NULL;
}

/* Likewise, and watches it until it is done. */
static const char *watched(void (*run)(void), bool polls)
{
    struct offcpu_target target;
    const char *lacking = aimed(run, &target);
    if (lacking)
        return lacking;
    struct pollfd done = { .fd = told[0], .events = POLLIN };
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    while (poll(&done, 1, polls ? 5 : -1) == 0) {
        REQUIRE(offcpu_poll(watch, record_keep, NULL) >= 0);
        if (enough && enough()) {
            ck_assert_int_eq(write(go[1], "x", 1), 1);
            enough = NULL;
        }
    }
    ck_assert_int_eq(read(told[0], &report, sizeof report), sizeof report);
    ck_assert_int_ge(offcpu_poll(watch, record_keep, NULL), 0);
    return NULL;
}

#define WATCH(run, polls)                                                                                              \
    do {                                                                                                               \
        const char *lacking = watched(run, polls);                                                                     \
        if (lacking)                                                                                                   \
            SKIP_UNWATCHED(lacking);                                                                                   \
    } while (0)

/* *all becomes the CPUs that this process may have. */
#define SKIP_ON_ONE_CPU(all)                                                                                           \
    do {                                                                                                               \
        ck_assert_int_eq(sched_getaffinity(0, sizeof *(all), (all)), 0);                                               \
        if (CPU_COUNT(all) < 2)                                                                                        \
            SKIP("this takes two CPUs");                                                                               \
    } while (0)

static void expect_nothing_lost(void)
{
    struct offcpu_counts counts;
    offcpu_counts_read(watch, &counts);
    for (int type = 0; type < OFFCPU_TYPES; type++)
        ck_assert_uint_eq(counts.dropped[type], 0);
    ck_assert_uint_eq(counts.unseen, 0);
    ck_assert_uint_eq(counts.unread, 0);
}

static unsigned of_type_count(enum offcpu_type type, uint32_t tid)
{
    unsigned count = 0;
    for (size_t i = 0; i < record_count; i++)
        count += records[i].type == type && records[i].tid == tid;
    return count;
}

TEST(offcpu, every_switch_of_a_thread_is_one_interval)
{
    uint64_t intervals = 0, sleeps = 0, reads = 0, woken_by_other = 0;
    rounds = 5000;
    WATCH(child_plain, true);
    expect_nothing_lost();
    for (size_t i = 0; i < record_count; i++) {
        const struct offcpu_record *record = &records[i];
        if (record->type != OFFCPU_INTERVAL || record->tid != report.tid[0])
            continue;
        if (record->on_ns < report.begin_ns || record->on_ns > report.end_ns)
            continue;
        intervals++;
        REQUIRE(record->off_ns <= record->on_ns);
        REQUIRE(record->word == 0);
        if (record->flags & OFFCPU_PREEMPTED)
            continue;
        REQUIRE(record->off_ns <= record->wake_ns && record->wake_ns <= record->on_ns);
        sleeps += record->syscall == SYS_clock_nanosleep;
        reads += record->syscall == SYS_read;
        woken_by_other += record->syscall == SYS_read && record->waker_tid == report.tid[1];
    }
    ck_assert_uint_eq(of_type_count(OFFCPU_THREAD_START, report.tid[1]), 1);
    ck_assert_uint_eq(of_type_count(OFFCPU_THREAD_EXIT, report.tid[1]), 1);
    ck_assert_uint_eq(intervals, report.switches);
    ck_assert_uint_eq(sleeps, report.sleeps);
    ck_assert_uint_gt(reads, (uint64_t)rounds / 2); /* on one CPU nearly each of them has to wait */
    ck_assert_uint_eq(woken_by_other, reads);
    offcpu_close(watch);
}

/* Others run on this CPU as well, so how long that takes is theirs to say. */
static bool has_taken_turns(void)
{
    for (size_t i = 0; i < record_count; i++)
        if (records[i].tid == report.tid[0] && records[i].thief_tid == report.tid[1])
            return true;
    return false;
}

TEST(offcpu, a_preemption_names_who_took_the_cpu)
{
    uint64_t by_other = 0;
    enough = has_taken_turns;
    WATCH(child_hogs, true);
    expect_nothing_lost();
    for (size_t i = 0; i < record_count; i++) {
        const struct offcpu_record *record = &records[i];
        if (record->tid != report.tid[0] || record->off_ns < report.begin_ns || record->on_ns > report.end_ns)
            continue;
        REQUIRE(record->flags & OFFCPU_PREEMPTED);
        REQUIRE(record->wake_ns == 0);
        REQUIRE(record->thief_tid != 0 && record->thief_tid != report.tid[0]);
        if (record->thief_tid != report.tid[1])
            continue;
        by_other++;
        REQUIRE(record->thief_pid == (uint32_t)child);
        REQUIRE(record->thief_comm[0] != 0);
    }
    ck_assert_uint_gt(by_other, 0);
    offcpu_close(watch);
}

static unsigned sleeps_beside_spinner(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < record_count; i++)
        count += records[i].type == OFFCPU_INTERVAL && records[i].syscall == SYS_clock_nanosleep &&
                 records[i].thief_pid == (uint32_t)child;
    return count;
}

static bool has_slept_enough(void) { return sleeps_beside_spinner() >= 50; }

TEST(offcpu, a_timer_wakes_and_not_whom_it_interrupts)
{
    unsigned by_timer = 0;
    enough = has_slept_enough;
    WATCH(child_sleeper, true);
    expect_nothing_lost();
    ck_assert_uint_ge(sleeps_beside_spinner(), 50);
    for (size_t i = 0; i < record_count; i++) {
        const struct offcpu_record *record = &records[i];
        if (record->type != OFFCPU_INTERVAL || record->syscall != SYS_clock_nanosleep)
            continue;
        /* Of some wake-ups the kernel does not tell. */
        REQUIRE(record->waker_tid == OFFCPU_INTERRUPT || record->waker_tid == 0);
        REQUIRE(record->waker_pid == 0 && record->waker_word == 0);
        by_timer += record->waker_tid == OFFCPU_INTERRUPT;
    }
    ck_assert_uint_ge(by_timer, 40);
    offcpu_close(watch);
}

#define WAIT_NS 1000000 /* waits for a CPU that took so long are looked at */

static uint64_t able_ns(const struct offcpu_record *record)
{
    return record->wake_ns ? record->wake_ns : record->off_ns;
}

/* For how long others are told to have had the CPU that it waited for in the end. */
static uint64_t others_had_ns(const struct offcpu_record *wait)
{
    uint64_t had_ns = 0, from_ns = able_ns(wait);
    for (size_t i = 0; i < record_count; i++) {
        const struct offcpu_record *slice = &records[i];
        if (slice->type != OFFCPU_SLICE || slice->cpu_to != wait->cpu_to || slice->on_ns <= from_ns ||
            slice->off_ns >= wait->on_ns)
            continue;
        had_ns += (slice->on_ns < wait->on_ns ? slice->on_ns : wait->on_ns) -
                  (slice->off_ns > from_ns ? slice->off_ns : from_ns);
    }
    return had_ns;
}

static bool is_long_move(const struct offcpu_record *record)
{
    return record->type == OFFCPU_INTERVAL && record->cpu_from != record->cpu_to &&
           record->on_ns - able_ns(record) >= WAIT_NS;
}

static bool has_moved_enough(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < record_count; i++)
        count += is_long_move(&records[i]);
    return count >= 20;
}

TEST(offcpu, who_has_the_cpu_is_told_to_a_thread_that_is_moved_there_as_it_waits)
{
    unsigned moves = 0, told_moves = 0;
    cpu_set_t all;
    SKIP_ON_ONE_CPU(&all);
    enough = has_moved_enough;
    WATCH(child_moved, true);
    expect_nothing_lost();
    for (size_t i = 0; i < record_count; i++) {
        const struct offcpu_record *move = &records[i];
        uint64_t had_ns = others_had_ns(move), waited_ns = move->on_ns - able_ns(move);
        if (!is_long_move(move) || move->tid != report.tid[0] || move->cpu_to != report.cpu)
            continue;
        moves++;
        told_moves += had_ns > waited_ns / 2; /* short ones are not told, of which others may have many */
        REQUIRE(had_ns <= waited_ns + waited_ns / 100 + 10000);
    }
    ck_assert_uint_gt(moves, 0);
    ck_assert_uint_gt(told_moves, moves / 2);
    offcpu_close(watch);
}

static bool is_long_start(const struct offcpu_record *record)
{
    return record->type == OFFCPU_INTERVAL && record->flags == OFFCPU_NEW && record->on_ns - record->off_ns >= WAIT_NS;
}

static bool has_started_enough(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < record_count; i++)
        count += is_long_start(&records[i]);
    return count >= 10;
}

TEST(offcpu, who_has_the_cpu_is_told_to_a_new_thread)
{
    unsigned starts = 0, told_starts = 0;
    enough = has_started_enough;
    WATCH(child_starts, true);
    expect_nothing_lost();
    for (size_t i = 0; i < record_count; i++)
        if (is_long_start(&records[i])) {
            starts++;
            told_starts += others_had_ns(&records[i]) > (records[i].on_ns - records[i].off_ns) / 2;
        }
    ck_assert_uint_gt(starts, 0);
    ck_assert_uint_gt(told_starts, starts / 2);
    offcpu_close(watch);
}

TEST(offcpu, who_is_moved_as_it_falls_asleep_does_not_wait_for_a_cpu_while_it_sleeps)
{
    uint64_t waited_ns = 0, sleeps = 0;
    cpu_set_t all;
    SKIP_ON_ONE_CPU(&all);
    WATCH(child_moved_asleep, true);
    expect_nothing_lost();
    for (size_t i = 0; i < record_count; i++)
        if (records[i].type == OFFCPU_INTERVAL && records[i].tid == report.tid[0] &&
            records[i].syscall == SYS_clock_nanosleep && records[i].wake_ns) {
            sleeps++;
            waited_ns += records[i].on_ns - records[i].wake_ns;
        }
    ck_assert_uint_gt(sleeps, 0);
    ck_assert_uint_le(waited_ns, report.late_ns + sleeps * 5000);
    offcpu_close(watch);
    if (report.mistaken == 0)
        SKIP("this kernel counts nobody as waiting who sleeps");
}

TEST(offcpu, each_interval_has_its_g_and_the_g_that_woke_it)
{
    uint64_t reads[2] = { 0, 0 };
    rounds = 5000;
    WATCH(child_gs, true);
    expect_nothing_lost();
    ck_assert_uint_ne(report.tid[0], report.tid[1]);
    for (size_t i = 0; i < record_count; i++) {
        const struct offcpu_record *record = &records[i];
        int self = record->tid == report.tid[1];
        if (record->type != OFFCPU_INTERVAL || (!self && record->tid != report.tid[0]) || record->syscall != SYS_read ||
            (record->flags & OFFCPU_PREEMPTED) || record->argument != (uint64_t)report.end[self])
            continue;
        reads[self]++;
        REQUIRE(record->word == m_word_make(report.g[self], G_SYSCALL));
        REQUIRE(record->waker_tid == report.tid[!self]);
        REQUIRE(record->waker_word == m_word_make(report.g[!self], G_SYSCALL));
    }
    ck_assert_uint_gt(reads[0], (uint64_t)rounds / 2);
    ck_assert_uint_gt(reads[1], (uint64_t)rounds / 2);
    close(go[1]); /* a thread that ends has no memory any more: that is no word that could not be read */
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    expect_nothing_lost();
    offcpu_close(watch);
}

static char state_of_child(void)
{
    char path[32], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    FILE *file = fopen(path, "re");
    REQUIRE(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
    fclose(file);
    return state;
}

TEST(offcpu, a_return_to_the_cpu_that_was_not_told_of_is_found_by_what_the_scheduler_noted)
{
    const struct offcpu_record *found = NULL;
    struct offcpu_target target, nobody = { .pid = -1 };
    cpu_set_t all;
    SKIP_ON_ONE_CPU(&all);
    const char *lacking = aimed(child_unseen, &target);
    if (lacking)
        SKIP_UNWATCHED(lacking);
    /* While this process has the child's CPU, one that sleeps has been switched out. */
    ck_assert(pin_to_number(0, &all));
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    while (state_of_child() != 'S')
        sched_yield();
    uint64_t written_ns = now_ns();
    ck_assert(pin_to_number(1, &all));
    offcpu_aim(watch, &nobody);
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    ck_assert_int_eq(read(told[0], &report, sizeof report), sizeof report);
    offcpu_aim(watch, &target);
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    ck_assert_int_eq(read(told[0], &report, sizeof report), sizeof report);
    ck_assert_int_ge(offcpu_poll(watch, record_keep, NULL), 0);
    expect_nothing_lost();
    for (size_t i = 0; i < record_count; i++)
        if (records[i].syscall == SYS_read && !(records[i].flags & OFFCPU_PREEMPTED) && records[i].off_ns < written_ns)
            found = &records[i];
    ck_assert_ptr_nonnull(found);
    ck_assert_uint_gt(found->on_ns, written_ns);
    ck_assert_uint_lt(found->on_ns, report.end_ns);
    ck_assert_uint_gt(found->wake_ns, found->off_ns);
    ck_assert_uint_le(found->wake_ns, found->on_ns);
    ck_assert_uint_eq(found->waker_tid | found->waker_pid | found->waker_word, 0);
    offcpu_close(watch);
}

TEST(offcpu, who_is_stopped_by_a_signal_is_not_blocked)
{
    unsigned stops = 0;
    struct offcpu_target target;
    const char *lacking = aimed(child_computes, &target);
    if (lacking)
        SKIP_UNWATCHED(lacking);
    ck_assert_int_eq(kill(child, SIGSTOP), 0);
    while (state_of_child() != 'T')
        sched_yield();
    uint64_t stopped_ns = now_ns();
    ck_assert_int_eq(kill(child, SIGCONT), 0);
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    ck_assert_int_eq(read(told[0], &report, sizeof report), sizeof report);
    ck_assert_int_ge(offcpu_poll(watch, record_keep, NULL), 0);
    expect_nothing_lost();
    for (size_t i = 0; i < record_count; i++) {
        const struct offcpu_record *record = &records[i];
        if (record->type != OFFCPU_INTERVAL || record->off_ns > stopped_ns || record->on_ns < stopped_ns)
            continue;
        stops++;
        REQUIRE(record->flags == OFFCPU_SUSPENDED);
        REQUIRE(record->wake_ns >= stopped_ns && record->wake_ns <= record->on_ns);
    }
    ck_assert_uint_eq(stops, 1);
    offcpu_close(watch);
}

TEST(offcpu, a_program_that_becomes_another_one_is_not_watched_any_more)
{
    struct offcpu_target target;
    int status = 0;
    const char *lacking = aimed(child_exec, &target);
    if (lacking)
        SKIP_UNWATCHED(lacking);
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), 3);
    ck_assert_int_ge(offcpu_poll(watch, record_keep, NULL), 0);
    expect_nothing_lost();
    ck_assert_uint_eq(of_type_count(OFFCPU_THREAD_EXIT, report.tid[0]), 1);
    for (size_t i = 0; i < record_count; i++)
        REQUIRE(records[i].type != OFFCPU_INTERVAL || records[i].syscall != SYS_wait4);
    offcpu_close(watch);
}

TEST(offcpu, an_interval_whose_stacks_find_no_room_is_told_without_and_that_is_counted)
{
    struct offcpu_counts counts;
    rounds = 5000;
    stacks_from_ns = 1;
    WATCH(child_plain, false);
    offcpu_counts_read(watch, &counts);
    ck_assert_uint_gt(counts.unplaced, 0);
    ck_assert_uint_eq(counts.dropped[OFFCPU_INTERVAL], 0);
    unsigned intervals = of_type_count(OFFCPU_INTERVAL, report.tid[0]) + of_type_count(OFFCPU_INTERVAL, report.tid[1]);
    ck_assert_uint_eq(intervals, counts.records[OFFCPU_INTERVAL]);
    ck_assert_uint_gt(intervals, counts.unplaced);
    offcpu_close(watch);
}

TEST(offcpu, what_found_no_room_is_counted)
{
    struct offcpu_counts counts;
    rounds = 40000;
    WATCH(child_plain, false);
    offcpu_counts_read(watch, &counts);
    ck_assert_uint_gt(counts.dropped[OFFCPU_INTERVAL], 0);
    uint64_t of_type[OFFCPU_TYPES] = { 0 };
    for (size_t i = 0; i < record_count; i++) {
        REQUIRE(records[i].type < OFFCPU_TYPES);
        of_type[records[i].type]++;
    }
    ck_assert_uint_ge(of_type[OFFCPU_THREAD_START], 1);
    ck_assert_uint_eq(of_type[OFFCPU_INTERVAL], counts.records[OFFCPU_INTERVAL]);
    offcpu_close(watch);
}

static unsigned descriptors_count(void)
{
    char out[16] = "";
    harness_shell("ls /proc/$PPID/fd | wc -l", out, sizeof out, NULL, 0);
    return (unsigned)strtoul(out, NULL, 10);
}

TEST(offcpu, leaves_nothing_behind)
{
    unsigned before = descriptors_count();
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(offcpu_open(&watch, &(struct offcpu_options){ 0 }), 0);
        int result = offcpu_load(watch);
        if (result == 0)
            result = i % 2 ? 0 : offcpu_attach(watch);
        offcpu_close(watch);
        if (result < 0)
            SKIP_UNWATCHED(strerror(-result));
    }
    ck_assert_uint_eq(descriptors_count(), before);
}
