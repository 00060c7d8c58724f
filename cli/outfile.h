/* An output file that appears under its name only when it is whole.
 *
 * It grows as PATH.PID.part beside its place, so that a rename brings it there. What was there before is kept as
 * PATH.old, in place of an older one; but when it came there while this file grew, from another run at the same time,
 * it is kept as the first of PATH.old, PATH.old.1, PATH.old.2, ... that is free, so that no run destroys what another
 * one has just made. A path that is no regular file (/dev/null, a fifo) is written directly. */
#ifndef GMPT_OUTFILE_H
#define GMPT_OUTFILE_H

#include <stdbool.h>
#include <time.h>

struct outfile {
    const char *path; /* the caller's; must outlive this */
    char *part_path;  /* NULL: path is written directly, or the part has got its name or gone */
    char *old_path;   /* after outfile_keep: the name of what path was before, NULL when there was nothing */
    bool old_replaced; /* and an older file had that name before */
    struct timespec opened; /* by the clock of the file system */
    int fd;                 /* the user's to close */
};

/* Returns 0 or -errno, and then nothing needs to be closed. */
int outfile_open(struct outfile *file, const char *path);
/* The same, but a path that is no regular file is -EEXIST: for names that nobody has chosen, and while opening must not
 * wait, as for a fifo's reader. */
int outfile_open_regular(struct outfile *file, const char *path);

/* Gives the part its name. Returns 0, or -errno when it keeps the name part_path. */
int outfile_keep(struct outfile *file);

/* Removes the part; path stays as it was. After outfile_keep it does nothing. */
void outfile_drop(struct outfile *file);

/* Frees the names; a part that was neither kept nor dropped stays. */
void outfile_close(struct outfile *file);

#endif
