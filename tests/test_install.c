/* What `make install` puts there is enough to build and run programs, as pkg-config says; and `make uninstall` takes it
 * away. */
#define _GNU_SOURCE
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char out[65536], err[65536];

static int shell(const char *rest)
{
    char command[4096];
    snprintf(command, sizeof command,
             "X='%s'; export PKG_CONFIG_PATH=\"$X/lib/pkgconfig\"; "
             "install_to() { MAKEFLAGS= make -s \"$@\" CC=\"${CC:-gcc}\" SAN=\"$SAN\" PREFIX=\"$X\"; }; "
             "build() { \"${CC:-gcc}\" -O1 -g ${SAN:+-fsanitize=$SAN} -Wall -Wextra -Werror \"$@\"; }; %s",
             harness_tmpdir(), rest);
    return harness_shell(command, out, sizeof out, err, sizeof err);
}

TEST_TIMEOUT(install, a_tool_on_the_reader_is_built_as_its_user_would, 240)
{
    if (!getenv("MAKELEVEL") || getenv("EMULATOR"))
        SKIP("it needs make, and a machine that runs what it builds");
    if (harness_shell("pkg-config --version", NULL, 0, NULL, 0))
        SKIP("pkg-config is not installed");
    ck_assert_msg(shell("install_to install") == 0, "%s", err);
    ck_assert_msg(shell("cd \"$X\" && build share/doc/gmptrace/examples/site_latency.c "
                        "$(pkg-config --cflags --libs gmptrace-reader) -o site_latency") == 0,
                  "%s", err);
    ck_assert_msg(shell("cd \"$X\" && bin/gmptrace record -o t.data \"$BUILD/tests/programs/yielders\" 7 0 && "
                        "./site_latency t.data") == 0,
                  "%s", err);
    const char *line = strstr(out, "\n         7 ");
    ck_assert_msg(line != NULL, "%s", out);
    ck_assert_ptr_nonnull(strstr(line, "/tests/programs/yielders+0x"));
    ck_assert_int_eq(shell("cd \"$X\" && set -- $(./site_latency t.data | grep '^ *7 ') && shift 7 && "
                           "addr2line -e \"${1%+*}\" \"${1#*+}\""),
                     0);
    ck_assert_msg(strstr(out, "yielders.c:") != NULL, "%s", out);
    ck_assert_int_eq(shell("cd \"$X\" && ./site_latency missing"), 1);
    ck_assert_int_eq(shell("install_to uninstall && cd \"$X\" && "
                           "find . -type f ! -name site_latency ! -name t.data ! -name '.std*'"),
                     0);
    ck_assert_str_eq(out, "");
}

TEST_TIMEOUT(install, a_program_on_the_runtime_needs_nothing_else, 240)
{
    if (!getenv("MAKELEVEL") || getenv("EMULATOR"))
        SKIP("it needs make, and a machine that runs what it builds");
    if (harness_shell("pkg-config --version", NULL, 0, NULL, 0))
        SKIP("pkg-config is not installed");
    ck_assert_msg(shell("install_to install") == 0, "%s", err);
    ck_assert_msg(shell("cd \"$X\" && build share/doc/gmptrace/examples/echo.c $(pkg-config --cflags --libs gmptrace) "
                        "-o echo && ldd echo") == 0,
                  "%s", err);
    ck_assert_ptr_null(strstr(out, "zstd"));
}
