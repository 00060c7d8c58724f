/* See columns.h. */
#include "columns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_ROOM_FIRST 4096

/* A column that is being written. */
struct column_out {
    uint8_t *bytes, *at, *end;
    uint64_t before;
};

struct column_splitter {
    uint32_t count;
    uint32_t kinds; /* different codes */
    bool used[GMPT_EVENT_CODES];
    struct column_out codes, times;
    struct column_out field[COLUMN_COUNT];
};

static const uint16_t first_column[GMPT_EVENT_CODES] = {
#define EVENT(code, name, doc) [code] = COLUMN_OF_##name,
#define FIELD(kind, name, doc)
#define END
#include <gmptrace/events.def>
};

/* ---- Taking records apart --------------------------------------------------------------------------------------- */

struct column_splitter *column_splitter_open(void) { return calloc(1, sizeof(struct column_splitter)); }

void column_splitter_close(struct column_splitter *splitter)
{
    if (!splitter)
        return;
    free(splitter->codes.bytes);
    free(splitter->times.bytes);
    for (int i = 0; i < COLUMN_COUNT; i++)
        free(splitter->field[i].bytes);
    free(splitter);
}

static void column_restart(struct column_out *column)
{
    column->at = column->bytes;
    column->before = 0;
}

static __attribute__((noinline)) bool column_grow(struct column_out *column)
{
    size_t used = (size_t)(column->at - column->bytes), room = (size_t)(column->end - column->bytes);
    room = room ? 2 * room : COLUMN_ROOM_FIRST;
    uint8_t *bytes = realloc(column->bytes, room);
    if (!bytes)
        return false;
    *column = (struct column_out){ bytes, bytes + used, bytes + room, column->before };
    return true;
}

static inline bool column_put(struct column_out *column, uint64_t value)
{
    if (__builtin_expect(column->end - column->at < LEB_MAX_BYTES, 0) && !column_grow(column))
        return false;
    column->at = leb_put(column->at, value);
    return true;
}

static inline bool column_put_field(struct column_out *column, uint64_t value)
{
    uint64_t difference = value - column->before;
    column->before = value;
    return column_put(column, leb_zigzag(difference));
}

/* The last byte of a longer number is never 0, so these are whole numbers. */
static void column_trim(struct column_out *column)
{
    uint64_t word = 0;
    uint8_t *at = column->at;
    while ((size_t)(at - column->bytes) >= sizeof word) {
        memcpy(&word, at - sizeof word, sizeof word);
        if (word)
            break;
        at -= sizeof word;
    }
    while (at > column->bytes && at[-1] == 0)
        at--;
    column->at = at;
}

