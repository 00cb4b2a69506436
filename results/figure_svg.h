/* gnuplot's SVG made part of a page. */
#ifndef RESULTS_FIGURE_SVG_H
#define RESULTS_FIGURE_SVG_H

#include "results/figure.h"

/* The <svg> element of `svg`, which gnuplot wrote of `figure`: named and described for screen readers, its ids its own, its colours CSS
 * variables (--blue …) and its text in currentColor. STATUS_FAILED if that is no SVG of gnuplot's. */
int figure_svg_inline(struct error *err, const struct figure *figure, const char *svg, char **out,
                      size_t *size);

#endif
