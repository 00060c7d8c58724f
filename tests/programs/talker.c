/* A program to be recorded that says of itself whatever can be said: labels, a name, a scope, a task, a region, a
 * message; and then waits in a nest of calls. Its status is 0. */
#include <gmptrace/gmpt.h>

static struct gmpt_waitgroup all;

static __attribute__((noinline)) int wait_below(int calls)
{
    int result = calls > 0 ? wait_below(calls - 1) : gmpt_sleep(1000);
    __asm__ volatile("" ::: "memory");
    return result;
}

static void talk(void *args)
{
    (void)args;
    gmpt_name_set("talker");
    gmpt_label_set("who", "me");
    gmpt_scope_enter(gmpt_scope_new());
    struct gmpt_task task = gmpt_task_begin("talk");
    struct gmpt_region region = gmpt_region_begin("word");
    gmpt_log("news", "hello, world");
    wait_below(10);
    gmpt_region_end(region);
    gmpt_task_end(task);
    gmpt_waitgroup_done(&all);
}

static int start(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&all, 1);
    gmpt_go(talk, NULL, 0);
    gmpt_waitgroup_wait(&all);
    return 0;
}

int main(void) { return gmpt_run(start, NULL); }
