/* Unsigned LEB128: seven bits a byte, least significant first, the top bit says that more follow. */
#ifndef GMPT_LEB_H
#define GMPT_LEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* Differences, which may be negative, as numbers that are small when these are: 0, -1, 1, -2, ... as 0, 1, 2, 3, ... */
static inline uint64_t leb_zigzag(uint64_t difference) { return difference << 1 ^ (0 - (difference >> 63)); }
static inline uint64_t leb_unzigzag(uint64_t value) { return value >> 1 ^ (0 - (value & 1)); }

/* The same where LEB_MAX_BYTES can be read at p, so that no byte needs a check of its own: a value of two to eight
 * bytes is gathered from one word without a loop, since a loop's exit is what the CPU cannot foresee. */
static inline const uint8_t *leb_get_roomy(const uint8_t *p, uint64_t *value)
{
    if (*p < 0x80) {
        *value = *p;
        return p + 1;
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t word;
    memcpy(&word, p, sizeof word);
    uint64_t stops = ~word & 0x8080808080808080u;
    if (stops) {
        unsigned bits = (unsigned)__builtin_ctzll(stops) + 1;
        word &= UINT64_MAX >> (64 - bits);
        word = (word & 0x007f007f007f007fu) | (word & 0x7f007f007f007f00u) >> 1;
        word = (word & 0x00003fff00003fffu) | (word & 0x3fff00003fff0000u) >> 2;
        *value = (word & 0x0fffffffu) | (word & 0x0fffffff00000000u) >> 4;
        return p + bits / 8;
    }
#endif
    return leb_get(p, p + LEB_MAX_BYTES, value);
}

/* The same without a branch for a value of up to four bytes, where these are as likely as a single one. */
static inline const uint8_t *leb_get_evenly(const uint8_t *p, uint64_t *value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint32_t word;
    memcpy(&word, p, sizeof word);
    uint32_t stops = ~word & 0x80808080u;
    if (__builtin_expect(stops != 0, 1)) {
        word &= stops ^ (stops - 1);
        word = (word & 0x007f007fu) | (word & 0x7f007f00u) >> 1;
        *value = (word & 0x00003fffu) | (word & 0x3fff0000u) >> 2;
        return p + 1 + (unsigned)__builtin_ctz(stops) / 8;
    }
#endif
    return leb_get_roomy(p, value);
}

#endif
