/* Asking, stopping, copying, and what becomes of it. See proof.h. */
#define _GNU_SOURCE
#include "proof.h"

#include "heapwalk.h"
#include "kernelroots.h"
#include "memcheck.h"
#include "memorymap.h"
#include "pins.h"
#include "proofscan.h"
#include "stackcopy.h"
#include "stopworld.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOLD_NAP_NS 1000000
#define STOP_NS 100000000 /* how long the threads have to stop */
#define STOP_TRIES 3      /* so often it is tried at a time, with sysmon's work in between */
#define SCAN_NS 60000000000
#define GIVEN_BYTES (64u << 20) /* what is handed to the copy, at most */

static struct {
    uint32_t asked, number; /* number: of the proof that is being made; 0 = none is */
    uint32_t tries;
    pid_t copy;
    int pagemap_fd;
    int64_t go_ns, stop_ns; /* when the threads went on, and how long they stood */
    struct proof_shared *shared;
    const struct gmpt_heap_registry *heap;
    bool heap_looked_for, heap_is_root, heap_is_libcs;
    uint32_t assumptions;
    bool all_asleep; /* it is a deadlock */
    bool sleepers; /* there were threads that could not be stopped, but slept */
} proof;

/* ---- what is asked for ---- */

static void close_pagemap(void)
{
    if (proof.pagemap_fd > 0)
        close(proof.pagemap_fd);
    proof.pagemap_fd = -1;
}

static void end(enum proof_status status)
{
    struct segment_header *header = trace_segment.header;
    store_relaxed(&header->proof_status, (uint32_t)status);
    TRACE(proof, proof.asked);
    store_release(&header->proofs_done, proof.asked); /* V */
    proof.number = 0;
    proof.tries = 0;
    if (proof.shared)
        munmap(proof.shared, sizeof *proof.shared + GIVEN_BYTES);
    proof.shared = NULL;
    close_pagemap();
}

/* The registry of chunks is preloaded or not there: looked up by name, as there may be none. */
static void find_heap(void)
{
    const char *wish = getenv("GMPT_LEAK_HEAP");
    if (proof.heap_looked_for)
        return;
    proof.heap_looked_for = true;
    proof.heap_is_libcs = heapwalk_is_possible();
    proof.heap_is_root = wish && strcmp(wish, "root") == 0;
    if (proof.heap_is_root)
        return;
    const struct gmpt_heap_registry *(*find)(void);
    *(void **)&find = dlsym(RTLD_DEFAULT, HEAP_REGISTRY_FUNCTION);
    const struct gmpt_heap_registry *heap = find ? find() : NULL;
    proof.heap = heap && heap->version == HEAP_REGISTRY_VERSION ? heap : NULL;
}

/* ---- the copy ---- */

/* Everything is as it was in the program, but for the other threads. */
static void run_copy(const struct proof_input *input, struct proof_shared *shared, pid_t program)
{
    static const int fatal_signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    struct sigaction action = { .sa_handler = SIG_DFL };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != program)
        _exit(1);
    for (unsigned i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++)
        sigaction(fatal_signals[i], &action, NULL);
    prctl(PR_SET_NAME, "gmptrace-proof");
    proofscan_run(input, shared);
}

/* A fork without what fork() does besides: handlers that take locks, a signal to the program when the copy ends.
 * Descriptors stay shared, so that none is held open that the program closes. */
