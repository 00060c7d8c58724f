/* Reads the registry of a running program. See census.h. */
#define _GNU_SOURCE
#include "census.h"

#include "codeaddress.h"
#include "eventgroups.h"
#include "events.h"
#include "savedstack.h"
#include "sections.h"
#include "stackset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#define STEP_SLOTS 4096u
#define BATCH 256u /* Gs whose stacks are read at once */
#define STACK_BYTES 4096u
#define TRIES 16
#define RECORDS_OF_A_G 6 /* go_was, go_waited, cpu_sample, go_labels, go_name, go_scope */

/* What is wanted of a G before it is told. */
struct sight {
    const struct g_slot *shared;
    struct g_slot slot; /* a copy that stood still */
    uint64_t status;
    uint64_t saved[2]; /* its stack pointer; or function and caller of the call that it is in */
    uint32_t stack;    /* in the census's own table, 0 = not known */
    uint32_t sampled;  /* likewise, what a thread executes for it, or would go on with */
    uint32_t tid;      /* the thread, 0 = none */
    bool seen;         /* by the source, and moved on since */
};

struct census {
    const struct segment *segment;
    uint32_t epoch, next, end;
    pid_t pid;
    const struct census_source *source;
    uint64_t records, offset;
    uint64_t entry_pc, code_lo, code_hi;
    uint32_t saved_sp_offset, saved_call_offset;
    uint32_t stack_room, events_left_out;
    bool begun;
    struct stackset stacks;
    uint32_t stacks_written;
    uint32_t count;
    struct sight batch[BATCH];
    uint8_t words[BATCH][STACK_BYTES] __attribute__((aligned(8)));
    uint8_t *at, bytes[(SEGMENT_MAX_PS + STEP_SLOTS * RECORDS_OF_A_G) * EVENT_BYTES_MAX];
    uint32_t step_records;
};

struct census *census_open(const struct segment *segment, uint32_t epoch, pid_t pid, uint32_t frames_left_out,
                           uint32_t events_left_out)
{
    struct census *census = calloc(1, sizeof *census);
    if (!census)
        return NULL;
    const struct segment_header *header = segment->header;
    census->segment = segment;
    census->epoch = epoch;
    census->stack_room = segment_stack_room(frames_left_out);
    census->events_left_out = events_left_out;
    census->pid = census->stack_room ? pid : 0;
    census->entry_pc = header->entry_pc;
    census->code_lo = header->code_lo;
    census->code_hi = header->code_hi;
    census->saved_sp_offset = header->saved_sp_offset;
    census->saved_call_offset = header->saved_call_offset;
    return census;
}

void census_ask(struct census *census, const struct census_source *source)
{
    census->source = source;
    census->pid = 0;
}

void census_close(struct census *census)
{
    if (!census)
        return;
    stackset_clear(&census->stacks);
    free(census);
}

uint64_t census_records(const struct census *census) { return census->records; }

/* ---- Slots ------------------------------------------------------------------------------------------------------ */

/* Copies a slot that stands still. False when it has no G that is to be told. */
static bool slot_look(const struct census *census, const struct g_slot *shared, struct sight *sight)
{
    *sight = (struct sight){ .shared = shared };
    const struct census_source *source = census->source;
    uint32_t index = (uint32_t)(shared - census->segment->registry);
    if (source && source->seen(source->arg, index, &sight->slot, &sight->status))
        return sight->seen = true;
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t status = load_acquire(&shared->status);
        enum g_state state = g_status_state(status);
        if (state == G_IDLE || state == G_DEAD || state >= G_STATES)
            return false;
        memcpy(&sight->slot, shared, sizeof sight->slot);
        load_fence();
        sight->status = status;
        if (load_relaxed(&shared->status) != status)
            continue;
        return (!census->epoch || load_relaxed(&sight->slot.told) != census->epoch) &&
               load_relaxed(&sight->slot.id) != 0;
    }
    sight->status = g_status_make(g_status_seq(sight->status), 0, G_RUNNING);
    return !census->epoch && load_relaxed(&sight->slot.id) != 0;
}

