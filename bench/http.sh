#!/bin/sh
# make bench-http: examples/http_server beside Go's net/http under wrk, in turn (ours, Go's, ours, Go's ...), each with
# ten thousand open connections: all of them busy, and a hundred busy beside 9,900 idle ones. Prints medians.
#
#     ROUNDS=3 SECONDS_EACH=5 CONNECTIONS=10000 bench/http.sh
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-5}
connections=${CONNECTIONS:-10000}
scratch=$(mktemp -d)
server="" holder=""
stop() {
    for pid in $server $holder; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    server="" holder=""
}
trap 'stop; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

command -v wrk >/dev/null 2>&1 || { echo "bench-http: there is no wrk here" >&2; exit 4; }
ulimit -n "$(ulimit -Hn)"
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt $((connections + 200)) ]; then
    connections=$(($(ulimit -n) - 200))
    echo "bench-http: the limit of open files allows $connections connections only" >&2
fi
active=100
[ "$connections" -gt 200 ] || active=$((connections / 2))
idle=$((connections - active))

peer=""
if command -v go >/dev/null 2>&1; then
    (cd bench/go && GOFLAGS=-mod=mod go build -o "$scratch/peer" ./http) && peer=$scratch/peer
fi
[ -n "$peer" ] || echo "SKIP Go's columns: there is no go here" >&2

# await FILE WORD PID: until the file has the word; false when the process ends first.
await() {
    while ! grep -q "$2" "$1"; do
        kill -0 "$3" 2>/dev/null || return 1
        sleep 0.05
    done
}

# load NAME COLUMN PORT CONNECTIONS: appends "NAME COLUMN VALUE" for requests a second and the 99th percentile in ms.
load() {
    wrk -t2 -c"$4" -d"${seconds}s" --timeout 10s --latency "http://127.0.0.1:$3/" >"$scratch/wrk"
    awk -v name="$1" -v column="$2" '
    function ms(text) {
        if (text ~ /us$/) return text / 1000
        if (text ~ /ms$/) return text + 0
        if (text ~ /m$/) return text * 60000
        return text * 1000
    }
    $1 == "99%" { printf "%s_p99_ms %s %.3f\n", name, column, ms($2) }
    $1 == "Requests/sec:" { printf "%s_rps %s %.0f\n", name, column, $2 }
    /Socket errors|Non-2xx/ { print "bench-http: " column ": " $0 >"/dev/stderr" }' "$scratch/wrk" >>"$scratch/values"
}

# run COLUMN COMMAND...: a server of its own for each of the two loads.
run() {
    column=$1
    shift
    for kind in busy idle; do
        # Here, and not by the redirections: those are made by the children, maybe after await has read the words of the
        # server before.
        : >"$scratch/server"
        : >"$scratch/idle"
        "$@" >"$scratch/server" 2>"$scratch/server.err" &
        server=$!
        await "$scratch/server" listening "$server" || { cat "$scratch/server.err" >&2; exit 1; }
        port=$(sed -n 's|.*127\.0\.0\.1:\([0-9]*\).*|\1|p' "$scratch/server")
        if [ "$kind" = busy ]; then
            load "${connections}_busy" "$column" "$port" "$connections"
        else
            "$BUILD/bench/http_idle" "$port" "$idle" >"$scratch/idle" &
            holder=$!
            await "$scratch/idle" connections "$holder" || exit 1
            awk -v name="${idle}_idle" -v column="$column" \
                '/^VmRSS:/ { printf "%s_rss_mb %s %.1f\n", name, column, $2 / 1024 }' "/proc/$server/status" \
                >>"$scratch/values"
            load "${active}_busy_${idle}_idle" "$column" "$port" "$active"
        fi
        stop
    done
}

: >"$scratch/values"
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    [ ! -t 2 ] || printf '\rround %s of %s ' "$round" "$rounds" >&2
    run ours "$BUILD/examples/http_server" --port 0
    [ -z "$peer" ] || run go "$peer"
done
[ ! -t 2 ] || printf '\r%20s\r' '' >&2

sort -k1,1 -k2,2 -k3,3n "$scratch/values" | awk '
function close_run() {
    if (count)
        median[key] = count % 2 ? value[(count + 1) / 2] : (value[count / 2] + value[count / 2 + 1]) / 2
    count = 0
}
{
    if ($1 " " $2 != key)
        close_run()
    key = $1 " " $2
    value[++count] = $3
    if (!($1 in seen)) {
        seen[$1] = 1
        rows[++row_count] = $1
    }
}
END {
    close_run()
    printf "%-28s %12s %12s %7s\n", "name", "ours", "go", "ratio"
    for (i = 1; i <= row_count; i++) {
        ours = rows[i] " ours"; go = rows[i] " go"
        if (go in median && median[go] > 0)
            printf "%-28s %12s %12s %7.2f\n", rows[i], median[ours], median[go], median[ours] / median[go]
        else
            printf "%-28s %12s %12s %7s\n", rows[i], median[ours], "-", "-"
    }
}'
