/* Columns: what is taken apart comes together again, and what is no columns is refused. */
#include "harness.h"
#include "rawfile.h"
#include "trace/columns.h"
#include "trace/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX 20000

struct record {
    unsigned code;
    uint64_t delta, fields[GMPT_EVENT_FIELDS_MAX];
};

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state;
}

/* As the frames of a file are read, so that a sanitizer sees what is read beyond the spare bytes. */
struct block {
    uint8_t *bytes;
    size_t size;
};

static struct block block_copy(const uint8_t *bytes, size_t size)
{
    struct block block = { calloc(1, size + LEB_MAX_BYTES), size };
    memcpy(block.bytes, bytes, size);
    return block;
}

static struct block block_make(const struct record *records, uint32_t count)
{
    uint8_t *rows = malloc((size_t)count * EVENT_BYTES_MAX + 1), *p = rows;
    for (uint32_t i = 0; i < count; i++)
        p = event_encode(p, records[i].code, records[i].delta, records[i].fields);
    /* To the byte, so that a sanitizer sees what is read beyond it. */
    size_t size = (size_t)(p - rows);
    rows = realloc(rows, size + (size == 0));
    struct column_splitter *splitter = column_splitter_open();
    ck_assert_ptr_nonnull(splitter);
    /* Twice, since what is left of other records must not show. */
    static const uint8_t other[] = { GMPT_EVENT_proc_start, 200, 1, 77, GMPT_EVENT_go_yield, 3 };
    ck_assert_int_eq(column_splitter_split(splitter, other, sizeof other, 2), 0);
    ck_assert_int_eq(column_splitter_split(splitter, rows, size, count), 0);
    size_t room = column_splitter_room(splitter);
    uint8_t *out = malloc(room);
    size_t used = (size_t)(column_splitter_put(splitter, out) - out);
    ck_assert_uint_le(used, room);
    struct block block = block_copy(out, used);
    free(out);
    free(rows);
    column_splitter_close(splitter);
    return block;
}

static struct columns block_parse(const struct block *block, uint32_t count)
{
    struct columns columns;
    ck_assert_int_eq(columns_parse(&columns, block->bytes, block->bytes + block->size, count), 0);
    return columns;
}

static bool record_next(struct column_reader *reader, struct record *record, bool *known)
{
    const uint64_t *fields;
    if (!column_reader_next(reader, &record->code, &record->delta, &fields, known))
        return false;
    if (*known)
        column_fields_copy(record->code, fields, record->fields);
    return true;
}

static void expect_back(const struct record *records, uint32_t count)
{
    struct event_schema schema;
    struct column_reader *reader = malloc(sizeof *reader);
    struct block block = block_make(records, count);
    struct columns columns = block_parse(&block, count);
    event_schema_init(&schema);
    column_reader_begin(reader, &columns, &schema);
    for (uint32_t i = 0; i < count; i++) {
        struct record back;
        bool known;
        ck_assert(record_next(reader, &back, &known));
        ck_assert(known);
        ck_assert_uint_eq(back.code, records[i].code);
        ck_assert_uint_eq(back.delta, records[i].delta);
        ck_assert_mem_eq(back.fields, records[i].fields, sizeof back.fields);
    }
    ck_assert(column_reader_finished(reader));
    free(block.bytes);
    free(reader);
}

/* A record of the event with all that it has being the value. */
static struct record record_of(unsigned code, uint64_t value)
{
    struct record record = { code, value, { 0 } };
    for (int i = 0; i < event_field_counts[code]; i++)
        record.fields[i] = value;
    return record;
}

static unsigned random_code(void)
{
    unsigned code;
    do
        code = (unsigned)(random_next() % GMPT_EVENT_CODES);
    while (!event_known(code));
    return code;
}

/* ---- There and back --------------------------------------------------------------------------------------------- */

TEST(columns, every_event_reads_back_alone)
{
    static const uint64_t values[] = { 0, 1, 0x7f, 0x80, 0x7f80, 0x123456789abcdef0, 1ull << 63, UINT64_MAX };
    for (unsigned code = 0; code < GMPT_EVENT_CODES; code++)
        for (size_t i = 0; event_known(code) && i < sizeof values / sizeof values[0]; i++) {
            struct record record = record_of(code, values[i]);
            expect_back(&record, 1);
        }
}

