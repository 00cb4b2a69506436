/* Tasks made from held-out text: every item is what its task promises, and nothing but the seed chooses. */
#include "tests/unit/study_sentences.h"

#include "study/tasks/make.h"
#include "study/tasks/passage.h"

enum { ITEMS = 120 };

static struct corpus *corpus;
static char *held_out, *train; /* as passages, NUL-terminated, pieces one behind the other */

static char *join(bool held)
{
    struct error err = {0};
    char *all = calloc(1, 1), *text;
    size_t used = 0, length;
    for (int i = 0;; i++) {
        struct passage passage;
        assert_int_equal(corpus_text(&err, corpus, held, i, &text, &length), STATUS_OK);
        if (text == NULL) {
            return all;
        }
        assert_true(passage_create((const uint8_t *)text, length, &passage));
        all = realloc(all, used + passage.length + 2);
        memcpy(all + used, passage.bytes, passage.length);
        used += passage.length;
        all[used++] = '\n';
        all[used] = '\0';
        passage_free(&passage);
        free(text);
    }
}

static int set_up(void **state)
{
    (void)state;
    const struct cell cell = text_cell(1, PRECISION_FP32);
    corpus = sentences_corpus(3000000, &cell.data);
    held_out = join(true);
    train = join(false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(held_out);
    free(train);
    corpus_free(corpus);
    return 0;
}

static struct task_items make(const struct task *task)
{
    struct error err = {0};
    struct task_items items;
    if (task_make(&err, task, corpus, &items) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(items.count, task->items);
    return items;
}

/* The two texts of a choice as one string. */
static const char *whole(const struct task_choice *choice, char text[256])
{
    assert_true(choice->context.length + choice->continuation.length <= 64);
    snprintf(text, 256, "%.*s%.*s", (int)choice->context.length, choice->context.bytes,
             (int)choice->continuation.length, choice->continuation.bytes);
    return text;
}

/* Is word number k of an item among those of another? */
static bool has_choice(const struct task_item *item, struct task_text word)
{
    bool has = false;
    for (int c = 0; c < item->choices; c++) {
        const struct task_text here = item->choice[c].continuation;
        has =
            has || (here.length == word.length && memcmp(here.bytes, word.bytes, word.length) == 0);
    }
    return has;
}

/* The last word of a text. */
static struct task_text last_word(struct task_text text)
{
    size_t end = text.length;
    while (end > 0 && !passage_letter(text.bytes[end - 1])) {
        end--;
    }
    size_t start = end;
    while (start > 0 && passage_letter(text.bytes[start - 1])) {
        start--;
    }
    return (struct task_text){text.bytes + start, end - start};
}

/* The last word of a passage that has it twice, and three of the same length that it has not. Every four items are of the same four words behind
 * the same word, and each of them is the answer once. */
static void cloze(void **state)
{
    (void)state;
    char text[256];
    int golds[4] = {0}, types = 0;
    const struct task task = sentences_task(TASK_CLOZE, ITEMS, 1);
    struct task_items items = make(&task);
    for (int i = 0; i < ITEMS; i++) {
        const struct task_item *item = &items.item[i];
        assert_int_equal(item->choices, 4);
        golds[item->gold]++;
        assert_non_null(strstr(held_out, whole(&item->choice[item->gold], text)));
        for (int c = 0; c < 4; c++) {
            const struct task_choice *choice = &item->choice[c];
            assert_true(choice->continuation.bytes[0] == ' ' && choice->bytes >= 3 &&
                        choice->bytes == item->choice[0].bytes);
            for (int k = 1; k <= choice->bytes; k++) {
                assert_true(islower((unsigned char)choice->continuation.bytes[k]));
            }
            assert_int_equal(passage_has_word(choice->context.bytes, choice->context.length,
                                              choice->continuation.bytes + 1,
                                              (size_t)choice->bytes),
                             c == item->gold);
            assert_true(has_choice(&items.item[i / 4 * 4], choice->continuation));
        }
        for (int k = i / 4 * 4; k < i; k++) {
            const struct task_choice *a = &items.item[k].choice[items.item[k].gold],
                                     *b = &item->choice[item->gold];
            const struct task_text x = last_word(a->context), y = last_word(b->context);
            assert_true(
                memcmp(a->continuation.bytes, b->continuation.bytes, b->continuation.length) != 0);
            assert_true(x.length == y.length && memcmp(x.bytes, y.bytes, x.length) == 0);
        }
        types += i > 0 && !has_choice(item, items.item[i - 1].choice[0].continuation);
    }
    assert_true(types > 3); /* groups */
    for (int g = 0; g < 4; g++) {
        assert_true(golds[g] > ITEMS / 4 - 20 && golds[g] < ITEMS / 4 + 20);
    }
    items_free(&items);
}

static void continuation(void **state)
{
    (void)state;
    char text[256];
    int golds[4] = {0};
    const struct task task = sentences_task(TASK_CONTINUATION, ITEMS, 1);
    struct task_items items = make(&task);
    for (int i = 0; i < ITEMS; i++) {
        const struct task_item *item = &items.item[i];
        assert_int_equal(item->choices, 4);
        golds[item->gold]++;
        for (int c = 0; c < 4; c++) {
            const struct task_choice *choice = &item->choice[c];
            assert_int_equal(choice->bytes, item->choice[0].bytes);
            assert_true(choice->context.length >= 23);
            assert_int_equal(strstr(held_out, whole(choice, text)) != NULL, c == item->gold);
            snprintf(text, sizeof text, "%.*s", choice->bytes, choice->continuation.bytes + 1);
            assert_non_null(
                strstr(held_out, text)); /* a sentence of the held-out text, whichever */
            for (int k = 0; k < c; k++) {
                assert_true(memcmp(item->choice[k].continuation.bytes, choice->continuation.bytes,
                                   choice->continuation.length) != 0);
            }
        }
    }
    for (int g = 0; g < 4; g++) {
        assert_true(golds[g] > ITEMS / 4 - 20 && golds[g] < ITEMS / 4 + 20);
    }
    items_free(&items);
}

/* The words of a sentence in order of the alphabet, to compare two. */
static int by_word(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int split(char *text, char *word[64])
{
    int count = 0;
    for (char *next = strtok(text, " "); next != NULL; next = strtok(NULL, " ")) {
        word[count++] = next;
    }
    return count;
}

static void pairs(void **state)
{
    (void)state;
    char text[2][256];
    char *word[2][64];
    int golds = 0, unseen = 0;
    const struct task task = sentences_task(TASK_PAIRS, ITEMS, 1);
    struct task_items items = make(&task);
    for (int i = 0; i < ITEMS; i++) {
        const struct task_item *item = &items.item[i];
        int different = 0;
        assert_int_equal(item->choices, 2);
        golds += item->gold;
        for (int c = 0; c < 2; c++) {
            assert_int_equal(item->choice[c].context.length, 0);
            whole(&item->choice[c], text[c]);
            assert_int_equal(strlen(text[c]), item->choice[c].bytes);
        }
        assert_non_null(strstr(held_out, text[item->gold]));
        unseen += strstr(train, text[item->gold]) == NULL;
        const int words = split(text[0], word[0]);
        assert_int_equal(split(text[1], word[1]), words);
        assert_string_equal(word[0][0], word[1][0]);
        assert_string_equal(word[0][words - 1], word[1][words - 1]);
        for (int k = 0; k < words; k++) {
            different += strcmp(word[0][k], word[1][k]) != 0;
        }
        assert_int_equal(different, 2);
        for (int c = 0; c < 2; c++) {
            qsort(word[c], (size_t)words, sizeof word[c][0], by_word);
        }
        for (int k = 0; k < words; k++) {
            assert_string_equal(word[0][k], word[1][k]);
        }
    }
    assert_true(golds > ITEMS / 2 - 25 && golds < ITEMS / 2 + 25);
    assert_true(unseen > ITEMS / 2);
    items_free(&items);
}

static bool same(const struct task_items *a, const struct task_items *b)
{
    bool equal = a->count == b->count;
    for (int i = 0; equal && i < a->count; i++) {
        const struct task_item *x = &a->item[i], *y = &b->item[i];
        equal = x->gold == y->gold && x->choices == y->choices;
        for (int c = 0; equal && c < x->choices; c++) {
            const struct task_text s = x->choice[c].continuation, t = y->choice[c].continuation;
            equal = s.length == t.length && memcmp(s.bytes, t.bytes, s.length) == 0;
        }
    }
    return equal;
}

static void seeds(void **state)
{
    (void)state;
    for (int f = TASK_CLOZE; f <= TASK_PAIRS; f++) {
        const struct task one = sentences_task((enum task_format)f, 40, 1),
                          two = sentences_task((enum task_format)f, 40, 2);
        struct task_items a = make(&one), again = make(&one), b = make(&two);
        assert_true(same(&a, &again));
        assert_false(same(&a, &b));
        items_free(&a);
        items_free(&again);
        items_free(&b);
    }
}

static void too_few(void **state)
{
    (void)state;
    struct error err = {0};
    struct task_items items;
    const struct task task = sentences_task(TASK_CLOZE, TASK_MOST_ITEMS, 1);
    assert_int_equal(task_make(&err, &task, corpus, &items), STATUS_FAILED);
    assert_non_null(strstr(err.message, "task cloze: the held-out text gives only "));
    assert_non_null(strstr(err.message, "ask for less"));
    items_free(&items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cloze), cmocka_unit_test(continuation),
                                       cmocka_unit_test(pairs), cmocka_unit_test(seeds),
                                       cmocka_unit_test(too_few)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
