#include "results/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "results/atomic.h"

enum { PIECE = 1 << 20 };

static size_t seal_text(const char *mark, unsigned long long hash, char seal[SEAL_LENGTH])
{
    return (size_t)snprintf(seal, SEAL_LENGTH, "%s XXH64 %016llx\n", mark, hash);
}

size_t seal_make(const char *mark, const void *bytes, size_t size, char seal[SEAL_LENGTH])
{
    return seal_text(mark, XXH64(bytes, size, 0), seal);
}

bool seal_holds(const char *mark, const void *bytes, size_t size, size_t *inner)
{
    char seal[SEAL_LENGTH];
    const size_t length = seal_text(mark, 0, seal);
    if (size < length) {
        return false;
    }
    *inner = size - length;
    seal_make(mark, bytes, *inner, seal);
    return memcmp((const char *)bytes + *inner, seal, length) == 0;
}

/* XXH64 of the first `size` bytes. */
static int hash_bytes(struct error *err, int fd, const char *path, off_t size,
                      unsigned long long *hash)
{
    int status = STATUS_OK;
    char *piece = malloc(PIECE);
    XXH64_state_t *state = XXH64_createState();
    CHECK(err, piece != NULL && state != NULL, STATUS_FAILED, "%s: out of memory", path);
    XXH64_reset(state, 0);
    for (off_t at = 0; at < size;) {
        size_t want = size - at < PIECE ? (size_t)(size - at) : PIECE;
        ssize_t got = pread(fd, piece, want, at);
        CHECK(err, got > 0 || (got < 0 && errno == EINTR), STATUS_FAILED, "%s: cannot read: %s",
              path, got < 0 ? strerror(errno) : "the file became shorter");
        if (got > 0) {
            XXH64_update(state, piece, (size_t)got);
            at += got;
        }
    }
    *hash = XXH64_digest(state);
cleanup:
    XXH64_freeState(state);
    free(piece);
    return status;
}

int seal_file(struct error *err, const char *path, const char *mark)
{
    int status = STATUS_OK;
    char seal[SEAL_LENGTH];
    unsigned long long hash = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: cannot open: %s%s", path, strerror(errno),
          atomic_hint(errno));
    const off_t size = lseek(fd, 0, SEEK_END);
    CHECK(err, size >= 0, STATUS_FAILED, "%s: cannot read: %s", path, strerror(errno));
    TRY(hash_bytes(err, fd, path, size, &hash));
    int error = atomic_write_all(fd, seal, seal_text(mark, hash, seal)); /* at its end */
    CHECK(err, error == 0, STATUS_FAILED, "%s: cannot write: %s%s", path, strerror(error),
          atomic_hint(error));
cleanup:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

int seal_check(struct error *err, const char *path, const char *mark)
{
    int status = STATUS_OK;
    char expected[SEAL_LENGTH], found[SEAL_LENGTH] = "";
    unsigned long long hash = 0;
    seal_text(mark, 0, expected);
    const size_t length = strlen(expected), front = strlen(mark) + sizeof " XXH64 " - 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (size < (off_t)length || pread(fd, found, length, size - (off_t)length) != (ssize_t)length ||
        memcmp(found, expected, front) != 0) {
        goto cleanup;
    }
    TRY(hash_bytes(err, fd, path, size - (off_t)length, &hash));
    seal_text(mark, hash, expected);
    CHECK(err, memcmp(found, expected, length) == 0, STATUS_FAILED,
          "%s: the file is damaged: its bytes do not have the checksum at its end. If it is a "
          "run's study.nc, give the run command again: it is rebuilt from the cells",
          path);
cleanup:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}
