/* The numbers of a column (columns.h), many at a time. Which lengths follow each other no CPU foresees: so what is
 * asked of a number is asked of several at once, without a branch. */
#ifndef GMPT_UNPACK_H
#define GMPT_UNPACK_H

#include "leb.h"

#include <stdbool.h>
#include <stdint.h>

/* A column that is being read. */
struct column {
    const uint8_t *at, *end;
    uint64_t before;
    uint32_t stored; /* how many of the values in the batch lay in the column; those after them repeat the last */
    bool constant;   /* none did: what has been unpacked stays right */
};

/* Each unpacks a column's next values: as many as are asked for, or fewer, when the one after them is damage. Where the
 * column has ended they are differences of 0. LEB_MAX_BYTES can be read behind its end. */
struct unpacker {
    unsigned (*times)(struct column *column, uint64_t *out, unsigned wanted);
    /* The sums of differences, `step` apart. */
    unsigned (*field)(struct column *column, uint64_t *out, unsigned step, unsigned wanted);
};

extern const struct unpacker unpacker_plain;
/* The quickest here; does the same. */
const struct unpacker *unpacker_best(void);

#endif
