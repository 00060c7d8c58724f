/* The language of --filter: what it chooses, and what it says of mistakes. */
#include "harness.h"
#include "tracefile.h"

#include "trace/filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct interval_g some_g = { .id = 12, .parent = 1, .fn = 0x5000, .labels = 5, .name = 4 };
static const struct interval wait = {
    .g = &some_g,
    .begin_ns = 1000,
    .end_ns = 7000,
    .state = GMPT_G_WAITING,
    .reason = GMPT_WAIT_chan_recv,
    .object = 0xc000,
    .stack = 3,
    .p = 1,
    .waker = 40,
};

static bool called(void *arg, const struct interval *interval, const char *text, bool part)
{
    (void)arg;
    (void)interval;
    return part ? strstr("compute_worker", text) != NULL : strcmp("compute_worker", text) == 0;
}

static bool chooses(const struct gmpt_trace *trace, const char *text, const struct interval *interval)
{
    struct filter_error error;
    struct filter_names names = { .trace = trace, .function = called };
    struct filter *filter = filter_parse(text, &error);
    ck_assert_msg(filter != NULL, "%s: column %zu, %s", text, error.column, error.message);
    bool result = filter_match(filter, &names, interval);
    filter_free(filter);
    return result;
}

TEST(filter, compares_numbers_states_and_reasons)
{
    static const char *const yes[] = {
        "g=12",
        "g=G12",
        "g != 13",
        "g<13",
        "g<=12",
        "g >= 12",
        "parent=1",
        "waker=G40",
        "p=1",
        "p=P1",
        "p>-1",
        "dur=6us",
        "dur>5.999us",
        "dur<7us",
        "dur != 6ns",
        "object=0xc000",
        "object=49152",
        "state=waiting",
        "state!=running",
        "reason=chan_recv",
        "reason=chan_receive",
        "reason=\"chan receive\"",
        "reason != chan_send",
        " \tg = 12 ",
    };
    static const char *const no[] = {
        "g=1",
        "g>12",
        "g!=12",
        "parent>1",
        "waker=0",
        "p=-1",
        "p=0",
        "dur>6us",
        "dur<=5ms and dur>5us and dur<6us",
        "object!=0xc000",
        "state=running",
        "state=lost",
        "reason=none",
        "reason=mutex",
    };
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        ck_assert_msg(chooses(NULL, yes[i], &wait), "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        ck_assert_msg(!chooses(NULL, no[i], &wait), "%s", no[i]);
}

TEST(filter, not_binds_closer_than_and_and_that_than_or)
{
    ck_assert(chooses(NULL, "g=12 or g=1 and g=2", &wait));
    ck_assert(!chooses(NULL, "(g=12 or g=1) and g=2", &wait));
    ck_assert(chooses(NULL, "not g=1 and g=12", &wait));
    ck_assert(!chooses(NULL, "not (g=1 or g=12)", &wait));
    ck_assert(chooses(NULL, "not not g=12", &wait));
    ck_assert(chooses(NULL, "g=1 and g=2 or p=0 and p=1 or dur>1us", &wait));
    ck_assert(chooses(NULL, "((g=12))and(p=1)", &wait));
}

TEST(filter, asks_for_functions)
{
    ck_assert(chooses(NULL, "function=compute_worker", &wait));
    ck_assert(!chooses(NULL, "function=compute", &wait));
    ck_assert(chooses(NULL, "function~compute", &wait));
    ck_assert(!chooses(NULL, "function!~compute", &wait));
    ck_assert(chooses(NULL, "function != main", &wait));
    struct filter_error error;
    struct filter *filter = filter_parse("function~compute", &error);
    ck_assert(!filter_match(filter, &(struct filter_names){ 0 }, &wait));
    filter_free(filter);
}

TEST(filter, knows_labels_and_names)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    const char *text =
        TRACEFILE_HEAD "frame\nclock 1000 1000 1000\nstring 1 tenant\nstring 2 acme\nstring 3 a \"b\" key\n"
                       "string 4 worker 7\nlabels 5 1=2 3=4\n"
                       "events ring=0 sequence=0 offset=0 base=0 g=0 seq=0 tid=1 lost=0\n"
                       "5 go_create g=1 fn=0x10 stack=0\nend 1 0\n";
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_build(text), &error);
    ck_assert_ptr_nonnull(trace);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    ck_assert(chooses(trace, "label.tenant=acme", &wait));
    ck_assert(chooses(trace, "label.tenant~cm", &wait));
    ck_assert(!chooses(trace, "label.tenant!=acme", &wait));
    ck_assert(chooses(trace, "label.\"a \\\"b\\\" key\" = \"worker 7\"", &wait));
    ck_assert(!chooses(trace, "label.other=acme", &wait));
    ck_assert(!chooses(trace, "label.other~\"\"", &wait));
    ck_assert(chooses(trace, "label.other!=acme", &wait));
    ck_assert(chooses(trace, "name=\"worker 7\" and name~worker and name!~8", &wait));
    struct interval_g nameless = { .id = 1 };
    struct interval other = { .g = &nameless };
    ck_assert(chooses(trace, "name=\"\"", &other));
    ck_assert(!chooses(trace, "label.tenant=acme", &other));
    gmpt_trace_close(trace);
}