TEST(columns, differences_of_any_size_read_back)
{
    static const uint64_t values[] = { UINT64_MAX, 0, UINT64_MAX, 1ull << 63, 1, 0, 0, 1ull << 63, 1ull << 62, 0 };
    struct record records[sizeof values / sizeof values[0]];
    for (unsigned code = 0; code < GMPT_EVENT_CODES; code++) {
        if (!event_known(code))
            continue;
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
            records[i] = record_of(code, values[i]);
        expect_back(records, sizeof values / sizeof values[0]);
    }
}

TEST(columns, random_records_of_all_kinds_read_back)
{
    struct record *records = malloc(RECORDS_MAX * sizeof *records);
    for (int round = 0; round < 60; round++) {
        uint32_t count = round < 40 ? (uint32_t)round : (uint32_t)(random_next() % RECORDS_MAX);
        unsigned one = random_code();
        for (uint32_t i = 0; i < count; i++) {
            records[i] = record_of(round & 1 && random_next() % 8 ? one : random_code(), 0);
            records[i].delta = random_next() >> (random_next() & 63);
            for (int field = 0; field < event_field_counts[records[i].code]; field++)
                records[i].fields[field] = random_next() % 4 ? random_next() >> (random_next() & 63) : 5;
        }
        expect_back(records, count);
    }
    free(records);
}

TEST(columns, no_records_are_none) { expect_back(NULL, 0); }

/* ---- The layout ------------------------------------------------------------------------------------------------- */

TEST(columns, the_bytes_are_those_of_the_essay)
{
    static const struct record records[] = {
        { GMPT_EVENT_proc_start, 9, { 77 } }, { GMPT_EVENT_go_start, 3, { 5, 2 } },
        { GMPT_EVENT_go_yield, 60, { 0 } },   { GMPT_EVENT_go_start, 3, { 6, 2 } },
        { GMPT_EVENT_go_yield, 58, { 0 } },   { GMPT_EVENT_go_start, 3, { 5, 4 } },
    };
    static const uint8_t wanted[] = {
        6,    3, 8, 1,  2, 0x11, 2, 3,    3,    0x12, 0, 0x08, 0x11, 0x12, 0x11, 0x12,
        0x11, 9, 3, 60, 3, 58,   3, 0x9a, 0x01, 10,   2, 1,    4,    0,    4,
    };
    struct block block = block_make(records, 6);
    ck_assert_uint_eq(block.size, sizeof wanted);
    ck_assert_mem_eq(block.bytes, wanted, sizeof wanted);
    free(block.bytes);
}

TEST(columns, a_field_that_stays_the_same_costs_one_number)
{
    struct record records[1000];
    for (int i = 0; i < 1000; i++)
        records[i] = (struct record){ GMPT_EVENT_go_block, 0, { 2, 0x80, 0, 3 } };
    struct block block = block_make(records, 1000);
    ck_assert_uint_eq(block.size, 4 + event_field_counts[GMPT_EVENT_go_block] + 1000 + 1 + 2 + 0 + 1);
    free(block.bytes);
    expect_back(records, 1000);
}

TEST(columns, a_loss_at_the_beginning_is_found)
{
    uint64_t lost = 1;
    struct record records[] = { { GMPT_EVENT_lost, 1, { 300, 5 } }, { GMPT_EVENT_proc_start, 1, { 9 } } };
    struct block block = block_make(records, 2);
    struct columns columns = block_parse(&block, 2);
    ck_assert(columns_begin_with_loss(&columns, &lost));
    ck_assert_uint_eq(lost, 300);
    free(block.bytes);
    struct record swap = records[0];
    records[0] = records[1];
    records[1] = swap;
    block = block_make(records, 2);
    columns = block_parse(&block, 2);
    ck_assert(!columns_begin_with_loss(&columns, &lost));
    ck_assert_uint_eq(lost, 0);
    free(block.bytes);
    block = block_make(records, 0);
    columns = block_parse(&block, 0);
    ck_assert(!columns_begin_with_loss(&columns, &lost));
    free(block.bytes);
}

TEST(columns, a_loss_whose_number_is_malformed_is_of_nobody_knows_how_many)
{
    static const uint8_t bytes[] = { 0, 1, 1, 2, 1, 0, 1, 0x80 }, without[] = { 0, 1, 1, 0, 1 },
                         unannounced[] = { 0, 0, 1 };
    static const struct block blocks[] = { { (uint8_t *)bytes, sizeof bytes },
                                           { (uint8_t *)without, sizeof without },
                                           { (uint8_t *)unannounced, sizeof unannounced } };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        uint64_t lost = 7;
        struct block block = block_copy(blocks[i].bytes, blocks[i].size);
        struct columns columns = block_parse(&block, 1);
        ck_assert(columns_begin_with_loss(&columns, &lost));
        ck_assert_uint_eq(lost, 0);
        free(block.bytes);
    }
}

