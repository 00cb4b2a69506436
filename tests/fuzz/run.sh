#!/usr/bin/env bash
# Fuzz the parsers with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer.
#
#     tests/fuzz/run.sh SECONDS [TARGET...]    each target (default: all) for that long
#     tests/fuzz/run.sh                        only build
#
# Options first: --build FOLDER (default build-fuzz), --no-build. What a target finds is kept in
# FOLDER/findings/TARGET, the inputs that reach new code in FOLDER/grown/TARGET, where the next run goes on.
# Prints one line of `key value` pairs per target. Exit status 1 when anything was found, 77 where there is
# no clang with libFuzzer.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build-fuzz
make=yes
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2 && shift 2 ;;
    --no-build) make= && shift ;;
    -*) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d' && exit 2 ;;
    *) break ;;
    esac
done
seconds=${1:-0}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- spec journal cellfile cellrecord live checkpoint tasks tokens

clang=$(command -v clang || command -v clang-14 || true)
clangxx=${clang%clang*}clang++${clang##*clang}
probe=$(mktemp)
trap 'rm -f "$probe"' EXIT
if [ -z "$clang" ] || ! echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n < 0; }' |
    "$clang" -x c -fsanitize=fuzzer,address,undefined -o "$probe" - 2>/dev/null; then
    echo "tests/fuzz: there is no clang with libFuzzer (Debian: clang libclang-rt-dev)" >&2
    exit 77
fi

if [ -n "$make" ]; then
    log=$(mktemp)
    if ! { cmake -S "$root" -B "$build" -DCMAKE_C_COMPILER="$clang" \
        -DCMAKE_CXX_COMPILER="$clangxx" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DPTQSCALE_FUZZ=ON -DBUILD_TESTING=ON && cmake --build "$build" --target fuzz --parallel 2; } \
        >"$log" 2>&1; then
        tail -n 100 "$log" >&2
        rm -f "$log"
        echo "tests/fuzz: the build failed (above)" >&2
        exit 1
    fi
    rm -f "$log"
    rm -rf "$build/seeds"
    "$build/tests/fuzz/fuzz_seeds" "$build/seeds"
fi
[ "$seconds" -gt 0 ] || exit 0

# last PATTERN LOG: what the last match says.
last() {
    grep -oE "$1" "$2" | tail -n 1 | grep -oE '[0-9]+$' || echo 0
}

status=0
for target in "$@"; do
    seeds=("$root/tests/fuzz/corpus/$target")
    options=(-timeout=20 -rss_limit_mb=2048 -close_fd_mask=2)
    case $target in # HDF5 keeps memory between calls: look for leaks once, at the end
    cell*) options+=(-detect_leaks=0) ;;
    esac
    dictionary=$root/tests/fuzz/$target.dict
    [ ! -f "$dictionary" ] || options+=(-dict="$dictionary")
    [ ! -d "$build/seeds/$target" ] || seeds+=("$build/seeds/$target")
    [ "$target" != spec ] || seeds+=("$root/tests/data/bad")
    grown=$build/grown/$target findings=$build/findings/$target log=$build/fuzz_$target.log
    mkdir -p "$grown" "$findings"
    found=0
    # Leaks of the netCDF library after its own errors are not ours to report.
    LSAN_OPTIONS=suppressions=$root/tests/fuzz/leaks.txt:print_suppressions=0 \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        "$build/tests/fuzz/fuzz_$target" \
        -max_total_time="$seconds" -print_final_stats=1 "${options[@]}" \
        -artifact_prefix="$findings/" "$grown" "${seeds[@]}" >"$log" 2>&1 || found=1
    if [ "$found" -ne 0 ]; then
        tail -n 60 "$log"
        status=1
    fi
    echo "target $target executions $(last 'stat::number_of_executed_units: +[0-9]+' "$log")" \
        "edges $(last 'cov: [0-9]+' "$log") features $(last 'ft: [0-9]+' "$log")" \
        "inputs $(find "$grown" -type f | wc -l) findings $found"
done
exit $status
