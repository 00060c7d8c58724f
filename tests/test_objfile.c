/* Debug information in a file of its own, found by build id or by .gnu_debuglink, and refused when it is not the one.
 */
#define _GNU_SOURCE
#include "built.h"
#include "harness.h"

#include "pprof/symbolize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TEST(objfile, debuglink_beside_the_file)
{
    struct built built;
    BUILT_NEED("objcopy");
    built_compile(&built, built_plain, "gcc -O0 -g");
    built_shell("objcopy --only-keep-debug sample sample.debug && strip sample && "
                "objcopy --add-gnu-debuglink=sample.debug sample");
    built_expect_plain(&built);
}

TEST(objfile, debuglink_in_the_debug_directory)
{
    struct built built;
    BUILT_NEED("objcopy");
    built_compile(&built, built_plain, "gcc -O0 -g");
    built_shell("objcopy --only-keep-debug sample sample.debug && strip sample && "
                "objcopy --add-gnu-debuglink=sample.debug sample && mkdir .debug && mv sample.debug .debug/");
    built_expect_plain(&built);
}

TEST(objfile, debuglink_without_build_id_is_checked_by_its_sum)
{
    struct built built;
    BUILT_NEED("objcopy");
    built_compile(&built, built_plain, "gcc -O0 -g -Wl,--build-id=none");
    built_shell("objcopy --only-keep-debug sample sample.debug && strip sample && "
                "objcopy --add-gnu-debuglink=sample.debug sample");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_frame(symbolize(symbolizer, built_place(&built, "plain"))->frames, "plain", "sample.c", 6);
    symbolizer_close(symbolizer);

    built_shell("printf x >> sample.debug");
    symbolizer = built_symbolizer(&built);
    built_expect_nothing(symbolizer, built_place(&built, "plain"));
    symbolizer_close(symbolizer);
}

TEST(objfile, debuglink_of_another_build_is_refused)
{
    struct built built, other;
    BUILT_NEED("objcopy");
    built_compile(&built, built_plain, "gcc -O0 -g");
    built_shell("objcopy --only-keep-debug sample sample.debug && strip sample && "
                "objcopy --add-gnu-debuglink=sample.debug sample && mv sample keep");
    built_compile(&other, built_inlined, "gcc -O2 -g");
    built_shell("objcopy --only-keep-debug sample sample.debug && mv keep sample");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_nothing(symbolizer, built_place(&built, "plain"));
    symbolizer_close(symbolizer);
}

/* Moves the debug information of sample into a directory of its own by build id, and says so in the environment. */
static void debug_path_set_up(const struct built *built)
{
    char id[41] = "";
    for (uint32_t i = 0; i < built->modules[0].build_id_bytes; i++)
        sprintf(id + 2 * i, "%02x", built->modules[0].build_id[i]);
    built_shell("mkdir -p store/.build-id/%.2s && objcopy --only-keep-debug sample store/.build-id/%.2s/%s.debug && "
                "strip sample",
                id, id, id + 2);
    char path[512];
    snprintf(path, sizeof path, "%s/store", harness_tmpdir());
    setenv("GMPT_DEBUG_PATH", path, 1);
}

TEST(objfile, debug_path_is_searched_by_build_id)
{
    struct built built;
    BUILT_NEED("objcopy");
    built_compile(&built, built_plain, "gcc -O0 -g -Wl,--build-id=sha1");
    debug_path_set_up(&built);
    built_expect_plain(&built);
}

TEST(objfile, debug_file_serves_for_a_deleted_program)
{
    struct built built;
    BUILT_NEED("objcopy");
    built_compile(&built, built_plain, "gcc -O0 -g -Wl,--build-id=sha1");
    debug_path_set_up(&built);
    built_shell("rm sample");
    built_expect_plain(&built);
}

TEST(objfile, debug_file_serves_for_a_rebuilt_program)
{
    struct built built, rebuilt;
    BUILT_NEED("objcopy");
    built_compile(&built, built_plain, "gcc -O0 -g -Wl,--build-id=sha1");
    debug_path_set_up(&built);
    built_compile(&rebuilt, built_inlined, "gcc -O2 -g -Wl,--build-id=sha1");
    built_expect_plain(&built);
}
