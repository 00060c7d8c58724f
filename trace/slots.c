#include "slots.h"

bool slots_grow(struct slots *slots, uint32_t slot)
{
    uint32_t room = slots->room ? slots->room : 64;
    while (room <= slot)
        room *= 2;
    char *records = realloc(slots->records, (size_t)room * slots->record_bytes);
    if (!records)
        return false;
    memset(records + (size_t)slots->room * slots->record_bytes, 0, (size_t)(room - slots->room) * slots->record_bytes);
    slots->records = records;
    slots->room = room;
    return true;
}
