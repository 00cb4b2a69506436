#!/usr/bin/env bash
# The rules of the house that a compiler does not check: format, direction of includes, MPI calls only in
# mpi/, netCDF calls only in results/, no way out of the process in the libraries. One line per offence,
# exit status 1 if there is any.
#
#     tests/check_style.sh [FOLDER]     default: the source tree that this script is in
set -uo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}" || exit 2
status=0

# forbid REASON PATTERN FILE...: no line of the files matches.
forbid() {
    local reason=$1 pattern=$2
    shift 2
    [ $# -gt 0 ] || return 0
    if grep -nHE -- "$pattern" "$@" | sed "s|\$|    <- $reason|"; then
        status=1
    fi
}

# sources FOLDER...: their C files, NUL-separated.
sources() {
    find "$@" \( -name '*.c' -o -name '*.h' -o -name '*.cc' \) -print0 | sort -z
}

mapfile -d '' jobs < <(sources jobs)
mapfile -d '' results < <(sources results)
mapfile -d '' study < <(sources study)
mapfile -d '' mpi < <(sources mpi)
mapfile -d '' tests < <(sources tests)
all=("${jobs[@]}" "${results[@]}" "${study[@]}" "${mpi[@]}" "${tests[@]}")
if [ "${#all[@]}" -eq 0 ]; then
    echo "check_style: no C files in $PWD" >&2
    exit 2
fi

# Includes of our own are written from the root, and point one way.
forbid "include from the root of the source tree" \
    '^ *# *include "([^/"p]|p[^/"t]|pt[^/"q])[^/"]*"' "${all[@]}" # ptqscale_version.h is generated
forbid "jobs includes jobs only" '^ *# *include "(results|study|mpi)/' "${jobs[@]}"
forbid "results includes jobs and results only" '^ *# *include "(study|mpi)/' "${results[@]}"
forbid "study does not include mpi" '^ *# *include "mpi/' "${study[@]}"
forbid "study includes results/record.h only, of results" \
    '^ *# *include "results/([^r]|r[^e]|re[^c]|rec[^o]|reco[^r]|recor[^d]|record[^.])' "${study[@]}"

forbid "MPI only in mpi/" '\bMPI_[A-Za-z]|<mpi\.h>' "${jobs[@]}" "${results[@]}" "${study[@]}"
forbid "netCDF only in results/" '\bnc_[a-z]|\bNC_[A-Z]|<netcdf' "${jobs[@]}" "${study[@]}" "${mpi[@]}"
forbid "a library returns a status" '\b(exit|_exit|abort|assert) *\(' \
    "${jobs[@]}" "${results[@]}" "${study[@]}"
forbid "finished or not there" '\b(TODO|FIXME|XXX)\b' "${all[@]}"

# Versions of clang-format differ in details: only the one that the tree is formatted with may judge.
format=$(command -v clang-format-14 || command -v clang-format)
if [ -n "$format" ] && "$format" --version | grep -q 'version 14\.'; then
    printf '%s\0' "${all[@]}" | xargs -0 -n 32 "$format" --dry-run -Werror --ferror-limit=1 || status=1
else
    echo "check_style: there is no clang-format 14; format not checked"
fi
[ "$status" -eq 0 ] && echo "check_style: ${#all[@]} files are as they should be"
exit "$status"
