/* Profiles are written, unpacked again by protobuf-c, and read by Go's pprof where there is one. The modules are this
 * program's own, so that its functions can be looked for by their names. */
#define _GNU_SOURCE
#include "harness.h"

#include "pprof/intern.h"
#include "pprof/profile.h"
#include "pprof/profile.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static struct gmpt_module own_modules[64];
static char own_paths[64][512];
static size_t own_count;

static int module_add(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    struct gmpt_module *module = &own_modules[own_count];
    ssize_t length = 0;
    if (own_count == 64)
        return 1;
    if (info->dlpi_name[0])
        snprintf(own_paths[own_count], sizeof own_paths[0], "%s", info->dlpi_name);
    else if ((length = readlink("/proc/self/exe", own_paths[own_count], sizeof own_paths[0] - 1)) > 0)
        own_paths[own_count][length] = 0;
    *module = (struct gmpt_module){ .bias = info->dlpi_addr, .path = own_paths[own_count] };
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            module->start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            module->end = module->start + info->dlpi_phdr[i].p_memsz;
        }
    own_count++;
    return 0;
}

static int module_compare(const void *a_pointer, const void *b_pointer)
{
    const struct gmpt_module *a = a_pointer, *b = b_pointer;
    return a->start < b->start ? -1 : a->start > b->start;
}

static struct symbolizer *own_symbolizer(void)
{
    if (!own_count) {
        dl_iterate_phdr(module_add, NULL);
        qsort(own_modules, own_count, sizeof own_modules[0], module_compare);
        /* What the file has as its build id does not matter here, but that it is carried over does. */
        own_modules[0].build_id_bytes = 0;
    }
    struct symbolizer *symbolizer = symbolizer_open_modules(own_modules, own_count);
    ck_assert_ptr_nonnull(symbolizer);
    return symbolizer;
}

__attribute__((noinline)) static uint64_t return_address(void) { return (uint64_t)__builtin_return_address(0); }

__attribute__((noinline)) static uint64_t profile_test_leaf(void)
{
    uint64_t address = return_address();
    __asm__ volatile("" : "+r"(address));
    return address;
}

static uint64_t root_address(void);

static char output_path[512];

