/* What the files of `gmptrace analyze` share. */
#ifndef GMPT_ANALYZE_H
#define GMPT_ANALYZE_H

#include "load.h"

#include "analysis/analysis.h"

struct analyze {
    struct load load;
    struct analysis *analysis;
    bool windowed, filtered;
    size_t rows; /* that a table has at most */
};

/* A part that can be asked for by its name. */
struct analyze_section {
    const char *name, *about;
    bool usual; /* shown without being asked for */
    void (*print)(const struct analyze *analyze);
};
extern const struct analyze_section analyze_sections[]; /* ends with a name of NULL */

/* What the trace is of, and how exact. */
void analyze_head(const struct analyze *analyze);
void analyze_head_json(const struct analyze *analyze);
/* The sections of the program's totals. */
void analyze_findings(const struct analyze *analyze);
void analyze_states(const struct analyze *analyze);
void analyze_scheduler(const struct analyze *analyze);
void analyze_starts(const struct analyze *analyze);
void analyze_own(const struct analyze *analyze);
void analyze_cpu(const struct analyze *analyze);
void analyze_suspects(const struct analyze *analyze);
void analyze_kernel(const struct analyze *analyze);

/* The sentence of a finding, without where and when. */
void analyze_finding_text(const struct analyze *analyze, const struct finding *finding, char *text, size_t size);
const char *analyze_severity(enum finding_severity severity); /* "warning" */
const char *analyze_tier(uint32_t tier);                      /* "detached"; "none" */
void analyze_findings_json(const struct analyze *analyze);

/* The members of the JSON object from "totals" on. */
void analyze_json(const struct analyze *analyze);
void analyze_kernel_json(const struct analyze *analyze);
void analyze_sections_json(const struct analyze *analyze);

/* So that short file names are told apart: before anything is printed. */
void analyze_places_look(const struct analyze *analyze);

#endif
