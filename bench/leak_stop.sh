#!/bin/sh
# make bench-leaks: how long a proof of leaks stops a program, by its goroutines and its heap, beside Go's goroutineleak
# profile of as many (Go 1.26). In turn, in processes of their own; each makes PROOFS proofs, and the median of its stops
# and the longest are printed, with the median of the time that a proof takes beside the stop (Go: that a profile takes
# as a whole), all in ms.
#
#     GOROUTINES="10000 100000 1000000" HEAPS_MB="100 1024" PROOFS=11 bench/leak_stop.sh
#
# A million goroutines take 5 GB of memory, and 11 GB with Go: where so much is not free a row says SKIP.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
proofs=${PROOFS:-11}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

peer=""
if command -v go >/dev/null 2>&1; then
    (cd bench/go && GOEXPERIMENT=goroutineleakprofile GOFLAGS=-mod=mod go build -o "$scratch/peer" ./leakstop) \
        2>"$scratch/err" && peer=$scratch/peer
fi
[ -n "$peer" ] || echo "SKIP Go's rows: there is no go here with the experiment goroutineleakprofile" >&2

# row NAME GOROUTINES HEAP_MB BYTES_EACH COMMAND...
row() {
    name=$1 goroutines=$2 heap=$3
    needed=$(($2 * $4 / 1048576 + $3 * 2 + 512))
    shift 4
    free=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
    if [ "$needed" -gt "$free" ]; then
        printf '%-6s%11s%9s   SKIP %s MB of memory are wanted, %s are free\n' "$name" "$goroutines" "$heap" "$needed" \
            "$free"
        return 0
    fi
    if ! "$@" "$goroutines" "$heap" "$proofs" >"$scratch/out" 2>"$scratch/err"; then
        cat "$scratch/err" >&2
        echo "bench-leaks: failed: $* $goroutines $heap $proofs" >&2
        exit 1
    fi
    awk -v name="$name" -v goroutines="$goroutines" -v heap="$heap" '
    NF == 2 { value[$1] = $2 }
    END {
        printf "%-6s%11s%9s%11.1f%11.1f%11.1f%10d\n", name, goroutines, heap, value["stop_p50"], value["stop_max"],
            value["beside_p50"], value["proven"]
    }' "$scratch/out"
}

printf '%-6s%11s%9s%11s%11s%11s%10s\n' '' goroutines 'heap MB' 'stop p50' 'stop max' beside leaked
for heap in ${HEAPS_MB:-100 1024}; do
    for goroutines in ${GOROUTINES:-10000 100000 1000000}; do
        row ours "$goroutines" "$heap" 5200 "$BUILD/bench/leak_stop"
        [ -z "$peer" ] || row Go "$goroutines" "$heap" 10500 "$peer"
    done
done