static void write_out(struct profile *profile)
{
    snprintf(output_path, sizeof output_path, "%s/out.pb.gz", harness_tmpdir());
    int fd = open(output_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(profile_write(profile, fd), 0);
    ck_assert_int_eq(close(fd), 0);
}

/* Writes the profile, reads it back, and closes it. */
static Perftools__Profiles__Profile *round_trip(struct profile *profile, struct symbolizer *symbolizer)
{
    static uint8_t bytes[4 << 20];
    write_out(profile);
    profile_close(profile);
    symbolizer_close(symbolizer);
    gzFile file = gzopen(output_path, "r");
    ck_assert_ptr_nonnull(file);
    int size = gzread(file, bytes, sizeof bytes);
    ck_assert_int_gt(size, 0);
    ck_assert_int_eq(gzdirect(file), 0);
    ck_assert_int_eq(gzclose(file), Z_OK);
    Perftools__Profiles__Profile *message = perftools__profiles__profile__unpack(NULL, (size_t)size, bytes);
    ck_assert_ptr_nonnull(message);
    return message;
}

static struct profile *open_profile(struct symbolizer *symbolizer)
{
    struct profile *profile = profile_open(NULL, symbolizer, "goroutine", "count");
    ck_assert_ptr_nonnull(profile);
    return profile;
}

static const char *string_at(const Perftools__Profiles__Profile *message, int64_t index)
{
    ck_assert_int_ge(index, 0);
    ck_assert_uint_lt((size_t)index, message->n_string_table);
    return message->string_table[index];
}

static const Perftools__Profiles__Function *function_of(const Perftools__Profiles__Profile *message,
                                                        const Perftools__Profiles__Line *line)
{
    for (size_t i = 0; i < message->n_function; i++)
        if (message->function[i]->id == line->function_id)
            return message->function[i];
    ck_abort_msg("a line names a function that is not there");
    return NULL;
}

static const Perftools__Profiles__Location *location_of(const Perftools__Profiles__Profile *message, uint64_t id)
{
    for (size_t i = 0; i < message->n_location; i++)
        if (message->location[i]->id == id)
            return message->location[i];
    ck_abort_msg("a sample names a location that is not there");
    return NULL;
}

static const char *label_text(const Perftools__Profiles__Profile *message, const Perftools__Profiles__Sample *sample,
                              const char *key)
{
    for (size_t i = 0; i < sample->n_label; i++)
        if (strcmp(string_at(message, sample->label[i]->key), key) == 0)
            return string_at(message, sample->label[i]->str);
    return NULL;
}

static void message_free(Perftools__Profiles__Profile *message)
{
    perftools__profiles__profile__free_unpacked(message, NULL);
}

/* ---- Contents ---------------------------------------------------------------------------------------------------- */

TEST(profile, empty_profile_has_its_types)
{
    struct symbolizer *symbolizer = own_symbolizer();
    Perftools__Profiles__Profile *message = round_trip(open_profile(symbolizer), symbolizer);
    ck_assert_uint_eq(message->n_sample, 0);
    ck_assert_uint_eq(message->n_sample_type, 1);
    ck_assert_str_eq(string_at(message, message->sample_type[0]->type), "goroutine");
    ck_assert_str_eq(string_at(message, message->sample_type[0]->unit), "count");
    ck_assert_str_eq(string_at(message, message->period_type->type), "goroutine");
    ck_assert_int_eq(message->period, 1);
    ck_assert_str_eq(string_at(message, message->default_sample_type), "goroutine");
    message_free(message);
}

TEST(profile, string_zero_is_empty)
{
    struct symbolizer *symbolizer = own_symbolizer();
    Perftools__Profiles__Profile *message = round_trip(open_profile(symbolizer), symbolizer);
    ck_assert_uint_gt(message->n_string_table, 0);
    ck_assert_str_eq(message->string_table[0], "");
    message_free(message);
}

TEST(profile, strings_are_kept_once)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    struct profile_label label = { .key = "state", .text = "state" };
    for (uint64_t i = 1; i < 5; i++)
        ck_assert_int_eq(profile_add(profile, &i, 1, 1, &label, 1), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    for (size_t i = 0; i < message->n_string_table; i++)
        for (size_t k = 0; k < i; k++)
            ck_assert_str_ne(message->string_table[i], message->string_table[k]);
    message_free(message);
}

TEST(profile, samples_with_one_stack_and_labels_are_summed)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t stack[] = { 0x1001, 0x2001 };
    struct profile_label label = { .key = "state", .text = "waiting" };
    ck_assert_int_eq(profile_add(profile, stack, 2, 3, &label, 1), 0);
    ck_assert_int_eq(profile_add(profile, stack, 2, 4, &label, 1), 0);
    ck_assert_uint_eq(profile_sample_count(profile), 1);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->n_sample, 1);
    ck_assert_uint_eq(message->sample[0]->n_value, 1);
    ck_assert_int_eq(message->sample[0]->value[0], 7);
    message_free(message);
}

TEST(profile, other_labels_make_another_sample)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t stack[] = { 0x1001 };
    struct profile_label waiting = { .key = "state", .text = "waiting" },
                         running = { .key = "state", .text = "running" };
    ck_assert_int_eq(profile_add(profile, stack, 1, 3, &waiting, 1), 0);
    ck_assert_int_eq(profile_add(profile, stack, 1, 4, &running, 1), 0);
    ck_assert_int_eq(profile_add(profile, stack, 1, 5, NULL, 0), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->n_sample, 3);
    ck_assert_str_eq(label_text(message, message->sample[0], "state"), "waiting");
    ck_assert_str_eq(label_text(message, message->sample[1], "state"), "running");
    ck_assert_uint_eq(message->sample[2]->n_label, 0);
    ck_assert_uint_eq(message->n_location, 1);
    message_free(message);
}

TEST(profile, stack_order_matters)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t one[] = { 0x1001, 0x2001 }, other[] = { 0x2001, 0x1001 };
    ck_assert_int_eq(profile_add(profile, one, 2, 1, NULL, 0), 0);
    ck_assert_int_eq(profile_add(profile, other, 2, 1, NULL, 0), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->n_sample, 2);
    ck_assert_uint_eq(message->n_location, 2);
    message_free(message);
}

