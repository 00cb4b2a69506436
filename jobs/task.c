#include "jobs/task.h"

static const struct {
    const char *name;
    int choices;
} FORMATS[] = {
    {"cloze", 4}, {"continuation", 4}, {"pairs", 2},    {"hellaswag", 4},
    {"piqa", 2},  {"winogrande", 2},   {"copa", 2},     {"lambada", 1},
    {"blimp", 2}, {"storycloze", 2},   {"arc_easy", 5},
};

bool task_is_made(enum task_format format)
{
    return format <= TASK_PAIRS;
}

bool task_is_last_word(enum task_format format)
{
    return format == TASK_LAMBADA;
}

bool task_has_labels(enum task_format format)
{
    return format == TASK_PIQA;
}

const char *task_format_name(int format)
{
    return format >= 0 && format < (int)(sizeof FORMATS / sizeof FORMATS[0]) ? FORMATS[format].name
                                                                             : 0;
}

int task_choices(enum task_format format)
{
    return FORMATS[format].choices;
}
