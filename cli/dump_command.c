/* gmptrace dump: all goroutines of a running program or a core file with their whole stacks: of those that wait from
 * where they left them, of those that run from their threads. */
#define _GNU_SOURCE
#include "cli.h"
#include "corefile.h"
#include "dump_core.h"
#include "muster.h"
#include "musterprint.h"
#include "running.h"
#include "target.h"

#include "pprof/unwinder.h"
#include "trace/census.h"
#include "trace/codeaddress.h"
#include "trace/look.h"
#include "trace/savedstack.h"

#include <gmptrace/gmpt.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FIRST_STACK_BYTES 4096u /* which most stacks have less than */
#define DUMP_VERSION 1

struct dump {
    struct load_options load;
    const char *core_path;
    pid_t pid; /* 0 = a core file */
    bool stop;
    struct filter *filter;

    struct target target;
    struct corefile core;
    struct segment segment;
    struct running_set running;
    struct unwinder *unwinder;
    running_read read;
    void *read_arg;
    uint64_t entry_pc, code_lo, code_hi;
    uint32_t saved_sp_offset, saved_call_offset, slots;

    /* The copy of a stack, from `at` on; more is read when the walk comes to it. */
    uint8_t *stack;
    size_t stack_room, stack_bytes;
    uint64_t stack_at, stack_hi;

    uint64_t *cut_off; /* by slot, then by number: Gs whose stack is not known to its end */
    size_t cut_off_count;
    struct muster_sample *samples;
    size_t sample_count, sample_room;
    int trace_fd;
    char trace_path[32];
};

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static int option_read(struct dump *dump, int option, char **argv)
{
    struct filter_error error;
    switch (option) {
    case 'p':
        dump->pid = (pid_t)cli_parse_number(optarg);
        return dump->pid > 0 ? LOAD_GO_ON : cli_usage("-p takes a process id, not '%s'", optarg);
    case 'F':
        filter_free(dump->filter);
        dump->filter = filter_parse(optarg, &error);
        return dump->filter ? LOAD_GO_ON : cli_usage("--filter, column %zu: %s", error.column, error.message);
    case 'n':
        dump->stop = false;
        return LOAD_GO_ON;
    case 'j':
        dump->load.json = true;
        return LOAD_GO_ON;
    default:
        return cli_option_common(option, argv);
    }
}

