#!/bin/sh
# make bench-trace: what tracing costs. Each row of bench/trace_rows.txt is run alone, without the recorder and with it,
# then its peer in Go without Go's tracer and with it, and again, round after round. All traces go to files. Prints
# medians, and writes them to $BUILD/bench-trace.json.
#
#     ROUNDS=3 PS="1 2" KERNEL=off bench/trace.sh [ROW...]
#
# KERNEL=bpf, perf or proc records the kernel's side as well.
#
# x: the column with tracing divided by the one without. lost: events that found their ring full, in the worst round; a
# time is then less than it would be, since to drop an event costs little. B/event: the file's size divided by the events
# in it, as the recorder says them; Go's are counted by `go tool trace -d=wire`, once.
#
# emit_lttng is LTTng-UST's, where Debian's liblttng-ust-dev and lttng-tools are installed.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
table=bench/trace_rows.txt
. bench/measure.sh
trap 'lttng_end; rm -rf "$scratch"' EXIT
: >"$scratch/skipped"

# rows PROGRAM P [ROW...]: "ROW RUNS" lines, of the named ones if any are named.
rows() {
    awk -v program="$1" -v p="$2" -v named=" $(shift 2 && echo "$@") " '
    $1 == program && index("," $4 ",", "," p ",") && (named ~ /^ +$/ || index(named, " " $2 " ")) { print $2, $5 }' "$table"
}

bytes_of() { wc -c <"$1" | tr -d ' '; }

# per_event ROW P COLUMN BYTES EVENTS
per_event() {
    if [ "$5" -gt 0 ]; then
        value "$1" "$2" "$3" "$(awk -v bytes="$4" -v events="$5" 'BEGIN { printf "%.4f", bytes / events }')"
    fi
}

# recorded ROW P: takes over what the recorder has said in the run before.
recorded() {
    said=$(sed -n 's/^\[ gmptrace record: wrote .*, \([0-9,]*\) events, \([0-9,]*\) lost -> .*/\1 \2/p' "$scratch/err" |
        tr -d ,)
    [ -n "$said" ] || { cat "$scratch/err" >&2; echo "bench-trace: the recorder did not say what it wrote" >&2; exit 1; }
    value "$1" "$2" lost "${said#* }"
    per_event "$1" "$2" on_bytes "$(bytes_of "$scratch/trace.data")" "${said% *}"
}

# go_recorded ROW P: the same of Go's trace, in the first round; counting takes longer than recording.
go_recorded() {
    [ "$round" = 1 ] || return 0
    events=$(go tool trace -d=wire "$scratch/go.trace" 2>/dev/null | grep -c ' dt=') || :
    per_event "$1" "$2" go_on_bytes "$(bytes_of "$scratch/go.trace")" "$events"
}

# run_row PROGRAM P ROW RUNS: a measurement for each column.
run_row() {
    record="$BUILD/gmptrace record --kernel=${KERNEL:-off} -o $scratch/trace.data --"
    rm -f "$scratch/trace.data" "$scratch/go.trace"
    if [ "$1" = echo_load ]; then
        load="$BUILD/bench/echo_load echo" ours="$BUILD/examples/echo --port 0" go="echo-server"
    else
        load="" ours="$BUILD/bench/$1 $3" go=$3
    fi
    # shellcheck disable=SC2086 # commands of several words
    {
        [ "$4" = on ] || measure off "$2" $load $ours
        [ "$4" = off ] || { measure on "$2" $load $record $ours && recorded "$3" "$2"; }
        [ -n "$peer" ] && [ "$1" != emit ] || return 0
        measure go_off "$2" $load "$peer" $go
        measure go_on "$2" $load "$peer" -trace "$scratch/go.trace" $go
        go_recorded "$3" "$2"
    }
}

# ---- LTTng ----

lttng_daemon="" lttng_fresh="" lttng_session="" lttng_why=""
lttng_run() { env LTTNG_HOME="$scratch/lttng" "$@"; }
lttng_tell() { lttng_run lttng --no-sessiond --quiet "$@" >"$scratch/lttng.out" 2>&1; }

