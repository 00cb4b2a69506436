# oneDNN: DNNL_FOUND, DNNL_VERSION and the target DNNL::dnnl. DNNL_ROOT names a folder to look in first.
#
# oneDNN's own package file is not used: Debian's asks for the OpenCL headers, which its development
# package does not bring, and ends the configuration without them.

find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.h)
find_library(DNNL_LIBRARY dnnl)
mark_as_advanced(DNNL_INCLUDE_DIR DNNL_LIBRARY)

set(DNNL_VERSION "")
if(DNNL_INCLUDE_DIR AND EXISTS "${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h")
  foreach(part MAJOR MINOR PATCH)
    file(STRINGS "${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h" line
      REGEX "^#define DNNL_VERSION_${part}[ \t]+[0-9]+")
    if(line)
      string(REGEX REPLACE "^[^0-9]+_${part}[ \t]+([0-9]+).*" "\\1" number "${line}")
      list(APPEND DNNL_VERSION ${number})
    endif()
  endforeach()
  string(REPLACE ";" "." DNNL_VERSION "${DNNL_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(DNNL
  REQUIRED_VARS DNNL_LIBRARY DNNL_INCLUDE_DIR VERSION_VAR DNNL_VERSION)

if(DNNL_FOUND AND NOT TARGET DNNL::dnnl)
  add_library(DNNL::dnnl UNKNOWN IMPORTED)
  set_target_properties(DNNL::dnnl PROPERTIES
    IMPORTED_LOCATION "${DNNL_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${DNNL_INCLUDE_DIR}")
endif()
