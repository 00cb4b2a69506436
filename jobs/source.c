/* Identity of the study's text. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "jobs/spec.h"

enum { CHUNK = 1 << 18 };

/* Feed the bytes of `path`, then their number as 8 bytes, so that where one file ends is part of the hash. */
static int hash_file(struct error *err, const char *path, char *buffer, XXH3_state_t *state)
{
    int status = STATUS_OK;
    struct stat info;
    uint64_t length = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(err, file >= 0, STATUS_FAILED,
          "%s: %s; the study's data.files names it. ./jobs/fetch-corpus.sh fetches the dictionary "
          "text; any text file of yours (plain or .gz) will do as well",
          path, strerror(errno));
    CHECK(err, fstat(file, &info) == 0 && !S_ISDIR(info.st_mode), STATUS_FAILED,
          "%s: is a folder; list the text files themselves in the study's data.files", path);
    for (;;) {
        ssize_t got = read(file, buffer, CHUNK);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        CHECK(err, got >= 0, STATUS_FAILED, "%s: cannot read: %s; check the file and its disk",
              path, strerror(errno));
        if (got == 0) {
            break;
        }
        XXH3_128bits_update(state, buffer, (size_t)got);
        length += (uint64_t)got;
    }
    CHECK(err, length > 0, STATUS_FAILED, "%s: the file is empty; fetch it again", path);
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) { /* little-endian on every machine */
        bytes[i] = (unsigned char)(length >> (8 * i));
    }
    XXH3_128bits_update(state, bytes, sizeof bytes);
cleanup:
    if (file >= 0) {
        close(file);
    }
    return status;
}

int spec_fingerprint(struct error *err, struct spec *spec)
{
    int status = STATUS_OK;
    char *buffer = malloc(CHUNK);
    XXH3_state_t *state = XXH3_createState();
    CHECK(err, buffer && state, STATUS_FAILED, "%s: out of memory", spec->path);
    XXH3_128bits_reset(state);
    for (int i = 0; i < spec->source.files; i++) {
        TRY(hash_file(err, spec->source.file[i], buffer, state));
    }
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    char found[CELL_ID];
    snprintf(found, sizeof found, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    CHECK(err, spec->data.fingerprint[0] == '\0' || strcmp(spec->data.fingerprint, found) == 0,
          STATUS_FAILED,
          "%s: data.fingerprint: the study is pinned to the text %s, but %s%s has %s; get the same "
          "text, or take the line out to run on this one",
          spec->path, spec->data.fingerprint, spec->source.file[0],
          spec->source.files > 1 ? " …" : "", found);
    memcpy(spec->data.fingerprint, found, sizeof found);
cleanup:
    XXH3_freeState(state);
    free(buffer);
    return status;
}

/* Uncompressed bytes of a gzip file's (last) member as its trailer has them, else the file's own length. */
static double text_bytes(const char *path)
{
    unsigned char magic[2], size[4];
    struct stat info;
    double bytes = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && fstat(file, &info) == 0 && S_ISREG(info.st_mode)) {
        bytes = (double)info.st_size;
        if (info.st_size >= 18 && pread(file, magic, 2, 0) == 2 && magic[0] == 0x1f &&
            magic[1] == 0x8b && pread(file, size, 4, info.st_size - 4) == 4) {
            bytes = size[0] + 256.0 * size[1] + 65536.0 * size[2] + 16777216.0 * size[3];
        }
    }
    if (file >= 0) {
        close(file);
    }
    return bytes;
}

double spec_text_bytes(const struct spec *spec)
{
    double bytes = 0;
    for (int i = 0; i < spec->source.files; i++) {
        bytes += text_bytes(spec->source.file[i]);
    }
    return bytes;
}
