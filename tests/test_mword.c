/* The word by which an M tells the kernel's side what it does: as whoever stops the thread would read it, from the
 * thread pointer on by what the segment says. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct gmpt_waitgroup group;

/* By the segment's offsets only. */
static __attribute__((noinline)) uint64_t word_here(void)
{
    const struct segment_header *header = trace_segment.header;
    const char *m = *(char **)((char *)__builtin_thread_pointer() + header->thread_m_offset);
    return m ? load_relaxed(*(const ATOMIC(uint64_t) *const *)(m + header->m_word_offset)) : 0;
}

static void expect_running(void)
{
    uint64_t word = word_here();
    EXPECT_EQ(m_word_id(word), gmpt_self());
    EXPECT_EQ(m_word_state(word), G_RUNNING);
}

static void run_and_yield(void *args)
{
    (void)args;
    for (int i = 0; i < 1000; i++) {
        expect_running();
        gmpt_yield();
        if (i % 100 == 0) {
            gmpt_sleep(1000);
            expect_running();
        }
    }
    gmpt_waitgroup_done(&group);
}

static int many_run(void *arg)
{
    (void)arg;
    expect_running();
    gmpt_waitgroup_add(&group, 8);
    for (int i = 0; i < 8; i++)
        run_go(run_and_yield);
    gmpt_waitgroup_wait(&group);
    expect_running();
    return 0;
}

TEST(mword, names_the_g_that_runs) { RUN(2, many_run); }

static int call_blocks(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        uint64_t id = (uint64_t)gmpt_self();
        gmpt_blocking_begin();
        uint64_t word = word_here();
        EXPECT_EQ(m_word_id(word), id);
        EXPECT_EQ(m_word_state(word), G_SYSCALL);
        if (i % 10 == 0)
            usleep(2000); /* sysmon takes the P away, so that another way leads back */
        gmpt_blocking_end();
        expect_running();
    }
    return 0;
}

TEST(mword, tells_a_blocking_call) { RUN(1, call_blocks); }

static void block(void *args)
{
    int *end = args;
    char byte;
    gmpt_blocking_begin();
    EXPECT_EQ(read(*end, &byte, 1), 1);
    gmpt_blocking_end();
    expect_running();
    gmpt_waitgroup_done(&group);
}

/* Threads that are asleep run nothing: those that ran Gs meanwhile, too. */
static int threads_sleep(void *arg)
{
    (void)arg;
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    gmpt_waitgroup_add(&group, 4);
    for (int i = 0; i < 4; i++)
        gmpt_go(block, &ends[0], sizeof ends[0]);
    for (int i = 0; i < 4; i++) {
        gmpt_sleep(5000000);
        EXPECT_EQ(write(ends[1], "x", 1), 1);
    }
    gmpt_waitgroup_wait(&group);
    unsigned slept = 0;
    while (!slept) { /* the last of them is on its way */
        lock_acquire(&sched.lock);
        for (struct m *m = sched.idle_ms; m; m = m->next_idle) {
            slept++;
            EXPECT_EQ(load_relaxed(m->word_at), 0);
        }
        lock_release(&sched.lock);
        gmpt_yield();
    }
    return 0;
}

TEST(mword, is_nothing_in_the_scheduler) { RUN(1, threads_sleep); }

static void *look_at_word(void *word)
{
    *(uint64_t *)word = word_here();
    return NULL;
}

static int another_thread_looks(void *arg)
{
    (void)arg;
    pthread_t thread;
    uint64_t word = 1;
    EXPECT_EQ(pthread_create(&thread, NULL, look_at_word, &word), 0);
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    EXPECT_EQ(word, 0);
    return 0;
}

TEST(mword, other_threads_have_none) { RUN(1, another_thread_looks); }

/* ---- In memory that a recorder passed ---------------------------------------------------------------------------- */

#define WORDS_BYTES (SEGMENT_WORDS * SEGMENT_WORD_BYTES)

