/* Does degradation early in training predict degradation at the end? */
#include <math.h>

#include "results/figure_parts.h"

void figure_early(struct sketch *sketch)
{
    const struct early *early = &sketch->analysis->early;
    FILE *script = sketch->script;
    struct extent y = {0, 1};
    if (!early->known || early->points == 0) {
        snprintf(sketch->absent, sizeof sketch->absent,
                 "At least five recipes and two seeds of one size are needed, all finished.");
        return;
    }
    const struct interval *ceiling = &early->point[early->points - 1].rho;
    for (int i = 0; i < early->points; i++) {
        extent_add(&y, early->point[i].rho.low);
    }
    sketch_begin(sketch, 760, 380);
    struct legend legend = {88, sketch->width, 0, sketch->height - 10, false};
    sketch_frame(sketch, (struct frame){88, sketch->width - 14, 8, sketch->height - 92});
    sketch_legend(sketch, &legend,
                  (struct legend_entry){BLUE, "rank correlation, 95 % interval", 7, 1});
    sketch_legend(sketch, &legend, (struct legend_entry){VERMILLION, "noise ceiling", 0, 2});
    sketch_legend(sketch, &legend, (struct legend_entry){GREY, "threshold of the claim", 0, 3});
    fprintf(script,
            "set xrange [0:1.02]\nset yrange [%.4g:1.03]\nset xlabel 'checkpoint, fraction of the "
            "training run'\nset ylabel 'Spearman correlation with the end'\n"

            "set xtics (0, '1/16' 0.0625, '1/4' 0.25, '1/2' 0.5, '3/4' 0.75, '1' 1)\n"
            "set object 1 rectangle from 0,graph 0 to 0.25,graph 1 behind fc rgb '" FAINT
            "' fs transparent solid 0.45 noborder\n$rho << EOD\n",
            fmin(y.low - 0.03, 0));
    fprintf(sketch->alt,
            "Spearman correlation over recipes between log KL early in one seed and at the end in "
            "the others:");
    for (int i = 0; i < early->points; i++) {
        const struct early_point *point = &early->point[i];
        fprintf(script, "%.6g %.6g %.6g %.6g\n", point->fraction, point->rho.estimate,
                point->rho.low, point->rho.high);
        fprintf(sketch->alt, " at %s of training %s;", text_significant(point->fraction, 3).s,
                text_interval(point->rho.estimate, point->rho.low, point->rho.high).s);
    }
    fprintf(sketch->alt, " the last is the noise ceiling.");
    fprintf(script,
            "EOD\n$ceiling << EOD\n0 %.6g %.6g\n1.02 %.6g %.6g\nEOD\n"
            "plot $rho using 1:3:4 with filledcurves fc rgb '" BLUE
            "' fs transparent solid 0.18 noborder, %.6g with lines lc rgb '" VERMILLION
            "' lw 1.5 dt 2, 0.5 with lines lc rgb '" GREY
            "' lw 1.2 dt 3, $rho using 1:2 with linespoints lc rgb '" BLUE "' lw 2 pt 7 ps 1\n",
            ceiling->low, ceiling->high, ceiling->low, ceiling->high, ceiling->estimate);
    fprintf(sketch->caption,
            "Rank correlation over %d recipes between log KL of one seed at a checkpoint and the "
            "mean of the other seeds at the end, averaged over %d sizes and %d seeds; band: 95 %% "
            "bootstrap over recipes. The dashed line is what noise between seeds leaves possible. "
            "The claim holds if the band lies above 0.5 somewhere in the shaded first quarter.",
            early->recipes, early->sizes, early->seeds);
}
