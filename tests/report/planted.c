/*
 * build/planted: a complete study.nc whose truth is known, through the program's own writer, for tests of the analysis and the
 * report, also at 20,000 cells. The design is the reference study's: the half fraction 2^(5−1) × sizes × seeds and the base's
 * ladder of tokens with its diagonal; the responses are those of tests/report/planted.h.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/version.h"
#include "results/studyfile.h"
#include "tests/report/planted.h"

static void help(void)
{
    printf("usage: planted OUT.nc [options]\n"
           "Writes a study.nc with known effects.\n"
           "  --sizes N --seeds N      (4, 4)\n"
           "  --cells N                about as many: seeds follow from it\n"
           "  --missing N              cells without a result (0)\n"
           "  --diverged N             cells that diverged (0)\n"
           "  --quantizers N           of METHOD's list (21)\n"
           "  --windows N --tasks 0|1  (16, 0)\n"
           "  --seed N                 of the noise (1)\n"
           "  --slope X                of log KL per decade of parameters (0.1)\n"
           "  --decay X --dropout X --clip X --half X --rate X\n"
           "                           effects on log KL (0.5, 0.2, 0.1, 0.02, -0.3)\n"
           "  --pair X --scale-pair X  decay x clip; size x decay, per decade (0.05, 0.1)\n"
           "  --seed-sd X --residual-sd X  (0.05, 0.05)\n");
}

/* ---- the study ---- */

static void put_sizes(FILE *out, int sizes)
{
    fputs("sizes:\n", out);
    for (int s = 0; s < sizes; s++) {
        fprintf(out,
                "  - {name: %dx%d, layers: %d, d_model: %d, heads: %d, context: 64, learning_rate: "
                "%.1e}\n",
                2 + s / 2, 32 * (s + 1), 2 + s / 2, 32 * (s + 1), s + 1, 16e-3 / (s + 1));
    }
}

/* The half fraction with the base all low: E = −ABCD. */
static void put_settings(FILE *out)
{
    static const char *const alternative[FACTORS] = {"total_decay: 0.005", "dropout: 0.1",
                                                     "grad_clip: none", "precision: fp16",
                                                     "learning_rate_factor: 0.3333"};
    fputs("cells:\n", out);
    for (int run = 0; run < 16; run++) {
        int product = 1;
        const char *between = "";
        fputs("  - {", out);
        for (int f = 0; f < FACTORS; f++) {
            const int sign = f < RATE ? ((run >> (3 - f)) & 1 ? 1 : -1) : -product;
            product *= sign;
            if (sign > 0) {
                fprintf(out, "%s%s", between, alternative[f]);
                between = ", ";
            }
        }
        fputs("}\n", out);
    }
    fputs("  - {tokens: 524288}\n  - {tokens: 1048576}\n  - {tokens: 4194304}\n"
          "  - {tokens_per_parameter: 10}\n",
          out);
}

static void put_study(FILE *out, const struct planted *p, int seeds)
{
    fputs("name: planted\ntitle: \"A study with planted effects\"\n"
          "note: \"Made up by tests/report/planted.c: no model was trained.\"\ndesign: list\n",
          out);
    put_sizes(out, p->sizes);
    fputs("base:\n  total_decay: 0.5\n  dropout: 0\n  grad_clip: 1.0\n  precision: bf16\n"
          "  learning_rate_factor: 1\n  schedule: cosine\n  tokens: 2097152\n",
          out);
    put_settings(out);
    fprintf(out, "seeds: %d\ntrain: {batch_tokens: 2048, micro_batch_tokens: 2048}\n", seeds);
    fputs("quantizers: [w8a8", out);
    for (int i = 0, named = 1; quantizer_at(i) != NULL && named < p->quantizers; i++) {
        if (strcmp(quantizer_at(i)->name, "w8a8") != 0) {
            fprintf(out, ", %s", quantizer_at(i)->name);
            named++;
        }
    }
    fputs("]\n", out);
    if (p->tasks > 0) {
        fputs("tasks:\n  - {name: pairs, items: 50, seed: 1}\n", out);
    }
    fprintf(out,
            "evaluate:\n  fractions: [0.0625, 0.125, 0.25, 0.5, 0.75, 1.0]\n  windows: %d\n"
            "  early_quantizers: [w8a8%s]\n  calibration_windows: 16\n",
            p->windows, p->quantizers > 4 ? ", w4" : "");
    fputs("data: {files: [planted.txt], cleaning: none, fingerprint: "
          "\"0123456789abcdef0123456789abcdef\"}\n",
          out);
}

