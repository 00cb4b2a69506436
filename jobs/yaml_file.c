/* Parsing: syntax errors with their line, and what is refused although it is YAML. */
#include <string.h>

#include "jobs/yaml.h"

static int syntax_error(struct error *err, const char *path, const char *text, size_t length,
                        const yaml_parser_t *parser)
{
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) { /* knows the byte, not the line */
        line = 1;
        for (size_t i = 0; i < length && i < parser->problem_offset; i++) {
            line += text[i] == '\n';
        }
    }
    /* The text of that line, to show what is meant. */
    const char *start = text;
    const char *end = text + length;
    for (size_t i = 1; i < line && start < end; i++) {
        const char *newline = memchr(start, '\n', (size_t)(end - start));
        start = newline ? newline + 1 : end;
    }
    const char *newline = memchr(start, '\n', (size_t)(end - start));
    char quoted[YAML_FIELD_TEXT];
    yaml_quote(start, (size_t)((newline ? newline : end) - start), quoted, sizeof quoted);

    const char *problem = parser->problem ? parser->problem : "the text ends too early";
    const char *advice = "check indentation, colons, brackets and quotes";
    if (parser->error == YAML_READER_ERROR) {
        advice = "a study file is plain UTF-8 text";
        for (char *c = quoted; *c; c++) { /* the bytes are not UTF-8: keep the message ASCII */
            *c = (unsigned char)*c < 0x80 ? *c : '?';
        }
    }
    if (parser->error == YAML_MEMORY_ERROR) {
        return error_set(err, STATUS_FAILED, __FILE__, __LINE__, "%s: out of memory", path);
    }
    return error_set(err, STATUS_USAGE, __FILE__, __LINE__, "%s:%zu: YAML syntax: %s at %s; %s",
                     path, line, problem, quoted, advice);
}

/* What this reader refuses although it is YAML; the document tree no longer shows it. */
static const char *unsupported(const yaml_event_t *event, int documents)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "aliases (*name) are not supported; write the value out";
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    case YAML_DOCUMENT_START_EVENT:
        return documents > 0 ? "a second document begins here; a study file is one document" : NULL;
    default:
        return NULL;
    }
    if (anchor) {
        return "anchors (&name) are not supported; write the value out";
    }
    return tag ? "tags (!name) are not supported; leave the tag out" : NULL;
}

/* What an event does to the depth of lists and mappings. */
static int depth_change(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return 1;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return -1;
    default:
        return 0;
    }
}

static int check_events(struct error *err, const char *path, const char *text, size_t length)
{
    enum { DEEPEST = 16 };
    int status = STATUS_OK;
    yaml_parser_t parser;
    yaml_event_t event;
    int documents = 0;
    int depth = 0;
    CHECK(err, yaml_parser_initialize(&parser), STATUS_FAILED, "%s: out of memory", path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    for (bool end = false; !end;) {
        if (!yaml_parser_parse(&parser, &event)) {
            status = syntax_error(err, path, text, length, &parser);
            break;
        }
        const char *problem = unsupported(&event, documents);
        depth += depth_change(&event);
        if (!problem && depth > DEEPEST) {
            problem = "lists and mappings are nested too deeply; close the brackets before";
        }
        if (problem) {
            status = error_set(err, STATUS_USAGE, __FILE__, __LINE__, "%s:%zu: YAML: %s", path,
                               event.start_mark.line + 1, problem);
        }
        documents += event.type == YAML_DOCUMENT_START_EVENT;
        end = problem || event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    TRY(status);
    CHECK(err, documents > 0, STATUS_USAGE,
          "%s:1: study file: the file is empty; start from jobs/quick.yaml", path);
cleanup:
    return status;
}

int yaml_file_open(struct error *err, const char *path, const char *text, size_t length,
                   struct yaml_file *file)
{
    int status = STATUS_OK;
    yaml_parser_t parser;
    memset(file, 0, sizeof *file);
    file->path = path;
    TRY(check_events(err, path, text, length));
    CHECK(err, yaml_parser_initialize(&parser), STATUS_FAILED, "%s: out of memory", path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    file->loaded = yaml_parser_load(&parser, &file->document);
    if (!file->loaded) {
        status = syntax_error(err, path, text, length, &parser);
    }
    yaml_parser_delete(&parser);
cleanup:
    return status;
}

void yaml_file_close(struct yaml_file *file)
{
    if (file->loaded) {
        yaml_document_delete(&file->document);
        file->loaded = false;
    }
}
