#include "results/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "results/atomic.h"
#include "results/html_parts.h"

/* ── Pieces ── */

void page_section(const struct page *page, const char *id, const char *title)
{
    fprintf(page->out, "<section id=\"%s\">\n<h2>", id);
    html_text(page->out, title);
    fputs("</h2>\n", page->out);
}

void page_section_end(const struct page *page)
{
    fputs("</section>\n", page->out);
}

static void say(const struct page *page, const char *format, va_list arguments)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, arguments);
    html_text(page->out, text);
}

void page_paragraph(const struct page *page, const char *class, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(page->out, class[0] != '\0' ? "<p class=\"%s\">" : "<p>", class);
    say(page, format, arguments);
    fputs("</p>\n", page->out);
    va_end(arguments);
}

void page_table(const struct page *page, const char *class, const char *caption,
                const char *const *head, int columns)
{
    fprintf(page->out, "<div class=\"wide\"><table class=\"%s\">\n<caption>", class);
    html_text(page->out, caption);
    fputs("</caption>\n<thead><tr>", page->out);
    for (int i = 0; i < columns; i++) {
        bool number = head[i][0] == '>';
        fprintf(page->out, "<th scope=\"col\"%s>", number ? " class=\"n\"" : "");
        html_text(page->out, head[i] + number);
        fputs("</th>", page->out);
    }
    fputs("</tr></thead>\n<tbody>\n", page->out);
}

void page_table_end(const struct page *page)
{
    fputs("</tbody></table></div>\n", page->out);
}

void page_text(const struct page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("<td>", page->out);
    say(page, format, arguments);
    fputs("</td>", page->out);
    va_end(arguments);
}

void page_number(const struct page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("<td class=\"n\">", page->out);
    say(page, format, arguments);
    fputs("</td>", page->out);
    va_end(arguments);
}

void page_value(const struct page *page, double value, const char *shown)
{
    if (isfinite(value)) {
        fprintf(page->out, "<td class=\"n\" data-v=\"%.9g\">", value);
    } else {
        fputs("<td class=\"n\">", page->out);
    }
    html_text(page->out, shown);
    fputs("</td>", page->out);
}

int page_figure(struct error *err, const struct page *page, enum figure_kind kind)
{
    int status = STATUS_OK;
    struct figure figure = {0};
    struct error failure = {0};
    char *svg = NULL;
    size_t size = 0;
    TRY(figure_make(err, page->analysis, kind, &figure));
    fprintf(page->out, "<figure id=\"fig-%s\" class=\"fig\">\n", figure.name);
    if (figure.script == NULL) {
        fprintf(page->out, "<p class=\"none\"><strong>");
        html_text(page->out, figure.title);
        fprintf(page->out, ":</strong> ");
        html_text(page->out, figure.absent);
        fputs("</p>\n</figure>\n", page->out);
        goto cleanup;
    }
    if (*page->hopeless) {
        page->outcome->failed++;
        fputs("<p class=\"none\">The figure could not be drawn, as above.</p>\n", page->out);
    } else if (figure_draw(&failure, &figure, FIGURE_INLINE, &svg, &size) == STATUS_OK) {
        fwrite(svg, 1, size, page->out);
        page->outcome->figures++;
    } else {
        if (page->outcome->failed++ == 0) {
            snprintf(page->outcome->reason, sizeof page->outcome->reason, "%s", failure.message);
        }
        *page->hopeless = failure.status != STATUS_FAILED;
        fputs("<p class=\"none\">The figure could not be drawn: ", page->out);
        html_text(page->out, failure.message);
        fputs("</p>\n", page->out);
    }
    fputs("<figcaption><strong>", page->out);
    html_text(page->out, figure.title);
    fputs(figure.title[strlen(figure.title) - 1] == '?' ? "</strong> " : ".</strong> ", page->out);
    html_text(page->out, figure.caption);
    fputs("<details><summary>In words and numbers</summary><p>", page->out);
    html_text(page->out, figure.alt);
    fputs("</p></details></figcaption>\n</figure>\n", page->out);
cleanup:
    free(svg);
    figure_clear(&figure);
    return status;
}

