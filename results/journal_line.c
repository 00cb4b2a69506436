#include "results/journal_line.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

enum { CHECK_DIGITS = 16 };

static const char name_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

void journal_time(int64_t seconds, char text[32])
{
    time_t when = (time_t)seconds;
    struct tm utc;
    if (gmtime_r(&when, &utc) == NULL || utc.tm_year < 0 || utc.tm_year > 8099) {
        snprintf(text, 32, "1970-01-01T00:00:00Z");
        return;
    }
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

int journal_encode(const char *value, char *out, int size)
{
    int n = 0;
    for (const unsigned char *c = (const unsigned char *)value; *c != '\0'; c++) {
        bool escape = *c <= ' ' || *c > 126 || *c == '%' || *c == '=';
        if (n + (escape ? 3 : 1) >= size) {
            return -1;
        }
        if (escape) {
            snprintf(out + n, 4, "%%%02x", *c);
            n += 3;
        } else {
            out[n++] = (char)*c;
        }
    }
    if (n >= size) {
        return -1;
    }
    out[n] = '\0';
    return n;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int journal_decode(char *text)
{
    char *to = text;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c != '%') {
            *to++ = *c;
            continue;
        }
        int high = hex_digit(c[1]);
        int low = high < 0 ? -1 : hex_digit(c[2]);
        if (low < 0 || (high == 0 && low == 0)) {
            return -1;
        }
        *to++ = (char)(high * 16 + low);
        c += 2;
    }
    *to = '\0';
    return 0;
}

static bool name_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length < JOURNAL_EVENT && strspn(name, name_bytes) == length;
}

int journal_line_format(const struct journal_line *line, char text[JOURNAL_LINE])
{
    char when[32];
    if (!name_is_valid(line->event) || line->pairs > JOURNAL_PAIRS) {
        return -1;
    }
    journal_time(line->time, when);
    char *body = text + CHECK_DIGITS + 1;
    int room = JOURNAL_LINE - CHECK_DIGITS - 2; /* the LF stays */
    int n =
        snprintf(body, (size_t)room, "%lld %s %s", (long long)line->sequence, when, line->event);
    for (int i = 0; i < line->pairs; i++) {
        if (!name_is_valid(line->key[i])) {
            return -1;
        }
        int key = snprintf(body + n, (size_t)(room - n), " %s=", line->key[i]);
        if (key >= room - n) {
            return -1;
        }
        n += key;
        int value = journal_encode(line->value[i], body + n, room - n);
        if (value < 0) {
            return -1;
        }
        n += value;
    }
    char check[CHECK_DIGITS + 1];
    snprintf(check, sizeof check, "%016llx", (unsigned long long)XXH64(body, (size_t)n, 0));
    memcpy(text, check, CHECK_DIGITS);
    text[CHECK_DIGITS] = ' ';
    body[n] = '\n';
    return n + CHECK_DIGITS + 2;
}

int journal_line_check(const char *text, size_t length)
{
    if (length < CHECK_DIGITS + 2 || length >= JOURNAL_LINE || text[CHECK_DIGITS] != ' ') {
        return 0;
    }
    unsigned long long check = 0;
    for (int i = 0; i < CHECK_DIGITS; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) {
            return 0;
        }
        check = check << 4 | (unsigned long long)digit;
    }
    return check == XXH64(text + CHECK_DIGITS + 1, length - CHECK_DIGITS - 1, 0);
}

static const char *parse_time(const char *word, int64_t *seconds)
{
    struct tm utc = {0};
    char again[32];
    if (sscanf(word, "%4d-%2d-%2dT%2d:%2d:%2dZ", &utc.tm_year, &utc.tm_mon, &utc.tm_mday,
               &utc.tm_hour, &utc.tm_min, &utc.tm_sec) != 6) {
        return "the time is not of the form 2025-01-31T23:59:59Z";
    }
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;
    *seconds = timegm(&utc);
    journal_time(*seconds, again);
    return strcmp(word, again) == 0 ? NULL : "the time does not exist";
}

const char *journal_line_parse(char *text, size_t length, struct journal_line *line)
{
    text[length] = '\0';
    *line = (struct journal_line){0};
    if (strlen(text) != length) {
        return "a NUL byte in it";
    }
    char *rest = text + CHECK_DIGITS + 1;
    char *sequence = strsep(&rest, " "), *when = strsep(&rest, " "), *event = strsep(&rest, " ");
    if (event == NULL) {
        return "sequence number, time or event is missing";
    }
    size_t digits = strspn(sequence, "0123456789");
    if (digits == 0 || digits > 18 || sequence[digits] != '\0') {
        return "the sequence number is not a number";
    }
    line->sequence = strtoll(sequence, NULL, 10);
    const char *wrong = parse_time(when, &line->time);
    if (wrong != NULL) {
        return wrong;
    }
    if (!name_is_valid(event)) {
        return "the event is not a name";
    }
    line->event = event;
    for (char *pair; (pair = strsep(&rest, " ")) != NULL;) {
        char *value = strchr(pair, '=');
        if (value == NULL || line->pairs == JOURNAL_PAIRS) {
            return value == NULL ? "a word is not of the form key=value" : "too many pairs";
        }
        *value++ = '\0';
        if (!name_is_valid(pair) || journal_decode(value) != 0) {
            return "a key=value pair is malformed";
        }
        journal_pair(line, pair, value);
    }
    return NULL;
}

const char *journal_value(const struct journal_line *line, const char *key)
{
    for (int i = 0; i < line->pairs; i++) {
        if (strcmp(line->key[i], key) == 0) {
            return line->value[i];
        }
    }
    return NULL;
}

void journal_pair(struct journal_line *line, const char *key, const char *value)
{
    if (line->pairs < JOURNAL_PAIRS) {
        line->key[line->pairs] = key;
        line->value[line->pairs] = value;
    }
    line->pairs++; /* one too many is refused when the line is written */
}
