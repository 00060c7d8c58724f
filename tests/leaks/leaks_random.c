/* leaks_random SEED: builds the world of a seed (random_world.h), tells which of its Gs can go on, and `ready`; waits
 * for a line on its standard input, opens all that it can reach, and tells who went on, as leaks_hidden does:
 *
 *     g 17 live 3       or leaked, or other; the world's G 3 has the id 17
 *     ready
 *     woke 17
 *     end
 *
 * When a G that lives does not go on, or one that has leaked does, the generator's idea of the truth is wrong: it says
 * so and ends with status 3.
 *
 * No copy of a reference is left but where the world has one: a G that builds copies addresses through a table, and
 * clears it; what it had on its own stack goes with it. */
#define _GNU_SOURCE
#include "random_run.h"

#include "trace/atomics.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNITS 1000 /* of a semaphore */
#define BLOCK_BYTES 700
#define TRUTH_MS 20000 /* until who does not go on is told of: much more than it takes */

struct cond_pair {
    struct gmpt_mutex mutex;
    struct gmpt_cond cond;
};

union object {
    struct gmpt_mutex mutex;
    struct gmpt_rwmutex rwmutex;
    struct gmpt_waitgroup waitgroup;
    struct cond_pair pair;
    struct gmpt_semaphore semaphore;
};

/* Without addresses, but the table's while it is there. */
static struct world world;
static struct ref *table;
static int64_t ids[WORLD_GS_MAX];
static ATOMIC(uint32_t) opened[WORLD_OBJECTS_MAX], woke[WORLD_GS_MAX], opening, moves;
static struct gmpt_waitgroup placed, taken, prepared, may_take, may_wait;
static struct gmpt_chan *finale;     /* where those stay who have gone on, for what lies on their stacks */
static int poll_fds[2], call_fds[2]; /* readable once all is to be opened */

static void *object_at(const struct ref *ref) { return (char *)ref->base + ref->offset; }

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static void chan_open(struct gmpt_chan *chan)
{
    struct ref ref;
    gmpt_chan_close(chan);
    while (gmpt_chan_try_recv(chan, &ref) == 0)
        ref_open(&ref, WORLD_NONE);
}

