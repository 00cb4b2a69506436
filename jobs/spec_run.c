/* The section run of a study file: pace, which does not enter any cell's identity. */
#include <math.h>

#include "jobs/bytes.h"
#include "jobs/duration.h"
#include "jobs/spec_read.h"

static int optional_duration(struct error *err, const struct yaml_field *section, const char *key,
                             double least, double *out)
{
    int status = STATUS_OK;
    struct yaml_field field;
    char text[64];
    double seconds = 0;
    if (!yaml_field_get(section, key, &field)) {
        goto cleanup;
    }
    TRY(yaml_field_string(err, &field, text, sizeof text));
    FIELD_CHECK(err, duration_parse(text, &seconds), &field,
                "%s is not a span of time; write one such as 120s, 2min or 1h30min", field.text);
    FIELD_CHECK(err, seconds >= least, &field, "%s is too short; give at least %gs", field.text,
                least);
    *out = seconds;
cleanup:
    return status;
}

static int read_memory(struct error *err, const struct yaml_field *run, double *out)
{
    int status = STATUS_OK;
    struct yaml_field field;
    char text[64];
    if (!yaml_field_get(run, "memory_per_rank", &field)) {
        goto cleanup;
    }
    TRY(yaml_field_string(err, &field, text, sizeof text));
    FIELD_CHECK(err, bytes_parse(text, out), &field,
                "%s is not an amount of memory; write one such as 512MiB or 8GiB", field.text);
cleanup:
    return status;
}

int spec_read_run(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    static const char *const KEYS[] = {"checkpoint_every", "heartbeat_timeout", "memory_per_rank",
                                       NULL};
    int status = STATUS_OK;
    struct yaml_field run;
    spec->run.checkpoint_every = 120;
    spec->run.heartbeat_timeout = 60;
    if (yaml_field_get(root, "run", &run)) {
        TRY(yaml_field_keys(err, &run, KEYS));
        TRY(optional_duration(err, &run, "checkpoint_every", 0, &spec->run.checkpoint_every));
        TRY(optional_duration(err, &run, "heartbeat_timeout", SPEC_LEAST_TIMEOUT,
                              &spec->run.heartbeat_timeout));
        TRY(read_memory(err, &run, &spec->run.memory_per_rank));
    }
cleanup:
    return status;
}
