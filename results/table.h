/* study.nc read back for analysis: what the report needs, nothing of how it is stored. */
#ifndef RESULTS_TABLE_H
#define RESULTS_TABLE_H

#include <stdint.h>

#include "jobs/cell.h"
#include "results/record.h"

struct table_cell {
    char id[CELL_ID];
    char size[CELL_NAME];
    char setting[CELL_LABEL];
    bool base;
    uint64_t seed;
    double parameters;
    double tokens;
    enum cell_status status;
    double learning_rate, total_decay, weight_decay, dropout;
    double grad_clip; /* 0: none */
    enum precision precision;
    enum schedule schedule;
};

/* Probes of the mechanism (METHOD §5, C7), each the mean of its logarithm over layers and sites (or norms). */
enum table_probe { TABLE_WEIGHT_NORM, TABLE_GAIN_STD, TABLE_INPUT_STD, TABLE_PROBES };

/* Adaptive replication, as far as it has come (results/looks.h). Of a merged file all texts, ", " or "; " between them. */
struct table_looks {
    char planned[256];   /* seeds at each look, "4, 6, 8"; "": the seeds were fixed */
    char seeds[64];      /* of the last look that was taken; "0": none */
    char decision[64];   /* "more", "decided", "last", "budget"; "none yet" */
    char undecided[128]; /* hypotheses, "H1, H3a" */
    double
        level; /* nominal two-sided level of each confirmatory interval: of merged files the least; 0: fixed seeds */
    double spent; /* of each verdict's alpha; of merged files the most */
};

/* How a study was made: texts as study.nc holds them. */
enum table_fact {
    TABLE_STUDY_FILE, /* as given */
    TABLE_METHOD_VERSION,
    TABLE_COMPILER,
    TABLE_LIBRARIES,
    TABLE_MPI,
    TABLE_JOBS,
    TABLE_CORPUS,      /* files */
    TABLE_FINGERPRINT, /* of the text */
    TABLE_CPUS,        /* of the finished cells, each once, as the next two */
    TABLE_HOSTS,
    TABLE_COMMITS,
    TABLE_FACTS,
};

struct table {
    char name[CELL_NAME], title[256], note[1024], design[32];
    int cells, checkpoints, quantizers;
    struct table_looks looks;
    struct table_cell *cell;   /* (cells) */
    char (*quantizer)[32];     /* (quantizers) */
    double *training_fraction; /* (checkpoints) */
    double *loss;              /* (cells, checkpoints) */
    double *bits_per_byte;     /* (cells, checkpoints); NULL: older than it */
    double *kl, *delta_loss, *relative_loss_increase,
        *top1_agreement;                      /* (cells, checkpoints, quantizers) */
    int tasks;                                /* 0 in a file without */
    char (*task)[TASK_NAME];                  /* (tasks) */
    double *task_items;                       /* (tasks) */
    double *task_chance;                      /* (cells, tasks) */
    double *accuracy, *accuracy_se;           /* (cells, checkpoints, tasks) */
    double *accuracy_norm, *accuracy_norm_se; /* the same */
    double *accuracy_drop, *accuracy_drop_se; /* (cells, checkpoints, quantizers, tasks); percent */
    double *accuracy_drop_above_chance, *accuracy_drop_above_chance_se; /* the same */
    double *discordant_lost, *discordant_gained;                        /* the same; items */
    double *probe[TABLE_PROBES]; /* (cells, checkpoints); NULL: a file without probes */
    double *trace_step,
        *trace_loss;         /* (cells, RECORD_TRACE): training curves; NaN past their end */
    double *unigram_entropy; /* (cells) */
    double *wall_time;       /* (cells) train + evaluate, seconds */
    char (*isa)[32];         /* (cells) */
    char commit[RECORD_TEXT], version[RECORD_TEXT],
        date[32];            /* of the program that wrote the file */
    char *fact[TABLE_FACTS]; /* NULL: the file does not say */
};

/* Read a study.nc. STATUS_FAILED when it is not one (the message says what is missing). Free with table_free. */
int table_read(struct error *err, const char *path, struct table **table);
void table_free(struct table *table); /* NULL is fine */

/* Computing time of all cells, seconds. */
double table_seconds(const struct table *table);

/* The commits that the finished cells were run at, "A, B"; of a file that does not say, or has no finished cell, its own; "unknown". */
const char *table_commits(const struct table *table);

/* The instruction sets of the done cells, "avx512" or "avx2, avx512"; "" if none is known. */
enum { TABLE_SETS = 256 };
void table_instruction_sets(const struct table *table, char text[TABLE_SETS]);

const char *table_probe_name(enum table_probe probe); /* "weight spectral norm" */

#endif
