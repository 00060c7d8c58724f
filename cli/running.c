/* Stops threads for a moment. See running.h. */
#define _GNU_SOURCE
#include "running.h"

#include "trace/ascending.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES_MAX (1u << 20)
#define STOP_NS_MAX 1000000000 /* how long one is waited for: its turn may be late on a busy machine */
#define LATE_NS_MAX 2000000000 /* and how much longer those that did not, to let them go */
#define NAP_NS 20000
#define THREADS_MAX 65536

/* Stacks of Gs, ordered by address. */
struct running_stack {
    uint64_t lo, hi;
    uint32_t slot;
};

/* ---- Whose stack it is ------------------------------------------------------------------------------------------- */

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int stack_order(const void *left, const void *right)
{
    const struct running_stack *a = left, *b = right;
    return ORDER(a->lo, b->lo);
}

/* Looks at all slots anew. Returns 0 or -ENOMEM. */
static int stacks_read(struct running_set *set, const struct segment *segment)
{
    uint32_t used = load_acquire(&segment->header->registry_used);
    used = used < segment->registry_slots ? used : segment->registry_slots;
    free(set->stacks);
    set->stack_count = 0;
    set->stacks = calloc((size_t)used + 1, sizeof *set->stacks);
    if (!set->stacks)
        return -ENOMEM;
    for (uint32_t i = 0; i < used; i++) {
        const struct g_slot *slot = &segment->registry[i];
        enum g_state state = g_status_state(load_acquire(&slot->status));
        struct running_stack one = { slot->stack_lo, slot->stack_hi, i };
        if (state != G_IDLE && state != G_DEAD && state < G_STATES && one.lo < one.hi)
            set->stacks[set->stack_count++] = one;
    }
    qsort(set->stacks, set->stack_count, sizeof *set->stacks, stack_order);
    return 0;
}

static const struct running_stack *stack_of(const struct running_set *set, uint64_t sp)
{
    const struct running_stack *below = ASCENDING_UPTO(set->stacks, set->stack_count, lo, sp);
    return below && sp < below->hi ? below : NULL;
}

/* ---- Registers --------------------------------------------------------------------------------------------------- */

struct unwinder_place running_registers(const void *registers)
{
    struct user_regs_struct raw;
    struct unwinder_place place = { .known = (uint32_t)((UINT64_C(1) << UNWINDER_REGISTERS) - 1) };
    memcpy(&raw, registers, sizeof raw);
#if defined(__x86_64__)
    const uint64_t in_order[UNWINDER_REGISTERS] = { raw.rax, raw.rdx, raw.rcx, raw.rbx, raw.rsi, raw.rdi,
                                                    raw.rbp, raw.rsp, raw.r8,  raw.r9,  raw.r10, raw.r11,
                                                    raw.r12, raw.r13, raw.r14, raw.r15 };
    memcpy(place.registers, in_order, sizeof in_order);
    place.pc = raw.rip;
#else
    memcpy(place.registers, raw.regs, sizeof raw.regs);
    place.registers[UNWINDER_SP] = raw.sp;
    place.pc = raw.pc;
#endif
    return place;
}

/* ---- The set ----------------------------------------------------------------------------------------------------- */

/* Room for one more, at the end. */
static struct running *room_make(struct running_set *set)
{
    if (set->count == set->room) {
        size_t room = set->room ? 2 * set->room : 64;
        struct running *list = realloc(set->list, room * sizeof *list);
        if (!list)
            return NULL;
        set->list = list;
        set->room = room;
    }
    set->list[set->count] = (struct running){ 0 };
    return &set->list[set->count];
}

/* Copies slot and stack, while the thread stands still. False: it runs no goroutine. */
static bool copy_take(struct running *one, const struct segment *segment, const struct running_stack *stack,
                      running_read read, void *arg)
{
    const struct g_slot *slot = &segment->registry[stack->slot];
    uint64_t sp = one->place.registers[UNWINDER_SP];
    one->slot = stack->slot;
    one->status = load_acquire(&slot->status);
    memcpy(&one->copy, slot, sizeof one->copy);
    enum g_state state = g_status_state(one->status);
    if ((state != G_RUNNING && state != G_SYSCALL && state != G_PREEMPTED) || load_relaxed(&one->copy.id) == 0 ||
        sp < one->copy.stack_lo || sp >= one->copy.stack_hi)
        return false; /* about to leave it, or not quite there */
    uint64_t above = one->copy.stack_hi - sp;
    one->stack_bytes = read(arg, sp, one->stack, above < STACK_BYTES_MAX ? (size_t)above : STACK_BYTES_MAX);
    return true;
}

