/* The study as understood, as YAML. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/spec_read.h"

/* A double-quoted YAML scalar. */
static void put_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '"' || byte == '\\') {
            fprintf(out, "\\%c", byte);
        } else if (byte < 0x20 || byte == 0x7f) {
            fprintf(out, "\\x%02x", byte);
        } else {
            fputc(byte, out);
        }
    }
    fputc('"', out);
}

/* The shortest decimal that reads back as the same double. */
static void put_number(FILE *out, double value)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    fputs(text, out);
}

static void put_pair(FILE *out, const char *key, double value)
{
    fprintf(out, "  %s: ", key);
    put_number(out, value);
    fputc('\n', out);
}

static void put_sizes(FILE *out, const struct spec *spec)
{
    fputs("sizes:\n", out);
    for (int i = 0; i < spec->sizes; i++) {
        const struct cell_size *size = &spec->size[i];
        fputs("  - {name: ", out);
        put_string(out, size->name);
        fprintf(out, ", layers: %d, d_model: %d, heads: %d, d_ff: %d, context: %d", size->layers,
                size->d_model, size->heads, size->d_ff, size->context);
        if (spec->size_learning_rate[i] > 0) {
            fputs(", learning_rate: ", out);
            put_number(out, spec->size_learning_rate[i]);
        }
        if (spec->size_ranks[i] > 0) {
            fprintf(out, ", ranks_per_cell: %d", spec->size_ranks[i]);
        }
        fputs("}\n", out);
    }
}

/* Level texts are words and numbers that the reader has checked: they need no quotes. */
static void put_recipes(FILE *out, const struct spec *spec)
{
    fputs("base:\n", out);
    for (int f = 0; f < FACTOR_COUNT; f++) {
        if (spec->base[f].text[0]) {
            fprintf(out, "  %s: %s\n", factor_name((enum factor)f), spec->base[f].text);
        }
    }
    fputs(spec->factors ? "factors:\n" : "", out);
    for (int f = 0; f < spec->factors; f++) {
        fprintf(out, "  %s: [", factor_name(spec->factor[f]));
        for (int i = 0; i < spec->levels[f]; i++) {
            fprintf(out, "%s%s", i ? ", " : "", spec->level[f][i].text);
        }
        fputs("]\n", out);
    }
    fputs(spec->settings ? "cells:\n" : "", out);
    for (int i = 0; i < spec->settings; i++) {
        const struct spec_setting *setting = &spec->setting[i];
        fputs("  - {", out);
        if (setting->size >= 0) {
            fputs("size: ", out);
            put_string(out, spec->size[setting->size].name);
        }
        for (int l = 0; l < setting->levels; l++) {
            fprintf(out, "%s%s: %s", l || setting->size >= 0 ? ", " : "",
                    factor_name(setting->level[l].factor), setting->level[l].text);
        }
        fputs("}\n", out);
    }
}

static void put_seeds(FILE *out, const struct spec *spec)
{
    const struct spec_looks *looks = &spec->looks;
    char text[SPEC_LOOKS_TEXT];
    if (looks->count > 0) {
        fprintf(out, "seeds: {looks: [%s], until: verdicts, first: %llu, reached: %d",
                spec_looks_text(looks, text), (unsigned long long)looks->first, spec->seeds);
        if (looks->budget > 0) {
            fputs(", budget: ", out);
            put_number(out, looks->budget);
            fputc('s', out);
        }
        fputs("}\n", out);
        return;
    }
    fputs("seeds: [", out);
    for (int i = 0; i < spec->seeds; i++) {
        fprintf(out, "%s%llu", i ? ", " : "", (unsigned long long)spec->seed[i]);
    }
    fputs("]\n", out);
}

static void put_train(FILE *out, const struct spec *spec)
{
    fprintf(out, "train:\n  batch_tokens: %lld\n  micro_batch_tokens: %lld\n",
            (long long)spec->batch_tokens, (long long)spec->micro_batch_tokens);
    put_pair(out, "warmup", spec->train.warmup);
    put_pair(out, "cooldown", spec->train.cooldown);
    put_pair(out, "final_learning_rate", spec->train.final_rate);
    put_pair(out, "beta1", spec->train.beta1);
    put_pair(out, "beta2", spec->train.beta2);
    put_pair(out, "epsilon", spec->train.epsilon);
}

