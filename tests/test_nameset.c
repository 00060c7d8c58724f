/* The dictionary on its way from the segment through the file into the reader. */
#define _GNU_SOURCE
#include "harness.h"

#include "trace/drain.h"
#include "trace/nameset.h"
#include "trace/ring.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct segment target, outside;
static struct ring ring;
static struct drain *drain;
static struct writer *writer;
static char path[256];

static void open_all(void)
{
    const char *why;
    struct writer_info info = { .p_count = 1, .clock = SEGMENT_CLOCK_MONOTONIC, .command = "test", .host = "host" };
    memset(&target, 0, sizeof target);
    ck_assert_int_eq(segment_create(&target, -1, 1, 4 * SUBBUFFER_BYTES, 16), 0);
    target.header->clock = SEGMENT_CLOCK_MONOTONIC;
    segment_publish(&target);
    ck_assert_int_eq(segment_open(&outside, target.fd, &why), 0);
    ring_init(&ring, &target, 0);
    drain = drain_open(&outside, 0, false);
    snprintf(path, sizeof path, "%s/names.data", harness_tmpdir());
    writer = writer_open(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), &info, 1);
    ck_assert(drain && writer);
}

static void close_all(void)
{
    int fd = target.fd;
    drain_close(drain);
    segment_close(&outside);
    segment_close(&target);
    close(fd);
}

static void name_add(const char *name)
{
    uint64_t used = load_relaxed(&target.header->dictionary_used), *entry = target.dictionary + used;
    entry[0] = dictionary_head(DICTIONARY_STRING, (uint32_t)strlen(name));
    strcpy((char *)(entry + 1), name);
    store_release(&target.header->dictionary_used, used + 1 + dictionary_content_words(entry[0]));
}

static void drain_once(void)
{
    struct writer_clock clock = { 1, 1, 1 };
    drain_begin(drain);
    ck_assert(drain_collect(drain));
    ck_assert_int_eq(drain_write(drain, writer, &clock), 0);
}

TEST(nameset, names_come_before_the_records_that_have_them)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    char name[32];
    open_all();
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "name %u", i);
        name_add(name);
        ring_emit(&ring, GMPT_EVENT_user_region_end, 1000, 1, i + 1, 0, 0, 0);
        if (i % 1700 == 0)
            drain_once();
    }
    drain_once();
    ck_assert_int_eq(writer_close(writer), 0);
    ck_assert_uint_eq(drain_counts(drain).damaged, 0);
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_ptr_nonnull(trace);
    for (unsigned i = 0; i < 5000; i++) {
        ck_assert_int_eq(gmpt_trace_next(trace, &event), 1);
        snprintf(name, sizeof name, "name %u", i);
        ck_assert_str_eq(gmpt_trace_string(trace, event.user_region_end.name), name);
    }
    gmpt_trace_close(trace);
    close_all();
}

TEST(nameset, a_broken_dictionary_is_damage_once)
{
    for (int how = 0; how < 4; how++) {
        open_all();
        name_add("whole");
        uint64_t used = load_relaxed(&target.header->dictionary_used);
        target.dictionary[used] = how == 0 ? 0 : dictionary_head(DICTIONARY_STRING, how == 1 ? 300 : 8);
        if (how == 3)
            used = UINT64_MAX / 16;
        store_relaxed(&target.header->dictionary_used, used + 1); /* 2: the entry is cut off */
        ring_emit(&ring, GMPT_EVENT_go_yield, 1000, 0, 0, 0, 0, 0);
        drain_once();
        drain_once();
        ck_assert_uint_eq(drain_counts(drain).damaged, 1);
        ck_assert_uint_eq(drain_counts(drain).kept, 1);
        ck_assert_ptr_nonnull(strstr(drain_damage(drain), "dictionary"));
        ck_assert_int_eq(writer_close(writer), 0);
        close_all();
    }
}

/* ---- The reader's side ---- */

static struct section_name string_name(uint32_t number, const char *text)
{
    return (struct section_name){
        .number = number, .kind = DICTIONARY_STRING, .count = (uint32_t)strlen(text), .bytes = (const uint8_t *)text
    };
}

TEST(nameset, the_first_with_a_number_stays)
{
    struct nameset set = { 0 };
    struct section_name first = string_name(70, "first"), second = string_name(70, "second");
    ck_assert_int_eq(nameset_add(&set, &first), 0);
    const char *text = nameset_string(&set, 70);
    ck_assert_int_eq(nameset_add(&set, &second), 0);
    for (uint32_t i = 1; i < 70; i++) {
        struct section_name other = string_name(i * 1000, "other");
        ck_assert_int_eq(nameset_add(&set, &other), 0);
    }
    ck_assert_ptr_eq(nameset_string(&set, 70), text);
    ck_assert_str_eq(text, "first");
    ck_assert_str_eq(nameset_string(&set, 71), "");
    ck_assert_str_eq(nameset_string(&set, UINT64_MAX), "");
    nameset_clear(&set);
}

TEST(nameset, numbers_have_a_limit)
{
    struct nameset set = { 0 };
    struct section_name last = string_name(NAMESET_ENTRIES_MAX, "last"),
                        over = string_name(NAMESET_ENTRIES_MAX + 1, "x"), far = string_name(UINT32_MAX, "x");
    ck_assert_int_eq(nameset_add(&set, &last), 0);
    ck_assert_int_eq(nameset_add(&set, &over), 0);
    ck_assert_int_eq(nameset_add(&set, &far), 0);
    ck_assert_uint_eq(set.refused, 2);
    ck_assert_str_eq(nameset_string(&set, NAMESET_ENTRIES_MAX), "last");
    ck_assert_str_eq(nameset_string(&set, UINT32_MAX), "");
    nameset_clear(&set);
}

TEST(nameset, a_section_that_is_cut_off_anywhere_is_refused)
{
    static const uint8_t whole[] = { 7, DICTIONARY_STRING, 3, 'a', 'b', 'c', DICTIONARY_LABELS, 2, 1, 2, 3, 200, 1 };
    struct section section = { FORMAT_DICTIONARY, whole, whole + sizeof whole };
    struct section_dictionary dictionary;
    struct section_name name;
    ck_assert_int_eq(section_dictionary_begin(&section, &dictionary), 0);
    ck_assert_int_eq(section_dictionary_next(&dictionary, &name), 1);
    ck_assert_uint_eq(name.number, 7);
    ck_assert_int_eq(section_dictionary_next(&dictionary, &name), 1);
    ck_assert_uint_eq(name.number, 8);
    ck_assert_uint_eq(name.pairs[1], 3ull << 32 | 200);
    ck_assert_int_eq(section_dictionary_next(&dictionary, &name), 0);
    for (size_t size = 0; size < sizeof whole; size++) {
        section.end = whole + size;
        int result = section_dictionary_begin(&section, &dictionary), entries = 0;
        while (result == 0 && (result = section_dictionary_next(&dictionary, &name)) > 0)
            result = 0, entries++;
        if (size == 1 || size == 6) /* between two entries it is whole */
            ck_assert_int_eq(result, 0);
        else
            ck_assert_int_lt(result, 0);
        ck_assert_int_le(entries, 1);
    }
}