/* The copy gets memory of its own. */
static int copy_keep(struct running_set *set, struct running *one)
{
    uint8_t *own = malloc(one->stack_bytes + 1);
    if (!own)
        return -ENOMEM;
    memcpy(own, one->stack, one->stack_bytes);
    one->stack = own;
    set->count++;
    return 0;
}

int running_add(struct running_set *set, const struct segment *segment, pid_t tid, const struct unwinder_place *place,
                running_read read, void *arg)
{
    int result = set->stacks ? 0 : stacks_read(set, segment);
    if (result)
        return result;
    const struct running_stack *stack = stack_of(set, place->registers[UNWINDER_SP]);
    if (!stack)
        return 0;
    struct running *one = room_make(set);
    uint8_t *scratch = malloc(STACK_BYTES_MAX);
    if (!one || !scratch) {
        free(scratch);
        return -ENOMEM;
    }
    one->tid = tid;
    one->place = *place;
    one->stack = scratch;
    result = copy_take(one, segment, stack, read, arg) ? copy_keep(set, one) : 0;
    free(scratch);
    return result;
}

static int slot_order(const void *left, const void *right)
{
    const struct running *a = left, *b = right;
    return ORDER(a->slot, b->slot);
}

void running_sort(struct running_set *set)
{
    if (set->count)
        qsort(set->list, set->count, sizeof *set->list, slot_order);
}

const struct running *running_find(const struct running_set *set, uint32_t slot)
{
    struct running key = { .slot = slot };
    return set->count ? bsearch(&key, set->list, set->count, sizeof *set->list, slot_order) : NULL;
}

void running_free(struct running_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->list[i].stack);
    free(set->list);
    free(set->stacks);
    *set = (struct running_set){ 0 };
}

/* ---- Threads of a running program -------------------------------------------------------------------------------- */

struct capture {
    struct running_set *set;
    const struct segment *segment;
    pid_t pid;
    bool stop;
    uint8_t *scratch;
    pid_t late[64]; /* asked to stop, and did not in time */
    size_t late_count;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

size_t running_process_read(void *arg, uint64_t address, void *to, size_t bytes)
{
    struct iovec local = { to, bytes }, remote = { (void *)(uintptr_t)address, bytes };
    ssize_t got = process_vm_readv(*(const pid_t *)arg, &local, 1, &remote, 1, 0);
    return got > 0 ? (size_t)got : 0;
}

/* What the kernel says of a thread that sleeps: the number of its system call, or -1 for none. False: it does not. */
static bool sleeps(const struct capture *capture, pid_t tid, long *call, uint64_t *argument,
                   struct unwinder_place *place)
{
    char path[64], text[256];
    unsigned long long sp, pc, first = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", (int)capture->pid, (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = 0;
    if (sscanf(text, "%ld 0x%llx %*x %*x %*x %*x %*x 0x%llx 0x%llx", call, &first, &sp, &pc) != 4 &&
        (sscanf(text, "%ld 0x%llx 0x%llx", call, &sp, &pc) != 3 || *call != -1))
        return false;
    *argument = first;
    *place = (struct unwinder_place){ .pc = pc, .known = 1u << UNWINDER_SP };
    place->registers[UNWINDER_SP] = sp;
    return true;
}

static bool reads_specially(const struct capture *capture, uint64_t descriptor)
{
    char path[64], link[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)capture->pid, (int)descriptor);
    ssize_t length = readlink(path, link, sizeof link - 1);
    if (length < 0)
        return true;
    link[length] = 0;
    return strncmp(link, "socket:", 7) == 0 || strstr(link, "inotify") != NULL;
}

