/* The texts of places, each made once. */
#include "cli/captions.h"
#include "harness.h"
#include "tracefile.h"

#include <stdio.h>
#include <string.h>

static struct gmpt_trace *trace;
static struct symbolizer *symbolizer;
static struct places *places;
static struct captions *captions;

static void opened(void)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    trace = gmpt_trace_open(tracefile_build(TRACEFILE_HEAD
                                            "frame\nclock 1000 1000 1700000000000000000\n"
                                            "stack 0 1 0x1010 0x1011\nstack 0 2 0x1020 0x1021\n"
                                            "events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=7 lost=0\n"
                                            "  0 proc_start tid=7\n"
                                            "end 1 0\nring 1 0 0\nring 0 0 0\nring 0 0 0\n"),
                            &error);
    ck_assert_ptr_nonnull(trace);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    symbolizer = symbolizer_open(trace);
    places = places_open(trace, symbolizer);
    captions = captions_open(trace, places);
    ck_assert_ptr_nonnull(captions);
}

static void closed(void)
{
    captions_close(captions);
    captions_close(NULL);
    places_close(places);
    symbolizer_close(symbolizer);
    gmpt_trace_close(trace);
}

TEST(captions, a_stack_has_one_text)
{
    opened();
    const char *first = captions_stack(captions, 1);
    ck_assert_str_eq(first, "0x1011");
    ck_assert_str_eq(captions_stack(captions, 2), "0x1021");
    ck_assert_ptr_eq(captions_stack(captions, 1), first);
    closed();
}

TEST(captions, what_is_no_stack_is_not_known)
{
    opened();
    ck_assert_str_eq(captions_stack(captions, 0), "?");
    ck_assert_str_eq(captions_stack(captions, 3), "?");
    ck_assert_str_eq(captions_stack(captions, UINT32_MAX), "?");
    closed();
}

TEST(captions, a_function_has_one_text)
{
    opened();
    const char *first = captions_function(captions, 0x10);
    ck_assert_str_eq(first, "0x10");
    ck_assert_str_eq(captions_function(captions, 0x20), "0x20");
    ck_assert_ptr_eq(captions_function(captions, 0x10), first);
    closed();
}

/* A file can name as many functions as it has events. */
TEST(captions, functions_past_the_most_have_texts_too)
{
    opened();
    const char *first = captions_function(captions, 1);
    char expected[32];
    for (uint64_t fn = 2; fn < CAPTIONS_FUNCTIONS_MAX + 10; fn++) {
        const char *text = captions_function(captions, fn);
        if (fn > CAPTIONS_FUNCTIONS_MAX - 10) {
            snprintf(expected, sizeof expected, "0x%llx", (unsigned long long)fn);
            ck_assert_str_eq(text, expected);
        }
    }
    ck_assert_ptr_eq(captions_function(captions, 1), first);
    closed();
}
