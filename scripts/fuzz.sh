#!/bin/sh
# make fuzz: runs each of the targets in fuzz/ under libFuzzer for SECONDS_EACH seconds, with the corpus in the tree as
# seeds. What it finds new stays in $BUILD/corpus, what fails in $BUILD/faults. TARGETS="file text" runs only these.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${BUILD:=build/fuzz}" "${SECONDS_EACH:=60}" "${TARGETS:=file sections segment text}" "${MAKE:=make}" "${CLANG:=clang}"

skip() {
    echo "fuzz: SKIP: $*"
    exit 0
}
command -v "$CLANG" >/dev/null || skip "there is no $CLANG"
mkdir -p "$BUILD/faults"
echo 'int LLVMFuzzerTestOneInput(const char *data, unsigned long size) { return data && size > 1 ? 0 : 0; }' |
    "$CLANG" -fsanitize=fuzzer,address,undefined -x c - -o "$BUILD/probe" 2>/dev/null ||
    skip "$CLANG has no libFuzzer, or no sanitizers"

programs=
for target in $TARGETS; do
    programs="$programs $BUILD/fuzz/run_$target"
done
# shellcheck disable=SC2086 # a list of names without blanks
"$MAKE" --no-print-directory CC="$CLANG" SAN=fuzzer-no-link,address,undefined CFLAGS='-O1 -g' BUILD="$BUILD" \
    $programs || exit 1

status=0
for target in $TARGETS; do
    seeds=fuzz/corpus/$target
    [ "$target" = text ] && seeds=tests/traces
    mkdir -p "$BUILD/corpus/$target"
    echo "fuzz: $target for $SECONDS_EACH s"
    "$BUILD/fuzz/run_$target" -max_total_time="$SECONDS_EACH" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=1024 \
        -max_len=262144 -print_final_stats=1 -verbosity=0 -artifact_prefix="$BUILD/faults/$target-" \
        "$BUILD/corpus/$target" "$seeds" || status=1
done
exit $status