void page_verdict(const struct page *page, enum verdict verdict)
{
    static const struct {
        const char *class, *sign;
    } look[] = {
        [VERDICT_NOT_ASKED] = {"unasked", "\xe2\x80\x93"},
        [VERDICT_SUPPORTED] = {"held", "\xe2\x9c\x93"},
        [VERDICT_OPPOSITE] = {"broke", "\xe2\x9c\x97"},
        [VERDICT_NEGLIGIBLE] = {"broke", "\xe2\x9c\x97"},
        [VERDICT_CONTRADICTED] = {"broke", "\xe2\x9c\x97"},
        [VERDICT_UNDECIDED] = {"open", "?"},
        [VERDICT_UNDECIDED_MATCHING] = {"open", "?"},
        [VERDICT_UNDECIDED_DIVERGED] = {"open", "?"},
    };
    fprintf(page->out, "<span class=\"verdict %s\"><b aria-hidden=\"true\">%s</b> ",
            look[verdict].class, look[verdict].sign);
    html_text(page->out, verdict_name(verdict));
    fputs("</span>", page->out);
}

struct text html_p(double p)
{
    struct text text = {"< 0.001"};
    return isnan(p) || p >= 0.001 ? text_fixed(p, 3, false) : text;
}

/* ── The page ── */

static void head(const struct page *page)
{
    const struct table *table = page->analysis->table;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'; script-src 'unsafe-inline'\">\n<meta name=\"generator\" "
          "content=\"ptqscale ",
          page->out);
    html_text(page->out, table->version);
    fputs("\">\n<title>", page->out);
    html_text(page->out, table->name);
    fputs(": sensitivity to quantization</title>\n<style>\n", page->out);
    fputs(html_style, page->out);
    fputs("</style>\n</head>\n<body>\n", page->out);
}

static int sections(struct error *err, const struct page *page)
{
    int status = STATUS_OK;
    page_section(page, "effects", "Effects");
    TRY(page_figure(err, page, FIGURE_CLAIMS));
    TRY(page_figure(err, page, FIGURE_SETTINGS));
    page_section_end(page);
    page_section(page, "scale", "Scale");
    TRY(page_figure(err, page, FIGURE_SCALE));
    page_section_end(page);
    page_section(page, "others", "Other quantizers");
    TRY(page_figure(err, page, FIGURE_HEAT));
    page_section_end(page);
    page_section(page, "predict", "Early checkpoints");
    TRY(page_figure(err, page, FIGURE_EARLY));
    page_section_end(page);
    page_section(page, "mechanism", "Mechanism");
    TRY(page_figure(err, page, FIGURE_PROBES));
    page_section_end(page);
    page_section(page, "curves", "Training");
    TRY(page_figure(err, page, FIGURE_TRACES));
    page_section_end(page);
cleanup:
    return status;
}

static int body(struct error *err, const struct page *page)
{
    int status = STATUS_OK;
    TRY(html_answer(err, page));
    TRY(sections(err, page));
    TRY(html_tables(err, page));
    TRY(html_cells(err, page));
    html_study(page);
    fputs("</main>\n<script>\n", page->out);
    fputs(html_script, page->out);
    fputs("</script>\n</body>\n</html>\n", page->out);
cleanup:
    return status;
}

int html_write(struct error *err, const char *path, const struct analysis *analysis,
               const struct html_options *options, struct html_outcome *outcome)
{
    int status = STATUS_OK;
    char *text = NULL;
    size_t size = 0;
    bool hopeless = false;
    struct page page = {.analysis = analysis,
                        .options = options,
                        .outcome = outcome,
                        .hopeless = &hopeless,
                        .done = effects_count(analysis->effects, CELL_DONE)};
    *outcome = (struct html_outcome){0};
    page.out = open_memstream(&text, &size);
    CHECK(err, page.out != NULL, STATUS_FAILED, "%s: out of memory", path);
    head(&page);
    TRY(body(err, &page));
    CHECK(err, fflush(page.out) == 0 && !ferror(page.out), STATUS_FAILED, "%s: out of memory",
          path);
    TRY(atomic_replace(err, path, text, size, true));
cleanup:
    if (page.out != NULL) {
        fclose(page.out);
    }
    free(text);
    return status;
}