/* Whether the program would see that the call was interrupted. */
static bool call_would_end(const struct capture *capture, long call, uint64_t first_argument)
{
    static const long calls[] = {
        SYS_accept,     SYS_accept4,      SYS_recvfrom,        SYS_recvmsg, SYS_recvmmsg,   SYS_connect,
        SYS_sendto,     SYS_sendmsg,      SYS_sendmmsg,        SYS_semop,   SYS_semtimedop, SYS_epoll_pwait,
        SYS_epoll_pwait2, SYS_rt_sigtimedwait, SYS_io_getevents, SYS_io_uring_enter, SYS_msgrcv, SYS_msgsnd,
#ifdef SYS_epoll_wait
        SYS_epoll_wait,
#endif
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (calls[i] == call)
            return true;
    bool by_descriptor = call == SYS_read || call == SYS_readv || call == SYS_write || call == SYS_writev;
    return by_descriptor && reads_specially(capture, first_argument);
}

/* Waits until it stands still, which it did not at *begin_ns. Returns its status as waitpid has it, or -1. */
static int stop_await(pid_t tid, int64_t *begin_ns)
{
    const struct timespec nap = { .tv_nsec = NAP_NS };
    int64_t asked_ns = now_ns(), until_ns = asked_ns + STOP_NS_MAX;
    for (int status; asked_ns < until_ns; nanosleep(&nap, NULL)) {
        *begin_ns = asked_ns;
        asked_ns = now_ns();
        pid_t got = waitpid(tid, &status, __WALL | WNOHANG);
        if (got == tid)
            return status;
        if (got < 0)
            return -1;
    }
    return -1;
}

/* Lets it go on; a signal that was about to be delivered is. */
static void stop_end(pid_t tid, int status)
{
    long signal = status >> 16 ? 0 : WSTOPSIG(status);
    ptrace(PTRACE_DETACH, tid, NULL, (void *)signal);
}

static void late_take(struct capture *capture, pid_t tid)
{
    capture->set->not_stopped++;
    if (capture->late_count < sizeof capture->late / sizeof capture->late[0])
        capture->late[capture->late_count++] = tid;
}

/* Lets those go that stop now. One that cannot even do that, deep in the kernel, is let go as this process ends. */
static void late_end(struct capture *capture)
{
    const struct timespec nap = { .tv_nsec = NAP_NS };
    int64_t until_ns = now_ns() + LATE_NS_MAX;
    for (; capture->late_count && now_ns() < until_ns; nanosleep(&nap, NULL))
        for (size_t i = capture->late_count; i-- > 0;) {
            int status;
            pid_t got = waitpid(capture->late[i], &status, __WALL | WNOHANG);
            if (got == 0)
                continue;
            if (got > 0 && WIFSTOPPED(status))
                stop_end(capture->late[i], status);
            capture->late[i] = capture->late[--capture->late_count];
        }
}

static bool registers_read(pid_t tid, struct unwinder_place *place)
{
    struct user_regs_struct raw;
    struct iovec to = { &raw, sizeof raw };
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &to) || to.iov_len != sizeof raw)
        return false;
    *place = running_registers(&raw);
    return true;
}

/* Returns 1 when it was copied, 0 when not, -EAGAIN when it is on a stack that is not known, -ENOMEM. */
static int thread_stop(struct capture *capture, pid_t tid)
{
    struct running_set *set = capture->set;
    struct running *one = room_make(set);
    if (!one)
        return -ENOMEM;
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL)) {
        if (errno != ESRCH)
            set->error = errno;
        return 0;
    }
    int64_t begin_ns;
    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
    int status = stop_await(tid, &begin_ns);
    if (status == -1 || !WIFSTOPPED(status)) {
        if (status == -1)
            late_take(capture, tid);
        return 0;
    }
    one->tid = tid;
    one->stack = capture->scratch;
    bool has = registers_read(tid, &one->place);
    const struct running_stack *stack = has ? stack_of(set, one->place.registers[UNWINDER_SP]) : NULL;
    bool taken = stack && copy_take(one, capture->segment, stack, running_process_read, &capture->pid);
    stop_end(tid, status);
    int64_t took_ns = now_ns() - begin_ns;
    set->stopped++;
    set->longest_stop_ns = took_ns > set->longest_stop_ns ? took_ns : set->longest_stop_ns;
    if (!taken)
        return stack ? 0 : -EAGAIN;
    int result = copy_keep(set, one);
    return result ? result : 1;
}

