/* Degradation against parameters, per setting, with bands. */
#include <math.h>
#include <string.h>

#include "results/figure_parts.h"
#include "results/figure_select.h"

enum { LADDER = 5, FAINT_LINES = 40 };

struct line {
    int setting;
    const int *of_size; /* setting per size in its place; NULL */
    const char *title;  /* NULL: without */
    const char *color;
    int marker, dash;
    bool strong; /* with its band */
};

/* KL with its interval per size, as a block of data; how many points. */
static int write_points(struct sketch *sketch, const struct line *line, const char *name, int index,
                        struct extent *x, struct extent *y)
{
    const struct analysis *analysis = sketch->analysis;
    const struct effects *effects = analysis->effects;
    int points = 0;
    fprintf(sketch->script, "$%s%d << EOD\n", name, index);
    for (int s = 0; s < effects->sizes; s++) {
        int setting = line->of_size != NULL ? line->of_size[s] : line->setting;
        if (setting < 0) {
            continue;
        }
        struct mean mean = effects_mean(effects, setting, s, RESPONSE_LOG_KL, analysis->quantizer,
                                        analysis->checkpoint);
        double half = figure_half(effects, setting, s, RESPONSE_LOG_KL, analysis->quantizer,
                                  analysis->checkpoint);
        if (mean.cells > 0 && isfinite(mean.mean)) {
            double around = line->strong && isfinite(half) ? fmin(half, 3) : 0;
            double kl = figure_kl_unit(analysis).scale * exp(mean.mean);
            fprintf(sketch->script, "%.8g %.8g %.8g %.8g\n", effects->size[s].parameters, kl,
                    kl * exp(-around), kl * exp(around));
            extent_add(x, effects->size[s].parameters);
            extent_add(y, kl * exp(-around));
            extent_add(y, kl * exp(around));
            points++;
        }
    }
    fputs("EOD\n", sketch->script);
    return points;
}

static void plot_lines(struct sketch *sketch, const struct line *lines, const int *points,
                       int count, const char *name, struct legend *legend)
{
    FILE *script = sketch->script;
    int plots = 0;
    for (int i = 0; i < count; i++) {
        if (points[i] > 0 && lines[i].title != NULL) {
            sketch_legend(sketch, legend,
                          (struct legend_entry){lines[i].color, lines[i].title, lines[i].marker,
                                                lines[i].dash});
        }
    }
    for (int pass = 0; pass < 2; pass++) { /* bands lie below lines */
        for (int i = 0; i < count; i++) {
            if (points[i] == 0 || (pass == 0 && (!lines[i].strong || points[i] < 2))) {
                continue;
            }
            fputs(plots++ == 0 ? "plot " : ", ", script);
            if (pass == 0) {
                fprintf(script,
                        "$%s%d using 1:3:4 with filledcurves fc rgb '%s' fs transparent solid 0.18 "
                        "noborder",
                        name, i, lines[i].color);
                continue;
            }
            fprintf(script, "$%s%d using 1:2 with linespoints lc rgb '%s' lw %g dt %d pt %d ps %g",
                    name, i, lines[i].color, lines[i].title == NULL ? 0.8 : 1.8, lines[i].dash,
                    lines[i].marker, lines[i].title == NULL ? 0.3 : 0.9);
        }
    }
    fputc('\n', script);
}

static void panel(struct sketch *sketch, const struct line *lines, int count, const char *name,
                  struct frame frame, const char *title)
{
    FILE *script = sketch->script;
    struct extent x = EXTENT_EMPTY, y = EXTENT_EMPTY;
    struct legend legend = {frame.left - 60, frame.left, 0, frame.bottom + 84, false};
    int points[FAINT_LINES + LADDER + 8];
    for (int i = 0; i < count; i++) {
        points[i] = write_points(sketch, &lines[i], name, i, &x, &y);
    }
    sketch_log_axis(script, "x", x, true, frame.right - frame.left);
    sketch_log_axis(script, "y", y, false, frame.bottom - frame.top);
    sketch_frame(sketch, frame);
    fprintf(script, "set xlabel 'non-embedding parameters'\nset ylabel '%s'\nset title ",
            figure_kl_unit(sketch->analysis).name);
    sketch_quote(script, title);
    fputc('\n', script);
    plot_lines(sketch, lines, points, count, name, &legend);
    sketch_legend_end(sketch);
}

static void say_base(struct sketch *sketch, const struct line *line, const char *what)
{
    const struct analysis *analysis = sketch->analysis;
    const struct effects *effects = analysis->effects;
    fprintf(sketch->alt, " %s:", what);
    for (int s = 0; s < effects->sizes; s++) {
        int setting = line->of_size != NULL ? line->of_size[s] : line->setting;
        if (setting < 0) {
            continue;
        }
        struct mean mean = effects_mean(effects, setting, s, RESPONSE_LOG_KL, analysis->quantizer,
                                        analysis->checkpoint);
        fprintf(sketch->alt, " %s at %s parameters,",
                text_significant(figure_kl_unit(analysis).scale * exp(mean.mean), 3).s,
                text_count(effects->size[s].parameters).s);
    }
}

