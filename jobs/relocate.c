#include "jobs/relocate.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/yaml.h"

/* libyaml counts characters; where the one with this number begins. */
static size_t byte_of(const char *text, size_t length, size_t character)
{
    size_t at = 0;
    for (size_t seen = 0; at < length; at++) {
        if (((unsigned char)text[at] & 0xc0) != 0x80 && seen++ == character) {
            break;
        }
    }
    return at;
}

int relocate_file(struct error *err, const struct spec *spec, int index, char path[RELOCATE_PATH])
{
    int status = STATUS_OK;
    char folder[PATH_MAX], resolved[PATH_MAX];
    const char *file = spec->source.file[index];
    if (realpath(file, resolved) != NULL) {
        snprintf(path, RELOCATE_PATH, "%s", resolved);
        goto cleanup;
    }
    /* not there (yet) */
    CHECK(err, file[0] == '/' || getcwd(folder, sizeof folder) != NULL, STATUS_FAILED,
          "%s: the current folder has no path; run from another one", spec->path);
    snprintf(path, RELOCATE_PATH, "%s%s%s", file[0] == '/' ? "" : folder, file[0] == '/' ? "" : "/",
             file);
cleanup:
    return status;
}

static void put_quoted(FILE *out, const char *path)
{
    fputc('"', out);
    for (const char *c = path; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20) {
            fprintf(out, "\\x%02x", (unsigned char)*c);
        } else {
            fprintf(out, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
        }
    }
    fputc('"', out);
}

static int find_files(struct error *err, struct yaml_file *file, struct yaml_field *files,
                      int *count)
{
    int status = STATUS_OK;
    struct yaml_field root, data;
    yaml_file_root(file, &root);
    TRY(yaml_field_need(err, &root, "data", "give the text", &data));
    TRY(yaml_field_need(err, &data, "files", "give the text", files));
    TRY(yaml_field_list(err, files, SPEC_FILES, count));
cleanup:
    return status;
}

/* The name that the study has from its file's name, written out as its first key. Returns how much
 * of the text has been written. */
static size_t put_name(const struct spec *spec, const struct yaml_field *root, FILE *out)
{
    struct yaml_field name;
    if (yaml_field_get(root, "name", &name)) {
        return 0;
    }
    bool flow = root->node->data.mapping.style == YAML_FLOW_MAPPING_STYLE;
    size_t begin = byte_of(spec->text, spec->text_length, root->node->start_mark.index) + flow;
    fwrite(spec->text, 1, begin, out);
    fputs("name: ", out);
    put_quoted(out, spec->name);
    if (flow) {
        fputs(", ", out);
    } else {
        fprintf(out, "\n%*s", (int)root->node->start_mark.column, "");
    }
    return begin;
}

static int write_relocated(struct error *err, const struct spec *spec, FILE *out)
{
    int status = STATUS_OK;
    struct yaml_file file = {0};
    struct yaml_field root, files, item;
    int count = 0;
    TRY(yaml_file_open(err, spec->path, spec->text, spec->text_length, &file));
    yaml_file_root(&file, &root);
    size_t done = put_name(spec, &root, out);
    TRY(find_files(err, &file, &files, &count));
    for (int i = 0; i < count; i++) {
        char written[SPEC_PATH], path[RELOCATE_PATH];
        yaml_field_item(&files, i, &item);
        TRY(yaml_field_string(err, &item, written, sizeof written));
        if (written[0] == '/') {
            continue;
        }
        size_t from = byte_of(spec->text, spec->text_length, item.node->start_mark.index);
        size_t to = byte_of(spec->text, spec->text_length, item.node->end_mark.index);
        CHECK(err, from >= done && to >= from, STATUS_FAILED,
              "%s: data.files: cannot rewrite %s; give an absolute path", spec->path, item.text);
        TRY(relocate_file(err, spec, i, path));
        fwrite(spec->text + done, 1, from - done, out);
        put_quoted(out, path);
        done = to;
    }
    fwrite(spec->text + done, 1, spec->text_length - done, out);
cleanup:
    yaml_file_close(&file);
    return status;
}

/* What has been written reads as it is meant. */
static int check_relocated(struct error *err, const struct spec *spec, const char *text,
                           size_t length)
{
    int status = STATUS_OK;
    struct yaml_file file = {0};
    struct yaml_field root, name, files, item;
    struct error damage = {0};
    char written[RELOCATE_PATH], path[RELOCATE_PATH];
    int count = 0;
    bool same = yaml_file_open(&damage, spec->path, text, length, &file) == STATUS_OK &&
                find_files(&damage, &file, &files, &count) == STATUS_OK &&
                count == spec->source.files;
    if (same) {
        yaml_file_root(&file, &root);
        same = yaml_field_get(&root, "name", &name) &&
               yaml_field_string(&damage, &name, written, sizeof written) == STATUS_OK &&
               strcmp(written, spec->name) == 0;
    }
    for (int i = 0; same && i < count; i++) {
        yaml_field_item(&files, i, &item);
        same = yaml_field_string(&damage, &item, written, sizeof written) == STATUS_OK;
        TRY(relocate_file(err, spec, i, path));
        same = same && (strcmp(written, path) == 0 || strcmp(written, spec->source.file[i]) == 0) &&
               written[0] == '/';
    }
    CHECK(err, same, STATUS_FAILED,
          "%s: the study cannot be copied to another folder; write its name and absolute paths",
          spec->path);
cleanup:
    yaml_file_close(&file);
    return status;
}

int spec_relocated(struct error *err, const struct spec *spec, char **text)
{
    int status = STATUS_OK;
    char *written = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&written, &length);
    CHECK(err, out != NULL, STATUS_FAILED, "%s: out of memory", spec->path);
    TRY(write_relocated(err, spec, out));
    int failed = ferror(out) | fclose(out);
    out = NULL;
    CHECK(err, !failed, STATUS_FAILED, "%s: out of memory", spec->path);
    TRY(check_relocated(err, spec, written, length));
    *text = written;
    written = NULL;
cleanup:
    if (out != NULL) {
        fclose(out);
    }
    free(written);
    return status;
}
