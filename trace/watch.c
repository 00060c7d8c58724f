/* Looks at the registry of a running program, a part at a time. See watch.h. */
#include "watch.h"

#include "dictionary.h"

#include <stdlib.h>
#include <string.h>

#define STEP_SLOTS 8192u
#define STEP_NS 4000000
#define CHUNK_SLOTS 1024u
#define SLOTS_MAX (8u << 20) /* more than the runtime's; further ones are not watched */

/* A G in a state, as it was seen; id 0 = nothing worth watching. */
struct seen {
    uint64_t id, status;
    int64_t since_ns;
    uint32_t found; /* a bit for each limit */
};

struct chunk {
    int64_t looked_ns; /* when its slots were looked at last; 0 = never */
    struct seen *seen; /* of CHUNK_SLOTS slots; NULL while none has been worth watching */
};

struct watch {
    const struct segment *segment;
    unsigned limit_count;
    struct watch_limit limits[WATCH_LIMITS_MAX];
    uint32_t next;      /* the slot to look at */
    uint32_t step_left; /* slots of this step; 0 = it is over */
    uint32_t used;      /* slots that there are, in this step */
    uint32_t proof;     /* the last that was given, 0 = none */
    bool wants_proof;
    int64_t step_ns;    /* when the step began */
    uint32_t chunk_count;
    struct chunk *chunks;
};

struct watch *watch_open(const struct segment *segment, const struct watch_limit *limits, unsigned count)
{
    uint32_t slots = segment->registry_slots < SLOTS_MAX ? segment->registry_slots : SLOTS_MAX;
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NULL;
    watch->segment = segment;
    watch->limit_count = count < WATCH_LIMITS_MAX ? count : WATCH_LIMITS_MAX;
    memcpy(watch->limits, limits, watch->limit_count * sizeof *limits);
    watch->chunk_count = (slots + CHUNK_SLOTS - 1) / CHUNK_SLOTS;
    watch->chunks = calloc(watch->chunk_count, sizeof *watch->chunks);
    if (!watch->chunks) {
        free(watch);
        return NULL;
    }
    return watch;
}

void watch_close(struct watch *watch)
{
    if (!watch)
        return;
    for (uint32_t i = 0; i < watch->chunk_count; i++)
        free(watch->chunks[i].seen);
    free(watch->chunks);
    free(watch);
}

static bool limit_is_for(const struct watch_limit *limit, const struct g_slot *slot, uint64_t status)
{
    unsigned reason = g_status_reason(status);
    if (g_status_state(status) != limit->state)
        return false;
    if (limit->state != G_WAITING)
        return true;
    if (limit->reasons)
        return reason < 64 && limit->reasons >> reason & 1;
    return !slot->wait_bounded && slot->parent != 0 && gmpt_wait_reason_suspect((enum gmpt_wait_reason)reason);
}

/* Copies a slot that has this status; false when it has moved on meanwhile. */
static bool slot_copy(const struct g_slot *shared, uint64_t status, struct g_slot *copy)
{
    memcpy(copy, shared, sizeof *copy);
    load_fence();
    return load_relaxed(&shared->status) == status;
}

static int64_t since_of(const struct g_slot *slot, uint64_t status, int64_t before_ns, int64_t now_ns)
{
    if (g_status_state(status) == G_RUNNABLE)
        return now_ns;
    int64_t since = slot->wait_since_ns < before_ns ? before_ns : slot->wait_since_ns;
    return since < now_ns && since > 0 ? since : now_ns;
}

static bool watched(const struct watch *watch, enum g_state state)
{
    for (unsigned i = 0; i < watch->limit_count; i++)
        if (watch->limits[i].state == state)
            return true;
    return false;
}

static bool is_leaked(const struct watch *watch, const struct g_slot *slot, const struct seen *seen)
{
    enum g_verdict verdict = watch->proof ? g_verdict_of(slot, watch->proof, seen->id, seen->status) : VERDICT_NONE;
    return verdict == VERDICT_PROVEN || verdict == VERDICT_CYCLE;
}

