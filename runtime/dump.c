/* Collects all Gs into groups of alike ones, and prints those. See dump.h.
 *
 * The table of groups has a fixed size. When it is full, what it holds is printed and it starts afresh, so a group may
 * then be printed in parts, but no G is left out. */
#define _GNU_SOURCE
#include "dump.h"

#include "names.h"
#include "report.h"
#include "runtime.h"
#include "seat.h"
#include "unwind.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define GROUPS 2048u
#define GROUPS_RESERVE 16u /* when there is no memory */
#define IDS_SHOWN 8u
#define TRIES 64

/* What a dump says of one G. */
struct sight {
    enum g_state state;
    unsigned reason;
    uint64_t id, parent, fn;
    const char *name; /* in the dictionary; NULL = none */
    bool locked;      /* to its thread */
    int64_t since_ns; /* 0 = not waiting */
    uint32_t create_stack, create_ring;
    struct unwind stack;
};

struct group {
    struct sight first; /* the one that was met first; id is the lowest */
    uint64_t hash;
    uint32_t count;
    bool parents_differ, creations_differ;
    int64_t oldest_ns, newest_ns;
    uint64_t ids[IDS_SHOWN]; /* the lowest, in order */
};

struct dump {
    struct report report;
    struct names *names;
    int64_t now_ns;
    uint64_t gs, groups_printed;
    uint32_t capacity, count;
    uint16_t buckets[2 * GROUPS]; /* index + 1 of a group, 0 = free */
    struct group *order[GROUPS];
    struct group groups[]; /* capacity of them */
};

/* ---- looking at one G ---- */

/* Reads a slot that its G may be changing: the caller checks the status before and after. */
static PEEK void read_slot(struct sight *sight, const struct g_slot *slot, const struct g *g)
{
    sight->id = load_relaxed(&slot->id);
    sight->parent = slot->parent;
    sight->fn = slot->fn;
    sight->create_stack = slot->create_stack;
    sight->create_ring = slot->create_ring;
    sight->name = g->name;
    sight->locked = g->lock_depth != 0;
    sight->since_ns = sight->state == G_WAITING || sight->state == G_SYSCALL ? slot->wait_since_ns : 0;
}

/* The M is in the kernel or in a library, with the G's stack; where the call began was noted. */
static PEEK void read_call(struct sight *sight, const struct g_slot *slot, const struct g *g)
{
    sight->stack.depth = 2;
    sight->stack.pc[0] = (uint64_t)(uintptr_t)g->call.function + 1;
    sight->stack.pc[1] = (uint64_t)(uintptr_t)g->call.caller - 1;
    unwind_frames(&sight->stack, (uintptr_t)g->call.caller_frame, slot->stack_lo, slot->stack_hi);
}

/* Returns false when the slot has no G. */
static bool look(struct sight *sight, const struct g_slot *slot)
{
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t before = load_acquire(&slot->status);
        sight->state = g_status_state(before);
        sight->reason = g_status_reason(before);
        sight->stack.depth = 0;
        if (sight->state == G_IDLE || sight->state == G_DEAD || sight->state >= G_STATES)
            return false;
        const struct g *g = seat_g_of(slot); /* set before the first status */
        read_slot(sight, slot, g);
        bool parked = sight->state == G_WAITING || sight->state == G_RUNNABLE;
        bool off_stack = parked && unwind_saved(&sight->stack, g, slot);
        if (sight->state == G_SYSCALL)
            read_call(sight, slot, g);
        load_fence();
        if (load_relaxed(&slot->status) == before && (off_stack || !parked))
            return true;
        if (tries > TRIES / 4)
            sched_yield(); /* it is about to leave its stack, and its thread may have lost the CPU */
    }
    /* It never stood still. */
    sight->state = G_RUNNING;
    sight->stack.depth = 0;
    return true;
}

/* ---- grouping ---- */

static bool is_api(struct dump *dump, uint64_t pc)
{
    struct name name;
    names_find(dump->names, pc, &name);
    return name.function && strncmp(name.function, "gmpt_", 5) == 0;
}

/* Leaves out what is the runtime's own: the frames below the public function that the user called, and the one above
 * the main G's function. */
