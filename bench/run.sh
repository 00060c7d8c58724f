#!/bin/sh
# make bench: each program of bench/ and its peer in Go in turn, round after round (ours, ours traced, Go's, Go's
# traced, and again), so that a machine that speeds up or slows down does so for all of them. Prints the medians of the
# rows of bench/rows.txt, and writes them to $BUILD/bench.json.
#
#     ROUNDS=3 PS="1 2" bench/run.sh [ROW...]
#
# ratio: how many times better than Go; above 1 is better in every row. goal: what the row is to reach, and whether it
# did.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
table=bench/rows.txt
. bench/measure.sh

# rows PROGRAM P TRACED [ROW...]: those of the program that are to be run, of the named ones if any are named; with TRACED
# not empty, those of them that are run under the recorder.
rows() {
    awk -v program="$1" -v p="$2" -v traced="$3" -v named=" $(shift 3 && echo "$@") " '
    $1 == program && $(p == 1 ? 4 : 5) != "x" && (!traced || $6 == "yes") && (named ~ /^ +$/ || index(named, " " $2 " ")) {
        printf "%s ", $2
    }' bench/rows.txt
}

# run_round PROGRAM P ROWS TRACED_ROWS: one measurement for each column. ROWS are several words.
# shellcheck disable=SC2086
run_round() {
    if [ "$1" = echo_load ]; then
        load=$BUILD/bench/echo_load server="$BUILD/examples/echo --port 0"
        [ "$2" != 1 ] || measure ours "$2" "$load" plain "$BUILD/bench/plain_echo"
        measure ours "$2" "$load" echo $server
        [ -z "$4" ] || measure ours_traced "$2" "$load" echo "$BUILD/gmptrace" record -o /dev/null -- $server
        [ -z "$peer" ] || measure go "$2" "$load" echo "$peer" echo-server
        return
    fi
    measure ours "$2" "$BUILD/bench/$1" $3
    [ -z "$4" ] || measure ours_traced "$2" "$BUILD/gmptrace" record -o /dev/null -- "$BUILD/bench/$1" $4
    [ -n "$peer" ] && [ "$1" != floors ] || return 0
    measure go "$2" "$peer" $3
    [ -z "$4" ] || measure go_traced "$2" "$peer" -trace /dev/null $4
}

programs=$(awk '!/^#/ && !seen[$1]++ { print $1 }' bench/rows.txt)
for p in ${PS:-1 2}; do
    export GMPT_MAXPROCS="$p" GOMAXPROCS="$p"
    round=0
    while [ "$round" -lt "$rounds" ]; do
        round=$((round + 1))
        for program in $programs; do
            chosen=$(rows "$program" "$p" "" "$@")
            [ -n "$chosen" ] || continue
            progress "P=$p, round $round of $rounds: $program"
            run_round "$program" "$p" "$chosen" "$(rows "$program" "$p" yes "$@")"
        done
    done
done
progress_end

medians | awk -v json="$BUILD/bench.json" '
function shown(key) { return !(key in median) ? "-" : sprintf(median[key] < 10000 ? "%.1f" : "%.0f", median[key]) }
function number(key) { return key in median ? median[key] : "null" }
function print_row(row, p,    key, ours, go, ratio, goal, limit, reached) {
    key = row " " p
    ours = key " ours"; go = key " go"
    if (!(ours in median))
        return
    ratio = ""
    if (go in median && median[ours] > 0 && median[go] > 0)
        ratio = unit[row] == "req/s" ? median[ours] / median[go] : median[go] / median[ours]
    limit = p == 1 ? goal_1[row] : goal_2[row]
    goal = "-"; reached = ""
    if (limit != "-" && unit[row] == "req/s") {
        goal = limit " x Go"
        reached = ratio == "" ? "" : ratio >= limit ? "yes" : "no"
    } else if (limit != "-") {
        goal = "<= " limit
        reached = median[ours] <= limit ? "yes" : "no"
    }
    printf "%-16s%-6s%2s%9s%9s%9s%9s%7s %9s%s\n", row, unit[row], p, shown(ours), shown(key " ours_traced"), shown(go), \
        shown(key " go_traced"), ratio == "" ? "-" : sprintf("%.2f", ratio), goal, reached == "" ? "" : " " reached
    printf "%s  {\"name\": \"%s\", \"unit\": \"%s\", \"p\": %s, \"ours\": %s, \"ours_traced\": %s, \"go\": %s, \"go_traced\": %s, ", \
        printed++ ? ",\n" : "", row, unit[row], p, number(ours), number(key " ours_traced"), number(go), \
        number(key " go_traced") >json
    printf "\"ratio\": %s, \"goal\": %s, \"reached\": %s}", ratio == "" ? "null" : sprintf("%.3f", ratio), \
        limit == "-" ? "null" : limit, reached == "" ? "null" : reached == "yes" ? "true" : "false" >json
}
FILENAME != "-" {
    if (!/^#/) {
        rows[++row_count] = $2
        unit[$2] = $3; goal_1[$2] = $4; goal_2[$2] = $5
    }
    next
}
{
    median[$1 " " $2 " " $3] = $4
    ps[$2] = 1
}
END {
    printf "%-16s%-6s%2s%9s%9s%9s%9s%7s %9s\n", "row", "unit", "P", "ours", "traced", "go", "traced", "ratio", "goal"
    print "[" >json
    for (i = 1; i <= row_count; i++)
        for (p = 1; p <= 256; p++)
            if (p in ps)
                print_row(rows[i], p)
    print "\n]" >json
}' "$table" -