# Compiles the peer, and starts a session daemon if none is there. In $lttng_why why that is not possible.
lttng_begin() {
    mkdir -p "$scratch/lttng"
    command -v lttng-sessiond >/dev/null 2>&1 || { lttng_why="lttng-tools is not installed"; return 0; }
    if ! "${CC:-cc}" -O2 -g -Ibench/lttng bench/lttng/emit_lttng.c -o "$scratch/emit_lttng" -llttng-ust -ldl \
        2>"$scratch/lttng.out"; then
        lttng_why="bench/lttng does not build here: is liblttng-ust-dev installed?"
        return 0
    fi
    ! lttng_tell list || return 0
    [ -n "$(find /dev/shm -name 'lttng-ust-wait-*' 2>/dev/null)" ] || lttng_fresh=yes
    env LTTNG_HOME="$scratch/lttng" lttng-sessiond --no-kernel >"$scratch/sessiond.out" 2>&1 &
    lttng_daemon=$!
    tries=0
    until lttng_tell list; do
        tries=$((tries + 1))
        if [ "$tries" -gt 50 ] || ! kill -0 "$lttng_daemon" 2>/dev/null; then
            lttng_why="no session daemon can run: $(head -n 1 "$scratch/sessiond.out")"
            return 0
        fi
        sleep 0.1
    done
}

# Nothing of ours stays: not the session in a daemon of others, nor a daemon that we started.
lttng_end() {
    [ -z "$lttng_session" ] || lttng_tell destroy "$lttng_session" || :
    lttng_session=""
    [ -n "$lttng_daemon" ] || return 0
    kill "$lttng_daemon" 2>/dev/null || :
    tries=0
    while kill -0 "$lttng_daemon" 2>/dev/null && [ "$tries" -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    kill -KILL "$lttng_daemon" 2>/dev/null || :
    wait "$lttng_daemon" 2>/dev/null || :
    lttng_daemon=""
    # What LTTng leaves in shared memory, if there was none of it before.
    [ -z "$lttng_fresh" ] || rm -f /dev/shm/lttng-ust-wait-*
}

# lttng_record SESSION: a session around one run of the peer, which streams to $scratch/ctf. As much buffer as we have.
lttng_record() {
    lttng_tell create "$1" --output="$scratch/ctf" && lttng_session=$1 &&
        lttng_tell enable-channel --userspace -s "$1" --subbuf-size=256k --num-subbuf=16 bench &&
        lttng_tell enable-event --userspace -s "$1" -c bench gmptrace_bench:event &&
        lttng_tell start "$1" &&
        lttng_run "$scratch/emit_lttng" >"$scratch/lttng.values" 2>"$scratch/lttng.out" &&
        lttng_tell stop "$1" &&
        lttng_run lttng --no-sessiond list "$1" >"$scratch/lttng.list" &&
        lttng_tell destroy "$1"
}

lttng_row() {
    rm -rf "$scratch/ctf"
    if [ -z "$lttng_why" ] && ! lttng_record "gmptrace_bench_$$_$round"; then
        lttng_why="LTTng failed: $(head -n 1 "$scratch/lttng.out")"
    fi
    if [ -n "$lttng_why" ]; then
        echo "emit_lttng $lttng_why" >"$scratch/skipped"
        return 0
    fi
    lttng_session=""
    lost=$(sed -n 's/.*Discarded events: *\([0-9]*\).*/\1/p' "$scratch/lttng.list")
    events=$(sed -n 's/^emit_lttng_events //p' "$scratch/lttng.values")
    bytes=$(find "$scratch/ctf" -type f -name 'bench_[0-9]*' ! -name '*.idx' -exec cat {} + | wc -c | tr -d ' ')
    value emit_lttng 1 on "$(sed -n 's/^emit_lttng //p' "$scratch/lttng.values")"
    value emit_lttng 1 lost "${lost:-0}"
    per_event emit_lttng 1 on_bytes "$bytes" "$((events - ${lost:-0}))"
    rm -rf "$scratch/ctf"
}

# ---- all rows ----

case " ${PS:-1 2} " in
*" 1 "*) [ -z "$(rows emit_lttng 1 "$@")" ] || lttng_begin ;;
esac
programs=$(awk '!/^#/ && !seen[$1]++ { print $1 }' "$table")
for p in ${PS:-1 2}; do
    export GMPT_MAXPROCS="$p" GOMAXPROCS="$p"
    round=0
    while [ "$round" -lt "$rounds" ]; do
        round=$((round + 1))
        for program in $programs; do
            rows "$program" "$p" "$@" >"$scratch/chosen"
            while read -r row runs; do
                progress "P=$p, round $round of $rounds: $row"
                if [ "$program" = emit_lttng ]; then
                    lttng_row
                else
                    run_row "$program" "$p" "$row" "$runs" </dev/null
                fi
                [ "$program" != echo_load ] || break # one run has all of its rows
            done <"$scratch/chosen"
        done
    done