TEST(profile, leaf_comes_first_and_addresses_lie_in_the_call)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t stack[] = { 0x1001, 0x2001, 0x3001 };
    ck_assert_int_eq(profile_add(profile, stack, 3, 1, NULL, 0), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->sample[0]->n_location_id, 3);
    for (size_t i = 0; i < 3; i++) {
        const Perftools__Profiles__Location *location = location_of(message, message->sample[0]->location_id[i]);
        ck_assert_uint_eq(location->address, stack[i] - 1);
        ck_assert_uint_eq(location->mapping_id, 0);
        ck_assert_uint_eq(location->n_line, 0);
    }
    message_free(message);
}

TEST(profile, stack_without_frames_is_a_sample)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    ck_assert_int_eq(profile_add(profile, NULL, 0, 2, NULL, 0), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->n_sample, 1);
    ck_assert_uint_eq(message->sample[0]->n_location_id, 0);
    ck_assert_int_eq(message->sample[0]->value[0], 2);
    message_free(message);
}

TEST(profile, number_labels_keep_number_and_unit)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t stack[] = { 0x1001 };
    struct profile_label label = { .key = "waited", .number = 250, .unit = "milliseconds" };
    ck_assert_int_eq(profile_add(profile, stack, 1, 1, &label, 1), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    const Perftools__Profiles__Label *out = message->sample[0]->label[0];
    ck_assert_str_eq(string_at(message, out->key), "waited");
    ck_assert_int_eq(out->str, 0);
    ck_assert_int_eq(out->num, 250);
    ck_assert_str_eq(string_at(message, out->num_unit), "milliseconds");
    message_free(message);
}

TEST(profile, comments_are_kept_in_order)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    ck_assert_int_eq(profile_comment(profile, "first"), 0);
    ck_assert_int_eq(profile_comment(profile, "second"), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->n_comment, 2);
    ck_assert_str_eq(string_at(message, message->comment[0]), "first");
    ck_assert_str_eq(string_at(message, message->comment[1]), "second");
    message_free(message);
}

TEST(profile, strings_become_utf8)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    ck_assert_int_eq(profile_comment(profile, "caf\xc3\xa9 \xff|\xc3|\xe2\x82"), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_str_eq(string_at(message, message->comment[0]), "caf\xc3\xa9 ?|?|??");
    message_free(message);
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

TEST(profile, known_functions_have_name_file_and_lines)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t stack[] = { profile_test_leaf() };
    ck_assert_int_eq(profile_add(profile, stack, 1, 1, NULL, 0), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    const Perftools__Profiles__Location *location = location_of(message, message->sample[0]->location_id[0]);
    ck_assert_uint_eq(location->n_line, 1);
    const Perftools__Profiles__Function *function = function_of(message, location->line[0]);
    ck_assert_str_eq(string_at(message, function->name), "profile_test_leaf");
    ck_assert_str_eq(string_at(message, function->system_name), "profile_test_leaf");
    ck_assert_ptr_nonnull(strstr(string_at(message, function->filename), "test_profile.c"));
    ck_assert_int_gt(function->start_line, 0);
    ck_assert_int_eq(location->line[0]->line, function->start_line + 2);
    message_free(message);
}

TEST(profile, inlined_functions_are_lines_of_one_location)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t stack[] = { root_address() };
    ck_assert_int_eq(profile_add(profile, stack, 1, 1, NULL, 0), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->n_location, 1);
    const Perftools__Profiles__Location *location = message->location[0];
    ck_assert_uint_eq(location->n_line, 2);
    ck_assert_str_eq(string_at(message, function_of(message, location->line[0])->name), "folded_in");
    ck_assert_str_eq(string_at(message, function_of(message, location->line[1])->name), "root_address");
    const Perftools__Profiles__Mapping *mapping = message->mapping[location->mapping_id - 1];
    ck_assert_int_eq(mapping->has_inline_frames, 1);
    message_free(message);
}

