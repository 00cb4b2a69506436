/*
 * Sentences of a text, for the tasks made from it: what begins with a capital letter behind the end of another one, has four words or
 * more, only letters and , ; : ' -, and ends with . ! or ? behind a word of three letters or more (else it is mostly an abbreviation).
 * Private to study/tasks/.
 */
#ifndef STUDY_TASKS_PASSAGE_H
#define STUDY_TASKS_PASSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of text with white space made into single blanks, and the places where paragraphs (blank lines) begin. */
struct passage {
    char *bytes;
    bool *paragraph; /* (length): one begins here */
    size_t length;
};

/* Frees with passage_free; false when out of memory. */
bool passage_create(const uint8_t *text, size_t length, struct passage *passage);
void passage_free(struct passage *passage);

/* The next sentence from *at on, as bytes from *start to *end; *at is behind it then. False at the end. */
bool passage_sentence(const struct passage *passage, size_t *at, size_t *start, size_t *end);

/* The next word of three small letters or more, with a blank before it and no letter behind. */
bool passage_word(const struct passage *passage, size_t *at, size_t *start, size_t *end);

/* Where a passage can begin that ends at `end`, is at most `most` bytes and stays in its paragraph: at a word. */
size_t passage_begin(const struct passage *passage, size_t end, size_t most);

/* Does the word stand in bytes[length], with no letter beside it? */
bool passage_has_word(const char *bytes, size_t length, const char *word, size_t letters);

bool passage_letter(char c);

#endif
