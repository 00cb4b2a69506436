#include "jobs/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "token files are read as they lie");

static const struct {
    uint32_t magic, version;
    int width;
} headers[] = {{20240520, 1, 2}, {20240801, 7, 4}};

int token_file_parse(struct error *err, const char *path, const void *head, size_t length,
                     uint64_t size, struct token_file *file)
{
    int status = STATUS_OK;
    uint32_t header[3] = {0};
    int kind = -1;
    memcpy(header, head, length < sizeof header ? length : sizeof header);
    for (int i = 0; i < 2; i++) {
        kind = length >= sizeof header[0] && header[0] == headers[i].magic ? i : kind;
    }
    CHECK(err, size > 0, STATUS_FAILED, "%s: the file is empty", path);
    *file = (struct token_file){.width = 2, .tokens = size / 2};
    if (kind < 0) {
        CHECK(err, size % 2 == 0, STATUS_FAILED,
              "%s: %llu bytes are no whole number of 2-byte tokens (and there is no header as "
              "llm.c writes it); it is cut off, or no token file",
              path, (unsigned long long)size);
        goto cleanup;
    }
    CHECK(err, size > TOKEN_FILE_HEADER, STATUS_FAILED,
          "%s: cut off after %llu bytes: an llm.c header alone has %d", path,
          (unsigned long long)size, (int)TOKEN_FILE_HEADER);
    CHECK(err, header[1] == headers[kind].version, STATUS_FAILED,
          "%s: the header's version is %u; for its magic number %u it must be %u", path, header[1],
          header[0], headers[kind].version);
    *file = (struct token_file){
        .width = headers[kind].width, .offset = TOKEN_FILE_HEADER, .tokens = header[2]};
    const uint64_t want = file->offset + file->tokens * (unsigned)file->width;
    CHECK(err, header[2] > 0, STATUS_FAILED, "%s: the header says that there are no tokens", path);
    CHECK(err, size == want, STATUS_FAILED,
          "%s: the header says %u tokens, which are %llu bytes with it, but the file has %llu; %s",
          path, header[2], (unsigned long long)want, (unsigned long long)size,
          size < want ? "it is cut off: get it again" : "something was appended");
cleanup:
    return status;
}

int token_file_examine(struct error *err, const char *path, struct token_file *file)
{
    int status = STATUS_OK;
    unsigned char head[16];
    struct stat about;
    ssize_t got = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: cannot read the tokens: %s", path, strerror(errno));
    CHECK(err, fstat(fd, &about) == 0 && S_ISREG(about.st_mode), STATUS_FAILED,
          "%s: is no file; name the token files themselves", path);
    got = pread(fd, head, sizeof head, 0);
    CHECK(err, got >= 0, STATUS_FAILED, "%s: cannot read the tokens: %s", path, strerror(errno));
    TRY(token_file_parse(err, path, head, (size_t)got, (uint64_t)about.st_size, file));
cleanup:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

/* Maximum first, without a branch, so that it runs at the speed of memory. */
#define CHECK_TOKENS(type)                                                                         \
    do {                                                                                           \
        const type *token = tokens;                                                                \
        for (size_t i = 0; i < count; i += PART) {                                                 \
            const size_t n = count - i < PART ? count - i : PART;                                  \
            type most = 0;                                                                         \
            for (size_t k = 0; k < n; k++) {                                                       \
                most = token[i + k] > most ? token[i + k] : most;                                  \
            }                                                                                      \
            for (size_t k = 0; most >= vocabulary && k < n; k++) {                                 \
                if (token[i + k] >= vocabulary) {                                                  \
                    return i + k;                                                                  \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)

size_t token_file_check(const void *tokens, int width, size_t count, uint32_t vocabulary)
{
    enum { PART = 4096 };
    if (width == 1) {
        CHECK_TOKENS(uint8_t);
    } else if (width == 2) {
        CHECK_TOKENS(uint16_t);
    } else {
        CHECK_TOKENS(uint32_t);
    }
    return count;
}

int token_file_refuse(struct error *err, const char *path, const struct token_file *file,
                      uint64_t index, uint32_t token, int vocabulary)
{
    return error_set(err, STATUS_FAILED, __FILE__, __LINE__,
                     "%s: token %llu (at byte %llu) is %u, and the vocabulary has only %d; check "
                     "data.vocabulary and that the file has tokens of %d bytes",
                     path, (unsigned long long)index,
                     (unsigned long long)(file->offset + index * (unsigned)file->width), token,
                     vocabulary, file->width);
}
