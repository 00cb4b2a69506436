# What was built, for provenance: the target ptqscale_version brings the header ptqscale_version.h with
# PTQSCALE_VERSION, PTQSCALE_COMMIT ("…+dirty" when tracked files have changes, "unknown" without git)
# and PTQSCALE_COMPILER.
#
# The header is looked at in every build and written only when it changes, so that a commit rebuilds
# one file and nothing else. The same file is the script of that step (cmake -P).

if(CMAKE_SCRIPT_MODE_FILE)
  set(commit "unknown")
  find_program(git git)
  if(git)
    set(git ${git} --no-optional-locks -c safe.directory=${source} -C ${source})
    # Only where the sources are the top of a work tree, not inside somebody else's repository.
    execute_process(COMMAND ${git} rev-parse --show-prefix HEAD
      OUTPUT_VARIABLE answer ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed AND answer MATCHES "^\n([0-9a-f]+)\n$")
      set(commit ${CMAKE_MATCH_1})
      execute_process(COMMAND ${git} status --porcelain --untracked-files=no
        OUTPUT_VARIABLE changes ERROR_QUIET)
      if(changes)
        string(APPEND commit "+dirty")
      endif()
    endif()
  endif()
  file(CONFIGURE OUTPUT ${header} @ONLY CONTENT [[
/* Written by cmake/version.cmake. */
#define PTQSCALE_VERSION "@version@"
#define PTQSCALE_COMMIT "@commit@"
#define PTQSCALE_COMPILER "@compiler@"
]])
  return()
endif()

set(ptqscale_generated ${CMAKE_CURRENT_BINARY_DIR}/generated)
add_custom_target(ptqscale_version_header
  COMMAND ${CMAKE_COMMAND}
    -Dsource=${CMAKE_CURRENT_SOURCE_DIR}
    -Dheader=${ptqscale_generated}/ptqscale_version.h
    -Dversion=${PROJECT_VERSION}
    "-Dcompiler=${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}"
    -P ${CMAKE_CURRENT_LIST_DIR}/version.cmake
  BYPRODUCTS ${ptqscale_generated}/ptqscale_version.h
  COMMENT "Looking up the commit"
  VERBATIM)
add_library(ptqscale_version INTERFACE)
target_include_directories(ptqscale_version INTERFACE ${ptqscale_generated})
add_dependencies(ptqscale_version ptqscale_version_header)
