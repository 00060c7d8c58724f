/* Collects them, sorts them so that alike ones lie together, and cuts that into groups. See muster.h. */
#include "muster.h"

#include "pprof/stackmatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct muster *muster;
    const struct load *load;
    const struct filter *filter;
    struct filter_names names;
    int64_t now_ns;
    const struct muster_sample *samples;
    size_t sample_count;
};

static int64_t age_of(const struct gmpt_g *g, int64_t now_ns)
{
    bool there = g->was_there && g->state_since_ns == 0;
    if (there && g->state != GMPT_G_WAITING && g->state != GMPT_G_SYSCALL)
        return -1; /* since before the trace, and nobody knows for how long */
    int64_t age_ns = now_ns - g->state_since_ns + (there ? g->waited_before_ns : 0);
    return age_ns > 0 ? age_ns : 0;
}

static bool wanted(const struct reading *reading, const struct gmpt_g *g, const struct muster_g *one)
{
    if (!reading->filter)
        return true;
    struct interval_g about = {
        .id = g->id,
        .parent = g->parent,
        .fn = g->fn,
        .create_stack = g->create_stack,
        .labels = g->labels,
        .name = g->name,
        .main = g->parent == 0,
    };
    struct interval now = {
        .g = &about,
        .begin_ns = 0,
        .end_ns = one->age_ns > 0 ? one->age_ns : 0,
        .state = one->state,
        .reason = one->reason,
        .bounded = one->bounded,
        .object = one->object,
        .stack = one->at,
        .p = -1,
        .end_p = -1,
    };
    return filter_match(reading->filter, &reading->names, &now);
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int sample_order(const void *left, const void *right)
{
    const struct muster_sample *a = left, *b = right;
    return ORDER(a->g, b->g);
}

static void sample_use(const struct reading *reading, struct muster_g *one)
{
    const struct muster_sample key = { .g = one->id }, *sample = NULL;
    if (reading->sample_count)
        sample = bsearch(&key, reading->samples, reading->sample_count, sizeof key, sample_order);
    if (!sample || one->state == GMPT_G_WAITING)
        return;
    one->at = sample->stack;
    one->tid = sample->tid;
}

static int g_add(const struct gmpt_g *g, void *arg)
{
    const struct reading *reading = arg;
    struct muster *muster = reading->muster;
    bool waits = g->state == GMPT_G_WAITING, placed = waits || g->state == GMPT_G_SYSCALL;
    struct muster_g one = {
        .id = g->id,
        .parent = g->parent,
        .fn = g->fn,
        .age_ns = age_of(g, reading->now_ns),
        .object = waits ? g->wait_object : 0,
        .at = placed ? g->wait_stack : 0,
        .created = g->create_stack,
        .name = g->name,
        .labels = g->labels,
        .state = g->state,
        .reason = waits ? g->reason : GMPT_WAIT_none,
        .bounded = waits && g->bounded,
    };
    if (g->state == GMPT_G_DEAD || (unsigned)g->state >= GMPT_G_STATES)
        return 0;
    sample_use(reading, &one);
    if (!wanted(reading, g, &one)) {
        muster->left_out++;
        return 0;
    }
    if (muster->count == muster->room) {
        size_t room = muster->room ? muster->room * 2 : 1024;
        struct muster_g *gs = realloc(muster->gs, room * sizeof *gs);
        if (!gs)
            return -ENOMEM;
        muster->gs = gs;
        muster->room = room;
    }
    one.alike = one.at ? alike_first(reading->load->alike, one.at) : 0;
    muster->in_state[one.state]++;
    muster->gs[muster->count++] = one;
    return 0;
}

static int order_of_groups(const struct muster_g *a, const struct muster_g *b)
{
    int order = ORDER(a->state, b->state);
    if (!order)
        order = ORDER(a->reason, b->reason);
    if (!order)
        order = ORDER(a->fn, b->fn);
    if (!order)
        order = ORDER(a->alike, b->alike);
    return order ? order : ORDER(a->bounded, b->bounded);
}

bool muster_same(const struct muster_g *a, const struct muster_g *b) { return order_of_groups(a, b) == 0; }

static int gs_order(const void *left, const void *right)
{
    const struct muster_g *a = left, *b = right;
    int order = order_of_groups(a, b);
    if (!order)
        order = ORDER(b->age_ns, a->age_ns);
    return order ? order : ORDER(a->id, b->id);
}

static int groups_order(const void *left, const void *right)
{
    const struct muster_group *a = left, *b = right;
    int order = ORDER(b->count, a->count);
    if (!order)
        order = ORDER(b->oldest_ns, a->oldest_ns);
    return order ? order : ORDER(a->first->id, b->first->id);
}

static int groups_cut(struct muster *muster)
{
    size_t groups = 0;
    for (size_t i = 0; i < muster->count; i++)
        groups += i == 0 || !muster_same(&muster->gs[i - 1], &muster->gs[i]);
    muster->groups = calloc(groups ? groups : 1, sizeof *muster->groups);
    if (!muster->groups)
        return -ENOMEM;
    for (size_t i = 0; i < muster->count; i++) {
        const struct muster_g *g = &muster->gs[i];
        if (i == 0 || !muster_same(g - 1, g))
            muster->groups[muster->group_count++] = (struct muster_group){ .first = g, .oldest_ns = g->age_ns };
        struct muster_group *group = &muster->groups[muster->group_count - 1];
        group->count++;
        group->newest_ns = g->age_ns;
    }
    qsort(muster->groups, muster->group_count, sizeof *muster->groups, groups_order);
    return 0;
}

int muster_read(struct muster *muster, const struct load *load, int64_t now_ns, const struct filter *filter,
                const struct muster_sample *samples, size_t sample_count)
{
    *muster = (struct muster){ 0 };
    struct stackmatch *match = filter ? stackmatch_open(load->trace, load->symbolizer) : NULL;
    struct reading reading = {
        .muster = muster,
        .load = load,
        .filter = filter,
        .names = { .trace = load->trace, .function = match ? stackmatch_function : NULL, .arg = match },
        .now_ns = now_ns,
        .samples = samples,
        .sample_count = sample_count,
    };
    int result = filter && !match ? -ENOMEM : gmpt_trace_each_g(load->trace, g_add, &reading);
    stackmatch_close(match);
    if (result)
        return result;
    if (muster->count)
        qsort(muster->gs, muster->count, sizeof *muster->gs, gs_order);
    return groups_cut(muster);
}

void muster_free(struct muster *muster)
{
    free(muster->gs);
    free(muster->groups);
    *muster = (struct muster){ 0 };
}
