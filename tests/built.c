/* Compiling, running and asking small programs. See built.h. */
#define _GNU_SOURCE
#include "built.h"

#include "harness.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Linked into each program: prints its modules as the runtime records them, and addresses. */
static const char report_source[] =
    "#define _GNU_SOURCE\n"
    "#include <link.h>\n"
    "#include <stdio.h>\n"
    "#include <string.h>\n"
    "#include <unistd.h>\n"
    "static int each(struct dl_phdr_info *info, size_t size, void *arg)\n"
    "{\n"
    "    char path[512] = \"\", id[41] = \"-\";\n"
    "    unsigned long start = 0, end = 0;\n"
    "    if (info->dlpi_name[0]) snprintf(path, sizeof path, \"%s\", info->dlpi_name);\n"
    "    else path[readlink(\"/proc/self/exe\", path, sizeof path - 1)] = 0;\n"
    "    for (int i = 0; i < info->dlpi_phnum; i++) {\n"
    "        const ElfW(Phdr) *p = &info->dlpi_phdr[i];\n"
    "        const char *note = (const char *)(info->dlpi_addr + p->p_vaddr), *stop = note + p->p_memsz;\n"
    "        if (p->p_type == PT_LOAD && (p->p_flags & PF_X))\n"
    "            start = info->dlpi_addr + p->p_vaddr, end = start + p->p_memsz;\n"
    "        while (p->p_type == PT_NOTE && note + 12 < stop) {\n"
    "            const unsigned *n = (const unsigned *)note;\n"
    "            const unsigned char *d = (const unsigned char *)note + 12 + (n[0] + 3) / 4 * 4;\n"
    "            if (n[2] == 3 && n[0] == 4 && !memcmp(note + 12, \"GNU\", 4))\n"
    "                for (unsigned k = 0; k < n[1]; k++) sprintf(id + 2 * k, \"%02x\", d[k]);\n"
    "            note = (const char *)d + (n[1] + 3) / 4 * 4;\n"
    "        }\n"
    "    }\n"
    "    printf(\"module %lx %lx %lx %s %s\\n\", start, end, (unsigned long)info->dlpi_addr, id, path);\n"
    "    return 0;\n"
    "}\n"
    "void report(void) { dl_iterate_phdr(each, NULL); fflush(stdout); }\n"
    "void at(const char *name, void *address)\n"
    "{\n"
    "    printf(\"at %s %lx\\n\", name, (unsigned long)address);\n"
    "    fflush(stdout);\n"
    "}\n";

const char built_plain[] = BUILT_PRELUDE /* lines 1-3 */
    "int plain(int x)\n"                 /* 4 */
    "{\n"
    "    mark(\"plain\");\n" /* 6 */
    "    return x + 1;\n"
    "}\n"
    "int main(void)\n" /* 9 */
    "{\n"
    "    report();\n"
    "    at(\"start\", (char *)plain + 1);\n"
    "    plain(1);\n" /* 13 */
    "    mark(\"main\");\n"
    "    return 0;\n"
    "}\n";

const char built_inlined[] = BUILT_PRELUDE "static inline __attribute__((always_inline)) int inner(int x)\n" /* 4 */
                                           "{\n"
                                           "    mark(\"inlined\");\n" /* 6 */
                                           "    return x + 1;\n"
                                           "}\n"
                                           "static inline __attribute__((always_inline)) int middle(int x)\n" /* 9 */
                                           "{\n"
                                           "    return inner(x) * 2;\n" /* 11 */
                                           "}\n"
                                           "__attribute__((noinline)) int outer(int x)\n" /* 13 */
                                           "{\n"
                                           "    return middle(x) + 3;\n" /* 15 */
                                           "}\n"
                                           "int main(int argc, char **argv)\n"
                                           "{\n"
                                           "    report();\n"
                                           "    return outer(argc) == 0;\n"
                                           "}\n";

bool built_have(const char *program)
{
    char command[128];
    snprintf(command, sizeof command, "command -v %s", program);
    return harness_shell(command, NULL, 0, NULL, 0) == 0;
}

