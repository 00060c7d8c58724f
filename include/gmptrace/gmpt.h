/* gmptrace/gmpt.h - goroutines for C: the runtime's public face.
 *
 *     static void hello(void *args) { printf("hello %d\n", *(int *)args); }
 *     static int start(void *arg) { (void)arg; int n = 7; gmpt_go(hello, &n, sizeof n); return gmpt_sleep(1000000); }
 *     int main(void) { return gmpt_run(start, NULL); }
 *
 *     cc -g hello.c $(pkg-config --cflags --libs gmptrace)
 *
 * A goroutine, G for short, is a function with a stack of its own (64 KiB, guarded, if not told otherwise) that the
 * runtime runs on a few threads (Ms), at most GOMAXPROCS of them at a time (each holds a P). Set GMPT_MAXPROCS in the
 * environment to choose that number; by default it is the CPUs that the process may use, cut down to the cgroup's
 * quota. gmptrace(7) lists all variables of the environment that the runtime reads.
 *
 * Here are goroutines, time, channels and select, mutexes, wait groups, and what reads, writes and accepts. At its end
 * this header includes the others: sync.h (readers and writers, conditions, semaphores, once, barriers), context.h
 * (timers, contexts, groups, pools), net.h (sockets by address, files, blocking calls, signals), observe.h (labels,
 * names, tasks for the trace), inspect.h (dump, metrics, what ends a program) and leak.h (Gs that are lost).
 *
 * Rules that hold for every function here, unless its own comment says otherwise:
 * - It may be called on a G only, that is, between gmpt_run's start and its return, not from a thread of your own and
 *   not from a signal handler. Such a thread can reach a G through a pipe or an eventfd that the G reads.
 * - It returns 0 or a positive value when all went well, and a negative errno value (-ETIMEDOUT, ...) when not; it does
 *   not set errno.
 * - A deadline is a moment on the clock of gmpt_now(), in nanoseconds; GMPT_NEVER is none. A deadline that has passed
 *   still lets the call succeed if it need not wait. A call with one also returns -ENOMEM, when it has to wait and
 *   there is no memory for its timer; then nothing was done.
 * - A G that has run for 10 ms gives way to others at its next call here. From one that makes no call the monitor takes
 *   the P, for others to run on; it goes on beside them, on its own thread, until its next call. (At most 64 Gs at a
 *   time do, and none on kernels before 4.14, which have no membarrier: then such a G keeps its P.)
 * - After a call here the G may go on on another thread: it may have blocked, or given way. The value of errno is kept
 *   for each G, but compilers take the address of errno, as of any thread-local variable, to be the same throughout a
 *   function: read and set errno in a function that makes no such call in between. Do not hold a pthread mutex across
 *   such a call, and do not change the floating point environment (fesetround) for longer: both belong to the thread.
 * - A G ends by returning, not by pthread_exit. What C++ knows of exceptions that are being handled belongs to the
 *   thread as well: a catch block makes no call here, and no exception may leave a G's function.
 * - Wrong use that cannot be reported by a return value (unlocking a mutex that is not locked, a nested blocking call)
 *   ends the program with a message. So do most calls from where they may not come from, but do not rely on it.
 *
 * Compile with (gmptrace.pc has them)
 *   -fno-omit-frame-pointer        stacks are recorded by frame pointers; without them they end early
 *   -fno-optimize-sibling-calls    or a function whose last act is a call is missing from the stack of that call
 *   -fstack-clash-protection       so that a frame of more than 64 KiB cannot jump over the guard of a stack
 *
 * A child of fork() may call async-signal-safe functions, exec and _exit, as in every program with threads, and nothing
 * of this header; what it does is not traced. daemon() must come before gmpt_run. */
#ifndef GMPT_GMPT_H
#define GMPT_GMPT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define GMPT_VERSION "0.1.0"
#define GMPT_NEVER INT64_MAX

/* ---- Starting ------------------------------------------------------------------------------------------------- */

/* Starts the runtime, runs fn(arg) as the main G, and returns what it returned once it has; Gs that are left then are
 * abandoned, as when main returns in Go: those that are running stop at their next call, so do not free what they use.
 * Call once in a process, from an ordinary thread, which serves as the runtime's monitor until then. Returns -EALREADY
 * on a second call, -EINVAL when GMPT_MAXPROCS is not a number from 1 to 256 or GMPT_PIN neither cpu nor node, -ENOMEM
 * or -EAGAIN when memory or threads cannot be had; since fn may return the same numbers, a message on standard error
 * goes with these. */
