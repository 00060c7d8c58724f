/* See reading.h. The clock is read once in so many events. */
#include "reading.h"

#include "cli.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FIRST_NS 1000000000
#define STEP_NS 200000000

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void reading_begin(struct reading *reading, const struct gmpt_trace *trace)
{
    *reading = (struct reading){ .trace = trace, .terminal = isatty(STDERR_FILENO) != 0 };
    if (reading->terminal)
        reading->next_ns = now_ns() + FIRST_NS;
}

void reading_look(struct reading *reading, int64_t time_ns)
{
    int64_t now = now_ns(), whole_ns = gmpt_trace_info(reading->trace)->expected_duration_ns;
    if (now < reading->next_ns)
        return;
    reading->next_ns = now + STEP_NS;
    reading->shown = true;
    char at[16], of[16];
    if (whole_ns > 0 && time_ns >= 0 && time_ns <= whole_ns)
        fprintf(stderr, "\rgmptrace %s: %s of %s (%d %%) ", cli_current->name, cli_duration(at, time_ns),
                cli_duration(of, whole_ns), (int)((double)time_ns * 100 / (double)whole_ns));
    else
        fprintf(stderr, "\rgmptrace %s: %s ", cli_current->name, cli_duration(at, time_ns));
    fflush(stderr);
}

void reading_end(struct reading *reading)
{
    if (reading->shown)
        fputs("\r\033[K", stderr);
}
