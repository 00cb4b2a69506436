# Every library that ptqscale needs, found or explained. All missing ones are reported at once, with
# Debian's package and the usual module of an HPC system.

find_package(PkgConfig QUIET)
if(NOT PkgConfig_FOUND)
  message(FATAL_ERROR "pkg-config is missing.\n"
    "  Debian, Ubuntu: apt-get install pkg-config\n  or both at once: ./jobs/install.sh")
endif()

set(ptqscale_missing "")

# ptqscale_require(<found> <what> <Debian package> <module>)
function(ptqscale_require found what package module)
  if(NOT found)
    set(ptqscale_missing
      "${ptqscale_missing}  ${what}: apt-get install ${package}, or module load ${module}\n"
      PARENT_SCOPE)
  endif()
endfunction()

pkg_check_modules(YAML QUIET IMPORTED_TARGET yaml-0.1)
ptqscale_require("${YAML_FOUND}" "libyaml (study files)" libyaml-dev libyaml)

pkg_check_modules(NETCDF QUIET IMPORTED_TARGET netcdf)
ptqscale_require("${NETCDF_FOUND}" "netCDF for C (results)" libnetcdf-dev netcdf-c)

pkg_check_modules(XXHASH QUIET IMPORTED_TARGET libxxhash)
ptqscale_require("${XXHASH_FOUND}" "xxHash (identities, checksums)" libxxhash-dev xxhash)

find_package(ZLIB QUIET)
ptqscale_require("${ZLIB_FOUND}" "zlib (compressed text)" zlib1g-dev zlib)

pkg_check_modules(ZSTD QUIET IMPORTED_TARGET libzstd)
ptqscale_require("${ZSTD_FOUND}" "Zstandard (compressed text)" libzstd-dev zstd)

pkg_check_modules(JANSSON QUIET IMPORTED_TARGET jansson)
ptqscale_require("${JANSSON_FOUND}" "Jansson (JSON)" libjansson-dev jansson)

pkg_check_modules(SENTENCEPIECE QUIET IMPORTED_TARGET sentencepiece)
ptqscale_require("${SENTENCEPIECE_FOUND}" "SentencePiece (tokenizer)" libsentencepiece-dev
  sentencepiece)

find_package(EXPAT QUIET)
ptqscale_require("${EXPAT_FOUND}" "Expat (task files in XML)" libexpat1-dev expat)

find_path(CSV_INCLUDE_DIR csv.h HINTS ENV LIBCSV_ROOT PATH_SUFFIXES include)
find_library(CSV_LIBRARY csv HINTS ENV LIBCSV_ROOT PATH_SUFFIXES lib)
mark_as_advanced(CSV_INCLUDE_DIR CSV_LIBRARY)
if(CSV_INCLUDE_DIR AND CSV_LIBRARY)
  set(CSV_FOUND TRUE)
endif()
ptqscale_require("${CSV_FOUND}" "libcsv (task files in CSV)" libcsv-dev libcsv)

find_package(Threads REQUIRED)

find_package(GSL QUIET)
ptqscale_require("${GSL_FOUND}" "GNU Scientific Library (statistics)" libgsl-dev gsl)

find_package(DNNL QUIET)
ptqscale_require("${DNNL_FOUND}" "oneDNN (matrix products)" libdnnl-dev onednn)

find_package(MPI QUIET COMPONENTS C)
ptqscale_require("${MPI_C_FOUND}" "MPI" "libopenmpi-dev openmpi-bin" openmpi)

find_path(RANDOM123_INCLUDE_DIR Random123/philox.h HINTS ENV RANDOM123_ROOT PATH_SUFFIXES include)
mark_as_advanced(RANDOM123_INCLUDE_DIR)
ptqscale_require("${RANDOM123_INCLUDE_DIR}" "Random123 (random numbers; headers only)"
  librandom123-dev random123)

find_package(ScaLAPACK QUIET)
ptqscale_require("${ScaLAPACK_FOUND}" "ScaLAPACK for this MPI, with LAPACK and BLAS (dense algebra)"
  "libscalapack-openmpi-dev libopenblas-serial-dev" "scalapack (or -DSCALAPACK_LIBRARIES=...)")

if(ptqscale_missing)
  message(FATAL_ERROR "Missing libraries:\n${ptqscale_missing}"
    "On Debian and Ubuntu ./jobs/install.sh installs all of them. "
    "A library in a folder of your own: -DCMAKE_PREFIX_PATH=FOLDER (and PKG_CONFIG_PATH).")
endif()
