#include "jobs/version.h"

#include "ptqscale_version.h"

const char *version_string(void)
{
    return PTQSCALE_VERSION;
}

const char *version_commit(void)
{
    return PTQSCALE_COMMIT;
}

const char *version_compiler(void)
{
    return PTQSCALE_COMPILER;
}
