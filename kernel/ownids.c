/* See ownids.h. */
#include "ownids.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct known {
    uint32_t tid, own_tid;
};

/* The innermost, and last, of the ids in a line like "NSpid: 4711 12"; 0 = it cannot be read. */
static uint32_t own_id_read(const char *path)
{
    char line[512];
    uint32_t id = 0;
    FILE *file = fopen(path, "re");
    while (file && id == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, "NSpid:", 6) == 0)
            for (char *at = line + 6, *end; *at && *at != '\n'; at = end) {
                unsigned long number = strtoul(at, &end, 10);
                if (end == at)
                    break;
                id = (uint32_t)number;
            }
    if (file)
        fclose(file);
    return id;
}

void ownids_open(struct ownids *ids, pid_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    uint32_t own_pid = own_id_read(path);
    *ids = (struct ownids){ .pid = (uint32_t)pid, .own_pid = own_pid ? own_pid : (uint32_t)pid };
}

void ownids_close(struct ownids *ids)
{
    for (size_t i = 0; ids->by_tid.slots && i <= ids->by_tid.mask; i++)
        free(ids->by_tid.slots[i].entry);
    table_clear(&ids->by_tid);
    *ids = (struct ownids){ 0 };
}

/* `starts`: what is known by that id was of another thread. Returns 0 or -ENOMEM. */
static int tid_put(struct ownids *ids, uint32_t *tid, bool starts)
{
    char path[64];
    struct known *known = table_find(&ids->by_tid, table_mix(*tid), NULL, NULL);
    if (known && !starts) {
        *tid = known->own_tid;
        return 0;
    }
    snprintf(path, sizeof path, "/proc/%u/task/%u/status", (unsigned)ids->pid, (unsigned)*tid);
    uint32_t own_tid = own_id_read(path);
    if (!known && own_tid && ids->by_tid.count < OWNIDS_MAX) {
        known = malloc(sizeof *known);
        if (!known || table_insert(&ids->by_tid, table_mix(*tid), known)) {
            free(known);
            return -ENOMEM;
        }
    }
    if (known)
        *known = (struct known){ *tid, own_tid ? own_tid : *tid };
    if (own_tid)
        *tid = own_tid;
    return 0;
}

static int other_put(struct ownids *ids, struct kernel_other *other)
{
    if (other->pid != ids->pid)
        return 0;
    other->pid = ids->own_pid;
    return tid_put(ids, &other->tid, false);
}

int ownids_put(struct ownids *ids, struct kernel_record *record)
{
    int result = 0;
    if (record->type == KERNEL_LOST)
        return 0;
    if (record->type == KERNEL_INTERVAL) {
        result = other_put(ids, &record->interval.next);
        result = result ? result : other_put(ids, &record->interval.most);
        result = result ? result : other_put(ids, &record->interval.waker);
    }
    bool starts = record->type == KERNEL_THREAD && !record->thread.ended;
    return result ? result : tid_put(ids, &record->tid, starts);
}
