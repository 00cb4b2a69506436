#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int descriptor[5];
static char path[5][64];
static char folder[64], link_path[128];

const char *fuzz_file(int slot, const void *data, size_t size)
{
    if (descriptor[slot] == 0) {
        descriptor[slot] = memfd_create("fuzz", 0);
        snprintf(path[slot], sizeof path[slot], "/proc/self/fd/%d", descriptor[slot]);
    }
    FUZZ_FACT(descriptor[slot] > 0 && ftruncate(descriptor[slot], 0) == 0);
    FUZZ_FACT(pwrite(descriptor[slot], data, size, 0) == (ssize_t)size);
    return path[slot];
}

static void remove_folder(void)
{
    unlink(link_path);
    rmdir(folder);
}

const char *fuzz_folder(const char *name, const void *data, size_t size)
{
    const char *file = fuzz_file(4, data, size);
    if (folder[0] == '\0') {
        strcpy(folder, "/tmp/ptqscale-fuzz-XXXXXX");
        FUZZ_FACT(mkdtemp(folder) != NULL);
        snprintf(link_path, sizeof link_path, "%s/%s", folder, name);
        FUZZ_FACT(symlink(file, link_path) == 0);
        atexit(remove_folder);
    }
    return folder;
}
