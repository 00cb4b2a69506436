#include "study/state.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const uint64_t magic = 0x5054515f53543033; /* "PTQ_ST", and the format's version "03" */
static const uint64_t piece_magic = 0x5054515f50433031; /* "PTQ_PC01" */

_Static_assert(sizeof(struct state) == 8 + STATE_ID + STATE_METHOD + 2 * RECORD_TEXT +
                                           STATE_STARTED + 8 * (3 + 5 + 1 + 3 * RECORD_TRACE),
               "a state has no padding");
_Static_assert(CELL_ID <= (int)STATE_ID && sizeof METHOD_VERSION <= STATE_METHOD, "texts fit");

void state_identify(const struct cell *cell, size_t weights, struct state *state)
{
    memset(state, 0, sizeof *state); /* also behind the texts: the same state, the same bytes */
    state->magic = magic;
    snprintf(state->id, sizeof state->id, "%s", cell->id);
    snprintf(state->method, sizeof state->method, "%s", METHOD_VERSION);
    snprintf(state->isa, sizeof state->isa, "%s", run_cell_isa());
    snprintf(state->matmul, sizeof state->matmul, "%s", run_cell_matmul());
    state->numbers = record_numbers(cell);
    state->weights = weights;
    state->pieces = 1;
}

void state_parts(const struct state *state, const double *numbers, const void *master,
                 const void *first, const void *second, struct checkpoint_part part[STATE_PARTS])
{
    const size_t buffer = state->weights * sizeof(float);
    part[0] = (struct checkpoint_part){state, sizeof *state};
    part[1] = (struct checkpoint_part){numbers, state->numbers * sizeof *numbers};
    part[2] = (struct checkpoint_part){master, buffer};
    part[3] = (struct checkpoint_part){first, buffer};
    part[4] = (struct checkpoint_part){second, buffer};
}

int state_parts_of_team(const struct state *state, const double *numbers,
                        struct checkpoint_part part[STATE_PARTS])
{
    part[0] = (struct checkpoint_part){state, sizeof *state};
    part[1] = (struct checkpoint_part){numbers, state->numbers * sizeof *numbers};
    return 2;
}

void state_piece_parts(const struct state_piece *piece, const void *master, const void *first,
                       const void *second, struct checkpoint_part part[STATE_PIECE_PARTS])
{
    const size_t buffer = piece->floats * sizeof(float);
    part[0] = (struct checkpoint_part){piece, sizeof *piece};
    part[1] = (struct checkpoint_part){master, buffer};
    part[2] = (struct checkpoint_part){first, buffer};
    part[3] = (struct checkpoint_part){second, buffer};
}

void state_piece_name(int64_t step, int piece, int pieces, char name[STATE_NAME])
{
    const int length = snprintf(name, STATE_NAME, "weights-%lld-", (long long)step);
    if (piece >= 0) {
        snprintf(name + length, STATE_NAME - (size_t)length, "%d-of-%d", piece, pieces);
    }
}

void state_piece_identify(const struct state *state, int piece, size_t floats,
                          struct state_piece *header)
{
    memset(header, 0, sizeof *header);
    header->magic = piece_magic;
    memcpy(header->id, state->id, sizeof header->id);
    header->step = state->step;
    header->piece = piece;
    header->pieces = state->pieces;
    header->floats = floats;
}

int state_piece_parse(struct error *err, const struct state_piece *expected, const void *bytes,
                      size_t length, const void **floats)
{
    int status = STATUS_OK;
    CHECK(err, length == sizeof *expected + 3 * expected->floats * sizeof(float), STATUS_FAILED,
          "a piece of its weights is damaged: %zu bytes where %zu are needed", length,
          sizeof *expected + 3 * expected->floats * sizeof(float));
    CHECK(err, memcmp(bytes, expected, sizeof *expected) == 0, STATUS_FAILED,
          "a piece of its weights is of another cell, step or team");
    *floats = (const char *)bytes + sizeof *expected;
cleanup:
    return status;
}

