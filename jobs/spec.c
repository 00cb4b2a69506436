#include "jobs/spec.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/spec_read.h"

static const char *const DESIGN_NAMES[] = {"one_at_a_time", "factorial", "fractional", "list",
                                           NULL};

const char *design_name(enum design_kind design)
{
    return DESIGN_NAMES[design];
}

/* The bytes of the study file into spec->text, with a NUL behind them. */
static int read_text(struct error *err, const char *path, struct spec *spec)
{
    enum { LONGEST = 1 << 20 };
    int status = STATUS_OK;
    struct stat info;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(err, file >= 0, STATUS_FAILED, "%s: %s; give the path of a study file", path,
          strerror(errno));
    CHECK(err, fstat(file, &info) == 0 && !S_ISDIR(info.st_mode), STATUS_FAILED,
          "%s: is a folder; give the path of a study file", path);
    spec->text = malloc(LONGEST + 1);
    CHECK(err, spec->text, STATUS_FAILED, "%s: out of memory", path);
    for (;;) {
        ssize_t got = read(file, spec->text + spec->text_length, LONGEST + 1 - spec->text_length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        CHECK(err, got >= 0, STATUS_FAILED, "%s: cannot read: %s", path, strerror(errno));
        if (got == 0) {
            break;
        }
        spec->text_length += (size_t)got;
        CHECK(err, spec->text_length <= LONGEST, STATUS_USAGE,
              "%s:1: study file: longer than %d bytes; is this a study file?", path, LONGEST);
    }
    spec->text[spec->text_length] = '\0';
cleanup:
    if (file >= 0) {
        close(file);
    }
    return status;
}

/* The name of the study unless the file gives one: the file's own, up to ".yaml". */
static void name_from_path(struct spec *spec)
{
    const char *slash = strrchr(spec->path, '/');
    const char *start = slash ? slash + 1 : spec->path;
    size_t length = strcspn(start, ".");
    if (length >= sizeof spec->name) {
        length = sizeof spec->name - 1;
    }
    snprintf(spec->name, sizeof spec->name, "%.*s", (int)length, start);
    if (length == 0) {
        snprintf(spec->name, sizeof spec->name, "study");
    }
    for (char *c = spec->name; *c; c++) { /* what yaml_field_identifier accepts */
        if (!isalnum((unsigned char)*c) && (c == spec->name || !strchr("_+-", *c))) {
            *c = '_';
        }
    }
}

/* "2/4": the file stands for a part of the study. */
static int read_shard(struct error *err, const struct yaml_field *field, struct spec *spec)
{
    int status = STATUS_OK;
    char text[32], what[SPEC_PATH + YAML_FIELD_NAME];
    snprintf(what, sizeof what, "%s:%d: shard", spec->path, field->line);
    TRY(yaml_field_string(err, field, text, sizeof text));
    TRY(shard_parse(err, what, text, &spec->shard));
cleanup:
    return status;
}

static int read_head(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    static const char *const KEYS[] = {
        "name",  "title", "note",       "design",   "sizes", "model", "base",  "factors", "cells",
        "seeds", "train", "quantizers", "evaluate", "data",  "run",   "shard", "tasks",   NULL,
    };
    int status = STATUS_OK;
    struct yaml_field field;
    int design = DESIGN_ONE_AT_A_TIME;
    TRY(yaml_field_keys(err, root, KEYS));
    name_from_path(spec);
    if (yaml_field_get(root, "name", &field)) {
        TRY(yaml_field_identifier(err, &field, spec->name, sizeof spec->name));
    }
    if (yaml_field_get(root, "title", &field)) {
        TRY(yaml_field_string(err, &field, spec->title, sizeof spec->title));
    }
    if (yaml_field_get(root, "note", &field)) {
        TRY(yaml_field_string(err, &field, spec->note, sizeof spec->note));
    }
    if (yaml_field_get(root, "design", &field)) {
        TRY(yaml_field_choice(err, &field, DESIGN_NAMES, &design));
    }
    spec->design = (enum design_kind)design;
    if (yaml_field_get(root, "shard", &field)) {
        TRY(read_shard(err, &field, spec));
    }
cleanup:
    return status;
}

int spec_read(struct error *err, const char *path, struct spec **out)
{
    int status = STATUS_OK;
    struct yaml_file file = {0};
    struct yaml_field root;
    *out = NULL;
    struct spec *spec = calloc(1, sizeof *spec);
    CHECK(err, spec, STATUS_FAILED, "%s: out of memory", path);
    CHECK(err, strlen(path) < sizeof spec->path, STATUS_USAGE, "%s: the path is too long", path);
    strcpy(spec->path, path);
    TRY(read_text(err, path, spec));
    TRY(yaml_file_open(err, spec->path, spec->text, spec->text_length, &file));
    yaml_file_root(&file, &root);
    TRY(read_head(err, &root, spec));
    TRY(spec_read_model(err, &root, spec));
    TRY(spec_read_train(err, &root, spec));
    TRY(spec_read_base(err, &root, spec));
    TRY(spec_read_sizes(err, &root, spec));
    TRY(spec_read_factors(err, &root, spec));
    TRY(spec_read_seeds(err, &root, spec));
    TRY(spec_read_evaluate(err, &root, spec));
    TRY(spec_read_data(err, &root, spec));
    TRY(spec_read_tasks(err, &root, spec));
    TRY(spec_read_run(err, &root, spec));
    *out = spec;
    spec = NULL;
cleanup:
    yaml_file_close(&file);
    spec_free(spec);
    return status;
}

void spec_free(struct spec *spec)
{
    if (spec) {
        free(spec->setting);
        free(spec->text);
        free(spec);
    }
}

int spec_size_of(const struct spec *spec, const struct cell *cell)
{
    for (int i = 0; i < spec->sizes; i++) {
        if (strcmp(spec->size[i].name, cell->size.name) == 0) {
            return i;
        }
    }
    return 0;
}
