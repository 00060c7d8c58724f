/* The directory that the paths of source files are told from: a repository's, as those know it who show them. */
#ifndef GMPT_SOURCEROOT_H
#define GMPT_SOURCEROOT_H

#include <limits.h>
#include <stdbool.h>

struct source_root {
    char path[PATH_MAX]; /* absolute, without a slash at its end; "" = the root directory */
};

/* given: NULL = $GITHUB_WORKSPACE, $CI_PROJECT_DIR, or else the nearest directory from here upwards that has .git, or
 * else this one. Returns 0, or -errno when it is none. */
int source_root_find(struct source_root *root, const char *given);

/* The path below the root, or the whole path where it does not lie there, without "." and "..". Returns buffer. A path
 * that is relative already is taken for one below the root. */
const char *source_root_path(const struct source_root *root, const char *path, char buffer[PATH_MAX]);

/* Whether that is a path below the root. */
bool source_root_has(const struct source_root *root, const char *path);

#endif
