/* A corpus of pseudo-English sentences in paragraphs, for the tests of tasks made from text. */
#ifndef TESTS_UNIT_STUDY_SENTENCES_H
#define TESTS_UNIT_STUDY_SENTENCES_H

#include <ctype.h>

#include "tests/unit/study_text.h"

/* `length` bytes: the words of text_generate, five to nine to a sentence, some sentences to a paragraph. */
static inline char *sentences_generate(uint64_t seed, size_t length)
{
    char *words = text_generate(seed, length), *text = malloc(length + 1);
    assert_non_null(text);
    size_t at = 0;
    int left = 0, sentences = 0;
    for (char *word = strtok(words, " \n"); word != NULL && at + 32 < length;
         word = strtok(NULL, " \n")) {
        const bool first = left == 0;
        if (first) {
            left = 5 + (int)(fixture_bits(&seed) % 5);
            sentences = sentences == 0 ? 3 + (int)(fixture_bits(&seed) % 4) : sentences - 1;
        }
        if (at > 0) {
            text[at++] = first && sentences == 0 ? '\n' : fixture_bits(&seed) % 9 == 0 ? '\n' : ' ';
            if (first && sentences == 0) {
                text[at++] = '\n';
            }
        }
        const size_t letters = strlen(word);
        memcpy(text + at, word, letters);
        text[at] = (char)(first ? toupper(text[at]) : text[at]);
        at += letters;
        left--;
        if (left == 0) {
            if (letters < 3) { /* the last word of a sentence is no abbreviation */
                memcpy(text + at, "nal", 3);
                at += 3;
            }
            text[at++] = '.';
        } else if (fixture_bits(&seed) % 12 == 0) {
            text[at++] = ',';
        }
    }
    while (at < length) {
        text[at++] = '\n';
    }
    free(words);
    return text;
}

static inline struct corpus *sentences_corpus(size_t length, const struct cell_data *data)
{
    char *text = sentences_generate(1, length);
    struct corpus *corpus = text_corpus_from(text, length, data);
    free(text);
    return corpus;
}

/* The items of a task made from `corpus`. */
static inline struct task sentences_task(enum task_format format, int items, uint64_t seed)
{
    struct task task = {.format = format, .items = items, .length = 64, .seed = seed};
    snprintf(task.name, sizeof task.name, "%s", task_format_name((int)format));
    return task;
}

#endif
