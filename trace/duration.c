#include "duration.h"

#include <errno.h>
#include <string.h>

#define FRACTION_SCALE_MAX 1000000000000000ll /* an hour has 3.6e12 ns */

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = { { "ns", 1 },         { "us", 1000 },       { "ms", 1000000 },
              { "s", 1000000000 }, { "m", 60000000000 }, { "h", 3600000000000 } };

int duration_parse(const char *text, size_t length, int64_t *ns)
{
    const char *end = text + length, *p;
    int64_t whole = 0, fraction = 0, scale = 1;
    for (p = text; p < end && *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *p - '0', &whole))
            return -EINVAL;
    if (p == text)
        return -EINVAL;
    if (p < end && *p == '.') {
        const char *first = ++p;
        for (; p < end && *p >= '0' && *p <= '9'; p++) {
            if (scale >= FRACTION_SCALE_MAX)
                continue;
            fraction = fraction * 10 + (*p - '0');
            scale *= 10;
        }
        if (p == first)
            return -EINVAL;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strlen(units[i].name) != (size_t)(end - p) || memcmp(units[i].name, p, (size_t)(end - p)) != 0)
            continue;
        __int128 sum = (__int128)whole * units[i].ns + (__int128)fraction * units[i].ns / scale;
        if (sum > INT64_MAX)
            return -EINVAL;
        *ns = (int64_t)sum;
        return 0;
    }
    return -EINVAL;
}