static const uint8_t *passed_view; /* of what was passed */

/* Passes the number to the next run, which is a recorded program's. */
static void words_pass(int fd)
{
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    setenv(SEGMENT_WORDS_ENV, number, 1);
    run_pass_segment();
}

/* A map such as a recorder's; -1 with errno. */
static int map_make(void)
{
    union bpf_attr attributes = { 0 };
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = 4;
    attributes.value_size = SEGMENT_WORD_BYTES;
    attributes.max_entries = SEGMENT_WORDS;
    attributes.map_flags = BPF_F_MMAPABLE;
    return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}

/* This thread's word, as the recorder's side has it. */
static __attribute__((noinline)) uint64_t word_passed(void)
{
    uint64_t at = (uintptr_t)m_self()->word_at - trace_segment.header->words_at;
    if (at >= WORDS_BYTES || at % SEGMENT_WORD_BYTES)
        return UINT64_MAX;
    return load_relaxed((const ATOMIC(uint64_t) *)(passed_view + at));
}

static void tell_and_yield(void *args)
{
    (void)args;
    for (int i = 0; i < 1000; i++) {
        EXPECT_EQ(m_word_id(word_passed()), gmpt_self());
        EXPECT_EQ(m_word_state(word_passed()), G_RUNNING);
        gmpt_yield();
    }
    gmpt_waitgroup_done(&group);
}

/* A child of fork() tells something else. */
static void fork_and_tell(void)
{
    uint64_t word = word_passed();
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        m_tell(m_self(), g_self(), G_SYSCALL);
        _exit(word_passed() == word && m_word_state(word_here()) == G_SYSCALL ? 0 : 1);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(word_passed(), word);
}

static int many_tell(void *arg)
{
    (void)arg;
    EXPECT(getenv(SEGMENT_WORDS_ENV) == NULL);
    gmpt_waitgroup_add(&group, 8);
    for (int i = 0; i < 8; i++)
        run_go(tell_and_yield);
    gmpt_waitgroup_wait(&group);
    fork_and_tell();
    return 0;
}

TEST(mword, lies_in_the_map_that_a_recorder_passed)
{
    int map = map_make();
    if (map < 0)
        SKIP("no map can be made here: %s", strerror(errno));
    passed_view = mmap(NULL, WORDS_BYTES, PROT_READ, MAP_SHARED, map, 0);
    ck_assert_ptr_ne(passed_view, MAP_FAILED);
    words_pass(map);
    RUN(2, many_tell);
}

static int none_passed(void *arg)
{
    (void)arg;
    EXPECT(getenv(SEGMENT_WORDS_ENV) == NULL);
    EXPECT_EQ(trace_segment.header->words_at, 0);
    expect_running();
    return 0;
}

static void run_none_passed(void) { _exit(run_on(1, none_passed) || *run_complaint()); }

TEST(mword, is_the_threads_own_where_what_was_passed_is_no_map)
{
    char err[256];
    int file = memfd_create("words", MFD_CLOEXEC); /* it could be cut off */
    ck_assert_int_eq(ftruncate(file, WORDS_BYTES), 0);
    words_pass(file);
    ck_assert_int_eq(run_child(run_none_passed, err, sizeof err), 0);
    static const char *const wrong[] = { "999", "x", "-1", "99999999999", "" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv(SEGMENT_WORDS_ENV, wrong[i], 1);
        ck_assert_int_eq(run_child(run_none_passed, err, sizeof err), 0);
    }
}

/* It is of the program that has the segment. */
TEST(mword, is_the_threads_own_where_no_recorder_has_the_program)
{
    char err[256];
    int map = map_make();
    if (map < 0)
        SKIP("no map can be made here: %s", strerror(errno));
    words_pass(map);
    unsetenv(SEGMENT_FD_ENV);
    ck_assert_int_eq(run_child(run_none_passed, err, sizeof err), 0);
}
