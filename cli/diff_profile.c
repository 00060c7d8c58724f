/* See diff_profile.h. */
#include "diff_profile.h"

#include "cli.h"
#include "folded.h"
#include "load.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct side {
    const struct diff_part *part;
    struct load load;
    struct profile *profile;
    int64_t length_ns;
    char text[PLACE_TEXT_BYTES];
};

/* ---- A side's profile -------------------------------------------------------------------------------------------- */

static uint32_t text_stack(void *side, uint32_t stack) { return alike_first(((struct side *)side)->load.alike, stack); }

static const char *text_none(void *side, uint32_t stack)
{
    (void)side;
    (void)stack;
    return NULL;
}

static const char *text_function(void *side_arg, uint64_t fn)
{
    struct side *side = side_arg;
    return place_function(side->load.places, side->text, fn);
}

static int events_read(struct side *side, struct tally *tally, int *last)
{
    struct gmpt_event event;
    struct intervals *intervals = intervals_open(side->load.trace, NULL, NULL);
    int result = intervals ? 0 : -ENOMEM;
    if (intervals)
        tally_listen(tally, intervals);
    while (!result && (*last = gmpt_trace_next(side->load.trace, &event)) > 0) {
        result = intervals_add(intervals, &event);
        if (!result)
            result = tally_event(tally, &event);
    }
    if (!result)
        result = intervals_finish(intervals, gmpt_trace_info(side->load.trace)->duration_ns);
    if (!result) {
        int64_t end_ns = intervals_end_ns(intervals);
        side->length_ns = (side->part->to_ns < end_ns ? side->part->to_ns : end_ns) - side->part->from_ns;
    }
    intervals_close(intervals);
    return result ? result : *last == -ENOMEM ? -ENOMEM : 0;
}

static int side_read(struct side *side, const struct tally_type *type)
{
    struct load_options load_options = { .path = side->part->path };
    int status = load_prepare(&side->load, &load_options), last = 0;
    if (status != CLI_OK)
        return status;
    struct tally_options options = {
        .type = type, .from_ns = side->part->from_ns, .to_ns = side->part->to_ns, .at_ns = TALLY_AT_END
    };
    struct tally_texts texts = { side, text_stack, text_none, text_function };
    struct tally *tally = tally_open(&options);
    side->profile =
        profile_open_types(side->load.trace, side->load.symbolizer, type->values, type->value_count, type->shown);
    int result = tally && side->profile ? events_read(side, tally, &last) : -ENOMEM;
    if (!result)
        result = tally_fill(tally, side->load.trace, &texts, side->profile);
    tally_close(tally);
    if (result) {
        cli_error("%s: %s", side->part->path, strerror(-result));
        return CLI_MACHINE;
    }
    status = cli_trace_finish(side->load.trace, side->part->path, last);
    if (status == CLI_OK && side->length_ns <= 0) {
        char length[16];
        return cli_usage("%s: nothing is there after %s", side->part->path,
                         cli_duration(length, side->part->from_ns));
    }
    return status;
}

static void side_close(struct side *side)
{
    profile_close(side->profile);
    load_close(&side->load);
}

/* ---- The difference ---------------------------------------------------------------------------------------------- */

/* Adds a side's samples, each value times factor. Returns 0 or -ENOMEM. */
static int side_add(struct profile *sum, struct side *side, const struct tally_type *type, double factor, bool base)
{
    static const struct profile_label label = { .key = "pprof::base", .text = "true" };
    struct profile_frames frames = { 0 };
    const char **names = NULL;
    size_t room = 0;
    int result = 0;
    for (size_t i = 0; i < profile_sample_count(side->profile) && !result; i++) {
        int64_t values[PROFILE_TYPES_MAX];
        if ((result = profile_sample_frames(side->profile, i, &frames)))
            break;
        if (frames.count > room) {
            room = frames.count * 2;
            const char **more = reallocarray(names, room, sizeof *names);
            if (!more) {
                result = -ENOMEM;
                break;
            }
            names = more;
        }
        for (size_t k = 0; k < frames.count; k++)
            names[k] = profile_string(side->profile, frames.list[k].name);
        for (size_t v = 0; v < type->value_count; v++)
            values[v] = (int64_t)llround((double)profile_value(side->profile, i, v) * factor);
        result = profile_add_sample(sum, &(struct profile_sample){
                                             .pseudo = names,
                                             .pseudo_count = frames.count,
                                             .values = values,
                                             .labels = base ? &label : NULL,
                                             .label_count = base,
                                         });
    }
    free(names);
    free(frames.list);
    return result;
}

