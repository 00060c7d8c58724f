/* Durations as a person writes them: a number with a unit, 300us, 500ms, 1.5s, 2m, 1h. */
#ifndef GMPT_DURATION_H
#define GMPT_DURATION_H

#include <stddef.h>
#include <stdint.h>

/* The unit (ns, us, ms, s, m, h) is required; digits below a nanosecond are dropped. Returns 0 or -EINVAL. */
int duration_parse(const char *text, size_t length, int64_t *ns);

#endif
