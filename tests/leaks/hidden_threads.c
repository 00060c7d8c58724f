/* Handles that only a thread has: in its registers, below its stack pointer, in what is local to it; the program's own
 * threads, and those of the runtime, in a blocking call or in a computation that goes on and on. */
#define _GNU_SOURCE
#include "hidden.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where the handle is carried, sealed, to whoever keeps it and back. */
static uintptr_t carried;

/* What a G calls last before it says that it holds: nothing of the handle is left on its stack. */
static void held(void) { store_release(&hidden_holds, 1); }

/* The keeper has put it back. */
static void returned_close(void)
{
    while (load_acquire(&hidden_holds) != 2)
        gmpt_sleep(1000000);
    hidden_close(hidden_open(carried));
}

/* ---- Local to a thread of the program's -------------------------------------------------------------------------- */

static void thread_start(void *(*keep)(void *arg))
{
    pthread_t thread;
    carried = hidden_seal(hidden_victim());
    if (pthread_create(&thread, NULL, keep, NULL))
        abort();
    hidden_wait_held();
    carried = 0;
}

static void give_back_wait(void)
{
    held();
    while (!load_acquire(&hidden_give_back))
        usleep(1000);
}

static _Thread_local struct gmpt_chan *local_chan;
static void *local_keep(void *arg)
{
    local_chan = hidden_open(carried);
    give_back_wait();
    carried = hidden_seal(local_chan);
    store_release(&hidden_holds, 2);
    return arg;
}
static void thread_local_hide(void) { thread_start(local_keep); }

static pthread_key_t specific;
static void *specific_keep(void *arg)
{
    pthread_key_create(&specific, NULL);
    pthread_setspecific(specific, hidden_open(carried));
    give_back_wait();
    carried = hidden_seal(pthread_getspecific(specific));
    store_release(&hidden_holds, 2);
    return arg;
}
static void thread_specific_hide(void) { thread_start(specific_keep); }

static void *stack_keep(void *arg)
{
    struct gmpt_chan *volatile chan = hidden_open(carried);
    give_back_wait();
    carried = hidden_seal(chan);
    store_release(&hidden_holds, 2);
    return arg;
}
static void thread_stack_hide(void) { thread_start(stack_keep); }

/* On a stack that the program made, with a block of malloc's for the thread. */
static void *block_keep(void *arg)
{
    struct gmpt_chan **block = calloc(100, sizeof *block);
    if (!block)
        abort();
    block[77] = hidden_open(carried);
    give_back_wait();
    carried = hidden_seal(block[77]);
    store_release(&hidden_holds, 2);
    free(block);
    return arg;
}
static void thread_block_hide(void)
{
    static char stack[256 * 1024] __attribute__((aligned(4096)));
    pthread_attr_t attributes;
    pthread_t thread;
    carried = hidden_seal(hidden_victim());
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, sizeof stack);
    if (pthread_create(&thread, &attributes, block_keep, NULL))
        abort();
    hidden_wait_held();
    carried = 0;
}

#ifdef __x86_64__

/* ---- In a register, and in the red zone -------------------------------------------------------------------------- */

/* What all of these share: it opens the sealed handle in the register, so that no copy ever lies in memory, says that
 * it holds, and waits there. The sealed one comes back. */
#define KEEP_TEXT_WAIT                                                                                                 \
    "movl $1, %[holds]\n"                                                                                              \
    "1: pause\n"                                                                                                       \
    "cmpl $0, %[back]\n"                                                                                               \
    "je 1b\n"
#define KEEP_OPERANDS [holds] "+m"(hidden_holds), [back] "+m"(hidden_give_back), [sealed] "+m"(carried), [key] "+r"(key)

static uintptr_t key_get(void) { return hidden_seal(NULL); }

static void register_spin(void)
{
    uintptr_t key = key_get();
    __asm__ volatile("mov %[sealed], %%r12\n"
                     "xor %[key], %%r12\n"
                     "movq $0, %[sealed]\n" KEEP_TEXT_WAIT "xor %[key], %%r12\n"
                     "mov %%r12, %[sealed]\n"
                     "xor %%r12, %%r12\n"
                     : KEEP_OPERANDS
                     :
                     : "r12", "memory", "cc");
    store_release(&hidden_holds, 2);
}

static void vector_spin(void)
{
    uintptr_t key = key_get();
    __asm__ volatile("mov %[sealed], %%r12\n"
                     "xor %[key], %%r12\n"
                     "movq %%r12, %%xmm7\n"
                     "pslldq $8, %%xmm7\n"
                     "xor %%r12, %%r12\n"
                     "movq $0, %[sealed]\n" KEEP_TEXT_WAIT "psrldq $8, %%xmm7\n"
                     "movq %%xmm7, %%r12\n"
                     "xor %[key], %%r12\n"
                     "mov %%r12, %[sealed]\n"
                     "xor %%r12, %%r12\n"
                     "pxor %%xmm7, %%xmm7\n"
                     : KEEP_OPERANDS
                     :
                     : "r12", "xmm7", "memory", "cc");
    store_release(&hidden_holds, 2);
}

