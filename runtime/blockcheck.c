/* Finds Gs that block their P or hold a pthread mutex as they park. See blockcheck.h.
 *
 * A plain blocking call shows in /proc/self/task/TID/syscall, which names the system call that a sleeping thread is in,
 * its stack pointer and its pc. The place in the program is the first word above that stack pointer which a call
 * instruction outside the C library precedes: the C library's own frames need not have frame pointers. That can be a
 * left-over word, so the report says "near". What is read of the G and its P may change meanwhile; the P's count of
 * starts, read before and after, tells, and then nothing is said. */
#define _GNU_SOURCE
#include "blockcheck.h"

#include "debug.h"
#include "names.h"
#include "preload/blockcheck_preload.h"
#include "report.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 500000
#define BLOCKED_NS 1000000 /* how long a G may sleep in the kernel with its P, untold */
#define SITES_MAX 256u
#define SCAN_WORDS 1024u /* how far up the stack a caller is looked for */
#define STACK_BYTES_WATCHER (256u * 1024)

bool blockcheck_mutexes;

static struct blockcheck_held *(*held_by_thread)(void);

/* A park with a mutex, to be told by the watcher: the G's stack may be too small for that. */
struct mutex_park {
    uint64_t g, fn;
    struct blockcheck_mutex mutex;
    enum gmpt_wait_reason reason;
};

static struct {
    struct lock lock; /* of parks; innermost */
    uint32_t count, told;
    struct mutex_park parks[SITES_MAX];
    bool overflowed;
} mutex_parks;

/* The watcher's own. */
struct look {
    uint32_t starts, call_tick;
    struct m *m;
    int64_t since_ns;
};

static struct {
    struct look looks[PS_MAX];
    struct {
        uint64_t place;
        long syscall;
    } sites[SITES_MAX];
    uint32_t site_count;
    bool overflowed;
    struct names *names;
    pthread_t thread;
    bool runs;
    ATOMIC(uint32_t) stopping;
} watcher;

static const char *const reason_words[] = {
#define REASON(code, name, words, suspect) [code] = words,
#include <gmptrace/reasons.def>
};

/* ---- telling ---- */

static void print_place(struct report *report, uint64_t address)
{
    struct name name;
    names_find(watcher.names, address, &name);
    report_print(report, "%s (%s+0x%llx)", name.function ? name.function : "?", name.module ? name.module : "",
                 (unsigned long long)name.offset);
}

static void print_g(struct report *report, uint64_t id, uint64_t fn)
{
    struct name name;
    names_find(watcher.names, fn, &name);
    report_print(report, "gmptrace: blockcheck: goroutine %llu (%s) ", (unsigned long long)id,
                 name.function ? name.function : "?");
}

static const char *syscall_name(long number)
{
    static const struct {
        long number;
        const char *name;
    } known[] = {
#define CALL(name) { SYS_##name, #name },
        CALL(read) CALL(write) CALL(readv) CALL(writev) CALL(pread64) CALL(pwrite64) CALL(openat) CALL(fsync)
            CALL(fdatasync) CALL(flock) CALL(fcntl) CALL(futex) CALL(nanosleep) CALL(clock_nanosleep) CALL(connect)
                CALL(accept) CALL(accept4) CALL(recvfrom) CALL(recvmsg) CALL(sendto) CALL(sendmsg) CALL(sendfile)
                    CALL(ppoll) CALL(pselect6) CALL(epoll_pwait) CALL(wait4) CALL(waitid) CALL(rt_sigtimedwait)
#ifdef SYS_poll
                        CALL(poll) CALL(select) CALL(epoll_wait) CALL(open) CALL(pause)
#endif
#undef CALL
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].number == number)
            return known[i].name;
    return NULL;
}

static void tell_of_call(const struct g_slot *slot, uint64_t id, long number, uint64_t place)
{
    struct report report;
    const char *name = syscall_name(number);
    report_begin(&report, STDERR_FILENO);
    print_g(&report, id, slot->fn);
    report_print(&report, "blocks its P: it has been in the system call %s (%ld) for over 1 ms", name ? name : "",
                 number);
    if (place) {
        report_print(&report, ", called near ");
        print_place(&report, place);
    }
    report_print(&report, "; put gmpt_blocking around it, or use the runtime's own call\n");
    report_end(&report);
}

