/* Shell commands of tests of the recorder, run in the test's own directory. */
#ifndef GMPT_TEST_SHELL_H
#define GMPT_TEST_SHELL_H

extern char shell_out[1 << 18], shell_err[1 << 16]; /* what the last one wrote, cut to that */

/* Runs a command as harness_shell does; besides, R stands for the recorder, P for the directory of the tests' programs
 * and D for the test's, in which it begins. Returns its status. */
int shell_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fail the test unless part is in text; or when it is. */
void shell_has(const char *text, const char *part);
void shell_has_not(const char *text, const char *part);

#endif
