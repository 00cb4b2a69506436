/* A store of checkpoints in memory, a team that is cancelled at a chosen poll, and comparison of what comes out, for the tests
 * of stopping and going on. */
#ifndef TESTS_UNIT_STUDY_STORE_H
#define TESTS_UNIT_STUDY_STORE_H

#include "results/schema.h"
#include "study/layout.h"
#include "study/run_cell.h"
#include "study/state.h"
#include "tests/unit/algebra_lapack.h"
#include "tests/unit/study_team.h"
#include "tests/unit/study_text.h"

struct bytes {
    unsigned char *at; /* NULL: none */
    size_t length;
};

static inline struct bytes bytes_copy(const void *at, size_t length)
{
    struct bytes copy = {NULL, 0};
    if (at != NULL) {
        copy = (struct bytes){malloc(length ? length : 1), length};
        memcpy(copy.at, at, length);
    }
    return copy;
}

enum { STORE_SAVES = 64 };

enum { STORE_NAMES = 64 };

/* A team's pieces beside the state. */
struct store_file {
    char name[STATE_NAME];
    struct bytes bytes;
};

struct store {
    pthread_mutex_t mutex; /* ranks may save at once */
    struct store_file file[STORE_NAMES];
    struct bytes last;                 /* what load gives as "state" */
    struct bytes history[STORE_SAVES]; /* all saves, if `keep` */
    int saves, loads;
    bool keep;
    bool full;  /* saving fails */
    bool blind; /* load finds nothing */
};

static inline struct store_file *store_find(struct store *store, const char *name)
{
    struct store_file *unused = NULL;
    for (int i = 0; i < STORE_NAMES; i++) {
        if (strcmp(store->file[i].name, name) == 0) {
            return &store->file[i];
        }
        unused = unused == NULL && store->file[i].name[0] == '\0' ? &store->file[i] : unused;
    }
    return unused;
}

static inline int store_save(struct error *err, void *context, const char *name,
                             const struct checkpoint_part *parts, int count)
{
    int status = STATUS_OK;
    struct store *store = context;
    struct bytes all = {0};
    CHECK(err, !store->full, STATUS_FAILED, "memory: No space left on device");
    for (int i = 0; i < count; i++) {
        all.length += parts[i].length;
    }
    all.at = malloc(all.length);
    for (size_t i = 0, at = 0; i < (size_t)count; at += parts[i++].length) {
        memcpy(all.at + at, parts[i].bytes, parts[i].length);
    }
    pthread_mutex_lock(&store->mutex);
    if (strcmp(name, "state") != 0) {
        struct store_file *file = store_find(store, name);
        snprintf(file->name, sizeof file->name, "%s", name);
        free(file->bytes.at);
        file->bytes = all;
    } else {
        if (store->keep && store->saves < STORE_SAVES) {
            store->history[store->saves] = bytes_copy(all.at, all.length);
        }
        store->saves++;
        free(store->last.at);
        store->last = all;
    }
    pthread_mutex_unlock(&store->mutex);
cleanup:
    return status;
}

static inline int store_load(struct error *err, void *context, const char *name, void **bytes,
                             size_t *length)
{
    struct store *store = context;
    (void)err;
    *bytes = NULL;
    pthread_mutex_lock(&store->mutex);
    const bool state = strcmp(name, "state") == 0;
    const struct bytes *from = state ? &store->last : &store_find(store, name)->bytes;
    store->loads += state;
    if (from->at != NULL && !store->blind) {
        const struct bytes copy = bytes_copy(from->at, from->length);
        *bytes = copy.at;
        *length = copy.length;
    }
    pthread_mutex_unlock(&store->mutex);
    return STATUS_OK;
}

static inline void store_tidy(void *context, const char *keep)
{
    struct store *store = context;
    pthread_mutex_lock(&store->mutex);
    for (int i = 0; i < STORE_NAMES; i++) {
        if (keep == NULL || strncmp(store->file[i].name, keep, strlen(keep)) != 0) {
            free(store->file[i].bytes.at);
            store->file[i] = (struct store_file){.name = ""};
        }
    }
    pthread_mutex_unlock(&store->mutex);
}

