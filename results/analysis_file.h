/*
 * The group /analysis of a study.nc: what results/analysis.h found, for tools that read NetCDF. Dimensions are the group's own: term,
 * stratum, share, factor, hypothesis, analysed_size, matching, early, probe, contrast, level; each has names or numbers as its coordinate. Numbers that
 * there are none of are missing (_FillValue); what the study has nothing of at all has no dimension. Private to results/.
 */
#ifndef RESULTS_ANALYSIS_FILE_H
#define RESULTS_ANALYSIS_FILE_H

#include "results/analysis.h"

/* Add the group to a NetCDF-4 file that has none and no seal. A failure leaves a file that can be read. */
int analysis_file_append(struct error *err, const char *path, const struct analysis *analysis);

/* Analyse the study.nc at `path`, which has no seal yet, and add the group. A study that has nothing to analyse stays as it is; where the
 * analysis fails, the attribute "analysis_failed" says why, and the study is none the worse. STATUS_FAILED: the file could
 * not be written. */
int analysis_file_complete(struct error *err, const char *path);

#endif
