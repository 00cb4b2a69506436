/* A study.nc read back whole: its cells' settings and records, for merging. Private to results/. */
#ifndef RESULTS_STUDYREAD_H
#define RESULTS_STUDYREAD_H

#include "jobs/spec.h"
#include "results/record.h"

struct studyread;

/* Open a study.nc. STATUS_FAILED when it is not one of this version of the program. */
int studyread_open(struct error *err, const char *path, struct studyread **study);
void studyread_close(struct studyread *study); /* NULL is fine */

/* Its cells, in order, with all that the file tells of them: what a variable or a coordinate holds,
 * not calibration, held-out share and text. Valid until closed. */
int studyread_cells(const struct studyread *study, const struct cell **cells);

enum cell_status studyread_status(const struct studyread *study, int index);

/* Does it lack what a compact file leaves out? */
bool studyread_compact(const struct studyread *study);

/* Everything of one cell; the caller frees the record. */
int studyread_record(struct error *err, const struct studyread *study, int index,
                     struct record **record);

/* A global attribute, "" if it is missing; malloc'ed. */
int studyread_attribute(struct error *err, const struct studyread *study, const char *name,
                        char **text);

#endif
