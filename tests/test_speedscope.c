/* Profiles in speedscope's format, whose schema wants: $schema, shared.frames with a name each, and of a sampled
 * profile type, name, unit, startValue, endValue, samples and as many weights. */
#include "harness.h"
#include "sample.h"

#include "cli/speedscope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct profile_type types[] = { { "contentions", "count" }, { "delay", "nanoseconds" } };

static void add(struct profile *profile, const char *leaf, const char *root, int64_t count, int64_t delay_ns)
{
    const char *pseudo[] = { leaf, root };
    int64_t values[] = { count, delay_ns };
    ck_assert_int_eq(
        profile_add_sample(profile, &(struct profile_sample){ .pseudo = pseudo, .pseudo_count = 2, .values = values }),
        0);
}

static char *written(struct profile *profile)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    ck_assert_int_eq(speedscope_write(profile, "block", types, 2, 1, file), 0);
    fclose(file);
    profile_close(profile);
    ck_assert_msg(sample_json_valid(text), "%s", text);
    return text;
}

TEST(speedscope, each_type_is_a_sampled_profile)
{
    struct profile *profile = profile_open_types(NULL, NULL, types, 2, 1);
    add(profile, "wait", "serve", 2, 70);
    add(profile, "read", "serve", 1, 5);
    char *text = written(profile);
    const char *body = strstr(text, "\"activeProfileIndex\"");
    ck_assert_ptr_nonnull(strstr(text, "\"$schema\":\"https://www.speedscope.app/file-format-schema.json\""));
    ck_assert_ptr_nonnull(strstr(text, "\"name\":\"block\",\n\"exporter\":\"gmptrace@"));
    ck_assert_str_eq(body,
                     "\"activeProfileIndex\":1,\n"
                     "\"profiles\":[{\"type\":\"sampled\",\"name\":\"contentions\",\"unit\":\"none\","
                     "\"startValue\":0,\"endValue\":3,\n"
                     "\"samples\":[[0,1],\n[0,2]],\n\"weights\":[2,1]},\n"
                     "{\"type\":\"sampled\",\"name\":\"delay\",\"unit\":\"nanoseconds\","
                     "\"startValue\":0,\"endValue\":75,\n"
                     "\"samples\":[[0,1],\n[0,2]],\n\"weights\":[70,5]}],\n"
                     "\"shared\":{\"frames\":[{\"name\":\"serve\"},\n{\"name\":\"wait\"},\n{\"name\":\"read\"}]}}\n");
    free(text);
}

TEST(speedscope, an_empty_profile_is_valid_too)
{
    char *text = written(profile_open_types(NULL, NULL, types, 2, 1));
    ck_assert_ptr_nonnull(strstr(text, "\"samples\":[],\n\"weights\":[]"));
    ck_assert_ptr_nonnull(strstr(text, "\"frames\":[]"));
    free(text);
}

TEST(speedscope, names_are_json_strings)
{
    struct profile *profile = profile_open_types(NULL, NULL, types, 2, 1);
    add(profile, "a\"b\\c\n", "r", 1, 1);
    char *text = written(profile);
    ck_assert_ptr_nonnull(strstr(text, "{\"name\":\"a\\\"b\\\\c\\u000a\"}"));
    free(text);
}