done
progress_end

medians | awk -v json="$BUILD/bench-trace.json" -v values="$scratch/values" -v skipped="$scratch/skipped" \
    -v named=" $* " '
function shown(key) {
    return !(key in median) ? "-" : sprintf(median[key] < 100 ? "%.2f" : median[key] < 10000 ? "%.1f" : "%.0f", median[key])
}
function number(key) { return key in median ? median[key] : "null" }
function times(on, off) { return on in median && off in median && median[off] > 0 ? sprintf("%.2f", median[on] / median[off]) : "-" }
function verdict(reached, lost) { return !reached ? " no" : lost ? " yes, but lost" : " yes" }
function print_row(row, p,    key, value, ratio, goals, lost) {
    key = row " " p " "
    if (!(key "on" in median) && !(key "off" in median)) {
        if (row in why)
            printf "%-16s%-6s%2s  SKIP: %s\n", row, unit[row], p, why[row]
        return
    }
    value = key "on" in median ? median[key "on"] : median[key "off"]
    lost = key in most_lost && unit[row] != "lost" ? most_lost[key] : 0
    goals = ""
    if (goal[row] ~ /%$/) {
        ratio = times(key "on", key "off")
        goals = ratio == "-" ? "" : ">= " goal[row] verdict(100 * ratio >= goal[row] + 0, lost)
    } else if (goal[row] != "-") {
        goals = "<= " goal[row] verdict(value <= goal[row], lost)
    }
    if (bytes_goal[row] != "-" && key "on_bytes" in median)
        goals = goals (goals == "" ? "" : "; ") "<= " bytes_goal[row] " B" verdict(median[key "on_bytes"] <= bytes_goal[row], 0)
    printf "%-16s%-6s%2s%9s%9s%6s%9s%8s%9s%9s%6s%8s  %s\n", row, unit[row], p, shown(key "off"), shown(key "on"), \
        times(key "on", key "off"), key in most_lost ? most_lost[key] : "-", shown(key "on_bytes"), shown(key "go_off"), \
        shown(key "go_on"), times(key "go_on", key "go_off"), shown(key "go_on_bytes"), goals == "" ? "-" : goals
    printf "%s  {\"name\": \"%s\", \"unit\": \"%s\", \"p\": %s, \"off\": %s, \"on\": %s, \"lost\": %s, \"bytes_per_event\": %s, ", \
        printed++ ? ",\n" : "", row, unit[row], p, number(key "off"), number(key "on"), \
        key in most_lost ? most_lost[key] : "null", number(key "on_bytes") >json
    printf "\"go_off\": %s, \"go_on\": %s, \"go_bytes_per_event\": %s, \"goals\": \"%s\"}", number(key "go_off"), \
        number(key "go_on"), number(key "go_on_bytes"), goals >json
}
FILENAME == values {
    if ($3 == "lost" && !($1 " " $2 " " in most_lost && most_lost[$1 " " $2 " "] >= $4))
        most_lost[$1 " " $2 " "] = $4 + 0
    next
}
FILENAME == skipped {
    row = $1
    sub(/^[^ ]* /, "")
    why[row] = $0
    next
}
FILENAME != "-" {
    if (!/^#/) {
        rows[++row_count] = $2
        unit[$2] = $3; goal[$2] = $6; bytes_goal[$2] = $7; ps[$2] = "," $4 ","
    }
    next
}
{
    median[$1 " " $2 " " $3] = $4
}
END {
    printf "%-16s%-6s%2s%9s%9s%6s%9s%8s%9s%9s%6s%8s  %s\n", "row", "unit", "P", "off", "on", "x", "lost", "B/event", "go off", \
        "go on", "x", "B/event", "goal"
    print "[" >json
    for (i = 1; i <= row_count; i++)
        for (p = 1; p <= 256; p++)
            if (index(ps[rows[i]], "," p ",") && (named ~ /^ +$/ || index(named, " " rows[i] " ")))
                print_row(rows[i], p)
    print "\n]" >json
}' "$scratch/values" "$scratch/skipped" "$table" -