/* The same text, ended within `size`? */
static bool same(const char *text, const char *expected, size_t size)
{
    return strnlen(text, size) < size && strcmp(text, expected) == 0;
}

static int check_identity(struct error *err, const struct state *s, const struct state *expected)
{
    int status = STATUS_OK;
    CHECK(err, s->magic == expected->magic, STATUS_FAILED,
          "it has another format, or was made on another kind of machine");
    CHECK(err, same(s->id, expected->id, sizeof s->id), STATUS_FAILED, "it is of cell %.*s",
          (int)sizeof s->id, s->id);
    CHECK(err, same(s->method, expected->method, sizeof s->method), STATUS_FAILED,
          "it was made by method version %.*s, and this is %s", (int)sizeof s->method, s->method,
          expected->method);
    CHECK(err, same(s->isa, expected->isa, sizeof s->isa), STATUS_FAILED,
          "it was made with instruction set %.*s, and this is %s: the bits would differ",
          (int)sizeof s->isa, s->isa, expected->isa);
    CHECK(err, same(s->matmul, expected->matmul, sizeof s->matmul), STATUS_FAILED,
          "it was made with matrix products by %.*s, and these are by %s: the bits would differ",
          (int)sizeof s->matmul, s->matmul, expected->matmul);
cleanup:
    return status;
}

/* Is `next` the checkpoint to come after `step` steps? Several may fall on one step. */
static bool follows(const struct cell *cell, int64_t next, int64_t step)
{
    return next >= 0 && next < cell->evaluate.checkpoints &&
           cell_checkpoint_step(cell, (int)next) >= step &&
           (next == 0 || cell_checkpoint_step(cell, (int)next - 1) <= step);
}

int state_parse(struct error *err, const struct cell *cell, size_t weights, const void *bytes,
                size_t length, struct state_view *view)
{
    int status = STATUS_OK;
    struct state expected, *s = &view->state;
    const char *at = bytes;
    state_identify(cell, weights, &expected);
    const size_t numbers = expected.numbers * sizeof(double), buffer = weights * sizeof(float);
    CHECK(err, length >= sizeof *s, STATUS_FAILED, "it is cut short: %zu bytes", length);
    memcpy(s, at, sizeof *s);
    TRY(check_identity(err, s, &expected));
    CHECK(err, s->pieces >= 1 && s->pieces <= INT32_MAX && (s->pieces & (s->pieces - 1)) == 0,
          STATUS_FAILED, "it is damaged: weights in %lld pieces", (long long)s->pieces);
    const size_t whole = sizeof *s + numbers + (s->pieces == 1 ? 3 * buffer : 0);
    CHECK(err, s->numbers == expected.numbers && s->weights == weights && length == whole,
          STATUS_FAILED, "it is damaged: %zu bytes where the cell needs %zu", length, whole);
    CHECK(err,
          s->step >= 1 && s->step <= cell->train.steps && s->skipped >= 0 &&
              s->skipped <= s->step && s->updates == s->step - s->skipped && s->good_steps >= 0 &&
              s->good_steps <= s->updates && s->good_steps < INT32_MAX,
          STATUS_FAILED, "it is damaged: %lld steps with %lld updates do not go together",
          (long long)s->step, (long long)s->updates);
    CHECK(err, follows(cell, s->next, s->step), STATUS_FAILED,
          "it is damaged: %lld is not the evaluation that follows step %lld", (long long)s->next,
          (long long)s->step);
    CHECK(err, isfinite(s->loss_scale) && s->loss_scale > 0, STATUS_FAILED,
          "it is damaged: the loss scale is %g", s->loss_scale);
    CHECK(err, strnlen(s->started, sizeof s->started) < sizeof s->started, STATUS_FAILED,
          "it is damaged: the time it was begun has no end");
    view->numbers = at + sizeof *s;
    view->master = view->first = view->second = NULL;
    if (s->pieces == 1) {
        view->master = at + sizeof *s + numbers;
        view->first = (const char *)view->master + buffer;
        view->second = (const char *)view->first + buffer;
    }
cleanup:
    return status;
}
