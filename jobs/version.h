/* What was built, for provenance; the values come from the build (cmake/version.cmake). */
#ifndef JOBS_VERSION_H
#define JOBS_VERSION_H

const char *version_string(void);   /* "0.1.0" */
const char *version_commit(void);   /* git commit, "+dirty" behind it when the tree had changes */
const char *version_compiler(void); /* "GNU 12.2.0" */

#endif
