/* Task files: the first byte chooses the format, and for formats with labels the rest is both files, parted by a byte 0. A reader may refuse them, with
 * a message that names a file; what it accepts are items that are in order. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "study/tasks/read.h"

static volatile uint8_t sink;

static void check(const struct task_items *items)
{
    FUZZ_FACT(items->count > 0);
    for (int i = 0; i < items->count; i++) {
        const struct task_item *item = &items->item[i];
        FUZZ_FACT(item->choices >= 1 && item->choices <= TASK_MOST_CHOICES);
        FUZZ_FACT(item->gold >= 0 && item->gold < item->choices);
        for (int c = 0; c < item->choices; c++) {
            const struct task_choice *choice = &item->choice[c];
            uint8_t sum = 0; /* all bytes can be read */
            for (size_t k = 0; k < choice->context.length; k++) {
                sum = (uint8_t)(sum + choice->context.bytes[k]);
            }
            for (size_t k = 0; k < choice->continuation.length; k++) {
                sum = (uint8_t)(sum ^ choice->continuation.bytes[k]);
            }
            sink = sum;
            FUZZ_FACT(choice->continuation.length > 0 && choice->bytes > 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { FIRST = TASK_HELLASWAG, FORMATS = TASK_ARC_EASY - TASK_HELLASWAG + 1 };
    struct error err = {0};
    struct task_items items;
    struct task_source source = {{0}, {0}};
    if (size == 0) {
        return 0;
    }
    const enum task_format format = (enum task_format)(FIRST + data[0] % FORMATS);
    const uint8_t *cut = task_has_labels(format) ? memchr(data + 1, 0, size - 1) : NULL;
    const size_t length = cut ? (size_t)(cut - data) - 1 : size - 1;
    strcpy(source.path, fuzz_file(0, data + 1, length));
    if (task_has_labels(format)) {
        strcpy(source.labels, fuzz_file(1, cut ? cut + 1 : data, cut ? size - length - 2 : 0));
    }
    const int status = task_read(&err, format, &source, &items);
    FUZZ_FACT(status == STATUS_OK ||
              (status == STATUS_FAILED && strstr(err.message, "/proc/self/fd/") != NULL));
    if (status == STATUS_OK) {
        check(&items);
    }
    items_free(&items);
    return 0;
}
