/* Gs, the objects that they wait on, and how one leads to another. See proofgraph.h. */
#define _GNU_SOURCE
#include "proofgraph.h"

#include "chan.h"
#include "heapwalk.h"
#include "owners.h"
#include "seat.h"
#include "stackcopy.h"
#include "start.h"
#include "stopworld.h"
#include "waitlist.h"

#include <string.h>

#define PAGE_SHIFT 12
#define GRANULE_SHIFT 32 /* of the map of pages with objects: 128 KiB of bits for each 4 GiB that has any */
#define GRANULES (1u << (PROOF_ADDRESS_BITS - GRANULE_SHIFT))
#define RED_ZONE_BYTES 128u
#define MAIN_ID 1u /* the first that is given out */

/* What is known of a seat's G. */
enum {
    SEAT_WAITS = 1,  /* for something that only another G can bring */
    SEAT_LIVE = 2,   /* it may go on, or be woken by one that may */
    SEAT_READ = 4,   /* its stack was reached */
    SEAT_CYCLE = 8,  /* it waits for owners that wait for each other */
    SEAT_ENDLESS = 16, /* it waits on nothing at all */
    SEAT_WALKED = 32,  /* on the way of owners that is being followed */
    SEAT_FREE = 64,    /* that way has an end that may run */
};

/* A seat's place: its class above its index. */
#define CLASS_SHIFT 28
typedef uint32_t seat_place;

/* One G waits on one object; a select has several. */
struct waits_on {
    uint64_t object;
    seat_place place;
    uint8_t kind; /* enum object_kind */
    bool reached; /* whatever points to it: its waiter has a deadline */
};

enum object_kind {
    OBJECT_CHAN,  /* malloc's block is it alone: only pointers into it lead to it */
    OBJECT_PLAIN, /* part of something of the program's */
};

struct object {
    uint64_t start, end; /* of a channel its bounds, pointers just past it included */
    uint32_t first, count; /* in the table of waits */
    bool is_chan, reached;
};

enum item_kind { ITEM_STACK, ITEM_OBJECT, ITEM_CHUNK };

struct item {
    uint64_t start, end; /* of a chunk; else start is the seat's place or the object's index */
    enum item_kind kind;
};

static struct {
    struct scan *scan;
    uint8_t *seats[STACK_CLASSES]; /* flags, by index */
    uint32_t made[STACK_CLASSES];
    struct proof_table waits;   /* struct waits_on, in the order of their objects */
    struct proof_table objects; /* struct object, by address */
    struct proof_table items;   /* reached, not yet followed */
    uint64_t *pages[GRANULES];  /* which pages objects lie in */
    bool weighing; /* all is known of who is live; it is being found out what the others hold */
    uint64_t weight;
} graph;

static const bool suspects[] = {
#define REASON(code, name, words, suspect) [code] = suspect,
#include <gmptrace/reasons.def>
};

/* ---- seats ---- */

static inline seat_place place_of(enum stack_class class, uint32_t index)
{
    return (seat_place)class << CLASS_SHIFT | index;
}

static inline enum stack_class class_of(seat_place place) { return (enum stack_class)(place >> CLASS_SHIFT); }
static inline uint32_t index_of(seat_place place) { return place & ((1u << CLASS_SHIFT) - 1); }

/* Where its G lies in the program, and its stack ends. */
static inline uint64_t top_of(seat_place place)
{
    return (uint64_t)(uintptr_t)seat_g(class_of(place), index_of(place));
}

/* Its G, to be read. */
static inline const struct g *g_at(seat_place place)
{
    static const struct g nobody;
    const struct stack_copy *copy = stackcopy_of(class_of(place), index_of(place));
    if (!copy)
        return seat_g(class_of(place), index_of(place));
    return copy->g ? copy->g : &nobody;
}

