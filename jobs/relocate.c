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
    const char *file = source_path(&spec->source, index);
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

/* Where a task of the study gives a path of it. */
static int find_task_path(struct error *err, const struct yaml_field *root, const struct spec *spec,
                          const char *wanted, struct yaml_field *path)
{
    int status = STATUS_OK, count = 0;
    struct yaml_field list, entry;
    const char *key = NULL;
    int task = 0;
    for (; key == NULL && task < spec->source.tasks; task++) {
        key = wanted == spec->source.task[task].path     ? "path"
              : wanted == spec->source.task[task].labels ? "labels"
                                                         : NULL;
    }
    TRY(yaml_field_need(err, root, "tasks", "give the tasks", &list));
    TRY(yaml_field_list(err, &list, CELL_TASKS, &count));
    CHECK(err, key != NULL && count == spec->source.tasks, STATUS_FAILED, "%s: tasks are missing",
          spec->path);
    yaml_field_item(&list, task - 1, &entry);
    TRY(yaml_field_need(err, &entry, key, "give the task's file", path));
cleanup:
    return status;
}

/* Where the study file gives the path number `index` (source_path). */
static int find_path(struct error *err, struct yaml_file *file, const struct spec *spec, int index,
                     struct yaml_field *path)
{
    static const char *const KEYS[] = {"files", "files", "shards", "prepared"};
    int status = STATUS_OK, count;
    struct yaml_field root, data, list;
    const char *key = index < spec->source.files ? KEYS[spec->data.kind] : "tokenizer_model";
    const char *wanted = source_path(&spec->source, index);
    yaml_file_root(file, &root);
    if (index >= spec->source.files && wanted != spec->source.tokenizer) {
        TRY(find_task_path(err, &root, spec, wanted, path));
        goto cleanup;
    }
    TRY(yaml_field_need(err, &root, "data", "give the text", &data));
    TRY(yaml_field_need(err, &data, key, "give the text", path));
    if (index < spec->source.files && spec->data.kind != DATA_PREPARED) {
        list = *path;
        TRY(yaml_field_list(err, &list, SPEC_FILES, &count));
        CHECK(err, count == spec->source.files, STATUS_FAILED, "%s: files are missing", spec->path);
        yaml_field_item(&list, index, path);
    }
cleanup:
    return status;
}

enum { PATHS = SPEC_FILES + 1 + 2 * CELL_TASKS };

/* The paths, in the order in which the file has them. */
static int paths_in_order(const struct spec *spec, struct yaml_file *file, int *order)
{
    int paths = 0;
    size_t place[PATHS];
    struct yaml_field item;
    for (; source_path(&spec->source, paths); paths++) {
        if (find_path(NULL, file, spec, paths, &item) != STATUS_OK) {
            return -1;
        }
        const size_t here = item.node->start_mark.index;
        int at = paths;
        for (; at > 0 && place[at - 1] > here; at--) {
            place[at] = place[at - 1];
            order[at] = order[at - 1];
        }
        place[at] = here;
        order[at] = paths;
    }
    return paths;
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
    struct yaml_field root, item;
    int order[PATHS];
    TRY(yaml_file_open(err, spec->path, spec->text, spec->text_length, &file));
    yaml_file_root(&file, &root);
    size_t done = put_name(spec, &root, out);
    const int count = paths_in_order(spec, &file, order);
    CHECK(err, count > 0, STATUS_FAILED, "%s: the paths are not there any more", spec->path);
    for (int i = 0; i < count; i++) {
        char written[SPEC_PATH], path[RELOCATE_PATH];
        TRY(find_path(err, &file, spec, order[i], &item));
        TRY(yaml_field_string(err, &item, written, sizeof written));
        if (written[0] == '/') {
            continue;
        }
        size_t from = byte_of(spec->text, spec->text_length, item.node->start_mark.index);
        size_t to = byte_of(spec->text, spec->text_length, item.node->end_mark.index);
        CHECK(err, from >= done && to >= from, STATUS_FAILED,
              "%s: %s: cannot rewrite %s; give an absolute path", spec->path, item.name, item.text);
        TRY(relocate_file(err, spec, order[i], path));
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
    struct yaml_field root, name, item;
    struct error damage = {0};
    char written[RELOCATE_PATH], path[RELOCATE_PATH];
    bool same = yaml_file_open(&damage, spec->path, text, length, &file) == STATUS_OK;
    if (same) {
        yaml_file_root(&file, &root);
        same = yaml_field_get(&root, "name", &name) &&
               yaml_field_string(&damage, &name, written, sizeof written) == STATUS_OK &&
               strcmp(written, spec->name) == 0;
    }
    for (int i = 0; same && source_path(&spec->source, i); i++) {
        same = find_path(&damage, &file, spec, i, &item) == STATUS_OK &&
               yaml_field_string(&damage, &item, written, sizeof written) == STATUS_OK;
        TRY(relocate_file(err, spec, i, path));
        same = same && written[0] == '/' &&
               (strcmp(written, path) == 0 || strcmp(written, source_path(&spec->source, i)) == 0);
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