/* The study file goes through a temporary file: it is read as a user's is. */
static int read_study(struct error *err, const struct planted *p, int seeds, struct spec **spec)
{
    int status = STATUS_OK;
    char path[] = "/tmp/planted-XXXXXX.yaml";
    const int file = mkstemps(path, 5);
    FILE *out = file < 0 ? NULL : fdopen(file, "w");
    CHECK(err, out != NULL, STATUS_FAILED, "%s: cannot be written", path);
    put_study(out, p, seeds);
    CHECK(err, fclose(out) == 0, STATUS_FAILED, "%s: cannot be written", path);
    TRY(spec_read(err, path, spec));
cleanup:
    unlink(path);
    return status;
}

/* ---- the file ---- */

/* Choose `count` of the cells, none twice: fate[i] = what. */
static void choose(const struct planted *p, int cells, int count, char what, char *fate)
{
    for (int tries = 0; count > 0 && tries < 100 * cells; tries++) {
        const int i =
            (int)(planted_uniform(p, PLANTED_CHOICE, (uint64_t)what, (uint64_t)tries, 0) * cells);
        if (fate[i] == 0) {
            fate[i] = what;
            count--;
        }
    }
}

static int put_cell(struct error *err, const struct planted *p, const struct spec *spec,
                    const struct cell *cell, char fate, struct studyfile *file)
{
    int status = STATUS_OK;
    struct record *record = NULL;
    TRY(record_create(err, cell, &record));
    if (fate == 'm') {
        const bool failed = cell->number % 2 == 0;
        record->status = failed ? CELL_FAILED : CELL_PENDING;
        snprintf(record->reason, sizeof record->reason, "%s", failed ? "planted" : "");
        TRY(studyfile_put(err, file, record, true));
    } else {
        const int until = fate == 'd' ? record->checkpoints / 2 : record->checkpoints;
        planted_fill(p, spec, cell, until, record);
        record->status = fate == 'd' ? CELL_DIVERGED : CELL_DONE;
        snprintf(record->reason, sizeof record->reason, "%s", fate == 'd' ? "planted" : "");
        TRY(studyfile_put(err, file, record, false));
    }
cleanup:
    record_free(record);
    return status;
}

static int put_texts(struct error *err, const struct spec *spec, const struct cell *cells,
                     int count, const struct studyfile *file)
{
    int status = STATUS_OK;
    char *expanded = NULL, id[STUDYFILE_ID];
    studyfile_id(spec->name, cells, count, id);
    TRY(spec_expanded(err, spec, &expanded));
    const char *const text[][2] = {
        {"Conventions", "CF-1.10, ACDD-1.3"},
        {"title", spec->title},
        {"summary", spec->note},
        {"keywords", "planted"},
        {"id", id},
        {"source", "tests/report/planted.c"},
        {"history", "planted"},
        {"date_created", "2024-01-01T00:00:00Z"},
        {"study_name", spec->name},
        {"study_design", design_name(spec->design)},
        {"study_note", spec->note},
        {"study_path", "planted.yaml"},
        {"study_file", spec->text},
        {"study_expanded", expanded},
        {"method_version", METHOD_VERSION},
        {"version", version_string()},
        {"commit", version_commit()},
        {"compiler", version_compiler()},
        {"libraries", "none"},
        {"mpi", "none"},
        {"job_ids", ""},
        {"corpus_fingerprint", cells->data.fingerprint},
        {"corpus_files", "planted.txt"},
        {"corpus_cleaning", cells->data.cleaning},
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        TRY(studyfile_text(err, file, text[i][0], text[i][1]));
    }
cleanup:
    free(expanded);
    return status;
}

static int count_cells(struct error *err, const struct planted *p, int *count)
{
    int status = STATUS_OK;
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    TRY(read_study(err, p, 1, &spec));
    TRY(spec_cells(err, spec, &cells, count));
cleanup:
    free(cells);
    spec_free(spec);
    return status;
}

