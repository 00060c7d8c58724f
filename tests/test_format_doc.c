/* trace/FORMAT.md: its tables are generated from the event table, by
 *     SUITE=format_doc GMPT_WRITE_FORMAT=1 make check
 * and a test says when they are out of date. The prose before the tables is written by hand. */
#define _GNU_SOURCE
#include "harness.h"
#include "trace/events.h"
#include "tracefile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOC_PATH "trace/FORMAT.md"
#define MARK "<!-- From here on generated from events.def and reasons.def; see tests/test_format_doc.c. -->\n"

static const char *kind_doc(enum event_kind kind)
{
    switch (kind) {
    case EVENT_KIND_g:
        return "a G's id";
    case EVENT_KIND_seq:
        return "the number of the G's transition";
    case EVENT_KIND_stack:
        return "an ordinal in the ring's own stacks, 0 = not known; with ring + 1 in the upper 32 bits, in that ring's";
    case EVENT_KIND_addr:
        return "an address";
    case EVENT_KIND_num:
        return "a number";
    case EVENT_KIND_p:
        return "a P's index";
    case EVENT_KIND_reason:
        return "a wait reason";
    case EVENT_KIND_ns:
        return "clock ticks in the file, nanoseconds from the reader";
    case EVENT_KIND_string:
        return "the number of a string in the dictionary, 0 = none or no room";
    case EVENT_KIND_labels:
        return "the number of a label set in the dictionary, 0 = none or no room";
    case EVENT_KIND_text:
        return "up to 7 bytes of text, the first in the lowest byte";
    case EVENT_KINDS:
        break;
    }
    return "";
}

static char *doc_generate(void)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    fprintf(out,
            "%s\n## Field kinds\n\nEvery field is a number of at most 64 bits.\n\n| kind | meaning |\n|---|---|\n",
            MARK);
    for (int kind = 1; kind < EVENT_KINDS; kind++)
        fprintf(out, "| %s | %s |\n", event_kind_name((enum event_kind)kind), kind_doc((enum event_kind)kind));
    fprintf(out, "\n## Events\n\n| code | event | fields | meaning |\n|---|---|---|---|\n");
    for (int code = 0; code < GMPT_EVENT_CODES; code++) {
        if (!event_known(code))
            continue;
        const struct event_spec *spec = &event_specs[code];
        fprintf(out, "| 0x%02x | %s | ", code, spec->name);
        for (int i = 0; i < event_field_counts[code]; i++)
            fprintf(out, "%s%s (%s): %s", i ? "; " : "", spec->field[i].name, event_kind_name(spec->field[i].kind),
                    spec->field[i].doc);
        fprintf(out, " | %s |\n", spec->doc);
    }
    fprintf(out,
            "\n## Wait reasons\n\n\"Suspect\" means: a G that waits so without end, and without a deadline, may have "
            "leaked.\n\n| code | name | in words | suspect |\n|---|---|---|---|\n");
    for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++)
        fprintf(out, "| %d | %s | %s | %s |\n", reason, event_reason_name((uint64_t)reason),
                gmpt_wait_reason_words((enum gmpt_wait_reason)reason),
                gmpt_wait_reason_suspect((enum gmpt_wait_reason)reason) ? "yes" : "no");
    fclose(out);
    return text;
}

TEST(format_doc, the_tables_are_those_of_the_event_table)
{
    size_t size;
    char *doc = (char *)tracefile_slurp(DOC_PATH, &size);
    char *tables = strstr(doc, MARK), *wanted = doc_generate();
    ck_assert_msg(tables != NULL, DOC_PATH " has lost the line that begins its tables");
    if (getenv("GMPT_WRITE_FORMAT")) {
        FILE *out = fopen(DOC_PATH, "w");
        ck_assert_ptr_nonnull(out);
        fwrite(doc, 1, (size_t)(tables - doc), out);
        fputs(wanted, out);
        ck_assert_int_eq(fclose(out), 0);
    } else {
        ck_assert_msg(strcmp(tables, wanted) == 0,
                      DOC_PATH " is out of date: SUITE=format_doc GMPT_WRITE_FORMAT=1 make check");
    }
    free(wanted);
    free(doc);
}
