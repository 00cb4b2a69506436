#include <string.h>
#include <unistd.h>

#include "jobs/plan_tables.h"

/* Each setting once, in order of first appearance. */
static void print_settings(FILE *out, const struct cell *cells, int count)
{
    enum { SHOWN = 64 };
    const char *seen[SHOWN];
    int shown = 0;
    bool more = false;
    fputs("settings    ", out);
    for (int i = 0; i < count && !more; i++) {
        int at = 0;
        while (at < shown && strcmp(seen[at], cells[i].setting) != 0) {
            at++;
        }
        if (at < shown) {
            continue;
        }
        more = shown == SHOWN;
        if (!more) {
            seen[shown++] = cells[i].setting;
            fprintf(out, "%s%s", shown > 1 ? " | " : "", cells[i].setting);
        }
    }
    fprintf(out, "%s\n", more ? " | ..." : "");
}

static void print_lists(FILE *out, const struct spec *spec)
{
    fputs("seeds      ", out);
    for (int i = 0; i < spec->seeds; i++) {
        fprintf(out, " %llu", (unsigned long long)spec->seed[i]);
    }
    fputs("\nquantizers ", out);
    for (int i = 0; i < spec->evaluate.quantizers; i++) {
        fprintf(out, " %s", spec->evaluate.quantizer[i].name);
    }
    fputs("\ncheckpoints", out);
    for (int i = 0; i < spec->evaluate.checkpoints; i++) {
        fprintf(out, " %g", spec->evaluate.fraction[i]);
    }
    fprintf(out, " of the run, %d windows each\n", spec->evaluate.windows);
    fputs(spec->evaluate.tasks > 0 ? "tasks      " : "", out);
    for (int i = 0; i < spec->evaluate.tasks; i++) {
        const struct task *task = &spec->evaluate.task[i];
        fprintf(out, " %s", task->name);
        if (task->items > 0) {
            fprintf(out, " (%d items)", task->items);
        } else {
            fputs(" (items not counted)", out);
        }
    }
    fputs(spec->evaluate.tasks > 0 ? "\n" : "", out);
}

static void print_text(FILE *out, const struct spec *spec)
{
    if (spec->data.fingerprint[0]) {
        fprintf(out, "text        %d file%s, fingerprint %s\n\n", spec->source.files,
                spec->source.files == 1 ? "" : "s", spec->data.fingerprint);
        return;
    }
    fputs("text       ", out);
    for (int i = 0; i < spec->source.files; i++) {
        bool there = access(spec->source.file[i], R_OK) == 0;
        fprintf(out, " %s (%s)", spec->source.file[i], there ? "found" : "not found");
    }
    fputs("\n            cell ids are final once all of it is there; ./jobs/fetch-corpus.sh "
          "fetches the "
          "dictionary text\n\n",
          out);
}

int plan_print(struct error *err, FILE *out, const struct plan *plan,
               const struct plan_interval *interval, int intervals)
{
    int status = STATUS_OK;
    const struct spec *spec = plan->spec;
    fprintf(out, "%s%s%s (%s, %s)\n", spec->name, spec->title[0] ? ": " : "", spec->title,
            spec->path, design_name(spec->design));
    fprintf(out, "%s%s\n", spec->note, spec->note[0] ? "\n" : "");
    plan_print_sizes(out, plan);
    print_settings(out, plan->cells, plan->count);
    print_lists(out, spec);
    print_text(out, spec);
    plan_print_memory(out, plan);
    plan_print_teams(out, plan);
    for (int s = 0; s < spec->sizes; s++) {
        fprintf(out, "%s%s", plan->refusal[s], plan->refusal[s][0] ? "\n" : "");
    }
    if (interval != NULL) {
        TRY(plan_print_schedule(err, out, plan, interval, intervals));
    }
    CHECK(err, fflush(out) == 0 && !ferror(out), STATUS_FAILED, "plan: cannot write the output");
cleanup:
    return status;
}
