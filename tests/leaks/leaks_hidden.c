/* leaks_hidden NAME: hides a handle (hidden.h), tells the truth and `ready`, waits for a line on its standard input,
 * takes the handle out again, and tells who went on:
 *
 *     g 3 live pipe             or leaked, or encoded
 *     g 4 leaked control        a G whose handle is nowhere: who finds nothing at all proves nothing
 *     ready
 *     woke 3
 *     end
 *
 * leaks_hidden list names the places. */
#include "hidden.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct hidden_places *const all[] = { &hidden_memory, &hidden_kernel, &hidden_threads, &hidden_runtime,
                                                   &hidden_locks };
#define ALL (sizeof all / sizeof all[0])

#define VICTIMS_MAX 8
static struct {
    int64_t id;
    ATOMIC(uint32_t) woke;
} victims[VICTIMS_MAX];
static ATOMIC(uint32_t) victim_count;

ATOMIC(uint32_t) hidden_holds, hidden_give_back;

/* ---- Victims ----------------------------------------------------------------------------------------------------- */

void hidden_victim_waits(void)
{
    uint32_t index = fetch_add_acq_rel(&victim_count, 1);
    if (index >= VICTIMS_MAX)
        abort();
    victims[index].id = gmpt_self();
}

void hidden_victim_woke(void)
{
    for (uint32_t i = 0; i < load_acquire(&victim_count); i++)
        if (victims[i].id == gmpt_self())
            store_release(&victims[i].woke, 1);
}

static void victim_run(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    hidden_victim_waits();
    gmpt_chan_recv(chan, NULL);
    hidden_victim_woke();
}

struct gmpt_chan *hidden_victim(void)
{
    struct gmpt_chan *chan = gmpt_chan_new(0, 0);
    if (!chan)
        abort();
    gmpt_go(victim_run, &chan, sizeof chan);
    return chan;
}

void hidden_close(struct gmpt_chan *chan)
{
    if (!chan)
        abort();
    gmpt_chan_close(chan);
}

/* ---- Handles ----------------------------------------------------------------------------------------------------- */

static volatile uintptr_t key = 0x5aa5c33c0ff0a55a;

uintptr_t hidden_seal(const void *handle) { return (uintptr_t)handle ^ key; }
void *hidden_open(uintptr_t sealed) { return (void *)(sealed ^ key); }

void hidden_wait_held(void)
{
    while (!load_acquire(&hidden_holds))
        gmpt_sleep(100000);
}

/* ---- The program ------------------------------------------------------------------------------------------------- */

static ATOMIC(uint32_t) is_hidden; /* a victim waits before its handle is where it is to be */

static void hide(void *args)
{
    const struct hidden_place *place = *(const struct hidden_place **)args;
    place->hide();
    store_release(&is_hidden, 1);
}

static void control(void *args)
{
    (void)args;
    hidden_victim();
}

static void give_back(void *args)
{
    const struct hidden_place *place = *(const struct hidden_place **)args;
    if (place->reveal)
        place->reveal();
}

/* Until the victims there are to be wait. */
static uint32_t victims_wait(uint32_t at_least)
{
    struct gmpt_metrics metrics;
    for (int still = 0; still < 3;) {
        gmpt_sleep(1000000);
        gmpt_metrics_read(&metrics);
        bool all_there = load_acquire(&is_hidden) && load_acquire(&victim_count) > at_least;
        still = all_there && metrics.gs_runnable == 0 ? still + 1 : 0;
    }
    return load_acquire(&victim_count);
}

static int main_g(void *arg)
{
    static const char *const words[] = { "live", "encoded", "leaked" };
    const struct hidden_place *place = arg;
    char byte;
    gmpt_go(hide, &place, sizeof place);
    uint32_t hidden = victims_wait(0);
    gmpt_go(control, NULL, 0);
    uint32_t with_control = victims_wait(hidden);
    for (uint32_t i = 0; i < with_control; i++)
        printf("g %" PRId64 " %s %s\n", victims[i].id, i < hidden ? words[place->truth] : "leaked",
               i < hidden ? place->name : "control");
    puts("ready");
    fflush(stdout);
    if (gmpt_read(STDIN_FILENO, &byte, 1) > 0) {
        store_release(&hidden_give_back, 1);
        gmpt_go(give_back, &place, sizeof place);
        for (uint32_t i = 0; i < hidden && place->truth != HIDDEN_LEAKED; i++)
            while (!load_acquire(&victims[i].woke))
                gmpt_sleep(1000000);
    }
    for (uint32_t i = 0; i < with_control; i++)
        if (load_acquire(&victims[i].woke))
            printf("woke %" PRId64 "\n", victims[i].id);
    puts("end");
    fflush(stdout);
    _exit(0); /* whatever threads of ours still do */
}

static int list(void)
{
    for (size_t i = 0; i < ALL; i++)
        for (size_t k = 0; k < all[i]->count; k++)
            puts(all[i]->places[k].name);
    return 0;
}

int main(int argc, char **argv)
{
    const struct hidden_place *place = NULL;
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list();
    for (size_t i = 0; i < ALL && argc == 2; i++)
        for (size_t k = 0; k < all[i]->count; k++)
            if (strcmp(all[i]->places[k].name, argv[1]) == 0)
                place = &all[i]->places[k];
    if (!place) {
        fprintf(stderr, "usage: leaks_hidden NAME, or leaks_hidden list\n");
        return 2;
    }
    return gmpt_run(main_g, (void *)(uintptr_t)place);
}
