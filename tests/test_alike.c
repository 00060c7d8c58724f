/* Stacks are alike when a person would read the same in both. */
#include "harness.h"
#include "sample.h"

#include "cli/alike.h"

#include <stdio.h>

struct reading {
    struct gmpt_trace *trace;
    struct symbolizer *symbolizer;
    struct places *places;
    struct alike *alike;
};

/* A sample read to its end. Its odd stacks create, the even ones wait; each four lie within one line. */
static struct reading reading_open(const struct sample_options *options)
{
    struct reading reading;
    struct gmpt_trace_error error;
    struct gmpt_event event;
    char path[512];
    snprintf(path, sizeof path, "%s/sample.data", harness_tmpdir());
    sample_write(path, options);
    reading.trace = gmpt_trace_open(path, &error);
    ck_assert_msg(reading.trace != NULL, "%s", error.message);
    while (gmpt_trace_next(reading.trace, &event) > 0)
        ;
    ck_assert_uint_eq(gmpt_trace_stack_count(reading.trace), options->tail_called ? 5 : 8);
    reading.symbolizer = symbolizer_open(reading.trace);
    reading.places = places_open(reading.trace, reading.symbolizer);
    reading.alike = alike_open(reading.places);
    ck_assert_ptr_nonnull(reading.alike);
    return reading;
}

static void reading_close(struct reading *reading)
{
    alike_close(reading->alike);
    places_close(reading->places);
    symbolizer_close(reading->symbolizer);
    gmpt_trace_close(reading->trace);
}

TEST(alike, the_first_stack_of_a_line_stands_for_all)
{
    struct reading reading = reading_open(&(struct sample_options){ .leaks = 8, .scattered = true });
    ck_assert_uint_eq(alike_first(reading.alike, 5), 5);
    ck_assert_uint_eq(alike_first(reading.alike, 1), 5);
    ck_assert_uint_eq(alike_first(reading.alike, 7), 5);
    ck_assert_uint_eq(alike_first(reading.alike, 5), 5);
    reading_close(&reading);
}

TEST(alike, stacks_of_different_lines_differ)
{
    struct reading reading = reading_open(&(struct sample_options){ .leaks = 8, .scattered = true });
    ck_assert_uint_eq(alike_first(reading.alike, 1), 1);
    ck_assert_uint_eq(alike_first(reading.alike, 4), 4);
    ck_assert_uint_eq(alike_first(reading.alike, 2), 4);
    ck_assert_uint_eq(alike_first(reading.alike, 3), 1);
    reading_close(&reading);
}

TEST(alike, without_lines_the_address_decides)
{
    struct reading reading = reading_open(&(struct sample_options){ .leaks = 8, .no_modules = true });
    for (uint32_t stack = 1; stack <= 8; stack++)
        ck_assert_uint_eq(alike_first(reading.alike, stack), stack);
    for (uint32_t stack = 8; stack >= 1; stack--)
        ck_assert_uint_eq(alike_first(reading.alike, stack), stack);
    reading_close(&reading);
}

TEST(alike, stacks_without_a_frame_of_the_program_are_alike)
{
    struct reading reading = reading_open(&(struct sample_options){ .leaks = 8, .tail_called = true });
    ck_assert_uint_eq(alike_first(reading.alike, 1), 1);
    ck_assert_uint_eq(alike_first(reading.alike, 2), 2);
    ck_assert_uint_eq(alike_first(reading.alike, 999), 2);
    reading_close(&reading);
}
