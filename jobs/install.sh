#!/bin/sh
# Install what ptqscale needs.
#
#     jobs/install.sh            to build and run
#     jobs/install.sh --tests    to run the tests too
#
# On Debian and Ubuntu: finds out what is missing and installs it with apt-get, as root or through sudo;
# when nothing is missing it does nothing. Elsewhere: says which modules to load and goes on; the build
# then tells what it does not find. Sourced, it only defines its functions: install_packages and
# install_dependencies.

RUN_PACKAGES="build-essential cmake ninja-build pkg-config git ca-certificates
    libopenmpi-dev openmpi-bin libdnnl-dev libnetcdf-dev netcdf-bin libyaml-dev librandom123-dev
    libgsl-dev libxxhash-dev zlib1g-dev libzstd-dev libjansson-dev libexpat1-dev libcsv-dev
    libsentencepiece-dev libscalapack-openmpi-dev libopenblas-serial-dev gnuplot-nox"
TEST_PACKAGES="libcmocka-dev clang-format sentencepiece zstd python3-minimal python3-numpy python3-xarray
    python3-netcdf4 python3-statsmodels python3-scipy python3-matplotlib r-base-core r-cran-ncdf4 nco
    chromium slurmctld slurmd slurm-client munge"
FUZZ_PACKAGES="clang libclang-rt-dev" # libFuzzer; older releases have it all in clang

# as_root COMMAND...: run it as root, in whatever way there is.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo "$@"
    else
        echo "install: root is needed for: $*" >&2
        echo "install: run as root: ./jobs/install.sh (or give this user sudo)" >&2
        return 1
    fi
}

# missing_packages NAME...: those that are not installed, on one line.
missing_packages() {
    for package in "$@"; do
        # shellcheck disable=SC2016 # the dollar is dpkg-query's
        if ! dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
            printf '%s ' "$package"
        fi
    done
}

# apt_get ARGUMENT...: without questions; waits for another apt-get that is at work.
apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 -qq "$@" </dev/null
}

# install_packages NAME...: those of them that are missing. apt-get's own words only when it fails.
install_packages() {
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    echo "install: $missing" >&2
    install_log=$(mktemp)
    # shellcheck disable=SC2086 # one word per package
    if ! { apt_get update && apt_get install -y --no-install-recommends $missing; } \
        >"$install_log" 2>&1; then
        cat "$install_log" >&2
        rm -f "$install_log"
        echo "install: apt-get failed (above); install by hand: $missing" >&2
        return 1
    fi
    rm -f "$install_log"
}

# install_dependencies [--tests]
install_dependencies() {
    if command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1; then
        packages=$RUN_PACKAGES
        if [ "${1:-}" = --tests ]; then
            packages="$packages $TEST_PACKAGES"
        fi
        # shellcheck disable=SC2086 # one word per package
        install_packages $packages || return
        if [ "${1:-}" = --tests ]; then
            for package in $FUZZ_PACKAGES; do
                if apt-cache show "$package" >/dev/null 2>&1; then
                    install_packages "$package" || return
                fi
            done
        fi
        return 0
    fi
    cat >&2 <<'END'
install: no apt-get here. Have these in the environment, e.g. with module load:
install:   cmake (3.20 or newer), a C and C++ compiler, pkg-config, openmpi, netcdf-c, onednn, gsl,
install:   libyaml, jansson, sentencepiece, zlib, zstd, xxhash, random123, scalapack with a BLAS, gnuplot for figures; for the tests
install:   cmocka, clang-format, the programs of sentencepiece and zstd, chromium, and Python 3 with xarray and netCDF4. Libraries in folders of their own: CMAKE_PREFIX_PATH and PKG_CONFIG_PATH.
END
}

case ${0##*/} in
install.sh)
    case ${1:-} in
    '' | --tests) install_dependencies "$@" ;;
    -h | --help) echo "usage: jobs/install.sh [--tests]    install what ptqscale needs" ;;
    *)
        echo "install: unknown argument $1; usage: jobs/install.sh [--tests]" >&2
        exit 2
        ;;
    esac
    ;;
esac
