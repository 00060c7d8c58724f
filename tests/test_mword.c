/* The word by which an M tells the kernel's side what it does: as whoever stops the thread would read it, from the
 * thread pointer on by what the segment says. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"

#include <unistd.h>

static struct gmpt_waitgroup group;

/* By the segment's offsets only. */
static __attribute__((noinline)) uint64_t word_here(void)
{
    const struct segment_header *header = trace_segment.header;
    const char *m = *(char **)((char *)__builtin_thread_pointer() + header->thread_m_offset);
    return m ? load_relaxed((const ATOMIC(uint64_t) *)(m + header->m_word_offset)) : 0;
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
            EXPECT_EQ(load_relaxed(&m->word), 0);
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
