#!/bin/sh
# tests/leaks/judge_all.sh [ROUNDS [SEEDS [PROOFS]]]: the long form of the suite leaks_corpus, with BUILD naming the build.
# So many rounds of every known leak and its twin, of every hidden handle, random programs of the seeds from 1 on, and
# proofs of a program that never stands still; each with the heap as root, walked and noted (judge.h), on one P and on
# two (HEAP=root, walked or noted and PROCS=1 or 2 choose). Then gmptrace check of every known leak and its twin, once.
# Prints what was found, and ends with 1 when anything was found wrongly.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-build/gcc}
export BUILD
rounds=${1:-20} seeds=${2:-1000} proofs=${3:-500}
status=0
"$BUILD/tests/leaks/leaks_judge" corpus "$rounds" || status=1
"$BUILD/tests/leaks/leaks_judge" hidden "$rounds" || status=1
"$BUILD/tests/leaks/leaks_judge" random 1 "$seeds" || status=1
"$BUILD/tests/leaks/leaks_judge" churn "$proofs" || status=1
for name in $("$BUILD/tests/leaks/leaks_corpus" list); do
    for form in leak repaired; do
        want=0
        [ "$form" = leak ] && [ -n "$("$BUILD/tests/leaks/leaks_corpus" sites | grep "^$name ")" ] && want=1
        "$BUILD/gmptrace" check -- "$BUILD/tests/leaks/leaks_corpus" "$name" "$form" >/dev/null 2>&1
        [ $? -eq $want ] || { echo "check: $name $form has not ended with $want"; status=1; }
    done
done
exit $status
