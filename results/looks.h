/*
 * Adaptive replication (METHOD §6): a look at the finished cells of a study, when all of its seeds so far are done, and what follows
 * from it. The journal keeps every look (results/replay.h), study.nc how far the study has come.
 */
#ifndef RESULTS_LOOKS_H
#define RESULTS_LOOKS_H

#include "jobs/spec.h"

struct table;

enum look_decision {
    LOOK_MORE,    /* a verdict is undecided: the next block of seeds is added */
    LOOK_DECIDED, /* no verdict that the study asks for is undecided for want of seeds */
    LOOK_LAST,    /* there is no further look */
    LOOK_BUDGET,  /* the next block would cost more than is left */
    LOOK_DECISIONS,
};

struct look {
    int seeds; /* with which it was taken */
    enum look_decision decision;
    int next;           /* seeds that the study has after it */
    int asked;          /* verdicts that the study asks for */
    char undecided[64]; /* hypotheses, "H1, H3a"; "": none */
    double level;       /* nominal, of each interval */
    double spent;       /* of each verdict's alpha, so far */
};

/* Take a look at the table, all of whose cells are finished, with the seeds that it has by now. All but the decision
 * and `next` follow: LOOK_DECIDED, LOOK_LAST or LOOK_MORE, as there were no budget. */
int look_take(struct error *err, const struct table *table, const struct spec_looks *plan,
              int seeds, struct look *look);

/* The first planned number of seeds that is larger; 0: none. */
int look_next(const struct spec_looks *plan, int seeds);

const char *look_decision_name(enum look_decision decision); /* "more", "decided", … */

/* "4 seeds: H1, H3a undecided; 2 more seeds" */
enum { LOOK_TEXT = 256 };
const char *look_text(const struct look *look, char text[LOOK_TEXT]);

#endif
