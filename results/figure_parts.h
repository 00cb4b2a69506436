/* What figures are made with; private to figure*.c. */
#ifndef RESULTS_FIGURE_PARTS_H
#define RESULTS_FIGURE_PARTS_H

#include <stdbool.h>
#include <stdio.h>

#include "results/figure.h"
#include "results/report_parts.h" /* an interval as text */
#include "results/text.h"

#define INK        "black"
#define BLUE       "#0072b2"
#define VERMILLION "#d55e00"
#define GREEN      "#009e73"
#define PURPLE     "#cc79a7"
#define ORANGE     "#e69f00"
#define SKY        "#56b4e9"
#define GREY       "#8c8c8c"
#define FAINT      "#d2d2d2"

/* KL is drawn in a unit of nats per token in which its middle is a number of few digits. */
struct kl_unit {
    double scale;     /* 1000 for 10⁻³ */
    const char *name; /* "KL, 10⁻³ nats per token" */
};

enum { FIGURE_COLORS = 6, FIGURE_LABEL = 40 };

/* A figure being made: the files are memory. */
struct sketch {
    const struct analysis *analysis;
    FILE *script, *caption, *alt;
    double width, height;
    char absent[256]; /* set it, and the figure is left out */
};

typedef void sketch_fn(struct sketch *sketch);
sketch_fn figure_shares, figure_claims, figure_settings, figure_scale, figure_heat, figure_early,
    figure_probes, figure_traces;

/* The i-th colour and marker of a series, again from the start behind the last. */
const char *figure_color(int i);
int figure_marker(int i); /* gnuplot's point type */
int figure_dash(int i);   /* gnuplot's dash type */

/* A text as gnuplot's 'text', whatever is in it. */
void sketch_quote(FILE *script, const char *text);

struct kl_unit figure_kl_unit(const struct analysis *analysis);

/* A setting in few words, as in "decay 0.005, fp16": its label if it changes more than the recipe. */
struct text figure_setting(const struct analysis *analysis, int setting);

/* A label of at most `width` characters, the rest as "…". */
struct text figure_label(const char *text, int width);

/* Smallest and largest of what was added. */
struct extent {
    double low, high;
};
#define EXTENT_EMPTY ((struct extent){HUGE_VAL, -HUGE_VAL})
void extent_add(struct extent *extent, double value); /* NaN and infinities do not count */
bool extent_known(const struct extent *extent);

/* Range and tics of an axis ("x", "y") of that length; `counts`: "20 k" instead of 20000. */
void sketch_log_axis(FILE *script, const char *axis, struct extent extent, bool counts,
                     double pixels);
void sketch_linear_axis(FILE *script, const char *axis, struct extent extent);

/* An axis of log-ratios that is `pixels` long, with percent at the tics. 0 is always on it. */
void sketch_percent_axis(FILE *script, const char *axis, struct extent extent, double pixels);

/* Edges of the plot that comes next, in pixels of the figure: x from the left, y from the top. */
struct frame {
    double left, right, top, bottom;
};
void sketch_frame(const struct sketch *sketch, struct frame frame);

/* A line of text of a figure takes about this many pixels. */
double figure_text_width(const char *text);

/* A legend, drawn by hand because gnuplot's fits no row of panels: entries from left to right, in rows. Add them between the frame and the
 * plot command of one panel. */
struct legend {
    double left, right, x, y; /* pixels; y: of the row */
    bool started;
};
struct legend_entry {
    const char *color, *text;
    int marker, dash; /* 0: no point, no line */
};
void sketch_legend(const struct sketch *sketch, struct legend *legend, struct legend_entry entry);
void sketch_legend_end(const struct sketch *sketch); /* the next panel of the figure has none */

/* Margins, fonts, tics: what all figures have in common. */
void sketch_begin(struct sketch *sketch, double width, double height);

/* Half the 95 % interval of the mean of a setting at one size, with the variance pooled over sizes; NaN without a degree of
 * freedom. */
double figure_half(const struct effects *effects, int setting, int size, enum response response,
                   int quantizer, int checkpoint);

#endif
