/* What the subcommands share: the table of them, exit statuses, messages, and parsing of common values.
 *
 * Data goes to standard output, messages to standard error, each starting with "gmptrace NAME: ". */
#ifndef GMPT_CLI_H
#define GMPT_CLI_H

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CLI_DEFAULT_PATH "gmptrace.data"
#define CLI_COLUMNS 80

enum cli_status {
    CLI_OK = 0,
    CLI_FINDINGS = 1, /* leaks found, or what --fail-on asks for */
    CLI_USAGE = 2,    /* wrong arguments, or a program that cannot be run or recorded */
    CLI_INPUT = 3,    /* input that cannot be used */
    CLI_MACHINE = 4,  /* the machine lacks something: room, rights, a kernel feature; output that cannot be written */
};

/* A subcommand is one file cli/NAME.c with one of these and a manual page cli/gmptrace-NAME.1. */
struct cli_command {
    const char *name;
    const char *summary; /* one line for `gmptrace --help` */
    const char *help;    /* what `gmptrace NAME --help` prints, ends with a newline */
    int (*run)(int argc, char **argv); /* argv[0] is NAME; returns an exit status */
};

extern const struct cli_command command_record, command_recover, command_analyze, command_leaks, command_pprof,
    command_script, command_export, command_graph, command_ps, command_dump, command_report, command_diff,
    command_check, command_doctor;

/* The whole of main(): finds the subcommand and runs it. Returns the exit status. */
int cli_dispatch(int argc, char **argv);

/* The command that runs now; cli_error and cli_usage name it. */
extern const struct cli_command *cli_current;

/* "gmptrace NAME: message\n" on standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, with a pointer to --help; returns CLI_USAGE. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What getopt_long's ':' and '?' mean, after it returned one of them with opterr 0; returns CLI_USAGE. */
int cli_usage_option(int option, char **argv);

/* What every subcommand does with the options that are not its own: -h and --version ('h' and 'V'), and what
 * getopt_long did not like. Returns the status to exit with. */
int cli_option_common(int option, char **argv);
/* After the options: takes the one FILE, if there is one; else *path stays. Returns false, and says why, when more
 * follow. */
bool cli_file_take(int argc, char **argv, const char **path);

/* Opens a trace or says why not and returns NULL; the status is then CLI_INPUT. */
struct gmpt_trace *cli_trace_open(const char *path);
/* After the last event: says on standard error what is damaged, cut off or lost. Returns CLI_OK, or CLI_INPUT when
 * nothing could be used. */
int cli_trace_finish(const struct gmpt_trace *trace, const char *path, int last_result);

/* Reads a duration such as 300us, 500ms, 1.5s, 2m or 1h; the unit (ns, us, ms, s, m, h) is required. Returns 0 or
 * -EINVAL. */
int cli_parse_duration(const char *text, int64_t *ns);

/* A number from 1 to INT32_MAX; 0 = it is something else. */
uint32_t cli_parse_number(const char *text);

/* Reads a size such as 500K, 64M or 1G, in units of 1024; the unit is required. Returns 0 or -EINVAL. */
int cli_parse_size(const char *text, uint64_t *bytes);

/* Flushes standard output; returns status, or CLI_MACHINE with a message when what was written did not arrive. */
int cli_flush(int status);

/* Writes a duration for a person in at most 8 columns: "1.23 ms". Returns buffer. */
const char *cli_duration(char buffer[16], int64_t ns);
/* Writes a count with thousands separated: "1,234,567". Returns buffer. */
const char *cli_count(char buffer[32], uint64_t count);

/* Writes a size for a person: "5.8 MB". Returns buffer. */
const char *cli_size(char buffer[32], uint64_t bytes);

/* Writes text for a terminal: at most columns characters, cut in the middle with "..." when it is longer, control
 * characters as '?'. Returns buffer. */
const char *cli_text(char *buffer, size_t size, const char *text, int columns);

/* "" for one, "s" for any other number. */
const char *cli_plural(uint64_t count);

/* Prints on standard output, broken at blanks into lines of at most CLI_COLUMNS characters, all but the first indented;
 * ends with a newline. Two blanks in a row stay together. A word that is longer has a line of its own. */
void cli_wrap(int indent, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_wrap_to(FILE *file, int indent, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Writes text as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD. */
void cli_json_string(FILE *file, const char *text);

/* Writes text as what stands between XML's tags, or between the quotes of an attribute; what XML cannot have becomes
 * U+FFFD. A line break in an attribute reads as a blank. */
void cli_xml_text(FILE *file, const char *text);

#endif
