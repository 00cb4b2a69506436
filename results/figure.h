/*
 * The figures of an analysis. Each is a gnuplot script made from the analysis alone, with a caption and a text that says in words and
 * numbers what is seen, for who does not see it.
 *
 * Colours are Okabe and Ito's, which colour-blind people can tell apart; marker shapes and dashes say the same again.
 */
#ifndef RESULTS_FIGURE_H
#define RESULTS_FIGURE_H

#include <stddef.h>

#include "results/analysis.h"

enum figure_kind {
    FIGURE_SHARES,   /* who owns the variance */
    FIGURE_CLAIMS,   /* effects behind the verdicts, with loss-matched companions */
    FIGURE_SETTINGS, /* each setting against the base */
    FIGURE_SCALE,    /* degradation against parameters */
    FIGURE_HEAT,     /* factor level × quantizer */
    FIGURE_EARLY,    /* early checkpoints as predictors */
    FIGURE_PROBES,   /* probes against degradation */
    FIGURE_TRACES,   /* training curves */
    FIGURES,
};

enum figure_format {
    FIGURE_INLINE, /* an <svg> element for HTML: colours are CSS variables, text takes the page's */
    FIGURE_SVG,
    FIGURE_PDF,
    FIGURE_PNG,
};

struct figure {
    const char *name, *title; /* "shares", for files and anchors; a heading */
    double width, height;     /* pixels of the SVG */
    char *caption, *alt;      /* plain text, UTF-8; owned */
    char *script;             /* without terminal; owned; NULL: there is nothing to show */
    size_t script_size;
    char absent[256]; /* why there is nothing to show */
};

/* STATUS_FAILED when memory is short. Free with figure_clear, also after a failure. */
int figure_make(struct error *err, const struct analysis *analysis, enum figure_kind kind,
                struct figure *figure);
void figure_clear(struct figure *figure);

/* Draw it, in at most 20 s; the caller frees *bytes. Errors as of gnuplot_run. */
int figure_draw(struct error *err, const struct figure *figure, enum figure_format format,
                char **bytes, size_t *size);

/* "svg", "pdf", "png" → its format; false: none of them. */
bool figure_format_find(const char *name, enum figure_format *format);

/* Write all figures that there is something to show of to `folder`, which is made if it is missing, as NAME.FORMAT, each whole or not at
 * all. *written: how many. The first failure ends it. */
int figure_write_all(struct error *err, const struct analysis *analysis, const char *folder,
                     enum figure_format format, int *written);

#endif
