/* Walks stacks by call frame information. See unwinder.h.
 *
 * What the information says of an address is kept as a struct rule: most registers are at an offset from the frame's
 * address, or not touched. The few rules that are expressions (of the linker's stubs, of signal frames) are evaluated
 * as such each time. A hundred thousand goroutines wait in some dozens of places, so nearly all is found in the cache.
 * */
#define _GNU_SOURCE
#include "unwinder.h"

#include "objfile.h"

#include "trace/codeaddress.h"
#include "trace/table.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXPRESSION_DEPTH 64

#if defined(__aarch64__)
#define RETURN_REGISTER 30
#else
#define RETURN_REGISTER 16 /* a number only: it is no register */
#endif
#define RULES (UNWINDER_REGISTERS + 1) /* and where it returns to */

enum rule_kind {
    RULE_SAME,
    RULE_UNDEFINED,
    RULE_AT_OFFSET,   /* saved at the frame's address + offset */
    RULE_IS_OFFSET,   /* is the frame's address + offset */
    RULE_AT_ADDRESS,  /* saved where an expression says */
    RULE_IS_VALUE,    /* what an expression says */
    RULE_IN_REGISTER, /* of the number `offset` */
};

struct rule_of_one {
    enum rule_kind kind;
    int64_t offset;
    Dwarf_Op *ops; /* as long as the object is open */
    size_t count;
};

struct rule {
    uint64_t pc;
    bool known; /* false: there is no information */
    bool signal; /* the caller was interrupted, and did not call */
    int frame_register; /* the frame's address is this + offset; -1: an expression's value */
    struct rule_of_one frame, registers[RULES];
};

struct unwinder_module {
    struct gmpt_module module;
    bool opened;
    struct objfile file;
    Dwarf *debug;
    Dwarf_CFI *eh, *cfi; /* of .eh_frame, of .debug_frame */
};

struct unwinder {
    struct unwinder_module *modules;
    size_t count;
    struct table rules;
};

/* ---- Objects ----------------------------------------------------------------------------------------------------- */

struct unwinder *unwinder_open(const struct gmpt_module *modules, size_t count)
{
    struct unwinder *unwinder = calloc(1, sizeof *unwinder);
    if (!unwinder || !(unwinder->modules = calloc(count + 1, sizeof *unwinder->modules))) {
        free(unwinder);
        return NULL;
    }
    for (; unwinder->count < count; unwinder->count++) {
        struct unwinder_module *module = &unwinder->modules[unwinder->count];
        module->module = modules[unwinder->count];
        module->module.path = strdup(modules[unwinder->count].path ? modules[unwinder->count].path : "");
        if (!module->module.path) {
            unwinder_close(unwinder);
            errno = ENOMEM;
            return NULL;
        }
    }
    elf_version(EV_CURRENT);
    return unwinder;
}

void unwinder_close(struct unwinder *unwinder)
{
    if (!unwinder)
        return;
    for (size_t i = 0; unwinder->rules.slots && i <= unwinder->rules.mask; i++)
        free(unwinder->rules.slots[i].entry);
    table_clear(&unwinder->rules);
    for (size_t i = 0; i < unwinder->count; i++) {
        struct unwinder_module *module = &unwinder->modules[i];
        if (module->eh)
            dwarf_cfi_end(module->eh);
        dwarf_end(module->debug); /* with what is of .debug_frame */
        objfile_close(&module->file);
        free((char *)module->module.path);
    }
    free(unwinder->modules);
    free(unwinder);
}

static void module_open(struct unwinder_module *module)
{
    const struct gmpt_module *recorded = &module->module;
    module->opened = true;
    if (objfile_open(&module->file, recorded->path))
        return;
    if (recorded->build_id_bytes &&
        !objfile_has_build_id(&module->file, recorded->build_id, recorded->build_id_bytes)) {
        objfile_close(&module->file); /* another build: it says nothing of this one */
        return;
    }
    module->eh = dwarf_getcfi_elf(module->file.elf);
    module->debug = dwarf_begin_elf(module->file.elf, DWARF_C_READ, NULL);
    module->cfi = module->debug ? dwarf_getcfi(module->debug) : NULL;
}