static int pprof_write(struct side *a, struct side *b, const struct tally_type *type, double factor, const char *path)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct profile *sum =
        profile_open_types(b->load.trace, b->load.symbolizer, type->values, type->value_count, type->shown);
    char comment[512];
    snprintf(comment, sizeof comment, "difference: %s minus %s, whose values are multiplied by %.6g", b->part->path,
             a->part->path, factor);
    int result = sum ? profile_comment(sum, comment) : -ENOMEM;
    if (!result)
        result = side_add(sum, a, type, -factor, true);
    if (!result)
        result = side_add(sum, b, type, 1, false);
    if (!result)
        result = profile_write(sum, fd);
    profile_close(sum);
    if (close(fd) && !result)
        result = -errno;
    return result;
}

/* A line's stack, ended where its value begins, and the value. Returns where the next line begins, NULL at the end. */
static char *line_take(char *line, char **stack, int64_t *value)
{
    char *end = line ? strchr(line, '\n') : NULL;
    if (!end)
        return *stack = NULL;
    *end = 0;
    char *blank = strrchr(line, ' ');
    *value = strtoll(blank + 1, NULL, 10);
    *blank = 0;
    *stack = line;
    return end + 1;
}

static int folded_text(struct side *side, size_t value, char **text)
{
    size_t size;
    FILE *file = open_memstream(text, &size);
    if (!file)
        return -ENOMEM;
    int result = folded_write(side->profile, value, file);
    return fclose(file) ? -ENOMEM : result;
}

/* Both are sorted by their stacks. */
static int folded_pairs_write(struct side *a, struct side *b, const struct tally_type *type, double factor, FILE *out)
{
    char *texts[2] = { NULL, NULL }, *stack[2], *next[2];
    int64_t value[2] = { 0, 0 };
    int result = folded_text(a, type->shown, &texts[0]);
    if (!result)
        result = folded_text(b, type->shown, &texts[1]);
    if (result)
        goto out;
    for (int i = 0; i < 2; i++)
        next[i] = line_take(texts[i], &stack[i], &value[i]);
    while (stack[0] || stack[1]) {
        int order = !stack[0] ? 1 : !stack[1] ? -1 : strcmp(stack[0], stack[1]);
        int64_t of_a = order <= 0 ? (int64_t)llround((double)value[0] * factor) : 0, of_b = order >= 0 ? value[1] : 0;
        fprintf(out, "%s %" PRId64 " %" PRId64 "\n", stack[order > 0], of_a, of_b);
        if (order <= 0)
            next[0] = line_take(next[0], &stack[0], &value[0]);
        if (order >= 0)
            next[1] = line_take(next[1], &stack[1], &value[1]);
    }
out:
    free(texts[0]);
    free(texts[1]);
    return result;
}

static int difference_write(struct side *a, struct side *b, const struct tally_type *type, bool folded,
                            const char *path)
{
    double factor = type->moment ? 1 : (double)b->length_ns / (double)a->length_ns;
    struct output output;
    int result = output_open(&output, path, !folded); /* pprof's format is compressed by itself */
    if (!result && folded)
        result = folded_pairs_write(a, b, type, factor, output.stream);
    else if (!result)
        result = pprof_write(a, b, type, factor, output_scratch(&output));
    if (!result)
        result = output_keep(&output);
    output_close(&output);
    if (!result)
        return CLI_OK;
    cli_error("cannot write %s: %s", strcmp(path, "-") == 0 ? "standard output" : path, strerror(-result));
    return CLI_MACHINE;
}

int diff_profile(const struct diff_part *a_part, const struct diff_part *b_part, const struct tally_type *type,
                 bool folded, const char *output)
{
    struct side a = { .part = a_part }, b = { .part = b_part };
    int status = side_read(&a, type);
    if (status == CLI_OK)
        status = side_read(&b, type);
    if (status == CLI_OK)
        status = difference_write(&a, &b, type, folded, output);
    if (status == CLI_OK) {
        place_warn(a.load.places);
        place_warn(b.load.places);
    }
    side_close(&a);
    side_close(&b);
    return status;
}