int gmpt_run(int (*fn)(void *arg), void *arg);

/* Starts a G that runs fn on its own copy of the size bytes at args, aligned to 16 (args may be NULL when size is 0).
 * Does not block. Returns the new G's id, greater than 0, or -E2BIG when size is over 4096, or -ENOMEM when the
 * limit of Gs or memory is reached. */
int64_t gmpt_go(void (*fn)(void *args), const void *args, size_t size);

struct gmpt_label;

/* What a new G can be given beside its function; a field that is 0 means the default, so name those that matter:
 *     struct gmpt_go_options options = { .name = "reader", .stack_bytes = GMPT_STACK_SMALL }; */
struct gmpt_go_options {
    uint32_t stack_bytes; /* 0 = GMPT_STACK_DEFAULT; see below */
    uint32_t flags;       /* GMPT_PURE_COMPUTE */
    int32_t p;            /* GMPT_P_ANY, or the index of the P that it prefers, plus 1 */
    const char *name;     /* shown in dumps and traces; NULL = the function's */
    const struct gmpt_label *labels; /* label_count of them, beside those that it has from the caller: see observe.h */
    size_t label_count;
    uint64_t scope; /* 0 = the caller's */
};

/* Stacks are of 2, 64 or 256 KiB, 1 or 8 MiB: stack_bytes is rounded up to one of these. Of each the runtime itself
 * uses some at the top, a hundred bytes of the smallest and up to 1200 of the others. They cost memory as they are
 * used, by the page, and two small ones share a page. All but the small ones are guarded: an overflow ends the program
 * with a message. On a small one it is noticed when the G next waits or ends, and may have spoilt its neighbour by
 * then; so it is on kernels before 6.13 with stacks beyond the first 16,000.
 *
 * On a small stack the functions of this header can be called, unless they say otherwise: the deepest needs 1400 bytes
 * (on x86-64, a select with a deadline while a trace is taken; a channel's receive needs 800), which leaves 400 for
 * frames of yours and the G's arguments, and 250 for the first event after a recorder has attached. printf does not
 * fit, nor do most of libc's larger functions, or a signal handler without SA_ONSTACK. Link with -Wl,-z,now: the
 * dynamic linker needs more than a small stack when it looks a function up at its first call; for the same reason set
 * LD_BIND_NOW=1 where a library is preloaded, as Valgrind does. Built with AddressSanitizer or ThreadSanitizer, the
 * runtime takes the default size. */
#define GMPT_STACK_SMALL 2048u
#define GMPT_STACK_DEFAULT 65536u
#define GMPT_STACK_MAX 8388608u

/* The G computes and calls nothing but pure functions (no malloc, no stdio, no locks) for long stretches: a signal
 * (SIGURG) may stop it there, so that it gives way without a safepoint, and keeps no thread busy beside those that have
 * a P. On x86-64 only, and not under ThreadSanitizer; elsewhere it changes nothing. */
#define GMPT_PURE_COMPUTE 1u

#define GMPT_P_ANY 0

/* As gmpt_go, with options (NULL: as gmpt_go). Also returns -EINVAL when stack_bytes is over GMPT_STACK_MAX, a flag is
 * unknown or there is no such P, -E2BIG when size is over 512 and the stack is a small one, and what gmpt_label_set
 * returns when a label cannot be had. */
int64_t gmpt_go_with(const struct gmpt_go_options *options, void (*fn)(void *args), const void *args, size_t size);

/* Gives the memory of stacks that no G uses back to the system; some stay in the caches of other Ps, at most 128 of a
 * size each. Returns how many bytes that was. It works as a blocking call does, a microsecond for each stack or less.
 * The runtime itself releases, a few at a time, what has not been used for 10 seconds, and all when the system is short
 * of memory. */
int64_t gmpt_free_os_memory(void);

/* The id of the G that calls. */
int64_t gmpt_self(void);

/* How many Gs are alive, the main G included. Exact only if none starts or ends meanwhile. Any thread. */
int64_t gmpt_count(void);

/* GOMAXPROCS: how many Ps there are. Any thread while the runtime runs. */
int gmpt_maxprocs(void);

/* Changes GOMAXPROCS to count, if count is greater than 0. Returns what it was, or -ERANGE when there is no room for so
 * many: 64, or what it was at the start if that is more. Does not block. Fewer Ps take effect as the Gs that run come
 * to a safepoint, for Gs that call nothing after their slice of 10 ms. */
int gmpt_gomaxprocs(int count);

