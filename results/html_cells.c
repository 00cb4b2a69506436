/* The cells: one row each with its details below, or, of a large study, a summary by setting and size. */
#include <math.h>
#include <string.h>

#include "results/html_parts.h"

#define DELTA "\xce\x94"
#define MILLI "10\xe2\x81\xbb\xc2\xb3" /* KL and Δloss are shown in 10⁻³ nats per token */
#define SCALE 1e3

static size_t run_of(const struct analysis *analysis, int cell)
{
    return (size_t)cell * (size_t)analysis->table->checkpoints + (size_t)analysis->checkpoint;
}

static double quantized(const struct analysis *analysis, const double *values, int cell,
                        int quantizer)
{
    return values == NULL ? NAN
                          : values[run_of(analysis, cell) * (size_t)analysis->table->quantizers +
                                   (size_t)quantizer];
}

static void cell_row(const struct page *page, int i)
{
    const struct analysis *analysis = page->analysis;
    const struct table *table = analysis->table;
    const struct table_cell *cell = &table->cell[i];
    const double values[] = {table->loss[run_of(analysis, i)],
                             quantized(analysis, table->kl, i, analysis->quantizer),
                             quantized(analysis, table->delta_loss, i, analysis->quantizer),
                             table->wall_time == NULL ? NAN : table->wall_time[i]};
    fprintf(page->out, "<tr class=\"s%d\"><td><a href=\"#c%d\"><code>%.12s</code></a></td>",
            (int)cell->status, i, cell->id);
    page_value(page, cell->parameters, cell->size);
    page_text(page, "%s", cell->setting);
    page_number(page, "%llu", (unsigned long long)cell->seed);
    page_text(page, "%s", cell_status_name(cell->status));
    page_value(page, values[0], text_fixed(values[0], 4, false).s);
    page_value(page, values[1], text_significant(SCALE * values[1], 4).s);
    page_value(page, values[2], text_significant(SCALE * values[2], 3).s);
    page_value(page, values[3], text_seconds(values[3]).s);
    fputs("</tr>\n", page->out);
}

static void details_settings(const struct page *page, int i)
{
    const struct table_cell *cell = &page->analysis->table->cell[i];
    fputs("<p>", page->out);
    html_say(
        page->out,
        "Cell %s: %s parameters, %s tokens (%s per parameter), learning rate %s, total decay %s "
        "(weight decay %s), dropout %s, ",
        cell->id, text_count(cell->parameters).s, text_count(cell->tokens).s,
        text_significant(cell->tokens / cell->parameters, 3).s,
        text_significant(cell->learning_rate, 4).s, text_significant(cell->total_decay, 4).s,
        text_significant(cell->weight_decay, 4).s, text_significant(cell->dropout, 3).s);
    if (cell->grad_clip > 0) {
        html_say(page->out, "gradient clipping at %s", text_significant(cell->grad_clip, 3).s);
    } else {
        html_say(page->out, "no gradient clipping");
    }
    html_say(page->out, ", %s, %s schedule, seed %llu. Instruction set: %s.",
             precision_name(cell->precision), schedule_name(cell->schedule),
             (unsigned long long)cell->seed,
             page->analysis->table->isa != NULL && page->analysis->table->isa[i][0] != '\0'
                 ? page->analysis->table->isa[i]
                 : "unknown");
    fputs("</p>\n", page->out);
}

static void details_course(const struct page *page, int i)
{
    const struct analysis *analysis = page->analysis;
    const struct table *table = analysis->table;
    fputs("<p>Held-out loss at fractions of training: ", page->out);
    for (int k = 0; k < table->checkpoints; k++) {
        size_t run = (size_t)i * (size_t)table->checkpoints + (size_t)k;
        html_say(page->out, "%s%s at %s", k > 0 ? ", " : "",
                 text_fixed(table->loss[run], 4, false).s,
                 text_significant(table->training_fraction[k], 3).s);
    }
    fputs(" nats per token.", page->out);
    for (int p = 0; p < TABLE_PROBES; p++) {
        if (table->probe[p] != NULL) {
            html_say(page->out, " %s%s: %s.", p == 0 ? "Probes, geometric means: " : "",
                     table_probe_name((enum table_probe)p),
                     text_significant(exp(table->probe[p][run_of(analysis, i)]), 4).s);
        }
    }
    fputs("</p>\n", page->out);
}

static void details_tasks(const struct page *page, int i)
{
    const struct table *table = page->analysis->table;
    for (int t = 0; t < table->tasks && table->accuracy != NULL; t++) {
        double accuracy =
            table->accuracy[run_of(page->analysis, i) * (size_t)table->tasks + (size_t)t];
        if (isfinite(accuracy)) {
            html_say(page->out, "%s%s: accuracy %s %%. ", t == 0 ? "Tasks: " : "", table->task[t],
                     text_fixed(100 * accuracy, 1, false).s);
        }
    }
}

