/* Programs that changed since the recording, damaged ones, and which module an address is in. */
#define _GNU_SOURCE
#include "built.h"
#include "harness.h"

#include "pprof/symbolize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Files that are not what was recorded ------------------------------------------------------------------------ */

TEST(symbolize, rebuilt_program_is_not_used)
{
    struct built built, rebuilt;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g -Wl,--build-id=sha1");
    built_compile(&rebuilt, built_inlined, "gcc -O2 -g -Wl,--build-id=sha1");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_nothing(symbolizer, built_place(&built, "plain"));
    built_expect_nothing(symbolizer, built_place(&built, "main"));
    built_expect_warning(symbolizer, "was rebuilt since the recording");

    char words[80];
    const uint8_t *then = built.modules[0].build_id, *now = rebuilt.modules[0].build_id;
    snprintf(words, sizeof words, "(build id %02x%02x%02x%02x%02x%02x... recorded, %02x%02x%02x%02x%02x%02x... now)",
             then[0], then[1], then[2], then[3], then[4], then[5], now[0], now[1], now[2], now[3], now[4], now[5]);
    built_expect_warning(symbolizer, words);
    symbolizer_close(symbolizer);
}

TEST(symbolize, rebuilt_without_build_id_is_not_used)
{
    struct built built, rebuilt;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g -Wl,--build-id=sha1");
    built_compile(&rebuilt, built_plain, "gcc -O0 -g -Wl,--build-id=none");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_nothing(symbolizer, built_place(&built, "plain"));
    built_expect_warning(symbolizer, "none now");
    symbolizer_close(symbolizer);
}

TEST(symbolize, deleted_program_has_no_names_and_a_warning)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g");
    built_shell("rm sample");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_nothing(symbolizer, built_place(&built, "plain"));
    built_expect_warning(symbolizer, "sample is not there any more");
    symbolizer_close(symbolizer);
}

TEST(symbolize, no_recorded_build_id_is_used_with_a_warning)
{
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g -Wl,--build-id=none");
    ck_assert_uint_eq(built.modules[0].build_id_bytes, 0);
    struct symbolizer *symbolizer = built_symbolizer(&built);
    built_expect_frame(symbolize(symbolizer, built_place(&built, "plain"))->frames, "plain", "sample.c", 6);
    built_expect_warning(symbolizer, "had no build id");
    symbolizer_close(symbolizer);
}

TEST(symbolize, text_in_place_of_the_program_is_not_used)
{
    struct gmpt_module module = { .start = 0x1000, .end = 0x2000, .build_id_bytes = 20 };
    char path[512];
    snprintf(path, sizeof path, "%s/text", harness_tmpdir());
    built_file("text", "not a program\n");
    module.path = path;
    struct symbolizer *symbolizer = symbolizer_open_modules(&module, 1);
    built_expect_nothing(symbolizer, 0x1234);
    built_expect_warning(symbolizer, "is not an ELF file");
    symbolizer_close(symbolizer);
}

TEST_TIMEOUT(symbolize, fifo_in_place_of_the_program_does_not_hang, 20)
{
    struct gmpt_module module = { .start = 0x1000, .end = 0x2000 };
    char path[512];
    snprintf(path, sizeof path, "%s/fifo", harness_tmpdir());
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    module.path = path;
    struct symbolizer *symbolizer = symbolizer_open_modules(&module, 1);
    built_expect_nothing(symbolizer, 0x1234);
    built_expect_warning(symbolizer, "is not an ELF file");
    symbolizer_close(symbolizer);
}

/* Reads a file of at most 1 MiB. */
static size_t file_read(const char *name, uint8_t *bytes, size_t room)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", harness_tmpdir(), name);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(bytes, 1, room, file);
    fclose(file);
    return size;
}

