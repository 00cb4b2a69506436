#include "study/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { BUFFER = 1 << 18 };

struct input {
    const char *path;
    uint64_t length; /* bytes given out */
    gzFile gzip;     /* plain files, too; NULL: zstd */
    int file;
    ZSTD_DStream *zstd;
    ZSTD_inBuffer compressed;
    bool within; /* a frame has begun and not ended */
    char buffer[BUFFER];
};

static bool is_zstd(int file)
{
    static const unsigned char magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    unsigned char head[4];
    return pread(file, head, sizeof head, 0) == sizeof head && memcmp(head, magic, 4) == 0;
}

int input_open(struct error *err, const char *path, struct input **input)
{
    int status = STATUS_OK;
    struct input *in = calloc(1, sizeof *in);
    CHECK(err, in, STATUS_FAILED, "%s: out of memory", path);
    in->path = path;
    in->file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(err, in->file >= 0, STATUS_FAILED, "%s: cannot read the text: %s", path, strerror(errno));
    if (is_zstd(in->file)) {
        in->zstd = ZSTD_createDStream();
        in->compressed.src = in->buffer;
        CHECK(err, in->zstd, STATUS_FAILED, "%s: out of memory", path);
    } else {
        in->gzip = gzdopen(in->file, "rb"); /* reads plain files as they are */
        CHECK(err, in->gzip, STATUS_FAILED, "%s: out of memory", path);
        gzbuffer(in->gzip, BUFFER);
    }
    *input = in;
    in = NULL;
cleanup:
    input_close(in);
    return status;
}

void input_close(struct input *input)
{
    if (input) {
        if (input->gzip) {
            gzclose_r(input->gzip);
        } else if (input->file >= 0) {
            close(input->file);
        }
        ZSTD_freeDStream(input->zstd);
        free(input);
    }
}

static int fill(struct error *err, struct input *in)
{
    int status = STATUS_OK;
    ssize_t n;
    do {
        n = read(in->file, in->buffer, BUFFER);
    } while (n < 0 && errno == EINTR);
    CHECK(err, n >= 0, STATUS_FAILED, "%s: cannot read the text after %llu bytes: %s", in->path,
          (unsigned long long)in->length, strerror(errno));
    in->compressed.pos = 0;
    in->compressed.size = (size_t)n;
cleanup:
    return status;
}

static int read_zstd(struct error *err, struct input *in, void *bytes, size_t capacity, size_t *got)
{
    int status = STATUS_OK;
    ZSTD_outBuffer out = {.dst = bytes, .size = capacity};
    while (out.pos == 0) {
        const bool empty = in->compressed.pos == in->compressed.size;
        if (empty) {
            TRY(fill(err, in));
        }
        const bool end = in->compressed.size == 0;
        if (end && !in->within) {
            break;
        }
        const size_t before = out.pos;
        const size_t code = ZSTD_decompressStream(in->zstd, &out, &in->compressed);
        CHECK(err, !ZSTD_isError(code), STATUS_FAILED,
              "%s: cannot read the text after %llu bytes: %s", in->path,
              (unsigned long long)in->length, ZSTD_getErrorName(code));
        CHECK(err, !end || out.pos > before || code == 0, STATUS_FAILED,
              "%s: cannot read the text after %llu bytes: the Zstandard stream is cut off",
              in->path, (unsigned long long)in->length);
        in->within = code != 0;
    }
    *got = out.pos;
cleanup:
    return status;
}

int input_read(struct error *err, struct input *in, void *bytes, size_t capacity, size_t *got)
{
    int status = STATUS_OK;
    *got = 0;
    if (in->zstd) {
        TRY(read_zstd(err, in, bytes, capacity, got));
    } else {
        const int n = gzread(in->gzip, bytes, (unsigned)(capacity < BUFFER ? capacity : BUFFER));
        int code = Z_OK;
        const char *why = n > 0 ? "" : gzerror(in->gzip, &code);
        CHECK(err, n > 0 || (n == 0 && (code == Z_OK || code == Z_STREAM_END)), STATUS_FAILED,
              "%s: cannot read the text after %llu bytes: %s", in->path,
              (unsigned long long)in->length, code == Z_ERRNO ? strerror(errno) : why);
        *got = (size_t)n;
    }
    in->length += *got;
cleanup:
    return status;
}
