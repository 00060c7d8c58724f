/* Arrays whose elements are in the order of where they begin: in which one does an address lie? */
#ifndef GMPT_ASCENDING_H
#define GMPT_ASCENDING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The last of `count` elements whose member, a uint64_t, is not above the limit; NULL: all are. */
#define ASCENDING_UPTO(elements, count, member, limit)                                                                 \
    ((__typeof__(&(elements)[0]))ascending_upto(                                                                       \
        (elements), (count), sizeof *(elements),                                                                       \
        _Generic((elements)->member, uint64_t: offsetof(__typeof__(*(elements)), member)), (limit)))

static inline const void *ascending_upto(const void *elements, size_t count, size_t element_bytes,
                                         size_t member_offset, uint64_t limit)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t value;
        memcpy(&value, (const char *)elements + middle * element_bytes + member_offset, sizeof value);
        if (value <= limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? (const char *)elements + (low - 1) * element_bytes : NULL;
}

#endif
