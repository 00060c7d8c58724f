/* What the tests of gmptrace export's formats share: a trace from canonical text or by hand, and the command on it. */
#ifndef GMPT_EXPORTED_H
#define GMPT_EXPORTED_H

#include "sample.h"

#include <stddef.h>

#define EXPORTED_BYTES (1 << 20)

extern char exported_out[EXPORTED_BYTES], exported_err[1 << 14];

/* Makes gmptrace.data in the test's directory, from tests/traces/NAME.txt or as sample.h has it. */
void exported_golden(const char *name);
void exported_sample(const struct sample_options *options);

/* Runs a shell command in that directory; its output is in exported_out and exported_err. Returns its status. */
int exported_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fails the test unless part is in text. */
void exported_has(const char *text, const char *part);

#endif
