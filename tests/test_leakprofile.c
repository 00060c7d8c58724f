/* Leak reports as pprof profiles. */
#define _GNU_SOURCE
#include "exported.h"
#include "harness.h"
#include "madeleaks.h"

#include "pprof/profile.pb-c.h"

#include <string.h>
#include <zlib.h>

static Perftools__Profiles__Profile *profile_read(const struct leak_report *report)
{
    static uint8_t bytes[1 << 16];
    const struct leak_view view = { report, &made_root, 0 };
    char path[512];
    snprintf(path, sizeof path, "%s/leaks.pb.gz", harness_tmpdir());
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(leak_profile_write(&view, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    gzFile zip = gzopen(path, "rb");
    int size = gzread(zip, bytes, sizeof bytes);
    gzclose(zip);
    ck_assert_int_gt(size, 0);
    Perftools__Profiles__Profile *profile = perftools__profiles__profile__unpack(NULL, (size_t)size, bytes);
    ck_assert_ptr_nonnull(profile);
    return profile;
}

TEST(leakprofile, counts_goroutines_by_where_they_wait)
{
    struct leak_report report;
    MADE_REPORT(&report, { .count = 12 }, { .count = 3, .starts = 20 });
    Perftools__Profiles__Profile *profile = profile_read(&report);
    ck_assert_str_eq(profile->string_table[profile->sample_type[0]->type], "goroutineleak");
    ck_assert_str_eq(profile->string_table[profile->sample_type[0]->unit], "count");
    ck_assert_uint_eq(profile->n_sample, 2);
    ck_assert_int_eq(profile->sample[0]->value[0], 12);
    ck_assert_uint_eq(profile->n_location, 1); /* both wait at one place */
    ck_assert_int_eq(profile->location[0]->line[0]->line, 110);
    ck_assert_str_eq(profile->string_table[profile->function[0]->filename], "src/gate.c");
    ck_assert_str_eq(profile->string_table[profile->sample[1]->label[2]->str], "starter src/gate.c:220");
    perftools__profiles__profile__free_unpacked(profile, NULL);
    leak_report_free(&report);
}

TEST(leakprofile, go_reads_it)
{
    struct leak_report report;
    if (exported_run("command -v go") != 0)
        SKIP("no go here");
    MADE_REPORT(&report, { .count = 12 }, { .nameless = true });
    perftools__profiles__profile__free_unpacked(profile_read(&report), NULL);
    ck_assert_int_eq(exported_run("go tool pprof -top leaks.pb.gz"), 0);
    exported_has(exported_out, "Type: goroutineleak");
    exported_has(exported_out, "worker");
    leak_report_free(&report);
}
