/* gmptrace report: the page as a browser shows it. */
#include "exported.h"
#include "harness.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool shell_holds(const char *command) { return system(command) == 0; }

TEST(report, page_names_its_own_scripts_only)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE report %s", "-o -"), 0);
    ck_assert_ptr_nonnull(strstr(exported_out, "default-src 'none'; script-src 'sha256-"));
    ck_assert_ptr_nonnull(strstr(exported_out, "id=\"data\">{\"meta\":"));
    ck_assert_ptr_null(strstr(exported_out, "http://"));
    ck_assert_ptr_null(strstr(exported_out, "https://"));
}

/* Of a program in which one goroutine delays others, down to its line. */
TEST_TIMEOUT(report, browser_reaches_the_line_of_a_hog, 120)
{
    char directory[] = "/tmp/gmptrace-report-XXXXXX", command[1024];
    if (!shell_holds("command -v \"${CHROMIUM:-chromium}\" >/dev/null 2>&1"))
        SKIP("no chromium here");
    if (!shell_holds("python3 -c 'import json' >/dev/null 2>&1"))
        SKIP("no python3 here");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(command, sizeof command,
             "cd %s && GMPT_MAXPROCS=1 \"$GMPTRACE\" record -o t -- \"$BUILD\"/tests/programs/hogged 10 >log 2>&1 && "
             "\"$GMPTRACE\" report t -o page.html >>log 2>&1",
             directory);
    bool made = shell_holds(command);
    snprintf(command, sizeof command, "python3 tests/report_browser.py %s/page.html", directory);
    bool seen = made && shell_holds(command);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    bool removed = shell_holds(command);
    ck_assert(made);
    ck_assert(seen);
    ck_assert(removed);
}
