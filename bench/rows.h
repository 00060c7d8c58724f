/* What the bench programs share: which rows were asked for, how a row is printed, and helpers that end the program when
 * they cannot do what they are for. bench/rows.txt lists all rows. */
#ifndef GMPT_ROWS_H
#define GMPT_ROWS_H

#include <gmptrace/gmpt.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char **rows_wanted; /* main's argv + 1: NULL-terminated, empty = all */

static inline bool row_is_wanted(const char *name)
{
    for (char **one = rows_wanted; *one; one++)
        if (strcmp(*one, name) == 0)
            return true;
    return !*rows_wanted;
}

static inline void row_print(const char *name, double value)
{
    printf("%s %.2f\n", name, value);
    fflush(stdout);
}

/* Starts a G that will call gmpt_waitgroup_done(group) once. */
static inline void row_start(struct gmpt_waitgroup *group, void (*fn)(void *args), const void *args, size_t size)
{
    gmpt_waitgroup_add(group, 1);
    int64_t id = gmpt_go(fn, args, size);
    if (id < 0) {
        fprintf(stderr, "bench: cannot start a goroutine: %s\n", strerror((int)-id));
        exit(1);
    }
}

static inline void *row_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory) {
        perror("bench");
        exit(1);
    }
    return memory;
}

static inline int row_compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts the values; returns the one below which so many hundredths of them lie. */
static inline int64_t row_percentile(int64_t *values, size_t count, unsigned percent)
{
    qsort(values, count, sizeof *values, row_compare_ns);
    return values[count * percent / 100];
}

#endif