static void trim(struct dump *dump, struct sight *sight)
{
    struct unwind *stack = &sight->stack;
    uint32_t first = 0;
    while (first < stack->depth && !is_api(dump, stack->pc[first]))
        first++;
    if (first == stack->depth)
        first = 0;
    while (first + 1 < stack->depth && is_api(dump, stack->pc[first]) && is_api(dump, stack->pc[first + 1]))
        first++;
    stack->depth -= first;
    memmove(stack->pc, stack->pc + first, stack->depth * sizeof *stack->pc);
    if (sight->parent == 0 && stack->depth > 1 && stack->depth + first < UNWIND_DEPTH_MAX)
        stack->depth--;
}

static uint64_t hash_of(const struct sight *sight)
{
    uint64_t hash = (uint64_t)sight->state << 8 | sight->reason;
    hash = (hash ^ sight->fn) * 0x9e3779b97f4a7c15ull;
    hash = (hash ^ (uint64_t)(uintptr_t)sight->name) * 0x9e3779b97f4a7c15ull;
    for (uint32_t i = 0; i < sight->stack.depth; i++)
        hash = (hash ^ hash >> 29 ^ sight->stack.pc[i]) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 32;
}

static bool alike(const struct sight *a, const struct sight *b)
{
    return a->state == b->state && a->reason == b->reason && a->fn == b->fn && a->name == b->name &&
           a->locked == b->locked && a->stack.depth == b->stack.depth &&
           memcmp(a->stack.pc, b->stack.pc, a->stack.depth * sizeof *a->stack.pc) == 0;
}

static void note_id(struct group *group, uint64_t id)
{
    uint32_t used = group->count < IDS_SHOWN ? group->count : IDS_SHOWN; /* before this one */
    if (used == IDS_SHOWN && id > group->ids[IDS_SHOWN - 1])
        return;
    uint32_t i = used < IDS_SHOWN ? used : IDS_SHOWN - 1;
    for (; i > 0 && group->ids[i - 1] > id; i--)
        group->ids[i] = group->ids[i - 1];
    group->ids[i] = id;
}

/* Returns false when there is no room for a group of its own. */
static bool add(struct dump *dump, const struct sight *sight)
{
    uint64_t hash = hash_of(sight);
    uint32_t slots = 2 * dump->capacity, slot = (uint32_t)hash % slots;
    struct group *group = NULL;
    while (dump->buckets[slot]) {
        group = &dump->groups[dump->buckets[slot] - 1];
        if (group->hash == hash && alike(&group->first, sight))
            break;
        group = NULL;
        slot = (slot + 1) % slots;
    }
    if (!group) {
        if (dump->count == dump->capacity)
            return false;
        group = &dump->groups[dump->count];
        dump->buckets[slot] = (uint16_t)++dump->count;
        *group =
            (struct group){ .first = *sight, .hash = hash, .oldest_ns = sight->since_ns, .newest_ns = sight->since_ns };
    }
    group->parents_differ |= sight->parent != group->first.parent;
    group->creations_differ |=
        sight->create_stack != group->first.create_stack || sight->create_ring != group->first.create_ring;
    if (sight->since_ns < group->oldest_ns)
        group->oldest_ns = sight->since_ns;
    if (sight->since_ns > group->newest_ns)
        group->newest_ns = sight->since_ns;
    note_id(group, sight->id);
    group->count++;
    return true;
}

/* ---- printing ---- */

static const char *state_text(const struct sight *sight)
{
    static const char *const reasons[] = {
#define REASON(code, name, text, suspect) [code] = text,
#include <gmptrace/reasons.def>
    };
    static const char *const states[G_STATES] = { [G_RUNNABLE] = "runnable",
                                                  [G_RUNNING] = "running",
                                                  [G_SYSCALL] = "syscall",
                                                  [G_PREEMPTED] = "running without a P" };
    if (sight->state != G_WAITING)
        return states[sight->state];
    bool known = sight->reason < sizeof reasons / sizeof *reasons && reasons[sight->reason];
    return known ? reasons[sight->reason] : "waiting";
}

static void print_place(struct dump *dump, uint64_t pc)
{
    struct name name;
    names_find(dump->names, pc, &name);
    if (name.module)
        report_print(&dump->report, "\t%.800s+0x%llx\n", name.module, (unsigned long long)name.offset);
    else
        report_print(&dump->report, "\t0x%llx\n", (unsigned long long)pc);
}

