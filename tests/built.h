/* Small programs that tests compile, run, and ask where they were loaded and where their calls return to; the
 * symbolizer must then say what their source says. All files lie in the test's own directory. */
#ifndef GMPT_BUILT_H
#define GMPT_BUILT_H

#include "pprof/symbolize.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUILT_MODULES_MAX 16
#define BUILT_PLACES_MAX 8

/* A program that ran: its modules, ordered by address, and the return addresses that it named. */
struct built {
    struct gmpt_module modules[BUILT_MODULES_MAX];
    char paths[BUILT_MODULES_MAX][512];
    size_t module_count;
    struct {
        char name[32];
        uint64_t address;
    } places[BUILT_PLACES_MAX];
    size_t place_count;
};

/* The first three lines of every program. mark(name) names the address that it returns to. */
#define BUILT_PRELUDE                                                                                                  \
    "void report(void); void at(const char *name, void *address);\n"                                                   \
    "void exit(int);\n"                                                                                                \
    "__attribute__((noinline)) void mark(const char *name) { at(name, __builtin_return_address(0)); }\n"

extern const char built_plain[];   /* names "plain", "main" and, one byte into plain(), "start" */
extern const char built_inlined[]; /* names "inlined", in inner(), in middle(), in outer() */

/* Ends the test as skipped where the program is not installed. */
#define BUILT_NEED(program)                                                                                            \
    do {                                                                                                               \
        if (!built_have(program))                                                                                      \
            SKIP("%s is not installed", program);                                                                      \
    } while (0)
bool built_have(const char *program);

/* Runs a command in the directory; it must succeed. */
void built_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
void built_file(const char *name, const char *text);

/* Compiles source, as sample.c, with these words of a command line to ./sample, and runs it. */
void built_compile(struct built *built, const char *source, const char *compile);
/* Runs a program that was compiled with report.c, which built_report writes. */
void built_run(struct built *built, const char *program);
void built_report(void);

uint64_t built_place(const struct built *built, const char *name);
struct symbolizer *built_symbolizer(const struct built *built);
const char *built_base_name(const char *path);

/* NULL = not known; file is its last name only. */
void built_expect_frame(const struct symbol_frame *frame, const char *function, const char *file, int line);
void built_expect_nothing(struct symbolizer *symbolizer, uint64_t address);
/* The only warning there is has these words. */
void built_expect_warning(struct symbolizer *symbolizer, const char *words);
/* All that built_plain and built_inlined say of themselves, without warnings. */
void built_expect_plain(const struct built *built);
void built_expect_inlined(const struct built *built);

#endif
