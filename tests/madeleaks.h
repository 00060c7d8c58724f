/* Leak reports made by hand, for tests of what prints and matches them. */
#ifndef GMPT_MADELEAKS_H
#define GMPT_MADELEAKS_H

#include "cli/leakforms.h"

/* Of a goroutine `worker` in ROOT/src/gate.c, whose function begins at line 100 and waits `waits` lines below; it was
 * started in `starter` of the same file, which begins at line 200, `starts` lines below. */
struct madeleak {
    enum leak_kind kind;
    uint64_t count;     /* 0 = 1 */
    int starts, waits;  /* 0 = 10 */
    int shift;          /* all lines of the file have moved by so many */
    const char *worker; /* NULL = "worker" */
    const char *file;   /* NULL = as above */
    uint32_t pid;       /* 0 = 7 */
    int64_t oldest_ns;  /* 0 = 1 s */
    bool nameless;      /* nothing is known but addresses */
};

#define MADE_ROOT "/src/project"

extern struct source_root made_root;

/* Adds it to the report, with a label tenant=acme and the name "w". */
void made_add(struct leak_report *report, const struct madeleak *leak);

/* A report with these, sorted. */
void made_report(struct leak_report *report, const struct madeleak *leaks, size_t count);
#define MADE_REPORT(report, ...)                                                                                       \
    made_report(report, (const struct madeleak[]){ __VA_ARGS__ },                                                      \
                sizeof((const struct madeleak[]){ __VA_ARGS__ }) / sizeof(struct madeleak))

/* What a form writes of a report of which proven and cycle fail; valid until the next call. */
const char *made_text(const struct leak_report *report, void (*write)(const struct leak_view *view, FILE *file));

#endif
