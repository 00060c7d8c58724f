/* Follows frame pointers, and does not follow them again where nothing has changed. See callers.h. */
#include "callers.h"

#include "modules.h"
#include "owncode.h"
#include "runtime.h"

static inline bool is_frame(uintptr_t frame, uintptr_t lo, uintptr_t hi)
{
    return frame % 8 == 0 && frame >= lo && frame < hi - 16;
}

/* Whether following the frame pointers from here would be that walk again; the first frame and its caller are the
 * walk's. */
static inline bool is_repeated(const struct callers_walk *walk, uintptr_t hi)
{
    const uint64_t *frame = (const uint64_t *)(hi - walk->down[0]);
    for (uint32_t i = 0; i + 1 < walk->frames; i++) {
        const uint64_t *above = (const uint64_t *)(hi - walk->down[i + 1]);
        if (frame[1] != walk->caller[i] || frame[0] != (uint64_t)(uintptr_t)above)
            return false;
        frame = above;
    }
    return walk->at_the_end ? frame[0] == 0 : frame[0] != 0 && frame[1] == walk->caller[walk->frames - 1];
}

/* New stacks are rare: a good moment to see whether the program has loaded something. */
static uint32_t intern(struct ring *ring, const uint64_t *pc, uint32_t count)
{
    uint32_t before = ring->stack_count, ordinal = ring_stack(ring, pc, count);
    if (ring->stack_count != before && !modules_have(pc, count))
        modules_note();
    return ordinal;
}

/* Adds the callers from this frame up to the G's first frame to `first`, up to room. When that is 0, of those in the
 * runtime's own code that come first only the last remains. Reads nothing outside the G's stack, whatever a caller
 * without frame pointers left in rbp. */
static __attribute__((noinline)) uint32_t walk_anew(struct p *p, struct callers_walk *walk, const struct g *g,
                                                    uintptr_t frame, uint64_t first, uint32_t room)
{
    const uintptr_t lo = g->slot->stack_lo, hi = (uintptr_t)g;
    uint64_t *pc = p->callers.pc;
    uint32_t count = first != 0, frames = 0;
    bool at_the_end = false, sound = true;
    pc[0] = first;
    walk->frames = 0;
    while (count < room) {
        sound = is_frame(frame, lo, hi);
        if (!sound)
            break;
        uint64_t above = ((uint64_t *)frame)[0], caller = ((uint64_t *)frame)[1];
        if (frames < CALLERS_FRAMES) {
            walk->down[frames] = (uint32_t)(hi - frame);
            walk->caller[frames] = caller;
        }
        frames++;
        at_the_end = above == 0; /* the G's own function: its caller is the entry */
        if (at_the_end)
            break;
        sound = caller >= 4096;
        if (!sound)
            break;
        uint64_t caller_pc = codeaddress_of(caller);
        if (first == 0 && count == 1 && owncode_has(caller_pc) && owncode_has(pc[0]))
            count = 0;
        pc[count++] = caller_pc;
        sound = above > frame; /* stacks grow down, so callers lie above */
        if (!sound)
            break;
        frame = above;
    }
    uint32_t ordinal = count ? intern(&p->ring, pc, count) : 0;
    if (ordinal && sound && frames > 0 && frames <= CALLERS_FRAMES && hi - lo <= UINT32_MAX) {
        walk->first = first;
        walk->ordinal = ordinal;
        walk->room = (uint16_t)room;
        walk->at_the_end = at_the_end;
        walk->frames = (uint8_t)frames;
    }
    return ordinal;
}

static inline __attribute__((always_inline)) uint32_t callers(struct p *p, const struct g *g, uintptr_t frame,
                                                              uint64_t first, uint32_t room)
{
    const uintptr_t hi = (uintptr_t)g;
    struct callers_walk *walk = p->callers.walks;
    if (likely(is_frame(frame, g->slot->stack_lo, hi))) {
        uint64_t caller = ((uint64_t *)frame)[1];
        uint64_t mixed = (caller * 31 + first + (hi - frame)) * 0x9e3779b97f4a7c15u;
        walk += (mixed >> 32) % CALLERS_WALKS;
        if (likely(walk->frames != 0 && walk->first == first && walk->down[0] == hi - frame && walk->room == room &&
                   is_repeated(walk, hi)))
            return walk->ordinal;
    }
    return walk_anew(p, walk, g, frame, first, room);
}

uint32_t callers_room(void)
{
    return segment_stack_room(load_relaxed(&trace_segment.header->frames_left_out));
}

uint32_t callers_of_site(struct p *p, const struct g *g, struct api_site site)
{
    uint32_t room = callers_room();
    if (!site.frame || room == 0)
        return 0;
    return callers(p, g, (uintptr_t)site.frame, (uint64_t)(uintptr_t)site.function + 1, room);
}

uint32_t callers_of_frame(struct p *p, const struct g *g, const void *frame)
{
    uint32_t room = callers_room();
    return room ? callers(p, g, (uintptr_t)frame, 0, room) : 0;
}
