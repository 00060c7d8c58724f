/* counting FILE [GS [TASKS]]: GS goroutines (0: one for each P) begin and end tasks, TASKS each or without end. FILE
 * has a line of 64 bytes for each of them, whose first 8 count its events, each after it was written, so that whoever
 * kills the program knows how many there were at least; and the next 8 count its turns, traced or not. Prints "ready
 * PID". */
#include <gmptrace/gmpt.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define GS_MAX 64

struct line {
    volatile uint64_t events, turns;
    uint64_t rest[6];
};

struct job {
    struct line *line;
    struct gmpt_waitgroup *done;
    int64_t tasks;
    int yields;
};

static void counter(void *args)
{
    struct job *job = args;
    for (int64_t i = 0; job->tasks == 0 || i < job->tasks; i++) {
        struct gmpt_task task = gmpt_task_begin("task");
        if (task.id)
            job->line->events++;
        gmpt_task_end(task);
        if (task.id)
            job->line->events++;
        job->line->turns++;
        if (job->yields && i % 64 == 0)
            gmpt_yield();
    }
    gmpt_waitgroup_done(job->done);
}

static struct line *lines;

static int start(void *arg)
{
    char **argv = arg;
    static struct gmpt_waitgroup done = GMPT_WAITGROUP_INIT;
    int gs = argv[2] ? atoi(argv[2]) : 0;
    if (gs <= 0 || gs > GS_MAX)
        gs = gmpt_maxprocs() < GS_MAX ? gmpt_maxprocs() : GS_MAX;
    struct job job = { lines, &done, argv[2] && argv[3] ? atoll(argv[3]) : 0, gs > 1 };
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
    gmpt_waitgroup_add(&done, gs);
    for (int i = 0; i < gs; i++, job.line++)
        gmpt_go(counter, &job, sizeof job);
    gmpt_waitgroup_wait(&done);
    return 0;
}

int main(int argc, char **argv)
{
    alarm(120); /* never left behind */
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
    if (fd < 0 || ftruncate(fd, GS_MAX * sizeof(struct line)) < 0)
        return 1;
    lines = mmap(NULL, GS_MAX * sizeof(struct line), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return lines == MAP_FAILED ? 1 : gmpt_run(start, argv);
}
