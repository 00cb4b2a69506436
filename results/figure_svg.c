#include "results/figure_svg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/html_text.h"

/* What stands in gnuplot's output, and what takes its place; "%" is the figure's name. */
static const struct {
    const char *from, *to;
} replacements[] = {
    {" color=\"black\"", ""},
    {"stroke=\"black\"", "stroke=\"currentColor\""},
    {"stroke='black'", "stroke='currentColor'"},
    {"fill=\"black\"", "fill=\"currentColor\""},
    {"fill='black'", "fill='currentColor'"},
    {"fill = 'black'", "fill='currentColor'"},
    {"color='black'", ""},
    {"rgb(  0,   0,   0)", "currentColor"},
    {"rgb(0,0,0)", "currentColor"},
    {"rgb(255,255,255)", "var(--on)"},
    {"rgb(  0, 114, 178)", "var(--blue)"},
    {"rgb(213,  94,   0)", "var(--vermillion)"},
    {"rgb(  0, 158, 115)", "var(--green)"},
    {"rgb(204, 121, 167)", "var(--purple)"},
    {"rgb(230, 159,   0)", "var(--orange)"},
    {"rgb( 86, 180, 233)", "var(--sky)"},
    {"rgb(140, 140, 140)", "var(--grey)"},
    {"rgb(210, 210, 210)", "var(--faint)"},
    {"xlink:href='#gp", "href='#%-"},
    {"id='gp", "id='%-"},
    {"id=\"gnuplot_canvas\"", "id=\"%-canvas\""},
};

/* The same of one line. Colours of ours that stand for "the page's text" come as black. */
static void recolour(FILE *out, const char *name, const char *line, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t taken = 0;
        for (size_t i = 0; i < sizeof replacements / sizeof replacements[0]; i++) {
            size_t from = strlen(replacements[i].from);
            if (from <= length - at && memcmp(line + at, replacements[i].from, from) == 0) {
                for (const char *c = replacements[i].to; *c != '\0'; c++) {
                    *c == '%' ? (void)fputs(name, out) : (void)fputc(*c, out);
                }
                taken = from;
                break;
            }
        }
        if (taken == 0) {
            fputc(line[at], out);
            taken = 1;
        }
        at += taken;
    }
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Lines that say nothing: groups without content, and filters and names that nothing of ours uses. */
static bool is_empty_group(const char *line, const char *next)
{
    return starts_with(line, "<g fill=\"none\"") && starts_with(next, "</g>");
}

static const char *line_end(const char *line)
{
    const char *end = strchr(line, '\n');
    return end == NULL ? line + strlen(line) : end + 1;
}

static void write_body(FILE *out, const char *name, const char *line)
{
    bool filter = false;
    while (*line != '\0') {
        const char *next = line_end(line);
        const char *text = line + strspn(line, " \t");
        if (is_empty_group(line, next)) {
            line = line_end(next);
            continue;
        }
        bool begins = starts_with(text, "<filter"), ends = starts_with(text, "</filter");
        filter |= begins;
        if (!filter && *text != '\n') {
            /* <g id="NAME_plot_1" ><title>NAME_plot_1</title>: the title would show as a hint */
            const char *title = strstr(text, "<title>");
            const char *cut = title != NULL && title < next ? title : next;
            recolour(out, name, text, (size_t)(cut - text));
            if (cut != next) {
                fputc('\n', out);
            }
        }
        filter &= !ends;
        line = next;
    }
}

int figure_svg_inline(struct error *err, const struct figure *figure, const char *svg, char **out,
                      size_t *size)
{
    static const char canvas[] = "<g id=\"gnuplot_canvas\">";
    int status = STATUS_OK;
    FILE *file = NULL;
    char *text = NULL;
    const char *body = strstr(svg, canvas);
    *out = NULL;
    CHECK(err, body != NULL && strstr(body, "</svg>") != NULL, STATUS_FAILED,
          "gnuplot drew no whole SVG");
    file = open_memstream(&text, size);
    CHECK(err, file != NULL, STATUS_FAILED, "out of memory for a figure");
    fprintf(file,
            "<svg role=\"img\" aria-labelledby=\"%s-t %s-d\" style=\"max-width:%.0fpx\" "
            "viewBox=\"0 0 %.0f %.0f\" "
            "xmlns=\"http://www.w3.org/2000/svg\">\n<title id=\"%s-t\">",
            figure->name, figure->name, figure->width, figure->width, figure->height, figure->name);
    html_text(file, figure->title);
    fprintf(file, "</title>\n<desc id=\"%s-d\">", figure->name);
    html_text(file, figure->alt);
    fputs("</desc>\n", file);
    write_body(file, figure->name, body);
    CHECK(err, fflush(file) == 0 && !ferror(file), STATUS_FAILED, "out of memory for a figure");
cleanup:
    if (file != NULL && fclose(file) != 0 && status == STATUS_OK) {
        status = error_set(err, STATUS_FAILED, __FILE__, __LINE__, "out of memory for a figure");
    }
    if (status == STATUS_OK) {
        *out = text;
        text = NULL;
    }
    free(text);
    return status;
}
