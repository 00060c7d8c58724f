#!/bin/sh
# make bench: our workloads and Go's in turn (ours, ours traced, Go's, Go's traced, and again), so that a machine that
# speeds up or slows down does so for all of them; prints medians and writes them to $BUILD/bench.json.
#
#     ROUNDS=5 PS="1 2" bench/run.sh [NAME...]
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
rounds=${ROUNDS:-5}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

peer=""
if command -v go >/dev/null 2>&1; then
    mkdir -p "$BUILD/bench"
    (cd bench/go && GOFLAGS=-mod=mod go build -o "$scratch/peer" .) && peer=$scratch/peer
fi
[ -n "$peer" ] || echo "SKIP Go's columns: there is no go here" >&2

# measure COLUMN P COMMAND...: appends "NAME P COLUMN VALUE" lines.
measure() {
    column=$1 p=$2
    shift 2
    if ! "$@" >"$scratch/out" 2>"$scratch/err"; then
        cat "$scratch/err" >&2
        echo "bench: failed: $*" >&2
        exit 1
    fi
    awk -v p="$p" -v column="$column" 'NF == 2 && $2 ~ /^-?[0-9.]+$/ { print $1, p, column, $2 }' "$scratch/out" \
        >>"$scratch/values"
}

: >"$scratch/values"
for p in ${PS:-1 2}; do
    export GMPT_MAXPROCS="$p" GOMAXPROCS="$p"
    round=0
    while [ "$round" -lt "$rounds" ]; do
        round=$((round + 1))
        [ ! -t 2 ] || printf '\rP=%s round %s of %s ' "$p" "$round" "$rounds" >&2
        measure ours "$p" "$BUILD/bench/bench" "$@"
        measure ours_traced "$p" "$BUILD/gmptrace" record -o /dev/null -- "$BUILD/bench/bench" "$@"
        [ -n "$peer" ] || continue
        measure go "$p" "$peer" "$@"
        measure go_traced "$p" "$peer" -trace "$@"
    done
done
[ ! -t 2 ] || printf '\r%40s\r' '' >&2

sort -k1,1 -k2,2n -k3,3 -k4,4n "$scratch/values" | awk -v json="$BUILD/bench.json" '
function close_run() {
    if (count)
        median[key] = count % 2 ? value[(count + 1) / 2] : (value[count / 2] + value[count / 2 + 1]) / 2
    count = 0
}
function shown(key) { return key in median ? sprintf("%.1f", median[key]) : "-" }
function number(key) { return key in median ? median[key] : "null" }
{
    if ($1 " " $2 " " $3 != key)
        close_run()
    key = $1 " " $2 " " $3
    value[++count] = $4
    if (!(($1 " " $2) in seen)) {
        seen[$1 " " $2] = 1
        rows[++row_count] = $1 " " $2
    }
}
END {
    close_run()
    print "[" >json
    printf "%-18s %2s %10s %14s %10s %12s %6s\n", "name", "P", "ours_ns", "ours_traced_ns", "go_ns", "go_traced_ns", "ratio"
    for (i = 1; i <= row_count; i++) {
        split(rows[i], part, " ")
        ours = rows[i] " ours"; traced = rows[i] " ours_traced"; go = rows[i] " go"; go_traced = rows[i] " go_traced"
        ratio = (ours in median) && (go in median) && median[go] > 0 ? sprintf("%.2f", median[ours] / median[go]) : "-"
        printf "%-18s %2s %10s %14s %10s %12s %6s\n", part[1], part[2], shown(ours), shown(traced), shown(go), shown(go_traced), ratio
        printf "  {\"name\": \"%s\", \"p\": %s, \"ours\": %s, \"ours_traced\": %s, \"go\": %s, \"go_traced\": %s}%s\n", \
            part[1], part[2], number(ours), number(traced), number(go), number(go_traced), i < row_count ? "," : "" >json
    }
    print "]" >json
}'
