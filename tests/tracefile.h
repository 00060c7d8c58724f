/* Trace files for tests: from canonical text, from bytes, and read back as text. */
#ifndef GMPT_TRACEFILE_H
#define GMPT_TRACEFILE_H

#include <gmptrace/trace.h>

#include <stddef.h>
#include <stdint.h>

/* Two Ps, whose rings are 0 and 1; ring 2 is the no-P ring. A tick is a nanosecond. */
#define TRACEFILE_HEAD "pid 7\np_count 2\nclock_kind monotonic\ncommand ./prog -x\nhost box\n"

/* Makes a file from canonical text (text.h), or fails the test. The path lives until the next call. */
const char *tracefile_build(const char *text);
/* Makes a file from bytes, likewise. */
const char *tracefile_write(const uint8_t *bytes, size_t size);
/* The whole of a file. The caller frees it. */
uint8_t *tracefile_slurp(const char *path, size_t *size);

/* What reading a file to its end gave. */
struct tracefile_result {
    char *events; /* a line for each; "open failed" when it could not be opened */
    uint64_t event_count;
    int last_result; /* of gmpt_trace_next */
    uint64_t gs_alive;
    uint32_t stack_count;
    struct gmpt_trace_counts counts;
    struct gmpt_trace_info info; /* its strings are gone */
    struct gmpt_trace_error error;
};

/* Reads a file to its end. The caller frees events. */
struct tracefile_result tracefile_read(const char *path);
/* The same for canonical text. */
struct tracefile_result tracefile_run(const char *text);
/* The lines of text's events without their times: "P0 G1 go_start g=1 seq=2\n...". The caller frees it. */
char *tracefile_story(const char *text);

#endif
