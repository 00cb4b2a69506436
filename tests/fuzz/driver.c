/*
 * Where libFuzzer is missing: call the target with every seed and with mutations of it.
 *
 *     fuzz_TARGET [-runs=N] FILE|FOLDER...     N mutations over all seeds (10000); the same every time
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

enum { SEEDS = 1024, LONGEST = 1 << 19, PATH = 4096 };

struct seed {
    uint8_t *bytes;
    size_t size;
};

static struct seed seed[SEEDS];
static int seeds;

static uint64_t random_below(uint64_t *state, uint64_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % n;
}

static void load(const char *path)
{
    struct stat about;
    FUZZ_FACT(stat(path, &about) == 0);
    if (S_ISDIR(about.st_mode)) {
        struct dirent **entry;
        int entries = scandir(path, &entry, NULL, alphasort);
        FUZZ_FACT(entries >= 0);
        for (int i = 0; i < entries; i++) {
            char inside[PATH];
            if (entry[i]->d_name[0] != '.') {
                snprintf(inside, sizeof inside, "%s/%s", path, entry[i]->d_name);
                load(inside);
            }
            free(entry[i]);
        }
        free(entry);
        return;
    }
    FILE *file = fopen(path, "rb");
    struct seed *s = &seed[seeds];
    FUZZ_FACT(seeds < SEEDS && file != NULL && about.st_size <= LONGEST / 2);
    s->bytes = malloc((size_t)about.st_size + 1);
    FUZZ_FACT(s->bytes != NULL);
    s->size = fread(s->bytes, 1, (size_t)about.st_size, file);
    fclose(file);
    seeds++;
}

/* Change, cut, repeat or import some bytes. */
static void mutate(uint64_t *state, uint8_t *bytes, size_t *size)
{
    const struct seed *other = &seed[random_below(state, (uint64_t)seeds)];
    size_t at = random_below(state, *size + 1), length = random_below(state, 40);
    switch (random_below(state, 5)) {
    case 0:
        if (at < *size) {
            bytes[at] = (uint8_t)random_below(state, 256);
        }
        break;
    case 1:
        if (at < *size) {
            bytes[at] ^= (uint8_t)(1 << random_below(state, 8));
        }
        break;
    case 2: /* cut out, or off */
        length = random_below(state, 4) == 0 || length > *size - at ? *size - at : length;
        memmove(bytes + at, bytes + at + length, *size - at - length);
        *size -= length;
        break;
    default: {
        size_t from = random_below(state, other->size + 1);
        length = length > other->size - from ? other->size - from : length;
        if (*size + length <= LONGEST) {
            memmove(bytes + at + length, bytes + at, *size - at);
            memcpy(bytes + at, other->bytes + from, length);
            *size += length;
        }
    }
    }
}

static void call(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1); /* so that a sanitizer sees its end */
    FUZZ_FACT(exact != NULL);
    memcpy(exact, bytes, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

int main(int argc, char **argv)
{
    long runs = 10000;
    uint64_t state = 0x9e3779b97f4a7c15u;
    uint8_t *bytes = malloc(LONGEST);
    FUZZ_FACT(bytes != NULL);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-runs=", 6) == 0) {
            runs = atol(argv[i] + 6);
        } else if (argv[i][0] != '-') { /* libFuzzer's other options mean nothing here */
            load(argv[i]);
        }
    }
    FUZZ_FACT(seeds > 0);
    for (int i = 0; i < seeds; i++) {
        call(seed[i].bytes, seed[i].size);
    }
    for (long run = 0; run < runs; run++) {
        const struct seed *from = &seed[run % seeds];
        size_t size = from->size;
        memcpy(bytes, from->bytes, size);
        for (uint64_t changes = 1 + random_below(&state, 4); changes > 0; changes--) {
            mutate(&state, bytes, &size);
        }
        call(bytes, size);
    }
    printf("%s: %d seeds, %ld mutations\n", argv[0], seeds, runs);
    for (int i = 0; i < seeds; i++) {
        free(seed[i].bytes);
    }
    free(bytes);
    return 0;
}
