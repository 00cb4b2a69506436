/* Study files: spec_read may refuse one; what it accepts has cells or an error, and its expansion
 * is accepted and gives the same cells. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "jobs/spec.h"

static int cells_of(struct error *err, const struct spec *spec, struct cell **cells, int *count)
{
    *cells = NULL;
    *count = 0;
    int status = spec_cells(err, spec, cells, count);
    FUZZ_FACT(status == STATUS_OK ? *count > 0 : err->message[0] != '\0');
    return status;
}

static void expand(const struct spec *spec)
{
    struct error err = {0};
    char *text = NULL;
    struct spec *again = NULL;
    struct cell *cell = NULL, *cell_again = NULL;
    int cells = 0, cells_again = 0;
    FUZZ_FACT(spec_expanded(&err, spec, &text) == STATUS_OK);
    if (spec_read(&err, fuzz_file(1, text, strlen(text)), &again) != STATUS_OK) {
        fprintf(stderr, "%s\n%s\n", err.message, text);
        abort();
    }
    int status = cells_of(&err, spec, &cell, &cells);
    error_clear(&err);
    FUZZ_FACT(cells_of(&err, again, &cell_again, &cells_again) == status);
    FUZZ_FACT(cells == cells_again);
    for (int i = 0; i < cells; i++) {
        FUZZ_FACT(strcmp(cell[i].id, cell_again[i].id) == 0);
    }
    free(cell);
    free(cell_again);
    spec_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct spec *spec = NULL;
    int status = spec_read(&err, fuzz_file(0, data, size), &spec);
    FUZZ_FACT(status == STATUS_OK || (status == STATUS_USAGE && strlen(err.message) > 20));
    FUZZ_FACT((status == STATUS_OK) == (spec != NULL));
    if (spec != NULL) {
        expand(spec);
        spec_free(spec);
    }
    return 0;
}
