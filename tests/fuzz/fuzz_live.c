/* The live file of a run's folder: what the workers are doing. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "results/rundir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct rundir_live *live = NULL;
    int count = 0;
    int status = rundir_read_live(&err, fuzz_folder("live", data, size), &live, &count);
    FUZZ_FACT(status == STATUS_OK || (status == STATUS_FAILED && strlen(err.message) > 20));
    FUZZ_FACT(status == STATUS_OK ? count >= 0 : live == NULL && count == 0);
    for (int i = 0; i < count; i++) {
        FUZZ_FACT(strlen(live[i].host) < sizeof live[i].host);
        FUZZ_FACT(strlen(live[i].id) < sizeof live[i].id);
    }
    free(live);
    return 0;
}
