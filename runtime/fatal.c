/* The end of a program that broke a rule: says what happened, in one line, and aborts. */
#include "runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fatal(const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fprintf(stderr, "gmptrace: fatal: %s\n", message);
    fflush(stderr);
    abort();
}
