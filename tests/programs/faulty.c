/* faulty KIND: a program with one mistake on the stacks of goroutines, for the tools that should find it:
 *
 *     none       no mistake
 *     return     uses a variable of a function that has returned
 *     beyond     writes beyond an array
 *     race       two goroutines on two threads change a variable
 *     undefined  decides by a variable that was never set
 */
#include <gmptrace/gmpt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gmpt_waitgroup done = GMPT_WAITGROUP_INIT;
static const char *kind;
static int shared, arrived;
static int *volatile kept;

static int is(const char *name) { return strcmp(kind, name) == 0; }

static __attribute__((noinline)) void keep_local(void)
{
    volatile int local = 42;
    kept = (int *)&local;
    gmpt_yield();
}

static __attribute__((noinline)) int use_kept(void) { return *(volatile int *)kept; }

static __attribute__((noinline)) void write_at(volatile char *array, int index) { array[index] = 1; }

static __attribute__((noinline)) int decide(const volatile int *value)
{
    gmpt_yield();
    return *value > 1000 ? 1 : 2;
}

/* Both are there, which orders nothing. */
static void meet(void)
{
    __atomic_fetch_add(&arrived, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&arrived, __ATOMIC_RELAXED) < 2)
        ;
}

static void honest(void *args)
{
    int turns = *(int *)args;
    volatile char room[1024];
    for (int i = 0; i < turns; i++) {
        memset((char *)room, i, sizeof room);
        gmpt_yield();
    }
    gmpt_waitgroup_done(&done);
}

static void faulty(void *args)
{
    (void)args;
    volatile char array[16];
    int unset[4];
    int *volatile hidden = unset; /* from the compiler, which would warn */
    memset((char *)array, 0, sizeof array);
    if (is("return")) {
        keep_local();
        printf("%d\n", use_kept());
    } else if (is("beyond")) {
        write_at(array, sizeof array);
    } else if (is("race")) {
        meet();
        shared++;
    } else if (is("undefined")) {
        printf("%d\n", decide(&hidden[2]));
    }
    gmpt_waitgroup_done(&done);
}

static int start(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&done, 102);
    for (int i = 0; i < 100; i++)
        gmpt_go(honest, &i, sizeof i);
    for (int i = 0; i < 2; i++)
        gmpt_go(faulty, NULL, 0);
    gmpt_waitgroup_wait(&done);
    return 0;
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "none";
    return gmpt_run(start, NULL);
}
