/* Text in HTML and SVG. */
#ifndef RESULTS_HTML_TEXT_H
#define RESULTS_HTML_TEXT_H

#include <stdio.h>

/* `text` escaped for element content and for attribute values in quotes of either kind; control characters become blanks. */
void html_text(FILE *out, const char *text);

/* The same of a formatted text (at most 4,095 bytes). */
void html_say(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
