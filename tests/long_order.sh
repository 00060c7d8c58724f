#!/bin/sh
# A long recording of Gs that change their Ps and threads in every way, on 8 Ps, and the order check over all of it.
# Prints what was there; status 1 when an event contradicts those before, or nothing was recorded.
#
#     tests/long_order.sh [SECONDS]        60; SEED=1 in the environment
#
# It needs the programs built (make check).
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# The program would go on for ever; that the recorder ends it is no failure.
GMPT_MAXPROCS=8 timeout -s INT "${1:-60}" "$BUILD/gmptrace" record -o "$scratch/churn.data" -- \
    "$BUILD/tests/programs/churn" "${SEED:-1}" 2000000000 >&2 || :
"$BUILD/gmptrace" analyze --json "$scratch/churn.data" >"$scratch/json"
count() { sed -n "s/.*\"$1\": {.*\"$2\": \([0-9]*\).*/\1/p" "$scratch/json" | head -n 1; }
for what in steals handoffs preemptions detaches async_preemptions syscalls; do
    echo "$what $(count scheduler "$what")"
done
for what in kept lost gaps violations; do
    echo "$what $(count events "$what")"
done
[ "$(count events kept)" -gt 0 ] && [ "$(count events violations)" -eq 0 ]