static void tell_of_mutexes(void)
{
    for (;;) {
        lock_acquire(&mutex_parks.lock);
        bool more = mutex_parks.told < mutex_parks.count;
        struct mutex_park park = mutex_parks.parks[more ? mutex_parks.told++ : 0];
        lock_release(&mutex_parks.lock);
        if (!more)
            return;
        struct report report;
        report_begin(&report, STDERR_FILENO);
        print_g(&report, park.g, park.fn);
        report_print(&report, "waits (%s) while it holds the pthread mutex %p, locked at ", reason_words[park.reason],
                     park.mutex.mutex);
        print_place(&report, (uint64_t)(uintptr_t)park.mutex.caller - 1);
        report_print(&report, "; it may go on on another thread: use gmpt_mutex, or unlock before\n");
        report_end(&report);
    }
}

/* ---- mutexes ---- */

void blockcheck_park(const struct g *g, enum gmpt_wait_reason reason)
{
    struct blockcheck_held *held = held_by_thread();
    if (!held->count || g->locked_m) /* a G that is locked to its thread unlocks where it locked */
        return;
    lock_acquire(&mutex_parks.lock);
    for (unsigned i = 0; i < held->count; i++) {
        uint32_t known = 0;
        while (known < mutex_parks.count && mutex_parks.parks[known].mutex.caller != held->mutexes[i].caller)
            known++;
        if (known == SITES_MAX)
            mutex_parks.overflowed = true;
        else if (known == mutex_parks.count)
            mutex_parks.parks[mutex_parks.count++] =
                (struct mutex_park){ g->id, g->slot->fn, held->mutexes[i], reason };
    }
    lock_release(&mutex_parks.lock);
    held->count = 0; /* the next G on this thread does not hold them */
}

/* ---- calls ---- */

static bool is_c_library(const char *module)
{
    static const char *const names[] = { "libc.so", "libc-",   "ld-linux", "ld-musl",     "libpthread",
                                         "librt",   "libasan", "libtsan",  "libclang_rt", "libgmptrace-blockcheck" };
    const char *slash = strrchr(module, '/'), *base = slash ? slash + 1 : module;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(base, names[i], strlen(names[i])) == 0)
            return true;
    return module[0] == '[';
}

/* Whether what lies before the address in code is a call. The code is mapped: names_find knows its module. */
static PEEK bool follows_call(uint64_t address)
{
#if defined(__x86_64__)
    const volatile uint8_t *at = (const volatile uint8_t *)(uintptr_t)address;
    if (at[-5] == 0xe8) /* call rel32 */
        return true;
    for (int length = 2; length <= 7; length++) /* call r/m64: ff /2, with up to a SIB byte and a displacement */
        if (at[-length] == 0xff && (at[-length + 1] & 0x38) == 0x10)
            return true;
    return false;
#else
    uint32_t before = *((const volatile uint32_t *)(uintptr_t)address - 1);
    return (before & 0xfc000000) == 0x94000000 || (before & 0xfffffc1f) == 0xd63f0000; /* bl, blr */
#endif
}

/* An address in the program's call that led to sp, or 0. */
static PEEK uint64_t find_caller(uint64_t sp, uint64_t stack_lo, uint64_t stack_hi)
{
    if (sp % 8 || sp < stack_lo || sp >= stack_hi)
        return 0;
    for (uint64_t i = 0; i < SCAN_WORDS && sp + i * 8 + 8 <= stack_hi; i++) {
        uint64_t word = codeaddress_of(*(const volatile uint64_t *)(uintptr_t)(sp + i * 8));
        struct name name;
        if (word < 4096 || (word >= stack_lo && word < stack_hi))
            continue;
        names_find(watcher.names, word - 1, &name);
        if (name.module && name.function && !is_c_library(name.module) && follows_call(word))
            return word - 1;
    }
    return 0;
}

/* Reads a small file of a thread. Returns its length, 0 when there is none. */
static size_t read_task_file(uint32_t tid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%u/%s", tid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = 0;
    return length > 0 ? (size_t)length : 0;
}