/* ---- What is no columns ----------------------------------------------------------------------------------------- */

TEST(columns, a_section_cut_or_longer_is_refused)
{
    struct record records[] = { { GMPT_EVENT_go_block, 500, { 2, 0x80, 1, 3 } }, { GMPT_EVENT_go_start, 1, { 9, 4 } } };
    struct block block = block_make(records, 2);
    struct columns columns;
    for (size_t size = 0; size < block.size; size++)
        ck_assert_int_eq(columns_parse(&columns, block.bytes, block.bytes + size, 2), -EPROTO);
    ck_assert_int_eq(columns_parse(&columns, block.bytes, block.bytes + block.size + 1, 2), -EPROTO);
    ck_assert_int_eq(columns_parse(&columns, block.bytes, block.bytes + block.size, 1), -EPROTO);
    ck_assert_int_eq(columns_parse(&columns, block.bytes, block.bytes + block.size, 3), -EPROTO);
    ck_assert_int_eq(columns_parse(&columns, block.bytes, block.bytes + block.size, UINT32_MAX), -EPROTO);
    free(block.bytes);
}

TEST(columns, numbers_that_do_not_fit_are_refused)
{
    static const struct {
        size_t size;
        uint8_t bytes[24];
    } wrong[] = {
        { 13, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1, 9, 0 } }, /* a size over all */
        { 5, { 4, 1, 9, 0, 9 } },                                                        /* times beyond the end */
        { 7, { 1, 2, 9, 0, 9, 0, 9 } },                                                  /* a kind twice */
        { 8, { 1, 2, 9, 0, 8, 0, 9, 1 } },                                               /* kinds that descend */
        { 6, { 1, 1, 0x80, 2, 0, 9 } },                                                  /* a code over 255 */
        { 4, { 1, 0x81, 2, 9 } },                                                        /* more kinds than codes */
        { 6, { 1, 1, 9, 0x80, 2, 9 } },          /* more fields than any event */
        { 8, { 1, 1, 8, 1, 0x80, 0x80, 9, 1 } }, /* a size that is cut off */
        /* sizes whose sum wraps: 2^64 - 1 and 2 are 1 */
        { 18, { 0, 1, 8, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 2, 8, 1, 1 } },
    };
    struct columns columns;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct block block = block_copy(wrong[i].bytes, wrong[i].size);
        ck_assert_msg(columns_parse(&columns, block.bytes, block.bytes + block.size, 1) == -EPROTO, "case %zu", i);
        free(block.bytes);
    }
}

/* What becomes of a block with any of its bytes changed: records that are no more than there were, and no crash. */
TEST(columns, any_byte_may_be_damaged)
{
    struct event_schema schema;
    struct record records[64];
    struct column_reader *reader = malloc(sizeof *reader);
    for (int i = 0; i < 64; i++) {
        records[i] = record_of(random_code(), random_next() >> (random_next() & 63));
        records[i].delta &= 0xffff;
    }
    struct block block = block_make(records, 64);
    event_schema_init(&schema);
    unsigned refused = 0, malformed = 0;
    for (size_t at = 0; at < block.size; at++)
        for (unsigned change = 1; change < 256; change = change * 2 + 1) {
            struct columns columns;
            block.bytes[at] ^= (uint8_t)change;
            uint32_t done = 0;
            if (columns_parse(&columns, block.bytes, block.bytes + block.size, 64) == 0) {
                struct record back;
                bool known;
                uint64_t lost;
                columns_begin_with_loss(&columns, &lost);
                column_reader_begin(reader, &columns, &schema);
                while (done < 64 && record_next(reader, &back, &known))
                    done++;
                malformed += done < 64 || !column_reader_finished(reader);
            } else {
                refused++;
            }
            block.bytes[at] ^= (uint8_t)change;
        }
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_gt(malformed, 0);
    free(block.bytes);
    free(reader);
}

/* A reader unpacks many numbers at a time; what lies before damage is read all the same, and no record after it. */
TEST(columns, what_lies_before_damage_is_read)
{
    enum { COUNT = 2 * COLUMN_BATCH + 10, WHOLE = COLUMN_BATCH + 5 };
    struct event_schema schema;
    struct record records[COUNT], back;
    struct column_reader *reader = malloc(sizeof *reader);
    bool known;
    for (int i = 0; i < COUNT; i++)
        records[i] = (struct record){ GMPT_EVENT_proc_preempt, 1, { (uint64_t)i } };
    struct block block = block_make(records, COUNT);
    struct columns columns = block_parse(&block, COUNT);
    event_schema_init(&schema);
    memset(block.bytes + (columns.fields - block.bytes) + WHOLE, 0xff, LEB_MAX_BYTES); /* over 64 bits */
    column_reader_begin(reader, &columns, &schema);
    for (int i = 0; i < WHOLE; i++) {
        ck_assert(record_next(reader, &back, &known));
        ck_assert_mem_eq(back.fields, records[i].fields, sizeof back.fields);
    }
    ck_assert(!record_next(reader, &back, &known));
    ck_assert(!record_next(reader, &back, &known));
    free(block.bytes);
    free(reader);
}

