/* Programs without debug information: names from the symbol tables, and never a wrong one. */
#define _GNU_SOURCE
#include "built.h"
#include "harness.h"

#include "pprof/symbolize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TEST(symtab, without_debug_information_the_symbol_table_names_functions)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g0");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_frame(symbolize(symbolizer, built_place(&built, "plain"))->frames, "plain", NULL, 0);
    built_expect_frame(symbolize(symbolizer, built_place(&built, "main"))->frames, "main", NULL, 0);
    built_expect_warning(symbolizer, "has no debug information");
    symbolizer_close(symbolizer);
}

TEST(symtab, stripped_program_keeps_its_exported_names)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g -rdynamic -s");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_frame(symbolize(symbolizer, built_place(&built, "plain"))->frames, "plain", NULL, 0);
    ck_assert_pstr_eq(symbolizer_warning(symbolizer, 0), NULL);
    symbolizer_close(symbolizer);
}

TEST(symtab, stripped_program_gets_no_wrong_names)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g -s");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_nothing(symbolizer, built_place(&built, "plain"));
    ck_assert_pstr_ne(symbolizer_warning(symbolizer, 0), NULL);
    symbolizer_close(symbolizer);
}

TEST(symtab, function_does_not_lend_its_name_to_the_next)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built,
                  BUILT_PRELUDE "void exported(void) {}\n"
                                "static __attribute__((noinline)) void hidden(void) { mark(\"hidden\"); }\n"
                                "int main(void)\n{\n    report();\n    hidden();\n    return 0;\n}\n",
                  "gcc -O0 -g -rdynamic -s");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_nothing(symbolizer, built_place(&built, "hidden"));
    built_expect_warning(symbolizer, "only its exported symbols");
    symbolizer_close(symbolizer);
}