/* The place of a G of the program's. */
static seat_place place_of_g(const struct g *g)
{
    enum stack_class class = 0;
    uint64_t offset;
    for (;; class++) {
        offset = (uint64_t)((uintptr_t)g - (uintptr_t)seat_regions[class].base);
        if (offset < (uint64_t)graph.made[class] * seat_stride(class))
            return place_of(class, (uint32_t)(offset / seat_stride(class)));
    }
}

static inline uint8_t *flags_at(seat_place place)
{
    return &graph.seats[class_of(place)][index_of(place)];
}

static bool waits(const struct g *g)
{
    return g->wait.seq == g->seq && g->wait.reason != GMPT_WAIT_none;
}

/* The M that runs it stands in this thread. */
static const struct stopped_thread *thread_of(seat_place place)
{
    uint32_t count;
    const struct stopped_thread *threads = stopworld_threads(&count);
    for (uint32_t i = 0; i < count; i++)
        if (threads[i].m && (uint64_t)(uintptr_t)threads[i].m->current == top_of(place))
            return &threads[i];
    return NULL;
}

/* The lowest address of its stack that is in use. */
static uint64_t stack_low(seat_place place)
{
    uint64_t lowest = (uint64_t)(uintptr_t)seat_stack_lo(class_of(place), index_of(place));
    const void *parked_sp = g_at(place)->context.sp;
    if (parked_sp)
        return (uint64_t)(uintptr_t)parked_sp;
    const struct stopped_thread *thread = thread_of(place);
    uint64_t sp = thread ? thread->sp : 0;
    /* Elsewhere, in a handler on the thread's signal stack: nobody says how far down it goes. */
    if (sp < lowest || sp >= top_of(place))
        return lowest;
    return sp - lowest > RED_ZONE_BYTES ? sp - RED_ZONE_BYTES : lowest;
}

/* ---- lists ---- */

static void push(struct item item)
{
    if (!proof_table_reserve(&graph.items, 1, sizeof item))
        scan_fail(PROOF_NO_MEMORY);
    ((struct item *)graph.items.items)[graph.items.count++] = item;
}

static void reach_stack(seat_place place)
{
    uint8_t *flags = flags_at(place);
    if (graph.weighing || *flags & SEAT_READ)
        return;
    *flags |= SEAT_READ;
    push((struct item){ .start = place, .kind = ITEM_STACK });
}

static void make_live(seat_place place)
{
    *flags_at(place) |= SEAT_LIVE;
    reach_stack(place);
}

/* The values that can still be received. */
static void scan_buffer(const struct gmpt_chan *chan)
{
    uint64_t buffer = (uint64_t)(uintptr_t)chan->buffer, bytes = chan->value_bytes;
    uint64_t first = chan->read_index, count = chan->length;
    uint64_t until = first + count < chan->capacity ? first + count : chan->capacity;
    scan_words(buffer + first * bytes, buffer + until * bytes); /* the buffer as a whole is a hole */
    if (first + count > chan->capacity)
        scan_words(buffer, buffer + (first + count - chan->capacity) * bytes);
}

static void reach_object(struct object *object)
{
    if (graph.weighing) {
        if (object->is_chan)
            scan_buffer((const struct gmpt_chan *)(uintptr_t)object->start);
        return;
    }
    if (object->reached)
        return;
    object->reached = true;
    push((struct item){ .start = (uint64_t)(object - (struct object *)graph.objects.items), .kind = ITEM_OBJECT });
}

/* ---- objects by address ---- */

