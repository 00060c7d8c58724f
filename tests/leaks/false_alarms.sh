#!/bin/sh
# tests/leaks/false_alarms.sh [ROUNDS [SUITE...]]: what a team would see that has `gmptrace check` as its gate and no new
# leaks. Runs every suite of tests/ and the examples under it, so many rounds (1), with BUILD naming the build, and counts
# the runs that would fail: with something proven, or a cycle. Each is printed, and makes the status 1. Left out are the
# suites whose subject are leaks, or deadlocks; what others leak on purpose is in tests/leaks/known.leaks, with the reason.
#
# RUN_SECONDS (300) is how long one run may take; what takes longer is ended and counted as cut off. RECORD names a file
# that gets a line for each run: those that it has are not made again, so that a thousand can be made in parts.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build/gcc}
GMPTRACE=$BUILD/gmptrace GATEWAY=$BUILD/examples/gateway
export BUILD GMPTRACE GATEWAY
rounds=${1:-1}
[ $# -eq 0 ] || shift
suites=$*
about_leaks=" check deadlock leaks leaks_corpus leaks_live leaktest planted proof proofkinds stackcopy "
[ -n "$suites" ] || suites=$(sed -n 's/^[A-Z_]*TEST(\([a-z_0-9]*\),.*/\1/p' tests/test_*.c | sort -u)
scratch=$(mktemp -d)
record=${RECORD:-$scratch/record} # "ROUND NAME WHAT-CAME-OF-IT JUDGED UNJUDGED"
touch "$record"
totals() {
    awk '{ count[$3]++; judged += $4; unjudged += $5 }
        END { printf "%d runs: %d with findings, %d cut off, %d without the runtime; %d processes judged, %d not\n",
            NR, count["finding"], count["cut"], count["unused"], judged, unjudged }' "$record"
    rm -rf "$scratch"
}
trap totals EXIT
trap 'exit 130' INT TERM

# number_json NAME: of the last report; 0 without one.
number_json() { sed -n "s/^  \"$1\": \([0-9]*\),.*/\1/p" "$scratch/json" 2>/dev/null | grep . || echo 0; }

# checked NAME [OPTION...] -- COMMAND...
checked() {
    name=$1
    shift
    ! grep -q "^$round $name " "$record" || return 0
    rm -f "$scratch/json"
    timeout -k 10 "${RUN_SECONDS:-300}" "$GMPTRACE" check --baseline tests/leaks/known.leaks --json "$scratch/json" "$@" \
        >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    result=clean
    if [ $status -ge 124 ] && [ $status -le 137 ] && ! grep -q 'Checks: ' "$scratch/out"; then
        result=cut
        echo "$name: cut off"
    elif grep -qE '^[0-9]+\. (proven|cycle):' "$scratch/err"; then
        result=finding
        echo "$name: a finding"
        sed 's/^/    /' "$scratch/err"
    elif grep -q 'did not use the runtime' "$scratch/err"; then
        result=unused
    fi
    echo "$round $name $result $(number_json processes) $(number_json unjudged)" >>"$record"
}

# served SERVER PATH ARG...: a server of examples/, while forty requests are answered; it is ended by SIGTERM.
served() {
    server=$1 path=$2
    shift 2
    # shellcheck disable=SC2016 # expanded by the shell that is checked
    checked "$server" --every 200ms -- sh -c '
        path=$1 said=$2
        shift 2
        "$@" >"$said" 2>&1 &
        server=$!
        port=""
        while [ -z "$port" ] && kill -0 $server; do
            sleep 0.05
            port=$(sed -n "s/.*127\.0\.0\.1:\([0-9]*\).*/\1/p" "$said" | head -n 1)
        done
        for i in 1 2 3 4 5 6 7 8 9 10; do
            for k in 1 2 3 4; do
                curl -s -m 10 -o /dev/null "http://127.0.0.1:$port$path" &
            done
            sleep 0.1
        done
        sleep 0.3
        kill -TERM $server
        wait' sh "$path" "$scratch/said" "$BUILD/examples/$server" "$@"
}

round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    for suite in $suites; do
        [ "${about_leaks#* "$suite" }" = "$about_leaks" ] || continue
        SUITE=$suite checked "$suite" -- "$BUILD/check"
    done
    checked echo --every 200ms -- "$BUILD/bench/echo_load" echo "$BUILD/examples/echo" --port 0
    command -v curl >/dev/null 2>&1 || continue
    served gateway '/compute?n=1000' --fixed --port 0
    served http_server / --port 0
done
! grep -q ' finding ' "$record"