void built_shell(const char *format, ...)
{
    char command[2048], full[2304], errors[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    snprintf(full, sizeof full, "cd %s && { %s; }", harness_tmpdir(), command);
    int status = harness_shell(full, NULL, 0, errors, sizeof errors);
    ck_assert_msg(status == 0, "%s: status %d: %s", command, status, errors);
}

void built_file(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", harness_tmpdir(), name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static int module_compare(const void *a_pointer, const void *b_pointer)
{
    const struct gmpt_module *a = a_pointer, *b = b_pointer;
    return a->start < b->start ? -1 : a->start > b->start;
}

static void report_parse(struct built *built, char *text)
{
    memset(built, 0, sizeof *built);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char id[64], *path = built->paths[built->module_count];
        uint64_t address;
        struct gmpt_module *module = &built->modules[built->module_count];
        if (sscanf(line, "at %31s %" SCNx64, built->places[built->place_count].name, &address) == 2) {
            ck_assert_uint_lt(built->place_count, BUILT_PLACES_MAX - 1);
            built->places[built->place_count++].address = address;
        } else if (sscanf(line, "module %" SCNx64 " %" SCNx64 " %" SCNx64 " %63s %511s", &module->start, &module->end,
                          &module->bias, id, path) == 5) {
            module->path = path;
            for (unsigned byte, i = 0; i < 20 && sscanf(id + 2 * i, "%2x", &byte) == 1 && id[0] != '-'; i++)
                module->build_id[module->build_id_bytes++] = (uint8_t)byte;
            ck_assert_uint_lt(++built->module_count, BUILT_MODULES_MAX);
        }
    }
    qsort(built->modules, built->module_count, sizeof built->modules[0], module_compare);
}

void built_report(void) { built_file("report.c", report_source); }

void built_run(struct built *built, const char *program)
{
    char command[512], out[8192];
    snprintf(command, sizeof command, "cd %s && LD_LIBRARY_PATH=. ./%s", harness_tmpdir(), program);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, NULL, 0), 0);
    report_parse(built, out);
    ck_assert_uint_gt(built->module_count, 0);
}

void built_compile(struct built *built, const char *source, const char *compile)
{
    built_file("sample.c", source);
    built_report();
    built_shell("%s sample.c -x c report.c -o sample", compile);
    built_run(built, "sample");
}

uint64_t built_place(const struct built *built, const char *name)
{
    for (size_t i = 0; i < built->place_count; i++)
        if (strcmp(built->places[i].name, name) == 0)
            return built->places[i].address;
    ck_abort_msg("the program did not print %s", name);
    return 0;
}

struct symbolizer *built_symbolizer(const struct built *built)
{
    struct symbolizer *symbolizer = symbolizer_open_modules(built->modules, built->module_count);
    ck_assert_ptr_nonnull(symbolizer);
    return symbolizer;
}

const char *built_base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

void built_expect_frame(const struct symbol_frame *frame, const char *function, const char *file, int line)
{
    ck_assert_pstr_eq(frame->function, function);
    ck_assert_pstr_eq(built_base_name(frame->file), file);
    ck_assert_int_eq(frame->line, line);
}

void built_expect_plain(const struct built *built)
{
    struct symbolizer *symbolizer = built_symbolizer(built);
    const struct symbol *symbol = symbolize(symbolizer, built_place(built, "plain"));
    ck_assert_uint_eq(symbol->count, 1);
    built_expect_frame(&symbol->frames[0], "plain", "sample.c", 6);
    ck_assert_int_eq(symbol->frames[0].function_line, 4);
    built_expect_frame(symbolize(symbolizer, built_place(built, "main"))->frames, "main", "sample.c", 14);
    ck_assert_pstr_eq(symbolizer_warning(symbolizer, 0), NULL);
    symbolizer_close(symbolizer);
}

void built_expect_inlined(const struct built *built)
{
    struct symbolizer *symbolizer = built_symbolizer(built);
    const struct symbol *symbol = symbolize(symbolizer, built_place(built, "inlined"));
    ck_assert_uint_eq(symbol->count, 3);
    built_expect_frame(&symbol->frames[0], "inner", "sample.c", 6);
    built_expect_frame(&symbol->frames[1], "middle", "sample.c", 11);
    built_expect_frame(&symbol->frames[2], "outer", "sample.c", 15);
    ck_assert_int_eq(symbol->frames[0].function_line, 4);
    ck_assert_int_eq(symbol->frames[1].function_line, 9);
    ck_assert_int_eq(symbol->frames[2].function_line, 13);
    symbolizer_close(symbolizer);
}

void built_expect_warning(struct symbolizer *symbolizer, const char *words)
{
    const char *warning = symbolizer_warning(symbolizer, 0);
    ck_assert_pstr_ne(warning, NULL);
    ck_assert_msg(strstr(warning, words) != NULL, "'%s' does not say '%s'", warning, words);
    ck_assert_pstr_eq(symbolizer_warning(symbolizer, 1), NULL);
}

void built_expect_nothing(struct symbolizer *symbolizer, uint64_t address)
{
    const struct symbol *symbol = symbolize(symbolizer, address);
    ck_assert_uint_eq(symbol->count, 1);
    ck_assert_pstr_eq(symbol->frames[0].function, NULL);
    ck_assert_pstr_eq(symbol->frames[0].file, NULL);
    ck_assert_int_eq(symbol->frames[0].line, 0);
}
