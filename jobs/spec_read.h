/* The parts of spec_read, one per section of a study file. Private to jobs/. */
#ifndef JOBS_SPEC_READ_H
#define JOBS_SPEC_READ_H

#include "jobs/spec.h"
#include "jobs/yaml.h"

/* Sections with defaults; `root` is the whole file, and an absent section is all defaults. */
int spec_read_model(struct error *err, const struct yaml_field *root, struct spec *spec);
int spec_read_train(struct error *err, const struct yaml_field *root, struct spec *spec);
int spec_read_sizes(struct error *err, const struct yaml_field *root, struct spec *spec);
int spec_read_seeds(struct error *err, const struct yaml_field *root, struct spec *spec);
int spec_read_evaluate(struct error *err, const struct yaml_field *root, struct spec *spec);
int spec_read_data(struct error *err, const struct yaml_field *root, struct spec *spec);
int spec_read_run(struct error *err, const struct yaml_field *root, struct spec *spec);

/* Its quantizers; `evaluate` is that section, or NULL. */
int spec_read_quantizers(struct error *err, const struct yaml_field *root,
                         const struct yaml_field *evaluate, struct cell_evaluate *out);

/* Its tasks; needs the sizes and the data. */
int spec_read_tasks(struct error *err, const struct yaml_field *root, struct spec *spec);

/* A path as written in the study file, seen from the folder we run in. One that ends with / is refused unless a folder is wanted. */
int spec_read_path(struct error *err, const struct yaml_field *field, const struct spec *spec,
                   bool folder_wanted, char out[SPEC_PATH]);

/* The base recipe, needed by sizes; then factors or the list of cells, which need the sizes. */
int spec_read_base(struct error *err, const struct yaml_field *root, struct spec *spec);
int spec_read_factors(struct error *err, const struct yaml_field *root, struct spec *spec);

/* Factors that say the same in two ways: the other one, or FACTOR_COUNT. Setting one unsets the other. */
enum factor factor_alternative(enum factor factor);

/* Does the level say what the base recipe says anyway? */
bool spec_level_is_base(const struct spec *spec, const struct level *level);

#endif