/* A name of METHOD §3, or all facts. */
static void put_quantizer(FILE *out, const struct quantizer *quantizer)
{
    const struct quantizer *known = quantizer_find(quantizer->name);
    if (known && quantizer_same(known, quantizer)) {
        fputs(quantizer->name, out);
        return;
    }
    fprintf(out, "{name: %s, weights: %s", quantizer->name,
            weight_format_name((int)quantizer->weights));
    if (quantizer->weights == WEIGHTS_INT) {
        fprintf(out, "%d", quantizer->weight_bits);
    }
    if (quantizer->group > 0) {
        fprintf(out, ", group: %d", quantizer->group);
    }
    if (quantizer->activations == ACTIVATIONS_FP8 || quantizer->activations == ACTIVATIONS_FULL) {
        fprintf(out, ", activations: %s",
                quantizer->activations == ACTIVATIONS_FP8 ? "fp8" : "full");
    } else {
        fprintf(out, ", activations: int%d, activation_scale: %s", quantizer->activation_bits,
                quantizer->activations == ACTIVATIONS_PER_TENSOR ? "tensor" : "token");
    }
    fprintf(out, ", transform: %s, outliers: %s, method: %s}",
            transform_name((int)quantizer->transform), outliers_name((int)quantizer->outliers),
            method_name((int)quantizer->method));
}

static void put_evaluate(FILE *out, const struct cell_evaluate *evaluate)
{
    fputs("quantizers: [", out);
    for (int i = 0; i < evaluate->quantizers; i++) {
        fputs(i ? ", " : "", out);
        put_quantizer(out, &evaluate->quantizer[i]);
    }
    fputs("]\nevaluate:\n  fractions: [", out);
    for (int i = 0; i < evaluate->checkpoints; i++) {
        fputs(i ? ", " : "", out);
        put_number(out, evaluate->fraction[i]);
    }
    fprintf(out, "]\n  windows: %d\n  early_quantizers: [", evaluate->windows);
    bool first = true;
    for (int i = 0; i < evaluate->quantizers; i++) {
        if (evaluate->every_checkpoint[i]) {
            fprintf(out, "%s%s", first ? "" : ", ", evaluate->quantizer[i].name);
            first = false;
        }
    }
    fprintf(out, "]\n  calibration_windows: %d\n  calibration_seed: %llu\n",
            evaluate->calibration_windows, (unsigned long long)evaluate->calibration_seed);
}

/* Absolute ones, from the current folder `here`; without it, as the study file writes them. */
static void put_path(FILE *out, const char *key, const char *file, const struct spec *spec,
                     const char *here, const char *end)
{
    char resolved[PATH_MAX];
    char joined[PATH_MAX + SPEC_PATH + 1];
    if (!here) {
        snprintf(joined, sizeof joined, "%s", spec_path_written(spec, file));
    } else if (!realpath(file, resolved)) { /* not there yet */
        snprintf(joined, sizeof joined, "%s%s%s", file[0] == '/' ? "" : here,
                 file[0] == '/' ? "" : "/", file);
    } else {
        snprintf(joined, sizeof joined, "%s", resolved);
    }
    fputs(key, out);
    put_string(out, joined);
    fputs(end, out);
}

static void put_tasks(FILE *out, const struct spec *spec, const char *here)
{
    fputs(spec->evaluate.tasks > 0 ? "tasks:\n" : "", out);
    for (int i = 0; i < spec->evaluate.tasks; i++) {
        const struct task *task = &spec->evaluate.task[i];
        const struct task_source *source = &spec->source.task[i];
        fprintf(out, "  - {name: \"%s\", format: %s, seed: %llu", task->name,
                task_format_name((int)task->format), (unsigned long long)task->seed);
        if (task->items > 0) {
            fprintf(out, ", items: %d", task->items);
        }
        if (task_is_made(task->format)) {
            fprintf(out, ", length: %d}\n", task->length);
            continue;
        }
        fprintf(out, ", shots: %d", task->shots);
        put_path(out, ", path: ", source->path, spec, here, "");
        if (source->labels[0]) {
            put_path(out, ", labels: ", source->labels, spec, here, "");
        }
        if (task->hash[0]) {
            fprintf(out, ", hash: \"%s\"", task->hash);
        }
        fputs("}\n", out);
    }
}

