#include "results/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int64_t process_start(int64_t pid)
{
    char path[64], text[1024] = "";
    long long start = 0;
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return errno == ENOENT ? -1 : 0;
    }
    size_t got = fread(text, 1, sizeof text - 1, file);
    text[got] = '\0';
    fclose(file);
    const char *at = strrchr(text, ')'); /* the name may contain anything */
    if (got == 0 || at == NULL || strncmp(at, ") Z ", 4) == 0) {
        return -1;
    }
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL && sscanf(at, "%lld", &start) == 1 ? start : 0;
}

bool process_boot(char boot[PROCESS_BOOT])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    bool known = file != NULL && fscanf(file, "%39s", boot) == 1;
    if (file != NULL) {
        fclose(file);
    }
    if (!known) {
        boot[0] = '\0';
    }
    return known;
}