/* The first that begins at the address or above. */
static size_t object_from(uint64_t address)
{
    const struct object *objects = graph.objects.items;
    size_t low = 0, high = graph.objects.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (objects[middle].start >= address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* All that lie in a stack or a block that was reached. */
static void reach_objects_in(uint64_t start, uint64_t end)
{
    struct object *objects = graph.objects.items;
    for (size_t i = object_from(start); i < graph.objects.count && objects[i].start < end; i++)
        reach_object(&objects[i]);
}

static void note_pages(uint64_t start, uint64_t end)
{
    if (end >> PROOF_ADDRESS_BITS)
        scan_fail(PROOF_UNREADABLE); /* the program has asked for memory where words are not looked at as addresses */
    for (uint64_t page = start >> PAGE_SHIFT; page <= end >> PAGE_SHIFT; page++) {
        uint64_t **granule = &graph.pages[page >> (GRANULE_SHIFT - PAGE_SHIFT)];
        uint64_t bit = page & ((1u << (GRANULE_SHIFT - PAGE_SHIFT)) - 1);
        if (!*granule)
            *granule = scan_memory((1u << (GRANULE_SHIFT - PAGE_SHIFT)) / 8);
        (*granule)[bit / 64] |= UINT64_C(1) << bit % 64;
    }
}

static inline bool page_has_objects(uint64_t address)
{
    const uint64_t *granule = graph.pages[address >> GRANULE_SHIFT];
    uint64_t bit = address >> PAGE_SHIFT & ((1u << (GRANULE_SHIFT - PAGE_SHIFT)) - 1);
    return granule && granule[bit / 64] >> bit % 64 & 1;
}

/* A channel that the address lies in or just behind. Channels do not overlap, but one may end where another begins. */
static void reach_chans_at(uint64_t address)
{
    struct object *objects = graph.objects.items;
    for (size_t i = object_from(address + 1); i-- > 0 && objects[i].end >= address;)
        if (objects[i].is_chan)
            reach_object(&objects[i]);
}

/* malloc's list of free blocks begins in its static data, and names a block by its head, which lies within the last 16
 * bytes of the block before, or just behind. */
static bool is_next_head(const struct heap_range *chunk, uint64_t address)
{
    uint64_t end = chunk->start + chunk->bytes;
    return address == end || address == end - 16;
}

/* The block that follows, which need not be one that the registry has: each thread's cache of free blocks is one. The
 * word before a block has the distance to the next, and flags in its lowest bits. */
static PEEK bool is_next_block(const struct heap_range *chunk, uint64_t address)
{
    if (address != chunk->start + chunk->bytes)
        return false;
    return address == chunk->start + (((const uint64_t *)(uintptr_t)chunk->start)[-1] & ~UINT64_C(7));
}

static void reach_chunk(const struct gmpt_heap_registry *heap, uint64_t address, uint64_t word)
{
    struct heap_range chunk;
    if (!heap->chunk_find(address, &chunk) || (graph.scan->in_libc && is_next_head(&chunk, word)) ||
        (heap->chunks_apart && is_next_block(&chunk, word)))
        return;
    if (!heap->chunk_mark(chunk.start))
        push((struct item){ .start = chunk.start, .end = chunk.start + chunk.bytes, .kind = ITEM_CHUNK });
}

void graph_reach(uint64_t address)
{
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        uint64_t offset = address - (uint64_t)(uintptr_t)seat_regions[class].base, stride = seat_stride(class);
        if (offset >= graph.made[class] * stride)
            continue;
        seat_place place = place_of(class, (uint32_t)(offset / stride));
        const struct g *g = g_at(place);
        /* What lies last in it ends below its G, so that a pointer to that one is a link of the runtime's own. */
        if (!(*flags_at(place) & SEAT_READ) && address < top_of(place) && g->context.sp &&
            address >= (uint64_t)(uintptr_t)g->context.sp)
            reach_stack(place);
        return;
    }
    const struct gmpt_heap_registry *heap = graph.scan->heap;
    bool has_objects = page_has_objects(address);
    if (has_objects)
        reach_chans_at(address);
    if (!heap || (graph.scan->heap_is_root && !has_objects))
        return;
    reach_chunk(heap, address, address);
    if (!heap->chunks_apart) /* lengths are whole granules, which may end where the next chunk begins */
        reach_chunk(heap, address - 1, address);
    if (heap == &heapwalk_registry && !graph.scan->in_libc && heapwalk_begins_behind(address))
        reach_chunk(heap, address + HEAPWALK_HEADER_BYTES, address);
}

/* ---- following ---- */

static void follow_object(const struct object *object)
{
    const struct waits_on *waits_on = graph.waits.items;
    for (uint32_t i = 0; i < object->count; i++)
        make_live(waits_on[object->first + i].place);
    if (object->is_chan)
        scan_buffer((const struct gmpt_chan *)(uintptr_t)object->start);
}

static void follow_stack(seat_place place)
{
    const struct stack_copy *copy = stackcopy_of(class_of(place), index_of(place));
    uint64_t high = top_of(place), low = copy ? copy->low : stack_low(place);
    if (high == (uint64_t)(uintptr_t)sched.main_over)
        return;
    if (copy)
        scan_range_at(low, high, (uint64_t)(uintptr_t)copy->g - high);
    else if (g_at(place)->context.sp)
        scan_range(low, high);
    else
        scan_pages(low, high, false);
    reach_objects_in(low, high);
}

void graph_follow(void)
{
    while (graph.items.count) {
        struct item item = ((struct item *)graph.items.items)[--graph.items.count];
        switch (item.kind) {
        case ITEM_STACK:
            follow_stack((seat_place)item.start);
            break;
        case ITEM_OBJECT:
            follow_object((struct object *)graph.objects.items + item.start);
            break;
        case ITEM_CHUNK:
            graph.weight += item.end - item.start;
            if (!graph.scan->heap_is_root)
                scan_range(item.start, item.end);
            reach_objects_in(item.start, item.end);
            break;
        }
    }
}

/* ---- building ---- */

static void add_wait(const void *object, seat_place place, enum object_kind kind, bool reached)
{
    if (!object)
        return;
    if (!proof_table_reserve(&graph.waits, 1, sizeof(struct waits_on)))
        scan_fail(PROOF_NO_MEMORY);
    ((struct waits_on *)graph.waits.items)[graph.waits.count++] =
        (struct waits_on){ (uint64_t)(uintptr_t)object, place, (uint8_t)kind, reached };
}

/* Where an object points back to who waits on it; the words lead nowhere for a proof. */
static void hide_links(const void *links, size_t bytes)
{
    scan_hole((uint64_t)(uintptr_t)links, (uint64_t)(uintptr_t)links + bytes);
}

static void add_chan(const struct gmpt_chan *chan, seat_place place, bool reached)
{
    add_wait(chan, place, OBJECT_CHAN, reached);
}

static void add_waits(const struct g *g, seat_place place, bool reached)
{
    switch ((enum gmpt_wait_reason)g->wait.reason) {
    case GMPT_WAIT_chan_send:
    case GMPT_WAIT_chan_recv:
        add_chan(g->wait.object, place, reached);
        break;
    case GMPT_WAIT_select: {
        const struct select_wait *select = stackcopy_at(g->wait.record);
        struct gmpt_chan *const *chans = stackcopy_at(select->chans);
        for (int i = 0; i < select->chan_count; i++)
            add_chan(chans[i], place, reached);
        break;
    }
    default: {
        const struct waitlist_wait *wait = g->wait.record ? stackcopy_at(g->wait.record) : NULL;
        add_wait(g->wait.object, place, OBJECT_PLAIN, reached);
        if (wait)
            hide_links(wait->list, sizeof *wait->list);
        else if (g->wait.reason == GMPT_WAIT_group)
            hide_links(group_waiter(g->wait.object), sizeof(void *));
    }
    }
}

static bool is_ignored(const struct g *g)
{
    const uint64_t *sites = graph.scan->input->ignored.items;
    for (size_t i = 0; i < graph.scan->input->ignored.count; i++)
        if (sites[i] == g->slot->fn || sites[i] == g->slot->create_pc)
            return true;
    return false;
}

static void judge_at_first(const struct g *g, seat_place place)
{
    uint8_t *flags = flags_at(place);
    bool main_over = top_of(place) == (uint64_t)(uintptr_t)sched.main_over;
    if (waits(g) && suspects[g->wait.reason] && !main_over) {
        bool lives = is_ignored(g) || (!graph.scan->input->all_asleep && (g->wait.bounded || g->id == MAIN_ID));
        if (g->wait.reason != GMPT_WAIT_nil_chan)
            add_waits(g, place, lives);
        if (!lives) {
            *flags |= SEAT_WAITS | (g->wait.reason == GMPT_WAIT_nil_chan ? SEAT_ENDLESS : 0);
            return;
        }
    }
    make_live(place);
}

static void find_gs(void)
{
    uint32_t count;
    const struct stopped_thread *threads = stopworld_threads(&count);
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        graph.made[class] = load_acquire(&seat_regions[class].made);
        graph.seats[class] = scan_memory(graph.made[class]);
    }
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        for (uint32_t index = 0; index < graph.made[class]; index++) {
            const struct g *g = g_at(place_of(class, index));
            if (g->context.sp) /* else the seat is free, or its G runs */
                judge_at_first(g, place_of(class, index));
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct g *g = threads[i].m ? threads[i].m->current : NULL;
        if (g)
            make_live(place_of_g(g));
    }
}

