/* The public headers in C++: each by itself, and a program of them. */
#define _GNU_SOURCE
#include "harness.h"

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS "-std=c++17 -Wall -Wextra -Wpedantic -Werror -Iinclude"

/* A g++ for the machine that the library is built for. */
static bool has_compiler(void)
{
    char machine[100];
#if defined(__x86_64__)
    static const char ours[] = "x86_64";
#else
    static const char ours[] = "aarch64";
#endif
    return harness_shell("g++ -dumpmachine", machine, sizeof machine, NULL, 0) == 0 &&
           strncmp(machine, ours, sizeof ours - 1) == 0;
}

TEST(cplusplus, each_public_header_stands_alone)
{
    glob_t headers;
    char command[400], err[2000];
    if (!has_compiler())
        SKIP("no g++ for this machine here");
    ck_assert_int_eq(glob("include/gmptrace/*.h", 0, NULL, &headers), 0);
    ck_assert_int_ge((int)headers.gl_pathc, 3);
    for (size_t i = 0; i < headers.gl_pathc; i++) {
        for (int cplusplus = 0; cplusplus < 2; cplusplus++) {
            snprintf(command, sizeof command, "echo '#include \"%s\"' | %s -fsyntax-only %s -", headers.gl_pathv[i],
                     cplusplus ? "g++ " FLAGS : "${CC:-gcc} -std=gnu11 -Wall -Wextra -Wpedantic -Werror -Iinclude",
                     cplusplus ? "-x c++" : "-x c");
            if (harness_shell(command, NULL, 0, err, sizeof err) != 0)
                ck_abort_msg("%s: %s", headers.gl_pathv[i], err);
        }
    }
    globfree(&headers);
}

TEST(cplusplus, a_program_is_built_and_runs)
{
    const char *san = getenv("SAN");
    char command[1000], out[200], err[4000];
    if (!has_compiler())
        SKIP("no g++ for this machine here");
    snprintf(command, sizeof command,
             "g++ " FLAGS " -O1 -g %s%s -o %s/program tests/programs/cplusplus.cpp \"$BUILD\"/libgmptrace.a -pthread",
             san && *san ? "-fsanitize=" : "", san ? san : "", harness_tmpdir());
    if (harness_shell(command, NULL, 0, err, sizeof err) != 0)
        ck_abort_msg("%s", err);
    snprintf(command, sizeof command, "%s/program", harness_tmpdir());
    if (harness_shell(command, out, sizeof out, err, sizeof err) != 0)
        ck_abort_msg("%s", err);
    ck_assert_str_eq(out, "sum 5050\n");
}
