/* The cells of a study: settings of its design × sizes × seeds. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/spec_read.h"

enum { MOST_CELLS = 1 << 16 }; /* some 400 MB of cells */

/* Settings of the design ====================================================================== */

struct settings {
    int count, space;
    struct spec_setting
        *entry; /* owned; levels other than the base's only, the base recipe first */
};

static int settings_push(struct error *err, const struct spec *spec, struct settings *settings,
                         const struct spec_setting *setting)
{
    int status = STATUS_OK;
    CHECK(err, settings->count < MOST_CELLS, STATUS_USAGE,
          "%s: factors: more than '%d' settings; take levels or factors out", spec->path,
          MOST_CELLS);
    if (settings->count == settings->space) {
        int space = settings->space ? 2 * settings->space : 32;
        struct spec_setting *entry =
            realloc(settings->entry, (size_t)space * sizeof *settings->entry);
        CHECK(err, entry, STATUS_FAILED, "%s: out of memory", spec->path);
        settings->entry = entry;
        settings->space = space;
    }
    settings->entry[settings->count++] = *setting;
cleanup:
    return status;
}

/* The levels of factor f that differ from the base's. */
static int levels_beside_base(const struct spec *spec, int f, const struct level *out[SPEC_LEVELS])
{
    int count = 0;
    for (int i = 0; i < spec->levels[f]; i++) {
        if (!spec_level_is_base(spec, &spec->level[f][i])) {
            out[count++] = &spec->level[f][i];
        }
    }
    return count;
}

static int one_at_a_time(struct error *err, const struct spec *spec, struct settings *settings)
{
    int status = STATUS_OK;
    struct spec_setting setting = {.size = -1};
    const struct level *level[SPEC_LEVELS];
    TRY(settings_push(err, spec, settings, &setting));
    setting.levels = 1;
    for (int f = 0; f < spec->factors; f++) {
        int count = levels_beside_base(spec, f, level);
        for (int i = 0; i < count; i++) {
            setting.level[0] = *level[i];
            TRY(settings_push(err, spec, settings, &setting));
        }
    }
cleanup:
    return status;
}

/* All combinations, the last factor fastest; digit 0 of a factor is the base's level. */
static int factorial(struct error *err, const struct spec *spec, struct settings *settings)
{
    int status = STATUS_OK;
    const struct level *level[SPEC_FACTORS][SPEC_LEVELS];
    int count[SPEC_FACTORS];
    int digit[SPEC_FACTORS] = {0};
    for (int f = 0; f < spec->factors; f++) {
        count[f] = levels_beside_base(spec, f, level[f]);
    }
    for (bool done = false; !done;) {
        struct spec_setting setting = {.size = -1};
        for (int f = 0; f < spec->factors; f++) {
            if (digit[f] > 0) {
                setting.level[setting.levels++] = *level[f][digit[f] - 1];
            }
        }
        TRY(settings_push(err, spec, settings, &setting));
        int f = spec->factors - 1;
        while (f >= 0 && digit[f] == count[f]) {
            digit[f--] = 0;
        }
        done = f < 0;
        if (!done) {
            digit[f]++;
        }
    }
cleanup:
    return status;
}

/* METHOD §6: 2^(5−1) with E = −ABCD, low = the base's level. */
static int fractional(struct error *err, const struct spec *spec, struct settings *settings)
{
    int status = STATUS_OK;
    const struct level *level[SPEC_LEVELS];
    CHECK(err, spec->factors == 5, STATUS_USAGE,
          "%s: factors: design fractional needs five factors", spec->path);
    for (int run = 0; run < 16; run++) {
        struct spec_setting setting = {.size = -1};
        int product = 1;
        for (int f = 0; f < 5; f++) {
            int sign = f < 4 ? (run >> (3 - f) & 1 ? 1 : -1) : -product;
            product *= sign;
            if (sign > 0) {
                CHECK(err, levels_beside_base(spec, f, level) == 1, STATUS_USAGE,
                      "%s: factors.%s: design fractional needs one level other than the base's",
                      spec->path, factor_name(spec->factor[f]));
                setting.level[setting.levels++] = *level[0];
            }
        }
        TRY(settings_push(err, spec, settings, &setting));
    }
cleanup:
    return status;
}

