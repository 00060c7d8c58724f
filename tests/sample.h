/* Small trace files made by hand, for tests of the commands that read them. Nothing runs: the events are written as a
 * recorder would, and the addresses are those of functions in sample.c, so that names and lines can be checked. */
#ifndef GMPT_SAMPLE_H
#define GMPT_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct sample_options {
    int leaks;           /* Gs that block in a channel send without a deadline, one every 100 ms */
    int healthy;         /* Gs that do so with a deadline */
    int done;            /* Gs that start and end */
    int64_t length_ns;   /* 0: 2 s */
    uint64_t lost;       /* records that the recorder says were lost */
    bool no_end;         /* the file lacks its end */
    bool no_modules;     /* nothing can be symbolised */
    bool still_running;  /* the program goes on after the end; else it exited */
    bool apart;          /* the rings lie in different frames, so that damage to one leaves the other */
    bool scattered;      /* each leak has one of four pairs of stacks, which differ in addresses but not in lines */
    bool tail_called;    /* the stacks where the Gs wait show nothing but the runtime */
    const char *module;  /* NULL: the test program itself; else a copy of it */
    const char *command; /* NULL: "./sample --x 1" */
};

/* Writes a trace of 2 Ps to path. The main G is 1, the others follow. */
void sample_write(const char *path, const struct sample_options *options);

/* How many events sample_write writes. */
int sample_events(const struct sample_options *options);

/* Whether text is one whole JSON value and nothing else. */
bool sample_json_valid(const char *text);
/* The same where numbers may have a fraction and an exponent. */
bool sample_json_valid_decimals(const char *text);

#endif