static void put_data(FILE *out, const struct spec *spec, const char *here)
{
    const struct cell_data *data = &spec->data;
    fputs("data:\n", out);
    if (data->kind == DATA_PREPARED) {
        put_path(out, "  prepared: ", spec->source.file[0], spec, here, "\n");
    } else {
        fputs(data->kind == DATA_SHARDS ? "  shards:\n" : "  files:\n", out);
        for (int i = 0; i < spec->source.files; i++) {
            put_path(out, "    - ", spec->source.file[i], spec, here, "\n");
        }
        if (data->kind != DATA_SHARDS) {
            fprintf(out, "  cleaning: %s\n", data->cleaning);
        }
        put_pair(out, "held_out", data->held_out);
        fprintf(out, "  split_seed: %llu\n", (unsigned long long)data->split_seed);
    }
    if (data->kind == DATA_SENTENCEPIECE) {
        fputs("  tokenizer: sentencepiece\n", out);
        put_path(out, "  tokenizer_model: ", spec->source.tokenizer, spec, here, "\n");
    }
    if (data->kind != DATA_BYTES && data->vocabulary > 0) {
        fprintf(out, "  vocabulary: %d\n", data->vocabulary);
    }
    if (spec->data.fingerprint[0]) {
        fprintf(out, "  fingerprint: \"%s\"\n", spec->data.fingerprint);
    }
}

static void put_run(FILE *out, const struct spec_run *run)
{
    fputs("run: {checkpoint_every: ", out);
    put_number(out, run->checkpoint_every);
    fputs("s, heartbeat_timeout: ", out);
    put_number(out, run->heartbeat_timeout);
    fputc('s', out);
    if (run->memory_per_rank > 0) {
        fputs(", memory_per_rank: ", out);
        put_number(out, run->memory_per_rank);
        fputc('B', out);
    }
    fputs("}\n", out);
}

static void put_all(FILE *out, const struct spec *spec, const char *here)
{
    fputs("name: ", out);
    put_string(out, spec->name);
    if (spec->title[0]) {
        fputs("\ntitle: ", out);
        put_string(out, spec->title);
    }
    if (spec->note[0]) {
        fputs("\nnote: ", out);
        put_string(out, spec->note);
    }
    fprintf(out, "\ndesign: %s\n", design_name(spec->design));
    put_sizes(out, spec);
    fprintf(out, "model: {block: %s, position: %s, activation: %s, bias: %s, tied: %s}\n",
            block_name(spec->model.block), position_name(spec->model.position),
            activation_name(spec->model.activation), spec->model.bias ? "true" : "false",
            spec->model.tied ? "true" : "false");
    put_recipes(out, spec);
    put_seeds(out, spec);
    put_train(out, spec);
    put_evaluate(out, &spec->evaluate);
    put_tasks(out, spec, here);
    put_data(out, spec, here);
    put_run(out, &spec->run);
    if (spec->shard.count > 1) {
        fprintf(out, "shard: %d/%d\n", spec->shard.index, spec->shard.count);
    }
}

static int write_all(struct error *err, const struct spec *spec, const char *here, char **text)
{
    int status = STATUS_OK;
    size_t length = 0;
    FILE *out = open_memstream(text, &length);
    CHECK(err, out, STATUS_FAILED, "%s: out of memory", spec->path);
    put_all(out, spec, here);
    bool failed = ferror(out) != 0;
    failed = fclose(out) != 0 || failed;
    if (failed) {
        free(*text);
        *text = NULL;
        FAIL(err, STATUS_FAILED, "%s: out of memory", spec->path);
    }
cleanup:
    return status;
}

int spec_expanded(struct error *err, const struct spec *spec, char **text)
{
    int status = STATUS_OK;
    char here[PATH_MAX];
    *text = NULL;
    CHECK(err, getcwd(here, sizeof here), STATUS_FAILED,
          "%s: the current folder has no path; run from another one", spec->path);
    TRY(write_all(err, spec, here, text));
cleanup:
    return status;
}

int spec_published(struct error *err, const struct spec *spec, char **text)
{
    *text = NULL;
    return write_all(err, spec, NULL, text);
}
