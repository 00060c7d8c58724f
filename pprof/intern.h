/* A set of byte strings that gives each a small number, in the order they came. */
#ifndef GMPT_INTERN_H
#define GMPT_INTERN_H

#include <stddef.h>
#include <stdint.h>

/* Zero-initialised is empty. */
struct intern {
    uint8_t *bytes;
    size_t bytes_used, bytes_room;
    struct intern_key *keys;
    size_t count, room;
    uint32_t *slots; /* number + 1, 0 = free; open addressing */
    size_t slot_count;
};

/* The number of this key, which is copied if it is new (then intern->count grew). Returns -ENOMEM. */
int64_t intern_put(struct intern *intern, const void *key, size_t size);
/* A key by its number, aligned to 8; valid until the next intern_put. */
const void *intern_get(const struct intern *intern, size_t number, size_t *size);
void intern_free(struct intern *intern);

#endif
