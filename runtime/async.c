/* Stopping Gs that only compute, by SIGURG. See async.h. */
#define _GNU_SOURCE
#include "async.h"

#include "enter.h"
#include "owncode.h"
#include "scheduler.h"

#include <link.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(__x86_64__) && !defined(SWITCH_TSAN) /* which delivers signals later, and elsewhere */
#define ASYNC_WORKS 1
#else
#define ASYNC_WORKS 0
#endif

#if ASYNC_WORKS

#define RED_ZONE_BYTES 128
#define ROOM_BYTES 4096u /* for the stub and the scheduler, beside the extended registers */

void async_stub(void);
extern const char switch_entry_return[]; /* where a G's function returns to */
void async_arrived(void);

uint64_t async_xstate_bytes; /* what XSAVE needs for all that this CPU and kernel have */

static struct {
    bool on; /* read and written by sysmon */
    unsigned long long loaded; /* how many objects had been loaded when `others` was made */
    uintptr_t program_lo, program_hi; /* code of the program itself */
    struct sigaction before;
} async;

/* First comes the program. One that is linked statically has libc in the same range: nothing is allowed then. */
static int note_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    bool dynamic = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        dynamic |= header->p_type == PT_INTERP;
        if (header->p_type == PT_LOAD && header->p_flags & PF_X) {
            if (!async.program_hi || start < async.program_lo)
                async.program_lo = start;
            if (start + header->p_memsz > async.program_hi)
                async.program_hi = start + header->p_memsz;
        }
    }
    if (!dynamic)
        async.program_lo = async.program_hi = 0;
    return 1;
}

struct code_range {
    uintptr_t lo, hi;
};
#define OTHERS_MAX 256
static struct code_range others[OTHERS_MAX]; /* code of libraries, the loader and the vdso, in order */
static ATOMIC(uint32_t) other_count;         /* sysmon adds, the handler reads */

static bool is_noted(uintptr_t start)
{
    uint32_t count = load_relaxed(&other_count);
    for (uint32_t i = 0; i < count; i++)
        if (others[i].lo == start)
            return true;
    return start == async.program_lo;
}

static int note_others(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    async.loaded = info->dlpi_adds;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X) || is_noted(start))
            continue;
        uint32_t count = load_relaxed(&other_count);
        if (count == OTHERS_MAX)
            return 1;
        others[count] = (struct code_range){ start, start + header->p_memsz };
        store_release(&other_count, count + 1);
    }
    return 0;
}

static int note_loads(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    *(unsigned long long *)arg = info->dlpi_adds;
    return 1;
}

static bool is_foreign(uintptr_t word)
{
    if (word < 4096)
        return false;
    if (owncode_has(word))
        return word != (uintptr_t)switch_entry_return;
    uint32_t count = load_acquire(&other_count);
    for (uint32_t i = 0; i < count; i++)
        if (word >= others[i].lo && word < others[i].hi)
            return true;
    return false;
}

static PEEK bool may_stop_at(const struct g *g, uintptr_t pc, uintptr_t sp)
{
    if (pc < async.program_lo || pc >= async.program_hi || owncode_has(pc))
        return false;
    uintptr_t lo = g->slot->stack_lo, hi = (uintptr_t)g;
    if (sp < lo || sp >= hi || sp - lo < RED_ZONE_BYTES + ROOM_BYTES + async_xstate_bytes)
        return false;
    for (const uintptr_t *word = (const uintptr_t *)(sp & ~(uintptr_t)7); (uintptr_t)word < hi; word++)
        if (is_foreign(*word))
            return false;
    return true;
}

static PEEK void on_sigurg(int signal, siginfo_t *info, void *arg)
{
    ucontext_t *context = arg;
    struct m *m = m_self();
    struct g *g;
    bool ours = m && load_relaxed(&m->async_sent) && exchange_acq_rel(&m->async_sent, 0);
    if (ours && !load_relaxed(&m->in_runtime) && !m->call_p && (g = m->current) && (g->flags & GMPT_PURE_COMPUTE)) {
        greg_t *registers = context->uc_mcontext.gregs;
        uintptr_t pc = (uintptr_t)registers[REG_RIP], sp = (uintptr_t)registers[REG_RSP];
        if (may_stop_at(g, pc, sp)) {
            sp -= RED_ZONE_BYTES + sizeof(uintptr_t);
            *(uintptr_t *)sp = pc;
            registers[REG_RSP] = (greg_t)sp;
            registers[REG_RIP] = (greg_t)(uintptr_t)async_stub;
        }
    }
    if (ours)
        return;
    /* The program's own, which is ignored by default. */
    if (async.before.sa_flags & SA_SIGINFO)
        async.before.sa_sigaction(signal, info, arg);
    else if (async.before.sa_handler != SIG_DFL && async.before.sa_handler != SIG_IGN)
        async.before.sa_handler(signal);
}

void async_arrived(void)
{
    /* The request to yield is about to be met; left set it would be met as tier T0 by coming in. */
    fetch_and_acq_rel(&m_self()->attention, ~(uint32_t)ATTENTION_YIELD);
    API_ENTER();
    scheduler_preempted_async();
}

void async_start(void)
{
    unsigned a, b, c, d;
    if (async.on)
        return; /* the handler must not be its own predecessor */
    /* OSXSAVE: the kernel lets programs use XSAVE. Leaf 13 says how much room what it has enabled needs. */
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !__get_cpuid_count(13, 0, &a, &b, &c, &d))
        return;
    async_xstate_bytes = (b + 63u) & ~63u;
    dl_iterate_phdr(note_program, NULL);
    if (!async.program_hi || dl_iterate_phdr(note_others, NULL))
        return;
    struct sigaction action = { .sa_sigaction = on_sigurg, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
    sigemptyset(&action.sa_mask);
    async.on = sigaction(SIGURG, &action, &async.before) == 0;
}

bool async_works_for(const struct g *g)
{
    return async.on && (g->flags & GMPT_PURE_COMPUTE);
}

void async_send(struct m *m)
{
    unsigned long long loaded = async.loaded;
    dl_iterate_phdr(note_loads, &loaded);
    if (loaded != async.loaded && dl_iterate_phdr(note_others, NULL)) {
        async.on = false; /* more libraries than there is room for: from now on tier T1 */
        return;
    }
    store_release(&m->async_sent, 1);
    syscall(SYS_tgkill, getpid(), m->tid, SIGURG);
}

#else

void async_start(void) {}
bool async_works_for(const struct g *g)
{
    (void)g;
    return false;
}
void async_send(struct m *m) { (void)m; }

#endif
