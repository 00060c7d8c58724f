/* Walks frame pointers. See unwind.h. */
#include "unwind.h"

/* The stack may be written to meanwhile, and may have redzones: neither is the sanitizers' affair. */
static PEEK uint64_t word_at(uintptr_t address) { return *(const volatile uint64_t *)address; }

static void add(struct unwind *unwind, uint64_t pc)
{
    if (unwind->depth < UNWIND_DEPTH_MAX)
        unwind->pc[unwind->depth++] = pc;
}

void unwind_frames(struct unwind *unwind, uintptr_t frame, uintptr_t lo, uintptr_t hi)
{
    while (unwind->depth < UNWIND_DEPTH_MAX && frame % 8 == 0 && frame >= lo && frame < hi && hi - frame >= 16) {
        uint64_t above = word_at(frame), caller = word_at(frame + 8);
        if (above == 0 || caller < 4096)
            break; /* the G's own function, whose caller is the entry */
        add(unwind, codeaddress_of(caller) - 1);
        if (above <= frame)
            break; /* stacks grow down, so callers lie above */
        frame = above;
    }
}

PEEK bool unwind_saved(struct unwind *unwind, const struct g *g, const struct g_slot *slot)
{
    uintptr_t lo = slot->stack_lo, hi = slot->stack_hi;
    unwind->depth = 0;
    uintptr_t sp = (uintptr_t) * (void *const volatile *)&g->context.sp; /* R2 */
    if (sp < lo || sp >= hi || hi - sp < 16 || sp % 8 != 0)
        return false;
    uint64_t pc = word_at(sp);
    if (pc == (uint64_t)(uintptr_t)switch_entry) {
        add(unwind, slot->fn + 1);
        return true;
    }
    add(unwind, pc);
    unwind_frames(unwind, word_at(sp + 8), lo, hi);
    return true;
}
