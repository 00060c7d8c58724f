/* A line at the bottom of the terminal that tells how a recording goes on, drawn once a second.
 *
 * It is there only when standard error is a terminal, of which this process has the foreground, and which is no dumb
 * one. It is made of blanks and carriage returns, and leaves the cursor at its start, so what the program prints takes
 * its place. Whoever writes a message calls progress_erase before. */
#ifndef GMPT_PROGRESS_H
#define GMPT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROGRESS_COLUMNS 79

struct progress {
    bool wanted;
    size_t columns;   /* of the line that is there, 0 = none */
    int64_t drawn_ns; /* CLOCK_MONOTONIC: when it was drawn, or would have been */
    uint64_t events;  /* that it told of */
};

struct progress_counts {
    uint64_t events, lost, file_bytes;
};

/* From now on: the first line comes in a second. */
void progress_begin(struct progress *progress);

/* Draws the line anew when it is time to. */
void progress_show(struct progress *progress, const struct progress_counts *counts);

void progress_erase(struct progress *progress);

/* What the line says, without what draws it; returns its columns, at most PROGRESS_COLUMNS. */
size_t progress_text(char text[PROGRESS_COLUMNS + 1], const struct progress_counts *counts, uint64_t events_before,
                     int64_t elapsed_ns);

#endif
