#include "speedscope.h"

#include "cli.h"

#include "pprof/intern.h"

#include "trace/timesum.h"

#include <gmptrace/gmpt.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The samples' stacks, from the root on, by the places of their frames in the shared list, which grows meanwhile. */
static int samples_write(struct profile *profile, struct intern *shared, struct profile_frames *frames, FILE *file)
{
    for (size_t i = 0; i < profile_sample_count(profile); i++) {
        if (profile_sample_frames(profile, i, frames))
            return -ENOMEM;
        fputs(i ? ",\n[" : "[", file);
        for (size_t k = frames->count; k-- > 0;) {
            int64_t key[] = { frames->list[k].name, frames->list[k].file, frames->list[k].line };
            int64_t place = intern_put(shared, key, sizeof key);
            if (place < 0)
                return -ENOMEM;
            fprintf(file, k ? "%" PRId64 "," : "%" PRId64, place);
        }
        fputc(']', file);
    }
    return 0;
}

static int64_t weights_total(const struct profile *profile, size_t type)
{
    int64_t total = 0;
    for (size_t i = 0; i < profile_sample_count(profile); i++)
        timesum_add(&total, profile_value(profile, i, type));
    return total;
}

static void frames_write(const struct profile *profile, const struct intern *shared, FILE *file)
{
    for (size_t i = 0; i < shared->count; i++) {
        const int64_t *key = intern_get(shared, i, NULL);
        fputs(i ? ",\n{\"name\":" : "{\"name\":", file);
        cli_json_string(file, profile_string(profile, key[0]));
        if (key[1]) {
            fputs(",\"file\":", file);
            cli_json_string(file, profile_string(profile, key[1]));
        }
        if (key[2])
            fprintf(file, ",\"line\":%" PRId64, key[2]);
        fputc('}', file);
    }
}

int speedscope_write(struct profile *profile, const char *name, const struct profile_type *types, size_t type_count,
                     size_t shown, FILE *file)
{
    struct profile_frames frames = { 0 };
    struct intern shared = { 0 };
    int result = 0;
    fputs("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n\"name\":", file);
    cli_json_string(file, name);
    fprintf(file, ",\n\"exporter\":\"gmptrace@%s\",\n\"activeProfileIndex\":%zu,\n\"profiles\":[", GMPT_VERSION, shown);
    for (size_t type = 0; type < type_count && !result; type++) {
        fprintf(file, "%s{\"type\":\"sampled\",\"name\":\"%s\",\"unit\":\"%s\",\"startValue\":0,\"endValue\":%" PRId64,
                type ? ",\n" : "", types[type].type,
                strcmp(types[type].unit, "nanoseconds") == 0 ? "nanoseconds" : "none", weights_total(profile, type));
        fputs(",\n\"samples\":[", file);
        result = samples_write(profile, &shared, &frames, file);
        fputs("],\n\"weights\":[", file);
        for (size_t i = 0; i < profile_sample_count(profile); i++)
            fprintf(file, i ? ",%" PRId64 : "%" PRId64, profile_value(profile, i, type));
        fputs("]}", file);
    }
    fputs("],\n\"shared\":{\"frames\":[", file);
    frames_write(profile, &shared, file);
    fputs("]}}\n", file);
    free(frames.list);
    intern_free(&shared);
    return result;
}
