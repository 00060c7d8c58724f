/* Unsigned LEB128: seven bits a byte, least significant first, the top bit says that more follow. */
#ifndef GMPT_LEB_H
#define GMPT_LEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEB_MAX_BYTES 10 /* 64 bits by sevens */

/* Writes value at p, which has LEB_MAX_BYTES of room. Returns the first byte after it. */
static inline uint8_t *leb_put(uint8_t *p, uint64_t value)
{
    while (value >= 0x80) {
        *p++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *p++ = (uint8_t)value;
    return p;
}

/* Reads a value from [p, end). Returns the first byte after it, or NULL when it is cut off or longer than 64 bits. */
static inline const uint8_t *leb_get(const uint8_t *p, const uint8_t *end, uint64_t *value)
{
    if (p < end && *p < 0x80) {
        *value = *p;
        return p + 1;
    }
    uint64_t result = 0;
    for (unsigned shift = 0; p < end && shift < 64; shift += 7) {
        uint8_t byte = *p++;
        if (shift == 63 && byte > 1)
            return NULL;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return p;
        }
    }
    return NULL;
}

#endif
