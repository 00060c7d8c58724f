/* The BPF program that is committed as an object is what clang makes of its source. */
#include "run.h"

#include <stdio.h>
#include <string.h>

TEST_TIMEOUT(skeleton, is_that_of_the_program, 120)
{
    char command[512], err[2048];
    snprintf(command, sizeof command,
             "scripts/skeleton.sh %1$s/made.h || exit $?; "
             "sed -n 1p ebpf/offcpu.skel.h > %1$s/first; head -n 1 %1$s/made.h | cmp -s - %1$s/first || exit 5; "
             "cmp %1$s/made.h ebpf/offcpu.skel.h",
             harness_tmpdir());
    int status = harness_shell(command, NULL, 0, err, sizeof err);
    if (status == 4)
        SKIP("%.*s", (int)strcspn(err, "\n"), err);
    if (status == 5)
        SKIP("another clang or bpftool made the skeleton");
    ck_assert_msg(status == 0, "run scripts/skeleton.sh: %s", err);
}
