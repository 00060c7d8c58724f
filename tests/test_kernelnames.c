/* The names of the kernel's functions, from texts as /proc/kallsyms shows them. */
#define _GNU_SOURCE
#include "harness.h"

#include "kernel/kernelnames.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const char *file_with(const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/kallsyms", harness_tmpdir());
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

/* What is no function, and what is no line of it, is passed over. */
static const char golden[] = "0000000000000000 A fixed_percpu_data\n"
                             "ffffffff81000000 T _stext\n"
                             "ffffffff81000000 t startup_64\n"
                             "ffffffff81200000 t mod_late\t[late]\n"
                             "ffffffff81000800 W weak_alias\n"
                             "ffffffff81001000 T schedule\n"
                             "ffffffff81001080 d not_a_function\n"
                             "ffffffff81001100 t __do_softirq.part.0\n"
                             "\n"
                             "not a line\n"
                             "ffffffff81001180 T\n"
                             "ffffffff81001190 T \n"
                             "ffffffff810011a0\n"
                             "ffffffff81000900 w from_anywhere"; /* without an end of the line */

TEST(kernelnames, an_address_has_the_name_of_the_function_that_it_lies_in)
{
    static const struct {
        uint64_t address;
        const char *name;
    } expected[] = {
        { 0xffffffff81000000, "_stext" }, /* of two, the one that is shown first */
        { 0xffffffff810007ff, "_stext" },
        { 0xffffffff81000800, "weak_alias" },
        { 0xffffffff810008ff, "weak_alias" },
        { 0xffffffff81000900, "from_anywhere" },
        { 0xffffffff81000fff, "from_anywhere" },
        { 0xffffffff81001000, "schedule" },
        { 0xffffffff81001080, "schedule" },
        { 0xffffffff810011ff, "__do_softirq.part.0" },
        { 0xffffffff81200010, "mod_late" },
    };
    struct kernelnames *names = kernelnames_open(file_with(golden));
    ck_assert_ptr_nonnull(names);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        ck_assert_str_eq(kernelnames_find(names, expected[i].address), expected[i].name);
    kernelnames_close(names);
}

TEST(kernelnames, what_is_in_no_function_has_no_name)
{
    struct kernelnames *names = kernelnames_open(file_with(golden));
    ck_assert_ptr_nonnull(names);
    ck_assert_str_eq(kernelnames_find(names, 0), "?");
    ck_assert_str_eq(kernelnames_find(names, 0xffffffff80ffffff), "?");
    ck_assert_str_eq(kernelnames_find(names, 0xffffffff81200000 + (1 << 20)), "?");
    ck_assert_str_eq(kernelnames_find(names, UINT64_MAX), "?");
    kernelnames_close(names);
}

TEST(kernelnames, addresses_that_are_hidden_are_no_names)
{
    ck_assert_ptr_null(kernelnames_open(file_with("0000000000000000 A fixed_percpu_data\n"
                                                  "0000000000000000 T _stext\n"
                                                  "0000000000000000 T schedule\n")));
    ck_assert_int_eq(errno, EPERM);
}

TEST(kernelnames, a_text_without_functions_and_none_at_all_are_told_apart_from_hidden_ones)
{
    ck_assert_ptr_null(kernelnames_open(file_with("ffffffff81001080 d jiffies\n")));
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_ptr_null(kernelnames_open(file_with("")));
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_ptr_null(kernelnames_open(harness_tmpdir()));
    ck_assert_int_eq(errno, EIO);
}

TEST(kernelnames, many_in_no_order_are_all_found)
{
    enum { FUNCTIONS = 100003 };
    char path[512];
    snprintf(path, sizeof path, "%s/many", harness_tmpdir());
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (uint64_t i = 0, at = 0; i < FUNCTIONS; i++, at = (at + 54321) % FUNCTIONS)
        fprintf(file, "%016llx t function_%llu\n", 0xffffffff81000000ull + 16 * at, (unsigned long long)at);
    ck_assert_int_eq(fclose(file), 0);
    struct kernelnames *names = kernelnames_open(path);
    ck_assert_ptr_nonnull(names);
    for (uint64_t i = 0; i < FUNCTIONS; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "function_%llu", (unsigned long long)i);
        ck_assert_str_eq(kernelnames_find(names, 0xffffffff81000000ull + 16 * i + i % 16), expected);
    }
    kernelnames_close(names);
}

/* Else what is missing would bear the name of what lies before it. */
TEST(kernelnames, without_memory_for_all_there_are_none)
{
#if UNDER_SANITIZER
    SKIP("a sanitizer maps more than this is limited to");
#else
    char path[512], line[512];
    SKIP_IN_EMULATOR("does not limit the address space");
    snprintf(path, sizeof path, "%s/large", harness_tmpdir());
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    memset(line, 'f', sizeof line);
    for (uint64_t i = 0; i < 100000; i++) /* 48 MB of names */
        fprintf(file, "%016llx t %.480s\n", 0xffffffff81000000ull + 16 * i, line);
    ck_assert_int_eq(fclose(file), 0);
    struct rlimit before, limit;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    limit.rlim_cur = 64u << 20;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    struct kernelnames *names = kernelnames_open(path);
    int error = errno;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
    ck_assert_ptr_null(names);
    ck_assert_int_eq(error, ENOMEM);
    names = kernelnames_open(path);
    ck_assert_ptr_nonnull(names);
    kernelnames_close(names);
#endif
}
