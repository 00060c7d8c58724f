/* The event table's expansions: names, records there and back, and the schema that lets a reader skip what is new. */
#include "harness.h"
#include "trace/events.h"

#include <errno.h>
#include <string.h>

TEST(events, names_are_those_of_the_table)
{
    ck_assert_str_eq(gmpt_event_name(GMPT_EVENT_go_create), "go_create");
    ck_assert_str_eq(gmpt_event_name(GMPT_EVENT_syscall_exit), "syscall_exit");
    ck_assert_str_eq(gmpt_event_name((enum gmpt_event_type)0x7f), "unknown");
    ck_assert_str_eq(gmpt_event_name((enum gmpt_event_type)4000), "unknown");
}

TEST(events, every_event_is_found_by_its_name)
{
    int found = 0;
    for (int code = 0; code < GMPT_EVENT_CODES; code++) {
        if (!event_known(code))
            continue;
        found++;
        ck_assert_int_eq(event_find(event_specs[code].name, strlen(event_specs[code].name)), code);
    }
    ck_assert_int_ge(found, 17);
    ck_assert_int_eq(event_find("go_creat", 8), -1);
}

TEST(events, no_event_has_more_fields_than_there_is_room_for)
{
    for (int code = 0; code < GMPT_EVENT_CODES; code++) {
        ck_assert_int_le(event_field_counts[code], GMPT_EVENT_FIELDS_MAX);
        for (int i = 0; i < event_field_counts[code]; i++)
            ck_assert_ptr_nonnull(event_specs[code].field[i].name);
        ck_assert_ptr_null(event_specs[code].field[event_field_counts[code]].name);
    }
}

TEST(events, fields_by_number_are_fields_by_name)
{
    struct gmpt_event event = { .field = { 1, 2, 3, 4 } };
    ck_assert_uint_eq(event.go_block.reason, 1);
    ck_assert_uint_eq(event.go_block.object, 2);
    ck_assert_uint_eq(event.go_block.bounded, 3);
    ck_assert_uint_eq(event.go_block.stack, 4);
    ck_assert_int_eq(event_stack_field(GMPT_EVENT_go_block), 3);
    ck_assert_int_eq(event_stack_field(GMPT_EVENT_go_create), 2);
    ck_assert_int_eq(event_stack_field(GMPT_EVENT_go_exit), -1);
}

TEST(events, reasons_have_words_and_suspects)
{
    ck_assert_str_eq(gmpt_wait_reason_words(GMPT_WAIT_chan_recv), "chan receive");
    ck_assert_int_eq(gmpt_wait_reason_suspect(GMPT_WAIT_chan_recv), 1);
    ck_assert_int_eq(gmpt_wait_reason_suspect(GMPT_WAIT_sleep), 0);
    ck_assert_int_eq(gmpt_wait_reason_suspect((enum gmpt_wait_reason) - 1), 0);
    ck_assert_str_eq(gmpt_wait_reason_words((enum gmpt_wait_reason)99), "unknown");
    ck_assert_int_eq(event_reason_find("mutex"), GMPT_WAIT_mutex);
    ck_assert_int_eq(event_reason_find("mutex lock"), -1);
}

TEST(events, states_have_words)
{
    for (int state = GMPT_G_RUNNABLE; state < GMPT_G_STATES; state++)
        ck_assert_str_ne(gmpt_g_state_words((enum gmpt_g_state)state), "unknown");
    ck_assert_str_eq(gmpt_g_state_words((enum gmpt_g_state)0), "unknown");
}

static void check_round_trip(unsigned code, uint64_t delta, uint64_t seed, size_t tail)
{
    uint8_t bytes[2 * EVENT_BYTES_MAX];
    uint64_t in[GMPT_EVENT_FIELDS_MAX] = { 0 }, out[GMPT_EVENT_FIELDS_MAX], out_delta = 0;
    unsigned out_code = 0;
    memset(bytes, 0xff, sizeof bytes);
    for (int i = 0; i < event_field_counts[code]; i++)
        in[i] = seed >> (8 * i);
    uint8_t *end = event_encode(bytes, code, delta, in);
    ck_assert_ptr_eq(event_decode(bytes, end + tail, &out_code, &out_delta, out), end);
    ck_assert_uint_eq(out_code, code);
    ck_assert_uint_eq(out_delta, delta);
    ck_assert_mem_eq(in, out, sizeof in);
}

