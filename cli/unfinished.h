/* A recording that its recorder did not finish, since it was killed: the segment, and the file as far as it came. What
 * belongs to what, and the two put together into a file of the recording's name, which trace/recovery.c does. */
#ifndef GMPT_UNFINISHED_H
#define GMPT_UNFINISHED_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* What is known of a segment before it is touched. */
struct unfinished {
    char path[PATH_MAX];     /* of the segment, to be removed when all is recovered; "" = it has no name */
    int fd;                  /* an open of the segment of its own; the user's to close */
    pid_t recorder, program; /* recorder 0: not known; program 0: it never began */
    bool recorded;           /* a recorder has the lock */
    bool left;               /* nobody else has it open */
    char part[PATH_MAX];     /* the recorder's file, PATH.PID.part; "" = not known */
};

/* Fills it for the segment that fd is open on, whose name in tmpfs is path, or "". False when it is no segment. */
bool unfinished_look(struct unfinished *unfinished, const char *path, int fd);

struct target;
/* Whether a program that runs has a recorder, or one that is gone has left something: fills it then, with the target's
 * fd. */
bool unfinished_look_target(struct unfinished *unfinished, const struct target *target);

/* The PID of PATH.PID.part, 0 when it has another form; and PATH, "" then. */
pid_t unfinished_part_recorder(const char *part);
void unfinished_name(char name[PATH_MAX], const char *part);

/* Recovers it into path, NULL for the name that the recording was to have, and removes what it is made of. Says how it
 * went; who is the name of the command that does so. Returns an exit status. */
int unfinished_recover(const struct unfinished *unfinished, const char *path, const char *who);

#endif
