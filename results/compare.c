#include "results/compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Does the record lack an array that files of its time, or compact ones, do not have? */
static bool lacks(const struct schema_entry *entry, const struct cell *cell,
                  const struct record *record)
{
    if (!schema_optional(entry) && !schema_detail(entry)) {
        return false;
    }
    const double *x = schema_numbers(entry, record);
    size_t k = 0;
    while (k < schema_values(entry, cell) && isnan(x[k])) {
        k++;
    }
    return k == schema_values(entry, cell);
}

/* "kl (checkpoint 1, quantizer w4)" */
static void name_value(const struct schema_entry *entry, const struct cell *cell, size_t index,
                       char text[DIFFERENCE_TEXT / 2])
{
    const size_t size = DIFFERENCE_TEXT / 2;
    size_t position[SCHEMA_RANK] = {0};
    size_t used = (size_t)snprintf(text, size, "%s", entry->name);
    for (int d = entry->rank - 1; d >= 0; d--) {
        const size_t length = schema_length(cell, entry->dimension[d]);
        position[d] = index % length;
        index /= length;
    }
    for (int d = 0; d < entry->rank && used < size; d++) {
        const enum schema_dimension of = entry->dimension[d];
        const char *const *labels = schema_dimension_labels(of);
        char number[24];
        snprintf(number, sizeof number, "%zu", position[d]);
        used += (size_t)snprintf(text + used, size - used, "%s%s %s", d == 0 ? " (" : ", ",
                                 schema_dimension_name(of),
                                 of == SCHEMA_QUANTIZER ? cell->evaluate.quantizer[position[d]].name
                                 : of == SCHEMA_TASK    ? cell->evaluate.task[position[d]].name
                                 : labels != NULL       ? labels[position[d]]
                                                        : number);
    }
    if (entry->rank > 0 && used < size) {
        snprintf(text + used, size - used, ")");
    }
}

static void compare_numbers(const struct schema_entry *entry, const struct cell *cell,
                            const double *a, const double *b, struct difference *difference)
{
    for (size_t k = 0; k < schema_values(entry, cell); k++) {
        difference->values++;
        if (memcmp(&a[k], &b[k], sizeof a[k]) == 0 || (isnan(a[k]) && isnan(b[k]))) {
            continue;
        }
        if (difference->differing++ == 0) {
            char name[DIFFERENCE_TEXT / 2];
            name_value(entry, cell, k, name);
            snprintf(difference->text, sizeof difference->text, "%s is %.17g and %.17g", name, a[k],
                     b[k]);
        }
    }
}

enum comparison compare_entry(const struct schema_entry *entry, const struct cell *cell,
                              const struct record *a, const struct record *b,
                              struct difference *difference)
{
    *difference = (struct difference){.values = 1};
    if (entry->type == SCHEMA_STATUS) {
        if (a->status != b->status) {
            difference->differing = 1;
            snprintf(difference->text, sizeof difference->text, "%s is %s and %s", entry->name,
                     cell_status_name(a->status), cell_status_name(b->status));
        }
    } else if (entry->type == SCHEMA_TEXT) {
        const char *x = schema_text(entry, a), *y = schema_text(entry, b);
        if (strcmp(x, y) != 0) {
            difference->differing = 1;
            snprintf(difference->text, sizeof difference->text, "%s is \"%.150s\" and \"%.150s\"",
                     entry->name, x, y);
        }
    } else {
        difference->values = 0;
        const bool first = lacks(entry, cell, a), second = lacks(entry, cell, b);
        if (first || second) {
            return !second  ? COMPARISON_FIRST_LACKS
                   : !first ? COMPARISON_SECOND_LACKS
                            : COMPARISON_SAME;
        }
        compare_numbers(entry, cell, schema_numbers(entry, a), schema_numbers(entry, b),
                        difference);
    }
    return difference->differing > 0 ? COMPARISON_DIFFERENT : COMPARISON_SAME;
}
