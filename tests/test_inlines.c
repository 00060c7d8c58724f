/* Names, files and lines from debug information of many kinds, and chains of inlined calls. */
#define _GNU_SOURCE
#include "built.h"
#include "harness.h"

#include "pprof/symbolize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TEST(inlines, pie_has_function_file_and_line)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g -fPIE -pie");
    ck_assert_uint_ne(built.modules[0].bias, 0);
    built_expect_plain(&built);
}

TEST(inlines, fixed_program_has_function_file_and_line)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g -fno-pie -no-pie");
    ck_assert_uint_eq(built.modules[0].bias, 0);
    built_expect_plain(&built);
}

TEST(inlines, dwarf_4_is_read)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -gdwarf-4");
    built_expect_plain(&built);
}

TEST(inlines, compressed_debug_sections_are_read)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g -gz=zlib");
    built_expect_plain(&built);
}

TEST(inlines, split_dwarf_is_read)
{
    struct built built;
    BUILT_NEED("gcc");
    built_file("sample.c", built_plain);
    built_report();
    built_shell("gcc -O0 -g -gsplit-dwarf -c sample.c report.c && gcc sample.o report.o -o sample");
    built_run(&built, "sample");
    built_expect_plain(&built);
}

TEST(inlines, clang_without_aranges_is_read)
{
    struct built built;
    BUILT_NEED("clang");
    built_compile(&built, built_plain, "clang -Wno-everything -O0 -g");
    built_expect_plain(&built);
}

TEST(inlines, inlined_calls_come_innermost_first)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_inlined, "gcc -O2 -g");
    built_expect_inlined(&built);
}

TEST(inlines, inlined_calls_in_dwarf_4)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_inlined, "gcc -O2 -gdwarf-4");
    built_expect_inlined(&built);
}

TEST(inlines, inlined_calls_from_clang)
{
    struct built built;
    BUILT_NEED("clang");
    built_compile(&built, built_inlined, "clang -Wno-everything -O2 -g");
    built_expect_inlined(&built);
}

TEST(inlines, inlined_calls_without_optimisation)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_inlined, "gcc -O0 -g");
    built_expect_inlined(&built);
}

TEST(inlines, inlined_function_from_a_header_keeps_its_file)
{
    struct built built;
    BUILT_NEED("gcc");
    built_file("header.h",
               "static inline __attribute__((always_inline)) void helper(void)\n{\n    mark(\"header\");\n}\n");
    built_compile(&built,
                  BUILT_PRELUDE "#include \"header.h\"\n"
                                "int main(void)\n{\n    report();\n    helper();\n    return 0;\n}\n",
                  "gcc -O2 -g");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    const struct symbol *symbol = symbolize(symbolizer, built_place(&built, "header"));
    ck_assert_uint_eq(symbol->count, 2);
    built_expect_frame(&symbol->frames[0], "helper", "header.h", 3);
    built_expect_frame(&symbol->frames[1], "main", "sample.c", 8);
    symbolizer_close(symbolizer);
}

TEST(inlines, function_address_plus_one_is_its_first_line)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    const struct symbol *symbol = symbolize(symbolizer, built_place(&built, "start"));
    ck_assert_pstr_eq(symbol->frames[0].function, "plain");
    ck_assert_int_ge(symbol->frames[0].line, 4);
    ck_assert_int_le(symbol->frames[0].line, 5);
    symbolizer_close(symbolizer);
}

TEST(inlines, call_that_never_returns_belongs_to_its_caller)
{
    struct built built;
    BUILT_NEED("gcc");
    /* The call is the last instruction of last(), so it would return into whatever function comes next. */
    built_compile(&built,
                  BUILT_PRELUDE "__attribute__((noinline, noreturn)) void leave(void)\n"
                                "{\n    at(\"last\", __builtin_return_address(0));\n    exit(0);\n}\n"
                                "__attribute__((noinline)) void last(void)\n{\n    leave();\n}\n"
                                "__attribute__((noinline)) void after(void) { mark(\"after\"); }\n"
                                "int main(void)\n{\n    report();\n    last();\n    after();\n}\n",
                  "gcc -O1 -g -fno-toplevel-reorder -falign-functions=1");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_frame(symbolize(symbolizer, built_place(&built, "last"))->frames, "last", "sample.c", 11);
    symbolizer_close(symbolizer);
}

TEST(inlines, nested_function_has_its_own_name)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built,
                  BUILT_PRELUDE "int main(int argc, char **argv)\n{\n"
                                "    __attribute__((noinline)) void within(void) { mark(\"nested\"); argc++; }\n"
                                "    report();\n    within();\n    return argc > 3;\n}\n",
                  "gcc -O0 -g");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_frame(symbolize(symbolizer, built_place(&built, "nested"))->frames, "within", "sample.c", 6);
    symbolizer_close(symbolizer);
}

TEST(inlines, cxx_method_in_a_namespace_has_its_name)
{
    struct built built;
    BUILT_NEED("g++");
    built_report();
    built_file("sample.cc",
               "extern \"C\" { void report(void); void at(const char *, void *); }\n"
               "__attribute__((noinline)) void mark(const char *n) { at(n, __builtin_return_address(0)); }\n"
               "namespace deep {\nstruct thing {\n    void method();\n};\n"
               "void thing::method()\n{\n    mark(\"method\");\n}\n}\n"
               "int main() { report(); deep::thing().method(); return 0; }\n");
    built_shell("gcc -c report.c && g++ -O0 -g sample.cc report.o -o sample");
    built_run(&built, "sample");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_frame(symbolize(symbolizer, built_place(&built, "method"))->frames, "method", "sample.cc", 9);
    symbolizer_close(symbolizer);
}

TEST(inlines, shared_library_has_function_file_and_line)
{
    struct built built;
    BUILT_NEED("gcc");
    built_report();
    built_file("part.c", BUILT_PRELUDE "void part(void)\n{\n    mark(\"part\");\n}\n");
    built_file("sample.c", "void report(void); void part(void);\nint main(void) { part(); report(); return 0; }\n");
    built_shell("gcc -O0 -g -fPIC -shared part.c report.c -o libpart.so && gcc -g sample.c -L. -lpart -o sample");
    built_run(&built, "sample");
    /* The loader names it relative to where the program ran. */
    for (size_t i = 0; i < built.module_count; i++)
        if (strcmp(built_base_name(built.modules[i].path), "libpart.so") == 0)
            snprintf((char *)built.modules[i].path, sizeof built.paths[0], "%s/libpart.so", harness_tmpdir());
    struct symbolizer *symbolizer = built_symbolizer(&built);
    const struct symbol *symbol = symbolize(symbolizer, built_place(&built, "part"));
    built_expect_frame(symbol->frames, "part", "part.c", 6);
    ck_assert_str_eq(built_base_name(built.modules[symbol->module].path), "libpart.so");
    symbolizer_close(symbolizer);
}
