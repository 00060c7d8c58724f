/* Reads the values of --stacks, --events and --sample. See recordset.h. */
#include "recordset.h"

#include "cli.h"

#include "trace/eventgroups.h"
#include "trace/events.h"
#include "trace/segment.h"

#include <stdlib.h>
#include <string.h>

int recordset_stacks(struct recordset *set, const char *text)
{
    char *end;
    unsigned long callers = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    set->frames_left_out = 0;
    if (strcmp(text, "on") == 0)
        return CLI_OK;
    if (strcmp(text, "off") == 0) {
        set->frames_left_out = STACK_DEPTH_MAX;
        return CLI_OK;
    }
    if (callers < 1 || callers > STACK_DEPTH_MAX || *end)
        return cli_usage("'%s' is neither on nor off nor a depth of stacks from 1 to %d", text, STACK_DEPTH_MAX);
    /* The first frame is the runtime's own function, and says little without the one that called it. */
    if (callers + 1 < STACK_DEPTH_MAX)
        set->frames_left_out = STACK_DEPTH_MAX - 1 - (uint32_t)callers;
    return CLI_OK;
}

int recordset_events(struct recordset *set, const char *text)
{
    static const char choices[] = "steal, retake, preempt, labels, name, task, region, log, user, all, none";
    uint32_t groups;
    const char *wrong = event_groups_parse(text, &groups);
    if (wrong) {
        char copy[256], word[64];
        size_t length = strcspn(wrong, ",");
        snprintf(copy, sizeof copy, "%.*s", (int)(length < 255 ? length : 255), wrong);
        cli_text(word, sizeof word, copy, 40);
        if (event_find(wrong, length) >= 0)
            return cli_usage("the event '%s' is always recorded, since others cannot be understood without it; what a "
                             "recording can do without is %s",
                             word, choices);
        return cli_usage("'%s' names no events that a recording can do without; these are %s", word, choices);
    }
    set->events_left_out = EVENT_GROUPS_ALL & ~groups;
    return CLI_OK;
}

int recordset_sample(struct recordset *set, const char *text)
{
    char *end;
    unsigned long hz = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (hz < 1 || hz > SEGMENT_SAMPLE_HZ_MAX || *end)
        return cli_usage("'%s' is no number of CPU samples a second, from 1 to %u; 100 is usual", text,
                         SEGMENT_SAMPLE_HZ_MAX);
    set->sample_hz = (uint32_t)hz;
    return CLI_OK;
}
