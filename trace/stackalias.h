/* The stack that stands for all those that mean the same: asked for once each, and remembered. */
#ifndef GMPT_STACKALIAS_H
#define GMPT_STACKALIAS_H

#include <stddef.h>
#include <stdint.h>

/* Zero-initialised: each stack stands for itself. */
struct stackalias {
    uint32_t (*first)(void *arg, uint32_t stack); /* NULL: each stands for itself */
    void *arg;
    uint32_t *known; /* by stack; 0 = not asked for yet */
    size_t room;
};

uint32_t stackalias_ask(struct stackalias *alias, uint32_t stack);

static inline uint32_t stackalias_of(struct stackalias *alias, uint32_t stack)
{
    if (stack == 0 || !alias->first)
        return stack;
    if (stack < alias->room && alias->known[stack])
        return alias->known[stack];
    return stackalias_ask(alias, stack);
}

void stackalias_clear(struct stackalias *alias);

#endif
