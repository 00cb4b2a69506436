/*
 * A study file, read and checked. YAML through libyaml's document tree; each error names file, line,
 * field, the offending text and what to do (unknown keys: the nearest known one).
 */
#ifndef JOBS_SPEC_H
#define JOBS_SPEC_H

#include <stddef.h>

#include "jobs/cell.h"
#include "jobs/shard.h"

enum design_kind { DESIGN_ONE_AT_A_TIME, DESIGN_FACTORIAL, DESIGN_FRACTIONAL, DESIGN_LIST };

enum {
    SPEC_SIZES = 32,
    SPEC_SEEDS = 256,
    SPEC_FACTORS = 16,
    SPEC_LEVELS = 16,
    SPEC_FILES = 64,
    SPEC_LIST = 1024,
    SPEC_LOOKS = 16,
    SPEC_PATH = 1024,
};

enum { SPEC_LEAST_TIMEOUT = 1 }; /* seconds; workers send a message each second, or more often */

/* Pace: how a study is run, which changes no result. Seconds, but for the memory. */
struct spec_run {
    double
        checkpoint_every; /* training time between two checkpoints of a cell; 0 = only at a stop */
    double heartbeat_timeout; /* a worker that is silent for so long is taken for dead */
    double memory_per_rank;   /* bytes of a rank's whole process; 0: no limit */
};

/* What a factor or the base recipe may set. */
enum factor {
    FACTOR_TOTAL_DECAY,
    FACTOR_WEIGHT_DECAY,
    FACTOR_DROPOUT,
    FACTOR_GRAD_CLIP,
    FACTOR_PRECISION,
    FACTOR_LEARNING_RATE,        /* absolute */
    FACTOR_LEARNING_RATE_FACTOR, /* times the size's own learning rate */
    FACTOR_SCHEDULE,
    FACTOR_TOKENS,               /* absolute */
    FACTOR_TOKENS_PER_PARAMETER, /* times non-embedding parameters */
    FACTOR_COUNT,
};

/* One value of a factor. precision and schedule: the enum's value; grad_clip none: 0. */
struct level {
    enum factor factor;
    double value;
    char text[32]; /* as the user wrote it */
};

/* The files of a task; "" where it has none. */
struct task_source {
    char path[SPEC_PATH], labels[SPEC_PATH];
};

/* The files a study reads. Plain bytes: it is broadcast to all ranks. Paths are absolute, or relative to the current folder. */
struct data_source {
    int tasks; /* as many as the cells have */
    struct task_source task[CELL_TASKS];
    char tokenizer[SPEC_PATH]; /* the SentencePiece model of text files; "": none */
    int files;
    char file[SPEC_FILES][SPEC_PATH]; /* text or token files; prepared: the folder */
};

/* Adaptive replication (METHOD §6): seeds are added in whole blocks until the verdicts are decided. */
struct spec_looks {
    int count;             /* 0: the seeds are fixed */
    int seeds[SPEC_LOOKS]; /* at each look, ascending */
    uint64_t first;        /* seeds are first, first + 1, … */
    double budget;         /* core-seconds that no added block may go beyond; 0: none */
};

enum { SPEC_LOOKS_TEXT = 8 * SPEC_LOOKS };

struct spec_setting { /* levels that differ from the base; size -1 = all sizes */
    int size;
    int levels;
    struct level level[SPEC_FACTORS];
};

struct spec {
    char path[SPEC_PATH]; /* as given */
    char name[CELL_NAME];
    char title[256];
    char note[1024]; /* printed above the report, e.g. why a study is provisional */
    enum design_kind design;
    int sizes;
    struct cell_size size[SPEC_SIZES];
    double size_learning_rate[SPEC_SIZES];
    int size_ranks[SPEC_SIZES];      /* ranks_per_cell; 0: not given */
    struct level base[FACTOR_COUNT]; /* base[f].text is "" where the base does not set f */
    int factors;
    enum factor factor[SPEC_FACTORS];
    int levels[SPEC_FACTORS];
    struct level level[SPEC_FACTORS][SPEC_LEVELS];
    int settings;
    struct spec_setting *setting; /* owned; `cells`: those of design list, or beside any other */
    int seeds; /* adaptive: those of the first look, or as many as have been reached */
    uint64_t seed[SPEC_SEEDS];
    struct spec_looks looks;
    struct cell_model model;
    int64_t batch_tokens, micro_batch_tokens;
    struct cell_train train; /* warmup, cooldown, final_rate, betas, epsilon */
    struct cell_evaluate evaluate;
    struct cell_data data;
    struct data_source source;
    struct spec_run run;
    struct shard shard; /* the part of the study that is meant; count 0 = all of it */
    char *text;         /* owned: the file as given */
    size_t text_length;
};

/* Read and check `path`. STATUS_FAILED when it cannot be read, STATUS_USAGE when it is wrong. The
 * corpus is not touched (spec_fingerprint). Free with spec_free. */
int spec_read(struct error *err, const char *path, struct spec **spec);
void spec_free(struct spec *spec); /* NULL is fine */

/* Hash the bytes of the study's text files into spec->data.fingerprint, or compare with what the study file
 * pins there (data.fingerprint); find the vocabulary, or compare it in the same way. All that can be wrong with the data shows here,
 * before anything is trained: STATUS_FAILED when a hash or the vocabulary differs, when a token is not below it, or with the path
 * and how to get the text when a file is missing, damaged or unreadable. */
int spec_fingerprint(struct error *err, struct spec *spec);

/* Bytes of the study's text or tokens in memory, before cleaning; for gzip files what their last four bytes say. 0
 * for files that are not there, and for token files, which are mapped. */
double spec_text_bytes(const struct spec *spec);

/* Bytes that are read from disk to have them. */
double source_disk_bytes(const struct data_source *source, enum data_kind kind);

/* All paths of the source: its files, the tokenizer if there is one, then those of the tasks. NULL past the end. */
const char *source_path(const struct data_source *source, int index);

/* All cells of the study, identified, without duplicates: sizes outermost, then settings (base first; those of the design, then
 * `cells`), then seeds; of a shard, only its own. Cells are in one malloc'ed array; the caller frees it. Checks what needs whole cells:
 * batch divisible by context, power-of-two micro-batches, at least one step. */
int spec_cells(struct error *err, const struct spec *spec, struct cell **cells, int *count);

/* The study as understood, every default written out, as YAML that spec_read accepts and that gives the
 * same cells. Its paths are absolute, since it is kept in another folder than the study file. malloc'ed text; the
 * caller frees it. */
int spec_expanded(struct error *err, const struct spec *spec, char **text);

/* The same for a file that travels to other machines: paths as the study file writes them. */
int spec_published(struct error *err, const struct spec *spec, char **text);

/* A path of spec->source as the study file writes it: relative to its folder where it lies below that. Part of `path`. */
const char *spec_path_written(const struct spec *spec, const char *path);

/* Adaptive replication: the study has so many seeds now. */
void spec_set_seeds(struct spec *spec, int seeds);

/* "4, 6, 8" */
const char *spec_looks_text(const struct spec_looks *looks, char text[SPEC_LOOKS_TEXT]);

/* Index of the cell's size in the study's; 0 if it has none of that name. */
int spec_size_of(const struct spec *spec, const struct cell *cell);

const char *design_name(enum design_kind design);
const char *factor_name(enum factor factor);

#endif
