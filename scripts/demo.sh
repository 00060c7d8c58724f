#!/bin/sh
# make demo: records the leaky gateway under load, shows what gmptrace makes of it, checks the number of leaks that it
# reports against the gateway's own count, and then shows that the repaired gateway has none.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
seconds=${DEMO_SECONDS:-5}
tool=$BUILD/gmptrace
trace=gmptrace.data
scratch=$(mktemp -d)
recorder="" gateway=""

finish() {
    for pid in $gateway $recorder; do
        kill -KILL "$pid" 2>/dev/null || :
    done
    rm -rf "$scratch" "$BUILD/fixed.data"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "demo: $*" >&2
    exit 1
}
step() { printf '\n== %s\n' "$*"; }
shown() {
    printf '$ %s\n' "$*"
    "$@"
}

# record_gateway FILE SECONDS [OPTION...]: the gateway's last words are then in $scratch/gateway.log, the number of
# calls that timed out in $timed_out.
record_gateway() {
    file=$1 load=$2
    shift 2
    printf '$ %s record -o %s -- \\\n    %s/examples/gateway --port 0%s\n' "$tool" "$file" "$BUILD" "${*:+ $*}"
    : >"$scratch/gateway.log"
    "$tool" record -o "$file" -- "$BUILD/examples/gateway" --port 0 "$@" >"$scratch/gateway.log" 2>"$scratch/record.log" &
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
    printf '$ curl %s/compute?n=1000\n' "$url"
    curl -fsS -m 10 "$url/compute?n=1000" | grep '"primes": 168' || fail "the gateway answers wrongly"
    printf '$ wrk -t2 -c64 -d%ss %s/compute?n=1000\n' "$load" "$url"
    wrk -t2 -c64 "-d${load}s" "$url/compute?n=1000" |
        sed -n '/requests in\|Requests\/sec\|Socket errors\|Non-2xx/p'
    echo '("Non-2xx" are the calls that timed out: the gateway answers them with 504.)'
    kill -TERM "$gateway"
    status=0
    wait "$recorder" || status=$?
    recorder="" gateway=""
    cat "$scratch/gateway.log" "$scratch/record.log" | grep -v listening || :
    [ "$status" = 0 ] || fail "gmptrace record ended with status $status"
    timed_out=$(sed -n 's/^gateway: [0-9]* requests, \([0-9]*\) timed out$/\1/p' "$scratch/gateway.log")
    [ -n "$timed_out" ] || fail "the gateway did not end as it should"
}

# The number of suspected leaks in a trace, in $leaked; the status must go with it.
count_leaks() {
    status=0
    "$tool" leaks "$1" --json >"$scratch/leaks.json" || status=$?
    leaked=$(tr ',{}' '\n\n\n' <"$scratch/leaks.json" | sed -n 's/^[[:space:]]*"suspected":[[:space:]]*\([0-9]*\).*/\1/p' |
        head -n 1)
    [ -n "$leaked" ] || fail "gmptrace leaks --json says no number (status $status)"
    case "$leaked:$status" in
    0:0 | [1-9]*:1) ;;
    *) fail "gmptrace leaks found $leaked but ended with status $status" ;;
    esac
}

step "A gateway that loses a goroutine with every slow call, under load for $seconds s"
record_gateway "$trace" "$seconds"

step "What happened"
shown "$tool" analyze "$trace"

step "What it lost"
printf '$ %s leaks %s\n' "$tool" "$trace"
"$tool" leaks "$trace" || [ $? = 1 ] || fail "gmptrace leaks failed"
count_leaks "$trace"
echo
echo "gmptrace says $leaked lost goroutines; the gateway says $timed_out calls timed out."
[ "$leaked" = "$timed_out" ] || fail "these must be equal"
[ "$leaked" != 0 ] || fail "nothing timed out, so there was nothing to find"

step "The same for pprof"
shown "$tool" pprof "$trace" --type=leak -o leak.pb.gz

step "The repaired gateway"
record_gateway "$BUILD/fixed.data" 2 --fixed
count_leaks "$BUILD/fixed.data"
echo "gmptrace says $leaked lost goroutines; the gateway says $timed_out calls timed out."
[ "$leaked" = 0 ] || fail "the repaired gateway must lose none"

step "Go on from here"
cat <<END
  $tool leaks $trace
      the leak again; the comments in examples/gateway.c tell the story
  $tool script $trace | less
      every event, in order
  go tool pprof -top leak.pb.gz
      the leak as a profile, if Go is at hand
END
