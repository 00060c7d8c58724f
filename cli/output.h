/* Where the bytes of an export go: a file that appears when it is whole (outfile.h), standard output, or what else the
 * name stands for, compressed when the name ends in .gz. One at a time: SIGINT, SIGTERM and SIGHUP end the program
 * without leaving a part of it behind. */
#ifndef GMPT_OUTPUT_H
#define GMPT_OUTPUT_H

#include "outfile.h"

#include <stdbool.h>
#include <stdio.h>

struct output {
    bool standard;
    bool opened;
    struct outfile file; /* unless standard */
    char *scratch;       /* NULL, or the file that is copied at the end */
    FILE *stream;        /* NULL when the format writes by path, or it is closed */
    bool apart;          /* closing the stream does not close fd */
    int fd;
};

bool output_compresses(const char *path);

/* path "-" is standard output. by_path: who writes wants no stream but the path of a regular file, output_scratch; what
 * it wrote there is copied to where it belongs if that is no file. Returns 0 or -errno; output_close is due either
 * way. */
int output_open(struct output *output, const char *path, bool by_path);
const char *output_scratch(const struct output *output);

/* All was written: brings it to its place. Returns 0 or -errno. */
int output_keep(struct output *output);

/* What was not kept goes. */
void output_close(struct output *output);

#endif
