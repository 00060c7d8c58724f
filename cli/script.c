/* gmptrace script: every event of a trace on a line of its own, in the order of cause and effect. */
#include "captions.h"
#include "cli.h"
#include "eventjson.h"
#include "eventline.h"
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_BYTES (256 * 1024)

struct script {
    struct gmpt_trace *trace;
    struct symbolizer *symbolizer;
    struct places *places;
    struct captions *captions;
    const char *path;
    bool raw, json;
    bool only_g_seen;
    uint64_t only_g; /* 0 = all */
};

/* ---- The command ------------------------------------------------------------------------------------------------- */

static int trace_print(struct script *script)
{
    struct eventlines lines = { .trace = script->trace, .captions = script->captions, .raw = script->raw };
    struct gmpt_event event;
    int result;
    while ((result = gmpt_trace_next(script->trace, &event)) > 0) {
        if (script->only_g && event.g != script->only_g &&
            !(event.type == GMPT_EVENT_go_create && event.go_create.g == script->only_g))
            continue;
        script->only_g_seen = true;
        if (script->json) {
            eventjson_print(script->trace, script->places, stdout, &event);
        } else if (eventlines_print(&lines, stdout, &event)) {
            cli_error("%s: %s", script->path, strerror(ENOMEM));
            return CLI_MACHINE;
        }
        if (ferror(stdout))
            return cli_flush(CLI_OK);
    }
    int status = cli_flush(CLI_OK), finished = cli_trace_finish(script->trace, script->path, result);
    if (script->only_g && !script->only_g_seen)
        cli_error("%s: there is no goroutine %" PRIu64 " in this trace", script->path, script->only_g);
    if (!script->raw)
        place_warn(script->places);
    return status ? status : finished;
}

static int script_options_read(struct script *script, int argc, char **argv)
{
    static const struct option longs[] = {
        { "raw", no_argument, NULL, 'r' },
        { "json", no_argument, NULL, 'j' },
        { "goroutine", required_argument, NULL, 'g' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    optind = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":hg:", longs, NULL)) != -1;) {
        char *end;
        switch (option) {
        case 'r':
            script->raw = true;
            break;
        case 'j':
            script->json = true;
            break;
        case 'g':
            if (*optarg == 'G')
                optarg++;
            errno = 0;
            script->only_g = strtoull(optarg, &end, 10);
            if (*optarg < '0' || *optarg > '9' || *end || errno || script->only_g == 0)
                return cli_usage("-g takes a goroutine's number such as 12, not '%s'", optarg);
            break;
        default:
            return cli_option_common(option, argv);
        }
    }
    script->path = CLI_DEFAULT_PATH;
    if (!cli_file_take(argc, argv, &script->path))
        return CLI_USAGE;
    if (script->raw && script->json)
        return cli_usage("--raw and --json exclude each other");
    return LOAD_GO_ON;
}

static int script_run(int argc, char **argv)
{
    struct script script = { 0 };
    int status = script_options_read(&script, argc, argv);
    if (status != LOAD_GO_ON)
        return status;
    script.trace = cli_trace_open(script.path);
    if (!script.trace)
        return CLI_INPUT;
    setvbuf(stdout, NULL, _IOFBF, OUTPUT_BYTES);
    script.symbolizer = symbolizer_open(script.trace);
    script.places = script.symbolizer ? places_open(script.trace, script.symbolizer) : NULL;
    script.captions = script.places ? captions_open(script.trace, script.places) : NULL;
    if (script.captions) {
        status = trace_print(&script);
    } else {
        cli_error("%s: %s", script.path, strerror(ENOMEM));
        status = CLI_MACHINE;
    }
    captions_close(script.captions);
    places_close(script.places);
    if (script.symbolizer)
        symbolizer_close(script.symbolizer);
    gmpt_trace_close(script.trace);
    return status;
}

const struct cli_command command_script = {
    .name = "script",
    .summary = "every event of a trace, a line each",
    .help = "Usage: gmptrace script [FILE] [-g G] [--raw | --json]\n"
            "Prints every event of a trace on a line: seconds since its start, P, goroutine,\n"
            "event, fields. FILE is gmptrace.data by default.\n\n"
            "  -g, --goroutine G   only the events about goroutine G\n"
            "  --raw               numbers instead of the program's names, for other programs\n"
            "  --json              a JSON object a line\n"
            "  --help              this text\n"
            "  --version           which gmptrace this is\n\n"
            "Exit status: 0 fine, 2 wrong usage, 3 FILE cannot be used, 4 the output cannot\n"
            "be written.\n",
    .run = script_run,
};
