#!/bin/sh
# make bench-kernel: what it costs a program that the kernel's side of it is recorded. Each row of bench/kernel_rows.txt is
# run without a recorder, then recorded without the kernel's side and by each tier, then beside bcc's and bpftrace's
# off-CPU tools where they run, and again, round after round. Prints medians, and writes them to
# $BUILD/bench-kernel.json.
#
#     ROUNDS=3 TIERS="proc perf bpf" bench/kernel.sh [ROW...]
#
# none: nobody looks. off, proc, perf, bpf: recorded, so; the percentage is how much slower than `off`. records/s and lost
# are those of bpf, lost in the worst round: a time with losses is flattered. beside_*: a storm of another program while
# one that sleeps is recorded, slower than while it is recorded without the kernel's side: what it costs who has nothing
# to do with it.
#
# After that, what a run of each BPF program took during a storm, by the kernel's statistics, beside an empty program on
# the same hook at the same time (kernel_runs.c): net is the difference.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
table=bench/kernel_rows.txt
no_peer=yes
. bench/measure.sh
tiers=${TIERS:-proc perf bpf}
started=""
trap 'stop; rm -rf "$scratch"' EXIT
ulimit -n "$(ulimit -Hn)"

# What we have started, and only that.
stop() {
    for pid in $started; do
        kill "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    started=""
}

# skip COLUMN WHY: told once.
: >"$scratch/skipped"
skip() { grep -q "^$1 " "$scratch/skipped" || echo "$1 $2" >>"$scratch/skipped"; }
skipped() { grep -q "^$1 " "$scratch/skipped"; }

# await FILE WORD PID: until the file has the word; false when the process ends first, or after 10 s.
await() {
    tries=0
    until grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries + 1))
        kill -0 "$3" 2>/dev/null && [ "$tries" -lt 200 ] || return 1
        sleep 0.05
    done
}

# recorder COLUMN: the command that records so, in $record; empty for `none`.
recorder() {
    record=""
    [ "$1" = none ] || record="$BUILD/gmptrace record --kernel=$1 -o $scratch/trace.data --"
    rm -f "$scratch/trace.data" "$scratch/trace.data.old"
}

# recorded ROW COLUMN FILE SECONDS: takes over what the recorder said of the kernel's side.
recorded() {
    [ "$2" = bpf ] || return 0
    said=$(sed -n 's/^\[ gmptrace record: the kernel.s side by bpf: \([0-9,]*\) times without a CPU, \([0-9,]*\) lost.*/\1 \2/p' \
        "$3" | tr -d ,)
    [ -n "$said" ] || { skip bpf "$(head -n 1 "$3")"; return 0; }
    value "$1" 1 lost "${said#* }"
    value "$1" 1 rate "$(awk -v count="${said% *}" -v seconds="$4" 'BEGIN { printf "%.0f", count / seconds }')"
}

# usable COLUMN: whether this machine has the tier.
usable() {
    skipped "$1" && return 1
    [ "$1" = none ] || [ "$1" = off ] && return 0
    "$BUILD/gmptrace" record --kernel="$1" -o "$scratch/try.data" -- "$BUILD/bench/kernel_storm" idle 0 \
        >"$scratch/out" 2>"$scratch/err" && return 0
    skip "$1" "$(head -n 1 "$scratch/err")"
    return 1
}

seconds_since() { awk -v a="$1" -v b="$(date +%s.%N)" 'BEGIN { print b - a }'; }

# storm ROW COLUMN / echo ROW COLUMN: the program starts the recorder, or is started by it.
storm() {
    recorder "$2"
    began=$(date +%s.%N)
    # shellcheck disable=SC2086 # commands of several words
    measure "$2" 1 $record "$BUILD/bench/kernel_storm" "$1"
    recorded "$1" "$2" "$scratch/err" "$(seconds_since "$began")"
}
echoes() {
    recorder "$2"
    began=$(date +%s.%N)
    # shellcheck disable=SC2086
    measure "$2" 1 "$BUILD/bench/echo_load" echo $record "$BUILD/examples/echo" --port 0
    recorded "$1" "$2" "$scratch/err" "$(seconds_since "$began")"
}