/* The single cells, the base recipe first. */
static int list(struct error *err, const struct spec *spec, struct settings *settings)
{
    int status = STATUS_OK;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < spec->settings; i++) {
            const struct spec_setting *given = &spec->setting[i];
            struct spec_setting setting = {.size = given->size};
            for (int l = 0; l < given->levels; l++) {
                if (!spec_level_is_base(spec, &given->level[l])) {
                    setting.level[setting.levels++] = given->level[l];
                }
            }
            if ((pass == 0) == (setting.levels == 0)) {
                TRY(settings_push(err, spec, settings, &setting));
            }
        }
    }
cleanup:
    return status;
}

static int settings_of(struct error *err, const struct spec *spec, struct settings *settings)
{
    int status = STATUS_OK;
    switch (spec->design) {
    case DESIGN_FACTORIAL:
        TRY(factorial(err, spec, settings));
        break;
    case DESIGN_FRACTIONAL:
        TRY(fractional(err, spec, settings));
        break;
    case DESIGN_LIST:
        break;
    default:
        TRY(one_at_a_time(err, spec, settings));
        break;
    }
    TRY(list(err, spec, settings));
cleanup:
    return status;
}

/* One cell ==================================================================================== */

/* "dropout=0.1,grad_clip=none", in the order of the study file; "base" when nothing differs. */
static int label(struct error *err, const struct spec *spec, const struct spec_setting *setting,
                 char out[CELL_LABEL])
{
    int status = STATUS_OK;
    int length = snprintf(out, CELL_LABEL, "%s", setting->levels ? "" : "base");
    for (int i = 0; i < setting->levels; i++) {
        const struct level *level = &setting->level[i];
        length += snprintf(out + length, (size_t)(CELL_LABEL - length), "%s%s=%s", i ? "," : "",
                           factor_name(level->factor), level->text);
        CHECK(err, length < CELL_LABEL, STATUS_USAGE,
              "%s: factors: the label '%s...' is longer than %d bytes; write the levels shorter",
              spec->path, out, CELL_LABEL - 1);
    }
cleanup:
    return status;
}

/* Tokens of a run, as whole steps: at least what was asked for. */
static int set_steps(struct error *err, const struct spec *spec, const struct level *recipe,
                     struct cell *cell)
{
    int status = STATUS_OK;
    struct cell_train *train = &cell->train;
    int64_t context = cell->size.context;
    CHECK(
        err, context > 0 && spec->batch_tokens % context == 0, STATUS_USAGE,
        "%s: sizes: context '%lld' of size %s does not divide train.batch_tokens %lld; change one",
        spec->path, (long long)context, cell->size.name, (long long)spec->batch_tokens);
    CHECK(err, spec->micro_batch_tokens % context == 0, STATUS_USAGE,
          "%s: sizes: context '%lld' of size %s does not divide train.micro_batch_tokens %lld; "
          "change one",
          spec->path, (long long)context, cell->size.name, (long long)spec->micro_batch_tokens);
    train->batch = (int)(spec->batch_tokens / context);
    train->micro_batch = (int)(spec->micro_batch_tokens / context);
    int parts = train->batch / train->micro_batch;
    CHECK(err, train->batch % train->micro_batch == 0 && (parts & (parts - 1)) == 0, STATUS_USAGE,
          "%s: train: '%d' micro-batches per batch; their number must be a power of two",
          spec->path, parts);

    double tokens = recipe[FACTOR_TOKENS].value;
    if (recipe[FACTOR_TOKENS_PER_PARAMETER].text[0]) {
        tokens = recipe[FACTOR_TOKENS_PER_PARAMETER].value * (double)cell_parameters(cell);
    }
    CHECK(err, tokens > 0 && tokens <= 0x1p53, STATUS_USAGE,
          "%s: tokens: size %s, setting %s would train on '%g' tokens; give 1 to 2^53", spec->path,
          cell->size.name, cell->setting, tokens);
    train->steps = (int64_t)ceil(tokens / (double)spec->batch_tokens);
    cell->tokens = train->steps * spec->batch_tokens;
cleanup:
    return status;
}

