/*
 * Baselines of the task cloze, from the training text (all of it, however little of it the models see):
 *
 *     frequency    the word that is most frequent
 *     byte pairs   the word that is likeliest if each byte depends on the one before it
 *     word pairs   the word that follows the passage's last word most often; among those that never do, the most frequent
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

/* Two words in a row, or one behind "". */
struct pair {
    struct task_text before, word;
    size_t count;
};

struct pairs {
    size_t count;
    struct pair *pair;
};

static int compare(struct task_text a, struct task_text b)
{
    const int order = memcmp(a.bytes, b.bytes, a.length < b.length ? a.length : b.length);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int by_pair(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    const int order = compare(x->before, y->before);
    return order != 0 ? order : compare(x->word, y->word);
}

/* The last word of a passage. */
static struct task_text last_word(struct task_text text)
{
    size_t end = text.length, start;
    while (end > 0 && !passage_letter(text.bytes[end - 1])) {
        end--;
    }
    for (start = end; start > 0 && passage_letter(text.bytes[start - 1]); start--) {
    }
    return (struct task_text){text.bytes + start, end - start};
}

/* Of the training text ======================================================================== */

static struct pair *find(const struct pairs *pairs, struct task_text before, struct task_text word)
{
    const struct pair key = {before, word, 0};
    return bsearch(&key, pairs->pair, pairs->count, sizeof key, by_pair);
}

static void add(const struct pairs *pairs, struct task_text before, struct task_text word)
{
    struct pair *pair = find(pairs, before, word);
    if (pair) {
        pair->count++;
    }
}

static void count_text(const char *text, size_t length, struct pairs *pairs, size_t bytes[256][256])
{
    struct task_text before = {text, 0};
    for (size_t i = 1; i < length; i++) {
        bytes[(uint8_t)text[i - 1]][(uint8_t)text[i]]++;
    }
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && passage_letter(text[end])) {
            end++;
        }
        if (end == at) {
            at++;
            continue;
        }
        const struct task_text word = {text + at, end - at};
        add(pairs, (struct task_text){text, 0}, word);
        if (before.length > 0) {
            add(pairs, before, word);
        }
        before = word;
        at = end;
    }
}

static int count_training(struct error *err, const struct corpus *corpus, struct pairs *pairs,
                          size_t bytes[256][256])
{
    int status = STATUS_OK;
    for (int i = 0;; i++) {
        char *text;
        size_t length;
        TRY(corpus_text(err, corpus, false, i, &text, &length));
        if (text == NULL) {
            break;
        }
        count_text(text, length, pairs, bytes);
        free(text);
    }
cleanup:
    return status;
}

/* The pairs that the items ask for. */
static int list_pairs(struct error *err, const struct task_items *items, struct pairs *pairs)
{
    int status = STATUS_OK;
    size_t n = 0, kept = 0;
    pairs->pair = calloc(2 * TASK_MOST_CHOICES * (size_t)items->count + 1, sizeof *pairs->pair);
    CHECK(err, pairs->pair, STATUS_FAILED, "out of memory");
    for (int i = 0; i < items->count; i++) {
        for (int c = 0; c < items->item[i].choices; c++) {
            const struct task_choice *choice = &items->item[i].choice[c];
            const struct task_text word = last_word(choice->continuation);
            pairs->pair[n++] = (struct pair){text_of(""), word, 0};
            pairs->pair[n++] = (struct pair){last_word(choice->context), word, 0};
        }
    }
    qsort(pairs->pair, n, sizeof *pairs->pair, by_pair);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || by_pair(&pairs->pair[kept - 1], &pairs->pair[i]) != 0) {
            pairs->pair[kept++] = pairs->pair[i];
        }
    }
    pairs->count = kept;
cleanup:
    return status;
}

/* Baselines =================================================================================== */

enum baseline { FREQUENCY, BYTE_PAIRS, WORD_PAIRS, BASELINES };
static const char *const NAMES[] = {"frequency", "byte pairs", "word pairs"};

static double score(enum baseline baseline, const struct task_choice *choice,
                    const struct pairs *pairs, size_t bytes[256][256])
{
    const struct task_text word = last_word(choice->continuation);
    const double frequency = (double)find(pairs, text_of(""), word)->count;
    if (baseline == FREQUENCY) {
        return frequency;
    }
    if (baseline == WORD_PAIRS) {
        return (double)find(pairs, last_word(choice->context), word)->count + 1e-9 * frequency;
    }
    uint8_t last = (uint8_t)choice->context.bytes[choice->context.length - 1];
    double log_p = 0;
    for (size_t i = 0; i < choice->continuation.length; i++) {
        const uint8_t next = (uint8_t)choice->continuation.bytes[i];
        double all = 256;
        for (int b = 0; b < 256; b++) {
            all += (double)bytes[last][b];
        }
        log_p += log(((double)bytes[last][next] + 1) / all);
        last = next;
    }
    return log_p;
}

static int measure(struct error *err, const struct task *task, const struct corpus *corpus)
{
    int status = STATUS_OK;
    struct task_items items = {0};
    struct pairs pairs = {0};
    size_t(*bytes)[256] = calloc(256, sizeof *bytes);
    CHECK(err, bytes, STATUS_FAILED, "out of memory");
    TRY(task_make(err, task, corpus, &items));
    TRY(list_pairs(err, &items, &pairs));
    TRY(count_training(err, corpus, &pairs, bytes));
    for (int baseline = 0; baseline < BASELINES; baseline++) {
        int right = 0;
        for (int i = 0; i < items.count; i++) {
            const struct task_item *item = &items.item[i];
            int best = 0;
            double highest = -INFINITY;
            for (int c = 0; c < item->choices; c++) {
                const double here = score((enum baseline)baseline, &item->choice[c], &pairs, bytes);
                best = here > highest ? c : best;
                highest = here > highest ? here : highest;
            }
            right += best == item->gold;
        }
        const double accuracy = (double)right / items.count;
        printf("%s %s items %d right %d accuracy %.4f se %.4f\n", task->name, NAMES[baseline],
               items.count, right, accuracy, sqrt(accuracy * (1 - accuracy) / (items.count - 1)));
    }
cleanup:
    free(pairs.pair);
    free(bytes);
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
    TRY(spec_fingerprint(err, spec));
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
