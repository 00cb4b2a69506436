/* The seeds of a study file: their number, a list, or how many there are at each look. */
#include <stdio.h>
#include <string.h>

#include "jobs/duration.h"
#include "jobs/spec_read.h"

/* seeds: [1, 5] ============================================================================== */

static int read_list(struct error *err, const struct yaml_field *seeds, struct spec *spec)
{
    int status = STATUS_OK;
    int64_t value = 0;
    struct yaml_field item;
    TRY(yaml_field_list(err, seeds, SPEC_SEEDS, &spec->seeds));
    for (int i = 0; i < spec->seeds; i++) {
        yaml_field_item(seeds, i, &item);
        TRY(yaml_field_integer(err, &item, 0, INT64_MAX, &value));
        spec->seed[i] = (uint64_t)value;
        for (int j = 0; j < i; j++) {
            FIELD_CHECK(err, spec->seed[j] != spec->seed[i], &item,
                        "seed %s was given already; keep one of the two", item.text);
        }
    }
cleanup:
    return status;
}

/* seeds: {looks: [4, 6, 8]} ================================================================== */

static int read_looks(struct error *err, const struct yaml_field *seeds, struct spec_looks *looks)
{
    int status = STATUS_OK;
    struct yaml_field list, item;
    int64_t value = 0;
    TRY(yaml_field_need(err, seeds, "looks", "give the number of seeds at each look, as [4, 6, 8]",
                        &list));
    TRY(yaml_field_list(err, &list, SPEC_LOOKS, &looks->count));
    FIELD_CHECK(err, looks->count > 1, &list,
                "one look is a fixed number of seeds; give two looks or more, or write seeds as a "
                "number instead of '%s'",
                list.text);
    for (int i = 0; i < looks->count; i++) {
        yaml_field_item(&list, i, &item);
        TRY(yaml_field_integer(err, &item, 2, SPEC_SEEDS, &value));
        looks->seeds[i] = (int)value;
        FIELD_CHECK(err, i == 0 || looks->seeds[i] > looks->seeds[i - 1], &item,
                    "%s is not more than the look before it; sort the list", item.text);
    }
cleanup:
    return status;
}

static int read_budget(struct error *err, const struct yaml_field *seeds, double *budget)
{
    int status = STATUS_OK;
    char text[64];
    struct yaml_field field;
    if (yaml_field_get(seeds, "budget", &field)) {
        TRY(yaml_field_string(err, &field, text, sizeof text));
        FIELD_CHECK(
            err, duration_parse(text, budget) && *budget > 0, &field,
            "%s is not a span of time above 0; write one such as 40h, of all cores together",
            field.text);
        /* elsewhere a bare number is seconds; whoever writes 40 here means hours */
        FIELD_CHECK(err, text[strlen(text) - 1] > '9', &field,
                    "%s has no unit; write one, such as 40h, of all cores together", field.text);
    }
cleanup:
    return status;
}

/* How many seeds there are by now: what the program itself writes into study.expanded.yaml. */
static int read_reached(struct error *err, const struct yaml_field *seeds, struct spec *spec)
{
    int status = STATUS_OK;
    struct yaml_field field;
    int64_t reached = spec->looks.seeds[0];
    if (yaml_field_get(seeds, "reached", &field)) {
        bool known = false;
        TRY(yaml_field_integer(err, &field, 1, SPEC_SEEDS, &reached));
        for (int i = 0; i < spec->looks.count; i++) {
            known = known || spec->looks.seeds[i] == reached;
        }
        FIELD_CHECK(err, known, &field, "%s is none of the looks; leave this key to the program",
                    field.text);
    }
    spec_set_seeds(spec, (int)reached);
cleanup:
    return status;
}

static int read_adaptive(struct error *err, const struct yaml_field *seeds, struct spec *spec)
{
    static const char *const KEYS[] = {"looks", "until", "first", "budget", "reached", NULL};
    static const char *const UNTIL[] = {"verdicts", NULL};
    int status = STATUS_OK;
    struct yaml_field field;
    int64_t first = 1;
    int until = 0;
    TRY(yaml_field_keys(err, seeds, KEYS));
    TRY(read_looks(err, seeds, &spec->looks));
    if (yaml_field_get(seeds, "until", &field)) {
        TRY(yaml_field_choice(err, &field, UNTIL, &until));
    }
    if (yaml_field_get(seeds, "first", &field)) {
        TRY(yaml_field_integer(err, &field, 0, INT64_MAX - SPEC_SEEDS, &first));
    }
    spec->looks.first = (uint64_t)first;
    TRY(read_budget(err, seeds, &spec->looks.budget));
    TRY(read_reached(err, seeds, spec));
cleanup:
    return status;
}

int spec_read_seeds(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    int status = STATUS_OK;
    int64_t value = 0;
    struct yaml_field seeds;
    TRY(yaml_field_need(err, root, "seeds", "give their number, or a list of them", &seeds));
    if (seeds.node->type == YAML_MAPPING_NODE) {
        TRY(read_adaptive(err, &seeds, spec));
    } else if (yaml_field_items(&seeds) >= 0) {
        TRY(read_list(err, &seeds, spec));
    } else { /* seeds: 3 */
        TRY(yaml_field_integer(err, &seeds, 1, SPEC_SEEDS, &value));
        spec->looks.first = 1;
        spec_set_seeds(spec, (int)value);
    }
cleanup:
    return status;
}

void spec_set_seeds(struct spec *spec, int seeds)
{
    spec->seeds = seeds;
    for (int i = 0; i < seeds; i++) {
        spec->seed[i] = spec->looks.first + (uint64_t)i;
    }
}

const char *spec_looks_text(const struct spec_looks *looks, char text[SPEC_LOOKS_TEXT])
{
    int used = 0;
    text[0] = '\0';
    for (int i = 0; i < looks->count; i++) {
        used += snprintf(text + used, (size_t)(SPEC_LOOKS_TEXT - used), "%s%d", i > 0 ? ", " : "",
                         looks->seeds[i]);
    }
    return text;
}