static void print_function(struct dump *dump, uint64_t pc)
{
    struct name name;
    names_find(dump->names, pc, &name);
    report_print(&dump->report, "%.800s", name.function ? name.function : "(function without a name)");
}

/* Where the G was created, from the tables that a recording fills; 0 = not known. */
static uint64_t creation_pc(const struct sight *sight)
{
    const struct segment *segment = &trace_segment;
    if (!sight->create_stack || sight->create_ring >= segment->ring_count)
        return 0;
    const uint64_t *words = segment_stacks(segment, sight->create_ring);
    uint64_t used = load_acquire(&segment->rings[sight->create_ring].stacks_used), at = 0;
    for (uint32_t ordinal = 1; at < used; ordinal++) {
        uint64_t depth = words[at];
        if (ordinal == sight->create_stack) /* the innermost is gmpt_go itself */
            return depth > 1 && depth <= STACK_DEPTH_MAX ? words[at + 2] - 1 : 0;
        at += 1 + depth;
    }
    return 0;
}

static void print_creation(struct dump *dump, const struct group *group)
{
    const struct sight *first = &group->first;
    if (first->parent == 0)
        return; /* the main G, which has no creator */
    uint64_t pc = group->creations_differ ? 0 : creation_pc(first);
    report_print(&dump->report, "created ");
    if (pc) {
        report_print(&dump->report, "by ");
        print_function(dump, pc);
        report_print(&dump->report, " ");
    }
    if (group->parents_differ)
        report_print(&dump->report, "in several goroutines");
    else
        report_print(&dump->report, "in goroutine %llu", (unsigned long long)first->parent);
    if (!pc) {
        report_print(&dump->report, " to run ");
        print_function(dump, first->fn);
    }
    report_print(&dump->report, "\n");
    print_place(dump, pc ? pc : first->fn);
}

static void print_state(struct dump *dump, const struct group *group)
{
    const struct sight *first = &group->first;
    report_print(&dump->report, "[%s", state_text(first));
    if (first->since_ns) {
        int64_t most = (dump->now_ns - group->oldest_ns) / 60000000000;
        int64_t least = (dump->now_ns - group->newest_ns) / 60000000000;
        if (most > 0 && least < most)
            report_print(&dump->report, ", %lld to %lld minutes", (long long)least, (long long)most);
        else if (most > 0)
            report_print(&dump->report, ", %lld minutes", (long long)most);
    }
    report_print(&dump->report, first->locked ? ", locked to thread]" : "]");
}

/* One line, whatever is in it: who reads it, a terminal or a parser, must not take a part of it for anything else. */
static void print_name(struct report *report, const char *name)
{
    char text[201];
    size_t length = 0;
    for (; name[length] && length < sizeof text - 1; length++)
        text[length] = (unsigned char)name[length] < ' ' || name[length] == 0x7f ? '?' : name[length];
    text[length] = 0;
    report_print(report, "\"%s\" ", text);
}

static void print_group(struct dump *dump, const struct group *group)
{
    struct report *report = &dump->report;
    const struct sight *first = &group->first;
    if (group->count == 1) {
        report_print(report, "goroutine %llu ", (unsigned long long)group->ids[0]);
        if (first->name)
            print_name(report, first->name);
        print_state(dump, group);
        report_print(report, ":\n");
    } else {
        report_print(report, "%u goroutines ", group->count);
        if (first->name)
            print_name(report, first->name);
        print_state(dump, group);
        report_print(report, ":");
        for (uint32_t i = 0; i < group->count && i < IDS_SHOWN; i++)
            report_print(report, " %llu", (unsigned long long)group->ids[i]);
        report_print(report, group->count > IDS_SHOWN ? " ...\n" : "\n");
    }
    if (first->stack.depth == 0)
        report_print(report, "\t%s; stack unavailable\n",
                     first->state == G_RUNNING || first->state == G_PREEMPTED ? "running on another thread"
                                                                              : "about to leave its thread");
    for (uint32_t i = 0; i < first->stack.depth; i++) {
        print_function(dump, first->stack.pc[i]);
        report_print(report, "\n");
        print_place(dump, first->stack.pc[i]);
    }
    print_creation(dump, group);
    report_print(report, "\n");
}