/* Takes one record apart, where EVENT_BYTES_MAX can be read. Returns the first byte after it, or NULL with *error. */
static inline const uint8_t *record_split(struct column_splitter *splitter, const uint8_t *p, int *error)
{
    uint8_t code = *p++;
    uint64_t value;
    struct column_out *column;
    *error = -EPROTO;
    if (!(p = leb_get_roomy(p, &value)))
        return NULL;
    if (!column_put(&splitter->times, value))
        goto full;
    splitter->used[code] = true;
    switch (code) {
#define EVENT(code, name, doc)                                                                                         \
    case code:                                                                                                         \
        column = &splitter->field[COLUMN_OF_##name];
#define FIELD(kind, name, doc)                                                                                         \
    if (!(p = leb_get_roomy(p, &value)))                                                                               \
        return NULL;                                                                                                   \
    if (!column_put_field(column++, value))                                                                            \
        goto full;
#define END break;
#include <gmptrace/events.def>
    default:
        return NULL;
    }
    (void)column;
    *splitter->codes.at++ = code;
    return p;
full:
    *error = -ENOMEM;
    return NULL;
}

static int rows_split(struct column_splitter *splitter, const uint8_t *rows, size_t size, uint32_t count)
{
    uint8_t tail[2 * EVENT_BYTES_MAX] = { 0 };
    const uint8_t *p = rows, *end = rows + size;
    int error;
    while (count && end - p >= EVENT_BYTES_MAX) {
        if (!(p = record_split(splitter, p, &error)))
            return error;
        count--;
    }
    if (end - p >= EVENT_BYTES_MAX)
        return -EPROTO;
    size_t left = (size_t)(end - p);
    if (left)
        memcpy(tail, p, left);
    for (p = tail, end = tail + left; count && p < end; count--)
        if (!(p = record_split(splitter, p, &error)))
            return error;
    return count == 0 && p == end ? 0 : -EPROTO;
}

int column_splitter_split(struct column_splitter *splitter, const uint8_t *rows, size_t size, uint32_t count)
{
    splitter->count = count;
    splitter->kinds = 0;
    memset(splitter->used, 0, sizeof splitter->used);
    column_restart(&splitter->codes);
    column_restart(&splitter->times);
    for (int i = 0; i < COLUMN_COUNT; i++)
        column_restart(&splitter->field[i]);
    while ((size_t)(splitter->codes.end - splitter->codes.bytes) < count)
        if (!column_grow(&splitter->codes))
            return -ENOMEM;
    int result = rows_split(splitter, rows, size, count);
    if (result)
        return result;
    column_trim(&splitter->times);
    for (int i = 0; i < COLUMN_COUNT; i++)
        column_trim(&splitter->field[i]);
    for (int code = 0; code < GMPT_EVENT_CODES; code++)
        splitter->kinds += splitter->used[code];
    return 0;
}

static size_t column_bytes(const struct column_out *column) { return (size_t)(column->at - column->bytes); }

size_t column_splitter_room(const struct column_splitter *splitter)
{
    size_t bytes = 2 * LEB_MAX_BYTES + splitter->count + column_bytes(&splitter->times);
    for (int i = 0; i < COLUMN_COUNT; i++)
        bytes += LEB_MAX_BYTES + column_bytes(&splitter->field[i]);
    return bytes + splitter->kinds * 2 * LEB_MAX_BYTES;
}

static uint8_t *column_copy(uint8_t *p, const struct column_out *column)
{
    size_t bytes = column_bytes(column);
    if (bytes)
        memcpy(p, column->bytes, bytes);
    return p + bytes;
}

uint8_t *column_splitter_put(const struct column_splitter *splitter, uint8_t *p)
{
    p = leb_put(p, column_bytes(&splitter->times));
    p = leb_put(p, splitter->kinds);
    for (unsigned code = 0; code < GMPT_EVENT_CODES; code++) {
        if (!splitter->used[code])
            continue;
        p = leb_put(p, code);
        p = leb_put(p, event_field_counts[code]);
        for (int i = 0; i < event_field_counts[code]; i++)
            p = leb_put(p, column_bytes(&splitter->field[first_column[code] + i]));
    }
    p = column_copy(p, &splitter->codes);
    p = column_copy(p, &splitter->times);
    for (unsigned code = 0; code < GMPT_EVENT_CODES; code++)
        for (int i = 0; splitter->used[code] && i < event_field_counts[code]; i++)
            p = column_copy(p, &splitter->field[first_column[code] + i]);
    return p;
}

/* ---- Putting them together -------------------------------------------------------------------------------------- */

/* Reads the size of a column and adds it to the sum, which is at most what the section has. */
static const uint8_t *size_get(const uint8_t *p, const uint8_t *end, uint64_t most, uint64_t *sum, uint64_t *size)
{
    p = leb_get(p, end, size);
    if (!p || *size > most - *sum)
        return NULL;
    *sum += *size;
    return p;
}

int columns_parse(struct columns *columns, const uint8_t *p, const uint8_t *end, uint32_t count)
{
    uint64_t most = (uint64_t)(end - p), sum = count, times, kinds, code, fields, size;
    int64_t last_code = -1;
    if (count > most || !(p = size_get(p, end, most, &sum, &times)) || !(p = leb_get(p, end, &kinds)) ||
        kinds > GMPT_EVENT_CODES)
        return -EPROTO;
    *columns = (struct columns){ .count = count, .kinds = (uint32_t)kinds, .numbers = p, .end = end };
    for (; kinds > 0; kinds--) {
        if (!(p = leb_get(p, end, &code)) || code >= GMPT_EVENT_CODES || (int64_t)code <= last_code ||
            !(p = leb_get(p, end, &fields)) || fields > COLUMN_FIELDS_MAX)
            return -EPROTO;
        last_code = (int64_t)code;
        for (; fields > 0; fields--)
            if (!(p = size_get(p, end, most, &sum, &size)))
                return -EPROTO;
    }
    if (sum != (uint64_t)(end - p))
        return -EPROTO;
    columns->codes = p;
    columns->times = p + count;
    columns->fields = columns->times + times;
    return 0;
}

/* A number that columns_parse has seen. */
static uint64_t number_take(const uint8_t **p, const uint8_t *end)
{
    uint64_t value = 0;
    *p = leb_get(*p, end, &value);
    return value;
}

bool columns_begin_with_loss(const struct columns *columns, uint64_t *lost)
{
    const uint8_t *p = columns->numbers;
    *lost = 0;
    if (columns->count == 0 || columns->codes[0] != GMPT_EVENT_lost)
        return false;
    /* No code is lower but 0, which has no event. */
    uint64_t code = columns->kinds ? number_take(&p, columns->end) : 0, difference;
    if (code != GMPT_EVENT_lost || number_take(&p, columns->end) == 0)
        return true;
    uint64_t size = number_take(&p, columns->end);
    if (leb_get(columns->fields, columns->fields + size, &difference))
        *lost = leb_unzigzag(difference);
    return true;
}

static void column_begin(struct column *column, const uint8_t *bytes, uint64_t size)
{
    *column = (struct column){ bytes, bytes + size, 0, 0, false };
}

void column_reader_begin(struct column_reader *reader, const struct columns *columns, const struct event_schema *schema)
{
    const uint8_t *p = columns->numbers, *at = columns->fields;
    memset(reader->kind, COLUMN_KIND_ABSENT, sizeof reader->kind);
    memset(reader->batch, 0, sizeof reader->batch);
    reader->unpacker = unpacker_best();
    reader->next = reader->unpacked = 0;
    reader->codes = columns->codes;
    reader->codes_end = columns->times;
    column_begin(&reader->times, columns->times, (uint64_t)(columns->fields - columns->times));
    for (uint32_t i = 0; i < columns->kinds; i++) {
        uint64_t code = number_take(&p, columns->end), fields = number_take(&p, columns->end);
        if (!schema->native[code])
            reader->kind[code] = COLUMN_KIND_UNKNOWN;
        else if (fields == event_field_counts[code])
            reader->kind[code] = COLUMN_KIND_KNOWN;
        for (uint64_t field = 0; field < fields; field++) {
            uint64_t size = number_take(&p, columns->end);
            if (reader->kind[code] == COLUMN_KIND_KNOWN)
                column_begin(&reader->field[first_column[code] + field], at, size);
            at += size;
        }
    }
}

/* No more than there are records from the next one on. */
static unsigned batch_size(const struct column_reader *reader)
{
    size_t records = (size_t)(reader->codes_end - column_reader_code(reader));
    return records < COLUMN_BATCH ? (unsigned)records : COLUMN_BATCH;
}

static bool times_refill(struct column_reader *reader)
{
    reader->codes = column_reader_code(reader);
    reader->next = 0;
    reader->unpacked = reader->unpacker->times(&reader->times, reader->deltas, batch_size(reader));
    return reader->unpacked > 0;
}

static bool fields_refill(struct column_reader *reader, unsigned code)
{
    unsigned wanted = batch_size(reader), least = wanted, fields = event_field_counts[code];
    struct column *column = &reader->field[first_column[code]];
    uint64_t *out = &reader->fields[first_column[code] * COLUMN_BATCH];
    if (reader->kind[code] != COLUMN_KIND_KNOWN)
        return false;
    for (unsigned i = 0; i < fields; i++) {
        unsigned count = reader->unpacker->field(&column[i], out + i, fields, wanted);
        least = count < least ? count : least;
    }
    unsigned stride = fields ? fields : 1;
    reader->batch[code] = (struct column_batch){ out, out + (size_t)least * stride, stride, least };
    return least > 0;
}

bool column_reader_next(struct column_reader *reader, unsigned *code, uint64_t *delta, const uint64_t **fields,
                        bool *known)
{
    unsigned kind = *code = *column_reader_code(reader);
    if (reader->next == reader->unpacked && !times_refill(reader))
        return false;
    struct column_batch *batch = &reader->batch[kind];
    *known = batch->fields != batch->end || fields_refill(reader, kind);
    *delta = reader->deltas[reader->next++];
    if (!*known)
        return reader->kind[kind] == COLUMN_KIND_UNKNOWN;
    *fields = batch->fields;
    batch->fields += batch->stride;
    return true;
}

/* Of the values that were unpacked last, so many have been read. */
static bool column_finished(const struct column *column, size_t read)
{
    return column->at == column->end && column->stored <= read;
}

/* How many of its records have been read. */
static size_t batch_read(const struct column_batch *batch)
{
    return batch->count ? batch->count - (size_t)(batch->end - batch->fields) / batch->stride : 0;
}

bool column_reader_finished(const struct column_reader *reader)
{
    if (column_reader_code(reader) != reader->codes_end || !column_finished(&reader->times, reader->next))
        return false;
    for (unsigned code = 0; code < GMPT_EVENT_CODES; code++) {
        const struct column_batch *batch = &reader->batch[code];
        for (int i = 0; reader->kind[code] == COLUMN_KIND_KNOWN && i < event_field_counts[code]; i++)
            if (!column_finished(&reader->field[first_column[code] + i], batch_read(batch)))
                return false;
    }
    return true;
}