TEST(columns, rows_that_are_no_records_are_refused)
{
    static const uint8_t rows[] = { GMPT_EVENT_go_start, 1, 0x85, 0x01, 2 };
    struct column_splitter *splitter = column_splitter_open();
    for (size_t size = 0; size < sizeof rows; size++)
        ck_assert_int_eq(column_splitter_split(splitter, rows, size, 1), -EPROTO);
    ck_assert_int_eq(column_splitter_split(splitter, rows, sizeof rows, 0), -EPROTO);
    ck_assert_int_eq(column_splitter_split(splitter, rows, sizeof rows, 2), -EPROTO);
    ck_assert_int_eq(column_splitter_split(splitter, rows, sizeof rows, 1), 0);
    uint8_t *many = calloc(1, 1000);
    memset(many, GMPT_EVENT_proc_stop, 1000);
    ck_assert_int_eq(column_splitter_split(splitter, many, 1000, 500), 0);
    ck_assert_int_eq(column_splitter_split(splitter, many, 1000, 499), -EPROTO);
    ck_assert_int_eq(column_splitter_split(splitter, many, 1000, 400), -EPROTO);
    ck_assert_int_eq(column_splitter_split(splitter, many, 1000, 501), -EPROTO);
    many[500] = 0xee;
    ck_assert_int_eq(column_splitter_split(splitter, many, 1000, 500), -EPROTO);
    free(many);
    column_splitter_close(splitter);
}

/* ---- In a file -------------------------------------------------------------------------------------------------- */

/* Columns that are damaged after their first records: these are given out, and the rest of the section is a gap. */
static void expect_damaged_columns(const char *columns, size_t size, uint32_t count, uint64_t events, const char *what)
{
    uint8_t content[256], body[128];
    uint8_t *b = events_begin(body, 0, 0, 10, count);
    memcpy(b, columns, size);
    uint8_t *p = section_make(content, FORMAT_EVENTS, body, (size_t)(b - body) + size);
    b = events_begin(body, 0, 1, 100, 1);
    memcpy(b, "\1\1\x09\0\x09\1", 6);
    p = section_make(p, FORMAT_EVENTS, body, (size_t)(b + 6 - body));
    p = section_make(p, FORMAT_END, "\1\0\0", 3);
    struct tracefile_result result = read_content(content, (size_t)(p - content));
    ck_assert_uint_eq(result.event_count, events + 1);
    ck_assert_uint_eq(result.counts.gaps, 1);
    ck_assert_msg(strstr(result.error.message, what) != NULL, "%s", result.error.message);
    ck_assert_int_eq(result.error.offset, FORMAT_HEAD_BYTES);
    ck_assert_int_eq(result.info.whole, 0);
    free(result.events);
}

TEST(columns, damage_in_a_column_of_times_ends_its_section_only)
{
    expect_damaged_columns("\3\1\x09\0\x09\x09\x09\1\1\x80", 10, 3, 2, "ring 0, a record is malformed");
    expect_damaged_columns("\3\1\x09\0\x09\x09\1\1\1", 9, 2, 2, "more in a column than its records have");
}

TEST(columns, damage_in_a_column_of_a_field_ends_its_section_only)
{
    expect_damaged_columns("\2\1\x08\1\2\x08\x08\1\1\2\xff", 11, 2, 1, "ring 0, a record is malformed");
    expect_damaged_columns("\2\1\x08\1\3\x08\x08\1\1\2\2\2", 12, 2, 2, "more in a column than its records have");
}

TEST(columns, a_code_that_no_kind_announces_is_damage)
{
    expect_damaged_columns("\3\1\x09\0\x09\x0a\x09\1\1\1", 10, 3, 1, "ring 0, a record is malformed");
}

TEST(columns, a_kind_with_other_fields_than_the_schema_says_is_damage)
{
    expect_damaged_columns("\2\2\x08\0\x09\0\x09\x08\1\1", 10, 2, 1, "ring 0, a record is malformed");
}
