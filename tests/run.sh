#!/usr/bin/env bash
# The whole test suite, from a clean clone: install what is missing, fetch the text, build (warnings are
# errors) in build/ and with sanitizers in build-asan/, run the tests of both.
#
#     ./tests/run.sh             everything
#     ./tests/run.sh LABEL...    only the tests with one of these labels (ctest --print-labels)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
-h | --help)
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d'
    exit 0
    ;;
-*)
    echo "tests/run.sh: unknown option $1; usage: ./tests/run.sh [LABEL...]" >&2
    exit 2
    ;;
esac
# What runs in one process is run under the sanitizers too, and the dense algebra; elsewhere MPI's own
# leaks would drown ours.
label=
sanitized='^(unit|report|algebra)$'
if [ $# -gt 0 ]; then
    label="^($(IFS='|' && echo "$*"))$"
    sanitized=
    for name in "$@"; do
        case $name in unit | report | algebra) sanitized="${sanitized:-^(}$name|" ;; esac
    done
    [ -z "$sanitized" ] || sanitized="${sanitized%|})$"
fi
jobs=$(nproc)

./jobs/install.sh --tests || echo "tests/run.sh: going on with what is there" >&2
./jobs/fetch-corpus.sh

# build PRESET FOLDER: quiet unless it fails.
build() {
    local log
    log=$(mktemp)
    echo "== build $1 in $2/"
    if ! { cmake --preset "$1" -DBUILD_TESTING=ON && cmake --build "$2" --parallel "$jobs"; } \
        >"$log" 2>&1; then
        grep -v -E '^\[[0-9]+/[0-9]+\] (Building|Linking)' "$log" | tail -n 200
        rm -f "$log"
        echo "tests/run.sh: build $1 failed" >&2
        return 1
    fi
    rm -f "$log"
}

# run_tests FOLDER [LABELS]: at most ten minutes for a test that sets no limit of its own.
run_tests() {
    echo "== tests in $1/"
    ctest --test-dir "$1" ${2:+--label-regex "$2"} --no-tests=error --output-on-failure \
        --parallel "$jobs" --timeout 600
}

build ci build
[ -z "$sanitized" ] || build asan-ubsan build-asan

failed=
if [ -n "$sanitized" ]; then
    run_tests build-asan "$sanitized" || failed="build-asan (sanitizers)"
fi
# Last, so that the output ends with the summary of the larger part.
run_tests build "$label" || failed="${failed:+$failed and }build"
if [ -n "$failed" ]; then
    echo "tests/run.sh: FAILED: $failed" >&2
    exit 1
fi