TEST(events, every_event_reads_back_at_the_end_and_before_it)
{
    static const uint64_t seeds[] = { 0, 1, 0x7f80, 0x123456789abcdef0, UINT64_MAX };
    for (unsigned code = 0; code < GMPT_EVENT_CODES; code++) {
        if (!event_known(code))
            continue;
        for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
            check_round_trip(code, seeds[i], seeds[i], 0);
            check_round_trip(code, seeds[i], seeds[i], EVENT_BYTES_MAX);
        }
    }
}

TEST(events, a_record_cut_anywhere_is_malformed)
{
    uint8_t bytes[EVENT_BYTES_MAX];
    uint64_t fields[GMPT_EVENT_FIELDS_MAX] = { 2, 0x7ffe00112233, 1, 300 }, delta;
    unsigned code;
    uint8_t *end = event_encode(bytes, GMPT_EVENT_go_block, 1000, fields);
    for (const uint8_t *cut = bytes; cut < end; cut++)
        ck_assert_ptr_null(event_decode(bytes, cut, &code, &delta, fields));
}

TEST(events, an_unknown_code_is_malformed_to_the_decoder)
{
    uint8_t bytes[2 * EVENT_BYTES_MAX] = { 0xee };
    uint64_t fields[GMPT_EVENT_FIELDS_MAX], delta;
    unsigned code;
    ck_assert_ptr_null(event_decode(bytes, bytes + 4, &code, &delta, fields));
    ck_assert_ptr_null(event_decode(bytes, bytes + sizeof bytes, &code, &delta, fields));
}

TEST(events, the_schema_reads_back_as_our_own)
{
    char text[4096];
    struct event_schema own, read;
    size_t size = event_schema_print(text, sizeof text);
    ck_assert_uint_lt(size, sizeof text);
    ck_assert_uint_eq(strlen(text), size);
    event_schema_init(&own);
    memset(&read, 0xee, sizeof read);
    ck_assert_int_eq(event_schema_parse(&read, text, size), 0);
    ck_assert_mem_eq(own.native, read.native, sizeof own.native);
}

TEST(events, an_event_with_other_fields_is_not_ours)
{
    static const char text[] = "event 0x12 go_yield num:why\nevent 0x16 went_away\nevent 0x11 go_start g:g seq:seq\n";
    struct event_schema schema;
    ck_assert_int_eq(event_schema_parse(&schema, text, sizeof text - 1), 0);
    ck_assert(!schema.native[GMPT_EVENT_go_yield]);
    ck_assert(!schema.native[GMPT_EVENT_go_exit]);
    ck_assert(schema.native[GMPT_EVENT_go_start]);
    ck_assert(!schema.native[GMPT_EVENT_go_create]);
}

TEST(events, a_malformed_schema_is_refused_and_changes_nothing)
{
    static const char *const texts[] = { "event",
                                         "event \n",
                                         "event 0x10\n",
                                         "event 300 x\n",
                                         "event zz x\n",
                                         "event 0x10 x field\n",
                                         "event 123456789 x\n",
                                         "event 0 x\n" };
    for (size_t i = 1; i < sizeof texts / sizeof texts[0]; i++) {
        struct event_schema schema;
        event_schema_init(&schema);
        ck_assert_msg(event_schema_parse(&schema, texts[i], strlen(texts[i])) == -EPROTO, "%s", texts[i]);
        ck_assert(schema.native[GMPT_EVENT_go_create]);
    }
}

TEST(events, lines_of_other_kinds_in_a_schema_are_left_alone)
{
    static const char text[] = "kind colour 3\n\nevent 0x16 go_exit\nevents";
    struct event_schema schema;
    ck_assert_int_eq(event_schema_parse(&schema, text, sizeof text - 1), 0);
    ck_assert(schema.native[GMPT_EVENT_go_exit]);
}
