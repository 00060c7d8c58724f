/* What a world's references are while it runs. */
#ifndef GMPT_TEST_RANDOM_RUN_H
#define GMPT_TEST_RANDOM_RUN_H

#include "random_world.h"

#include <gmptrace/gmpt.h>

/* A reference as the program keeps it: the object lies at base + offset, so what is kept need not point at it. */
struct ref {
    void *base;
    uint32_t offset;
    uint16_t object;
};

/* Opens what it names, once: all who wait for it go on. But a mutex is opened by its owner only. On a G; by: the
 * world's G that it is, or WORLD_NONE. */
void ref_open(const struct ref *ref, uint16_t by);

/* Puts a reference into a root; in the end root_open_all opens what is in them. */
void root_put(enum world_place place, const struct ref *ref);
void root_open_all(void);
/* Main's own, in a frame that lives until the end. */
extern struct ref *root_main_frame;

#endif