# gateway ROW COLUMN: under wrk.
gateway() {
    command -v wrk >/dev/null 2>&1 || { skip "$1" "there is no wrk here"; return 0; }
    recorder "$2"
    : >"$scratch/said"
    began=$(date +%s.%N)
    # shellcheck disable=SC2086
    $record "$BUILD/examples/gateway" --port 0 >"$scratch/said" 2>"$scratch/err" &
    started=$!
    await "$scratch/said" 127.0.0.1: "$started" || { cat "$scratch/err" >&2; exit 1; }
    port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$scratch/said" | head -n 1)
    wrk -t1 -c64 -d2s "http://127.0.0.1:$port/compute?n=1000" >"$scratch/wrk"
    value "$1" 1 "$2" "$(awk '$1 == "Requests/sec:" { print $2 }' "$scratch/wrk")"
    kill "$started" 2>/dev/null || :
    wait "$started" 2>/dev/null || :
    started=""
    recorded "$1" "$2" "$scratch/err" "$(seconds_since "$began")"
}

# beside ROW COLUMN
beside() {
    recorder "$2"
    [ -n "$record" ] || record="env"
    # shellcheck disable=SC2086
    $record "$BUILD/bench/kernel_storm" idle 60 >"$scratch/said" 2>"$scratch/err" &
    started=$!
    await "$scratch/said" begun "$started" || { cat "$scratch/err" >&2; exit 1; }
    "$BUILD/bench/kernel_storm" "storm_${1#beside_}" >"$scratch/out"
    value "$1" 1 "$2" "$(awk '{ print $2 }' "$scratch/out")"
    kill "$started" 2>/dev/null || :
    wait "$started" 2>/dev/null || :
    started=""
}

# peer ROW COLUMN COMMAND...: a storm that waits for its go, while COMMAND, followed by its pid, looks at it.
peer() {
    row=$1 column=$2
    shift 2
    rm -f "$scratch/go"
    mkfifo "$scratch/go"
    "$BUILD/bench/kernel_storm" await "$row" <"$scratch/go" >"$scratch/storm" &
    storm_pid=$!
    exec 9>"$scratch/go"
    "$@" "$storm_pid" >"$scratch/peer.out" 2>&1 &
    started=$!
    if await "$scratch/peer.out" "Tracing\|Attaching" "$started"; then
        sleep 1 # it says so before it is attached
        echo go >&9
        wait "$storm_pid"
        value "$row" 1 "$column" "$(awk '$1 != "begun" { print $2 }' "$scratch/storm")"
        kill "$started" 2>/dev/null || :
    else
        skip "$column" "$(grep -iE 'error|unable|not found' "$scratch/peer.out" | head -n 1)"
        kill "$storm_pid" 2>/dev/null || :
        wait "$storm_pid" 2>/dev/null || :
    fi
    exec 9>&-
    wait "$started" 2>/dev/null || :
    started=""
}

peers() {
    if ! command -v offcputime-bpfcc >/dev/null 2>&1; then
        skip bcc "bpfcc-tools is not installed"
    elif ! skipped bcc; then
        peer "$1" bcc env PYTHONUNBUFFERED=1 offcputime-bpfcc -p
    fi
    if ! command -v bpftrace >/dev/null 2>&1; then
        skip bpftrace "bpftrace is not installed"
    elif ! skipped bpftrace; then
        peer "$1" bpftrace bpftrace bench/offcpu.bt
    fi
}

rows=$(awk -v named=" $* " '!/^#/ && (named ~ /^ +$/ || index(named, " " $2 " ")) { print $1 ":" $2 }' "$table")
columns="none off"
for tier in $tiers; do
    ! usable "$tier" || columns="$columns $tier"
done
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    for pair in $rows; do
        row=${pair#*:}
        for column in $columns; do
            progress "round $round of $rounds: $row, $column"
            case ${pair%%:*} in
            kernel_storm) storm "$row" "$column" ;;
            beside) beside "$row" "$column" ;;
            echo_load) echoes "$row" "$column" ;;
            gateway) gateway "$row" "$column" ;;
            esac </dev/null
        done
        case $pair in
        kernel_storm:*) progress "round $round of $rounds: $row, peers" && peers "$row" ;;
        esac
    done
done

# What a run takes: recorded for so long as it is looked at.
: >"$scratch/runs"
case " $columns " in
*" bpf "*)
    for row in storm_futex storm_pipe storm_futex_plain; do
        progress "what a run takes: $row"
        "$BUILD/gmptrace" record --kernel=bpf -o "$scratch/trace.data" -- "$BUILD/bench/kernel_storm" for 5 "$row" \
            >"$scratch/said" 2>"$scratch/err" &
        started=$!
        await "$scratch/said" begun "$started" || { cat "$scratch/err" >&2; exit 1; }
        round=0
        while [ "$round" -lt "$rounds" ]; do
            round=$((round + 1))
            "$BUILD/bench/kernel_runs" 300 on_switch on_waking on_migrate >"$scratch/out" 2>"$scratch/err" || {
                skip statistics "$(cat "$scratch/err")"
                break
            }
            sed "s/^/$row /" "$scratch/out" >>"$scratch/runs"
        done
        stop
    done
    ;;