/* "0.1.0". Any thread, at any time. */
const char *gmpt_version(void);

/* How many threads there may be at most for Gs, at first 10,000: a blocking call that would need one more lets its P
 * rest until it ends. A count that is greater than 0 is the new limit; threads that there are stay. Returns the limit
 * before. Any thread while the runtime runs. */
int gmpt_max_threads(int count);

/* Binds the calling G to its thread until as many calls of gmpt_unlock_os_thread, or its end: it runs on no other, and
 * nothing else runs there. For libraries that keep state by thread. Each switch to such a G is one of threads. Neither
 * blocks; to unlock what is not locked is wrong use. */
void gmpt_lock_os_thread(void);
void gmpt_unlock_os_thread(void);

/* ---- Time and turns --------------------------------------------------------------------------------------------- */

/* CLOCK_MONOTONIC in nanoseconds. Any thread. */
int64_t gmpt_now(void);

/* Lets other Gs run; the caller goes to the back of its P's queue. */
void gmpt_yield(void);

/* A hint to give way: yields if another G waits for the caller's P. Returns 1 if it did, else 0. */
int gmpt_yield_if(void);

/* A safepoint for loops that call nothing else of the runtime: yields if the G has had its time slice (10 ms), else
 * costs a load and a branch. Without it such a loop loses its P in the end (see the rules above), which costs two
 * switches of threads; with it, a yield. Every call that can block, start or wake a G is a safepoint as well. */
void gmpt_preempt_check(void);

/* Sleeps for ns nanoseconds, or until a deadline. Returns 0 or -ENOMEM. A time that is 0 or has passed only yields.
 * Never early. With more than a thousand timers pending, and coming thick, an idle program lets those of up to half a
 * millisecond come together, here and for every deadline. */
int gmpt_sleep(int64_t ns);
int gmpt_sleep_until(int64_t deadline_ns);

/* ---- Channels --------------------------------------------------------------------------------------------------- */

/* A queue of values of one size, with Go's rules: without a buffer, a send waits for its receive. The caller
 * of gmpt_chan_new holds one reference; the channel is freed with its last one. Whoever uses a channel must
 * hold a reference, or know of somebody who does. */
struct gmpt_chan;

/* A channel of values of value_bytes (0 to 65535) with room for capacity of them. NULL with errno EINVAL or ENOMEM.
 * Any thread. */
struct gmpt_chan *gmpt_chan_new(size_t value_bytes, size_t capacity);
struct gmpt_chan *gmpt_chan_retain(struct gmpt_chan *chan); /* returns chan; any thread */
void gmpt_chan_release(struct gmpt_chan *chan);             /* NULL is allowed; any thread */

/* Sends the value at value. Blocks until a receiver or room in the buffer takes it. Returns 0, -EPIPE when the
 * channel is closed, -ETIMEDOUT (then nothing was sent). A NULL chan blocks for ever, or until the deadline. */
int gmpt_chan_send(struct gmpt_chan *chan, const void *value);
int gmpt_chan_send_until(struct gmpt_chan *chan, const void *value, int64_t deadline_ns);
/* Never blocks: -EAGAIN instead. */
int gmpt_chan_try_send(struct gmpt_chan *chan, const void *value);

/* Receives into value (NULL: throws the value away). Returns 0, -EPIPE when the channel is closed and
 * empty (*value is then zero bytes), -ETIMEDOUT. */
int gmpt_chan_recv(struct gmpt_chan *chan, void *value);
int gmpt_chan_recv_until(struct gmpt_chan *chan, void *value, int64_t deadline_ns);
int gmpt_chan_try_recv(struct gmpt_chan *chan, void *value);

/* No more sends; wakes everyone who waits. Returns 0, or -EPIPE when it was closed already. Does not block. */
int gmpt_chan_close(struct gmpt_chan *chan);

/* Values in the buffer a moment ago, and the room that it has; 0 for NULL. Any thread. */
size_t gmpt_chan_len(struct gmpt_chan *chan);
size_t gmpt_chan_cap(struct gmpt_chan *chan);

enum gmpt_select_op { GMPT_SEND, GMPT_RECV };

struct gmpt_select_case {
    struct gmpt_chan *chan; /* NULL: this case never becomes ready */
    enum gmpt_select_op op;
    void *value; /* sent from, or received into (may then be NULL) */
    int result;  /* of the case that was chosen: 0 or -EPIPE */
};

