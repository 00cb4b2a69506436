#include "jobs/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int status, const char *file, int line, const char *format, ...)
{
    if (err && err->status == STATUS_OK) {
        err->status = status;
        err->file = file;
        err->line = line;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

void error_context(struct error *err, const char *format, ...)
{
    if (!err || err->status == STATUS_OK) {
        return;
    }
    char context[ERROR_MESSAGE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);

    /* The cause is at the end of the message: when both do not fit, the context gives way. */
    size_t message = strlen(err->message);
    size_t space = sizeof err->message - 1 - message;
    if (space < 3) {
        return;
    }
    size_t length = strnlen(context, space - 2);
    memmove(err->message + length + 2, err->message, message + 1);
    memcpy(err->message, context, length);
    memcpy(err->message + length, ": ", 2);
}

void error_clear(struct error *err)
{
    if (err) {
        memset(err, 0, sizeof *err);
    }
}