esac
progress_end

medians | awk -v json="$BUILD/bench-kernel.json" -v values="$scratch/values" -v skipped="$scratch/skipped" '
function shown(key) { return !(key in median) ? "-" : sprintf(median[key] < 10000 ? "%.1f" : "%.0f", median[key]) }
function number(key) { return key in median ? median[key] : "null" }
function slower(row, column,    on, off) {
    on = row " " column; off = row " off"
    if (!(on in median) || !(off in median) || median[on] <= 0 || median[off] <= 0)
        return "-"
    return sprintf("%+.1f%%", 100 * ((better[row] == "up" ? median[off] / median[on] : median[on] / median[off]) - 1))
}
FILENAME == values {
    if ($3 == "lost" && !($1 in most_lost && most_lost[$1] >= $4))
        most_lost[$1] = $4 + 0
    next
}
FILENAME == skipped { print "SKIP " $0 >"/dev/stderr"; next }
FILENAME != "-" {
    if (!/^#/) {
        rows[++row_count] = $2; unit[$2] = $3; better[$2] = $4; goal[$2] = $5
    }
    next
}
{ median[$1 " " $3] = $4; seen[$1] = 1 }
END {
    split("none off proc perf bpf bcc bpftrace", columns, " ")
    printf "%-18s%-6s%9s%9s%9s%8s%9s%8s%9s%8s%9s%9s%10s%8s  %s\n", "row", "unit", "none", "off", "proc", "", "perf", "", "bpf", "", \
        "bcc", "bpftrace", "records/s", "lost", "goal"
    print "[" >json
    for (i = 1; i <= row_count; i++) {
        row = rows[i]
        if (!(row in seen))
            continue
        reached = goal[row] == "-" || slower(row, "bpf") == "-" ? "-" : \
            "<= " goal[row] (slower(row, "bpf") + 0 <= goal[row] + 0 ? most_lost[row] ? " yes, but lost" : " yes" : " no")
        printf "%-18s%-6s%9s%9s%9s%8s%9s%8s%9s%8s%9s%9s%10s%8s  %s\n", row, unit[row], shown(row " none"), shown(row " off"), \
            shown(row " proc"), slower(row, "proc"), shown(row " perf"), slower(row, "perf"), shown(row " bpf"), \
            slower(row, "bpf"), shown(row " bcc"), shown(row " bpftrace"), shown(row " rate"), \
            row in most_lost ? most_lost[row] : "-", reached
        printf "%s  {\"name\": \"%s\", \"unit\": \"%s\"", printed++ ? ",\n" : "", row, unit[row] >json
        for (c = 1; c <= 7; c++)
            printf ", \"%s\": %s", columns[c], number(row " " columns[c]) >json
        printf ", \"records_per_second\": %s, \"lost\": %s}", number(row " rate"), \
            row in most_lost ? most_lost[row] : "null" >json
    }
    print "\n]" >json
}' "$scratch/values" "$scratch/skipped" "$table" -

# "ROW PROGRAM RUNS NS" lines, several of each.
sort -k1,1 -k2,2 -k4,4n "$scratch/runs" | awk '
function close_run() {
    if (count)
        median[key] = value[int((count + 1) / 2)]
    count = 0
}
{
    if ($1 " " $2 != key)
        close_run()
    key = $1 " " $2
    value[++count] = $4
    if (!($1 in seen)) {
        seen[$1] = 1
        rows[++row_count] = $1
    }
}
END {
    close_run()
    split("on_switch on_waking on_migrate", programs, " ")
    if (row_count)
        printf "\n%-18s%-12s%9s%9s%9s  %s\n", "row", "program", "ns a run", "empty", "net", "goal"
    for (i = 1; i <= row_count; i++)
        for (p = 1; p <= 3; p++) {
            own = rows[i] " " programs[p]
            empty = rows[i] " empty_" (p == 1 ? "sched_switch" : "sched_waking")
            if (median[own] == 0) { # it has not run
                printf "%-18s%-12s%9s%9.1f%9s  -\n", rows[i], programs[p], "-", median[empty], "-"
                continue
            }
            net = median[own] - median[empty]
            printf "%-18s%-12s%9.1f%9.1f%9.1f  %s\n", rows[i], programs[p], median[own], median[empty], net, \
                (p > 1 ? "-" : "<= 70" (net <= 70 ? " yes" : " no"))
        }
}'