void ref_open(const struct ref *ref, uint16_t by)
{
    uint16_t owner = world.objects[ref->object].owner;
    if (!ref->base || (owner != WORLD_NONE && owner != by) || exchange_acq_rel(&opened[ref->object], 1))
        return;
    union object *object = object_at(ref);
    switch (world.objects[ref->object].kind) {
    case WORLD_CHAN_EMPTY:
    case WORLD_CHAN_FULL:
        chan_open(object_at(ref));
        break;
    case WORLD_CONTEXT:
        gmpt_context_cancel(object_at(ref));
        break;
    case WORLD_MUTEX:
        gmpt_mutex_unlock(&object->mutex);
        break;
    case WORLD_RWMUTEX:
        gmpt_rwmutex_unlock(&object->rwmutex);
        break;
    case WORLD_WAITGROUP:
        gmpt_waitgroup_done(&object->waitgroup);
        break;
    case WORLD_COND:
        gmpt_cond_broadcast(&object->pair.cond);
        break;
    case WORLD_SEMAPHORE:
        gmpt_semaphore_release(&object->semaphore, UNITS);
        break;
    case WORLD_KINDS:
        abort();
    }
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

static void chans_wait(const struct ref *waits, int count)
{
    struct ref nothing[WORLD_REFS_MAX] = { 0 };
    struct gmpt_select_case cases[WORLD_REFS_MAX];
    for (int i = 0; i < count; i++)
        cases[i] = (struct gmpt_select_case){
            .chan = object_at(&waits[i]),
            .op = world.objects[waits[i].object].kind == WORLD_CHAN_FULL ? GMPT_SEND : GMPT_RECV,
            .value = &nothing[i],
        };
    if (count > 1)
        gmpt_select(cases, count);
    else if (cases[0].op == GMPT_SEND)
        gmpt_chan_send(cases[0].chan, &nothing[0]);
    else
        gmpt_chan_recv(cases[0].chan, &nothing[0]);
}

static void object_wait(const struct ref *wait)
{
    union object *object = object_at(wait);
    switch (world.objects[wait->object].kind) {
    case WORLD_CONTEXT:
        gmpt_chan_recv(gmpt_context_done(object_at(wait)), NULL);
        break;
    case WORLD_MUTEX:
        gmpt_mutex_lock(&object->mutex);
        gmpt_mutex_unlock(&object->mutex);
        break;
    case WORLD_RWMUTEX:
        if (wait->object % 2)
            gmpt_rwmutex_rlock(&object->rwmutex);
        else
            gmpt_rwmutex_lock(&object->rwmutex);
        if (wait->object % 2)
            gmpt_rwmutex_runlock(&object->rwmutex);
        else
            gmpt_rwmutex_unlock(&object->rwmutex);
        break;
    case WORLD_WAITGROUP:
        gmpt_waitgroup_wait(&object->waitgroup);
        break;
    case WORLD_COND:
        gmpt_mutex_lock(&object->pair.mutex);
        gmpt_cond_wait(&object->pair.cond, &object->pair.mutex);
        gmpt_mutex_unlock(&object->pair.mutex);
        break;
    case WORLD_SEMAPHORE:
        gmpt_semaphore_acquire(&object->semaphore, 1);
        break;
    default:
        abort();
    }
}

/* Goes on once all is to be opened, without anybody's help. */
static void go_on_alone(enum world_doing doing)
{
    struct gmpt_chan *never = doing == WORLD_DEADLINE ? gmpt_chan_new(0, 0) : NULL;
    int fd = doing == WORLD_READS ? dup(poll_fds[0]) : -1; /* which one G at a time may wait for */
    char byte;
    while (!load_acquire(&opening))
        switch (doing) {
        case WORLD_READS:
            gmpt_poll(fd, POLLIN, GMPT_NEVER);
            break;
        case WORLD_CALLS:
            gmpt_blocking_begin();
            if (read(call_fds[0], &byte, 1) != 1 && errno != EINTR)
                abort();
            gmpt_blocking_end();
            break;
        case WORLD_DEADLINE:
            gmpt_chan_recv_until(never, NULL, gmpt_now() + 30000000);
            break;
        case WORLD_SPINS:
            for (int i = 0; i < 1000; i++)
                cpu_relax();
            break;
        default:
            gmpt_sleep(20000000);
        }
    gmpt_chan_release(never);
}

/* ---- Gs ---------------------------------------------------------------------------------------------------------- */

static void object_init(enum world_kind kind, union object *object)
{
    memset(object, 0, sizeof *object);
    if (kind == WORLD_WAITGROUP)
        gmpt_waitgroup_add(&object->waitgroup, 1);
    else if (kind == WORLD_SEMAPHORE) {
        object->semaphore = (struct gmpt_semaphore)GMPT_SEMAPHORE_INIT(UNITS);
        gmpt_semaphore_acquire(&object->semaphore, UNITS);
    }
}

/* Locked by the G that calls; a mutex that one of the world's Gs is to have waits for that one. */
static void object_lock(uint16_t index)
{
    union object *object = object_at(&table[index]);
    if (world.objects[index].kind == WORLD_RWMUTEX)
        gmpt_rwmutex_lock(&object->rwmutex);
    else if (world.objects[index].kind == WORLD_MUTEX && world.objects[index].owner == WORLD_NONE)
        gmpt_mutex_lock(&object->mutex);
}

static void refs_take(struct ref *refs, const uint16_t *objects, int count)
{
    for (int i = 0; i < count; i++)
        refs[i] = table[objects[i]];
}

/* Where it keeps what it holds. */
struct holding {
    struct ref refs[WORLD_REFS_MAX];
};

static int g_run(void *args);

static void children_start(struct gmpt_group *group, uint16_t opener)
{
    for (uint16_t i = 0; i < world.g_count; i++)
        if (world.gs[i].opener == opener)
            ids[i] = gmpt_group_go(group, g_run, &i, sizeof i);
}

/* A G with objects of others in its frame. */
static void __attribute__((noinline)) g_live(uint16_t index, union object *own)
{
    const struct world_g *g = &world.gs[index];
    struct holding here = { 0 }, *holding = g->in_block ? calloc(1, sizeof *holding) : &here;
    struct ref waits[WORLD_REFS_MAX] = { 0 };
    struct gmpt_group group = GMPT_GROUP_INIT;
    for (uint16_t i = 0, at = 0; i < world.object_count; i++)
        if (world.objects[i].host == index) {
            object_init(world.objects[i].kind, &own[at]);
            table[i] = (struct ref){ &own[at++], 0, i };
        }
    if (g->doing == WORLD_OPENS_GROUP)
        children_start(&group, index);
    gmpt_waitgroup_done(&placed);
    gmpt_waitgroup_wait(&may_take);
    refs_take(holding->refs, g->held, g->held_count);
    refs_take(waits, g->waits, g->wait_count);
    for (int i = 0; i < g->held_count; i++)
        if (world.objects[g->held[i]].owner == index)
            gmpt_mutex_lock(&((union object *)object_at(&holding->refs[i]))->mutex);
    gmpt_waitgroup_done(&taken);
    gmpt_waitgroup_wait(&may_wait);
    gmpt_waitgroup_done(&prepared);
    if (g->doing == WORLD_OPENS_GROUP)
        gmpt_group_wait(&group);
    else if (g->doing != WORLD_WAITS)
        go_on_alone(g->doing);
    else if (g->wait_count > 1 || world.objects[waits[0].object].kind <= WORLD_CHAN_FULL)
        chans_wait(waits, g->wait_count);
    else
        object_wait(&waits[0]);
    store_release(&woke[index], 1);
    fetch_add_acq_rel(&moves, 1);
    for (int i = 0; i < g->held_count; i++)
        ref_open(&holding->refs[i], index);
}

static int g_run(void *args)
{
    uint16_t index = *(uint16_t *)args, hosted = 0;
    for (uint16_t i = 0; i < world.object_count; i++)
        hosted += world.objects[i].host == index;
    union object own[WORLD_REFS_MAX];
    if (hosted > WORLD_REFS_MAX)
        abort();
    g_live(index, own);
    if (hosted)
        gmpt_chan_recv(finale, NULL);
    return 0;
}

static void g_start(void *args) { g_run(args); }

/* ---- Building ---------------------------------------------------------------------------------------------------- */

static void object_make(uint16_t index)
{
    const struct world_object *object = &world.objects[index];
    struct ref ref = { .object = index };
    switch (object->kind) {
    case WORLD_CHAN_EMPTY:
        ref.base = gmpt_chan_new(sizeof(struct ref), index % 3);
        break;
    case WORLD_CHAN_FULL:
        ref.base = gmpt_chan_new(sizeof(struct ref), object->room);
        break;
    case WORLD_CONTEXT:
        ref.base = gmpt_context_with_cancel(object->parent == WORLD_NONE ? gmpt_context_background()
                                                                         : table[object->parent].base);
        break;
    default:
        if (object->home == WORLD_ON_STACK)
            return; /* its host makes it */
        ref.base = calloc(1, object->home == WORLD_IN_BLOCK ? BLOCK_BYTES : sizeof(union object));
        ref.offset = object->home == WORLD_IN_BLOCK ? 8 * (index % 80u) : 0;
        object_init(object->kind, object_at(&ref));
    }
    if (!ref.base)
        abort();
    table[index] = ref;
}

static void buffers_fill(void)
{
    struct ref nothing = { 0 };
    for (uint16_t i = 0; i < world.object_count; i++)
        for (int k = 0; k < world.objects[i].room; k++) {
            uint16_t held = world.objects[i].buffer[k];
            gmpt_chan_send(table[i].base, held == WORLD_NONE ? &nothing : &table[held]);
        }
}

static void build(void *args)
{
    (void)args;
    size_t bytes = WORLD_OBJECTS_MAX * sizeof *table;
    table = calloc(1, bytes);
    if (!table)
        abort();
    for (uint16_t i = 0; i < world.object_count; i++)
        object_make(i);
    gmpt_waitgroup_add(&may_take, 1);
    gmpt_waitgroup_add(&may_wait, 1);
    gmpt_waitgroup_add(&placed, world.g_count);
    gmpt_waitgroup_add(&taken, world.g_count);
    gmpt_waitgroup_add(&prepared, world.g_count);
    for (uint16_t i = 0; i < world.g_count; i++)
        if (world.gs[i].opener == WORLD_NONE)
            ids[i] = gmpt_go(g_start, &i, sizeof i);
    gmpt_waitgroup_wait(&placed);
    for (uint16_t i = 0; i < world.object_count; i++)
        object_lock(i);
    buffers_fill();
    for (uint16_t i = 0; i < world.root_count; i++)
        root_put(world.roots[i].place, &table[world.roots[i].object]);
    gmpt_waitgroup_done(&may_take);
    gmpt_waitgroup_wait(&taken);
    gmpt_waitgroup_done(&may_wait);
    gmpt_waitgroup_wait(&prepared);
    explicit_bzero(table, bytes);
    free(table);
    table = NULL;
}

/* ---- The program ------------------------------------------------------------------------------------------------- */

/* Until nothing has moved for a while but those who go on alone. */
static void settle(void)
{
    struct gmpt_metrics metrics;
    uint32_t before = load_acquire(&moves);
    for (int still = 0; still < 5; before = load_acquire(&moves)) {
        gmpt_sleep(1000000);
        gmpt_metrics_read(&metrics);
        still = metrics.gs_runnable == 0 && load_acquire(&moves) == before ? still + 1 : 0;
    }
}

static void truth_tell(void)
{
    static const char *const words[] = { "live", "leaked", "other" };
    for (uint16_t i = 0; i < world.g_count; i++)
        printf("g %" PRId64 " %s %" PRIu16 "\n", ids[i], words[world.gs[i].truth], i);
    puts("ready");
    fflush(stdout);
}

/* Returns the index of one whose truth is wrong, or -1. */
static int wrong_find(void)
{
    for (uint16_t i = 0; i < world.g_count; i++)
        if ((world.gs[i].truth == WORLD_LIVE) != (load_acquire(&woke[i]) != 0))
            return i;
    return -1;
}

static int finish(void)
{
    int wrong = 0;
    store_release(&opening, 1);
    for (int i = 0; i < WORLD_GS_MAX; i++)
        if (write(poll_fds[1], "", 1) != 1 || write(call_fds[1], "", 1) != 1)
            abort();
    root_open_all();
    for (int64_t end = gmpt_now() + INT64_C(1000000) * TRUTH_MS; (wrong = wrong_find()) >= 0 && gmpt_now() < end;)
        gmpt_sleep(1000000);
    settle();
    wrong = wrong_find();
    for (uint16_t i = 0; i < world.g_count; i++)
        if (load_acquire(&woke[i]))
            printf("woke %" PRId64 "\n", ids[i]);
    puts("end");
    fflush(stdout);
    if (wrong >= 0)
        fprintf(stderr, "leaks_random: the generator is wrong about its G %d\n", wrong);
    return wrong >= 0 ? 3 : 0;
}

static int main_g(void *arg)
{
    (void)arg;
    char byte;
    struct ref frame[WORLD_ROOTS_MAX] = { 0 };
    root_main_frame = frame;
    finale = gmpt_chan_new(0, 0);
    gmpt_go(build, NULL, 0);
    do
        gmpt_sleep(1000000);
    while (!finale || !ids[0] || table);
    settle();
    truth_tell();
    int status = gmpt_read(STDIN_FILENO, &byte, 1) > 0 ? finish() : 0;
    _exit(status); /* whatever threads of ours still do */
}

int main(int argc, char **argv)
{
    char *end = "";
    uint64_t seed = argc == 2 ? strtoull(argv[1], &end, 0) : 0;
    if (argc != 2 || *end || !*argv[1]) {
        fprintf(stderr, "usage: leaks_random SEED\n");
        return 2;
    }
    world_make(&world, seed);
    if (pipe(poll_fds) || pipe(call_fds))
        abort();
    return gmpt_run(main_g, NULL);
}