static inline void store_clear(struct store *store)
{
    store_tidy(store, NULL);
    free(store->last.at);
    for (int i = 0; i < STORE_SAVES; i++) {
        free(store->history[i].at);
    }
    *store = (struct store){.full = false};
}

/* Cancelled from the at-th poll on; 0 = never. */
struct canceller {
    int polls, at;
};

static inline bool canceller_poll(struct team *team)
{
    struct canceller *c = team->state;
    c->polls++;
    return c->at > 0 && c->polls >= c->at;
}

/* One attempt at a cell ====================================================================== */

struct attempt {
    const struct corpus *corpus;
    const struct cell *cell;
    struct store *store;
    double every;
    struct record *record;
    int64_t first, resumed; /* step of the first report; of the report that it goes on, 0 = none */
    int polls, status;
    struct error err;
};

static inline void attempt_report(void *context, const struct progress *progress)
{
    struct attempt *a = context;
    if (a->first < 0) {
        a->first = progress->step;
    }
    if (strcmp(progress->phase, "resume") == 0) {
        a->resumed = progress->step;
    }
}

static inline void attempt_run(struct team *team, void *context)
{
    struct attempt *a = context;
    const struct checkpoint_store store = {.context = a->store,
                                           .every = a->every,
                                           .save = store_save,
                                           .load = store_load,
                                           .tidy = store_tidy};
    a->first = -1;
    a->resumed = 0;
    a->record = NULL;
    error_clear(&a->err);
    a->status = run_cell(&a->err, team, a->corpus, a->cell, a->store ? &store : NULL,
                         attempt_report, a, &a->record);
}

/* Alone, cancelled at poll `at` (0 = never). */
static inline int attempt_alone(struct attempt *a, int at)
{
    struct canceller canceller = {.at = at};
    struct team team = team_alone();
    const struct algebra algebra = algebra_lapack(&team);
    team.algebra = &algebra;
    team.state = &canceller;
    team.cancelled = canceller_poll;
    attempt_run(&team, a);
    a->polls = canceller.polls;
    return a->status;
}

/* Comparison ================================================================================= */

/* All that is a result, bit by bit. */
static inline void store_same_record(const struct cell *cell, const struct record *a,
                                     const struct record *b)
{
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->status, b->status);
    assert_string_equal(a->reason, b->reason);
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *e = schema_entry(i);
        if (e->role == SCHEMA_PROVENANCE || e->type == SCHEMA_TEXT || e->type == SCHEMA_STATUS) {
            continue;
        }
        const double *left = schema_numbers(e, a), *right = schema_numbers(e, b);
        for (size_t k = 0; k < schema_values(e, cell); k++) {
            if (memcmp(left + k, right + k, sizeof *left) != 0) {
                fail_msg("%s[%zu]: %.17g is not %.17g", e->name, k, left[k], right[k]);
            }
        }
    }
}

static inline size_t store_weights(const struct cell *cell)
{
    struct error err = {0};
    struct layout *layout = NULL;
    assert_int_equal(layout_create(&err, &cell->size, &cell->model, &layout), STATUS_OK);
    const size_t length = layout->length;
    layout_free(layout);
    return length;
}

static inline struct state_view store_parse(const struct cell *cell, struct bytes bytes)
{
    struct error err = {0};
    struct state_view view;
    if (state_parse(&err, cell, store_weights(cell), bytes.at, bytes.length, &view) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    return view;
}

/* The same step, weights, moments and counters, bit by bit. */
static inline void store_same_state(const struct cell *cell, struct bytes a, struct bytes b)
{
    const struct state_view left = store_parse(cell, a), right = store_parse(cell, b);
    struct state x = left.state, y = right.state;
    memset(x.started, 0, sizeof x.started);
    memset(y.started, 0, sizeof y.started);
    assert_memory_equal(&x, &y, sizeof x);
    assert_memory_equal(left.master, right.master, 3 * x.weights * sizeof(float));
}

#endif
