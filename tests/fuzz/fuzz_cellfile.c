/* Cell files as bytes: whatever is not sealed by its own checksum is refused before the HDF5
 * library sees it. */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <xxhash.h>

#include "results/cellfile.h"
#include "results/cellfile_checked.h"
#include "tests/fuzz/cell.h"

enum { TRAILER = 37 }; /* "ptqscale-cell XXH64 ", 16 hex digits, LF */

static int is_sealed(const uint8_t *data, size_t size)
{
    char trailer[TRAILER + 1];
    if (size < TRAILER) {
        return 0;
    }
    snprintf(trailer, sizeof trailer, "ptqscale-cell XXH64 %016llx\n",
             (unsigned long long)XXH64(data, size - TRAILER, 0));
    return memcmp(data + size - TRAILER, trailer, TRAILER) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct record *record = NULL;
    char checksum[17] = "", expected[17];
    const char *path = fuzz_file(0, data, size);

    snprintf(expected, sizeof expected, "%016llx", (unsigned long long)XXH64(data, size, 0));
    FUZZ_FACT(cellfile_checksum(&err, path, checksum) == STATUS_OK);
    FUZZ_FACT(strcmp(checksum, expected) == 0);

    int status = cellfile_read(&err, path, fuzz_cell(), &record);
    FUZZ_FACT(status == STATUS_OK ||
              (status == STATUS_FAILED && record == NULL && strlen(err.message) > 20));
    FUZZ_FACT(status != STATUS_OK || is_sealed(data, size));
    record_free(record);
    if (status == STATUS_OK) { /* the journal vouches for other bytes */
        record = NULL;
        checksum[0] = checksum[0] == '0' ? '1' : '0';
        FUZZ_FACT(cellfile_read_checked(&err, path, fuzz_cell(), checksum, &record) ==
                  STATUS_FAILED);
        FUZZ_FACT(record == NULL);
    }
    return 0;
}
