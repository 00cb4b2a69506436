/* The parts of a report; private to report*.c, and the text of intervals to figure*.c and html*.c. */
#ifndef RESULTS_REPORT_PARTS_H
#define RESULTS_REPORT_PARTS_H

#include <stdbool.h>
#include <stdio.h>

#include "results/analysis.h"
#include "results/text.h"

/* KL, Δloss and effects on the loss are printed in 10⁻³ nats per token. */
#define REPORT_SCALE 1e3
#define REPORT_UNIT  "10\xe2\x81\xbb\xc2\xb3"
#define REPORT_DELTA "\xce\x94" /* Δ */

struct report {
    FILE *out;
    const struct analysis *analysis;
    const struct table *table; /* the analysis's, as are the effects */
    const struct effects *effects;
    bool full;
    int quantizer; /* of the main table */
    int last;      /* final checkpoint */
    bool keys;     /* labels of settings are too long for a table: S1, S2, … stand for them */
    int done;      /* finished cells */
};

/* The next setting after `setting` that tables show, the number of settings at the end. Those of a fraction are averaged in its
 * main effects, and shown only in full. Begin with the base. */
int report_next(const struct report *report, int setting);

/* A setting's name in a table: its label, or its key. */
const char *report_setting(const struct report *report, int setting, char name[CELL_LABEL]);

/* Section heading, underlined. */
void report_heading(const struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "more", "less", "undecided" …: what an effect's interval says about the degradation. */
const char *report_word(const struct effect *effect);

/* An effect on log KL in percent, one on Δloss or loss in REPORT_UNIT, with its interval; a claim's in percent, H5's as a factor. */
struct text report_percent_interval(const struct interval *interval);
struct text report_claim_effect(enum hypothesis hypothesis, const struct interval *effect);
struct text report_milli_interval(const struct interval *interval);

/* "9" or "8 of 9" pairs. */
void report_add_pairs(struct text_table *table, const struct effect *effect);

/* Has the base other numbers of tokens, so that effects have companions at equal loss? */
bool report_has_ladder(const struct analysis *analysis);

/* Are there tables of each setting under each other quantizer? A fraction's short answer for them is its main effects. */
bool report_shows_others(const struct report *report);

/* report_answer.c */
int report_answer(struct error *err, const struct report *report);
void report_diverged(const struct report *report); /* per level, if there are any */

/* report_effects.c */
int report_main_quantizer(struct error *err, const struct report *report);
int report_other_quantizers(struct error *err, const struct report *report);

/* report_exploratory.c */
int report_exploratory(struct error *err, const struct report *report);

/* report_ranking.c */
int report_ranking(struct error *err, const struct report *report);

/* report_tasks.c */
int report_tasks(struct error *err, const struct report *report);

/* report_course.c */
int report_checkpoints(struct error *err, const struct report *report);
int report_sizes(struct error *err, const struct report *report);

/* report_limits.c */
int report_limits(struct error *err, const struct report *report);

#endif
