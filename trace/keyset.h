/* Keys of one size, each with a small number, in the order they came; number 0 is that of all for which there was no
 * room, and its key is all zeros. */
#ifndef GMPT_KEYSET_H
#define GMPT_KEYSET_H

#include <stddef.h>
#include <stdint.h>

struct keyset {
    size_t size; /* of a key: a multiple of 8, without padding that is not zero */
    uint32_t max;
    uint8_t *keys;
    uint32_t count, room;
    uint32_t last;   /* that was put, 0 = none: mostly the next one as well */
    uint32_t *slots; /* numbers, 0 = free; open addressing */
    size_t slot_count;
};

/* Up to max distinct keys. Takes no memory yet. */
static inline void keyset_init(struct keyset *set, size_t size, uint32_t max)
{
    *set = (struct keyset){ .size = size, .max = max };
}
void keyset_free(struct keyset *set);

/* The key's number, or -ENOMEM. */
int64_t keyset_put(struct keyset *set, const void *key);
/* Valid until the next keyset_put; NULL for numbers that there are not, and for 0. */
const void *keyset_get(const struct keyset *set, uint32_t number);

#endif
