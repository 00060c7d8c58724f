/* Paths of source files as their repository knows them. See sourceroot.h. */
#define _GNU_SOURCE
#include "sourceroot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool directory_is(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* .git is a file in a work tree that was added to a repository. */
static bool has_git(const char *path)
{
    char git[PATH_MAX + 8];
    snprintf(git, sizeof git, "%s/.git", path);
    return access(git, F_OK) == 0;
}

int source_root_find(struct source_root *root, const char *given)
{
    static const char *const words[] = { "GITHUB_WORKSPACE", "CI_PROJECT_DIR" };
    for (size_t i = 0; !given && i < sizeof words / sizeof words[0]; i++) {
        const char *word = getenv(words[i]);
        if (word && *word && directory_is(word))
            given = word;
    }
    if (!realpath(given ? given : ".", root->path))
        return -errno;
    if (!directory_is(root->path))
        return -ENOTDIR;
    if (!given) {
        char above[PATH_MAX];
        memcpy(above, root->path, sizeof above);
        while (above[0] && !has_git(above))
            *strrchr(above, '/') = 0;
        if (above[0])
            memcpy(root->path, above, sizeof above);
    }
    if (strcmp(root->path, "/") == 0)
        root->path[0] = 0;
    return 0;
}

/* Without "", "." and "..", as far as these can be taken back. */
static void path_clean(const char *path, char clean[PATH_MAX])
{
    size_t length = 0;
    bool absolute = *path == '/';
    for (const char *at = path; *at;) {
        size_t size = strcspn(at, "/");
        bool up = size == 2 && memcmp(at, "..", 2) == 0, here = size == 0 || (size == 1 && *at == '.');
        if (up && length > 0) {
            while (length > 0 && clean[--length] != '/')
                ;
        } else if (!here && !(up && absolute) && length + size + 2 < PATH_MAX) {
            if (absolute || length > 0)
                clean[length++] = '/';
            memcpy(clean + length, at, size);
            length += size;
        }
        at += size + (at[size] == '/');
    }
    clean[length] = 0;
}

const char *source_root_path(const struct source_root *root, const char *path, char buffer[PATH_MAX])
{
    char clean[PATH_MAX];
    size_t length = strlen(root->path);
    path_clean(path, clean);
    bool below = clean[0] == '/' && strncmp(clean, root->path, length) == 0 && clean[length] == '/';
    strcpy(buffer, below ? clean + length + 1 : clean);
    return buffer;
}

bool source_root_has(const struct source_root *root, const char *path)
{
    char buffer[PATH_MAX];
    return source_root_path(root, path, buffer)[0] != '/';
}
