/*
 * A study.nc on its way to the disk, cell by cell; the file appears under its name when it is
 * whole. Private to results/.
 *
 *     studyfile_create ─ studyfile_text … ─ studyfile_define ─ studyfile_put … ─ studyfile_commit
 */
#ifndef RESULTS_STUDYFILE_H
#define RESULTS_STUDYFILE_H

#include "results/record.h"

struct studyfile;

/* Begin a temporary file beside `path`. `cells` must outlive the file; all share checkpoints,
 * quantizers and windows, and their numbers ascend. */
int studyfile_create(struct error *err, const char *path, const struct cell *cells, int count,
                     struct studyfile **file);

/* Leave out what schema_detail says. Before studyfile_define. */
void studyfile_compact(struct studyfile *file);

/* A global attribute. */
int studyfile_text(struct error *err, const struct studyfile *file, const char *name,
                   const char *value);

/* The attribute "id" of a study of this name with these cells: NAME-HASH. */
enum { STUDYFILE_ID = 320 };
void studyfile_id(const char *name, const struct cell *cells, int count, char id[STUDYFILE_ID]);

/* Define dimensions and variables; write coordinates and settings of all cells. */
int studyfile_define(struct error *err, struct studyfile *file);

/* What was measured of the next cell: once for every cell, in order. `scalars_only`: the cell is
 * not finished, its arrays are missing. */
int studyfile_put(struct error *err, struct studyfile *file, const struct record *record,
                  bool scalars_only);

/* Finish and rename to `path`. Frees the file, also on failure. */
int studyfile_commit(struct error *err, struct studyfile *file);

/* Give up; removes the temporary file. NULL is fine. */
void studyfile_discard(struct studyfile *file);

#endif
