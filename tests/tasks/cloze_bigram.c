/*
 * Baselines of the task cloze, from the training text (all of it, however little of it the models see):
 *
 *     tokens   greedy decoding as for a model, with the byte that follows the last byte most often
 *     words    the word that follows the passage's last word most often
 *
 *     cloze_bigram STUDY.yaml
 *
 * Prints per cloze task and baseline the items, how many it gets right, its accuracy and the standard error.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/spec.h"
#include "study/corpus.h"
#include "study/tasks/make.h"
#include "study/tasks/passage.h"

struct word {
    const char *bytes;
    size_t length;
};

struct question {
    struct word before, answer;
};

/* What followed a word that is asked for. */
struct pair {
    struct word before, next;
};

struct pairs {
    size_t count, capacity;
    struct pair *pair;
};

static int compare(struct word a, struct word b)
{
    const int order = memcmp(a.bytes, b.bytes, a.length < b.length ? a.length : b.length);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int by_before(const void *a, const void *b)
{
    return compare(((const struct question *)a)->before, ((const struct question *)b)->before);
}

static int by_pair(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    const int order = compare(x->before, y->before);
    return order != 0 ? order : compare(x->next, y->next);
}

/* The last word of a passage. */
static struct word last_word(struct task_text text)
{
    size_t end = text.length, start;
    while (end > 0 && !passage_letter(text.bytes[end - 1])) {
        end--;
    }
    for (start = end; start > 0 && passage_letter(text.bytes[start - 1]); start--) {
    }
    return (struct word){text.bytes + start, end - start};
}

static int add_pair(struct error *err, struct pairs *pairs, struct word before, struct word next)
{
    int status = STATUS_OK;
    if (pairs->count == pairs->capacity) {
        const size_t capacity = 2 * pairs->capacity + 4096;
        struct pair *grown = realloc(pairs->pair, capacity * sizeof *grown);
        CHECK(err, grown != NULL, STATUS_FAILED, "out of memory");
        pairs->pair = grown;
        pairs->capacity = capacity;
    }
    pairs->pair[pairs->count++] = (struct pair){before, next};
cleanup:
    return status;
}

/* All pairs of the training text whose first word ends a passage. */
static int collect(struct error *err, const struct corpus *corpus, const struct question *question,
                   int questions, struct pairs *pairs)
{
    int status = STATUS_OK;
    const uint8_t *text;
    size_t length;
    for (int piece = 0; corpus_train_text(corpus, piece, &text, &length); piece++) {
        struct word before = {0};
        for (size_t at = 0; at < length;) {
            size_t end = at;
            while (end < length && passage_letter((char)text[end])) {
                end++;
            }
            if (end == at) {
                at++;
                continue;
            }
            const struct word word = {(const char *)text + at, end - at};
            const struct question key = {.before = before};
            if (before.length > 0 &&
                bsearch(&key, question, (size_t)questions, sizeof *question, by_before)) {
                TRY(add_pair(err, pairs, before, word));
            }
            before = word;
            at = end;
        }
    }
    qsort(pairs->pair, pairs->count, sizeof *pairs->pair, by_pair);
cleanup:
    return status;
}

/* The commonest follower of `before`; length 0 if it was never seen. */
static struct word likeliest(const struct pairs *pairs, struct word before)
{
    struct word best = {0};
    size_t low = 0, high = pairs->count, most = 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare(pairs->pair[middle].before, before) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (size_t i = low; i < pairs->count && compare(pairs->pair[i].before, before) == 0;) {
        size_t end = i;
        while (end < pairs->count && by_pair(&pairs->pair[i], &pairs->pair[end]) == 0) {
            end++;
        }
        if (end - i > most) {
            most = end - i;
            best = pairs->pair[i].next;
        }
        i = end;
    }
    return best;
}

/* Greedy decoding with the commonest byte behind each byte: does it give the continuation? */
static bool bytes_right(const uint8_t next[256], const struct task_choice *choice)
{
    uint8_t last = (uint8_t)choice->context.bytes[choice->context.length - 1];
    for (size_t i = 0; i < choice->continuation.length; i++) {
        last = next[last];
        if (last != (uint8_t)choice->continuation.bytes[i]) {
            return false;
        }
    }
    return true;
}

static int count_bytes(struct error *err, const struct corpus *corpus, uint8_t next[256])
{
    int status = STATUS_OK;
    const uint8_t *text;
    size_t length;
    size_t(*count)[256] = calloc(256, sizeof *count);
    CHECK(err, count != NULL, STATUS_FAILED, "out of memory");
    for (int piece = 0; corpus_train_text(corpus, piece, &text, &length); piece++) {
        for (size_t i = 1; i < length; i++) {
            count[text[i - 1]][text[i]]++;
        }
    }
    for (int a = 0; a < 256; a++) {
        next[a] = 0;
        for (int b = 1; b < 256; b++) {
            next[a] = count[a][b] > count[a][next[a]] ? (uint8_t)b : next[a];
        }
    }
cleanup:
    free(count);
    return status;
}

static void print_line(const char *task, const char *what, int items, int right)
{
    const double accuracy = (double)right / items;
    printf("%s %s items %d right %d accuracy %.4f se %.4f\n", task, what, items, right, accuracy,
           sqrt(accuracy * (1 - accuracy) / (items - 1)));
}

static int measure(struct error *err, const struct task *task, const struct corpus *corpus)
{
    int status = STATUS_OK;
    struct task_items items = {0};
    struct pairs pairs = {0};
    struct question *question = NULL;
    int right = 0, right_bytes = 0;
    uint8_t next[256];
    TRY(task_make(err, task, corpus, &items));
    TRY(count_bytes(err, corpus, next));
    question = calloc((size_t)items.count + 1, sizeof *question);
    CHECK(err, question != NULL, STATUS_FAILED, "out of memory");
    for (int i = 0; i < items.count; i++) {
        const struct task_choice *choice = &items.item[i].choice[0];
        question[i].before = last_word(choice->context);
        question[i].answer = last_word(choice->continuation);
        right_bytes += bytes_right(next, choice);
    }
    qsort(question, (size_t)items.count, sizeof *question, by_before);
    TRY(collect(err, corpus, question, items.count, &pairs));
    for (int i = 0; i < items.count; i++) {
        const struct word guess = likeliest(&pairs, question[i].before);
        right += guess.length > 0 && compare(guess, question[i].answer) == 0;
    }
    print_line(task->name, "tokens", items.count, right_bytes);
    print_line(task->name, "words", items.count, right);
cleanup:
    free(pairs.pair);
    free(question);
    items_free(&items);
    return status;
}

int main(int argc, char **argv)
{
    int status = STATUS_OK;
    struct error error = {0}, *err = &error;
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    struct corpus *corpus = NULL;
    int count = 0;
    CHECK(err, argc == 2, STATUS_USAGE, "give a study file: cloze_bigram STUDY.yaml");
    TRY(spec_read(err, argv[1], &spec));
    TRY(spec_cells(err, spec, &cells, &count));
    TRY(corpus_load(err, &spec->source, &cells[0].data, &corpus));
    for (int i = 0; i < spec->evaluate.tasks; i++) {
        if (spec->evaluate.task[i].format == TASK_CLOZE) {
            TRY(measure(err, &spec->evaluate.task[i], corpus));
        }
    }
cleanup:
    if (status != STATUS_OK) {
        fprintf(stderr, "cloze_bigram: %s\n", err->message);
    }
    corpus_free(corpus);
    free(cells);
    spec_free(spec);
    return status;
}
