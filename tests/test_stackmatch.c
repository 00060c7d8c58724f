/* Functions of intervals by name, looked up in this program itself. */
#define _GNU_SOURCE
#include "harness.h"
#include "tracefile.h"

#include "pprof/stackmatch.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline, used)) static void stackmatch_wait(void) { __asm__ volatile("nop"); }
__attribute__((noinline, used)) static void stackmatch_start(void) { __asm__ volatile("nop; nop"); }

static int module_line(struct dl_phdr_info *info, size_t size, void *text)
{
    (void)size;
    char path[512] = "";
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    ck_assert_int_gt(length, 0);
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X))
            snprintf(text, 1024, "module 0x%llx 0x%llx 0x%llx - %s\n",
                     (unsigned long long)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
                     (unsigned long long)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz),
                     (unsigned long long)info->dlpi_addr, path);
    return 1; /* the first is the program itself */
}

TEST(stackmatch, functions_of_the_stack_and_of_the_goroutine)
{
    char module[1024] = "", text[4096];
    struct gmpt_trace_error error;
    struct gmpt_event event;
    dl_iterate_phdr(module_line, module);
    snprintf(text, sizeof text,
             TRACEFILE_HEAD "frame\nclock 1000 1000 1000\n%sstack 0 1 0x%llx\n"
                            "events ring=0 sequence=0 offset=0 base=0 g=0 seq=0 tid=1 lost=0\n"
                            "5 go_create g=1 fn=0x10 stack=1\nend 1 0\n",
             module, (unsigned long long)(uintptr_t)stackmatch_wait + 1);
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_build(text), &error);
    ck_assert_ptr_nonnull(trace);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    struct symbolizer *symbolizer = symbolizer_open(trace);
    struct stackmatch *match = stackmatch_open(trace, symbolizer);
    struct interval_g g = { .id = 1, .fn = (uint64_t)(uintptr_t)stackmatch_start };
    struct interval with = { .g = &g, .stack = 1 }, without = { .g = &g };
    for (int again = 0; again < 2; again++) {
        ck_assert(stackmatch_function(match, &with, "stackmatch_wait", false));
        ck_assert(stackmatch_function(match, &with, "match_wa", true));
        ck_assert(!stackmatch_function(match, &with, "match_wa", false));
        ck_assert(!stackmatch_function(match, &without, "stackmatch_wait", false));
        ck_assert(stackmatch_function(match, &with, "stackmatch_start", false));
        ck_assert(stackmatch_function(match, &without, "start", true));
    }
    struct interval_g nobody = { .id = 2 };
    ck_assert(!stackmatch_function(match, &(struct interval){ .g = &nobody }, "", true));
    stackmatch_close(match);
    stackmatch_close(NULL);
    symbolizer_close(symbolizer);
    gmpt_trace_close(trace);
}
