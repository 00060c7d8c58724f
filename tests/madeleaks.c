/* Making leak reports. See madeleaks.h. */
#define _GNU_SOURCE
#include "madeleaks.h"

#include "harness.h"

#include <stdlib.h>

struct source_root made_root = { MADE_ROOT };

void made_add(struct leak_report *report, const struct madeleak *leak)
{
    const char *file = leak->file ? leak->file : MADE_ROOT "/src/gate.c";
    int starts = leak->starts ? leak->starts : 10, waits = leak->waits ? leak->waits : 10;
    const char *worker = leak->worker ? leak->worker : "worker";
    struct place_frame created[] = {
        { "starter", file, 200 + leak->shift + starts, 200 + leak->shift, 0x2000, "/bin/gate", 0x200 },
        { "caller", file, 310 + leak->shift, 300 + leak->shift, 0x3000, "/bin/gate", 0x300 },
    };
    struct place_frame function = { worker, file, 100 + leak->shift, 100 + leak->shift, 0x1000, "/bin/gate", 0x100 };
    struct place_frame wait = function;
    wait.line += waits;
    struct leak_label label = { "tenant", "acme" };
    if (leak->nameless) {
        created[0].function = created[1].function = wait.function = function.function = NULL;
        created[0].file = created[1].file = wait.file = function.file = NULL;
        created[0].line = created[1].line = wait.line = function.line = 0;
    }
    struct leak_group finding = {
        .kind = leak->kind,
        .reason = leak->kind == LEAK_RUNAWAY ? GMPT_WAIT_none : GMPT_WAIT_chan_send,
        .function = function,
        .created = { created, 2 },
        .waits = { &wait, 1 },
        .count = leak->count ? leak->count : 1,
        .oldest_ns = leak->oldest_ns ? leak->oldest_ns : 1000000000,
        .newest_ns = leak->oldest_ns ? leak->oldest_ns : 1000000000,
        .held_bytes = -1,
        .example_g = 18,
        .example_object = 0xabc0,
        .example_owner = leak->kind == LEAK_CYCLE ? 19 : 0,
        .example_pid = leak->pid ? leak->pid : 7,
        .name = "w",
        .labels = &label,
        .label_count = 1,
    };
    ck_assert_int_eq(leak_report_add(report, &finding), 0);
}

void made_report(struct leak_report *report, const struct madeleak *leaks, size_t count)
{
    ck_assert_int_eq(leak_report_open(report), 0);
    report->command = "./gate --port 0";
    report->processes = 1;
    report->duration_ns = 1500000000;
    for (size_t i = 0; i < count; i++)
        made_add(report, &leaks[i]);
    ck_assert_int_eq(leak_report_sort(report), 0);
}

const char *made_text(const struct leak_report *report, void (*write)(const struct leak_view *view, FILE *file))
{
    static char *text;
    size_t size;
    free(text);
    FILE *file = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(file);
    const struct leak_view view = { report, &made_root, LEAK_KIND_BIT(LEAK_PROVEN) | LEAK_KIND_BIT(LEAK_CYCLE) };
    write(&view, file);
    ck_assert_int_eq(fclose(file), 0);
    return text;
}