static int set_recipe(struct error *err, const struct spec *spec, const struct level *recipe,
                      double size_rate, struct cell *cell)
{
    int status = STATUS_OK;
    struct cell_train *train = &cell->train;
    train->learning_rate = size_rate;
    if (recipe[FACTOR_LEARNING_RATE].text[0]) {
        train->learning_rate = recipe[FACTOR_LEARNING_RATE].value;
    } else if (recipe[FACTOR_LEARNING_RATE_FACTOR].text[0]) {
        train->learning_rate *= recipe[FACTOR_LEARNING_RATE_FACTOR].value;
    }
    CHECK(err, train->learning_rate > 0 && isfinite(train->learning_rate), STATUS_USAGE,
          "%s: sizes: size %s, setting %s has the learning rate '%g'; give one above 0", spec->path,
          cell->size.name, cell->setting, train->learning_rate);
    train->dropout = recipe[FACTOR_DROPOUT].value;
    train->grad_clip = recipe[FACTOR_GRAD_CLIP].value;
    train->precision = (enum precision)(int)recipe[FACTOR_PRECISION].value;
    train->schedule = (enum schedule)(int)recipe[FACTOR_SCHEDULE].value;
    train->decay_is_total = recipe[FACTOR_TOTAL_DECAY].text[0] != '\0';
    train->total_decay = recipe[FACTOR_TOTAL_DECAY].value;
    train->weight_decay = recipe[FACTOR_WEIGHT_DECAY].value;
    TRY(set_steps(err, spec, recipe, cell));
    cell_complete_decay(cell);
    CHECK(
        err, isfinite(train->weight_decay) && isfinite(train->total_decay), STATUS_USAGE,
        "%s: tokens: size %s, setting %s has '%lld' steps whose learning rates do not add up to a "
        "decay; give more tokens, another learning rate or decay",
        spec->path, cell->size.name, cell->setting, (long long)train->steps);
cleanup:
    return status;
}

/* Two checkpoints after one step would be one result under two names. */
static int check_checkpoints(struct error *err, const struct spec *spec, const struct cell *cell)
{
    int status = STATUS_OK;
    for (int i = 1; i < cell->evaluate.checkpoints; i++) {
        CHECK(err, cell_checkpoint_step(cell, i - 1) < cell_checkpoint_step(cell, i), STATUS_USAGE,
              "%s: evaluate.fractions: '%g' and '%g' are the same step of the %lld of size %s, "
              "setting "
              "%s; give more tokens or fewer fractions",
              spec->path, cell->evaluate.fraction[i - 1], cell->evaluate.fraction[i],
              (long long)cell->train.steps, cell->size.name, cell->setting);
    }
cleanup:
    return status;
}

/* All of a cell but its seed and id. */
static int make_cell(struct error *err, const struct spec *spec, int size,
                     const struct spec_setting *setting, struct cell *cell)
{
    int status = STATUS_OK;
    struct level recipe[FACTOR_COUNT];
    memcpy(recipe, spec->base, sizeof recipe);
    for (int i = 0; i < setting->levels; i++) {
        enum factor factor = setting->level[i].factor;
        enum factor other = factor_alternative(factor);
        recipe[factor] = setting->level[i];
        if (other < FACTOR_COUNT) {
            memset(&recipe[other], 0, sizeof recipe[other]);
        }
    }
    memset(cell, 0, sizeof *cell);
    cell->base = setting->levels == 0;
    cell->ranks = spec->size_ranks[size];
    cell->size = spec->size[size];
    cell->model = spec->model;
    cell->model.vocabulary = spec->data.vocabulary;
    cell->train = spec->train;
    cell->evaluate = spec->evaluate;
    cell->data = spec->data;
    TRY(label(err, spec, setting, cell->setting));
    TRY(set_recipe(err, spec, recipe, spec->size_learning_rate[size], cell));
    TRY(check_checkpoints(err, spec, cell));
cleanup:
    return status;
}

