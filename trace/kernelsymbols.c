/* See kernelsymbols.h. */
#include "kernelsymbols.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOLS_MAX 65536 /* as the recorder has it: other numbers are no recorder's */

static void name_put(char *name, const struct gmpt_event *event)
{
    memset(name, 0, KERNEL_NAME_MAX + 1);
    for (size_t i = 0; i < KERNEL_NAME_MAX; i++) {
        char c = (char)(event->field[1 + i / 7] >> (8 * (i % 7)) & 0xff);
        if (c == 0)
            return;
        name[i] = c > ' ' && c < 127 ? c : '?';
    }
}

int kernelsymbols_add(struct kernelsymbols *symbols, const struct gmpt_event *event)
{
    if (event->type != GMPT_EVENT_kernel_symbol || event->kernel_symbol.number > SYMBOLS_MAX)
        return 0;
    uint32_t number = (uint32_t)event->kernel_symbol.number;
    if (number >= symbols->room) {
        uint32_t room = symbols->room ? symbols->room : 64;
        while (room <= number)
            room *= 2;
        void *names = reallocarray(symbols->names, room, sizeof *symbols->names);
        if (!names)
            return -ENOMEM;
        symbols->names = names;
        symbols->room = room;
    }
    if (number >= symbols->count) {
        memset(symbols->names + symbols->count, 0, (number + 1 - symbols->count) * sizeof *symbols->names);
        symbols->count = number + 1;
    }
    name_put(symbols->names[number], event);
    return 0;
}

const char *kernelsymbols_name(const struct kernelsymbols *symbols, uint64_t address)
{
    uint64_t number = address & ~GMPT_KERNEL_FRAME;
    return address & GMPT_KERNEL_FRAME && number < symbols->count && symbols->names[number][0]
               ? symbols->names[number]
               : "?";
}

void kernelsymbols_clear(struct kernelsymbols *symbols)
{
    free(symbols->names);
    *symbols = (struct kernelsymbols){ 0 };
}
