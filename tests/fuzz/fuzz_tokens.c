/* Token files and manifests: what is accepted is consistent, and a manifest is written back as it was read. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "jobs/manifest.h"
#include "jobs/token_file.h"

static void token_file(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct token_file file;
    const size_t head = size < TOKEN_FILE_HEADER ? size : TOKEN_FILE_HEADER;
    if (token_file_parse(&err, "fuzz.bin", data, head, size, &file) != STATUS_OK) {
        FUZZ_FACT(strlen(err.message) > 20);
        return;
    }
    FUZZ_FACT(file.width == 2 || file.width == 4);
    FUZZ_FACT(file.tokens > 0 && file.offset + file.tokens * (unsigned)file.width == size);
    const size_t count = (size_t)file.tokens;
    FUZZ_FACT(token_file_check(data + file.offset, file.width, count, 50000) <= count);
}

static void manifest(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct manifest m, again;
    char *text, *same;
    if (manifest_parse(&err, "fuzz.json", (const char *)data, size, &m) != STATUS_OK) {
        FUZZ_FACT(strlen(err.message) > 20 && m.shard == NULL && m.span == NULL);
        return;
    }
    uint64_t tokens = 0;
    for (int i = 0; i < m.shards; i++) {
        tokens += m.shard[i].tokens;
    }
    FUZZ_FACT(tokens == manifest_tokens(&m, true) + manifest_tokens(&m, false));
    FUZZ_FACT(manifest_format(&err, &m, &text) == STATUS_OK);
    FUZZ_FACT(manifest_parse(&err, "again.json", text, strlen(text), &again) == STATUS_OK);
    FUZZ_FACT(manifest_format(&err, &again, &same) == STATUS_OK && strcmp(text, same) == 0);
    manifest_free(&m);
    manifest_free(&again);
    free(text);
    free(same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    token_file(data, size);
    manifest(data, size);
    return 0;
}
