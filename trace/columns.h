/* The records of an events section, column by column.
 *
 * The problem: a record in the ring is its code, the time since the record before it, and its fields (format.h), so
 * neighbouring bytes have nothing to do with each other, and zstd finds little. What is alike lies a record or a few
 * apart: codes come in a rhythm, a lock's address stands in a thousand records, numbers of transitions count up. So the
 * recorder takes the records apart: all codes, all times, and for each field of each event all its values. For two Gs
 * that talk over a channel this takes a record from 1.7 bytes in the file to a fifth of one; nearly all that is left is
 * in the times, which do not repeat themselves. They are kept to the tick.
 *
 *   numbers     LEB128: size of the column of times; how many kinds of events there are; then for each kind, by
 *               ascending code: its code, how many fields it has, and the size of each field's column
 *   codes       a byte for each record
 *   times       LEB128: ticks since the record before, or since the base
 *   fields      kind by kind, field by field: the differences to the value before in the same column, the first to 0,
 *               modulo 2^64, zigzag (0, -1, 1, -2, ... as 0, 1, 2, 3, ...) and in LEB128
 *
 *       proc_start tid=77 | go_start g=5 seq=2 | go_yield | go_start g=6 seq=2 | go_yield | go_start g=5 seq=4
 *
 *       codes        08 11 12 11 12 11
 *       times        9 3 60 3 58 3
 *       proc_start   tid  154
 *       go_start     g    10 2 1     seq  4 0 4
 *
 * A column may end before its event does: the values that it lacks are 0, that is differences of 0. So a field that is
 * the same in all records costs one number, and one that is always 0 nothing. Nothing else is predicted, in order that
 * both sides are quick and that one rule fits events that are not invented yet. Measured and rejected: a table of each
 * G's last number to foretell the next (a fifth less of one random trace, little of others, for a look-up a record on
 * both sides), a column of times for each event (more of most, since zstd knows the rhythm only of the whole), and
 * blocks of zstd of their own for each column (less than a tenth).
 *
 * 1. The numbers are checked before anything else is done (columns_parse): columns lie in the section and fill it.
 * 2. A kind says how many fields it has, so a reader steps over one that it does not know; its records have codes and
 *    times all the same.
 * 3. A number in a column that is cut off by the column's end or has over 64 bits, a code whose kind was not announced,
 *    and bytes that are left when the last record has been read are damage.
 * 4. The bytes of a section can be read for LEB_MAX_BYTES beyond its end (frames.h), so a number needs one check.
 * 5. A reader unpacks the next COLUMN_BATCH values of a kind's columns at a time, and tells of a number that is damage
 *    only when its record's turn has come: what lies before it is read. See unpack.h. */
#ifndef GMPT_COLUMNS_H
#define GMPT_COLUMNS_H

#include "events.h"
#include "leb.h"
#include "unpack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* COLUMN_OF_go_start is the first of go_start's columns; those of its further fields follow. */
enum column_index {
#define EVENT(code, name, doc) COLUMN_OF_##name, COLUMN_END_##name = COLUMN_OF_##name - 1
#define FIELD(kind, name, doc) +1
#define END ,
#include <gmptrace/events.def>
    COLUMN_COUNT
};

#define COLUMN_FIELDS_MAX EVENT_SCHEMA_FIELDS_MAX

/* ---- Taking records apart --------------------------------------------------------------------------------------- */

struct column_splitter;

struct column_splitter *column_splitter_open(void); /* NULL: out of memory */
void column_splitter_close(struct column_splitter *splitter);
/* Takes count records apart, which have the size bytes at rows, and forgets what it had. Returns 0, -ENOMEM, or -EPROTO
 * when the bytes are not so many whole records of known kinds. */
int column_splitter_split(struct column_splitter *splitter, const uint8_t *rows, size_t size, uint32_t count);
/* At least the bytes that column_splitter_put writes. */
size_t column_splitter_room(const struct column_splitter *splitter);
/* Writes the numbers, the codes and the columns at p. Returns the first byte after them. */
uint8_t *column_splitter_put(const struct column_splitter *splitter, uint8_t *p);

/* ---- Putting them together -------------------------------------------------------------------------------------- */

