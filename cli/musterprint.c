/* See musterprint.h. */
#include "musterprint.h"

#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define IDS_SHOWN 8

const char *muster_state_words(const struct muster_g *g)
{
    if (g->state == GMPT_G_SYSCALL)
        return "blocking call";
    return g->state == GMPT_G_WAITING ? gmpt_wait_reason_words(g->reason) : filter_state_key(g->state);
}

const char *muster_age_words(char buffer[16], int64_t age_ns)
{
    return age_ns < 0 ? "-" : cli_duration(buffer, age_ns);
}

void muster_head_print(const struct load *load, const struct muster *muster)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(load->trace);
    char a[32], counts[256] = "", command[CLI_COLUMNS * 4 + 1], left_out[64] = "";
    static const enum gmpt_g_state order[] = { GMPT_G_RUNNING, GMPT_G_RUNNABLE, GMPT_G_WAITING, GMPT_G_SYSCALL,
                                               GMPT_G_PREEMPTED };
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        size_t used = strlen(counts);
        if (muster->in_state[order[i]])
            snprintf(counts + used, sizeof counts - used, "%s%s %s", used ? ", " : ": ",
                     cli_count(a, muster->in_state[order[i]]), gmpt_g_state_words(order[i]));
    }
    if (muster->left_out)
        snprintf(left_out, sizeof left_out, " chosen of %s", cli_count(a, muster->count + muster->left_out));
    cli_text(command, sizeof command, info->command, CLI_COLUMNS);
    cli_wrap(2, "%s goroutine%s%s in process %u, %s%s; GOMAXPROCS %u", cli_count(a, muster->count),
             cli_plural(muster->count), left_out, info->pid, command[0] ? command : "of an unknown command", counts,
             info->maxprocs);
}

/* ---- Stacks ------------------------------------------------------------------------------------------------------ */

/* The name and labels that all of them have. */
static void labels_print(const struct load *load, const struct muster_group *group)
{
    const struct muster_g *g = group->first;
    bool name = g->name != 0, labels = true;
    for (size_t i = 1; i < group->count; i++) {
        name &= g[i].name == g->name;
        labels &= g[i].labels == g->labels;
    }
    if (name)
        cli_wrap(6, "   named %s", gmpt_trace_string(load->trace, g->name));
    uint32_t count = labels ? gmpt_trace_label_count(load->trace, g->labels) : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct gmpt_trace_label label = gmpt_trace_label(load->trace, g->labels, i);
        cli_wrap(6, "   label %s=%s", label.key, label.value);
    }
}

static const char *stack_verb(const struct muster_g *g)
{
    if (g->state == GMPT_G_WAITING)
        return "waits";
    if (g->state == GMPT_G_RUNNABLE)
        return "goes on";
    return g->state == GMPT_G_SYSCALL ? "calls" : "runs";
}

