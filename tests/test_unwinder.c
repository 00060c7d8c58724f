/* Callers by call frame information, beside what the compiler's own unwinder finds in this very process, and with
 * garbage for memory and registers. */
#define _GNU_SOURCE
#include "pprof/unwinder.h"
#include "run.h"

#include <execinfo.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define MODULES_MAX 64
#define FRAMES_MAX 128

static struct gmpt_module modules[MODULES_MAX];
static size_t module_count;

static int module_note(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    if (module_count == MODULES_MAX)
        return 1;
    struct gmpt_module module = { .start = UINT64_MAX, .bias = info->dlpi_addr };
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
            continue;
        module.start = start < module.start ? start : module.start;
        module.end = start + header->p_memsz > module.end ? start + header->p_memsz : module.end;
    }
    module.path = info->dlpi_name && *info->dlpi_name ? info->dlpi_name : "/proc/self/exe";
    if (module.start < module.end)
        modules[module_count++] = module;
    return 0;
}

static struct unwinder *open_own(void)
{
    module_count = 0;
    dl_iterate_phdr(module_note, NULL);
    struct unwinder *unwinder = unwinder_open(modules, module_count);
    ck_assert_ptr_nonnull(unwinder);
    return unwinder;
}

static bool own_word(void *arg, uint64_t address, uint64_t *value)
{
    uint64_t lo = *(const uint64_t *)arg;
    if (address < lo || address - lo > (8u << 20))
        return false;
    memcpy(value, (const void *)(uintptr_t)address, sizeof *value);
    return true;
}

static struct unwinder_place place_of(const ucontext_t *context)
{
    struct unwinder_place place = { .known = (uint32_t)((UINT64_C(1) << UNWINDER_REGISTERS) - 1) };
#if defined(__x86_64__)
    static const int in_order[UNWINDER_REGISTERS] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                                      REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                                      REG_R12, REG_R13, REG_R14, REG_R15 };
    for (int i = 0; i < UNWINDER_REGISTERS; i++)
        place.registers[i] = (uint64_t)context->uc_mcontext.gregs[in_order[i]];
    place.pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#else
    memcpy(place.registers, context->uc_mcontext.regs, sizeof context->uc_mcontext.regs);
    place.registers[UNWINDER_SP] = context->uc_mcontext.sp;
    place.pc = context->uc_mcontext.pc;
#endif
    return place;
}

static uint64_t found[FRAMES_MAX];
static size_t found_count;
static void *expected[FRAMES_MAX];
static int expected_count;

/* Called back by qsort, so that frames of the C library, which have no frame pointers, lie in between. */
static int look(const void *left, const void *right)
{
    (void)left, (void)right;
    if (found_count)
        return 0;
    struct unwinder *unwinder = open_own();
    ucontext_t context;
    getcontext(&context);
    struct unwinder_place place = place_of(&context);
    uint64_t sp = place.registers[UNWINDER_SP];
    struct unwinder_memory memory = { own_word, &sp };
    bool whole;
    expected_count = backtrace(expected, FRAMES_MAX);
    found_count = unwinder_walk(unwinder, &place, &memory, sp, sp + (8u << 20), found, FRAMES_MAX, &whole);
    unwinder_close(unwinder);
    return 0;
}

static __attribute__((noinline)) SIGNS_ITS_RETURN void sort_two(void)
{
    int values[] = { 2, 1 };
    qsort(values, 2, sizeof values[0], look);
}

TEST(unwinder, finds_the_callers_that_the_compilers_own_finds)
{
    if (UNDER_SANITIZER)
        SKIP("the sanitizer's backtrace is another");
    sort_two();
    ck_assert_int_gt(expected_count, 5);
    /* Both begin in look(), at different lines; beyond main's caller they may end at different places. */
    for (int i = 1; i + 3 < expected_count; i++)
        ck_assert_msg(found[i] == (uint64_t)(uintptr_t)expected[i], "frame %d of %zu: %#lx, not %p", i, found_count,
                      (unsigned long)found[i], expected[i]);
}

/* ---- Garbage ----------------------------------------------------------------------------------------------------- */

static uint64_t random_state = 7;
static uint64_t random_next(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 16;
}

/* An address in some code, on the "stack", or anything. */
static uint64_t random_address(void)
{
    const struct gmpt_module *module = &modules[random_next() % module_count];
    switch (random_next() % 4) {
    case 0:
        return random_next();
    case 1:
        return 0x7000000 + random_next() % 0x10000;
    default:
        return module->start + random_next() % (module->end - module->start);
    }
}

static bool random_word(void *arg, uint64_t address, uint64_t *value)
{
    (void)arg;
    if (address < 0x7000000 || address >= 0x7010000)
        return false;
    *value = random_address();
    return true;
}

TEST(unwinder, garbage_ends_in_few_frames_and_within_the_stack)
{
    struct unwinder *unwinder = open_own();
    struct unwinder_memory memory = { random_word, NULL };
    for (int i = 0; i < 3000; i++) {
        struct unwinder_place place = { .pc = random_address(), .called = random_next() % 2,
                                        .known = (uint32_t)random_next() | 1u << UNWINDER_SP };
        for (int k = 0; k < UNWINDER_REGISTERS; k++)
            place.registers[k] = random_address();
        place.registers[UNWINDER_SP] = 0x7000000 + random_next() % 0x10000;
        uint64_t pc[FRAMES_MAX];
        bool whole;
        size_t room = 1 + random_next() % FRAMES_MAX;
        size_t count = unwinder_walk(unwinder, &place, &memory, 0x7000000, 0x7010000, pc, room, &whole);
        REQUIRE(count >= 1 && count <= room);
    }
    unwinder_close(unwinder);
}

TEST(unwinder, without_information_frame_pointers_are_followed_up_to_their_end)
{
    /* Three frames at 0x7000010, 0x7000020, 0x7000040; the last has no caller. */
    struct unwinder *unwinder = unwinder_open(NULL, 0);
    ck_assert_ptr_nonnull(unwinder);
    static uint64_t words[16] = { [2] = 0x7000020, [3] = 0x5001, [4] = 0x7000040, [5] = 0x5002, [8] = 0, [9] = 0 };
    struct unwinder_memory memory = { own_word, NULL };
    uint64_t base = (uint64_t)(uintptr_t)words, pc[8];
    words[2] = base + 0x20;
    words[4] = base + 0x40;
    memory.arg = &base;
    struct unwinder_place place = { .pc = 0x5000, .known = 1u << UNWINDER_SP | 1u << UNWINDER_FP };
    place.registers[UNWINDER_SP] = base;
    place.registers[UNWINDER_FP] = base + 0x10;
    bool whole;
    size_t count = unwinder_walk(unwinder, &place, &memory, base, base + sizeof words, pc, 8, &whole);
    ck_assert_uint_eq(count, 3);
    ck_assert(whole && pc[0] == 0x5001 && pc[1] == 0x5001 && pc[2] == 0x5002);
    count = unwinder_walk(unwinder, &place, &memory, base, base + sizeof words, pc, 2, &whole);
    ck_assert(count == 2 && !whole);
    place.known = 1u << UNWINDER_SP;
    ck_assert_uint_eq(unwinder_walk(unwinder, &place, &memory, base, base + sizeof words, pc, 8, &whole), 1);
    ck_assert(!whole);
    unwinder_close(unwinder);
}