static int options_read(struct dump *dump, int argc, char **argv)
{
    static const struct option longs[] = {
        { "pid", required_argument, NULL, 'p' }, { "filter", required_argument, NULL, 'F' },
        { "no-stop", no_argument, NULL, 'n' },   { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },      { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    optind = 0;
    opterr = 0;
    for (int option, status; (option = getopt_long(argc, argv, ":hp:", longs, NULL)) != -1;)
        if ((status = option_read(dump, option, argv)) != LOAD_GO_ON)
            return status;
    dump->core_path = optind < argc ? argv[optind++] : NULL;
    if (optind < argc)
        return cli_usage("one core file at a time, not also '%s'", argv[optind]);
    if (!dump->pid == !dump->core_path)
        return cli_usage("-p PID for a running program, or the name of a core file: one of the two");
    return LOAD_GO_ON;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static bool word_read(const struct dump *dump, uint64_t address, uint64_t *value)
{
    return dump->read(dump->read_arg, address, value, sizeof *value) == sizeof *value;
}

/* Twice as much of the stack as there is. */
static bool stack_grow(struct dump *dump)
{
    uint64_t left = dump->stack_hi - dump->stack_at - dump->stack_bytes;
    size_t more = dump->stack_bytes ? dump->stack_bytes : FIRST_STACK_BYTES;
    if (more > left)
        more = (size_t)left;
    if (dump->stack_bytes + more > dump->stack_room) {
        size_t room = dump->stack_bytes + more;
        uint8_t *grown = realloc(dump->stack, room);
        if (!grown)
            return false;
        dump->stack = grown;
        dump->stack_room = room;
    }
    size_t got = dump->read(dump->read_arg, dump->stack_at + dump->stack_bytes, dump->stack + dump->stack_bytes, more);
    dump->stack_bytes += got;
    return got > 0;
}

/* Nothing but the stack is looked at. */
static bool stack_word(void *arg, uint64_t address, uint64_t *value)
{
    struct dump *dump = arg;
    if (address < dump->stack_at || address >= dump->stack_hi || dump->stack_hi - address < sizeof *value)
        return false;
    while (address - dump->stack_at + sizeof *value > dump->stack_bytes)
        if (!stack_grow(dump))
            return false;
    memcpy(value, dump->stack + (address - dump->stack_at), sizeof *value);
    return true;
}

static void stack_begin(struct dump *dump, uint64_t at, uint64_t hi)
{
    dump->stack_at = at;
    dump->stack_hi = hi;
    dump->stack_bytes = 0;
}

/* ---- Stacks ------------------------------------------------------------------------------------------------------ */

static size_t walk(struct dump *dump, const struct unwinder_place *place, const struct g_slot *slot, uint64_t *pc,
                   size_t room, bool *whole)
{
    struct unwinder_memory memory = { stack_word, dump };
    size_t count = unwinder_walk(dump->unwinder, place, &memory, slot->stack_lo, slot->stack_hi, pc, room, whole);
    bool entry = *whole && count > 1 && pc[count - 1] >= dump->code_lo && pc[count - 1] < dump->code_hi;
    return count - entry; /* what called the goroutine's function is no affair of the program's */
}

/* Of one that does not run: switch.h of the runtime says what lies there. */
static size_t parked_walk(struct dump *dump, const struct g_slot *slot, uint64_t *pc, size_t room, bool *whole)
{
    uint64_t sp, saved[2], lo = slot->stack_lo, hi = slot->stack_hi;
    if (!word_read(dump, hi + dump->saved_sp_offset, &sp) || sp < lo || sp >= hi || hi - sp < 16 || sp % 8 != 0)
        return 0;
    stack_begin(dump, sp, hi);
    if (!stack_word(dump, sp, &saved[0]) || !stack_word(dump, sp + 8, &saved[1]))
        return 0;
    *whole = true;
    if (saved[0] == dump->entry_pc) {
        pc[0] = slot->fn + 1;
        return 1;
    }
    struct unwinder_place place = { .pc = saved[0], .known = 1u << UNWINDER_SP | 1u << UNWINDER_FP };
    place.registers[UNWINDER_SP] = sp + 16;
    place.registers[UNWINDER_FP] = saved[1];
    size_t count = walk(dump, &place, slot, pc, room, whole);
    uint32_t private = savedstack_private(pc, (uint32_t)count, dump->code_lo, dump->code_hi);
    memmove(pc, pc + private, (count - private) * sizeof *pc);
    return count - private;
}

/* Of one in a blocking call whose registers are not known: from the function that announced the call, whose return
 * address the runtime has noted, and beside which its caller's frame pointer lies. */
static size_t call_walk(struct dump *dump, const struct g_slot *slot, uint64_t sp, uint64_t *pc, size_t room,
                        bool *whole)
{
    uint64_t noted[2], word, frame;
    uint64_t at = slot->stack_hi + dump->saved_call_offset;
    if (!word_read(dump, at, &noted[0]) || !word_read(dump, at + 8, &noted[1]) || !noted[1] || room < 2)
        return 0;
    pc[0] = noted[0] + 1;
    pc[1] = noted[1];
    for (at = (sp + 7) & ~UINT64_C(7); sp && at + 16 <= slot->stack_hi; at += 8) {
        if (!stack_word(dump, at + 8, &word) || codeaddress_of(word) != noted[1] || !stack_word(dump, at, &frame) ||
            frame <= at || frame >= slot->stack_hi)
            continue;
        struct unwinder_place place = { .pc = noted[1], .called = true };
        place.known = 1u << UNWINDER_SP | 1u << UNWINDER_FP;
        place.registers[UNWINDER_SP] = at + 16;
        place.registers[UNWINDER_FP] = frame;
        return 1 + walk(dump, &place, slot, pc + 1, room - 1, whole);
    }
    return 2;
}

static size_t running_walk(struct dump *dump, const struct running *one, uint64_t *pc, size_t room, bool *whole)
{
    bool all = one->place.known & 1u << UNWINDER_FP;
    uint64_t sp = one->place.registers[UNWINDER_SP];
    stack_begin(dump, sp, sp + one->stack_bytes);
    if (dump->stack_room < one->stack_bytes) {
        uint8_t *grown = realloc(dump->stack, one->stack_bytes);
        if (!grown)
            return 0;
        dump->stack = grown;
        dump->stack_room = one->stack_bytes;
    }
    memcpy(dump->stack, one->stack, one->stack_bytes);
    dump->stack_bytes = one->stack_bytes;
    if (!all && g_status_state(one->status) == G_SYSCALL) {
        pc[0] = one->place.pc + 1;
        size_t count = call_walk(dump, &one->copy, sp, pc + 1, room - 1, whole);
        if (count)
            return 1 + count;
    }
    return walk(dump, &one->place, &one->copy, pc, room, whole);
}

static bool source_seen(void *arg, uint32_t slot, struct g_slot *copy, uint64_t *status)
{
    const struct dump *dump = arg;
    const struct running *one = running_find(&dump->running, slot);
    if (!one)
        return false;
    memcpy(copy, &one->copy, sizeof *copy);
    *status = one->status;
    return true;
}

static uint32_t source_stack(void *arg, uint32_t slot, const struct g_slot *copy, uint64_t status, uint64_t *pc,
                             uint32_t room, uint32_t *tid)
{
    struct dump *dump = arg;
    const struct running *one = running_find(&dump->running, slot);
    enum g_state state = g_status_state(status);
    bool whole = false;
    size_t count = 0;
    *tid = 0;
    if (one) {
        *tid = (uint32_t)one->tid;
        count = running_walk(dump, one, pc, room, &whole);
    } else if (state == G_WAITING || state == G_RUNNABLE) {
        count = parked_walk(dump, copy, pc, room, &whole);
    } else if (state == G_SYSCALL) {
        count = call_walk(dump, copy, 0, pc, room, &whole);
    }
    dump->cut_off[slot] = whole ? 0 : load_relaxed(&copy->id);
    return (uint32_t)count;
}

/* ---- A trace of what there is ------------------------------------------------------------------------------------ */

static int modules_open(struct dump *dump)
{
    uint32_t count = load_acquire(&dump->segment.header->module_count);
    count = count < SEGMENT_MAX_MODULES ? count : SEGMENT_MAX_MODULES;
    struct segment_module *copies = calloc(count + 1, sizeof *copies);
    struct gmpt_module *modules = calloc(count + 1, sizeof *modules);
    for (uint32_t i = 0; copies && modules && i < count; i++) {
        copies[i] = dump->segment.modules[i];
        copies[i].path[sizeof copies[i].path - 1] = 0;
        uint32_t id_bytes = copies[i].build_id_bytes;
        modules[i] = (struct gmpt_module){
            .start = copies[i].start,
            .end = copies[i].end,
            .bias = copies[i].bias,
            .path = copies[i].path,
            .build_id_bytes = id_bytes <= sizeof copies[i].build_id ? id_bytes : 0,
        };
        memcpy(modules[i].build_id, copies[i].build_id, sizeof modules[i].build_id);
    }
    dump->unwinder = copies && modules ? unwinder_open(modules, count) : NULL;
    free(modules);
    free(copies);
    return dump->unwinder ? 0 : -ENOMEM;
}

static int look(struct dump *dump, const char *command, int64_t now_ns)
{
    const struct segment_header *header = dump->segment.header;
    struct census_source source = { source_seen, source_stack, dump, now_ns };
    struct utsname machine = { 0 };
    dump->entry_pc = header->entry_pc;
    dump->code_lo = header->code_lo;
    dump->code_hi = header->code_hi;
    dump->saved_sp_offset = header->saved_sp_offset;
    dump->saved_call_offset = header->saved_call_offset;
    dump->slots = dump->segment.registry_slots;
    dump->cut_off = calloc((size_t)dump->slots + 1, sizeof *dump->cut_off);
    int result = dump->cut_off ? modules_open(dump) : -ENOMEM;
    if (result)
        return result;
    uname(&machine);
    dump->trace_fd = memfd_create("gmptrace dump", MFD_CLOEXEC);
    int out = dump->trace_fd < 0 ? -1 : dup(dump->trace_fd);
    snprintf(dump->trace_path, sizeof dump->trace_path, "/proc/self/fd/%d", dump->trace_fd);
    dump->load.path = dump->trace_path;
    return out < 0 ? -errno : look_write(&dump->segment, 0, &source, command, machine.nodename, out);
}

static int process_look(struct dump *dump)
{
    const char *why = NULL;
    int status = target_open(&dump->target, dump->pid);
    if (status != CLI_OK)
        return status;
    int result = segment_open_look(&dump->segment, dump->target.segment_fd, &why);
    if (result == 0) {
        segment_guard(&dump->segment);
        dump->read = running_process_read;
        dump->read_arg = &dump->pid;
        result = running_capture(&dump->running, &dump->segment, dump->pid, dump->stop);
        result = result ? result : look(dump, dump->target.command, 0);
        segment_close(&dump->segment);
    }
    if (result)
        cli_error("cannot look at process %d: %s", (int)dump->pid, why ? why : strerror(-result));
    else if (dump->running.error)
        cli_error("process %d may not be stopped (%s): goroutines that run have no stacks", (int)dump->pid,
                  dump->running.error == EPERM ? "a debugger or another tracer has it" : strerror(dump->running.error));
    target_close(&dump->target);
    if (result)
        return result == -EAGAIN || result == -EPROTO ? CLI_USAGE : CLI_MACHINE;
    return CLI_OK;
}

/* When the core file was written, on the program's clock: by the file's time, unless a wait began later. */
static int64_t core_moment(const struct dump *dump)
{
    struct stat st;
    const struct segment_header *header = dump->segment.header;
    int64_t latest_ns = header->start_monotonic_ns;
    uint32_t used = load_relaxed(&header->registry_used);
    for (uint32_t i = 0; i < used && i < dump->segment.registry_slots; i++)
        if (dump->segment.registry[i].wait_since_ns > latest_ns)
            latest_ns = dump->segment.registry[i].wait_since_ns;
    if (fstat(dump->core.fd, &st))
        return latest_ns;
    int64_t written_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    int64_t moment_ns = written_ns - header->start_realtime_ns + header->start_monotonic_ns;
    return moment_ns > latest_ns ? moment_ns : latest_ns;
}

static int core_look(struct dump *dump)
{
    const char *why = NULL;
    int status = corefile_open(&dump->core, dump->core_path);
    if (status != CLI_OK)
        return status;
    if (dump->core.missing_bytes)
        cli_error("%s is cut off: %" PRIu64 " bytes of memory are missing", dump->core_path, dump->core.missing_bytes);
    int result = segment_open_look(&dump->segment, dump->core.segment_fd, &why);
    if (result == 0) {
        dump->read = corefile_read;
        dump->read_arg = &dump->core;
        for (size_t i = 0; result == 0 && i < dump->core.thread_count; i++) {
            const struct corefile_thread *one = &dump->core.threads[i];
            result = running_add(&dump->running, &dump->segment, one->tid, &one->place, corefile_read, &dump->core);
        }
        running_sort(&dump->running);
        result = result ? result : look(dump, dump->core.command, core_moment(dump));
        segment_close(&dump->segment);
    }
    if (result)
        cli_error("%s cannot be used: %s", dump->core_path, why ? why : strerror(-result));
    return result ? CLI_INPUT : CLI_OK;
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int sample_order(const void *left, const void *right)
{
    const struct muster_sample *a = left, *b = right;
    return ORDER(a->g, b->g);
}

static int id_order(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return ORDER(*a, *b);
}

static int sample_add(struct dump *dump, const struct gmpt_event_cpu_sample *sample)
{
    if (dump->sample_count == dump->sample_room) {
        size_t room = dump->sample_room ? 2 * dump->sample_room : 64;
        struct muster_sample *grown = realloc(dump->samples, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        dump->samples = grown;
        dump->sample_room = room;
    }
    dump->samples[dump->sample_count++] =
        (struct muster_sample){ sample->g, (uint32_t)sample->stack, (uint32_t)sample->tid };
    return 0;
}

static int trace_read(struct dump *dump, struct load *load)
{
    struct gmpt_event event;
    int result;
    while ((result = gmpt_trace_next(load->trace, &event)) > 0) {
        if (event.type != GMPT_EVENT_cpu_sample)
            continue;
        if (event.cpu_sample.tid)
            place_code(load->places, (uint32_t)event.cpu_sample.stack);
        if (sample_add(dump, &event.cpu_sample)) {
            cli_error("there is not enough memory for all goroutines");
            return CLI_MACHINE;
        }
    }
    if (dump->sample_count)
        qsort(dump->samples, dump->sample_count, sizeof *dump->samples, sample_order);
    return cli_trace_finish(load->trace, dump->load.path, result);
}

static void cut_off_sort(struct dump *dump)
{
    for (uint32_t i = 0; i < dump->slots; i++)
        if (dump->cut_off[i])
            dump->cut_off[dump->cut_off_count++] = dump->cut_off[i];
    if (dump->cut_off_count)
        qsort(dump->cut_off, dump->cut_off_count, sizeof *dump->cut_off, id_order);
}

static bool is_cut_off(const struct dump *dump, uint64_t id)
{
    return dump->cut_off_count &&
           bsearch(&id, dump->cut_off, dump->cut_off_count, sizeof *dump->cut_off, id_order) != NULL;
}

struct tail {
    const struct dump *dump;
    uint64_t without, cut_off; /* of the goroutines shown: those without a stack; whose stack ends before its end */
};

static struct tail tail_count(const struct dump *dump, const struct muster *muster)
{
    struct tail tail = { .dump = dump };
    for (size_t i = 0; i < muster->count; i++) {
        tail.without += muster->gs[i].at == 0;
        tail.cut_off += muster->gs[i].at != 0 && is_cut_off(dump, muster->gs[i].id);
    }
    return tail;
}

static void tail_json(const void *arg)
{
    const struct tail *tail = arg;
    const struct dump *dump = tail->dump;
    printf(",\n  \"version\": %d,\n  \"core\": ", DUMP_VERSION);
    if (dump->core_path)
        cli_json_string(stdout, dump->core_path);
    else
        fputs("null", stdout);
    printf(",\n  \"signal\": %d,\n  \"threads_stopped\": %zu,\n  \"threads_not_stopped\": %zu", dump->core.signal,
           dump->running.stopped, dump->running.not_stopped);
    printf(",\n  \"longest_stop_ns\": %" PRId64 ",\n  \"without_stack\": %" PRIu64 ",\n  \"stack_cut_off\": %" PRIu64,
           dump->running.longest_stop_ns, tail->without, tail->cut_off);
}

static void tail_print(const struct tail *tail)
{
    char a[32], b[16];
    const struct running_set *running = &tail->dump->running;
    if (running->stopped || tail->without || tail->cut_off)
        putchar('\n');
    if (running->stopped)
        cli_wrap(0, "%s thread%s stood still, one at a time, the longest for %s", cli_count(a, running->stopped),
                 cli_plural(running->stopped), cli_duration(b, running->longest_stop_ns));
    if (tail->without)
        cli_wrap(0, "%s goroutine%s without a stack: moving on as %s looked at, or not in the core file",
                 cli_count(a, tail->without), cli_plural(tail->without), tail->without == 1 ? "it was" : "they were");
    if (tail->cut_off)
        cli_wrap(0, "%s goroutine%s whose stack is not known to its end", cli_count(a, tail->cut_off),
                 cli_plural(tail->cut_off));
}

static int tell(struct dump *dump, const struct load *load)
{
    struct muster muster;
    int64_t now_ns = gmpt_trace_info(load->trace)->duration_ns;
    int result = muster_read(&muster, load, now_ns, dump->filter, dump->samples, dump->sample_count);
    uint32_t stacks = gmpt_trace_stack_count(load->trace);
    for (uint32_t i = 1; i <= stacks; i++)
        place_look(load->places, i);
    if (result == 0) {
        struct tail tail = tail_count(dump, &muster);
        if (dump->load.json) {
            muster_json(load, &muster, now_ns, tail_json, &tail);
        } else {
            muster_head_print(load, &muster);
            if (dump->core.signal)
                cli_wrap(2, "signal %d (%s) ended it", dump->core.signal, strsignal(dump->core.signal));
            muster_stacks_print(load, &muster);
            tail_print(&tail);
        }
    }
    muster_free(&muster);
    if (result == 0)
        return cli_flush(CLI_OK);
    cli_error("there is not enough memory for all goroutines");
    return CLI_MACHINE;
}

static void dump_free(struct dump *dump)
{
    filter_free(dump->filter);
    unwinder_close(dump->unwinder);
    running_free(&dump->running);
    corefile_close(&dump->core);
    free(dump->stack);
    free(dump->samples);
    free(dump->cut_off);
    if (dump->trace_fd >= 0)
        close(dump->trace_fd);
}

int dump_core_read(struct dump_core *core, const char *path)
{
    struct dump dump = { .core_path = path, .trace_fd = -1, .core = { .fd = -1, .segment_fd = -1 } };
    int status = core_look(&dump);
    *core = (struct dump_core){ .trace_fd = -1, .pid = dump.core.pid };
    snprintf(core->command, sizeof core->command, "%s", dump.core.command);
    if (status == CLI_OK) {
        core->trace_fd = dump.trace_fd;
        dump.trace_fd = -1;
    }
    dump_free(&dump);
    return status;
}

static int dump_run(int argc, char **argv)
{
    struct dump dump = { .stop = true, .trace_fd = -1, .core = { .fd = -1, .segment_fd = -1 } };
    struct load load = { 0 };
    int status = options_read(&dump, argc, argv);
    if (status == LOAD_GO_ON)
        status = dump.pid ? process_look(&dump) : core_look(&dump);
    else
        goto out;
    if (status == CLI_OK)
        status = load_prepare(&load, &dump.load);
    if (status == CLI_OK)
        status = trace_read(&dump, &load);
    if (status == CLI_OK) {
        cut_off_sort(&dump);
        status = tell(&dump, &load);
        place_warn(load.places);
    }
out:
    load_close(&load);
    dump_free(&dump);
    return status;
}

const struct cli_command command_dump = {
    .name = "dump",
    .summary = "whole stacks of all goroutines, of a running program or a core file",
    .help = "Usage: gmptrace dump -p PID | CORE [--filter EXPR] [--no-stop] [--json]\n"
            "Shows all goroutines with their whole stacks, alike ones together: of a program\n"
            "that runs, hangs or is stopped, or of the core file of one that has ended.\n\n"
            "  -p, --pid PID   the process\n"
            "  --filter EXPR   only what EXPR chooses, such as\n"
            "                  'state=waiting and dur>5s'; see gmptrace-pprof(1)\n"
            "  --no-stop       no thread is stopped, not even for a moment: goroutines that\n"
            "                  compute have no stack then\n"
            "  --json          all of that as one JSON object; times in nanoseconds\n"
            "  --help          this text\n"
            "  --version       which gmptrace this is\n\n"
            "Goroutines that wait are read while the program goes on. A thread that runs one\n"
            "is stopped for as long as its stack takes to be copied, well below a\n"
            "millisecond; the output says for how long.\n\n"
            "Exit status: 0 fine; 2 wrong usage, or no such program; 3 CORE cannot be used; 4\n"
            "the process may not be looked at, or the output cannot be written.\n",
    .run = dump_run,
};
