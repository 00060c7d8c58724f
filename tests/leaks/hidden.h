/* Places in which a program can keep the only handle of what a G waits for.
 *
 * A place hides the handle, and the program is then asked whether the victim, the G that waits, has leaked. Afterwards
 * the place is made to give the handle back, and what it names is closed or unlocked: a victim that goes on had not
 * leaked, whatever was said of it. So the truth is found by doing it, and not by arguing.
 *
 * Hiding is done on a G of its own, which has ended by then, so that no copy is left on a stack that is looked at. */
#ifndef GMPT_TEST_HIDDEN_H
#define GMPT_TEST_HIDDEN_H

#include "trace/atomics.h"

#include <gmptrace/gmpt.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hidden_truth {
    HIDDEN_LIVE,    /* the handle can be seen, or somebody will go on by himself: never proven */
    HIDDEN_ENCODED, /* it cannot be seen, or found only by who assumes nothing: reports say what they assume */
    HIDDEN_LEAKED,  /* there is none */
};

struct hidden_place {
    const char *name;
    enum hidden_truth truth;
    void (*hide)(void);
    void (*reveal)(void); /* NULL: the victim goes on by itself, or has leaked */
};

struct hidden_places {
    const struct hidden_place *places;
    size_t count;
};
#define HIDDEN_PLACES(places)                                                                                          \
    {                                                                                                                  \
        places, sizeof places / sizeof places[0]                                                                       \
    }

extern const struct hidden_places hidden_memory, hidden_kernel, hidden_threads, hidden_runtime, hidden_locks;

/* Starts a victim that waits to receive from a new channel, and returns the channel's handle, once it waits. */
struct gmpt_chan *hidden_victim(void);
/* Says that the calling G is a victim, about to wait; and that it went on. */
void hidden_victim_waits(void);
void hidden_victim_woke(void);
/* What a hidden place was made to give back. */
void hidden_close(struct gmpt_chan *chan);

/* A handle as no proof can see it; only to carry it to its place. */
uintptr_t hidden_seal(const void *handle);
void *hidden_open(uintptr_t sealed);

/* What an encoded handle must not be taken for by a compiler that sees through it. */
#define HIDDEN_OPAQUE(value) __asm__ volatile("" : "+r"(value))

/* Those who hold a handle say that they do, and go on when it is to be given back. Any thread. */
extern ATOMIC(uint32_t) hidden_holds, hidden_give_back;
void hidden_wait_held(void); /* on a G: until somebody holds */

#endif
