/* The heaviest of a stream of (key, weight), in constant room: weighted space-saving (Metwally, Agrawal, El Abbadi).
 *
 * A key that finds the table full takes the place of the lightest one and inherits its weight, as its error. So
 *   1. weight - error <= the key's true weight <= weight;
 *   2. a key that is not there has at most topk_floor() of true weight;
 *   3. the weights add up to all that was added, exactly;
 *   4. while no more than TOPK_ROOM keys came, all is exact and topk_floor() is 0. */
#ifndef GMPT_TOPK_H
#define GMPT_TOPK_H

#include <stdint.h>

#define TOPK_ROOM 8

struct topk_entry {
    uint32_t key;
    uint32_t count; /* how often it came since it got its place: for show only */
    int64_t weight, error;
};

/* Zero-initialised is empty. */
struct topk {
    uint32_t used;
    uint32_t replaced; /* 0 = all is exact */
    struct topk_entry entries[TOPK_ROOM];
};

void topk_add(struct topk *topk, uint32_t key, int64_t weight);
int64_t topk_floor(const struct topk *topk);

#endif