TEST(filter, says_what_is_wrong_and_where)
{
    static const struct {
        const char *text;
        size_t column;
        const char *message;
    } cases[] = {
        { "", 1, "a comparison is missing at the end" },
        { "  ", 3, "a comparison is missing at the end" },
        { "g=1 and", 8, "a comparison is missing at the end" },
        { "g=1 and and g=2", 9, "'and' is no field" },
        { "tenant=acme", 1, "'tenant' is no field; it must be g, parent," },
        { "g", 2, "after g an operator is missing" },
        { "g 12", 3, "after g an operator is missing" },
        { "g=", 3, "the value is missing" },
        { "g = )", 5, "the value is missing" },
        { "g=x", 3, "'x' is not a goroutine's number" },
        { "g=-1", 3, "'-1' is not a goroutine's number" },
        { "g=99999999999999999999999", 3, "is not a goroutine's number" },
        { "p=Q", 3, "'Q' is not a P's number" },
        { "dur>5", 5, "'5' is not a time with a unit" },
        { "dur>5 ms", 5, "'5' is not a time with a unit" },
        { "dur~5ms", 4, "'~' does not go with dur" },
        { "state<running", 6, "'<' does not go with state" },
        { "name>x", 5, "'>' does not go with name" },
        { "state=idle", 7, "'idle' is not a state" },
        { "state=dead", 7, "'dead' is not a state" },
        { "reason=chan", 8, "'chan' is not what a goroutine can wait for" },
        { "object=zz", 8, "'zz' is not an address" },
        { "g=1 g=2", 5, "'and' or 'or' is missing" },
        { "g=1)", 4, "this parenthesis closes none" },
        { "(g=1", 1, "the parenthesis is not closed" },
        { "(g=1 g=2)", 6, "'and', 'or' or ')' is missing" },
        { "()", 2, "a comparison is missing before ')'" },
        { "name=\"x", 6, "the quote does not end" },
        { "label.=x", 7, "the label's name is missing" },
        { "not", 4, "a comparison is missing at the end" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct filter_error error;
        errno = 0;
        ck_assert_msg(filter_parse(cases[i].text, &error) == NULL && errno == EINVAL, "'%s' is taken", cases[i].text);
        ck_assert_msg(error.column == cases[i].column && strstr(error.message, cases[i].message),
                      "'%s': column %zu, %s", cases[i].text, error.column, error.message);
    }
}

TEST(filter, of_any_length_and_depth_is_no_danger)
{
    static char text[200000];
    struct filter_error error;
    memset(text, '(', sizeof text - 1);
    ck_assert_ptr_null(filter_parse(text, &error));
    ck_assert_str_eq(error.message, "it is nested too deeply");
    text[0] = 0;
    for (size_t used = 0; used + 32 < sizeof text;)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s", "not ");
    ck_assert_ptr_null(filter_parse(text, &error));
    ck_assert_str_eq(error.message, "it is nested too deeply");
    for (size_t used = 0; used + 32 < sizeof text;)
        used += (size_t)snprintf(text + used, sizeof text - used, "g=1 or ");
    strcat(text, "g=1");
    ck_assert_ptr_null(filter_parse(text, &error));
    ck_assert_str_eq(error.message, "it is too long");
    text[7 * 300] = 0;
    strcat(text, "g=12");
    ck_assert(chooses(NULL, text, &wait));
    memset(text, 'x', sizeof text - 1);
    ck_assert_ptr_null(filter_parse(text, &error));
}