/* What the signal has put aside: registers, and the frames of a handler that it met on the same stack. */
static void scan_registers(const struct stopped_thread *thread)
{
    uint64_t start = (uint64_t)(uintptr_t)thread->context, signal_stack = (uint64_t)(uintptr_t)thread->m->signal_stack;
    seat_place place = place_of_g(thread->m->current);
    uint64_t lowest = (uint64_t)(uintptr_t)seat_stack_lo(class_of(place), index_of(place));
    if (start >= signal_stack && start < signal_stack + START_SIGNAL_STACK_BYTES)
        scan_words(start, signal_stack + START_SIGNAL_STACK_BYTES);
    else if (start >= lowest && start < thread->sp && thread->sp <= top_of(place) && !stackcopy_of(class_of(place), 0))
        scan_words(start, thread->sp); /* it has no signal stack any more: the frame lies on the G's, as in its copy */
}

void graph_scan_registers(void)
{
    uint32_t count;
    const struct stopped_thread *threads = stopworld_threads(&count);
    for (uint32_t i = 0; i < count; i++)
        if (threads[i].m && threads[i].m->current)
            scan_registers(&threads[i]); /* elsewhere the context lies in memory that is a root */
}

/* By objects: four passes of 12 bits over their addresses' low 48. */
static void sort_waits(void)
{
    struct waits_on *from = graph.waits.items, *to = scan_memory(graph.waits.count * sizeof *from);
    static uint32_t starts[1u << 12];
    for (unsigned shift = 0; shift < 48; shift += 12) {
        memset(starts, 0, sizeof starts);
        for (size_t i = 0; i < graph.waits.count; i++)
            starts[from[i].object >> shift & 0xfff]++;
        for (uint32_t i = 0, sum = 0; i < 1u << 12; i++) {
            uint32_t size = starts[i];
            starts[i] = sum;
            sum += size;
        }
        for (size_t i = 0; i < graph.waits.count; i++)
            to[starts[from[i].object >> shift & 0xfff]++] = from[i];
        struct waits_on *swap = from;
        from = to;
        to = swap;
    }
}