/* Its own frame is left aside, so that what is below the stack pointer is nobody's. */
static void red_zone_spin(void)
{
    uintptr_t key = key_get();
    __asm__ volatile("lea -256(%%rsp), %%rsp\n"
                     "mov (%[at]), %%r12\n"
                     "xor %[key], %%r12\n"
                     "mov %%r12, -128(%%rsp)\n"
                     "xor %%r12, %%r12\n"
                     "movq $0, (%[at])\n"
                     "movl $1, (%[holds])\n"
                     "1: pause\n"
                     "cmpl $0, (%[back])\n"
                     "je 1b\n"
                     "mov -128(%%rsp), %%r12\n"
                     "movq $0, -128(%%rsp)\n"
                     "xor %[key], %%r12\n"
                     "mov %%r12, (%[at])\n"
                     "xor %%r12, %%r12\n"
                     "lea 256(%%rsp), %%rsp\n"
                     :
                     : [at] "r"(&carried), [holds] "r"(&hidden_holds), [back] "r"(&hidden_give_back), [key] "r"(key)
                     : "r12", "memory", "cc");
    store_release(&hidden_holds, 2);
}

/* In a register that the kernel keeps while the thread reads a pipe. */
static int call_pipe[2];
static void register_read(void)
{
    uintptr_t key = key_get();
    char byte;
    long result = SYS_read;
    __asm__ volatile("mov (%[at]), %%r12\n"
                     "xor %[key], %%r12\n"
                     "movq $0, (%[at])\n"
                     "movl $1, (%[holds])\n"
                     "syscall\n"
                     "xor %[key], %%r12\n"
                     "mov %%r12, (%[at])\n"
                     "xor %%r12, %%r12\n"
                     : "+a"(result)
                     : [at] "r"(&carried), [holds] "r"(&hidden_holds), [key] "r"(key), "D"((long)call_pipe[0]),
                       "S"(&byte), "d"(1L)
                     : "r12", "rcx", "r11", "memory", "cc");
    if (result != 1)
        abort();
    store_release(&hidden_holds, 2);
}
static void call_end(void)
{
    if (write(call_pipe[1], "", 1) != 1)
        abort();
    returned_close();
}

static void on_thread(void (*keep)(void))
{
    pthread_t thread;
    carried = hidden_seal(hidden_victim());
    /* A function of no arguments, called with one that it does not look at. */
    if (pthread_create(&thread, NULL, (void *(*)(void *))(void *)keep, NULL))
        abort();
    hidden_wait_held();
}

static void on_g_run(void *args) { (*(void (**)(void))args)(); }
static void on_g(void (*keep)(void))
{
    carried = hidden_seal(hidden_victim());
    gmpt_go(on_g_run, &keep, sizeof keep);
    hidden_wait_held();
}

static void in_call_run(void *args)
{
    (void)args;
    gmpt_blocking_begin();
    register_read();
    gmpt_blocking_end();
}
static void in_call_hide(void)
{
    if (pipe(call_pipe))
        abort();
    carried = hidden_seal(hidden_victim());
    gmpt_go(in_call_run, NULL, 0);
    hidden_wait_held();
}

static void g_register_hide(void) { on_g(register_spin); }
static void g_vector_hide(void) { on_g(vector_spin); }
static void g_red_zone_hide(void) { on_g(red_zone_spin); }
static void thread_register_hide(void) { on_thread(register_spin); }
static void thread_red_zone_hide(void) { on_thread(red_zone_spin); }
static void thread_call_hide(void)
{
    if (pipe(call_pipe))
        abort();
    on_thread(register_read);
}

#endif

static const struct hidden_place places[] = {
    { "thread_local", HIDDEN_LIVE, thread_local_hide, returned_close },
    { "thread_specific", HIDDEN_LIVE, thread_specific_hide, returned_close },
    { "thread_stack", HIDDEN_LIVE, thread_stack_hide, returned_close },
    { "thread_block", HIDDEN_LIVE, thread_block_hide, returned_close },
#ifdef __x86_64__
    { "g_register", HIDDEN_LIVE, g_register_hide, returned_close },
    { "g_vector_register", HIDDEN_LIVE, g_vector_hide, returned_close },
    { "g_red_zone", HIDDEN_LIVE, g_red_zone_hide, returned_close },
    { "g_register_in_call", HIDDEN_LIVE, in_call_hide, call_end },
    { "thread_register", HIDDEN_LIVE, thread_register_hide, returned_close },
    { "thread_red_zone", HIDDEN_LIVE, thread_red_zone_hide, returned_close },
    { "thread_register_in_call", HIDDEN_LIVE, thread_call_hide, call_end },
#endif
};

const struct hidden_places hidden_threads = HIDDEN_PLACES(places);