static int write_study(struct error *err, const struct planted *p)
{
    int status = STATUS_OK;
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    struct studyfile *file = NULL;
    char *fate = NULL;
    int count = 0, seeds = p->seeds;
    if (p->cells > 0) {
        TRY(count_cells(err, p, &count));
        seeds = (p->cells + count / 2) / count;
        seeds = seeds < 1 ? 1 : seeds;
    }
    TRY(read_study(err, p, seeds, &spec));
    TRY(spec_cells(err, spec, &cells, &count));
    fate = calloc((size_t)count, 1);
    CHECK(err, fate != NULL, STATUS_FAILED, "out of memory for %d cells", count);
    choose(p, count, p->missing, 'm', fate);
    choose(p, count, p->diverged, 'd', fate);
    TRY(studyfile_create(err, p->out, cells, count, &file));
    TRY(put_texts(err, spec, cells, count, file));
    TRY(studyfile_define(err, file));
    for (int i = 0; i < count; i++) {
        TRY(put_cell(err, p, spec, &cells[i], fate[i], file));
    }
    status = studyfile_commit(err, file);
    file = NULL;
    TRY(status);
    printf("%s: %d cells, %d sizes, %d seeds, %d missing, %d diverged\n", p->out, count, p->sizes,
           seeds, p->missing, p->diverged);
cleanup:
    studyfile_discard(file);
    free(fate);
    free(cells);
    spec_free(spec);
    return status;
}

int main(int argc, char **argv)
{
    struct planted p = {.sizes = 4,
                        .seeds = 4,
                        .quantizers = 21,
                        .windows = 16,
                        .seed = 1,
                        .slope = 0.1,
                        .effect = {0.5, 0.2, 0.1, 0.02, -0.3},
                        .pair = 0.05,
                        .scale_pair = 0.1,
                        .seed_sd = 0.05,
                        .residual_sd = 0.05};
    const struct {
        const char *name;
        int *number;
        double *value;
    } known[] = {
        {"sizes", &p.sizes, NULL},
        {"seeds", &p.seeds, NULL},
        {"cells", &p.cells, NULL},
        {"missing", &p.missing, NULL},
        {"diverged", &p.diverged, NULL},
        {"quantizers", &p.quantizers, NULL},
        {"windows", &p.windows, NULL},
        {"tasks", &p.tasks, NULL},
        {"slope", NULL, &p.slope},
        {"decay", NULL, &p.effect[DECAY]},
        {"dropout", NULL, &p.effect[DROPOUT]},
        {"clip", NULL, &p.effect[CLIP]},
        {"half", NULL, &p.effect[HALF]},
        {"rate", NULL, &p.effect[RATE]},
        {"pair", NULL, &p.pair},
        {"scale-pair", NULL, &p.scale_pair},
        {"seed-sd", NULL, &p.seed_sd},
        {"residual-sd", NULL, &p.residual_sd},
        {"seed", NULL, NULL},
        {"help", NULL, NULL},
    };
    enum { KNOWN = sizeof known / sizeof known[0] };
    struct option options[KNOWN + 1] = {0};
    struct error err = {0};
    int option = 0, index = 0;
    for (int i = 0; i < KNOWN; i++) {
        options[i] = (struct option){known[i].name,
                                     i == KNOWN - 1 ? no_argument : required_argument, NULL, 1};
    }
    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (option != 1) {
            return STATUS_USAGE;
        }
        if (known[index].number != NULL) {
            *known[index].number = atoi(optarg);
        } else if (known[index].value != NULL) {
            *known[index].value = atof(optarg);
        } else if (index == KNOWN - 1) {
            help();
            return STATUS_OK;
        } else {
            p.seed = strtoull(optarg, NULL, 10);
        }
    }
    if (optind != argc - 1 || p.sizes < 1 || p.sizes > PLANTED_SIZES || p.quantizers < 1) {
        help();
        return STATUS_USAGE;
    }
    p.out = argv[optind];
    const int status = write_study(&err, &p);
    if (status != STATUS_OK) {
        fprintf(stderr, "planted: %s\n", err.message);
    }
    return status;
}
