#include "study/tasks/score.h"

#include <stdlib.h>
#include <string.h>

/* Windows ===================================================================================== */

static int windows_of(const struct task_request *request, int context)
{
    return request->continuation <= context ? 1 : (request->continuation + context - 1) / context;
}

/* The next window of a request of which `done` tokens of the continuation are scored. */
static struct task_window cut(const struct task_request *request, int context, int done)
{
    const int left = request->continuation - done;
    const int scored = left < context ? left : context;
    const int end =
        request->context + done + scored - 1; /* of the inputs: the last token is only predicted */
    const int from = end > context ? end - context : 0;
    return (struct task_window){
        .request = request, .from = from, .length = end - from, .scored = scored};
}

int scoring_create(struct error *err, const struct task_set *set, int context,
                   struct scoring *scoring)
{
    int status = STATUS_OK;
    struct scoring *s = scoring;
    *s = (struct scoring){.context = context, .requests = set->first[set->items]};
    for (int r = 0; r < s->requests; r++) {
        s->windows += windows_of(&set->request[r], context);
    }
    s->window = malloc(((size_t)s->windows + 1) * sizeof *s->window);
    s->first = malloc(((size_t)s->requests + 1) * sizeof *s->first);
    s->log_p =
        calloc(2 * (size_t)s->windows + 1, sizeof *s->log_p); /* a team adds both up in one go */
    CHECK(err, s->window && s->first && s->log_p, STATUS_FAILED,
          "out of memory for %d windows of task %s", s->windows, set->task.name);
    s->greedy = s->log_p + s->windows;
    int w = 0;
    for (int r = 0; r < s->requests; r++) {
        s->first[r] = w;
        for (int done = 0; done < set->request[r].continuation; done += s->window[w - 1].scored) {
            s->window[w++] = cut(&set->request[r], context, done);
        }
    }
    s->first[s->requests] = w;
cleanup:
    return status;
}

void scoring_free(struct scoring *scoring)
{
    free(scoring->window);
    free(scoring->first);
    free(scoring->log_p);
    *scoring = (struct scoring){0};
}

int scoring_truncated(const struct scoring *scoring, const struct task_set *set)
{
    int truncated = 0;
    for (int i = 0; i < set->items; i++) {
        bool whole = true;
        for (int r = set->first[i]; r < set->first[i + 1]; r++) {
            const struct task_request *request = &set->request[r];
            whole = whole && request->context + request->continuation - 1 <= scoring->context;
        }
        truncated += !whole;
    }
    return truncated;
}

/* Scores ====================================================================================== */

static void fill(const struct scoring *s, int first, int count, uint32_t *inputs)
{
    for (int i = 0; i < count; i++) {
        const struct task_window *w = &s->window[first + i];
        memcpy(inputs + (size_t)i * s->context, w->request->token + w->from,
               (size_t)w->length * sizeof *inputs);
    }
}

/* Row r of a sequence predicts the token behind its r-th input. */
static void read_logits(struct scoring *s, int index, const struct kernels *k, int vocabulary,
                        const float *logits, double *log_p)
{
    const struct task_window *w = &s->window[index];
    bool greedy = true;
    for (int r = w->length - w->scored; r < w->length; r++) {
        const uint32_t target = w->request->token[w->from + r + 1];
        const int best = k->log_softmax(vocabulary, logits + (size_t)r * vocabulary, log_p);
        s->log_p[index] += log_p[target];
        greedy = greedy && best == (int)target;
    }
    s->greedy[index] = greedy;
}

int scoring_run(struct error *err, struct team *team, struct model *model,
                const struct weights *weights, int batch, void (*alive)(void *context),
                void *context, struct scoring *scoring)
{
    int status = STATUS_OK;
    struct scoring *s = scoring;
    const struct dropout none = {0};
    const struct kernels *k = model_kernels(model);
    const int vocabulary = model_layout(model)->model.vocabulary;
    const size_t rows = (size_t)batch * s->context;
    uint32_t *inputs = malloc(rows * sizeof *inputs);
    double *log_p = malloc((size_t)vocabulary * sizeof *log_p);
    CHECK(err, inputs && log_p, STATUS_FAILED, "out of memory to score tasks");
    memset(s->log_p, 0, 2 * (size_t)s->windows * sizeof *s->log_p);
    for (int round = 0; (int64_t)round * team->size * batch < s->windows; round++) {
        const int first = (round * team->size + team->rank) * batch;
        const int count = s->windows - first < batch ? s->windows - first : batch;
        const float *logits;
        TRY(team_check(err, team));
        if (count <= 0) { /* the team-mates need the weights that this rank holds */
            TRY(model_attend(err, model, weights, NULL, NULL));
            continue;
        }
        memset(inputs, 0, rows * sizeof *inputs);
        fill(s, first, count, inputs);
        TRY(model_forward(err, model, weights, PRECISION_FP32, &none, inputs, batch, NULL, NULL,
                          &logits));
        for (int i = 0; i < count; i++) {
            read_logits(s, first + i, k, vocabulary, logits + (size_t)i * s->context * vocabulary,
                        log_p);
        }
        if (alive) {
            alive(context);
        }
    }
    /* Each window was scored by one rank; adding the others' zeros changes nothing. */
    TRY(team->sum_double(team, s->log_p, 2 * (size_t)s->windows));
cleanup:
    free(inputs);
    free(log_p);
    return status;
}

double scoring_log_p(const struct scoring *scoring, int request)
{
    double sum = 0;
    for (int w = scoring->first[request]; w < scoring->first[request + 1]; w++) {
        sum += scoring->log_p[w];
    }
    return sum;
}

bool scoring_greedy(const struct scoring *scoring, int request)
{
    bool greedy = true;
    for (int w = scoring->first[request]; w < scoring->first[request + 1]; w++) {
        greedy = greedy && scoring->greedy[w] > 0;
    }
    return greedy;
}