static struct unwinder_module *module_of(struct unwinder *unwinder, uint64_t pc)
{
    for (size_t i = 0; i < unwinder->count; i++) {
        struct unwinder_module *module = &unwinder->modules[i];
        if (pc < module->module.start || pc >= module->module.end)
            continue;
        if (!module->opened)
            module_open(module);
        return module;
    }
    return NULL;
}

/* ---- Rules ------------------------------------------------------------------------------------------------------- */

/* libdw tells a rule as the location of what is saved, or as its value. mem: what is in there does not last. */
static struct rule_of_one rule_of_location(Dwarf_Op *ops, size_t count, const Dwarf_Op *mem)
{
    if (count == 0)
        return (struct rule_of_one){ .kind = ops ? RULE_UNDEFINED : RULE_SAME };
    bool value = ops[count - 1].atom == DW_OP_stack_value;
    struct rule_of_one rule = { .kind = value ? RULE_IS_OFFSET : RULE_AT_OFFSET };
    size_t left = count - value;
    if (ops[0].atom == DW_OP_call_frame_cfa && left == 1)
        return rule;
    rule.offset = left > 1 ? (int64_t)ops[1].number : 0;
    if (ops[0].atom == DW_OP_call_frame_cfa && left == 2 && ops[1].atom == DW_OP_plus_uconst)
        return rule;
    if (ops[0].atom == DW_OP_regx && count == 1)
        return (struct rule_of_one){ .kind = RULE_IN_REGISTER, .offset = (int64_t)ops[0].number };
    if (ops >= mem && ops < mem + 3)
        return (struct rule_of_one){ .kind = RULE_UNDEFINED };
    return (struct rule_of_one){ .kind = value ? RULE_IS_VALUE : RULE_AT_ADDRESS, .ops = ops, .count = count - value };
}

static bool rule_read(Dwarf_CFI *cfi, uint64_t object_address, struct rule *rule)
{
    Dwarf_Frame *frame;
    Dwarf_Op *ops, mem[3];
    size_t count;
    if (!cfi || dwarf_cfi_addrframe(cfi, object_address, &frame) != 0)
        return false;
    int return_register = dwarf_frame_info(frame, NULL, NULL, &rule->signal);
    bool good = return_register >= 0 && dwarf_frame_cfa(frame, &ops, &count) == 0 && count > 0;
    if (good && count == 1 && ops[0].atom == DW_OP_bregx)
        rule->frame = (struct rule_of_one){ .offset = (int64_t)ops[0].number2 };
    rule->frame_register = good && count == 1 && ops[0].atom == DW_OP_bregx ? (int)ops[0].number : -1;
    if (good && rule->frame_register < 0)
        rule->frame = (struct rule_of_one){ .kind = RULE_IS_VALUE, .ops = ops, .count = count };
    for (int i = 0; good && i < RULES; i++) {
        int number = i < UNWINDER_REGISTERS ? i : return_register;
        good = dwarf_frame_register(frame, number, mem, &ops, &count) == 0;
        if (good)
            rule->registers[i] = rule_of_location(ops, count, mem);
    }
    free(frame);
    return good;
}

/* NULL: no memory. */
static const struct rule *rule_find(struct unwinder *unwinder, uint64_t pc)
{
    uint64_t hash = table_mix(pc);
    struct rule *rule = table_find(&unwinder->rules, hash, NULL, NULL); /* which is one to one */
    if (rule)
        return rule;
    rule = calloc(1, sizeof *rule);
    if (!rule)
        return NULL;
    struct unwinder_module *module = module_of(unwinder, pc);
    rule->known = module && (rule_read(module->eh, pc - module->module.bias, rule) ||
                             rule_read(module->cfi, pc - module->module.bias, rule));
    if (table_insert(&unwinder->rules, hash, rule)) {
        free(rule);
        return NULL;
    }
    return rule;
}

/* ---- Expressions ------------------------------------------------------------------------------------------------- */

struct frame {
    const struct unwinder_place *place;
    const struct unwinder_memory *memory;
    uint64_t address; /* the frame's */
};