TEST(profile, mapping_says_what_is_known_already)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t stack[] = { profile_test_leaf() };
    ck_assert_int_eq(profile_add(profile, stack, 1, 1, NULL, 0), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    const Perftools__Profiles__Location *location = message->location[0];
    for (size_t i = 0; i < message->n_mapping; i++) {
        const Perftools__Profiles__Mapping *mapping = message->mapping[i];
        ck_assert_uint_eq(mapping->id, i + 1);
        bool used = mapping->id == location->mapping_id;
        ck_assert_int_eq(mapping->has_functions, used);
        ck_assert_int_eq(mapping->has_filenames, used);
        ck_assert_int_eq(mapping->has_line_numbers, used);
        ck_assert_int_eq(mapping->memory_start <= location->address && location->address < mapping->memory_limit, used);
    }
    message_free(message);
}

TEST(profile, mappings_carry_path_and_build_id)
{
    struct gmpt_module module = { .start = 0x10000,
                                  .end = 0x20000,
                                  .path = "/nowhere/program",
                                  .build_id_bytes = 4,
                                  .build_id = { 0xde, 0xad, 0x00, 0x0f } };
    struct symbolizer *symbolizer = symbolizer_open_modules(&module, 1);
    struct profile *profile = open_profile(symbolizer);
    uint64_t stack[] = { 0x12346 };
    ck_assert_int_eq(profile_add(profile, stack, 1, 1, NULL, 0), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->n_mapping, 1);
    ck_assert_uint_eq(message->mapping[0]->memory_start, 0x10000);
    ck_assert_uint_eq(message->mapping[0]->memory_limit, 0x20000);
    ck_assert_str_eq(string_at(message, message->mapping[0]->filename), "/nowhere/program");
    ck_assert_str_eq(string_at(message, message->mapping[0]->build_id), "dead000f");
    ck_assert_int_eq(message->mapping[0]->has_functions, 0);
    ck_assert_uint_eq(message->location[0]->mapping_id, 1);
    ck_assert_uint_eq(message->location[0]->n_line, 0);
    message_free(message);
}

TEST(profile, addresses_of_one_function_share_it)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t stack[] = { profile_test_leaf(), (uint64_t)profile_test_leaf + 1 };
    ck_assert_int_eq(profile_add(profile, stack, 2, 1, NULL, 0), 0);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->n_location, 2);
    ck_assert_uint_eq(message->n_function, 1);
    message_free(message);
}

/* ---- Size and failure -------------------------------------------------------------------------------------------- */

TEST(profile, many_samples_survive)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    const uint64_t count = 20000;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t stack[] = { 0x1000 + i % 1000, 0x100000 + i };
        char text[32];
        snprintf(text, sizeof text, "creator %d", (int)(i % 100));
        struct profile_label label = { .key = "created_by", .text = text };
        ck_assert_int_eq(profile_add(profile, stack, 2, (int64_t)i, &label, 1), 0);
    }
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->n_sample, count);
    for (uint64_t i = 0; i < count; i += 999) {
        char text[32];
        snprintf(text, sizeof text, "creator %d", (int)(i % 100));
        ck_assert_int_eq(message->sample[i]->value[0], (int64_t)i);
        ck_assert_str_eq(label_text(message, message->sample[i], "created_by"), text);
        ck_assert_uint_eq(message->location[message->sample[i]->location_id[1] - 1]->address, 0x100000 + i - 1);
    }
    message_free(message);
}

TEST(profile, writing_twice_writes_the_same)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t stack[] = { profile_test_leaf() };
    char command[1200], first_path[512];
    ck_assert_int_eq(profile_add(profile, stack, 1, 1, NULL, 0), 0);
    write_out(profile);
    snprintf(first_path, sizeof first_path, "%s/first.pb.gz", harness_tmpdir());
    ck_assert_int_eq(rename(output_path, first_path), 0);
    write_out(profile);
    snprintf(command, sizeof command, "cmp %s %s", first_path, output_path);
    ck_assert_int_eq(harness_shell(command, NULL, 0, NULL, 0), 0);
    profile_close(profile);
    symbolizer_close(symbolizer);
}