static bool chunk_of(const struct object *object, struct heap_range *chunk)
{
    return graph.scan->heap && graph.scan->heap->chunk_find(object->start, chunk);
}

/* Whether pointers of the program's are what leads to the object; if not, it counts as reached. */
static bool has_known_bounds(const struct object *object)
{
    struct heap_range chunk;
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        uint64_t offset = object->start - (uint64_t)(uintptr_t)seat_regions[class].base, stride = seat_stride(class);
        if (offset < graph.made[class] * stride)
            return g_at(place_of(class, (uint32_t)(offset / stride)))->context.sp != NULL;
    }
    return object->is_chan || chunk_of(object, &chunk);
}

/* Notes where pointers may lead to it, but for what is followed block by block anyway. */
static void note_object(const struct object *object)
{
    struct heap_range chunk;
    if (!chunk_of(object, &chunk)) {
        if (object->is_chan)
            note_pages(object->start, object->end);
    } else if (graph.scan->heap_is_root) {
        note_pages(chunk.start - HEAPWALK_HEADER_BYTES, chunk.start + chunk.bytes);
    }
}

static void make_object(uint32_t first, uint32_t count)
{
    const struct waits_on *waits_on = graph.waits.items;
    struct object object = { .start = waits_on[first].object,
                             .end = waits_on[first].object,
                             .first = first,
                             .count = count,
                             .is_chan = waits_on[first].kind == OBJECT_CHAN };
    if (object.is_chan) {
        const struct gmpt_chan *chan = (const struct gmpt_chan *)(uintptr_t)object.start;
        object.end = object.start + sizeof *chan + chan->capacity * chan->value_bytes;
        hide_links(&chan->senders, sizeof chan->senders + sizeof chan->receivers);
        hide_links(chan->buffer, chan->capacity * chan->value_bytes);
    }
    note_object(&object);
    if (!proof_table_reserve(&graph.objects, 1, sizeof object))
        scan_fail(PROOF_NO_MEMORY);
    ((struct object *)graph.objects.items)[graph.objects.count++] = object;
}