static bool register_get(const struct unwinder_place *place, uint64_t number, uint64_t *value)
{
    if (number == RETURN_REGISTER && RETURN_REGISTER >= UNWINDER_REGISTERS) {
        *value = place->pc;
        return true;
    }
    if (number >= UNWINDER_REGISTERS || !(place->known >> number & 1))
        return false;
    *value = place->registers[number];
    return true;
}

/* Pushes what an operation without operands on the stack gives. Returns 1, 0 when it is another one, -1 when it cannot
 * be known. */
static int push(const struct frame *frame, const Dwarf_Op *op, uint64_t *value)
{
    uint64_t base;
    switch (op->atom) {
    case DW_OP_lit0 ... DW_OP_lit31:
        *value = op->atom - DW_OP_lit0;
        return 1;
    case DW_OP_const1u:
    case DW_OP_const1s:
    case DW_OP_const2u:
    case DW_OP_const2s:
    case DW_OP_const4u:
    case DW_OP_const4s:
    case DW_OP_const8u:
    case DW_OP_const8s:
    case DW_OP_constu:
    case DW_OP_consts:
        *value = op->number;
        return 1;
    case DW_OP_call_frame_cfa:
        *value = frame->address;
        return 1;
    case DW_OP_breg0 ... DW_OP_breg31:
        if (!register_get(frame->place, op->atom - DW_OP_breg0, &base))
            return -1;
        *value = base + op->number;
        return 1;
    case DW_OP_bregx:
        if (!register_get(frame->place, op->number, &base))
            return -1;
        *value = base + op->number2;
        return 1;
    default:
        return 0;
    }
}

static bool unary(const struct frame *frame, const Dwarf_Op *op, uint64_t *top)
{
    switch (op->atom) {
    case DW_OP_plus_uconst:
        *top += op->number;
        return true;
    case DW_OP_neg:
        *top = -*top;
        return true;
    case DW_OP_not:
        *top = ~*top;
        return true;
    case DW_OP_deref:
        return frame->memory->word(frame->memory->arg, *top, top);
    default:
        return false;
    }
}

static bool binary(const Dwarf_Op *op, uint64_t *left, uint64_t right)
{
    int64_t a = (int64_t)*left, b = (int64_t)right;
    switch (op->atom) {
    case DW_OP_plus:
        *left += right;
        return true;
    case DW_OP_minus:
        *left -= right;
        return true;
    case DW_OP_mul:
        *left *= right;
        return true;
    case DW_OP_and:
        *left &= right;
        return true;
    case DW_OP_or:
        *left |= right;
        return true;
    case DW_OP_xor:
        *left ^= right;
        return true;
    case DW_OP_shl:
        *left = right < 64 ? *left << right : 0;
        return true;
    case DW_OP_shr:
        *left = right < 64 ? *left >> right : 0;
        return true;
    case DW_OP_eq:
        *left = a == b;
        return true;
    case DW_OP_ne:
        *left = a != b;
        return true;
    case DW_OP_lt:
        *left = a < b;
        return true;
    case DW_OP_le:
        *left = a <= b;
        return true;
    case DW_OP_gt:
        *left = a > b;
        return true;
    case DW_OP_ge:
        *left = a >= b;
        return true;
    default:
        return false;
    }
}

/* No jumps: neither compilers nor the linker use them here. */
static bool expression_value(const struct frame *frame, const Dwarf_Op *ops, size_t count, uint64_t *value)
{
    uint64_t stack[EXPRESSION_DEPTH];
    size_t depth = 0;
    for (size_t i = 0; i < count; i++) {
        int pushed = depth < EXPRESSION_DEPTH ? push(frame, &ops[i], &stack[depth]) : -1;
        if (pushed < 0)
            return false;
        if (pushed) {
            depth++;
        } else if (depth && ops[i].atom == DW_OP_dup) {
            stack[depth] = stack[depth - 1];
            depth++;
        } else if (depth && unary(frame, &ops[i], &stack[depth - 1])) {
            continue;
        } else if (depth > 1 && binary(&ops[i], &stack[depth - 2], stack[depth - 1])) {
            depth--;
        } else {
            return false;
        }
    }
    *value = depth ? stack[depth - 1] : 0;
    return depth > 0;
}

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

