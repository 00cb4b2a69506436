#include "results/figure.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "results/atomic.h"
#include "results/figure_parts.h"
#include "results/figure_svg.h"
#include "results/gnuplot.h"

#define SECONDS 20.0 /* a figure takes a tenth of one */

static const struct {
    const char *name, *title;
    sketch_fn *make;
} kinds[FIGURES] = {
    [FIGURE_SHARES] = {"shares", "Who owns the variance", figure_shares},
    [FIGURE_CLAIMS] = {"claims", "The effects behind the verdicts", figure_claims},
    [FIGURE_SETTINGS] = {"settings", "Each setting against the base recipe", figure_settings},
    [FIGURE_SCALE] = {"scale", "Degradation against model size", figure_scale},
    [FIGURE_HEAT] = {"quantizers", "Does it hold under other quantizers?", figure_heat},
    [FIGURE_EARLY] = {"early", "Do early checkpoints predict the end?", figure_early},
    [FIGURE_PROBES] = {"probes", "Probes of the mechanism", figure_probes},
    [FIGURE_TRACES] = {"training", "Training curves", figure_traces},
};

int figure_make(struct error *err, const struct analysis *analysis, enum figure_kind kind,
                struct figure *figure)
{
    int status = STATUS_OK;
    size_t caption_size = 0, alt_size = 0;
    struct sketch sketch = {.analysis = analysis};
    *figure = (struct figure){.name = kinds[kind].name, .title = kinds[kind].title};
    sketch.script = open_memstream(&figure->script, &figure->script_size);
    sketch.caption = open_memstream(&figure->caption, &caption_size);
    sketch.alt = open_memstream(&figure->alt, &alt_size);
    CHECK(err, sketch.script != NULL && sketch.caption != NULL && sketch.alt != NULL, STATUS_FAILED,
          "out of memory for a figure");
    kinds[kind].make(&sketch);
    figure->width = sketch.width;
    figure->height = sketch.height;
    memcpy(figure->absent, sketch.absent, sizeof figure->absent);
cleanup:;
    FILE *const files[] = {sketch.script, sketch.caption, sketch.alt};
    for (int i = 0; i < 3; i++) {
        bool bad = files[i] != NULL && ferror(files[i]) != 0;
        if (files[i] != NULL && (fclose(files[i]) != 0 || bad) && status == STATUS_OK) {
            status =
                error_set(err, STATUS_FAILED, __FILE__, __LINE__, "out of memory for a figure");
        }
    }
    if (figure->absent[0] != '\0') {
        free(figure->script);
        figure->script = NULL;
    }
    return status;
}

void figure_clear(struct figure *figure)
{
    free(figure->caption);
    free(figure->alt);
    free(figure->script);
    *figure = (struct figure){0};
}

/* The terminal's lines, with the font of small text, in front of the script. The other formats are as large as the SVG's pixels at 100 per inch. */
static int with_terminal(struct error *err, const struct figure *figure, enum figure_format format,
                         char **script, size_t *size)
{
    int status = STATUS_OK;
    FILE *out = open_memstream(script, size);
    CHECK(err, out != NULL, STATUS_FAILED, "out of memory for a figure");
    switch (format) {
    case FIGURE_INLINE:
    case FIGURE_SVG:
        fprintf(out,
                "set terminal svg size %.0f,%.0f dynamic noenhanced font 'sans-serif,13' name "
                "'%s'\nsmall = ',11'\n",
                figure->width, figure->height, figure->name);
        break;
    case FIGURE_PDF:
        fprintf(out,
                "set terminal pdfcairo size %.2fin,%.2fin noenhanced font 'Sans,9' fontscale "
                "0.8\nsmall = ',7.5'\n",
                figure->width / 100, figure->height / 100);
        break;
    case FIGURE_PNG:
        fprintf(out,
                "set terminal pngcairo size %.0f,%.0f noenhanced font 'Sans,9.5' fontscale 2 "
                "linewidth 2 pointscale 2\nsmall = ',8'\n",
                2 * figure->width, 2 * figure->height);
        break;
    }
    fwrite(figure->script, 1, figure->script_size, out);
    CHECK(err, fflush(out) == 0 && !ferror(out), STATUS_FAILED, "out of memory for a figure");
cleanup:
    if (out != NULL) {
        fclose(out);
    }
    return status;
}

int figure_draw(struct error *err, const struct figure *figure, enum figure_format format,
                char **bytes, size_t *size)
{
    int status = STATUS_OK;
    char *script = NULL, *drawn = NULL;
    size_t script_size = 0, drawn_size = 0;
    *bytes = NULL;
    TRY(with_terminal(err, figure, format, &script, &script_size));
    TRY(gnuplot_run(err, script, script_size, SECONDS, &drawn, &drawn_size));
    if (format == FIGURE_INLINE) {
        TRY(figure_svg_inline(err, figure, drawn, bytes, size));
    } else {
        *bytes = drawn;
        *size = drawn_size;
        drawn = NULL;
    }
cleanup:
    error_context(status == STATUS_OK ? NULL : err, "figure %s: ", figure->name);
    free(script);
    free(drawn);
    return status;
}

bool figure_format_find(const char *name, enum figure_format *format)
{
    static const char *const names[] = {
        [FIGURE_SVG] = "svg", [FIGURE_PDF] = "pdf", [FIGURE_PNG] = "png"};
    for (enum figure_format f = FIGURE_SVG; f <= FIGURE_PNG; f++) {
        if (strcmp(name, names[f]) == 0) {
            *format = f;
            return true;
        }
    }
    return false;
}

int figure_write_all(struct error *err, const struct analysis *analysis, const char *folder,
                     enum figure_format format, int *written)
{
    static const char *const ends[] = {
        [FIGURE_INLINE] = "svg", [FIGURE_SVG] = "svg", [FIGURE_PDF] = "pdf", [FIGURE_PNG] = "png"};
    int status = STATUS_OK;
    struct figure figure = {0};
    char *bytes = NULL, path[ATOMIC_PATH];
    size_t size = 0;
    *written = 0;
    CHECK(err, mkdir(folder, 0777) == 0 || errno == EEXIST, STATUS_FAILED,
          "%s: cannot make the folder: %s%s", folder, strerror(errno), atomic_hint(errno));
    for (enum figure_kind kind = 0; kind < FIGURES; kind++) {
        TRY(figure_make(err, analysis, kind, &figure));
        if (figure.script != NULL) {
            int length = snprintf(path, sizeof path, "%s/%s.%s", folder, figure.name, ends[format]);
            CHECK(err, length < ATOMIC_PATH, STATUS_FAILED, "%s: the path is too long", folder);
            TRY(figure_draw(err, &figure, format, &bytes, &size));
            TRY(atomic_replace(err, path, bytes, size, true));
            free(bytes);
            bytes = NULL;
            (*written)++;
        }
        figure_clear(&figure);
    }
cleanup:
    free(bytes);
    figure_clear(&figure);
    return status;
}