TEST(profile, a_sample_may_have_two_values)
{
    struct symbolizer *symbolizer = own_symbolizer();
    static const struct profile_type types[] = { { "contentions", "count" }, { "delay", "nanoseconds" } };
    struct profile *profile = profile_open_types(NULL, symbolizer, types, 2, 1);
    uint64_t stack[] = { profile_test_leaf() };
    int64_t values[] = { 1, 500 }, more[] = { 2, 70 };
    struct profile_sample sample = { .pc = stack, .count = 1, .values = values };
    ck_assert_int_eq(profile_add_sample(profile, &sample), 0);
    sample.values = more;
    ck_assert_int_eq(profile_add_sample(profile, &sample), 0);
    ck_assert_int_eq(profile_value(profile, 0, 0), 3);
    ck_assert_int_eq(profile_value(profile, 0, 1), 570);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->n_sample_type, 2);
    ck_assert_str_eq(string_at(message, message->sample_type[0]->type), "contentions");
    ck_assert_str_eq(string_at(message, message->sample_type[1]->unit), "nanoseconds");
    ck_assert_str_eq(string_at(message, message->default_sample_type), "delay");
    ck_assert_str_eq(string_at(message, message->period_type->type), "contentions");
    ck_assert_uint_eq(message->n_sample, 1);
    ck_assert_uint_eq(message->sample[0]->n_value, 2);
    ck_assert_int_eq(message->sample[0]->value[1], 570);
    perftools__profiles__profile__free_unpacked(message, NULL);
}

TEST(profile, a_pseudo_frame_has_a_name_and_no_address)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    struct profile_frames frames = { 0 };
    uint64_t stack[] = { profile_test_leaf() };
    const char *pseudo[] = { "[running]" };
    int64_t value = 4;
    struct profile_sample sample = { .pseudo = pseudo, .pseudo_count = 1, .pc = stack, .count = 1, .values = &value };
    ck_assert_int_eq(profile_add_sample(profile, &sample), 0);
    ck_assert_int_eq(profile_sample_frames(profile, 0, &frames), 0);
    ck_assert_uint_ge(frames.count, 2);
    ck_assert_str_eq(profile_string(profile, frames.list[0].name), "[running]");
    free(frames.list);
    Perftools__Profiles__Profile *message = round_trip(profile, symbolizer);
    ck_assert_uint_eq(message->sample[0]->n_location_id, 2);
    const Perftools__Profiles__Location *location = location_of(message, message->sample[0]->location_id[0]);
    ck_assert_uint_eq(location->address, 0);
    ck_assert_uint_eq(location->mapping_id, 0);
    ck_assert_uint_eq(location->n_line, 1);
    ck_assert_str_eq(string_at(message, function_of(message, location->line[0])->name), "[running]");
    ck_assert_uint_ne(location_of(message, message->sample[0]->location_id[1])->address, 0);
    perftools__profiles__profile__free_unpacked(message, NULL);
}

TEST(profile, frames_without_a_name_are_shown_by_their_address)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    struct profile_frames frames = { 0 };
    uint64_t stack[] = { 0x1001 };
    ck_assert_int_eq(profile_add(profile, stack, 1, 1, NULL, 0), 0);
    ck_assert_int_eq(profile_sample_frames(profile, 0, &frames), 0);
    ck_assert_uint_eq(frames.count, 1);
    ck_assert_str_eq(profile_string(profile, frames.list[0].name), "0x1000");
    free(frames.list);
    profile_close(profile);
    symbolizer_close(symbolizer);
}

TEST(profile, full_disk_is_an_error)
{
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        profile_close(profile);
        symbolizer_close(symbolizer);
        SKIP("no /dev/full");
    }
    ck_assert_int_eq(profile_write(profile, fd), -ENOSPC);
    close(fd);
    profile_close(profile);
    symbolizer_close(symbolizer);
}

/* ---- Go's pprof, which go may have to build first ---------------------------------------------------------------- */

static bool have_go_pprof(void)
{
    static char out[8192], err[8192];
    harness_shell("go tool pprof -h", out, sizeof out, err, sizeof err);
    return strstr(out, "usage:") || strstr(err, "usage:") || strstr(err, "Produce output") ||
           strstr(out, "Produce output");
}

