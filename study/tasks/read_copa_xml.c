/*
 * COPA's XML, through expat:
 *
 *     <item id="1" asks-for="cause" most-plausible-alternative="1"> <p>…</p> <a1>…</a1> <a2>…</a2> </item>
 *
 * Its document type names a file that is not needed and not looked for.
 */
#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "study/tasks/formats.h"
#include "study/tasks/lines.h"

enum { PARTS = 3, LONGEST = 4096 };

struct copa {
    struct error *err;
    struct lines lines;
    struct task_items *items;
    XML_Parser parser;
    int status;
    bool inside; /* an item */
    int part;    /* p, a1, a2 under way; −1: none */
    bool cause;
    int gold;
    char text[PARTS][LONGEST];
    size_t length[PARTS];
};

static const char *const PART[PARTS] = {"p", "a1", "a2"};

/* After a failure expat calls nobody any more. */
static void stop(struct copa *copa, int status)
{
    copa->status = status;
    XML_StopParser(copa->parser, XML_FALSE);
}

static void refuse(struct copa *copa, const char *field, const char *text, const char *advice)
{
    char quote[LINES_QUOTE];
    copa->lines.line = (int)XML_GetCurrentLineNumber(copa->parser);
    stop(copa, lines_error(copa->err, &copa->lines, __FILE__, __LINE__, "%s: %s %s", field,
                           lines_quote(text_of(text), quote), advice));
}

static const char *attribute(const char **attributes, const char *name)
{
    for (int i = 0; attributes[i] != NULL; i += 2) {
        if (strcmp(attributes[i], name) == 0) {
            return attributes[i + 1];
        }
    }
    return "";
}

static void on_start(void *context, const char *name, const char **attributes)
{
    struct copa *copa = context;
    if (strcmp(name, "item") == 0) {
        const char *asks = attribute(attributes, "asks-for");
        const char *gold = attribute(attributes, "most-plausible-alternative");
        copa->inside = true;
        memset(copa->length, 0, sizeof copa->length);
        copa->cause = strcmp(asks, "cause") == 0;
        copa->gold = strcmp(gold, "2") == 0;
        if (!copa->cause && strcmp(asks, "effect") != 0) {
            refuse(copa, "asks-for", asks, "is neither \"cause\" nor \"effect\"");
        } else if (!copa->gold && strcmp(gold, "1") != 0) {
            refuse(copa, "most-plausible-alternative", gold,
                   "is neither 1 nor 2; take a part with answers");
        }
    }
    for (int i = 0; i < PARTS && copa->inside; i++) {
        if (strcmp(name, PART[i]) == 0) {
            copa->part = i;
            copa->length[i] = 0;
        }
    }
}

static void on_text(void *context, const char *text, int length)
{
    struct copa *copa = context;
    if (copa->part < 0) {
        return;
    }
    if (copa->length[copa->part] + (size_t)length > LONGEST) {
        refuse(copa, PART[copa->part], copa->text[copa->part][0] ? "…" : "",
               "is longer than 4096 bytes");
        return;
    }
    memcpy(copa->text[copa->part] + copa->length[copa->part], text, (size_t)length);
    copa->length[copa->part] += (size_t)length;
}

static void on_end(void *context, const char *name)
{
    struct copa *copa = context;
    struct task_text text[PARTS];
    copa->part = -1;
    if (strcmp(name, "item") != 0) {
        return;
    }
    copa->inside = false;
    for (int i = 0; i < PARTS; i++) {
        text[i] = text_trim((struct task_text){copa->text[i], copa->length[i]});
        if (text[i].length == 0) {
            refuse(copa, PART[i], "", "is empty or missing; an item has p, a1 and a2");
            return;
        }
    }
    const int status = copa_add(copa->err, copa->items, text[0], copa->cause, &text[1], copa->gold);
    if (status != STATUS_OK) {
        stop(copa, status);
    }
}

int read_copa_xml(struct error *err, const char *path, struct task_items *items)
{
    int status = STATUS_OK;
    struct copa *copa = calloc(1, sizeof *copa);
    XML_Parser parser = XML_ParserCreate(NULL);
    CHECK(err, copa != NULL && parser != NULL, STATUS_FAILED, "%s: out of memory", path);
    copa->err = err;
    copa->items = items;
    copa->parser = parser;
    copa->part = -1;
    TRY(lines_open(err, path, &copa->lines));
    XML_SetUserData(parser, copa);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    CHECK(err, copa->lines.length < INT32_MAX, STATUS_FAILED, "%s: too large for a file of COPA",
          path);
    const enum XML_Status parsed =
        XML_Parse(parser, (const char *)copa->lines.bytes, (int)copa->lines.length, 1);
    TRY(copa->status);
    copa->lines.line = (int)XML_GetCurrentLineNumber(parser);
    LINE_CHECK(err, parsed == XML_STATUS_OK, &copa->lines,
               "XML: %s; is the file cut off, or not UTF-8?",
               XML_ErrorString(XML_GetErrorCode(parser)));
cleanup:
    if (copa != NULL) {
        lines_close(&copa->lines);
    }
    free(copa);
    XML_ParserFree(parser);
    return status;
}
