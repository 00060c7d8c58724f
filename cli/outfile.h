/* An output file that appears under its name only when it is whole.
 *
 * It grows as PATH.PID.part beside its place, so that a rename brings it there; what was there before is kept as
 * PATH.old. A path that is no regular file (/dev/null, a fifo) is written directly. */
#ifndef GMPT_OUTFILE_H
#define GMPT_OUTFILE_H

struct outfile {
    const char *path; /* the caller's; must outlive this */
    char *part_path;  /* NULL: path is written directly */
    int fd;           /* the user's to close */
};

/* Returns 0 or -errno. */
int outfile_open(struct outfile *file, const char *path);

/* Gives the part its name. Returns 0, or -errno when it keeps the name part_path. */
int outfile_keep(struct outfile *file);

/* Removes the part; path stays as it was. After outfile_keep it does nothing. */
void outfile_drop(struct outfile *file);

#endif