static void bytes_write(const char *name, const uint8_t *bytes, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", harness_tmpdir(), name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

/* Looks everything up in a damaged file; anything but a crash will do. */
static void look_up_all(const struct built *built)
{
    struct symbolizer *symbolizer = built_symbolizer(built);
    for (size_t i = 0; i < built->place_count; i++)
        ck_assert_uint_ge(symbolize(symbolizer, built->places[i].address)->count, 1);
    symbolizer_close(symbolizer);
}

TEST_TIMEOUT(symbolize, damaged_bytes_never_crash, 120)
{
    static uint8_t whole[1 << 20], damaged[1 << 20];
    struct built built;
    BUILT_NEED("gcc");
    /* Without a build id nothing tells that the file is not the one that ran. */
    built_compile(&built, built_inlined, "gcc -O2 -g -Wl,--build-id=none");
    size_t size = file_read("sample", whole, sizeof whole);
    uint32_t random = 12345;
    for (int round = 0; round < 400; round++) {
        memcpy(damaged, whole, size);
        for (int i = 0; i < 1 + round % 32; i++) {
            random = random * 1664525u + 1013904223u;
            size_t at = (random >> 8) % size;
            random = random * 1664525u + 1013904223u;
            damaged[at] = (uint8_t)(random >> 24);
        }
        bytes_write("sample", damaged, size);
        look_up_all(&built);
    }
}

TEST_TIMEOUT(symbolize, damaged_heads_never_crash, 120)
{
    static uint8_t whole[1 << 20], damaged[1 << 20];
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_inlined, "gcc -O2 -g -Wl,--build-id=none");
    size_t size = file_read("sample", whole, sizeof whole);
    /* Each byte of the ELF head, then bytes of the section heads at the end. */
    for (size_t i = 4; i < 64 + 600; i++) {
        memcpy(damaged, whole, size);
        size_t at = i < 64 ? i : size - (i - 64) * 3 - 1;
        damaged[at] = (uint8_t)(damaged[at] ^ (i % 2 ? 0xff : 0x11));
        bytes_write("sample", damaged, size);
        look_up_all(&built);
    }
}

TEST(symbolize, cut_off_files_never_crash)
{
    static uint8_t whole[1 << 20];
    struct built built;
    BUILT_NEED("gcc");
    built_compile(&built, built_inlined, "gcc -O2 -g -Wl,--build-id=none");
    size_t size = file_read("sample", whole, sizeof whole);
    for (size_t cut = 0; cut < size; cut += cut < 128 ? 8 : size / 97) {
        bytes_write("sample", whole, cut);
        look_up_all(&built);
    }
}

/* ---- Modules and cache ------------------------------------------------------------------------------------------- */

TEST(symbolize, address_outside_all_modules_is_in_none)
{
    struct gmpt_module module = { .start = 0x1000, .end = 0x2000, .path = "/nowhere/at/all" };
    struct symbolizer *symbolizer = symbolizer_open_modules(&module, 1);
    uint64_t outside[] = { 0, 1, 0x1000, 0x2001, UINT64_MAX };
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        built_expect_nothing(symbolizer, outside[i]);
        ck_assert_int_eq(symbolize(symbolizer, outside[i])->module, -1);
        ck_assert_uint_eq(symbolize(symbolizer, outside[i])->object_address, 0);
    }
    ck_assert_pstr_eq(symbolizer_warning(symbolizer, 0), NULL);
    symbolizer_close(symbolizer);
}

TEST(symbolize, address_after_a_modules_last_call_is_in_it)
{
    struct gmpt_module modules[] = { { .start = 0x1000, .end = 0x2000, .bias = 0x400, .path = "[one]" },
                                     { .start = 0x2000, .end = 0x3000, .bias = 0x1000, .path = "[two]" } };
    struct symbolizer *symbolizer = symbolizer_open_modules(modules, 2);
    ck_assert_int_eq(symbolize(symbolizer, 0x2000)->module, 0);
    ck_assert_int_eq(symbolize(symbolizer, 0x2001)->module, 1);
    ck_assert_uint_eq(symbolize(symbolizer, 0x2000)->object_address, 0x1fff - 0x400);
    symbolizer_close(symbolizer);
}

