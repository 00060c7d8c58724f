/* A random topology of Gs, of objects that they wait for, and of places where references to these are kept; and which
 * of the Gs can ever go on. It follows from the seed alone and has no address in it.
 *
 * Every waiting G waits for one object, or selects among some. It holds references to others, which it opens (closes,
 * unlocks, signals, cancels) once it goes on: so who is live makes others live. Besides, references lie in roots, which
 * the program opens when it is told to, and in the buffers of channels, where they are found by who opens these. A
 * mutex that one of the Gs has locked is unlocked by no other, whoever has a reference.
 *
 * live    goes on when all is opened that can be reached: a verdict on it is false
 * leaked  nothing that it waits for can be reached
 * other   waits for several Gs, of which some are live and some are not: it never goes on, and no proof can know */
#ifndef GMPT_TEST_RANDOM_WORLD_H
#define GMPT_TEST_RANDOM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#define WORLD_OBJECTS_MAX 48
#define WORLD_GS_MAX 48
#define WORLD_ROOTS_MAX 24
#define WORLD_REFS_MAX 3
#define WORLD_NONE UINT16_MAX

enum world_kind {
    WORLD_CHAN_EMPTY, /* receivers wait */
    WORLD_CHAN_FULL,  /* senders wait; its buffer holds references, or zeros */
    WORLD_CONTEXT,    /* its parent may be another one */
    WORLD_MUTEX,
    WORLD_RWMUTEX,
    WORLD_WAITGROUP,
    WORLD_COND,
    WORLD_SEMAPHORE,
    WORLD_KINDS
};

/* Where an object lies that is not the runtime's own. */
enum world_home { WORLD_OWN_BLOCK, WORLD_IN_BLOCK, WORLD_ON_STACK };

struct world_object {
    enum world_kind kind;
    enum world_home home;
    uint16_t host;                   /* on whose stack */
    uint16_t parent;                 /* a context's, or WORLD_NONE */
    uint16_t owner;                  /* the G that has the mutex; WORLD_NONE: one that has ended */
    uint8_t room;                    /* a full channel's */
    uint16_t buffer[WORLD_REFS_MAX]; /* objects, or WORLD_NONE */
};

enum world_doing {
    WORLD_WAITS,
    WORLD_OPENS_GROUP, /* waits for its children, the Gs that have it as their opener */
    WORLD_SLEEPS,
    WORLD_READS,    /* from a pipe, by the netpoller */
    WORLD_CALLS,    /* reads a pipe in a blocking call */
    WORLD_DEADLINE, /* waits for nothing, again and again until a deadline */
    WORLD_SPINS,
};

enum world_truth { WORLD_LIVE, WORLD_LEAKED, WORLD_OTHER };

struct world_g {
    enum world_doing doing;
    enum world_truth truth;
    uint16_t opener; /* a group's child: by whom it was started; else WORLD_NONE */
    uint8_t wait_count, held_count;
    bool in_block; /* what it holds lies in a block of malloc's, to which it has the pointer */
    uint16_t waits[WORLD_REFS_MAX];
    uint16_t held[WORLD_REFS_MAX];
};

enum world_place {
    WORLD_GLOBAL,
    WORLD_LIST, /* of blocks, from a global */
    WORLD_UNALIGNED,
    WORLD_SHARED_MAPPING,
    WORLD_PIPE,
    WORLD_TIMER,
    WORLD_CONTEXT_VALUE,
    WORLD_THREAD_LOCAL,
    WORLD_THREAD_STACK,
    WORLD_MAIN_STACK,
    WORLD_PLACES
};

struct world_root {
    enum world_place place;
    uint16_t object;
};

struct world {
    struct world_object objects[WORLD_OBJECTS_MAX];
    struct world_g gs[WORLD_GS_MAX];
    struct world_root roots[WORLD_ROOTS_MAX];
    uint16_t object_count, g_count, root_count;
};

void world_make(struct world *world, uint64_t seed);

#endif