/* All cells =================================================================================== */

/* Open-addressing table of cell indices by id: slot −1 is free; `slots` is a power of two above the count. */
static int find_slot(const int *table, unsigned slots, const struct cell *cells, const char *id)
{
    char head[9];
    memcpy(head, id, 8);
    head[8] = '\0';
    unsigned slot = (unsigned)strtoul(head, NULL, 16) & (slots - 1);
    while (table[slot] >= 0 && strcmp(cells[table[slot]].id, id) != 0) {
        slot = (slot + 1) & (slots - 1);
    }
    return (int)slot;
}

static bool applies(const struct spec_setting *setting, int size)
{
    return setting->size < 0 || setting->size == size;
}

static int count_cells(struct error *err, const struct spec *spec, const struct settings *settings,
                       int *count)
{
    int status = STATUS_OK;
    int64_t total = 0;
    for (int size = 0; size < spec->sizes; size++) {
        for (int i = 0; i < settings->count; i++) {
            total += applies(&settings->entry[i], size) ? spec->seeds : 0;
        }
    }
    CHECK(err, total <= MOST_CELLS, STATUS_USAGE,
          "%s: study file: '%lld' cells; at most %d fit into one study, so split it", spec->path,
          (long long)total, MOST_CELLS);
    CHECK(err, total > 0, STATUS_USAGE, "%s: study file: no cells; give sizes and seeds",
          spec->path);
    *count = (int)total;
cleanup:
    return status;
}

int spec_cells(struct error *err, const struct spec *spec, struct cell **out, int *count)
{
    int status = STATUS_OK;
    struct settings settings = {0};
    struct cell *cells = NULL;
    int *table = NULL;
    int most = 0;
    int found = 0;
    unsigned slots = 16;
    *out = NULL;
    *count = 0;
    CHECK(err, spec->data.vocabulary > 0, STATUS_FAILED,
          "%s: the vocabulary is not known before %s has been read; see that it is there, or give "
          "data.vocabulary",
          spec->path,
          spec->data.kind == DATA_PREPARED ? spec->source.file[0] : spec->source.tokenizer);
    CHECK(err, spec->looks.count == 0 || spec->shard.count <= 1, STATUS_USAGE,
          "%s: seeds: a look needs all cells of the study in one run, and this is shard %d/%d; run "
          "it without shards (--array, --shard), or give seeds as a number",
          spec->path, spec->shard.index, spec->shard.count);
    TRY(settings_of(err, spec, &settings));
    TRY(count_cells(err, spec, &settings, &most));
    while (slots < 2 * (unsigned)most) {
        slots *= 2;
    }
    cells = malloc((size_t)most * sizeof *cells);
    table = malloc(slots * sizeof *table);
    CHECK(err, cells && table, STATUS_FAILED, "%s: out of memory for %d cells", spec->path, most);
    memset(table, 0xff, slots * sizeof *table);

    for (int size = 0; size < spec->sizes; size++) {
        for (int i = 0; i < settings.count; i++) {
            if (!applies(&settings.entry[i], size)) {
                continue;
            }
            struct cell cell;
            TRY(make_cell(err, spec, size, &settings.entry[i], &cell));
            for (int s = 0; s < spec->seeds; s++) {
                cell.seed = cell.init_seed = cell.data_seed = spec->seed[s];
                cell_identify(&cell);
                int slot = find_slot(table, slots, cells, cell.id);
                if (table[slot] < 0) {
                    table[slot] = found;
                    cell.number = found;
                    cells[found++] = cell;
                }
            }
        }
    }
    TRY(shard_select(err, spec->shard, cells, &found));
    *out = cells;
    *count = found;
    cells = NULL;
cleanup:
    free(settings.entry);
    free(cells);
    free(table);
    return status;
}