/* A section's part with the records, as it lies in the file. */
struct columns {
    uint32_t count, kinds;
    const uint8_t *numbers;        /* from the first kind on */
    const uint8_t *codes, *end;    /* the codes; the section's end */
    const uint8_t *times, *fields; /* the columns: of times, and of the first field */
};

/* Checks the numbers at p; end is the section's. Returns 0 or -EPROTO. */
int columns_parse(struct columns *columns, const uint8_t *p, const uint8_t *end, uint32_t count);
/* Whether the first record is a `lost` marker, and of how many records, 0 when that is malformed. */
bool columns_begin_with_loss(const struct columns *columns, uint64_t *lost);

enum column_kind {
    COLUMN_KIND_ABSENT = 0, /* no record of this section has that code */
    COLUMN_KIND_UNKNOWN,    /* an event that is newer than we are, or not as we know it */
    COLUMN_KIND_KNOWN,
};

#define COLUMN_BATCH 64 /* values unpacked at a time: a loop over one column is quicker than one over a record */

/* Of a kind's records whose fields have been unpacked: where the next one's are, which lie together, and where all end.
 * A kind without fields has one that is not set. */
struct column_batch {
    const uint64_t *fields, *end;
    uint32_t stride, count;
};

/* Reads records in order. */
struct column_reader {
    const uint8_t *codes, *codes_end;    /* of the records whose times are in deltas and all after them; their end */
    uint32_t next, unpacked;             /* of deltas: the next record's, and how many there are */
    const struct unpacker *unpacker;
    struct column_batch batch[GMPT_EVENT_CODES]; /* empty unless the kind is known */
    uint8_t kind[GMPT_EVENT_CODES];              /* enum column_kind */
    struct column times;
    struct column field[COLUMN_COUNT]; /* valid for the kinds that are known */
    uint64_t deltas[COLUMN_BATCH];
    /* COLUMN_BATCH records of each kind; behind the last so much that GMPT_EVENT_FIELDS_MAX can be read from any on */
    uint64_t fields[(COLUMN_COUNT + 1) * COLUMN_BATCH + GMPT_EVENT_FIELDS_MAX];
};

/* Before the first record of columns that have been parsed. */
void column_reader_begin(struct column_reader *reader, const struct columns *columns,
                         const struct event_schema *schema);
/* After the last one: whether the columns were used up. */
bool column_reader_finished(const struct column_reader *reader);

/* Reads a record, of which there is one: its code, ticks since the record before, and where its fields are until the
 * next record of its kind is read; behind them is something else. Of a kind that is not known, which *known says, only
 * code and ticks are told. Returns false when it is malformed. */
bool column_reader_next(struct column_reader *reader, unsigned *code, uint64_t *delta, const uint64_t **fields,
                        bool *known);

/* The same for a record that has been unpacked already, as most have. Returns false, and has read nothing, when the
 * next one has not, or when there is none. *next stands for reader->next: a loop keeps it at hand, and gives it back
 * before it asks for what has not been unpacked. */
static inline bool column_reader_take(struct column_reader *reader, uint32_t *next, unsigned *code, uint64_t *delta,
                                      const uint64_t **fields)
{
    if (*next == reader->unpacked) /* which ends before the codes do */
        return false;
    struct column_batch *batch = &reader->batch[*code = reader->codes[*next]];
    *fields = batch->fields;
    if (*fields == batch->end)
        return false;
    batch->fields = *fields + batch->stride;
    *delta = reader->deltas[(*next)++];
    return true;
}

/* Where the next record's code is: codes_end after the last. */
static inline const uint8_t *column_reader_code(const struct column_reader *reader)
{
    return reader->codes + reader->next;
}

/* Leaves out the records that are left: none has been unpacked any more. */
static inline void column_reader_leave(struct column_reader *reader)
{
    reader->codes = reader->codes_end;
    reader->next = reader->unpacked = 0;
}

/* A record's fields from there, and 0 for those that its kind has not got. */
static inline void column_fields_copy(unsigned code, const uint64_t *from, uint64_t fields[GMPT_EVENT_FIELDS_MAX])
{
    for (int i = 0; i < GMPT_EVENT_FIELDS_MAX; i++)
        fields[i] = i < event_field_counts[code] ? from[i] : 0;
}

#endif
