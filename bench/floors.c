/* What the machine allows: the runtime's context switch without the runtime, the same with nothing saved, a mutex of
 * pthreads, and what the kernel takes for a new default stack. Prints "ROW NS" lines.
 *
 *     floors [ROW...] */
#define _GNU_SOURCE
#include "rows.h"
#include "runtime/seat.h"
#include "runtime/switch.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define TURNS 20000000L
#define NEW_STACKS 50000L

static _Alignas(16) unsigned char stack[65536];

/* ---- switch ---- */

static struct context here, there;

void switch_entry_begin(void) { switch_arrived(&there); }
void switch_entry_end(void) { abort(); }

static void partner(void *args)
{
    (void)args;
    for (;;) {
        switch_context(&there, &here, false);
        switch_arrived(&there);
    }
}

static long raw_switch(void)
{
    switch_adopt_thread(&here);
    there.sp = switch_prepare(stack + sizeof stack, partner, NULL);
    switch_created(&there, stack, sizeof stack);
    for (long i = 0; i < TURNS; i++) {
        switch_context(&here, &there, false);
        switch_arrived(&here);
    }
    switch_destroyed(&there);
    return 2 * TURNS;
}

/* ---- the least that a switch can be: push where to go on, change the stack, pop, jump ---- */

#if defined(__x86_64__)
void floor_turns(long turns, void *other_stack);

__asm__(".text\n"
        "floor_turns:\n\t"
        "leaq 3f(%rip), %rax\n\t"
        "movq %rax, -8(%rsi)\n\t"
        "subq $8, %rsi\n"
        "1:\n\t" /* here; rsi is the other one's stack pointer throughout */
        "leaq 2f(%rip), %rax\n\t"
        "pushq %rax\n\t"
        "movq %rsp, %rdx\n\t"
        "movq %rsi, %rsp\n\t"
        "movq %rdx, %rsi\n\t"
        "popq %rax\n\t"
        "jmpq *%rax\n"
        "2:\n\t"
        "decq %rdi\n\t"
        "jnz 1b\n\t"
        "ret\n"
        "3:\n\t" /* there */
        "leaq 4f(%rip), %rax\n\t"
        "pushq %rax\n\t"
        "movq %rsp, %rdx\n\t"
        "movq %rsi, %rsp\n\t"
        "movq %rdx, %rsi\n\t"
        "popq %rax\n\t"
        "jmpq *%rax\n"
        "4:\n\t"
        "jmp 3b\n");

static long switch_floor(void)
{
    floor_turns(TURNS, stack + sizeof stack);
    return 2 * TURNS;
}
#endif

/* ---- mutex ---- */

static volatile long guarded;

static void *sleep_forever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static long mutex_pthread(void)
{
    /* With one thread only, glibc would leave the atomic operations away. */
    static pthread_t other;
    if (!other && pthread_create(&other, NULL, sleep_forever, NULL) != 0)
        perror("floors: cannot start a thread");
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    for (long i = 0; i < TURNS; i++) {
        pthread_mutex_lock(&mutex);
        guarded++;
        pthread_mutex_unlock(&mutex);
    }
    return TURNS;
}

/* ---- a default stack that nobody has had before: its first page, and its guard with a call for each ---- */

static uint8_t *new_stacks(void)
{
    size_t bytes = NEW_STACKS * (size_t)seat_stride(STACK_DEFAULT);
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED || madvise(base, bytes, MADV_NOHUGEPAGE)) {
        perror("floors: cannot map stacks");
        exit(1);
    }
    return base;
}

static long stack_touch(void)
{
    uint8_t *end = new_stacks();
    for (long i = 0; i < NEW_STACKS; i++) {
        end += seat_stride(STACK_DEFAULT);
        ((volatile uint8_t *)end)[-64] = 1;
    }
    return NEW_STACKS;
}

static long stack_guard(void)
{
    uint8_t *guard = new_stacks();
    long count = 0;
    while (count < NEW_STACKS && madvise(guard, GUARD_BYTES, MADV_GUARD_INSTALL) == 0) {
        guard += seat_stride(STACK_DEFAULT);
        count++;
    }
    return count;
}

static const struct floor {
    const char *name;
    long (*run)(void); /* returns how many operations it did */
} floors[] = {
    { "switch", raw_switch },
#if defined(__x86_64__)
    { "switch_floor", switch_floor },
#endif
    { "mutex_pthread", mutex_pthread },
    { "stack_touch", stack_touch },
    { "stack_guard", stack_guard },
};

int main(int argc, char **argv)
{
    (void)argc;
    rows_wanted = argv + 1;
    for (size_t i = 0; i < sizeof floors / sizeof *floors; i++) {
        if (!row_is_wanted(floors[i].name))
            continue;
        struct timespec began, ended;
        floors[i].run();
        clock_gettime(CLOCK_MONOTONIC, &began);
        long operations = floors[i].run();
        clock_gettime(CLOCK_MONOTONIC, &ended);
        double ns = (double)(ended.tv_sec - began.tv_sec) * 1e9 + (double)(ended.tv_nsec - began.tv_nsec);
        if (operations > 0) /* else the kernel cannot do it */
            row_print(floors[i].name, ns / (double)operations);
    }
    return 0;
}
