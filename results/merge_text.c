#include "results/merge_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jobs/version.h"
#include "results/journal.h"

/* How what the inputs say is joined where they differ. */
struct joined {
    const char *name, *between;
};

static const struct joined joined[] = {
    {"Conventions", " "},
    {"title", "; "},
    {"summary", "\n"},
    {"keywords", ", "},
    {"processing_level", "; "},
    {"study_name", "+"},
    {"study_design", ", "},
    {"study_note", "\n"},
    {"study_path", ", "},
    {"study_file", "\n---\n"},
    {"study_expanded", "\n---\n"},
    {"method_version", ", "},
    {"version", ", "},
    {"commit", ", "},
    {"compiler", ", "},
    {"libraries", ", "},
    {"mpi", ", "},
    {"job_ids", ", "},
    {"corpus_fingerprint", ", "},
    {"corpus_files", ", "},
    {"corpus_cleaning", ", "},
};

/* The same, of adaptive replication: left out where no input has it. */
static const struct joined looks[] = {
    {"looks_planned", "; "}, {"looks_seeds", ", "},    {"looks_level", ", "},
    {"looks_spent", ", "},   {"looks_decision", ", "}, {"looks_undecided", ", "},
};

/* The merged file is no shard: take the line "shard: 2/4" out of an expanded study. */
static void drop_shard(char *text)
{
    static const char key[] = "shard: ";
    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (strncmp(line, key, sizeof key - 1) == 0) {
            char *rest = end == NULL ? line + strlen(line) : end + 1;
            memmove(line, rest, strlen(rest) + 1);
            return;
        }
        line = end == NULL ? NULL : end + 1;
    }
}

/* The attribute of every input, as a list; the caller frees the texts and the list. */
static int collect(struct error *err, const struct merge_inputs *inputs, const char *name,
                   char ***texts)
{
    int status = STATUS_OK;
    char **list = calloc((size_t)inputs->count + 1, sizeof *list);
    *texts = list; /* the caller's, also after a failure */
    CHECK(err, list != NULL, STATUS_FAILED, "out of memory");
    for (int i = 0; i < inputs->count; i++) {
        TRY(studyread_attribute(err, inputs->input[i].study, name, &list[i]));
        if (strcmp(name, "study_expanded") == 0) {
            drop_shard(list[i]);
        }
    }
cleanup:
    return status;
}

static void free_texts(char **texts)
{
    for (int i = 0; texts != NULL && texts[i] != NULL; i++) {
        free(texts[i]);
    }
    free(texts);
}

/* Each text once, in order, empty ones left out. */
static int join(struct error *err, const struct merge_inputs *inputs, const char *name,
                const char *between, char **text)
{
    int status = STATUS_OK;
    char **texts = NULL, *built = NULL;
    size_t size = 0;
    FILE *out = NULL;
    TRY(collect(err, inputs, name, &texts));
    out = open_memstream(&built, &size);
    CHECK(err, out != NULL, STATUS_FAILED, "out of memory");
    for (int i = 0; i < inputs->count; i++) {
        bool seen = texts[i][0] == '\0';
        for (int k = 0; k < i && !seen; k++) {
            seen = strcmp(texts[k], texts[i]) == 0;
        }
        if (!seen) {
            fprintf(out, "%s%s", ftell(out) > 0 ? between : "", texts[i]);
        }
    }
    int failed = ferror(out) | fclose(out);
    out = NULL;
    CHECK(err, !failed, STATUS_FAILED, "out of memory");
    *text = built;
    built = NULL;
cleanup:
    if (out != NULL) {
        fclose(out);
    }
    free(built);
    free_texts(texts);
    return status;
}

int merge_check_method(struct error *err, const struct merge_inputs *inputs)
{
    int status = STATUS_OK;
    char **texts = NULL;
    TRY(collect(err, inputs, "method_version", &texts));
    for (int i = 1; i < inputs->count; i++) {
        CHECK(err, strcmp(texts[0], texts[i]) == 0, STATUS_FAILED,
              "%s was measured by version \"%s\" of the method and %s by \"%s\": their numbers "
              "cannot be compared, so they stay two files",
              inputs->input[0].path, texts[0], inputs->input[i].path, texts[i]);
    }
cleanup:
    free_texts(texts);
    return status;
}

static int put_history(struct error *err, struct studyfile *file, const struct merge_inputs *inputs,
                       const char *now)
{
    int status = STATUS_OK;
    char **texts = NULL, *built = NULL;
    size_t size = 0;
    FILE *out = NULL;
    TRY(collect(err, inputs, "history", &texts));
    out = open_memstream(&built, &size);
    CHECK(err, out != NULL, STATUS_FAILED, "out of memory");
    fprintf(out, "%s merged by ptqscale %s, commit %s, from %d inputs:\n", now, version_string(),
            version_commit(), inputs->count);
    for (int i = 0; i < inputs->count; i++) {
        fprintf(out, "%s (%d cells)\n", inputs->input[i].path, inputs->input[i].cells);
        for (const char *line = texts[i]; *line != '\0';) {
            size_t length = strcspn(line, "\n");
            fprintf(out, "  %.*s\n", (int)length, line);
            line += length + (line[length] == '\n');
        }
    }
    int failed = ferror(out) | fclose(out);
    out = NULL;
    CHECK(err, !failed, STATUS_FAILED, "out of memory");
    TRY(studyfile_text(err, file, "history", built));
cleanup:
    if (out != NULL) {
        fclose(out);
    }
    free(built);
    free_texts(texts);
    return status;
}

int merge_put_texts(struct error *err, struct studyfile *file, const struct merge_inputs *inputs,
                    const struct cell *cells, int count)
{
    int status = STATUS_OK;
    char *text = NULL;
    char now[32], id[STUDYFILE_ID], source[256];
    journal_time((int64_t)time(NULL), now);
    for (size_t i = 0; i < sizeof joined / sizeof joined[0]; i++) {
        TRY(join(err, inputs, joined[i].name, joined[i].between, &text));
        TRY(studyfile_text(err, file, joined[i].name, text));
        if (strcmp(joined[i].name, "study_name") == 0) {
            studyfile_id(text, cells, count, id);
            TRY(studyfile_text(err, file, "id", id));
        }
        free(text);
        text = NULL;
    }
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        TRY(join(err, inputs, looks[i].name, looks[i].between, &text));
        if (text[0] != '\0') {
            TRY(studyfile_text(err, file, looks[i].name, text));
        }
        free(text);
        text = NULL;
    }
    snprintf(source, sizeof source, "ptqscale %s, commit %s", version_string(), version_commit());
    TRY(studyfile_text(err, file, "source", source));
    TRY(studyfile_text(err, file, "date_created", now));
    TRY(studyfile_text(err, file, "product_version", version_string()));
    TRY(put_history(err, file, inputs, now));
cleanup:
    free(text);
    return status;
}