static bool slot_still(const struct sight *sight)
{
    load_fence();
    return load_relaxed(&sight->shared->status) == sight->status &&
           load_relaxed(&sight->shared->id) == load_relaxed(&sight->slot.id);
}

/* ---- Stacks ----------------------------------------------------------------------------------------------------- */

struct wanted {
    uint64_t address;
    void *to;
    size_t bytes;
    bool got;
};

/* Reads each range whole or not at all, as many at a time as the kernel takes. */
static void memory_read(pid_t pid, struct wanted *wanted, uint32_t count)
{
    struct iovec local[BATCH], remote[BATCH];
    for (uint32_t first = 0; first < count;) {
        uint32_t n = 0;
        for (; first + n < count; n++) {
            const struct wanted *one = &wanted[first + n];
            local[n] = (struct iovec){ one->to, one->bytes };
            remote[n] = (struct iovec){ (void *)(uintptr_t)one->address, one->bytes };
        }
        ssize_t got = process_vm_readv(pid, local, n, remote, n, 0);
        size_t left = got > 0 ? (size_t)got : 0;
        uint32_t done = 0;
        for (; done < n && left >= wanted[first + done].bytes; done++) {
            left -= wanted[first + done].bytes;
            wanted[first + done].got = true;
        }
        first += done < n ? done + 1 : done; /* what cannot be read is passed over */
    }
}

/* Follows the frames in the copy of the stack from sp on. */
static uint32_t frames_walk(const struct census *census, const struct sight *sight, const uint64_t *words, size_t bytes,
                            uint64_t *pc)
{
    uint64_t sp = sight->saved[0], frame = words[1];
    uint32_t count = 0;
    if (words[0] == census->entry_pc) {
        pc[0] = sight->slot.fn + 1;
        return 1;
    }
    pc[count++] = words[0];
    while (count < STACK_DEPTH_MAX && frame % 8 == 0 && frame >= sp && frame - sp <= bytes - 16) {
        const uint64_t *at = words + (frame - sp) / 8;
        if (at[0] == 0 || at[1] < 4096)
            break; /* the G's own function, whose caller is the entry */
        pc[count++] = codeaddress_of(at[1]);
        if (at[0] <= frame)
            break;
        frame = at[0];
    }
    uint32_t first = savedstack_private(pc, count, census->code_lo, census->code_hi);
    memmove(pc, pc + first, (count - first) * sizeof *pc);
    return count - first;
}

/* Enters a stack of a G that has not moved since it was looked at. */
static int stack_keep(struct census *census, struct sight *sight, const uint64_t *pc, uint32_t count)
{
    if (!slot_still(sight))
        return 0;
    if (count > census->stack_room)
        count = census->stack_room;
    return stackset_intern(&census->stacks, pc, count, &sight->stack);
}

static bool stack_wanted(const struct census *census, const struct sight *sight)
{
    enum g_state state = g_status_state(sight->status);
    return (state == G_WAITING || state == G_SYSCALL) && (sight->slot.wait_stack == 0 || !census->epoch);
}

