/* The forms of a leak report. Each writes the whole of a sorted report. */
#ifndef GMPT_LEAKFORMS_H
#define GMPT_LEAKFORMS_H

#include "leakreport.h"
#include "sourceroot.h"

#include <stdio.h>

/* How reports are shown. */
struct leak_view {
    const struct leak_report *report;
    const struct source_root *root;
    unsigned fail_on; /* LEAK_KIND_BIT: what counts as a failure; the rest is told of, and no more */
};

/* Whether this group makes the check fail. */
bool leak_view_fails(const struct leak_view *view, const struct leak_group *group);
/* The frame's file as the repository knows it; NULL when no file is known. */
const char *leak_view_file(const struct leak_view *view, const struct place_frame *frame, char buffer[PATH_MAX]);
/* "gateway.c:136", or "gateway+0x1234". Returns buffer. */
const char *leak_view_place(const struct leak_view *view, const struct place_frame *frame, char buffer[PATH_MAX]);

/* For a person. */
void leak_text_write(const struct leak_view *view, FILE *file);

/* One object, as schema/leaks.schema.json describes it. */
void leak_json_write(const struct leak_view *view, FILE *file);

/* JUnit's XML: a test case for each group, and one that passes when there is none that fails. */
void leak_junit_write(const struct leak_view *view, FILE *file);

/* SARIF 2.1.0, within the limits of GitHub's code scanning. What is suppressed is left out, since GitHub would show it
 * all the same. */
void leak_sarif_write(const struct leak_view *view, FILE *file);

/* GitHub's workflow commands: an annotation for each of the worst groups, ten at most, which is what one step may
 * have. */
void leak_github_write(const struct leak_view *view, FILE *file);
/* And all of them as Markdown, for the summary of the step. */
void leak_markdown_write(const struct leak_view *view, FILE *file);

/* A pprof profile with the sample type goroutineleak/count, gzipped, of the places where they wait. Returns 0 or
 * -errno. */
int leak_profile_write(const struct leak_view *view, FILE *file);

#endif