/* Prints what the table holds, the Gs that were started first first, and empties it. */
static void print_groups(struct dump *dump)
{
    for (uint32_t i = 0; i < dump->count; i++)
        dump->order[i] = &dump->groups[i];
    for (uint32_t gap = dump->count / 2; gap > 0; gap /= 2) { /* Shell's sort: qsort may call malloc */
        for (uint32_t i = gap; i < dump->count; i++) {
            struct group *group = dump->order[i];
            uint32_t j = i;
            for (; j >= gap && dump->order[j - gap]->ids[0] > group->ids[0]; j -= gap)
                dump->order[j] = dump->order[j - gap];
            dump->order[j] = group;
        }
    }
    for (uint32_t i = 0; i < dump->count; i++)
        print_group(dump, dump->order[i]);
    dump->groups_printed += dump->count;
    dump->count = 0;
    memset(dump->buckets, 0, sizeof dump->buckets);
}

/* ---- the whole ---- */

static size_t bytes_for(uint32_t groups) { return sizeof(struct dump) + groups * sizeof(struct group); }

/* Which Gs are told of. */
struct wish {
    bool (*wanted)(const struct g_slot *slot, const void *arg); /* NULL: all */
    const void *arg;
};

static void collect(struct dump *dump, const struct wish *wish, const struct g *self, uintptr_t frame)
{
    uint32_t used = load_acquire(&trace_segment.header->registry_used);
    for (uint32_t i = 0; i < used; i++) {
        struct sight sight;
        const struct g_slot *slot = &trace_segment.registry[i];
        if ((wish->wanted && !wish->wanted(slot, wish->arg)) || !look(&sight, slot))
            continue;
        if (self && self->slot == slot) {
            sight.stack.pc[0] = (uint64_t)(uintptr_t)gmpt_dump + 1;
            sight.stack.depth = 1;
            unwind_frames(&sight.stack, frame, slot->stack_lo, slot->stack_hi);
        }
        trim(dump, &sight);
        dump->gs++;
        if (!add(dump, &sight)) {
            print_groups(dump);
            add(dump, &sight);
        }
    }
    print_groups(dump);
}

static int dump_with(int fd, const char *heading, struct wish wish, const struct g *self, uintptr_t frame)
{
    static _Alignas(struct dump) char reserve[sizeof(struct dump) + GROUPS_RESERVE * sizeof(struct group)];
    static ATOMIC(uint32_t) reserve_taken;
    size_t bytes = bytes_for(GROUPS);
    struct dump *dump = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t capacity = GROUPS;
    if (dump == MAP_FAILED) {
        if (exchange_acq_rel(&reserve_taken, 1))
            return -ENOMEM;
        dump = (struct dump *)(void *)reserve;
        memset(reserve, 0, sizeof reserve);
        capacity = GROUPS_RESERVE;
    }
    dump->capacity = capacity;
    dump->names = names_open();
    dump->now_ns = clock_now_ns();
    report_begin(&dump->report, fd);
    report_print(&dump->report, "%s", heading);
    if (trace_segment.header)
        collect(dump, &wish, self, frame);
    report_print(&dump->report, "%llu goroutine%s in %llu group%s\n", (unsigned long long)dump->gs,
                 dump->gs == 1 ? "" : "s", (unsigned long long)dump->groups_printed,
                 dump->groups_printed == 1 ? "" : "s");
    int error = report_end(&dump->report);
    names_close(dump->names);
    if (capacity == GROUPS)
        munmap(dump, bytes);
    else
        store_release(&reserve_taken, 0);
    return error;
}

int dump_all(int fd, const char *heading) { return dump_with(fd, heading, (struct wish){ NULL, NULL }, NULL, 0); }

int dump_some(int fd, const char *heading, bool (*wanted)(const struct g_slot *slot, const void *arg), const void *arg)
{
    return dump_with(fd, heading, (struct wish){ wanted, arg }, NULL, 0);
}

int gmpt_dump(int fd)
{
    struct m *m = m_self();
    return dump_with(fd, "", (struct wish){ NULL, NULL }, m ? m->current : NULL, (uintptr_t)__builtin_frame_address(0));
}
