/* The threads of a program that run goroutines, each as it was at one moment: its registers, the goroutine's slot and
 * the goroutine's stack, copied while the thread stood still. Threads of a core file stand still anyhow.
 *
 * Which goroutine a thread runs follows from its stack pointer, since each has a stack of its own. A thread of a
 * running program is stopped by ptrace for as long as the copying takes, one at a time, and nothing of it is changed.
 * One that sleeps in a system call is only stopped where the kernel goes on with that call by itself afterwards: some
 * calls (epoll_wait, those of sockets with time limits and some more, see signal(7)) would end with EINTR, which the
 * program need not expect. Of such a thread only stack pointer and pc are known, which the kernel tells anybody who
 * may ask. */
#ifndef GMPT_RUNNING_H
#define GMPT_RUNNING_H

#include "pprof/unwinder.h"
#include "trace/segment.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct running {
    pid_t tid;
    struct unwinder_place place;
    uint32_t slot;
    struct g_slot copy; /* of the slot */
    uint64_t status;
    uint8_t *stack; /* from the stack pointer on; NULL = it could not be read */
    size_t stack_bytes;
};

struct running_set {
    struct running *list; /* by slot */
    size_t count, room;
    size_t stopped;          /* threads of the program */
    int64_t longest_stop_ns; /* of one of them */
    size_t not_stopped;      /* they sleep in calls that do not go on by themselves, or could not be stopped in time */
    int error;               /* why none may be stopped (EPERM: somebody else traces it), or 0 */
    struct running_stack *stacks;
    size_t stack_count;
};

/* Reads memory of the program; returns how many bytes. */
typedef size_t (*running_read)(void *arg, uint64_t address, void *to, size_t bytes);
/* That of a running process; arg: its pid_t. */
size_t running_process_read(void *arg, uint64_t address, void *to, size_t bytes);

/* All threads of the running process; stop = false: none is stopped. Returns 0 or -errno; running_free is due either
 * way. */
int running_capture(struct running_set *set, const struct segment *segment, pid_t pid, bool stop);

/* A thread that stands still, if it runs a goroutine. Returns 0 or -ENOMEM. */
int running_add(struct running_set *set, const struct segment *segment, pid_t tid, const struct unwinder_place *place,
                running_read read, void *arg);
/* After the last one. */
void running_sort(struct running_set *set);

/* The thread that ran the goroutine of this slot, or NULL. */
const struct running *running_find(const struct running_set *set, uint32_t slot);

void running_free(struct running_set *set);

/* Registers as the kernel lays them out for ptrace and core files (elf_gregset_t). */
struct unwinder_place running_registers(const void *registers);

#endif
