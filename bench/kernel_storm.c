/* Storms of context switches: two threads on one CPU that wake each other in turn, by a futex or by pipes, as
 * goroutines in blocking calls or, with `plainly`, in calls that nobody was told of. What watches switches is measured
 * by them.
 *
 *     kernel_storm [ROW...]          all, or those named: "ROW NS" lines, NS for each switch
 *     kernel_storm for SECONDS ROW   that row again and again, for so long; "begun" is printed as it begins
 *     kernel_storm await ROW         that row once, after a line of standard input
 *     kernel_storm idle SECONDS      a program that sleeps */
#define _GNU_SOURCE
#include "rows.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXCHANGES 100000 /* of two switches each */

static struct gmpt_waitgroup group = GMPT_WAITGROUP_INIT;

struct side {
    int own, other; /* of the futex: whose turn it is */
    int from, to;   /* of the pipes */
    bool plainly;
    long exchanges;
};

static int turn;

static void turn_await(const struct side *side)
{
    for (int now; (now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != side->own;)
        syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void turn_give(const struct side *side)
{
    __atomic_store_n(&turn, side->other, __ATOMIC_RELEASE);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void by_futex(void *args)
{
    const struct side *side = args;
    if (!side->plainly)
        gmpt_blocking_begin();
    for (long i = 0; i < side->exchanges; i++) {
        turn_await(side);
        turn_give(side);
    }
    if (!side->plainly)
        gmpt_blocking_end();
    gmpt_waitgroup_done(&group);
}

static void by_pipe(void *args)
{
    const struct side *side = args;
    char byte = 'x';
    if (!side->plainly)
        gmpt_blocking_begin();
    for (long i = 0; i < side->exchanges; i++)
        if (read(side->from, &byte, 1) != 1 || write(side->to, &byte, 1) != 1)
            abort();
    if (!side->plainly)
        gmpt_blocking_end();
    gmpt_waitgroup_done(&group);
}

static void storm(void (*by)(void *args), bool plainly, long exchanges)
{
    int there[2], back[2];
    char byte = 'x';
    if (pipe(there) || pipe(back) || write(there[1], &byte, 1) != 1)
        abort();
    turn = 0;
    struct side one = { 0, 1, there[0], back[1], plainly, exchanges };
    struct side two = { 1, 0, back[0], there[1], plainly, exchanges };
    row_start(&group, by, &one, sizeof one);
    row_start(&group, by, &two, sizeof two);
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < 2; i++) {
        close(there[i]);
        close(back[i]);
    }
}

static const struct row {
    const char *name;
    void (*by)(void *args);
    bool plainly;
} rows[] = {
    { "storm_futex", by_futex, false },
    { "storm_pipe", by_pipe, false },
    { "storm_futex_plain", by_futex, true },
    { "storm_pipe_plain", by_pipe, true },
};
#define ROWS (sizeof rows / sizeof rows[0])

static const struct row *row_named(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    fprintf(stderr, "kernel_storm: there is no row %s\n", name);
    exit(2);
}

static int storms(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < ROWS; i++) {
        if (!row_is_wanted(rows[i].name))
            continue;
        storm(rows[i].by, rows[i].plainly, EXCHANGES / 10);
        int64_t begin_ns = gmpt_now();
        storm(rows[i].by, rows[i].plainly, EXCHANGES);
        row_print(rows[i].name, (double)(gmpt_now() - begin_ns) / (2 * EXCHANGES));
    }
    return 0;
}

static int storm_for(void *arg)
{
    char **words = arg;
    int64_t end_ns = gmpt_now() + atoll(words[0]) * 1000000000;
    const struct row *row = words[1] ? row_named(words[1]) : NULL;
    printf("begun\n");
    fflush(stdout);
    if (!row)
        return gmpt_sleep(end_ns - gmpt_now());
    while (gmpt_now() < end_ns)
        storm(row->by, row->plainly, EXCHANGES / 10);
    return 0;
}

/* Two threads that run goroutines have to share it. */
static void pin_to_one(void)
{
    cpu_set_t set, one;
    CPU_ZERO(&one);
    setenv("GMPT_MAXPROCS", "2", 1);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (int cpu = CPU_SETSIZE; cpu-- > 0 && CPU_COUNT(&one) == 0;)
            if (CPU_ISSET(cpu, &set))
                CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

int main(int argc, char **argv)
{
    rows_wanted = argv + 1;
    pin_to_one();
    if (argc == 4 && strcmp(argv[1], "for") == 0)
        return gmpt_run(storm_for, argv + 2);
    if (argc == 3 && strcmp(argv[1], "await") == 0) {
        rows_wanted++;
        row_named(argv[2]);
        printf("begun\n");
        fflush(stdout);
        while (getchar() > '\n')
            ;
        return gmpt_run(storms, NULL);
    }
    if (argc == 3 && strcmp(argv[1], "idle") == 0)
        return gmpt_run(storm_for, argv + 2);
    for (int i = 1; i < argc; i++)
        row_named(argv[i]);
    return gmpt_run(storms, NULL);
}
