/* Forest plots: the effects behind the verdicts, and each setting against the base. */
#include <math.h>
#include <stdlib.h>

#include "results/figure_parts.h"

enum { ROWS = 32, ROW_LABEL = 60 };

struct row {
    char label[256];
    double delta; /* half the band; 0: none */
    struct interval effect, matched;
    bool has_matched;
    const char *verdict; /* NULL: none */
};

static void band(FILE *script, int id, double y, double delta)
{
    if (delta > 0) {
        fprintf(script,
                "set object %d rectangle from %.8g,%.3g to %.8g,%.3g behind fc rgb '" FAINT
                "' fs solid noborder\n",
                id, -delta, y - 0.42, delta, y + 0.42);
    }
}

static void point(FILE *script, const struct interval *interval, double y)
{
    if (isfinite(interval->estimate)) {
        bool sure = isfinite(interval->low) && isfinite(interval->high);
        fprintf(script, "%.8g %.4g %.8g %.8g\n", interval->estimate, y,
                sure ? interval->low : interval->estimate,
                sure ? interval->high : interval->estimate);
    }
}

static void put_note(FILE *script, const char *text, double y)
{
    fputs("set label ", script);
    sketch_quote(script, text);
    fprintf(script, " at graph 1.02, first %.4g left\n", y);
}

/* Returns how many rows have a companion at equal loss. */
static int draw_rows(struct sketch *sketch, const struct row *rows, int count, const char *level)
{
    FILE *script = sketch->script;
    struct extent extent = EXTENT_EMPTY;
    double before = 0, behind = 0;
    char title[64];
    int matched = 0;
    for (int i = 0; i < count; i++) {
        const struct interval *both[] = {&rows[i].effect, &rows[i].matched};
        for (int k = 0; k < (rows[i].has_matched ? 2 : 1); k++) {
            extent_add(&extent, both[k]->estimate);
            extent_add(&extent, both[k]->low);
            extent_add(&extent, both[k]->high);
        }
        extent_add(&extent, rows[i].delta);
        extent_add(&extent, -rows[i].delta);
        matched += rows[i].has_matched;
    }
    fprintf(script,
            "set yrange [0.4:%d.6]\nset border 1 lc rgb '" GREY "'\nset grid noytics\n"
            "set xlabel 'effect on KL, %% (logarithmic axis)'\n"
            "set arrow from 0, graph 0 to 0, graph 1 nohead lc rgb '" GREY "' lw 1.2\n"
            "set ytics scale 0 (",
            count);
    for (int i = 0; i < count; i++) {
        fputs(i == 0 ? "" : ", ", script);
        sketch_quote(script, figure_label(rows[i].label, ROW_LABEL).s);
        fprintf(script, " %d", count - i);
        before = fmax(before, figure_text_width(figure_label(rows[i].label, ROW_LABEL).s));
    }
    fputs(")\n", script);
    for (int i = 0; i < count; i++) {
        const struct text number = report_percent_interval(&rows[i].effect);
        const char *verdict = rows[i].verdict;
        band(script, i + 1, count - i, rows[i].delta);
        put_note(script, number.s, count - i + (verdict != NULL ? 0.18 : 0));
        behind = fmax(behind, figure_text_width(number.s));
        if (verdict != NULL) {
            put_note(script, verdict, count - i - 0.2);
            behind = fmax(behind, figure_text_width(verdict));
        }
    }
    struct frame frame = {before + 24, sketch->width - behind - 20, 6, sketch->height - 92};
    sketch_percent_axis(script, "x", extent, frame.right - frame.left);
    struct legend legend = {frame.left, sketch->width, 0, sketch->height - 10, false};
    sketch_frame(sketch, frame);
    snprintf(title, sizeof title, "effect, with its %s interval", level);
    sketch_legend(sketch, &legend, (struct legend_entry){BLUE, title, 7, 1});
    if (matched > 0) {
        sketch_legend(sketch, &legend, (struct legend_entry){VERMILLION, "at equal loss", 4, 1});
    }
    fputs("$effects << EOD\n", script);
    for (int i = 0; i < count; i++) {
        point(script, &rows[i].effect, count - i + (matched > 0 ? 0.14 : 0));
    }
    fputs("EOD\n$matched << EOD\n", script);
    for (int i = 0; i < count; i++) {
        if (rows[i].has_matched) {
            point(script, &rows[i].matched, count - i - 0.2);
        }
    }
    fprintf(script, "EOD\nplot $effects using 1:2:3:4 with xerrorbars lc rgb '" BLUE
                    "' lw 1.8 pt 7 ps 0.8");
    if (matched > 0) {
        fprintf(script, ", $matched using 1:2:3:4 with xerrorbars lc rgb '" VERMILLION
                        "' lw 1.2 dt 1 pt 4 ps 0.7");
    }
    fputc('\n', script);
    for (int i = 0; i < count; i++) {
        fprintf(sketch->alt, " %s: %s percent%s%s", rows[i].label,
                report_percent_interval(&rows[i].effect).s, rows[i].verdict != NULL ? ", " : "",
                rows[i].verdict != NULL ? rows[i].verdict : "");
        if (rows[i].has_matched) {
            fprintf(sketch->alt, ", at equal loss %s", report_percent_interval(&rows[i].matched).s);
        }
        fputc(i + 1 < count ? ';' : '.', sketch->alt);
    }
    return matched;
}