static void make_objects(void)
{
    const struct waits_on *waits_on = graph.waits.items;
    for (uint32_t i = 0, end; i < graph.waits.count; i = end) {
        for (end = i + 1; end < graph.waits.count && waits_on[end].object == waits_on[i].object;)
            end++;
        make_object(i, end - i);
    }
    struct object *objects = graph.objects.items;
    for (size_t i = 0; i < graph.objects.count; i++) {
        bool reached = !has_known_bounds(&objects[i]);
        for (uint32_t k = 0; k < objects[i].count; k++)
            reached |= waits_on[objects[i].first + k].reached;
        if (reached)
            reach_object(&objects[i]);
    }
}

void graph_build(struct scan *scan)
{
    graph.scan = scan;
    if (scan->heap)
        scan->heap->marks_clear();
    find_gs();
    sort_waits();
    make_objects();
}

/* ---- owners ---- */

/* Gs that wait, by the low bits of their ids, which are all that a mutex has; open addressing. */
static struct {
    seat_place *slots; /* + 1, 0 = none */
    uint64_t mask;
} owners;

static seat_place *owner_slot(uint64_t id)
{
    uint64_t at = (id * 0x9e3779b97f4a7c15ull) >> 20;
    while (owners.slots[at & owners.mask] &&
           (g_at(owners.slots[at & owners.mask] - 1)->id ^ id) & OWNER_ID_MASK)
        at++;
    return &owners.slots[at & owners.mask];
}

static void index_owners(void)
{
    uint64_t count = 1024;
    while (count < graph.waits.count * 2)
        count *= 2;
    owners.mask = count - 1;
    owners.slots = scan_memory(count * sizeof *owners.slots);
    const struct waits_on *waits_on = graph.waits.items;
    for (size_t i = 0; i < graph.waits.count; i++)
        if (*flags_at(waits_on[i].place) & SEAT_WAITS)
            *owner_slot(g_at(waits_on[i].place)->id) = waits_on[i].place + 1;
}

/* The G that has the lock that this one waits for, if it waits likewise: its place + 1. */
static seat_place owner_of(const struct g *g)
{
    const void *object = stackcopy_at(g->wait.object);
    uint64_t id = object ? owners_id(g->wait.reason, object) : 0;
    return id ? *owner_slot(id) : 0;
}

