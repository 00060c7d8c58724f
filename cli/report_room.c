/* Lists by number, as parts of the report keep for the keys of a keyset. */
#include "report_parts.h"

#include <stdlib.h>
#include <string.h>

void *report_room(void *list, uint32_t *room, uint32_t number, size_t size)
{
    if (number < *room)
        return list;
    uint32_t more = number * 2 + 64;
    uint8_t *bigger = reallocarray(list, more, size);
    if (!bigger)
        return NULL;
    memset(bigger + (size_t)*room * size, 0, (size_t)(more - *room) * size);
    *room = more;
    return bigger;
}
