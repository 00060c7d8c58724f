/* When a test of the kernel's side by bpf may be left out: only where the doctor, which tries the same by a program
 * that does nothing, finds that this machine does not allow it. Else what lacks is a fault of ours. */
#ifndef GMPT_UNWATCHED_H
#define GMPT_UNWATCHED_H

#include "harness.h"

#define DOCTOR_FINDS_BPF "doctor --json | grep -q '\"name\": \"bpf\", \"state\": \"ok\"'"

#define SKIP_UNWATCHED(lacking)                                                                                        \
    do {                                                                                                               \
        ck_assert_msg(harness_shell("$GMPTRACE " DOCTOR_FINDS_BPF, NULL, 0, NULL, 0) != 0,                             \
                      "the doctor finds nothing that lacks, but: %s", (lacking));                                      \
        SKIP("the kernel may not be watched here: %s", (lacking));                                                     \
    } while (0)

#endif
