# What bench/run.sh, bench/trace.sh and bench/kernel.sh share, which include it with $table naming their table of rows,
# and $BUILD set: the rows' names are checked, Go's peer is built unless $no_peer is set, commands are run and their
# "ROW VALUE" lines collected, and medians are taken. $rounds and $scratch come of it. Loops over rounds are theirs, so
# that what is compared is measured in turn.

rounds=${ROUNDS:-3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
: >"$scratch/values"

for row in "$@"; do
    if ! grep -qE "^[a-z_]+ +$row " "$table"; then
        echo "bench: no row is called $row; they are listed in $table" >&2
        exit 2
    fi
done

peer=""
if [ -n "${no_peer:-}" ]; then
    :
elif command -v go >/dev/null 2>&1; then
    (cd bench/go && GOFLAGS=-mod=mod go build -o "$scratch/peer" .) && peer=$scratch/peer
fi
[ -n "$peer${no_peer:-}" ] || echo "SKIP Go's columns: there is no go here, or it does not build bench/go" >&2

# value ROW P COLUMN VALUE
value() { echo "$*" >>"$scratch/values"; }

# measure COLUMN P COMMAND...: appends what it prints; what it says is then in $scratch/err.
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

# progress WORD...: on a terminal, where we are.
progress() { [ ! -t 2 ] || printf '\r%-60s' "$*" >&2; }
progress_end() { [ ! -t 2 ] || printf '\r%60s\r' '' >&2; }

# medians: "ROW P COLUMN MEDIAN" lines of all values.
medians() {
    sort -k1,1 -k2,2n -k3,3 -k4,4n "$scratch/values" | awk '
    function close_run() {
        if (count)
            printf "%s %.10g\n", key, count % 2 ? value[(count + 1) / 2] : (value[count / 2] + value[count / 2 + 1]) / 2
        count = 0
    }
    {
        if ($1 " " $2 " " $3 != key)
            close_run()
        key = $1 " " $2 " " $3
        value[++count] = $4
    }
    END { close_run() }'
}
