#include "study/tasks/passage.h"

#include <stdlib.h>
#include <string.h>

#include "study/tasks/items.h"

enum { LEAST_WORDS = 4, LEAST_LETTERS = 3 };

static bool is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

bool passage_letter(char c)
{
    return is_small(c) || is_capital(c);
}

bool passage_create(const uint8_t *text, size_t length, struct passage *passage)
{
    *passage = (struct passage){.bytes = malloc(length + 1),
                                .paragraph = calloc(length + 1, sizeof(bool))};
    if (passage->bytes == NULL || passage->paragraph == NULL) {
        passage_free(passage);
        return false;
    }
    bool begins = true;
    for (size_t i = 0; i < length;) {
        if (!text_is_space((char)text[i])) {
            passage->paragraph[passage->length] = begins;
            passage->bytes[passage->length++] = (char)text[i++];
            begins = false;
            continue;
        }
        int ends = 0; /* of lines */
        for (; i < length && text_is_space((char)text[i]); i++) {
            ends += text[i] == '\n';
        }
        begins = begins || ends > 1;
        if (passage->length > 0) {
            passage->bytes[passage->length++] = ' ';
        }
    }
    return true;
}

void passage_free(struct passage *passage)
{
    free(passage->bytes);
    free(passage->paragraph);
    *passage = (struct passage){0};
}

/* The sentence that begins at `start`: its end, or 0 if that is none. */
static size_t sentence_end(const struct passage *p, size_t start)
{
    int words = 0;
    size_t letters = 0;
    for (size_t i = start; i < p->length; i++) {
        const char c = p->bytes[i];
        if (passage_letter(c)) {
            letters++;
            continue;
        }
        words += letters > 0;
        if (c == '.' || c == '!' || c == '?') {
            const bool whole = letters >= LEAST_LETTERS && words >= LEAST_WORDS;
            const bool ended = i + 1 == p->length || p->bytes[i + 1] == ' ';
            return whole && ended ? i + 1 : 0;
        }
        if (strchr(" ,;:'-", c) == NULL || c == '\0' || (c == '-' && p->bytes[i - 1] == '-') ||
            (i + 1 < p->length && p->paragraph[i + 1])) {
            return 0;
        }
        letters = 0;
    }
    return 0;
}

bool passage_sentence(const struct passage *p, size_t *at, size_t *start, size_t *end)
{
    for (size_t i = *at; i < p->length; i++) {
        const bool behind =
            i >= 2 && p->bytes[i - 1] == ' ' && strchr(".!?", p->bytes[i - 2]) != NULL;
        if (is_capital(p->bytes[i]) && (p->paragraph[i] || behind)) {
            *end = sentence_end(p, i);
            if (*end > 0) {
                *start = i;
                *at = *end;
                return true;
            }
        }
    }
    *at = p->length;
    return false;
}

bool passage_word(const struct passage *p, size_t *at, size_t *start, size_t *end)
{
    for (size_t i = *at; i < p->length; i++) {
        size_t k = i + 1;
        if (p->bytes[i] != ' ' || p->paragraph[k]) {
            continue;
        }
        while (k < p->length && is_small(p->bytes[k])) {
            k++;
        }
        if (k >= i + 1 + LEAST_LETTERS && k < p->length && !passage_letter(p->bytes[k])) {
            *start = i + 1;
            *end = *at = k;
            return true;
        }
    }
    *at = p->length;
    return false;
}

size_t passage_begin(const struct passage *p, size_t end, size_t most)
{
    const size_t least = end > most ? end - most : 0;
    size_t begin = end;
    for (size_t i = end; i > least; i--) {
        if (i - 1 == 0 || p->bytes[i - 2] == ' ') {
            begin = i - 1;
        }
        if (p->paragraph[i - 1]) {
            break;
        }
    }
    return begin;
}

bool passage_has_word(const char *bytes, size_t length, const char *word, size_t letters)
{
    for (size_t i = 0; i + letters <= length; i++) {
        if (memcmp(bytes + i, word, letters) == 0 && (i == 0 || !passage_letter(bytes[i - 1])) &&
            (i + letters == length || !passage_letter(bytes[i + letters]))) {
            return true;
        }
    }
    return false;
}
