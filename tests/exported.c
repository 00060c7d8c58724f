/* See exported.h. */
#define _GNU_SOURCE
#include "exported.h"

#include "harness.h"
#include "tracefile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char exported_out[EXPORTED_BYTES], exported_err[1 << 14];

void exported_golden(const char *name)
{
    char path[512];
    size_t size;
    snprintf(path, sizeof path, "tests/traces/%s.txt", name);
    char *text = (char *)tracefile_slurp(path, &size);
    ck_assert_int_eq(exported_run("mv %s gmptrace.data", tracefile_build(text)), 0);
    free(text);
}

void exported_sample(const struct sample_options *options)
{
    char path[512];
    snprintf(path, sizeof path, "%s/gmptrace.data", harness_tmpdir());
    sample_write(path, options);
}

int exported_run(const char *format, ...)
{
    char *command, *full;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&command, format, args);
    va_end(args);
    ck_assert_int_ge(length, 0);
    ck_assert_int_ge(asprintf(&full, "cd %s && %s", harness_tmpdir(), command), 0);
    int status = harness_shell(full, exported_out, sizeof exported_out, exported_err, sizeof exported_err);
    free(command);
    free(full);
    return status;
}

void exported_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in:\n%.3000s", part, text);
}
