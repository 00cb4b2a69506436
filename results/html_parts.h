/* The parts of report.html; private to html*.c. */
#ifndef RESULTS_HTML_PARTS_H
#define RESULTS_HTML_PARTS_H

#include <stdbool.h>
#include <stdio.h>

#include "results/figure.h"
#include "results/html.h"
#include "results/html_text.h"
#include "results/report_parts.h" /* an interval as text */
#include "results/text.h"

struct page {
    FILE *out;
    const struct analysis *analysis;
    const struct html_options *options;
    struct html_outcome *outcome;
    bool *hopeless; /* there is no gnuplot, or it hangs: further figures are not tried */
    int done;       /* finished cells */
};

/* html_style.c: what stands between <style> and between <script>. */
extern const char html_style[];
extern const char html_script[];

/* <section id=…><h2>…; close with page_section_end. */
void page_section(const struct page *page, const char *id, const char *title);
void page_section_end(const struct page *page);

/* A paragraph of plain text, with a class ("" for none). */
void page_paragraph(const struct page *page, const char *class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A table's beginning up to the first row: caption and one heading per column; a column whose heading starts with '>' holds numbers.
 * `class` may be "". */
void page_table(const struct page *page, const char *class, const char *caption,
                const char *const *head, int columns);
void page_table_end(const struct page *page);

/* An entry of a table's row: text, or a number on the right. */
void page_text(const struct page *page, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void page_number(const struct page *page, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same with the value that sorting goes by. */
void page_value(const struct page *page, double value, const char *shown);

/* Figure with caption and, behind a fold, its data in words; or why there is none. */
int page_figure(struct error *err, const struct page *page, enum figure_kind kind);

/* "✓ supported", coloured. */
void page_verdict(const struct page *page, enum verdict verdict);

/* "p < 0.001", "0.034" */
struct text html_p(double p);

int html_answer(struct error *err, const struct page *page); /* html_answer.c: the first screen */
int html_tables(struct error *err, const struct page *page); /* html_tables.c */
int html_cells(struct error *err, const struct page *page);  /* html_cells.c */
void html_study(const struct page *page);                    /* html_study.c: provenance, words */

#endif
