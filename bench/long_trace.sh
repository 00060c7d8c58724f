#!/bin/sh
# A long recording under load: examples/gateway, the repaired one, for SECONDS with 64 busy connections. Prints how large
# the trace is, whether it is whole, and what recording took. FILE keeps the trace, which else is removed.
#
#     bench/long_trace.sh [SECONDS [FILE]]        600 seconds
#
# It needs the programs built (make), curl and wrk.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
seconds=${1:-600}
scratch=$(mktemp -d)
trace=${2:-$scratch/gateway.data}
hertz=$(getconf CLK_TCK)
recorder="" gateway="" load=""

finish() {
    for pid in $load $gateway $recorder; do
        kill -KILL "$pid" 2>/dev/null || :
    done
    [ -z "$recorder" ] || rm -f "$trace.$recorder.part"
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "long_trace: $*" >&2
    exit 1
}
case $seconds in
'' | *[!0-9]* | 0) fail "'$seconds' is no number of seconds" ;;
esac
for tool in wrk curl; do
    command -v "$tool" >/dev/null 2>&1 || { echo "long_trace: there is no $tool here" >&2; exit 4; }
done

# cpu_ticks PID: what it has used by itself; false when it is gone.
cpu_ticks() {
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # the words after the name, of which state is the first
    set -- ${stat##*) }
    [ "$1" != Z ] && echo $((${12} + ${13}))
}

# memory PID WORD: kB.
memory() { awk -v word="$2:" '$1 == word { print $2 }' "/proc/$1/status" 2>/dev/null; }

sample_recorder() {
    ticks=$(cpu_ticks "$recorder") && recorder_ticks=$ticks || return 1
    kb=$(memory "$recorder" VmHWM) || kb=""
    recorder_kb=${kb:-$recorder_kb}
    kb=$(memory "$recorder" RssShmem) || kb=""
    [ "${kb:-0}" -le "$shared_kb" ] || shared_kb=$kb
}

: >"$scratch/gateway.log"
"$BUILD/gmptrace" record -o "$trace" -- "$BUILD/examples/gateway" --port 0 --fixed \
    >"$scratch/gateway.log" 2>"$scratch/record.log" &
recorder=$!
url="" tries=0
while [ -z "$url" ]; do
    url=$(sed -n 's/^gateway: listening on //p' "$scratch/gateway.log")
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ] || ! kill -0 "$recorder" 2>/dev/null; then
        cat "$scratch/gateway.log" "$scratch/record.log" >&2
        fail "the gateway does not start"
    fi
    [ -n "$url" ] || sleep 0.1
done
gateway=$(curl -fsS -m 10 "$url/stats" | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
[ -n "$gateway" ] || fail "the gateway does not answer"

wrk -t2 -c64 "-d${seconds}s" "$url/compute?n=1000" >"$scratch/wrk" 2>&1 &
load=$!
recorder_ticks=0 recorder_kb=0 shared_kb=0
while kill -0 "$load" 2>/dev/null; do
    sample_recorder || fail "the recorder has ended under load: $(cat "$scratch/record.log")"
    sleep 0.5
done
wait "$load" || fail "wrk failed: $(cat "$scratch/wrk")"
load=""
gateway_ticks=$(cpu_ticks "$gateway") || fail "the gateway has ended under load"
gateway_kb=$(memory "$gateway" VmHWM)
kill -TERM "$gateway"
while sample_recorder; do
    sleep 0.02
done
status=0
wait "$recorder" || status=$?
recorder="" gateway=""
[ "$status" = 0 ] || fail "gmptrace record ended with status $status: $(cat "$scratch/record.log")"

counts=$(sed -n 's/^\[ gmptrace record: wrote .*, \([0-9,]*\) events, \([0-9,]*\) lost -> .*/\1 \2/p' "$scratch/record.log")
[ -n "$counts" ] || fail "the recorder did not say what it wrote: $(cat "$scratch/record.log")"
awk -v seconds="$seconds" -v bytes="$(wc -c <"$trace")" -v events="${counts% *}" -v lost="${counts#* }" -v hertz="$hertz" \
    -v recorder_ticks="$recorder_ticks" -v recorder_kb="$recorder_kb" -v shared_kb="$shared_kb" \
    -v gateway_ticks="$gateway_ticks" -v gateway_kb="$gateway_kb" \
    -v requests="$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' "$scratch/wrk")" '
function percent(ticks) { return 100 * ticks / hertz / seconds }
BEGIN {
    count = events
    gsub(",", "", count)
    printf "load       %d s, %d requests, %.0f a second\n", seconds, requests, requests / seconds
    printf "on disk    %.1f MB, %.2f MB a second\n", bytes / 1e6, bytes / 1e6 / seconds
    printf "events     %s, %.0f a second\n", events, count / seconds
    printf "an event   %.2f bytes\n", count ? bytes / count : 0
    printf "lost       %s\n", lost
    printf "recorder   peak RSS %.1f MB, of which the gateway has %.1f MB as well; CPU %.1f s, %.1f %% of one\n", \
        recorder_kb / 1024, shared_kb / 1024, recorder_ticks / hertz, percent(recorder_ticks)
    printf "gateway    peak RSS %.1f MB; CPU %.1f s, %.1f %% of one\n", gateway_kb / 1024, gateway_ticks / hertz, \
        percent(gateway_ticks)
}'