void muster_stacks_print(const struct load *load, const struct muster *muster)
{
    char count[32], oldest[16], newest[16], function[PLACE_TEXT_BYTES], text[CLI_COLUMNS * 4 + 1];
    for (size_t i = 0; i < muster->group_count; i++) {
        const struct muster_group *group = &muster->groups[i];
        const struct muster_g *g = group->first;
        char age[64] = "", ids[256] = "";
        const char *least = muster_age_words(newest, group->newest_ns);
        const char *most = muster_age_words(oldest, group->oldest_ns);
        if (group->oldest_ns >= 0 && strcmp(least, most) != 0)
            snprintf(age, sizeof age, ", %s to %s", least, most);
        else if (group->oldest_ns >= 0)
            snprintf(age, sizeof age, ", %s", most);
        for (size_t k = 0; k < group->count && k < IDS_SHOWN; k++)
            snprintf(ids + strlen(ids), sizeof ids - strlen(ids), " G%" PRIu64, g[k].id);
        cli_text(text, sizeof text, place_function(load->places, function, g->fn), CLI_COLUMNS / 2);
        putchar('\n');
        cli_wrap(3, "%s goroutine%s of %s [%s%s%s]:%s%s", cli_count(count, group->count), cli_plural(group->count),
                 text, muster_state_words(g), age, g->bounded ? ", with a deadline" : "", ids,
                 group->count > IDS_SHOWN ? " ..." : "");
        labels_print(load, group);
        if (g->at)
            place_print(load->places, stack_verb(g), g->at, g->fn);
        if (g->created)
            place_print(load->places, "was started", g->created, 0);
    }
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void age_json(const char *key, int64_t age_ns)
{
    if (age_ns < 0)
        printf("\"%s\": null", key);
    else
        printf("\"%s\": %" PRId64, key, age_ns);
}

static void labels_json(const struct load *load, const struct muster_g *g)
{
    uint32_t count = gmpt_trace_label_count(load->trace, g->labels);
    fputs("\"name\": ", stdout);
    cli_json_string(stdout, gmpt_trace_string(load->trace, g->name));
    fputs(", \"labels\": {", stdout);
    for (uint32_t i = 0; i < count; i++) {
        struct gmpt_trace_label label = gmpt_trace_label(load->trace, g->labels, i);
        fputs(i ? ", " : "", stdout);
        cli_json_string(stdout, label.key);
        fputs(": ", stdout);
        cli_json_string(stdout, label.value);
    }
    putchar('}');
}

static void group_json(const struct load *load, const struct muster_group *group)
{
    const struct muster_g *g = group->first;
    printf("{\"count\": %zu, \"state\": \"%s\", \"wait_reason\": ", group->count, filter_state_key(g->state));
    printf(g->state == GMPT_G_WAITING ? "\"%s\", " : "null, ", load_reason_key(g->reason));
    printf("\"deadline\": %s, ", g->bounded ? "true" : "false");
    age_json("oldest_ns", group->oldest_ns);
    fputs(", ", stdout);
    age_json("newest_ns", group->newest_ns);
    fputs(",\n     \"function\": ", stdout);
    place_function_json(load->places, stdout, g->fn);
    fputs(",\n     \"stack\": ", stdout);
    place_json(load->places, stdout, g->at);
    fputs(",\n     \"create_stack\": ", stdout);
    place_json(load->places, stdout, g->created);
    fputs(",\n     \"goroutines\": [", stdout);
    for (size_t i = 0; i < group->count; i++) {
        fputs(i ? ",\n       " : "\n       ", stdout);
        printf("{\"id\": %" PRIu64 ", \"parent\": %" PRIu64 ", \"object\": \"0x%" PRIx64 "\", ", g[i].id, g[i].parent,
               g[i].object);
        age_json("age_ns", g[i].age_ns);
        if (g[i].tid)
            printf(", \"thread\": %" PRIu32, g[i].tid);
        fputs(", ", stdout);
        labels_json(load, &g[i]);
        putchar('}');
    }
    fputs("]}", stdout);
}

void muster_json(const struct load *load, const struct muster *muster, int64_t now_ns, void (*more)(const void *arg),
                 const void *arg)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(load->trace);
    printf("{\n  \"pid\": %u,\n  \"command\": ", info->pid);
    cli_json_string(stdout, info->command);
    printf(",\n  \"maxprocs\": %u,\n  \"at_ns\": %" PRId64 ",\n  \"goroutines\": %zu,\n  \"left_out\": %" PRIu64
           ",\n  \"states\": {",
           info->maxprocs, now_ns, muster->count, muster->left_out);
    bool first = true;
    for (enum gmpt_g_state state = GMPT_G_RUNNABLE; state < GMPT_G_STATES; state++)
        if (state != GMPT_G_DEAD) {
            printf("%s\"%s\": %" PRIu64, first ? "" : ", ", filter_state_key(state), muster->in_state[state]);
            first = false;
        }
    fputs("}", stdout);
    if (more)
        more(arg);
    fputs(",\n  \"groups\": [", stdout);
    for (size_t i = 0; i < muster->group_count; i++) {
        fputs(i ? ",\n    " : "\n    ", stdout);
        group_json(load, &muster->groups[i]);
    }
    fputs(muster->group_count ? "\n  ]\n}\n" : "]\n}\n", stdout);
}