static bool is_proven(uint8_t flags)
{
    return flags & SEAT_ENDLESS || !(flags & SEAT_LIVE || graph.scan->kernel_unread);
}

/* Follows the owners from this G, which has one that waits: if they come back to where they have been, or to one that
 * is lost, all on the way are. Who only waits for one that is lost, and is proven to be so itself, stays proven. */
static void find_cycle(seat_place from)
{
    seat_place place = from, next = from + 1;
    while (next && !(*flags_at(next - 1) & (SEAT_CYCLE | SEAT_FREE | SEAT_WALKED))) {
        place = next - 1;
        *flags_at(place) |= SEAT_WALKED;
        next = owner_of(g_at(place));
    }
    bool ring = next != 0, lost = next ? !(*flags_at(next - 1) & SEAT_FREE) : is_proven(*flags_at(place));
    for (next = from + 1; next && *flags_at(next - 1) & SEAT_WALKED;) {
        uint8_t *flags = flags_at(next - 1);
        next = owner_of(g_at(next - 1));
        *flags &= (uint8_t)~SEAT_WALKED;
        if (!lost)
            *flags |= SEAT_FREE;
        else if (next && (ring || !is_proven(*flags)))
            *flags |= SEAT_CYCLE;
    }
}

static void find_cycles(void)
{
    const struct waits_on *waits_on = graph.waits.items;
    index_owners();
    for (size_t i = 0; i < graph.waits.count; i++) {
        seat_place place = waits_on[i].place;
        if (*flags_at(place) & SEAT_WAITS && owner_of(g_at(place)))
            find_cycle(place);
    }
}

/* ---- verdicts ---- */

static enum g_verdict verdict_of(uint8_t flags)
{
    if (flags & SEAT_CYCLE)
        return VERDICT_CYCLE;
    return is_proven(flags) ? VERDICT_PROVEN : VERDICT_LIVE;
}

/* What a lost G holds: see struct segment. Who waits where its pointers lead to holds something for itself. */
static uint64_t weigh(seat_place place)
{
    uint64_t low = stack_low(place), end = top_of(place) + sizeof(struct g);
    uint64_t pages = (end + (1u << PAGE_SHIFT) - 1) / (1u << PAGE_SHIFT) - low / (1u << PAGE_SHIFT);
    uint64_t stack = pages << PAGE_SHIFT, all = seat_stack_bytes(class_of(place));
    graph.weight = 0;
    if (graph.scan->heap && !graph.scan->heap_is_root) {
        follow_stack(place);
        graph_follow();
    }
    return (stack < all ? stack : all) + graph.weight;
}

static void store_verdict(seat_place place, enum g_verdict verdict)
{
    const struct g *g = g_at(place);
    struct g_slot *slot = g->slot;
    if (verdict != VERDICT_LIVE && trace_segment.held)
        trace_segment.held[g->seat] = weigh(place);
    seat_place owner = verdict == VERDICT_CYCLE ? owner_of(g) : 0;
    slot->verdict_owner = owner ? g_at(owner - 1)->seat + 1 : 0;
    slot->verdict_seq = (uint16_t)g->seq;
    store_release(&slot->verdict, g_verdict_make(graph.scan->input->number, g->id, verdict)); /* V */
}

void graph_judge(void)
{
    struct proof_shared *shared = graph.scan->shared;
    find_cycles();
    graph.weighing = true;
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        for (uint32_t index = 0; index < graph.made[class]; index++) {
            uint8_t flags = graph.seats[class][index];
            if (!(flags & SEAT_WAITS))
                continue;
            enum g_verdict verdict = verdict_of(flags);
            store_verdict(place_of(class, index), verdict);
            shared->gs++;
            shared->proven += verdict == VERDICT_PROVEN;
            shared->cycles += verdict == VERDICT_CYCLE;
        }
    }
}