/* Whether the thread sleeps in a system call, and in which. */
static bool sleeps_in_call(uint32_t tid, long *number, uint64_t *sp)
{
    char text[512];
    unsigned long long sp_read;
    if (!read_task_file(tid, "stat", text, sizeof text))
        return false;
    const char *state = strrchr(text, ')'); /* after the name, which may hold anything */
    if (!state || (state[2] != 'S' && state[2] != 'D'))
        return false;
    if (!read_task_file(tid, "syscall", text, sizeof text) ||
        sscanf(text, "%ld %*s %*s %*s %*s %*s %*s %llx", number, &sp_read) != 2)
        return false; /* "running" by now; or -1, a page fault, with fewer words */
    *sp = sp_read;
    return *number >= 0;
}

static bool is_new_site(long number, uint64_t place)
{
    for (uint32_t i = 0; i < watcher.site_count; i++)
        if (watcher.sites[i].syscall == number && watcher.sites[i].place == place)
            return false;
    if (watcher.site_count == SITES_MAX) {
        watcher.overflowed = true;
        return false;
    }
    watcher.sites[watcher.site_count].syscall = number;
    watcher.sites[watcher.site_count++].place = place;
    return true;
}

static bool unchanged(struct p *p, const struct look *look)
{
    return load_relaxed(&p->starts) == look->starts && load_relaxed(&p->call_tick) == look->call_tick &&
           load_acquire(&p->m) == look->m && load_relaxed(&p->status) == P_RUNNING &&
           load_relaxed(&look->m->in_runtime) == 0;
}

static PEEK void look_at(struct p *p, struct look *look, int64_t now)
{
    if (load_relaxed(&p->status) != P_RUNNING || !look->m || !unchanged(p, look)) {
        look->starts = load_relaxed(&p->starts);
        look->call_tick = load_relaxed(&p->call_tick);
        look->m = load_acquire(&p->m);
        look->since_ns = now;
        return;
    }
    long number;
    uint64_t sp;
    const struct g *g = *(struct g *const volatile *)&look->m->current;
    if (now - look->since_ns < BLOCKED_NS || !g || !sleeps_in_call(look->m->tid, &number, &sp))
        return;
    const struct g_slot *slot = *(struct g_slot *const volatile *)&g->slot;
    uint64_t id = load_relaxed(&slot->id), place = find_caller(sp, slot->stack_lo, slot->stack_hi);
    if (unchanged(p, look) && is_new_site(number, place))
        tell_of_call(slot, id, number, place);
}

static void look_at_all(void)
{
    int64_t now = clock_now_ns();
    for (uint32_t i = 0; i < load_acquire(&sched.p_made); i++)
        look_at(&sched.ps[i], &watcher.looks[i], now);
    tell_of_mutexes();
}

static void *watch(void *arg)
{
    (void)arg;
    while (!load_acquire(&watcher.stopping)) {
        struct timespec nap = { .tv_nsec = LOOK_NS };
        nanosleep(&nap, NULL);
        look_at_all();
    }
    return NULL;
}

/* ---- beginning and end ---- */

void blockcheck_start(void)
{
    if (!debug_settings.blockcheck)
        return;
    watcher.names = names_open();
    void *symbol = dlsym(RTLD_DEFAULT, BLOCKCHECK_HELD_FUNCTION);
    if (symbol) {
        *(void **)&held_by_thread = symbol;
        blockcheck_mutexes = true;
    } else {
        fprintf(stderr, "gmptrace: blockcheck: pthread mutexes are not watched: for that, LD_PRELOAD "
                        "libgmptrace-blockcheck.so\n");
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES_WATCHER);
    int error = pthread_create(&watcher.thread, &attributes, watch, NULL);
    pthread_attr_destroy(&attributes);
    watcher.runs = error == 0;
    if (error)
        fprintf(stderr, "gmptrace: blockcheck: cannot watch: %s\n", strerror(error));
}

void blockcheck_stop(void)
{
    if (!watcher.runs)
        return;
    store_release(&watcher.stopping, 1);
    pthread_join(watcher.thread, NULL);
    watcher.runs = false;
    tell_of_mutexes();
    if (watcher.overflowed || mutex_parks.overflowed)
        fprintf(stderr, "gmptrace: blockcheck: more than %u places were found; the rest was not told\n", SITES_MAX);
}
