# ScaLAPACK with BLACS: ScaLAPACK_FOUND and the target ScaLAPACK::ScaLAPACK.
#
# Looks in SCALAPACK_ROOT (CMake or environment variable) first, then where the system keeps libraries;
# Debian names the library after its MPI (libscalapack-openmpi-dev). Found means that a program that
# calls a ScaLAPACK routine and a BLACS routine links against the MPI in use.

find_package(MPI QUIET COMPONENTS C)
find_package(LAPACK QUIET)

set(ScaLAPACK_names scalapack)
if(MPI_C_LIBRARY_VERSION_STRING MATCHES "MPICH")
  list(PREPEND ScaLAPACK_names scalapack-mpich)
else()
  list(PREPEND ScaLAPACK_names scalapack-openmpi)
endif()
find_library(ScaLAPACK_LIBRARY NAMES ${ScaLAPACK_names} NAMES_PER_DIR
  HINTS ${SCALAPACK_ROOT} ENV SCALAPACK_ROOT PATH_SUFFIXES lib lib64)
mark_as_advanced(ScaLAPACK_LIBRARY)

if(ScaLAPACK_LIBRARY AND TARGET MPI::MPI_C AND TARGET LAPACK::LAPACK)
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_LIBRARIES ${ScaLAPACK_LIBRARY} LAPACK::LAPACK MPI::MPI_C)
  set(CMAKE_REQUIRED_QUIET ${ScaLAPACK_FIND_QUIETLY})
  check_c_source_compiles("
    void pdgesvd_(void);
    void Cblacs_gridexit(int context);
    int main(void) { pdgesvd_(); Cblacs_gridexit(0); return 0; }" ScaLAPACK_LINKS)
  unset(CMAKE_REQUIRED_LIBRARIES)
  unset(CMAKE_REQUIRED_QUIET)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ScaLAPACK
  REQUIRED_VARS ScaLAPACK_LIBRARY ScaLAPACK_LINKS
  REASON_FAILURE_MESSAGE
    "install libscalapack-openmpi-dev and liblapack-dev, or set SCALAPACK_ROOT")

if(ScaLAPACK_FOUND AND NOT TARGET ScaLAPACK::ScaLAPACK)
  add_library(ScaLAPACK::ScaLAPACK UNKNOWN IMPORTED)
  set_target_properties(ScaLAPACK::ScaLAPACK PROPERTIES
    IMPORTED_LOCATION "${ScaLAPACK_LIBRARY}"
    INTERFACE_LINK_LIBRARIES "LAPACK::LAPACK;MPI::MPI_C")
endif()
