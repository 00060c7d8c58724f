/* faulty KIND: a program with one mistake on the stacks of goroutines, for the tools that should find it, beside many
 * goroutines without a mistake that a tool might find one in:
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

#define HONEST 50
#define RACES 100

static struct gmpt_waitgroup done = GMPT_WAITGROUP_INIT;
static struct gmpt_chan *numbers;
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

/* Both are there for the turn, which orders nothing. */
static void meet(int turn)
{
    __atomic_fetch_add(&arrived, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&arrived, __ATOMIC_RELAXED) < 2 * turn)
        ;
}

struct work {
    int turns;
    char text[240]; /* some get all of this, some only the turns: where frames begin differs from G to G on a stack */
};

static void honest(void *args)
{
    int turns = ((const struct work *)args)->turns, got;
    volatile char room[256];
    for (int i = 0; i < turns; i++) {
        memset((char *)room, i, sizeof room);
        gmpt_yield();
        if (gmpt_chan_send(numbers, &i) == 0 && gmpt_chan_recv(numbers, &got) == 0 && got >= HONEST)
            abort();
        gmpt_sleep(1000);
    }
    gmpt_waitgroup_done(&done);
}

static void honest_wave(void)
{
    static const struct gmpt_go_options small = { .stack_bytes = GMPT_STACK_SMALL };
    struct work work = { .turns = 0 };
    memset(work.text, 'w', sizeof work.text);
    gmpt_waitgroup_add(&done, HONEST);
    for (work.turns = 0; work.turns < HONEST; work.turns++)
        gmpt_go_with(work.turns % 3 ? NULL : &small, honest, &work, work.turns % 2 ? sizeof work : sizeof work.turns);
    gmpt_waitgroup_wait(&done);
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
        /* Of accesses at the very same moment ThreadSanitizer can miss both, and a wait can end by a preemption, which
         * orders them: one turn does not always tell. */
        for (int turn = 1; turn <= RACES; turn++) {
            meet(turn);
            shared++;
        }
    } else if (is("undefined")) {
        printf("%d\n", decide(&hidden[2]));
    }
    gmpt_waitgroup_done(&done);
}

static int start(void *arg)
{
    (void)arg;
    numbers = gmpt_chan_new(sizeof(int), HONEST);
    honest_wave();
    gmpt_waitgroup_add(&done, 2);
    for (int i = 0; i < 2; i++)
        gmpt_go(faulty, NULL, 0);
    honest_wave();
    gmpt_chan_release(numbers);
    return 0;
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "none";
    return gmpt_run(start, NULL);
}