/* The base at its numbers of tokens, and along the diagonal. */
static int ladder_lines(const struct analysis *analysis, struct line *lines,
                        char titles[][TEXT_NUMBER])
{
    const struct ladder *ladder = &analysis->design->ladder;
    int count = 0;
    for (int i = 0; i < ladder->settings && count < LADDER; i++) {
        int setting = ladder->setting[i];
        double tokens = figure_tokens(analysis->effects, setting);
        if (isnan(tokens)) {
            continue; /* another number at every size */
        }
        bool base = setting == analysis->effects->base;
        snprintf(titles[count], TEXT_NUMBER, "%.60s tokens%s", text_count(tokens).s,
                 base ? " (base)" : "");
        lines[count] = (struct line){.setting = setting,
                                     .title = titles[count],
                                     .color = figure_color(base ? 0 : count + (count > 0 ? 1 : 2)),
                                     .marker = figure_marker(base ? 0 : count + 1),
                                     .dash = base ? 1 : 2,
                                     .strong = base};
        count++;
    }
    if (ladder->diagonal_sizes >= 2 && ladder->diagonal != NULL) {
        snprintf(titles[count], TEXT_NUMBER, "%.60s tokens per parameter (diagonal)",
                 text_significant((ladder->least + ladder->most) / 2, 3).s);
        lines[count] = (struct line){.setting = -1,
                                     .of_size = ladder->diagonal,
                                     .title = titles[count],
                                     .color = VERMILLION,
                                     .marker = figure_marker(1),
                                     .dash = 1,
                                     .strong = true};
        count++;
    }
    return count;
}

/* The base, the settings that are furthest from it, and the others in grey. */
static int setting_lines(const struct analysis *analysis, struct line *lines,
                         char titles[][TEXT_NUMBER])
{
    const struct effects *effects = analysis->effects;
    int extreme[FIGURE_EXTREMES], count = 0;
    int extremes = figure_extremes(analysis, extreme);
    for (int s = effects->base + 1; s < effects->settings && count < FAINT_LINES; s++) {
        bool chosen = false;
        for (int i = 0; i < extremes; i++) {
            chosen |= extreme[i] == s;
        }
        if (!chosen && !(analysis->design->setting[s].changed & 1U << RECIPE_TOKENS)) {
            lines[count++] = (struct line){.setting = s, .color = GREY, .marker = 7, .dash = 1};
        }
    }
    for (int i = -1; i < extremes; i++) {
        int setting = i < 0 ? effects->base : extreme[i];
        if (setting < 0) {
            continue;
        }
        memcpy(titles[i + 1], figure_setting(analysis, setting).s, TEXT_NUMBER);
        lines[count++] = (struct line){.setting = setting,
                                       .title = titles[i + 1],
                                       .color = figure_color(i + 1),
                                       .marker = figure_marker(i + 1),
                                       .dash = figure_dash(i + 1),
                                       .strong = i < 0};
    }
    return count;
}

void figure_scale(struct sketch *sketch)
{
    const struct analysis *analysis = sketch->analysis;
    struct line ladder[LADDER + 1], settings[FAINT_LINES + FIGURE_EXTREMES + 1];
    char ladder_titles[LADDER + 1][TEXT_NUMBER], titles[FIGURE_EXTREMES + 1][TEXT_NUMBER];
    if (analysis->effects->sizes < 2) {
        snprintf(sketch->absent, sizeof sketch->absent,
                 "The study has one size: nothing can be said about scale.");
        return;
    }
    if (analysis->effects->base < 0) {
        snprintf(sketch->absent, sizeof sketch->absent, "The study has no cells of a base recipe.");
        return;
    }
    int rungs = ladder_lines(analysis, ladder, ladder_titles);
    int lines = setting_lines(analysis, settings, titles);
    struct mean any = {.cells = 0};
    for (int s = 0; s < analysis->effects->sizes && any.cells == 0; s++) {
        any = effects_mean(analysis->effects, analysis->effects->base, s, RESPONSE_LOG_KL,
                           analysis->quantizer, analysis->checkpoint);
    }
    if (any.cells == 0) {
        snprintf(sketch->absent, sizeof sketch->absent, "No cell of the base recipe is finished.");
        return;
    }
    bool both = rungs > 1;
    sketch_begin(sketch, both ? 980 : 660, 518);
    fprintf(sketch->script, "set multiplot\n");
    fprintf(sketch->alt, "%s, against non-embedding parameters, both logarithmic.",
            figure_kl_unit(analysis).name);
    if (both) {
        panel(sketch, ladder, rungs, "rung", (struct frame){100, 478, 42, 328},
              "The base recipe, by training tokens");
        for (int i = 0; i < rungs; i++) {
            say_base(sketch, &ladder[i], ladder[i].title);
        }
    }
    panel(sketch, settings, lines, "setting",
          (struct frame){both ? 596 : 100, both ? 966 : 640, 42, 328},
          "Settings at the base's tokens");
    if (!both) {
        say_base(sketch,
                 &settings[lines - 1 - figure_extremes(analysis, (int[FIGURE_EXTREMES]){0})],
                 "base");
    }
    fprintf(sketch->script, "unset multiplot\n");
    fprintf(sketch->caption,
            "KL under %s at the end of training, geometric mean over seeds, against non-embedding "
            "parameters (both axes logarithmic). Bands: 95 %% intervals of the means. ",
            analysis->table->quantizer[analysis->quantizer]);
    if (both) {
        fprintf(sketch->caption,
                "Left: the base recipe at equal tokens, and along the diagonal of equal tokens per "
                "parameter. ");
    }
    fprintf(sketch->caption,
            "%s: the base, the settings that are furthest from it in either direction, and the "
            "others in grey.",
            both ? "Right" : "Shown");
}
