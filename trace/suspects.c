/* When is a place, where goroutines wait, a leak that grows?
 *
 * Words. A place is a creation stack with its function, a wait stack and a reason for the wait. Its count is the number
 * of Gs that wait there now without a deadline for something that only another G can bring. A G counts from the moment
 * it blocks until it is unblocked. The main G and bounded waits never count.
 *
 * Problem. A healthy program waits all the time: a pool of idle workers, a handler that waits for its answer. Their
 * counts swing, and a snapshot cannot tell a worker at rest from one that was forgotten. What a leak does and rest does
 * not: the count's floor rises, and goes on rising. So the floor is what is kept.
 *
 * Picture. For each place a row of cells of equal length from the trace's start, each with the least count within it.
 * When time runs past the last cell, neighbours are merged (the lesser floor wins) and the cells become twice as long,
 * so memory is fixed and the row always covers the whole trace with 17 to 32 cells, once it is longer than 2 ms.
 *
 *        count   .  .:   .:  .::              floors  0 0 1 1 2 3 3 4   then the count at the end: 4
 *              .: :.: ..: :.: ::                      a burst that comes and goes never shows in them
 *
 * The rule. A place grows when all of these hold for the row of floors followed by the count at the end:
 *   1. at least 3 Gs are left there;
 *   2. new heights are reached in at least 3 different cells (Gs that all came at once are not growth);
 *   3. the row never falls by more than a tenth (or 1 where that is more) below the height reached before, and
 *      the count at the end is at least nine tenths of that height.
 * A place that does not grow, but where a G has waited for long enough, is only stuck: summary.c decides that.
 *
 * What this cannot tell: a pool that starts its workers slowly and never uses one looks like growth too. Hence the
 * words evidence and suspect.
 *
 * Rejected: a straight line fitted to the count (bursts move it, and a short trace fits anything); the highest count of
 * a cell (a burst of healthy waits at the end hides a leak, one in the middle excuses it); more cells (nothing gained).
 *
 * Invariants: (1) floor[i] is valid for i <= cell; cells after it have had no change and stand at `count`. (2) Time
 * never runs back within a place: a moment before the latest cell counts as being in it. */
#include "suspects.h"

#include <stdlib.h>

#define GROWTH_MIN_COUNT 3
#define GROWTH_MIN_RISES 3

static uint64_t key_hash(const struct suspect_key *key)
{
    uint64_t hash = table_mix(key->fn);
    hash = table_mix(hash ^ ((uint64_t)key->create_stack << 32 | key->wait_stack));
    return table_mix(hash ^ key->reason);
}

static bool key_equal(const void *entry, const void *key_arg)
{
    const struct suspect_key *a = &((const struct suspect *)entry)->key, *b = key_arg;
    return a->fn == b->fn && a->create_stack == b->create_stack && a->wait_stack == b->wait_stack &&
           a->reason == b->reason;
}

struct suspect *suspects_find(const struct suspects *suspects, const struct suspect_key *key)
{
    return table_find(&suspects->table, key_hash(key), key_equal, key);
}

struct suspect *suspects_get(struct suspects *suspects, const struct suspect_key *key)
{
    uint64_t hash = key_hash(key);
    struct suspect *suspect = table_find(&suspects->table, hash, key_equal, key);
    if (suspect)
        return suspect;
    bool full = suspects->table.count >= SUSPECTS_MAX;
    if (full && suspects->others)
        return suspects->others;
    suspect = calloc(1, sizeof *suspect);
    if (!suspect)
        return NULL;
    suspect->shift = SUSPECTS_FIRST_SHIFT;
    if (full)
        return suspects->others = suspect;
    suspect->key = *key;
    if (table_insert(&suspects->table, hash, suspect)) {
        free(suspect);
        return NULL;
    }
    return suspect;
}

void suspect_advance(struct suspect *suspect, int64_t time_ns)
{
    uint64_t time = time_ns > 0 ? (uint64_t)time_ns : 0;
    while (time >> suspect->shift >= SUSPECTS_CELLS) {
        for (unsigned i = 0; i < SUSPECTS_CELLS; i += 2) {
            uint64_t a = i <= suspect->cell ? suspect->floor[i] : suspect->count;
            uint64_t b = i + 1 <= suspect->cell ? suspect->floor[i + 1] : suspect->count;
            suspect->floor[i / 2] = a < b ? a : b;
        }
        suspect->cell /= 2;
        suspect->shift++;
    }
    unsigned cell = (unsigned)(time >> suspect->shift);
    while (suspect->cell < cell)
        suspect->floor[++suspect->cell] = suspect->count;
    suspect->cell_last_ns = (int64_t)((((uint64_t)suspect->cell + 1) << suspect->shift) - 1);
}

bool suspect_grows(struct suspect *suspect, int64_t end_ns)
{
    suspect_advance(suspect, end_ns);
    if (suspect->count < GROWTH_MIN_COUNT)
        return false;
    uint64_t height = 0;
    unsigned rises = 0;
    for (unsigned i = 0; i <= suspect->cell; i++) {
        uint64_t floor = suspect->floor[i];
        uint64_t slack = height / 10 > 1 ? height / 10 : 1;
        if (floor > height) {
            height = floor;
            rises++;
        } else if (floor + slack < height) {
            return false;
        }
    }
    if (suspect->count > height)
        rises++;
    return rises >= GROWTH_MIN_RISES && suspect->count >= height - height / 10;
}

void suspects_clear(struct suspects *suspects)
{
    for (size_t i = 0; suspects->table.slots && i <= suspects->table.mask; i++)
        free(suspects->table.slots[i].entry);
    table_clear(&suspects->table);
    free(suspects->others);
    suspects->others = NULL;
}
