/* GMPT_DEBUG=schedtrace: Go's lines, with the fields that its readers look for. */
#include "harness.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char err[1 << 16];

static void waiter(void *args)
{
    (void)args;
    gmpt_chan_recv(NULL, NULL);
}

static int some_time(void *arg)
{
    (void)arg;
    run_waits_for_ever(waiter);
    run_go(waiter);
    return gmpt_sleep(60000000);
}

static void child(const char *setting)
{
    setenv("GMPT_DEBUG", setting, 1);
    run_on(3, some_time);
}
static void child_short(void) { child("schedtrace=10"); }
static void child_long(void) { child("schedtrace=10,scheddetail=1"); }

TEST(schedtrace, lines_have_gos_fields)
{
    ck_assert_int_eq(run_child(child_short, err, sizeof err), 0);
    int lines = 0;
    for (char *line = strtok(err, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        unsigned ms, procs, idle, threads, spinning, need, parked, queue, local[3], ticks[3];
        int fields = sscanf(line,
                            "SCHED %ums: gomaxprocs=%u idleprocs=%u threads=%u spinningthreads=%u needspinning=%u "
                            "idlethreads=%u runqueue=%u [ %u %u %u ] schedticks=[ %u %u %u ]",
                            &ms, &procs, &idle, &threads, &spinning, &need, &parked, &queue, &local[0], &local[1],
                            &local[2], &ticks[0], &ticks[1], &ticks[2]);
        ck_assert_msg(fields == 14, "%s", line);
        ck_assert_uint_eq(procs, 3);
        ck_assert_uint_le(idle, 3);
        ck_assert_uint_ge(threads, 1);
    }
    ck_assert_int_ge(lines, 2);
}

TEST(schedtrace, details_list_ps_ms_and_gs)
{
    ck_assert_int_eq(run_child(child_long, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "\n  P0: status="));
    ck_assert_ptr_nonnull(strstr(err, "\n  P2: status="));
    ck_assert_ptr_nonnull(strstr(err, " spinning=false lockedg=nil\n"));
    ck_assert_ptr_nonnull(strstr(err, "\n  G1: status=3(sleep)\n"));
    ck_assert_ptr_nonnull(strstr(err, "\n  G2: status=3(chan operation on NULL)\n"));
}
