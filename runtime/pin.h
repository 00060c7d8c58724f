/* GMPT_PIN=cpu|node: an M that takes a P moves to the CPU, or to the NUMA node, that the P belongs to. P i belongs to
 * the i-th CPU that the process may use, modulo their number. */
#ifndef GMPT_PIN_H
#define GMPT_PIN_H

#include "runtime.h"

/* Reads GMPT_PIN. Returns 0, or -EINVAL when it is neither. */
int pin_start(void);

extern bool pin_is_on;
void pin_thread_slow(struct m *m, const struct p *p);
/* The calling M takes p. */
static inline void pin_thread(struct m *m, const struct p *p)
{
    if (unlikely(pin_is_on))
        pin_thread_slow(m, p);
}
/* m's G goes on without a P, beside who runs on it next: it may use any CPU. Any thread. */
void pin_free(struct m *m);

#endif
