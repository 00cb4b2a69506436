/* Is a folder ours to write in? Looks, and changes nothing. Private to the run folder. */
#ifndef RESULTS_FOLDER_H
#define RESULTS_FOLDER_H

#include "jobs/error.h"

/* Make `path` and its parents if they are missing. */
int folder_make(struct error *err, const char *path);

/* STATUS_OK for an empty folder, one whose setting-up was interrupted, and a run of the study
 * `name`; else STATUS_FAILED: foreign files, another study, a damaged journal, not writable. */
int folder_survey(struct error *err, const char *path, const char *name);

#endif