/* Without its registers. What was on its stack may have changed meanwhile if it has woken up. */
static int thread_leave(struct capture *capture, pid_t tid, const struct unwinder_place *place, long call)
{
    struct running *one = room_make(capture->set);
    if (!one)
        return -ENOMEM;
    one->tid = tid;
    one->place = *place;
    one->stack = capture->scratch;
    const struct running_stack *stack = stack_of(capture->set, place->registers[UNWINDER_SP]);
    long call_again;
    uint64_t argument;
    struct unwinder_place again;
    capture->set->not_stopped++;
    if (!copy_take(one, capture->segment, stack, running_process_read, &capture->pid) ||
        !sleeps(capture, tid, &call_again, &argument, &again) || call_again != call ||
        again.registers[UNWINDER_SP] != place->registers[UNWINDER_SP] ||
        load_acquire(&capture->segment->registry[one->slot].status) != one->status)
        return 0;
    return copy_keep(capture->set, one);
}

/* As thread_stop. */
static int thread_take(struct capture *capture, pid_t tid)
{
    struct unwinder_place place;
    uint64_t argument;
    long call;
    if (!sleeps(capture, tid, &call, &argument, &place))
        return capture->stop ? thread_stop(capture, tid) : 0;
    if (!stack_of(capture->set, place.registers[UNWINDER_SP]))
        return 0; /* on a stack of its own: it looks for work, or has nothing to do with us */
    if (capture->stop && !call_would_end(capture, call, argument))
        return thread_stop(capture, tid);
    return thread_leave(capture, tid, &place, call);
}

static int threads_list(pid_t pid, pid_t **tids, size_t *count)
{
    char path[64];
    size_t room = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return -errno;
    for (struct dirent *entry; *count < THREADS_MAX && (entry = readdir(dir));) {
        int tid = atoi(entry->d_name);
        if (tid <= 0)
            continue;
        if (*count == room) {
            room = room ? 2 * room : 64;
            pid_t *grown = realloc(*tids, room * sizeof *grown);
            if (!grown) {
                closedir(dir);
                return -ENOMEM;
            }
            *tids = grown;
        }
        (*tids)[(*count)++] = tid;
    }
    closedir(dir);
    return 0;
}

/* Where we may, nothing is to keep us from letting a thread go again. Returns what it was before, for hurry_end. */
static int hurry_begin(struct sched_param *before)
{
    int policy = sched_getscheduler(0);
    if (policy < 0 || sched_getparam(0, before) ||
        sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &(struct sched_param){ .sched_priority = 1 }))
        return -1;
    return policy;
}

static void hurry_end(int policy, const struct sched_param *before)
{
    if (policy >= 0)
        sched_setscheduler(0, policy, before);
}

int running_capture(struct running_set *set, const struct segment *segment, pid_t pid, bool stop)
{
    struct capture capture = { .set = set, .segment = segment, .pid = pid, .stop = stop };
    pid_t *tids = NULL;
    size_t count = 0, again = 0;
    int result = threads_list(pid, &tids, &count);
    if (result == 0)
        result = stacks_read(set, segment);
    capture.scratch = malloc(STACK_BYTES_MAX);
    if (result == 0 && !capture.scratch)
        result = -ENOMEM;
    struct sched_param before;
    int policy = hurry_begin(&before);
    for (size_t i = 0; result >= 0 && i < count; i++) {
        result = thread_take(&capture, tids[i]);
        if (result == -EAGAIN) { /* perhaps on the stack of a G that began meanwhile */
            tids[again++] = tids[i];
            result = 0;
        }
    }
    if (result >= 0 && again)
        result = stacks_read(set, segment);
    for (size_t i = 0; result >= 0 && i < again; i++) {
        result = thread_take(&capture, tids[i]);
        result = result == -EAGAIN ? 0 : result;
    }
    late_end(&capture);
    hurry_end(policy, &before);
    running_sort(set);
    free(capture.scratch);
    free(tids);
    return result < 0 ? result : 0;
}
