# ScaLAPACK with BLACS: ScaLAPACK_FOUND and the target ScaLAPACK::ScaLAPACK.
#
# -DSCALAPACK_LIBRARIES="a;b;c" says it all: ScaLAPACK and what it needs (BLACS, LAPACK, BLAS), as paths or
# link options. Otherwise looks in SCALAPACK_ROOT and MKLROOT (CMake or environment variable), then where the
# system keeps libraries: Debian names the library after its MPI (libscalapack-openmpi-dev), MKL has it in
# parts. Found means that a program that calls BLACS, ScaLAPACK and BLAS links against the MPI in use.

find_package(MPI QUIET COMPONENTS C)

set(SCALAPACK_LIBRARIES "" CACHE STRING "ScaLAPACK and what it needs; empty: look for it")
if(MPI_C_LIBRARY_VERSION_STRING MATCHES "MPICH|Intel|MVAPICH")
  set(ScaLAPACK_mpi mpich)
  set(ScaLAPACK_mkl_blacs mkl_blacs_intelmpi_lp64)
else()
  set(ScaLAPACK_mpi openmpi)
  set(ScaLAPACK_mkl_blacs mkl_blacs_openmpi_lp64)
endif()

set(ScaLAPACK_all "")
if(SCALAPACK_LIBRARIES)
  set(ScaLAPACK_all ${SCALAPACK_LIBRARIES})
  set(ScaLAPACK_LIBRARY "${SCALAPACK_LIBRARIES}")
else()
  find_library(ScaLAPACK_LIBRARY NAMES scalapack-${ScaLAPACK_mpi} scalapack mkl_scalapack_lp64
    NAMES_PER_DIR HINTS ${SCALAPACK_ROOT} ENV SCALAPACK_ROOT ${MKLROOT} ENV MKLROOT
    PATH_SUFFIXES lib lib64 lib/intel64)
  mark_as_advanced(ScaLAPACK_LIBRARY)
  if(ScaLAPACK_LIBRARY MATCHES "mkl_scalapack_lp64")
    get_filename_component(ScaLAPACK_folder ${ScaLAPACK_LIBRARY} DIRECTORY)
    set(ScaLAPACK_all ${ScaLAPACK_LIBRARY} -L${ScaLAPACK_folder} ${ScaLAPACK_mkl_blacs}
      mkl_intel_lp64 mkl_sequential mkl_core m dl)
  elseif(ScaLAPACK_LIBRARY)
    find_package(LAPACK QUIET)
    if(TARGET LAPACK::LAPACK)
      set(ScaLAPACK_all ${ScaLAPACK_LIBRARY} LAPACK::LAPACK)
    endif()
  endif()
endif()

if(ScaLAPACK_all AND TARGET MPI::MPI_C)
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_LIBRARIES ${ScaLAPACK_all} MPI::MPI_C)
  set(CMAKE_REQUIRED_QUIET ${ScaLAPACK_FIND_QUIETLY})
  if(NOT "${ScaLAPACK_all}" STREQUAL "${ScaLAPACK_tried}") # else the answer is known
    unset(ScaLAPACK_LINKS CACHE)
    set(ScaLAPACK_tried "${ScaLAPACK_all}" CACHE INTERNAL "what ScaLAPACK_LINKS is about")
  endif()
  check_c_source_compiles("
    void pdgesvd_(void);
    void dgemm_(void);
    void Cblacs_gridexit(int context);
    int main(void) { pdgesvd_(); dgemm_(); Cblacs_gridexit(0); return 0; }" ScaLAPACK_LINKS)
  unset(CMAKE_REQUIRED_LIBRARIES)
  unset(CMAKE_REQUIRED_QUIET)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ScaLAPACK
  REQUIRED_VARS ScaLAPACK_LIBRARY ScaLAPACK_LINKS
  REASON_FAILURE_MESSAGE
    "install libscalapack-openmpi-dev and libopenblas-serial-dev, or set SCALAPACK_LIBRARIES")

if(ScaLAPACK_FOUND AND NOT TARGET ScaLAPACK::ScaLAPACK)
  add_library(ScaLAPACK::ScaLAPACK INTERFACE IMPORTED)
  target_link_libraries(ScaLAPACK::ScaLAPACK INTERFACE ${ScaLAPACK_all} MPI::MPI_C)
endif()
