#!/bin/sh
# The house rules that a machine can check: who may include whom, names, sizes, event codes. Prints FILE:LINE: what is
# wrong, and ends with 1 when there is anything.
set -u
cd "$(dirname "$0")/.." || exit 2

if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    files=$(git ls-files --cached --others --exclude-standard)
else
    files=$(find . -type f ! -path './build/*' ! -path './.git/*' | sed 's|^\./||')
fi
existing() { while read -r file; do [ -f "$file" ] && echo "$file"; done; }
files=$(echo "$files" | existing | LC_ALL=C sort)
sources=$(echo "$files" | grep '\.[chS]$' | grep -v '\.skel\.h$') # not what is generated

findings=$(mktemp) || exit 2
trap 'rm -f "$findings"' EXIT

# Dependencies point one way. An include by a bare name stays in its own directory; generated profile.pb-c.h does too.
# shellcheck disable=SC2086 # names without blanks: the rule below sees to it
grep -nE '^[[:space:]]*#[[:space:]]*include' $sources /dev/null | awk -F: '
function wrong(what) { print $1 ":" $2 ": " what }
{
    file = $1
    name = $3
    for (i = 4; i <= NF; i++)
        name = name ":" $i
    if (!match(name, /["<][^">]*[">]/))
        next
    name = substr(name, RSTART + 1, RLENGTH - 2)
    sub(/^(\.\.\/)+/, "", name)
    layer = file ~ /\// ? substr(file, 1, index(file, "/") - 1) : ""
    target = name ~ /\// ? substr(name, 1, index(name, "/") - 1) : layer
    base = file
    sub(/.*\//, "", base)

    if (name == "stdatomic.h" && file != "trace/atomics.h")
        wrong("only trace/atomics.h includes <stdatomic.h>")
    if (layer == "tests")
        next
    if (target == "tests" && layer != target)
        wrong("nothing but tests includes tests/")
    if (target == "cli" && layer != target)
        wrong("nothing but cli/ and tests/ includes cli/")
    if (layer == "trace" && target ~ /^(runtime|pprof|analysis|ebpf)$/)
        wrong("trace/ depends on nothing of " target "/")
    if (layer == "analysis" && target ~ /^(runtime|pprof|ebpf)$/)
        wrong("analysis/ may use trace/ only, not " target "/")
    if (layer == "pprof" && target ~ /^(runtime|analysis|ebpf)$/)
        wrong("pprof/ may use trace/ only, not " target "/")
    if (layer == "ebpf" && target ~ /^(runtime|trace|pprof|analysis)$/)
        wrong("ebpf/ depends on nothing of " target "/")
    if (target == "kernel" && layer !~ /^(kernel|cli)$/)
        wrong("nothing but cli/ and tests/ includes kernel/")
    if (layer == "kernel" && target ~ /^(runtime|pprof|analysis)$/)
        wrong("kernel/ may use trace/ and ebpf/ only, not " target "/")
    if (layer == "cli" && target == "runtime")
        wrong("cli/ sees the runtime through <gmptrace/gmpt.h> only")
    if (layer == "runtime" && target ~ /^(pprof|analysis|ebpf)$/)
        wrong("runtime/ depends on nothing of " target "/")
    if (layer == "runtime" && target == "trace" && name != "trace/atomics.h" &&
        base !~ /^tracepoint\.[ch]$/)
        wrong("runtime/ reaches trace/ through tracepoint.c and tracepoint.h only")
    if (layer ~ /^(examples|bench|include)$/ && target !~ /^(gmptrace|include)$/ && name ~ /\// &&
        target ~ /^(runtime|trace|pprof|analysis|ebpf)$/ &&
        (file != "bench/floors.c" || name !~ /^runtime\/(seat|switch)\.h$/) &&
        (file != "bench/emit.c" || name != "runtime/enter.h") &&
        (file != "bench/leak_stop.c" || name != "runtime/runtime.h"))
        wrong(layer "/ uses the public headers only")
}' >>"$findings"

# A name says which file it is, without its directory.
echo "$files" | awk '
{
    base = $0
    sub(/.*\//, "", base)
    if (base == "README.md" || base == "Makefile" || base == ".gitignore")
        next
    if (base in seen)
        print $0 ":1: has the name of " seen[base]
    seen[base] = $0
}
/[[:space:]]/ { print $0 ":1: a blank in a file name" }' >>"$findings"

for file in $sources; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 800 ] || echo "$file:$lines: longer than 800 lines: two concepts?" >>"$findings"
done

# Nothing of the machine that somebody happened to work on. The pattern is written so that it does not find itself.
# shellcheck disable=SC2086
grep -nE '(^|[^[:alnum:]_/.])/(work|hom[e]|Users|roo[t])/' $files /dev/null |
    sed -E 's/^([^:]+:[0-9]+):.*/\1: a path of somebody'"'"'s machine/' >>"$findings"

# shellcheck disable=SC2086
awk 'length($0) > 120 { print FILENAME ":" FNR ": longer than 120 columns" }' $sources >>"$findings"

# shellcheck disable=SC2086
grep -nE '[[:space:]]+$' $sources /dev/null | sed -E 's/^([^:]+:[0-9]+):.*/\1: blanks at the end of the line/' >>"$findings"

awk '
/^EVENT\(/ {
    split($0, part, /[(,]/)
    code = tolower(part[2])
    if (code in seen)
        print FILENAME ":" FNR ": code " code " is taken by line " seen[code]
    seen[code] = FNR
}' include/gmptrace/events.def >>"$findings"

if [ -s "$findings" ]; then
    cat "$findings"
    exit 1
fi
