/* How the study was made, and what the words of the report mean. */
#include <math.h>
#include <string.h>

#include "results/html_parts.h"

static void entry(const struct page *page, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        fputs("<dt>", page->out);
        html_text(page->out, name);
        fputs("</dt><dd>", page->out);
        html_text(page->out, value);
        fputs("</dd>\n", page->out);
    }
}

static void looks(const struct page *page)
{
    const struct table_looks *looks = &page->analysis->table->looks;
    if (looks->planned[0] != '\0') {
        char text[768];
        snprintf(
            text, sizeof text,
            "looks at %s seeds; the last one that was taken at %s: %s%s%s; nominal level of each "
            "interval %s",
            looks->planned, looks->seeds, looks->decision,
            looks->undecided[0] != '\0' ? ", undecided " : "", looks->undecided,
            text_significant(looks->level, 3).s);
        entry(page, "Adaptive seeds", text);
    }
}

static void provenance(const struct page *page)
{
    const struct table *table = page->analysis->table;
    const double seconds = table_seconds(table);
    char sets[TABLE_SETS];
    table_instruction_sets(table, sets);
    fputs("<dl>\n", page->out);
    entry(page, "Study", table->name);
    entry(page, "Title", table->title);
    entry(page, "Design", table->design);
    looks(page);
    entry(page, "Result file of", table->date);
    entry(page, "ptqscale", table->version);
    entry(page, "Commit of the runs", table_commits(table));
    entry(page, "Commit that wrote the file", table->commit);
    entry(page, "Method version", table->fact[TABLE_METHOD_VERSION]);
    entry(page, "Computing time", seconds > 0 ? text_seconds(seconds).s : NULL);
    entry(page, "Instruction sets", sets);
    entry(page, "Processors", table->fact[TABLE_CPUS]);
    entry(page, "Hosts", table->fact[TABLE_HOSTS]);
    entry(page, "Compiler", table->fact[TABLE_COMPILER]);
    entry(page, "Libraries", table->fact[TABLE_LIBRARIES]);
    entry(page, "MPI", table->fact[TABLE_MPI]);
    entry(page, "Jobs", table->fact[TABLE_JOBS]);
    entry(page, "Text", table->fact[TABLE_CORPUS]);
    entry(page, "Fingerprint of the text", table->fact[TABLE_FINGERPRINT]);
    fputs("</dl>\n", page->out);
    if (strchr(sets, ',') != NULL) {
        page_paragraph(page, "note",
                       "Cells were computed with different instruction sets: the same cell then "
                       "differs in its last bits, so pairs are not exact pairs.");
    }
    if (table->fact[TABLE_STUDY_FILE] != NULL) {
        fputs("<details><summary>The study file, as given</summary>\n<pre>", page->out);
        html_text(page->out, table->fact[TABLE_STUDY_FILE]);
        fputs("</pre></details>\n", page->out);
    }
}

static void words(const struct page *page)
{
    static const char *const all[][2] = {
        {"KL",
         "KL(p\xe2\x80\x96p_q), the mean divergence of the quantized model's predictions from "
         "the full model's on held-out text, nats per token: the degradation. Effects on it "
         "are ratios, shown as percent; all statistics are of its logarithm."},
        {"\xce\x94loss",
         "loss of the quantized model less that of the full model, nats per token."},
        {"Parameters", "non-embedding parameters."},
        {"Total decay \xce\x9b", "weight decay times the sum of the learning rates over the run."},
        {"Supported, contradicted, undecided",
         "with the simultaneous interval [L, U] in the claimed direction and the smallest effect "
         "of "
         "interest \xce\xb4: supported if L > 0; contradicted if U < \xce\xb4; else undecided. For "
         "H5 (KL does not grow with size): supported if U < \xce\xb4, contradicted if L > "
         "\xce\xb4. "
         "\xce\xb4 is 5 % of KL, for H5 25 % per ten times the parameters."},
        {"At equal loss",
         "the effect less what the base recipe's KL is at the same loss, read from "
         "its ladder of training tokens: a recipe that trains a better model is not "
         "blamed for that."},
        {"Simultaneous", "all seven intervals of H1 to H5 hold together with 95 % confidence."},
        {"Sizes", "effects are means over the sizes of this study, on this text; nothing here "
                  "extrapolates to other sizes."},
    };
    fputs("<details><summary>Words</summary><dl>\n", page->out);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        entry(page, all[i][0], all[i][1]);
    }
    fputs("</dl></details>\n", page->out);
}

void html_study(const struct page *page)
{
    page_section(page, "study", "Provenance");
    provenance(page);
    words(page);
    page_section_end(page);
}