TEST(symbolize, no_modules_know_nothing)
{
    struct symbolizer *symbolizer = symbolizer_open_modules(NULL, 0);
    ck_assert_ptr_nonnull(symbolizer);
    built_expect_nothing(symbolizer, 0x1234);
    ck_assert_uint_eq(symbolizer_module_count(symbolizer), 0);
    ck_assert_ptr_null(symbolizer_module(symbolizer, 0, NULL));
    symbolizer_close(symbolizer);
}

TEST(symbolize, kernel_object_without_file_gives_no_warning)
{
    struct gmpt_module module = { .start = 0x1000, .end = 0x2000, .path = "linux-vdso.so.1" };
    struct symbolizer *symbolizer = symbolizer_open_modules(&module, 1);
    built_expect_nothing(symbolizer, 0x1234);
    ck_assert_int_eq(symbolize(symbolizer, 0x1234)->module, 0);
    ck_assert_pstr_eq(symbolizer_warning(symbolizer, 0), NULL);
    symbolizer_close(symbolizer);
}

TEST(symbolize, only_modules_that_were_asked_for_are_judged)
{
    struct gmpt_module modules[] = { { .start = 0x1000, .end = 0x2000, .path = "/nowhere/one" },
                                     { .start = 0x3000, .end = 0x4000, .path = "/nowhere/two" } };
    struct symbolizer *symbolizer = symbolizer_open_modules(modules, 2);
    ck_assert_pstr_eq(symbolizer_warning(symbolizer, 0), NULL);
    symbolize(symbolizer, 0x3100);
    symbolize(symbolizer, 0x3200);
    built_expect_warning(symbolizer, "/nowhere/two");
    symbolizer_close(symbolizer);
}

TEST(symbolize, same_address_gives_the_same_answer_from_the_cache)
{
    struct gmpt_module module = { .start = 0x1000, .end = 0x100000, .path = "[vdso]" };
    struct symbolizer *symbolizer = symbolizer_open_modules(&module, 1);
    const struct symbol *first = symbolize(symbolizer, 0x1234);
    /* Enough to make the cache grow several times. */
    for (uint64_t address = 0x2000; address < 0x6000; address++)
        ck_assert_uint_eq(symbolize(symbolizer, address)->object_address, address - 1);
    ck_assert_ptr_eq(symbolize(symbolizer, 0x1234), first);
    ck_assert_uint_eq(first->object_address, 0x1233);
    symbolizer_close(symbolizer);
}

TEST(symbolize, module_offset_in_its_file_is_that_of_its_segment)
{
    struct built built;
    uint64_t offset = 1;
    BUILT_NEED("gcc");
    built_compile(&built, built_plain, "gcc -O0 -g");
    struct symbolizer *symbolizer = built_symbolizer(&built);
    const struct symbol *symbol = symbolize(symbolizer, built_place(&built, "start"));
    ck_assert_uint_eq(symbol->object_address + 1 + built.modules[0].bias, built_place(&built, "start"));
    const struct gmpt_module *module = symbolizer_module(symbolizer, 0, &offset);
    ck_assert_uint_eq(module->start, built.modules[0].start);
    /* The bytes of plain() in the file are those of an ordinary function: it starts with endbr64 or push %rbp. */
    static uint8_t bytes[1 << 20];
    size_t size = file_read("sample", bytes, sizeof bytes);
    size_t at = (size_t)(built_place(&built, "start") - 1 - module->start + offset);
    ck_assert_uint_lt(at, size);
#ifdef __x86_64__
    ck_assert_msg(bytes[at] == 0xf3 || bytes[at] == 0x55, "byte %02x at %zx", bytes[at], at);
#endif
    symbolizer_close(symbolizer);
}
