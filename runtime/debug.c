/* Parses GMPT_DEBUG. See debug.h. */
#include "debug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct debug_settings debug_settings;

static const struct {
    const char *name;
    size_t offset;
} known[] = {
#define DEBUG_SETTING(name) { #name, offsetof(struct debug_settings, name) },
    DEBUG_SETTINGS
#undef DEBUG_SETTING
};

static int64_t *find(struct debug_settings *settings, const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0)
            return (int64_t *)((char *)settings + known[i].offset);
    return NULL;
}

/* A whole number from 0 to INT32_MAX, nothing else. Returns -1 when it is not one. */
static int64_t number(const char *text, size_t length)
{
    int64_t value = 0;
    if (length == 0)
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || (value = value * 10 + (text[i] - '0')) > INT32_MAX)
            return -1;
    }
    return value;
}

int debug_parse(struct debug_settings *settings, const char *text, char *complaint, size_t size)
{
    int wrong = 0;
    size_t used = 0;
    complaint[0] = 0;
    while (text && *text) {
        size_t item = strcspn(text, ","), name = strcspn(text, ",=");
        const char *why = NULL;
        int64_t *setting = find(settings, text, name);
        int64_t value = name < item ? number(text + name + 1, item - name - 1) : 1;
        if (!setting)
            why = "is not a setting";
        else if (value < 0)
            why = "has no number that can be used";
        else
            *setting = value;
        if (why && item > 0) {
            wrong++;
            if (used < size)
                used += (size_t)snprintf(complaint + used, size - used, "gmptrace: GMPT_DEBUG: %.*s %s\n",
                                         item < 64 ? (int)item : 64, text, why);
        }
        text += item + (text[item] == ',');
    }
    return wrong;
}

void debug_start(void)
{
    char complaint[1024];
    if (debug_parse(&debug_settings, getenv("GMPT_DEBUG"), complaint, sizeof complaint))
        fputs(complaint, stderr);
}
