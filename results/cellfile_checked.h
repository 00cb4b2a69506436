/* Private to results/: reading a cell file that the journal vouches for. */
#ifndef RESULTS_CELLFILE_CHECKED_H
#define RESULTS_CELLFILE_CHECKED_H

#include "results/record.h"

/* cellfile_read, refusing a file whose checksum (XXH64, hex) is not `checksum`; NULL: any. */
int cellfile_read_checked(struct error *err, const char *path, const struct cell *cell,
                          const char *checksum, struct record **record);

#endif
