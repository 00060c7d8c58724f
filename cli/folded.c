#include "folded.h"

#include "pprof/intern.h"

#include "trace/timesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct line {
    const char *text;
    int64_t value;
};

/* A name must not look like two, nor a line like two. */
static void name_print(FILE *file, const char *name)
{
    for (; *name; name++)
        fputc(*name == ';' ? ':' : (unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name, file);
}

static int line_add(struct profile *profile, const struct profile_frames *frames, struct intern *texts, int64_t *number)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return -ENOMEM;
    for (size_t i = frames->count; i-- > 0;) {
        name_print(file, profile_string(profile, frames->list[i].name));
        if (i)
            fputc(';', file);
    }
    bool failed = ferror(file);
    if (fclose(file) || failed) {
        free(text);
        return -ENOMEM;
    }
    *number = intern_put(texts, text, size + 1);
    free(text);
    return *number < 0 ? -ENOMEM : 0;
}

static int line_compare(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->text, ((const struct line *)b)->text);
}

int folded_write(struct profile *profile, size_t type, FILE *file)
{
    struct profile_frames frames = { 0 };
    struct intern texts = { 0 };
    size_t count = profile_sample_count(profile);
    int result = 0;
    struct line *lines = calloc(count + 1, sizeof lines[0]);
    if (!lines)
        return -ENOMEM;
    for (size_t i = 0; i < count && !result; i++) {
        int64_t number = 0;
        if (profile_value(profile, i, type) == 0)
            continue;
        result = profile_sample_frames(profile, i, &frames);
        if (!result)
            result = line_add(profile, &frames, &texts, &number);
        if (!result)
            timesum_add(&lines[number].value, profile_value(profile, i, type));
    }
    for (size_t i = 0; i < texts.count; i++)
        lines[i].text = intern_get(&texts, i, NULL);
    qsort(lines, texts.count, sizeof lines[0], line_compare);
    for (size_t i = 0; i < texts.count && !result; i++)
        fprintf(file, "%s %" PRId64 "\n", lines[i].text, lines[i].value);
    free(lines);
    free(frames.list);
    intern_free(&texts);
    return result;
}
