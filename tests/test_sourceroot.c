/* Paths of sources below a root. */
#define _GNU_SOURCE
#include "cli/sourceroot.h"
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void shows(const char *path, const char *as)
{
    static const struct source_root root = { "/src/project" };
    char buffer[PATH_MAX];
    ck_assert_str_eq(source_root_path(&root, path, buffer), as);
}

TEST(sourceroot, what_lies_below_is_told_from_it)
{
    shows("/src/project/a/b.c", "a/b.c");
    shows("/src/project/./a/../c/b.c", "c/b.c");
    shows("/src/projects/b.c", "/src/projects/b.c");
    shows("/src/project/../other/b.c", "/src/other/b.c");
    shows("/usr/include/x.h", "/usr/include/x.h");
    shows("a/./b.c", "a/b.c");
    shows("../b.c", "../b.c");
    shows("/../b.c", "/b.c");
}

TEST(sourceroot, the_root_directory_has_everything)
{
    struct source_root root;
    char buffer[PATH_MAX];
    ck_assert_int_eq(source_root_find(&root, "/"), 0);
    ck_assert_str_eq(source_root_path(&root, "/usr/x.c", buffer), "usr/x.c");
}

TEST(sourceroot, the_nearest_repository_is_found)
{
    struct source_root root;
    char path[512];
    unsetenv("GITHUB_WORKSPACE");
    unsetenv("CI_PROJECT_DIR");
    snprintf(path, sizeof path, "%s/repo", harness_tmpdir());
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(chdir(path), 0);
    ck_assert_int_eq(mkdir(".git", 0700), 0);
    ck_assert_int_eq(mkdir("deep", 0700), 0);
    ck_assert_int_eq(chdir("deep"), 0);
    ck_assert_int_eq(source_root_find(&root, NULL), 0);
    ck_assert_str_eq(root.path, realpath("..", path));
}

TEST(sourceroot, ci_names_it)
{
    struct source_root root;
    char path[PATH_MAX];
    setenv("GITHUB_WORKSPACE", harness_tmpdir(), 1);
    ck_assert_int_eq(source_root_find(&root, NULL), 0);
    ck_assert_str_eq(root.path, realpath(harness_tmpdir(), path));
}

TEST(sourceroot, what_is_no_directory_is_refused)
{
    struct source_root root;
    ck_assert_int_eq(source_root_find(&root, "/dev/null"), -ENOTDIR);
    ck_assert_int_eq(source_root_find(&root, "/no/such"), -ENOENT);
}