static void say_matched(const struct sketch *sketch, int matched)
{
    if (matched > 0) {
        fprintf(sketch->caption,
                " Squares: the same at equal loss, that is less what the base's ladder "
                "of tokens has at that loss, where it reaches.");
    }
}

void figure_claims(struct sketch *sketch)
{
    const struct claims *claims = &sketch->analysis->claims;
    struct row rows[HYPOTHESES];
    int count = 0;
    for (int h = 0; h < HYPOTHESES; h++) {
        const struct claim *claim = &claims->claim[h];
        if (claim->verdict == VERDICT_NOT_ASKED || isnan(claim->effect.interval.estimate)) {
            continue;
        }
        struct row *row = &rows[count++];
        *row = (struct row){.delta = claim->delta,
                            .effect = claim->effect.interval,
                            .matched = claim->matched.interval,
                            .has_matched =
                                claim->has_matched && isfinite(claim->matched.interval.estimate),
                            .verdict = verdict_name(claim->verdict)};
        snprintf(row->label, sizeof row->label, "H%s  %s", hypothesis_name((enum hypothesis)h),
                 h == H5 ? "base recipe, per decade of parameters" : claim->contrast);
    }
    if (count == 0) {
        snprintf(
            sketch->absent, sizeof sketch->absent,
            "The study has not the levels, or not yet the finished cells, for any of H1 to H5.");
        return;
    }
    sketch_begin(sketch, 980, 98 + 40 * count);
    char level[32];
    snprintf(level, sizeof level, "%.1f %%", 100 * (1 - claims->alpha));
    fprintf(sketch->alt, "Effects on KL in the direction that the paper claims, with intervals.");
    const int matched = draw_rows(sketch, rows, count, level);
    fprintf(
        sketch->caption,
        "Effects on KL, mean over sizes, with simultaneous %s intervals. H1 to H4 hold right of 0; "
        "H5 (the change with ten times the parameters) holds if its interval ends inside the grey, "
        "which is what is smaller than the smallest effect of interest.",
        level);
    say_matched(sketch, matched);
}

struct ranked {
    int setting;
    double estimate;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return (x->estimate < y->estimate) - (x->estimate > y->estimate);
}

static int rank_settings(const struct analysis *analysis, struct ranked *ranked)
{
    const struct effects *effects = analysis->effects;
    int known = 0;
    for (int s = effects->base + 1; s < effects->settings; s++) {
        struct effect effect = effects_of(effects, s, RESPONSE_LOG_KL, analysis->quantizer,
                                          analysis->checkpoint, EFFECTS_ALL_SIZES);
        if (isfinite(effect.interval.estimate)) {
            ranked[known++] = (struct ranked){s, effect.interval.estimate};
        }
    }
    qsort(ranked, (size_t)known, sizeof *ranked, compare_ranked);
    return known;
}

void figure_settings(struct sketch *sketch)
{
    const struct analysis *analysis = sketch->analysis;
    const struct effects *effects = analysis->effects;
    struct row *rows = calloc(ROWS, sizeof *rows);
    struct ranked *ranked = calloc((size_t)effects->settings + 1, sizeof *ranked);
    int count = 0, known = 0;
    if (rows == NULL || ranked == NULL) {
        snprintf(sketch->absent, sizeof sketch->absent, "Out of memory.");
        goto cleanup;
    }
    known = effects->base < 0 ? 0 : rank_settings(analysis, ranked);
    if (known == 0) {
        snprintf(
            sketch->absent, sizeof sketch->absent,
            "No setting has a finished cell whose partner of the base recipe is finished, too.");
        goto cleanup;
    }
    for (int i = 0; i < known; i++) {
        if (known > ROWS && i >= ROWS / 2 && i < known - ROWS / 2) {
            continue; /* the middle */
        }
        struct row *row = &rows[count++];
        snprintf(row->label, sizeof row->label, "%s",
                 figure_setting(analysis, ranked[i].setting).s);
        row->effect = effects_of(effects, ranked[i].setting, RESPONSE_LOG_KL, analysis->quantizer,
                                 analysis->checkpoint, EFFECTS_ALL_SIZES)
                          .interval;
        row->matched = analysis_matched_setting(analysis, ranked[i].setting).interval;
        row->has_matched = isfinite(row->matched.estimate);
    }
    sketch_begin(sketch, 980, 98 + 26 * count);
    fprintf(sketch->alt, "Effect of each setting on KL against the base recipe, with intervals.");
    const int matched = draw_rows(sketch, rows, count, "95 %");
    fprintf(
        sketch->caption,
        "KL of each setting against the base recipe, paired by size and seed, mean over the sizes "
        "that have it; each 95 %% interval stands for itself.");
    say_matched(sketch, matched);
    if (known > count) {
        fprintf(sketch->caption,
                " Shown: the %d largest and the %d smallest of %d effects; ptqscale report "
                "--full prints all.",
                ROWS / 2, ROWS / 2, known);
    }
cleanup:
    free(rows);
    free(ranked);
}
