#include "shell.h"

#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char shell_out[1 << 18], shell_err[1 << 16];

int shell_run(const char *format, ...)
{
    char command[4096];
    int length = snprintf(command, sizeof command,
                          "R=\"$GMPTRACE record\"; P=\"$BUILD/tests/programs\"; D='%s'; cd \"$D\" || exit 99; ",
                          harness_tmpdir());
    size_t room = sizeof command - (size_t)length;
    va_list args;
    va_start(args, format);
    ck_assert_int_lt(vsnprintf(command + length, room, format, args), (int)room);
    va_end(args);
    return harness_shell(command, shell_out, sizeof shell_out, shell_err, sizeof shell_err);
}

void shell_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in:\n%.2000s", part, text);
}

void shell_has_not(const char *text, const char *part)
{
    ck_assert_msg(!strstr(text, part), "'%s' is in:\n%.2000s", part, text);
}