/* First where each stack is, then what is on it. */
static int stacks_read(struct census *census)
{
    struct wanted wanted[BATCH];
    struct sight *of[BATCH];
    uint32_t count = 0, stacks = 0;
    for (uint32_t i = 0; i < census->count; i++) {
        struct sight *sight = &census->batch[i];
        if (!stack_wanted(census, sight))
            continue;
        bool call = g_status_state(sight->status) == G_SYSCALL;
        wanted[count] = (struct wanted){
            .address = sight->slot.stack_hi + (call ? census->saved_call_offset : census->saved_sp_offset),
            .to = sight->saved,
            .bytes = call ? 16 : 8,
        };
        of[count++] = sight;
    }
    memory_read(census->pid, wanted, count);
    for (uint32_t i = 0; i < count; i++) {
        struct sight *sight = of[i];
        if (!wanted[i].got)
            continue;
        if (g_status_state(sight->status) == G_SYSCALL) {
            const uint64_t pc[] = { sight->saved[0] + 1, sight->saved[1] };
            int result = stack_keep(census, sight, pc, 2);
            if (result)
                return result;
            continue;
        }
        uint64_t sp = sight->saved[0], lo = sight->slot.stack_lo, hi = sight->slot.stack_hi;
        if (sp < lo || sp >= hi || hi - sp < 16 || sp % 8 != 0)
            continue; /* it has not left its stack yet */
        of[stacks] = sight;
        wanted[stacks] = (struct wanted){
            .address = sp,
            .to = census->words[stacks],
            .bytes = hi - sp < STACK_BYTES ? (hi - sp) & ~(uint64_t)7 : STACK_BYTES,
        };
        stacks++;
    }
    memory_read(census->pid, wanted, stacks);
    for (uint32_t i = 0; i < stacks; i++) {
        uint64_t pc[STACK_DEPTH_MAX];
        if (!wanted[i].got)
            continue;
        uint32_t depth = frames_walk(census, of[i], (const uint64_t *)census->words[i], wanted[i].bytes, pc);
        int result = stack_keep(census, of[i], pc, depth);
        if (result)
            return result;
    }
    return 0;
}

/* The same by the source, which knows of running ones too. */
static int stacks_ask(struct census *census)
{
    uint64_t pc[SECTION_STACK_MAX];
    for (uint32_t i = 0; i < census->count; i++) {
        struct sight *sight = &census->batch[i];
        enum g_state state = g_status_state(sight->status);
        uint32_t slot = (uint32_t)(sight->shared - census->segment->registry);
        uint32_t count = census->source->stack(census->source->arg, slot, &sight->slot, sight->status, pc,
                                               SECTION_STACK_MAX, &sight->tid);
        if (count == 0 || (!sight->seen && !slot_still(sight)))
            continue;
        bool waits = state == G_WAITING || (state == G_SYSCALL && !sight->tid);
        int result = stackset_intern(&census->stacks, pc, count, waits ? &sight->stack : &sight->sampled);
        if (result)
            return result;
    }
    return 0;
}

static void stacks_put(struct census *census, struct writer *writer)
{
    uint64_t words[1 + SECTION_STACK_MAX];
    while (census->stacks_written < census->stacks.count) {
        struct gmpt_stack stack = stackset_get(&census->stacks, ++census->stacks_written);
        words[0] = stack.count;
        memcpy(words + 1, stack.pc, stack.count * sizeof *stack.pc);
        writer_put_stacks(writer, census->segment->ring_count, census->stacks_written, words, 1 + stack.count);
    }
}

/* ---- Records ---------------------------------------------------------------------------------------------------- */

static void record_add(struct census *census, enum gmpt_event_type type, const uint64_t fields[GMPT_EVENT_FIELDS_MAX])
{
    census->at = event_encode(census->at, type, 0, fields);
    census->step_records++;
}

/* One that the program noted, perhaps for a recorder that wanted more of it. */
static uint64_t noted_stack(const struct census *census, uint32_t ring, uint32_t ordinal)
{
    return census->stack_room ? segment_stack_of(ring, ordinal) : 0;
}

static int creation_stack(struct census *census, const struct g_slot *slot, uint64_t *stack)
{
    *stack = noted_stack(census, slot->create_ring, slot->create_stack);
    if (!census->stack_room || *stack || !slot->create_pc)
        return 0;
    uint32_t index;
    int result = stackset_intern(&census->stacks, &slot->create_pc, 1, &index);
    *stack = index;
    return result;
}

static bool wanted(const struct census *census, enum event_group group)
{
    return !(census->events_left_out & 1u << group);
}