static bool rule_apply(const struct frame *frame, const struct rule_of_one *rule, int number, uint64_t *value)
{
    uint64_t at;
    switch (rule->kind) {
    case RULE_SAME:
        return register_get(frame->place, (uint64_t)number, value);
    case RULE_IN_REGISTER:
        return register_get(frame->place, (uint64_t)rule->offset, value);
    case RULE_AT_OFFSET:
        return frame->memory->word(frame->memory->arg, frame->address + (uint64_t)rule->offset, value);
    case RULE_IS_OFFSET:
        *value = frame->address + (uint64_t)rule->offset;
        return true;
    case RULE_AT_ADDRESS:
        return expression_value(frame, rule->ops, rule->count, &at) &&
               frame->memory->word(frame->memory->arg, at, value);
    case RULE_IS_VALUE:
        return expression_value(frame, rule->ops, rule->count, value);
    default:
        return false;
    }
}

/* Returns 1 with the caller in *place, 0 at the stack's end, -1 when it cannot be known. */
static int step_by_rule(const struct rule *rule, struct unwinder_place *place, const struct unwinder_memory *memory)
{
    struct unwinder_place caller = { .called = !rule->signal };
    struct frame frame = { place, memory, 0 };
    uint64_t base;
    if (rule->frame_register < 0) {
        if (!expression_value(&frame, rule->frame.ops, rule->frame.count, &frame.address))
            return -1;
    } else if (register_get(place, (uint64_t)rule->frame_register, &base)) {
        frame.address = base + (uint64_t)rule->frame.offset;
    } else {
        return -1;
    }
    const struct rule_of_one *back = &rule->registers[UNWINDER_REGISTERS];
    if (back->kind == RULE_UNDEFINED)
        return 0;
    if (!rule_apply(&frame, back, RETURN_REGISTER, &caller.pc))
        return -1;
    caller.pc = codeaddress_of(caller.pc);
    for (int i = 0; i < UNWINDER_REGISTERS; i++) {
        bool is_sp = i == UNWINDER_SP && rule->registers[i].kind <= RULE_UNDEFINED; /* the frame's address, as a rule */
        if (is_sp)
            caller.registers[i] = frame.address;
        if (is_sp || rule_apply(&frame, &rule->registers[i], i, &caller.registers[i]))
            caller.known |= 1u << i;
    }
    *place = caller;
    return 1;
}

static int step_by_frame_pointer(struct unwinder_place *place, const struct unwinder_memory *memory)
{
    struct unwinder_place caller = { .called = true };
    uint64_t frame;
    if (!register_get(place, UNWINDER_FP, &frame))
        return -1;
    if (frame == 0)
        return 0;
    if (!memory->word(memory->arg, frame, &caller.registers[UNWINDER_FP]) ||
        !memory->word(memory->arg, frame + 8, &caller.pc))
        return -1;
    caller.pc = codeaddress_of(caller.pc);
    caller.registers[UNWINDER_SP] = frame + 16;
    caller.known = 1u << UNWINDER_FP | 1u << UNWINDER_SP;
    *place = caller;
    return 1;
}

size_t unwinder_walk(struct unwinder *unwinder, const struct unwinder_place *first,
                     const struct unwinder_memory *memory, uint64_t stack_lo, uint64_t stack_hi, uint64_t *pc,
                     size_t room, bool *whole)
{
    struct unwinder_place place = *first;
    size_t count = 0;
    *whole = false;
    while (count < room) {
        pc[count++] = place.called ? place.pc : place.pc + 1;
        const struct rule *rule = rule_find(unwinder, place.called ? place.pc - 1 : place.pc);
        if (!rule)
            return count;
        uint64_t sp = place.registers[UNWINDER_SP];
        int went = rule->known ? step_by_rule(rule, &place, memory) : step_by_frame_pointer(&place, memory);
        if (went < 0 && rule->known)
            went = step_by_frame_pointer(&place, memory);
        *whole = went == 0 || (went > 0 && place.pc < 4096);
        uint64_t now = place.registers[UNWINDER_SP];
        if (went <= 0 || *whole || now < sp || now < stack_lo || now > stack_hi || (now == sp && count > 1))
            return count;
    }
    return count;
}
