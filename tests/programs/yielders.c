/* yielders [GS [YIELDS [STATUS]]]: GS goroutines yield YIELDS times each; the program then ends with STATUS. */
#include <gmptrace/gmpt.h>

#include <stdlib.h>

struct job {
    int yields;
    struct gmpt_waitgroup *done;
};

static void yielder(void *args)
{
    struct job *job = args;
    for (int i = 0; i < job->yields; i++)
        gmpt_yield();
    gmpt_waitgroup_done(job->done);
}

static int start(void *arg)
{
    char **argv = arg;
    static struct gmpt_waitgroup done = GMPT_WAITGROUP_INIT;
    int gs = argv[1] ? atoi(argv[1]) : 10;
    struct job job = { argv[1] && argv[2] ? atoi(argv[2]) : 100, &done };
    gmpt_waitgroup_add(&done, gs);
    for (int i = 0; i < gs; i++)
        gmpt_go(yielder, &job, sizeof job);
    gmpt_waitgroup_wait(&done);
    return argv[1] && argv[2] && argv[3] ? atoi(argv[3]) : 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    return gmpt_run(start, argv);
}