static pid_t copy_process(const struct proof_input *input, struct proof_shared *shared)
{
    pid_t program = getpid(), pid;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid = (pid_t)syscall(SYS_clone, CLONE_FILES | CLONE_FS | CLONE_UNTRACED, 0, 0, 0, 0);
    if (pid == 0)
        run_copy(input, shared, program);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static int open_pagemap(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* ---- a proof ---- */

static struct proof_shared *make_shared(void)
{
    void *memory = mmap(NULL, sizeof *proof.shared + GIVEN_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct proof_shared *shared = memory;
    store_relaxed(&shared->pagemap_fd, -1);
    shared->status = PROOF_SCAN_DIED;
    return shared;
}

static void free_input(struct proof_input *input)
{
    proof_table_free(&input->roots, sizeof(struct proof_range));
    proof_table_free(&input->holes, sizeof(struct proof_range));
    proof_table_free(&input->values, sizeof(uint64_t));
    proof_table_free(&input->ignored, sizeof(uint64_t));
}

/* With everything stopped. */
static enum proof_status snapshot(struct proof_input *input, struct memory_map *map)
{
    input->number = proof.number;
    input->heap = proof.heap && proof.heap->is_whole() ? proof.heap : NULL;
    /* A block that is being moved is out of sight: again, and in the end without the registry. */
    if (input->heap && input->heap->resizes() != 0) {
        input->heap = NULL;
        if (proof.tries + 1 < STOP_TRIES)
            return PROOF_NO_ANSWER;
    }
    input->heap_is_root = proof.heap_is_root;
    input->heap_is_libcs = proof.heap_is_libcs;
    input->all_asleep = proof.all_asleep;
    input->heap_may_wait = proof.tries + 1 < STOP_TRIES;
    struct given given = { .bytes = proof.shared->bytes, .room = GIVEN_BYTES };
    int error = memory_map_read(map, input, &given);
    if (!error)
        error = pins_add(input);
    if (!error)
        error = kernelroots_hide(input);
    if (!error)
        error = stackcopy_make(input);
    if (error)
        return error == -ENOMEM ? PROOF_NO_MEMORY : PROOF_UNREADABLE;
    kernelroots_give(&given, &proof.assumptions);
    stackcopy_fork_begin();
    proof.copy = copy_process(input, proof.shared);
    stackcopy_fork_end();
    if (proof.copy < 0)
        return PROOF_NO_FORK;
    proof.pagemap_fd = open_pagemap(proof.copy);
    if (proof.pagemap_fd < 0)
        return PROOF_UNREADABLE;
    memory_map_give_missing(input, proof.pagemap_fd, &given);
    proof.shared->given_bytes = given.used;
    store_release(&proof.shared->given, given.overflowed ? 2 : 1);
    store_release(&proof.shared->pagemap_fd, proof.pagemap_fd);
    return stopworld_slept_on() ? PROOF_COMPLETE : PROOF_NO_ANSWER;
}

/* At the next look, unless that was the last try. */
static bool try_again(void)
{
    if (++proof.tries == STOP_TRIES)
        return false;
    munmap(proof.shared, sizeof *proof.shared + GIVEN_BYTES);
    proof.shared = NULL;
    close_pagemap();
    proof.number = 0;
    return true;
}

static void kill_copy(void)
{
    if (proof.copy > 0) {
        kill(proof.copy, SIGKILL);
        while (waitpid(proof.copy, NULL, __WALL) < 0 && errno == EINTR)
            ;
    }
    proof.copy = 0;
}

static void begin(uint32_t asked)
{
    struct proof_input input = { 0 };
    struct memory_map map = { 0 };
    proof.asked = proof.number = asked;
    find_heap();
    proof.shared = memcheck_on ? NULL : make_shared();
    proof.assumptions = 0;
    if (!proof.shared || memory_map_prepare(&map) < 0 || kernelroots_prepare() < 0) {
        memory_map_free(&map);
        end(memcheck_on ? PROOF_UNSUPPORTED : PROOF_NO_MEMORY);
        return;
    }
    stackcopy_prepare();
    int64_t stopped_ns = clock_now_ns();
    int error = stopworld_stop(STOP_NS);
    enum proof_status status = error == -ENOSYS   ? PROOF_UNSUPPORTED
                               : error == -ENOMEM ? PROOF_NO_MEMORY
                                                  : PROOF_NO_ANSWER;
    if (!error) {
        status = snapshot(&input, &map);
        proof.sleepers = stopworld_has_sleepers();
        stopworld_go();
    }
    proof.go_ns = clock_now_ns();
    proof.stop_ns = proof.go_ns - stopped_ns;
    stackcopy_free();
    free_input(&input);
    memory_map_free(&map);
    if (status == PROOF_COMPLETE)
        return;
    kill_copy();
    if (status != PROOF_NO_ANSWER || !try_again())
        end(status);
}

static void finish(bool ended_well)
{
    struct segment_header *header = trace_segment.header;
    const struct proof_shared *shared = proof.shared;
    uint32_t assumptions = proof.assumptions | shared->heap;
    assumptions |= PROOF_OWNERS_UNLOCK * (shared->cycles > 0);
    assumptions |= PROOF_REGISTERS_UNREAD * proof.sleepers;
    assumptions |= PROOF_KERNEL_UNREAD * (shared->kernel_unread != 0);
    store_relaxed(&header->proof_assumptions, assumptions);
    store_relaxed(&header->proof_stop_ns, (uint64_t)proof.stop_ns);
    store_relaxed(&header->proof_scan_ns, (uint64_t)(clock_now_ns() - proof.go_ns));
    store_relaxed(&header->proof_bytes, shared->bytes_read);
    store_relaxed(&header->proof_gs, shared->gs);
    store_relaxed(&header->proof_proven, shared->proven);
    store_relaxed(&header->proof_cycles, shared->cycles);
    end(ended_well ? (enum proof_status)shared->status : PROOF_SCAN_DIED);
}

static void look_at_copy(int64_t now_ns)
{
    int status;
    pid_t ended = waitpid(proof.copy, &status, WNOHANG | __WALL);
    if (ended == 0 && now_ns - proof.go_ns < SCAN_NS)
        return;
    if (ended == 0)
        kill_copy();
    proof.copy = 0;
    bool well = ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!well || proof.shared->status != PROOF_NO_ANSWER || !try_again())
        finish(well);
}

void proof_look(int64_t now_ns)
{
    if (proof.copy > 0) {
        look_at_copy(now_ns);
        return;
    }
    uint32_t asked = load_acquire(&trace_segment.header->proofs_asked);
    if (asked != load_relaxed(&trace_segment.header->proofs_done))
        begin(asked);
}

void proof_stop(void)
{
    kill_copy();
    if (proof.shared)
        end(PROOF_SCAN_DIED);
}

static bool is_held(void)
{
    return load_relaxed(&trace_segment.header->hold_at_end) && trace_segment.fd >= 0 && trace_is_locked();
}

void proof_hold_at_end(void)
{
    while (is_held())
        gmpt_sleep(HOLD_NAP_NS);
}

bool proof_holds_asleep(void)
{
    if (!is_held())
        return false;
    proof.all_asleep = true;
    trace_at_end();
    return true;
}

/* On the G, in exit(): what was registered before the runtime started has not run yet. */
static void hold_exit(int status, void *unused)
{
    const struct m *m = m_self();
    (void)unused;
    if (status != 0 || !m || !m->current || sched.main_over || !load_relaxed(&trace_segment.header->hold_at_end))
        return;
    trace_at_end();
    proof_hold_at_end();
}

void proof_hold_at_exit(void)
{
    if (load_relaxed(&trace_segment.header->hold_at_end))
        on_exit(hold_exit, NULL);
}
