/* Spare segments: who starts finds one, and no two find the same. */
#define _GNU_SOURCE
#include "harness.h"

#include "trace/spares.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 16

static void spares_here(void)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv(SPARES_ENV, pid, 1);
}

static int claim(struct segment *segment) { return spare_claim(segment, 1, 2 * SUBBUFFER_BYTES, 8); }

TEST(spares, one_that_is_claimed_is_locked_and_held_and_no_other_s)
{
    struct segment first, second, outside;
    const char *why;
    int a = spare_make(), b = spare_make();
    ck_assert_int_ge(a, 0);
    ck_assert_int_ge(b, 0);
    spares_here();
    ck_assert_int_eq(claim(&first), 0);
    ck_assert_int_eq(claim(&second), 0);
    ck_assert_ptr_ne(first.base, second.base);
    ck_assert(segment_is_locked(first.fd));
    ck_assert_uint_eq(load_relaxed(&first.header->hold_at_end), 1);
    segment_publish(&first);
    segment_publish(&second);
    ck_assert_int_eq(segment_open(&outside, a, &why), 0);
    segment_close(&outside);
    ck_assert_int_eq(segment_open(&outside, b, &why), 0);
    segment_close(&outside);
    /* The recorder has gone: whoever is held goes on. */
    close(a);
    close(b);
    ck_assert(!segment_is_locked(first.fd));
    segment_close(&first);
    segment_close(&second);
}

TEST(spares, without_a_recorder_there_is_none)
{
    static const char *const wrong[] = { "", "x", "0", "-1", "99999999999", "12x" };
    struct segment segment;
    unsetenv(SPARES_ENV);
    ck_assert_int_eq(claim(&segment), -ENOENT);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv(SPARES_ENV, wrong[i], 1);
        ck_assert_int_eq(claim(&segment), -ENOENT);
    }
    spares_here(); /* this process has none */
    ck_assert_int_eq(claim(&segment), -ENOENT);
}

TEST(spares, processes_that_start_at_once_have_one_each)
{
    int fds[PROCESSES], gate[2];
    pid_t pids[PROCESSES];
    struct segment outside;
    const char *why;
    uint32_t seen[PROCESSES] = { 0 };
    for (int i = 0; i < PROCESSES; i++)
        ck_assert_int_ge(fds[i] = spare_make(), 0);
    spares_here();
    ck_assert_int_eq(pipe(gate), 0);
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct segment segment;
            char byte;
            close(gate[1]);
            if (read(gate[0], &byte, 1) != 0 || claim(&segment) != 0)
                _exit(1);
            segment_publish(&segment);
            _exit(0);
        }
    }
    close(gate[0]);
    close(gate[1]); /* all go */
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        ck_assert_int_eq(segment_open(&outside, fds[i], &why), 0);
        for (int k = 0; k < i; k++)
            ck_assert_uint_ne(seen[k], outside.pid);
        seen[i] = outside.pid;
        segment_close(&outside);
    }
}
