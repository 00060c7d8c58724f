#include "timesum.h"

void timesum_stop(int64_t *sum_ns) { *sum_ns = INT64_MAX; }
