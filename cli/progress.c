/* Draws and erases the line of a recording that goes on. See progress.h. */
#include "progress.h"

#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NS 1000000000

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Another process group may have got the foreground meanwhile. A terminal that is not ours by job control has none. */
static bool may_draw(void)
{
    pid_t foreground = tcgetpgrp(STDERR_FILENO);
    return foreground < 0 || foreground == getpgrp();
}

static size_t columns_fit(size_t columns)
{
    struct winsize window;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 && columns >= window.ws_col)
        return window.ws_col - 1u; /* in the last column some terminals begin another line */
    return columns;
}

void progress_begin(struct progress *progress)
{
    const char *terminal = getenv("TERM");
    *progress = (struct progress){
        .wanted = isatty(STDERR_FILENO) && !(terminal && strcmp(terminal, "dumb") == 0),
        .drawn_ns = now_ns(),
    };
}

size_t progress_text(char text[PROGRESS_COLUMNS + 1], const struct progress_counts *counts, uint64_t events_before,
                     int64_t elapsed_ns)
{
    char rate[32], events[32], lost[32], size[32];
    uint64_t added = counts->events > events_before ? counts->events - events_before : 0;
    double a_second = elapsed_ns > 0 ? (double)added * 1e9 / (double)elapsed_ns : 0;
    int length = snprintf(text, PROGRESS_COLUMNS + 1, "%s events/s, %s events, %s lost, %s",
                          cli_count(rate, a_second < 1e18 ? (uint64_t)a_second : UINT64_MAX),
                          cli_count(events, counts->events), cli_count(lost, counts->lost),
                          cli_size(size, counts->file_bytes));
    return length < PROGRESS_COLUMNS ? (size_t)length : PROGRESS_COLUMNS;
}

void progress_show(struct progress *progress, const struct progress_counts *counts)
{
    char text[PROGRESS_COLUMNS + 1];
    int64_t now = progress->wanted ? now_ns() : 0, elapsed_ns = now - progress->drawn_ns;
    if (!progress->wanted || elapsed_ns < INTERVAL_NS)
        return;
    size_t before = progress->columns;
    size_t columns = columns_fit(progress_text(text, counts, progress->events, elapsed_ns));
    progress->drawn_ns = now;
    progress->events = counts->events;
    progress->columns = 0;
    if (!may_draw())
        return;
    size_t rest = before > columns ? before - columns : 0;
    fprintf(stderr, "\r%.*s%*s\r", (int)columns, text, (int)rest, "");
    fflush(stderr);
    progress->columns = columns;
}

void progress_erase(struct progress *progress)
{
    if (progress->columns == 0)
        return;
    if (may_draw())
        fprintf(stderr, "\r%*s\r", (int)columns_fit(progress->columns), "");
    progress->columns = 0;
}
