/* A study file for another folder. */
#ifndef JOBS_RELOCATE_H
#define JOBS_RELOCATE_H

#include "jobs/spec.h"

enum { RELOCATE_PATH = 4096 + SPEC_PATH + 2 };

/* Absolute path of the study's path number `index` (source_path). */
int relocate_file(struct error *err, const struct spec *spec, int index, char path[RELOCATE_PATH]);

/* The text of the study file with the relative paths of its data and tasks written as absolute ones and
 * the name that it has from its file's name; nothing else is changed. In any folder and under any
 * name it means the same. malloc'ed; the caller frees it. */
int spec_relocated(struct error *err, const struct spec *spec, char **text);

#endif