static void details(const struct page *page, int i)
{
    static const char *const head[] = {"quantizer", ">KL", ">" DELTA "loss", ">loss increase, %",
                                       ">top-1 agreement, %"};
    const struct analysis *analysis = page->analysis;
    const struct table *table = analysis->table;
    const struct table_cell *cell = &table->cell[i];
    fputs("<details class=\"cell\"><summary>", page->out);
    html_say(page->out, "%.12s %s, %s, seed %llu: %s", cell->id, cell->size, cell->setting,
             (unsigned long long)cell->seed, cell_status_name(cell->status));
    fprintf(page->out, "</summary><div id=\"c%d\">\n", i);
    details_settings(page, i);
    if (cell->status == CELL_DONE) {
        details_course(page, i);
        details_tasks(page, i);
        page_table(page, "",
                   "At the end of training; KL and " DELTA "loss in " MILLI " nats per token", head,
                   5);
        for (int q = 0; q < table->quantizers; q++) {
            fprintf(page->out, "<tr>");
            page_text(page, "%s", table->quantizer[q]);
            page_number(page, "%s",
                        text_significant(SCALE * quantized(analysis, table->kl, i, q), 4).s);
            page_number(
                page, "%s",
                text_significant(SCALE * quantized(analysis, table->delta_loss, i, q), 4).s);
            page_number(
                page, "%s",
                text_significant(100 * quantized(analysis, table->relative_loss_increase, i, q), 3)
                    .s);
            page_number(
                page, "%s",
                text_fixed(100 * quantized(analysis, table->top1_agreement, i, q), 2, false).s);
            fputs("</tr>\n", page->out);
        }
        page_table_end(page);
    }
    fputs("</div></details>\n", page->out);
}

static void all_cells(const struct page *page)
{
    static const char *const head[] = {"cell",  "size", "setting",        ">seed",     "status",
                                       ">loss", ">KL",  ">" DELTA "loss", ">wall time"};
    const struct analysis *analysis = page->analysis;
    char caption[256];
    snprintf(caption, sizeof caption,
             "Cells at the end of training: loss in nats per token, KL and " DELTA
             "loss under %s in " MILLI
             " nats per token. A cell's name leads to its settings and all its numbers.",
             analysis->table->quantizer[analysis->quantizer]);
    fputs(
        "<label id=\"filter\" hidden>Show cells with <input type=\"search\" placeholder=\"dropout "
        "2x64 diverged\"></label>\n",
        page->out);
    page_table(page, "sortable cells", caption, head, 9);
    for (int i = 0; i < analysis->table->cells; i++) {
        cell_row(page, i);
    }
    page_table_end(page);
    fputs("<h3>Each cell</h3>\n", page->out);
    for (int i = 0; i < analysis->table->cells; i++) {
        details(page, i);
    }
}

static void summary(const struct page *page)
{
    static const char *const head[] = {"setting",           "size",          ">done",
                                       ">not done",         ">loss",         ">KL",
                                       ">seed SD of KL, %", ">" DELTA "loss"};
    const struct analysis *analysis = page->analysis;
    const struct effects *effects = analysis->effects;
    int shown = 0;
    page_table(page, "sortable",
               "Cells by setting and size at the end of training: means over seeds (KL: "
               "geometric); loss in "
               "nats per token, KL and " DELTA "loss in " MILLI " nats per token",
               head, 8);
    for (int s = 0; s < effects->settings; s++) {
        for (int z = 0; z < effects->sizes && shown < HTML_CELLS; z++) {
            int done = 0, total = 0;
            for (int k = effects->start[s]; k < effects->start[s + 1]; k++) {
                int cell = effects->order[k];
                if (effects->size_of[cell] == z) {
                    total++;
                    done += effects->table->cell[cell].status == CELL_DONE;
                }
            }
            if (total == 0) {
                continue;
            }
            struct mean kl = effects_mean(effects, s, z, RESPONSE_LOG_KL, analysis->quantizer,
                                          analysis->checkpoint);
            struct mean loss = effects_mean(effects, s, z, RESPONSE_LOSS, 0, analysis->checkpoint);
            struct mean delta = effects_mean(effects, s, z, RESPONSE_DELTA_LOSS,
                                             analysis->quantizer, analysis->checkpoint);
            fputs("<tr>", page->out);
            page_text(page, "%s", effects->setting[s].label);
            page_value(page, effects->size[z].parameters, effects->size[z].name);
            page_number(page, "%d", done);
            page_number(page, "%d", total - done);
            page_value(page, loss.mean, text_fixed(loss.mean, 4, false).s);
            page_value(page, exp(kl.mean), text_significant(SCALE * exp(kl.mean), 4).s);
            page_value(page, kl.sd, text_fixed(text_percent(kl.sd), 1, false).s);
            page_value(page, delta.mean, text_significant(SCALE * delta.mean, 3).s);
            fputs("</tr>\n", page->out);
            shown++;
        }
    }
    page_table_end(page);
    if (shown == HTML_CELLS) {
        page_paragraph(page, "small", "The first %d rows; ptqscale report prints every setting.",
                       shown);
    }
}

int html_cells(struct error *err, const struct page *page)
{
    (void)err;
    const char *source = page->options->source;
    page_section(page, "cells", "Cells");
    if (page->analysis->table->cells <= HTML_CELLS) {
        all_cells(page);
    } else {
        summary(page);
        page_paragraph(
            page, "",
            "The study has %d cells, too many for one page. One cell with all its "
            "numbers: ptqscale explain %s CELL, where CELL is the beginning of an id, or "
            "size/setting/seed as in this table; a wrong name lists those that come "
            "near.",
            page->analysis->table->cells, source != NULL ? source : "DIR");
    }
    page_section_end(page);
    return STATUS_OK;
}
