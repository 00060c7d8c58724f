#include "stackalias.h"

#include <stdlib.h>
#include <string.h>

#define REMEMBERED_MAX (1u << 22) /* of further ones it is asked anew each time */

uint32_t stackalias_ask(struct stackalias *alias, uint32_t stack)
{
    if (stack >= alias->room && stack < REMEMBERED_MAX) {
        size_t room = alias->room ? alias->room : 256;
        while (room <= stack)
            room *= 2;
        uint32_t *known = realloc(alias->known, room * sizeof *known);
        if (known) {
            memset(known + alias->room, 0, (room - alias->room) * sizeof *known);
            alias->known = known;
            alias->room = room;
        }
    }
    uint32_t first = alias->first(alias->arg, stack);
    if (stack < alias->room)
        alias->known[stack] = first;
    return first;
}

void stackalias_clear(struct stackalias *alias)
{
    free(alias->known);
    alias->known = NULL;
    alias->room = 0;
}