/* Waits until one of the cases can go on, and does that one; among several that can, one by chance. Returns its
 * index, -ETIMEDOUT, -EINVAL when count is not from 0 to 64, or -E2BIG when it is over 4 on a small stack. Without
 * cases, or with NULL channels only, blocks for ever. */
int gmpt_select(struct gmpt_select_case *cases, int count);
int gmpt_select_until(struct gmpt_select_case *cases, int count, int64_t deadline_ns);
int gmpt_try_select(struct gmpt_select_case *cases, int count); /* never blocks: -EAGAIN instead, as `default:` */

/* ---- Locks and groups ------------------------------------------------------------------------------------------ */

/* Blocks Gs, not threads. Zero-initialised is unlocked. It must not be moved while in use. */
struct gmpt_mutex {
    uint64_t gmpt_private[4];
};
#define GMPT_MUTEX_INIT { { 0 } }

/* Who is woken to lock it may lose it to a G that comes meanwhile, until it has waited for 1 ms: from then on it is
 * handed over, in the order of waiting, so that nobody waits for ever. */
void gmpt_mutex_lock(struct gmpt_mutex *mutex);
int gmpt_mutex_lock_until(struct gmpt_mutex *mutex, int64_t deadline_ns); /* 0 or -ETIMEDOUT */
int gmpt_mutex_trylock(struct gmpt_mutex *mutex);                         /* 0 or -EBUSY; does not block */
void gmpt_mutex_unlock(struct gmpt_mutex *mutex);                         /* by any G; does not block */
/* The id of the G that has it locked, 0 when it is free; it may be another one by the time you look. Any thread. */
uint64_t gmpt_mutex_owner(struct gmpt_mutex *mutex);

/* Waits for a number of things to be done. Zero-initialised counts 0. */
struct gmpt_waitgroup {
    uint64_t gmpt_private[4];
};
#define GMPT_WAITGROUP_INIT { { 0 } }

/* Does not block. The count must stay from 0 to 2^61 - 1. */
void gmpt_waitgroup_add(struct gmpt_waitgroup *group, int64_t delta);
void gmpt_waitgroup_done(struct gmpt_waitgroup *group);               /* add -1 */
void gmpt_waitgroup_wait(struct gmpt_waitgroup *group);               /* until the count is 0 */
int gmpt_waitgroup_wait_until(struct gmpt_waitgroup *group, int64_t deadline_ns); /* 0 or -ETIMEDOUT */

/* ---- Files and sockets ------------------------------------------------------------------------------------------- */

/* As the system calls of these names (a write may raise SIGPIPE), but they block the G and not the thread, and return
 * -errno. They make fd non-blocking when it is first used with one of them. One G at a time may read from an fd, and
 * one write to it; a second one gets -EBUSY. Regular files, which cannot be waited for, are read and written in a
 * blocking call (below). -ECANCELED: another G closed the fd with gmpt_close. */
ssize_t gmpt_read(int fd, void *buffer, size_t size);
ssize_t gmpt_read_until(int fd, void *buffer, size_t size, int64_t deadline_ns);
ssize_t gmpt_write(int fd, const void *buffer, size_t size); /* may write less than size, as write(2) */
ssize_t gmpt_write_until(int fd, const void *buffer, size_t size, int64_t deadline_ns);

/* The new socket is non-blocking and close-on-exec. */
int gmpt_accept(int fd, struct sockaddr *address, socklen_t *length);
int gmpt_accept_until(int fd, struct sockaddr *address, socklen_t *length, int64_t deadline_ns);
int gmpt_connect(int fd, const struct sockaddr *address, socklen_t length);
int gmpt_connect_until(int fd, const struct sockaddr *address, socklen_t length, int64_t deadline_ns);

/* Closes fd, and wakes whoever waits on it with -ECANCELED. An fd that was used with the functions above must be closed
 * with this one and not with close(2), or the next file that gets its number may never wake anybody. */
int gmpt_close(int fd);

/* ---- Blocking calls --------------------------------------------------------------------------------------------- */

/* Around anything that may block the thread (getaddrinfo, a database client, fsync): if it lasts, the monitor gives
 * the P to another thread, so that other Gs go on. Nothing else of gmpt_ may be called in between. They do not nest. */
void gmpt_blocking_begin(void);
void gmpt_blocking_end(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

/* The rest of the runtime. Each of these headers can be included alone as well. */
#include <gmptrace/context.h>
#include <gmptrace/inspect.h>
#include <gmptrace/leak.h>
#include <gmptrace/net.h>
#include <gmptrace/observe.h>
#include <gmptrace/sync.h>

#endif
