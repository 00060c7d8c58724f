/* The names of a recording that goes over several files: FILE, FILE.1, FILE.2, ..., of which the last few are kept.
 *
 * What is removed is a file only while it is still the one that was written here, by its device and number. */
#ifndef GMPT_ROTATION_H
#define GMPT_ROTATION_H

#include <stdint.h>
#include <sys/types.h>

struct rotation_file {
    char *path;
    dev_t device;
    ino_t inode;
};

struct rotation {
    const char *path;   /* FILE */
    uint64_t max_bytes; /* of a file; 0 = all goes into one */
    unsigned keep;      /* files that are kept, the last one included */
    unsigned number;    /* of the file that is being written */
    unsigned first;     /* of the oldest that is there */
    struct rotation_file *files; /* file n at n modulo keep + 2: those kept, the one being written, the next */
};

/* Returns 0 or -ENOMEM. */
int rotation_open(struct rotation *rotation, const char *path, uint64_t max_bytes, unsigned keep);

/* The name of file n, which lasts until as many files later as are kept. NULL when there is no memory. */
const char *rotation_path(struct rotation *rotation, unsigned number);

/* fd is file n's, which is being written. */
void rotation_begun(struct rotation *rotation, unsigned number, int fd);

/* The file that was being written has its name. Removes those that are too many. */
void rotation_done(struct rotation *rotation);

void rotation_close(struct rotation *rotation);

#endif
