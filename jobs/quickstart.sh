#!/bin/sh
# From nothing to the answer: install, build, fetch the text, run a study, show its report.
#
#     ./jobs/quickstart.sh [STUDY.yaml]     default: jobs/quick.yaml, some minutes on two cores
#
# The study runs in runs/<name of the study file>. Run again, it goes on where it stopped, and a finished
# study only shows its report. WORKERS=N sets the number of workers (default: physical cores, at most 8).
set -eu

case ${1:-} in
-h | --help)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
-*)
    echo "quickstart: unknown option $1; usage: ./jobs/quickstart.sh [STUDY.yaml]" >&2
    exit 2
    ;;
esac

root=$(cd "$(dirname "$0")/.." && pwd)
study=${1:-jobs/quick.yaml}
case $study in
/*) ;;
*) if [ -n "${1:-}" ]; then study=$PWD/$study; fi ;;
esac
cd "$root"
if [ ! -f "$study" ]; then
    echo "quickstart: $study: no such study file (here are jobs/*.yaml)" >&2
    exit 2
fi
out=runs/$(basename "$study" .yaml)

# phase NAME COMMAND [ARGUMENT...]: run it and say how long it took.
phase() {
    phase_name=$1
    shift
    phase_begin=$(date +%s)
    echo "== $phase_name" >&2
    phase_status=0
    "$@" || phase_status=$?
    echo "== $phase_name: $(($(date +%s) - phase_begin)) s" >&2
    return "$phase_status"
}

install_needed() {
    # shellcheck source=jobs/install.sh
    . jobs/install.sh
    install_dependencies
}

build() {
    if command -v ninja >/dev/null 2>&1; then
        generator=Ninja
    else
        generator='Unix Makefiles'
    fi
    # A folder that was configured before keeps its generator.
    if [ -f build/CMakeCache.txt ]; then
        generator=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' build/CMakeCache.txt)
    fi
    # The run needs the program alone, and no cmocka.
    tests=OFF
    if [ -f build/CMakeCache.txt ] && grep -q '^BUILD_TESTING:BOOL=ON' build/CMakeCache.txt; then
        tests=ON
    fi
    log=$(mktemp)
    status=0
    {
        cmake --preset release -G "$generator" -DBUILD_TESTING=$tests &&
            cmake --build build --target ptqscale --parallel "$(nproc)"
    } >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        cat "$log" >&2
    fi
    rm -f "$log"
    return "$status"
}

# Physical cores this process may use: ranks share neither a core nor its vector units.
workers() {
    cores=$(nproc)
    if command -v lscpu >/dev/null 2>&1; then
        physical=$(lscpu -p=Core,Socket 2>/dev/null | grep -v '^#' | sort -u | wc -l)
        if [ "$physical" -gt 0 ] && [ "$physical" -lt "$cores" ]; then
            cores=$physical
        fi
    fi
    if [ "$cores" -gt 8 ]; then
        cores=8
    fi
    echo "$cores"
}

# One rank more than workers: the coordinator sleeps. The study outlives a dead rank, which each version
# of Open MPI wants to be told in its own way.
run() {
    count=${WORKERS:-$(workers)}
    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    case $(mpirun --version 2>/dev/null | sed -n 's/^mpirun (Open MPI) //p') in
    '')
        mpirun -n $((count + 1)) build/ptqscale run "$study" --out "$out"
        return
        ;;
    [1-4].*) set -- --enable-recovery --mca orte_abort_on_non_zero_status 0 ;;
    *) set -- --runtime-options recoverable ;;
    esac
    if [ "$(id -u)" -eq 0 ]; then
        set -- "$@" --allow-run-as-root
    fi
    # Containers often forbid one process to read another's memory, which this transport would do.
    export OMPI_MCA_btl_vader_single_copy_mechanism=none
    mpirun -n $((count + 1)) --oversubscribe --bind-to none "$@" \
        build/ptqscale run "$study" --out "$out"
}

phase install install_needed || echo "quickstart: going on with what is there" >&2
phase build build
phase text jobs/fetch-corpus.sh
status=0
phase study run || status=$?
if [ "$status" -eq 3 ]; then
    echo "quickstart: stopped before the end; the same command goes on: ./jobs/quickstart.sh $*" >&2
    exit 3
elif [ "$status" -ne 0 ]; then
    exit "$status"
fi
phase report build/ptqscale report "$out"
