/* How a test asks for a proof of leaks and reads its verdicts; on a G. */
#ifndef GMPT_TEST_PROOFS_H
#define GMPT_TEST_PROOFS_H

#include "run.h"

#include "trace/segment.h"

/* Ends the test where a proof cannot be had. */
#define proofs_skip_unless_possible()                                                                                  \
    do {                                                                                                               \
        SKIP_UNDER_TSAN("ThreadSanitizer delivers signals late");                                                      \
        SKIP_IN_EMULATOR("cannot copy a process as a proof does, and shows its own pages for the program's");          \
    } while (0)

/* The same where copies of pointers that the test knows nothing of keep things alive. */
#define proofs_skip_unless_exact()                                                                                     \
    do {                                                                                                               \
        proofs_skip_unless_possible();                                                                                 \
        if (UNDER_SANITIZER)                                                                                           \
            SKIP("a sanitizer keeps copies of pointers");                                                              \
    } while (0)

/* Makes a proof and waits until it has ended. */
enum proof_status proofs_make(void);
/* The same until it does not fail because a thread could not be stopped in time, on a machine that does much else. */
enum g_verdict proofs_verdict(int64_t id);
/* Overwrites what calls before have left below the caller's frame. */
void proofs_clear_stack(void);

#endif
