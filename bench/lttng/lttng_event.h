/* The event of emit_lttng.c, as LTTng-UST wants it declared. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER gmptrace_bench
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./lttng_event.h"

#if !defined(GMPT_LTTNG_EVENT_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define GMPT_LTTNG_EVENT_H

#include <lttng/tracepoint.h>
#include <stdint.h>

LTTNG_UST_TRACEPOINT_EVENT(gmptrace_bench, event,
                           LTTNG_UST_TP_ARGS(uint64_t, g, uint32_t, seq, uint32_t, reason),
                           LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(uint64_t, g, g)
                                                   lttng_ust_field_integer(uint32_t, seq, seq)
                                                       lttng_ust_field_integer(uint32_t, reason, reason)))

#endif

#include <lttng/tracepoint-event.h>
