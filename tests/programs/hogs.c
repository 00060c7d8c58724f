/* hogs COUNT: so many Gs that compute until all of them run. On one P each next one gets its turn only when the one
 * before has used up its slice, so the last are runnable for long. */
#include <gmptrace/gmpt.h>

#include <stdlib.h>

static int running, count;
static struct gmpt_waitgroup all = GMPT_WAITGROUP_INIT;

static void hog(void *args)
{
    (void)args;
    __atomic_add_fetch(&running, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&running, __ATOMIC_RELAXED) < count)
        ;
    gmpt_waitgroup_done(&all);
}

static int start(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&all, count);
    for (int i = 0; i < count; i++)
        gmpt_go(hog, NULL, 0);
    gmpt_waitgroup_wait(&all);
    return 0;
}

int main(int argc, char **argv)
{
    count = argc > 1 ? atoi(argv[1]) : 1;
    return gmpt_run(start, NULL);
}