static int sight_tell(struct census *census, const struct sight *sight, int64_t now_ns)
{
    const struct g_slot *slot = &sight->slot;
    enum g_state state = g_status_state(sight->status);
    uint64_t id = load_relaxed(&slot->id), created;
    int result = creation_stack(census, slot, &created);
    if (result)
        return result;
    record_add(census, GMPT_EVENT_go_was,
               (uint64_t[GMPT_EVENT_FIELDS_MAX]){ id, g_status_seq(sight->status), state, slot->parent, slot->fn,
                                                  created });
    if (state == G_WAITING || state == G_SYSCALL) {
        bool waits = state == G_WAITING;
        int64_t waited_ns = now_ns > slot->wait_since_ns ? now_ns - slot->wait_since_ns : 0;
        uint64_t stack = sight->stack ? sight->stack : noted_stack(census, slot->wait_ring, slot->wait_stack);
        record_add(census, GMPT_EVENT_go_waited,
                   (uint64_t[GMPT_EVENT_FIELDS_MAX]){ id, g_status_reason(sight->status), waits ? slot->wait_object : 0,
                                                      waits && slot->wait_bounded, (uint64_t)waited_ns, stack });
    }
    if (sight->sampled)
        record_add(census, GMPT_EVENT_cpu_sample,
                   (uint64_t[GMPT_EVENT_FIELDS_MAX]){ id, 0, sight->tid, 0, 0, sight->sampled });
    if (load_relaxed(&slot->labels) && wanted(census, EVENT_GROUP_LABELS))
        record_add(census, GMPT_EVENT_go_labels,
                   (uint64_t[GMPT_EVENT_FIELDS_MAX]){ id, load_relaxed(&slot->labels) });
    if (load_relaxed(&slot->name) && wanted(census, EVENT_GROUP_NAME))
        record_add(census, GMPT_EVENT_go_name, (uint64_t[GMPT_EVENT_FIELDS_MAX]){ id, load_relaxed(&slot->name) });
    if (load_relaxed(&slot->scope) && wanted(census, EVENT_GROUP_SCOPE))
        record_add(census, GMPT_EVENT_go_scope, (uint64_t[GMPT_EVENT_FIELDS_MAX]){ id, load_relaxed(&slot->scope) });
    return 0;
}

static void begin(struct census *census)
{
    uint32_t used = load_acquire(&census->segment->header->registry_used);
    census->end = used < census->segment->registry_slots ? used : census->segment->registry_slots;
    census->begun = true;
    for (uint32_t p = 0; p < census->segment->p_count; p++) {
        uint32_t tid = load_relaxed(&census->segment->rings[p].tid);
        if (tid)
            record_add(census, GMPT_EVENT_proc_was, (uint64_t[GMPT_EVENT_FIELDS_MAX]){ p, tid });
    }
}

static int batch_tell(struct census *census, int64_t now_ns)
{
    int result = census->source ? stacks_ask(census) : census->pid ? stacks_read(census) : 0;
    for (uint32_t i = 0; result == 0 && i < census->count; i++)
        result = sight_tell(census, &census->batch[i], now_ns);
    census->count = 0;
    return result;
}

int census_step(struct census *census, struct writer *writer, uint64_t base_ticks)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (census->source && census->source->now_ns)
        now_ns = census->source->now_ns;
    census->at = census->bytes;
    census->step_records = 0;
    if (!census->begun)
        begin(census);
    uint32_t until = census->end - census->next > STEP_SLOTS ? census->next + STEP_SLOTS : census->end;
    int result = 0;
    for (; result == 0 && census->next < until; census->next++) {
        if (slot_look(census, &census->segment->registry[census->next], &census->batch[census->count]))
            census->count++;
        if (census->count == BATCH)
            result = batch_tell(census, now_ns);
    }
    if (result == 0)
        result = batch_tell(census, now_ns);
    if (result)
        return result;
    stacks_put(census, writer);
    size_t size = (size_t)(census->at - census->bytes);
    if (size)
        writer_put_events(writer, &(struct writer_events){
                                      .ring = census->segment->ring_count,
                                      .sequence = census->epoch,
                                      .offset = (uint32_t)census->offset,
                                      .base_ticks = base_ticks,
                                      .count = census->step_records,
                                      .bytes = census->bytes,
                                      .size = size,
                                  });
    census->offset += size;
    census->records += census->step_records;
    return census->next < census->end;
}
