#!/bin/sh
# make bench-analysis: how fast a trace is read. The echo server is recorded under load until there are EVENTS events, and
# Go's for as long as fills a file of the same size. Then in turn, round after round: our commands that read a whole
# trace, and `go tool trace -pprof=sched`. Prints medians: millions of events a second of CPU time, MB of the file a
# second, and the peak memory; of ours how much more that is than for a trace of a second with the same goroutines, and
# how many times what Go's tool needs. The report is made once, and opened by headless Chromium where there is one.
#
#     EVENTS=20000000 ROUNDS=3 bench/analysis.sh
#
# It needs the programs built (make) and /usr/bin/time; 20 million events take some five minutes.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
events_wanted=${EVENTS:-20000000}
rounds=${ROUNDS:-3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
: >"$scratch/values"

fail() {
    echo "bench-analysis: $*" >&2
    exit 1
}
case $events_wanted in
'' | *[!0-9]* | 0) fail "'$events_wanted' is no number of events" ;;
esac
[ -x /usr/bin/time ] || { echo "bench-analysis: there is no /usr/bin/time here (Debian: time)" >&2; exit 4; }
bytes_of() { wc -c <"$1" | tr -d ' '; }

# load SECONDS SERVER...
load() {
    seconds=$1
    shift
    LOAD_SECONDS=$seconds "$BUILD/bench/echo_load" echo "$@" >"$scratch/out" 2>"$scratch/err" ||
        { cat "$scratch/err" >&2; fail "failed: $*"; }
}

# recorded FILE SECONDS: what the recorder says is then in $events and $lost.
recorded() {
    rm -f "$1"
    load "$2" "$BUILD/gmptrace" record -o "$1" -- "$BUILD/examples/echo" --port 0
    said=$(sed -n 's/^\[ gmptrace record: wrote .*, \([0-9,]*\) events, \([0-9,]*\) lost -> .*/\1 \2/p' "$scratch/err" |
        tr -d ,)
    [ -n "$said" ] || fail "the recorder did not say what it wrote"
    events=${said% *} lost=${said#* }
}

# timed NAME COMMAND...: CPU seconds, wall seconds and kB are noted.
timed() {
    name=$1
    shift
    /usr/bin/time -o "$scratch/time" -f '%U %S %e %M' "$@" >"$scratch/out" 2>"$scratch/err" ||
        [ "$(tail -n 1 "$scratch/time" | wc -w)" = 4 ] || fail "failed: $*"
    awk -v name="$name" 'NF == 4 { print name, $1 + $2, $3, $4 }' "$scratch/time" >>"$scratch/values"
}

recorded "$scratch/short.data" 1
short=$events
# A machine that does other work meanwhile may need a second try.
per_second=$short tries=0 long=0
while [ "$long" -lt "$events_wanted" ] && [ "$tries" -lt 3 ]; do
    tries=$((tries + 1))
    seconds=$(awk -v all="$events_wanted" -v second="$per_second" 'BEGIN { print 1.3 * all / second }')
    recorded "$scratch/long.data" "$seconds"
    long=$events
    per_second=$(awk -v events="$long" -v seconds="$seconds" 'BEGIN { print events / seconds }')
done
[ "$long" -ge "$events_wanted" ] || echo "bench-analysis: only $long events were recorded" >&2
size=$(bytes_of "$scratch/long.data")
echo "ours        $long events, $lost lost, $size bytes"

go_events=0
if command -v go >/dev/null 2>&1 && (cd bench/go && GOFLAGS=-mod=mod go build -o "$scratch/peer" .); then
    load 1 "$scratch/peer" -trace "$scratch/go.trace" echo-server
    second=$(bytes_of "$scratch/go.trace")
    load "$(awk -v size="$size" -v second="$second" 'BEGIN { print 1.3 * size / second }')" \
        "$scratch/peer" -trace "$scratch/go.trace" echo-server
    go_events=$(go tool trace -d=wire "$scratch/go.trace" 2>/dev/null | grep -c ' dt=') || :
    echo "Go's        $go_events events, $(bytes_of "$scratch/go.trace") bytes"
else
    echo "SKIP Go's rows: there is no go here, or it does not build bench/go" >&2
fi

round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    timed short "$BUILD/gmptrace" analyze "$scratch/short.data"
    timed analyze "$BUILD/gmptrace" analyze "$scratch/long.data"
    timed pprof_sched "$BUILD/gmptrace" pprof --type=sched -o "$scratch/sched.pb.gz" "$scratch/long.data"
    [ "$round" -gt 1 ] || timed report "$BUILD/gmptrace" report -o "$scratch/report.html" "$scratch/long.data"
    [ "$go_events" = 0 ] || timed go_pprof_sched go tool trace -pprof=sched "$scratch/go.trace"
done

sort -k1,1 -k2,2n "$scratch/values" | awk -v long="$long" -v size="$size" -v go_events="$go_events" \
    -v go_size="$([ "$go_events" = 0 ] || bytes_of "$scratch/go.trace")" '
function row(name, count, bytes,    n, middle) {
    n = rows[name]
    if (!n)
        return
    middle = int((n + 1) / 2)
    rate[name] = count / 1e6 / cpu[name, middle]
    printf "%-16s %9.2f %9.2f %9.2f %9.1f %9.1f\n", name, cpu[name, middle], wall[name, middle],
        rate[name], bytes / 1e6 / cpu[name, middle], kb[name] / 1024
}
{
    rows[$1]++
    cpu[$1, rows[$1]] = $2
    wall[$1, rows[$1]] = $3
    if ($4 > kb[$1])
        kb[$1] = $4
}
END {
    printf "%-16s %9s %9s %9s %9s %9s\n", "", "CPU s", "wall s", "Mev/s", "MB/s", "peak MB"
    row("analyze", long, size)
    row("pprof_sched", long, size)
    row("report", long, size)
    row("go_pprof_sched", go_events, go_size)
    printf "analyze takes %.1f MB more than of a trace of a second\n", (kb["analyze"] - kb["short"]) / 1024
    if (rows["go_pprof_sched"])
        printf "go_pprof_sched: analyze reads %.1f, pprof_sched %.1f times as many events a second, in %.3f of its memory\n",
            rate["analyze"] / rate["go_pprof_sched"], rate["pprof_sched"] / rate["go_pprof_sched"],
            kb["analyze"] / kb["go_pprof_sched"]
}'
echo "report.html has $(bytes_of "$scratch/report.html") bytes"
if command -v chromium >/dev/null 2>&1; then
    python3 tests/report_browser.py --time "$scratch/report.html"
else
    echo "SKIP opening it: there is no chromium here (Debian: chromium)" >&2
fi