/* Runs go tool pprof on a profile with one known sample of 5 and one unknown of 2. */
static void run_go_pprof(const char *options, char *out, size_t out_size)
{
    static char err[8192];
    char command[1024];
    struct symbolizer *symbolizer = own_symbolizer();
    struct profile *profile = open_profile(symbolizer);
    uint64_t known[] = { profile_test_leaf(), root_address() }, unknown[] = { 0x1001 };
    struct profile_label labels[] = { { .key = "created_by", .text = "serve gateway.c:120" },
                                      { .key = "state", .text = "waiting" } };
    ck_assert_int_eq(profile_comment(profile, "command: gateway"), 0);
    ck_assert_int_eq(profile_add(profile, known, 2, 5, labels, 2), 0);
    ck_assert_int_eq(profile_add(profile, unknown, 1, 2, NULL, 0), 0);
    write_out(profile);
    profile_close(profile);
    symbolizer_close(symbolizer);
    snprintf(command, sizeof command, "go tool pprof %s %s", options, output_path);
    int status = harness_shell(command, out, out_size, err, sizeof err);
    ck_assert_msg(status == 0, "%s: %s", command, err);
    ck_assert_msg(!strstr(err, "rror"), "%s: %s", command, err);
}

static void expect_words(const char *text, const char *words)
{
    ck_assert_msg(strstr(text, words) != NULL, "no '%s' in:\n%s", words, text);
}

TEST_TIMEOUT(profile, go_pprof_shows_the_functions, 300)
{
    static char out[65536];
    if (!have_go_pprof())
        SKIP("no go tool pprof");
    run_go_pprof("-top", out, sizeof out);
    expect_words(out, "Type: goroutine");
    expect_words(out, "profile_test_leaf");
    expect_words(out, "root_address");
    expect_words(out, "folded_in (inline)");
    expect_words(out, "of 7 total");
}

TEST_TIMEOUT(profile, go_pprof_takes_the_raw_profile_without_complaint, 300)
{
    static char out[65536];
    if (!have_go_pprof())
        SKIP("no go tool pprof");
    run_go_pprof("-raw", out, sizeof out);
    expect_words(out, "goroutine/count");
    expect_words(out, "created_by:[serve gateway.c:120]");
    expect_words(out, "[FN][FL][LN]");
}

TEST_TIMEOUT(profile, go_pprof_shows_labels_and_comments, 300)
{
    static char out[65536];
    if (!have_go_pprof())
        SKIP("no go tool pprof");
    run_go_pprof("-tags", out, sizeof out);
    expect_words(out, "serve gateway.c:120");
    run_go_pprof("-comments", out, sizeof out);
    expect_words(out, "command: gateway");
}

/* ---- The set of byte strings under it ---------------------------------------------------------------------------- */

TEST(intern, equal_keys_have_one_number)
{
    struct intern intern = { 0 };
    ck_assert_int_eq(intern_put(&intern, "one", 3), 0);
    ck_assert_int_eq(intern_put(&intern, "two", 3), 1);
    ck_assert_int_eq(intern_put(&intern, "one", 3), 0);
    ck_assert_uint_eq(intern.count, 2);
    intern_free(&intern);
}

TEST(intern, keys_differ_by_their_size)
{
    struct intern intern = { 0 };
    const uint8_t zeros[4] = { 0 };
    ck_assert_int_eq(intern_put(&intern, zeros, 1), 0);
    ck_assert_int_eq(intern_put(&intern, zeros, 4), 1);
    ck_assert_int_eq(intern_put(&intern, zeros, 0), 2);
    ck_assert_int_eq(intern_put(&intern, zeros, 1), 0);
    intern_free(&intern);
}

TEST(intern, numbers_stay_while_it_grows)
{
    struct intern intern = { 0 };
    for (uint64_t i = 0; i < 50000; i++)
        ck_assert_int_eq(intern_put(&intern, &i, sizeof i), (int64_t)i);
    for (uint64_t i = 0; i < 50000; i++) {
        size_t size;
        const uint64_t *key = intern_get(&intern, i, &size);
        ck_assert_uint_eq(size, sizeof i);
        ck_assert_uint_eq(*key, i);
        ck_assert_int_eq(intern_put(&intern, &i, sizeof i), (int64_t)i);
    }
    intern_free(&intern);
    ck_assert_uint_eq(intern.count, 0);
}

/* Not the same as profile_test_leaf, or the compiler makes one function of both. */
static inline __attribute__((always_inline)) uint64_t folded_in(void)
{
    uint64_t address = return_address();
    __asm__ volatile("nop" : "+r"(address));
    return address;
}

__attribute__((noinline)) static uint64_t root_address(void) { return folded_in(); }