/* Looks at one slot. Returns whether its G is beyond a limit that it was not found for so far. */
static bool slot_look(struct watch *watch, struct chunk *chunk, uint32_t index, int64_t now_ns,
                      struct watch_found *found)
{
    const struct g_slot *shared = &watch->segment->registry[index];
    struct g_slot slot;
    uint64_t status = load_acquire(&shared->status);
    struct seen *seen = chunk->seen ? &chunk->seen[index % CHUNK_SLOTS] : NULL;
    if (!watched(watch, g_status_state(status))) {
        if (seen)
            seen->id = 0;
        return false;
    }
    if (!seen) {
        chunk->seen = calloc(CHUNK_SLOTS, sizeof *chunk->seen);
        if (!chunk->seen)
            return false; /* without memory it is not watched */
        seen = &chunk->seen[index % CHUNK_SLOTS];
    }
    if (seen->status != status || seen->id == 0 || seen->id != load_relaxed(&shared->id)) {
        seen->id = 0;
        if (!slot_copy(shared, status, &slot))
            return false;
        *seen = (struct seen){ .id = load_relaxed(&slot.id),
                               .status = status,
                               .since_ns = since_of(&slot, status, chunk->looked_ns, now_ns) };
    }
    for (unsigned i = 0; i < watch->limit_count && seen->id; i++) {
        const struct watch_limit *limit = &watch->limits[i];
        if (now_ns - seen->since_ns <= limit->ns || seen->found >> i & 1 || limit->state != g_status_state(status))
            continue;
        if (!slot_copy(shared, status, &slot) || load_relaxed(&slot.id) != seen->id)
            return false;
        bool is = limit_is_for(limit, &slot, status);
        if (is && limit->leaked && !is_leaked(watch, &slot, seen)) {
            watch->wants_proof = true;
            continue;
        }
        seen->found |= 1u << i;
        if (!is)
            continue;
        *found = (struct watch_found){
            .limit = i,
            .id = seen->id,
            .fn = slot.fn,
            .create_pc = slot.create_pc,
            .name = load_relaxed(&slot.name),
            .reason = g_status_reason(status),
            .for_ns = now_ns - seen->since_ns,
        };
        return true;
    }
    return false;
}

static bool step_begin(struct watch *watch, int64_t now_ns)
{
    if (watch->step_ns && now_ns - watch->step_ns < STEP_NS)
        return false;
    uint32_t used = load_acquire(&watch->segment->header->registry_used);
    if (used > watch->segment->registry_slots)
        used = watch->segment->registry_slots;
    watch->used = used < SLOTS_MAX ? used : SLOTS_MAX;
    watch->step_ns = now_ns;
    if (watch->next >= watch->used)
        watch->next = 0;
    watch->step_left = STEP_SLOTS;
    return true;
}

bool watch_next(struct watch *watch, int64_t now_ns, struct watch_found *found)
{
    if (watch->step_left == 0 && !step_begin(watch, now_ns))
        return false;
    while (watch->step_left && watch->next < watch->used) {
        struct chunk *chunk = &watch->chunks[watch->next / CHUNK_SLOTS];
        watch->step_left--;
        if (slot_look(watch, chunk, watch->next, watch->step_ns, found))
            return true; /* the slot is looked at again, for the other limits */
        watch->next++;
        if (watch->next % CHUNK_SLOTS == 0 || watch->next == watch->used)
            chunk->looked_ns = watch->step_ns;
    }
    watch->step_left = 0;
    return false;
}

bool watch_wants_proof(const struct watch *watch) { return watch->wants_proof; }

void watch_give_proof(struct watch *watch, uint32_t proof)
{
    watch->proof = proof;
    watch->wants_proof = false;
}

const char *watch_name(const struct segment *segment, uint32_t name, char buffer[256])
{
    uint64_t used = load_acquire(&segment->header->dictionary_used);
    buffer[0] = 0;
    if (name == 0 || used > segment->dictionary_words)
        return buffer;
    volatile const uint64_t *words = segment->dictionary;
    for (uint64_t at = 0, number = 1; at < used && number <= name; number++) {
        uint64_t head = words[at++];
        uint32_t content = dictionary_content_words(head), bytes = (uint32_t)head;
        if (content == 0 || content > used - at)
            return buffer;
        if (number == name && head >> 32 == DICTIONARY_STRING) {
            memcpy(buffer, (const void *)(segment->dictionary + at), bytes);
            buffer[bytes] = 0;
            return buffer;
        }
        at += content;
    }
    return buffer;
}
