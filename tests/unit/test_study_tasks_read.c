/* Task files as they are published: what becomes of small hand-written ones, what is refused, and, where PTQSCALE_SHARED_DATA names
 * a folder with the real ones, how many items those have. */
#include "tests/unit/study_text.h"

#include "study/tasks/read.h"

struct world {
    struct text_folder folder;
    int files;
    char file[64][SPEC_PATH];
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    text_folder_create(&w->folder);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    text_folder_remove(&w->folder, w->files, w->file);
    free(w);
    return 0;
}

static const char *put_bytes(struct world *w, const char *text, size_t length)
{
    char name[32], path[SPEC_PATH];
    snprintf(name, sizeof name, "task-%d", w->files);
    text_write(&w->folder, name, text, length, false, path);
    return strcpy(w->file[w->files++], path);
}

static const char *put(struct world *w, const char *text)
{
    return put_bytes(w, text, strlen(text));
}

static struct task_source source_of(const char *path, const char *labels)
{
    struct task_source source;
    snprintf(source.path, sizeof source.path, "%s", path);
    snprintf(source.labels, sizeof source.labels, "%s", labels);
    return source;
}

static struct task_items read_text(struct world *w, enum task_format format, const char *text,
                                   const char *labels)
{
    struct error err = {0};
    struct task_items items;
    const struct task_source source = source_of(put(w, text), labels ? put(w, labels) : "");
    if (task_read(&err, format, &source, &items) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    return items;
}

static void expect(const struct task_items *items, int item, int choice, const char *context,
                   const char *continuation)
{
    assert_true(item < items->count && choice < items->item[item].choices);
    const struct task_choice *c = &items->item[item].choice[choice];
    const struct task_text text[] = {c->context, c->continuation};
    const char *const wanted[] = {context, continuation};
    for (int i = 0; i < 2; i++) {
        if (text[i].length != strlen(wanted[i]) ||
            memcmp(text[i].bytes, wanted[i], text[i].length) != 0) {
            fail_msg("'%.*s' is not '%s'", (int)text[i].length, text[i].bytes, wanted[i]);
        }
    }
    assert_int_equal(c->bytes, c->continuation.length - (c->continuation.bytes[0] == ' '));
}

/* `parts` are all in the message, which begins with the last file that was written. */
static void refuse_bytes(struct world *w, enum task_format format, const char *text, size_t length,
                         const char *labels, int line, const char *part, const char *other)
{
    struct error err = {0};
    struct task_items items;
    char where[SPEC_PATH + 16];
    const struct task_source source =
        source_of(put_bytes(w, text, length), labels ? put(w, labels) : "");
    assert_int_equal(task_read(&err, format, &source, &items), STATUS_FAILED);
    items_free(&items);
    snprintf(where, sizeof where,
             "%s:%d: ", labels && strstr(part, "label") ? source.labels : source.path, line);
    if (line > 0 && strncmp(err.message, where, strlen(where)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", err.message, where);
    }
    if (!strstr(err.message, part) || !strstr(err.message, other)) {
        fail_msg("\"%s\" and \"%s\" are not in the message: %s", part, other, err.message);
    }
}

static void refuse(struct world *w, enum task_format format, const char *text, int line,
                   const char *part, const char *other)
{
    refuse_bytes(w, format, text, strlen(text), NULL, line, part, other);
}

/* The formats ================================================================================= */

static void hellaswag(void **state)
{
    struct world *w = *state;
    struct task_items items =
        read_text(w, TASK_HELLASWAG,
                  "{\"ind\": 7, \"activity_label\": \"Baking bread\", \"ctx_a\": \"A man kneads "
                  "dough.\", \"ctx_b\": \"the MAN\", \"ctx\": "
                  "\"A man kneads dough. the MAN\", \"split\": \"val\", \"split_type\": "
                  "\"indomain\", \"label\": 2, \"endings\": [\"puts it  in "
                  "a bowl.\", \"eats it [laughs] raw.\", \"lets it rise.\", \"sells it.\"], "
                  "\"source_id\": \"activitynet~v_x\"}\n"
                  "{\"ind\": 9, \"activity_label\": \"Home\", \"ctx_a\": \"[header] How to sit "
                  "[title] Find a chair. [step] Any will do.\", "
                  "\"ctx_b\": \"\", \"ctx\": \"\", \"split\": \"val\", \"split_type\": "
                  "\"zeroshot\", \"label\": \"0\", \"endings\": [\"[substeps] "
                  "Sit.\", \"Stand [title] Up.\", \"c\", \"d\"], \"source_id\": \"wikihow~1\"}\n",
                  NULL);
    assert_int_equal(items.count, 2);
    assert_int_equal(items.item[0].choices, 4);
    assert_int_equal(items.item[0].gold, 2);
    expect(&items, 0, 0, "Baking bread: A man kneads dough. The man", " puts it in a bowl.");
    expect(&items, 0, 1, "Baking bread: A man kneads dough. The man", " eats it raw.");
    expect(&items, 0, 2, "Baking bread: A man kneads dough. The man", " lets it rise.");
    expect(&items, 1, 0, "Home: How to sit. Find a chair. Any will do.", "  Sit.");
    expect(&items, 1, 1, "Home: How to sit. Find a chair. Any will do.", " Stand. Up.");
    items_free(&items);
}

static void piqa(void **state)
{
    struct world *w = *state;
    struct task_items items = read_text(
        w, TASK_PIQA,
        "{\"goal\": \"Open a jar.\", \"sol1\": \"Turn the lid.\", \"sol2\": \"Turn the table.\"}\n"
        "{\"goal\": \"dry\", \"sol1\": \"use water \", \"sol2\": \"use a towel\"}\n",
        "0\n1\n");
    assert_int_equal(items.count, 2);
    assert_int_equal(items.item[0].gold, 0);
    assert_int_equal(items.item[1].gold, 1);
    expect(&items, 0, 0, "Question: Open a jar.\nAnswer:", " Turn the lid.");
    expect(&items, 1, 0, "Question: dry\nAnswer:", " use water ");
    expect(&items, 1, 1, "Question: dry\nAnswer:", " use a towel");
    items_free(&items);
}

static void winogrande(void **state)
{
    struct world *w = *state;
    struct task_items items = read_text(
        w, TASK_WINOGRANDE,
        "{\"sentence\": \"The cup fell off the shelf because the _ was tilted.\", \"option1\": "
        "\"cup\", \"option2\": \"shelf\", \"answer\": \"2\"}",
        NULL);
    assert_int_equal(items.count, 1);
    assert_int_equal(items.item[0].gold, 1);
    expect(&items, 0, 0, "The cup fell off the shelf because the cup", " was tilted.");
    expect(&items, 0, 1, "The cup fell off the shelf because the shelf", " was tilted.");
    items_free(&items);
}

static void copa(void **state)
{
    struct world *w = *state;
    static const char *const files[] = {
        "{\"premise\": \"The lamp went out.\", \"choice1\": \"I read on.\", \"choice2\": \"The "
        "bulb broke.\", \"question\": "
        "\"cause\", \"idx\": 0, \"label\": 1}\n"
        "{\"premise\": \"Rain fell. \", \"choice1\": \"The road got wet.\", \"choice2\": \"The "
        "road sang.\", \"question\": "
        "\"effect\", \"idx\": 1, \"label\": 0}\n",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE copa-corpus SYSTEM "
        "\"copa.dtd\">\n<copa-corpus "
        "version=\"1.0\">\n\n<item id=\"1\" asks-for=\"cause\" "
        "most-plausible-alternative=\"2\">\n<p>The lamp went "
        "out.</p>\n<a1>I read on.</a1>\n<a2>The bulb broke.</a2>\n</item>\n\n<item id=\"2\" "
        "asks-for=\"effect\" "
        "most-plausible-alternative=\"1\">\n<p>Rain fell.</p>\n<a1>The road got wet.</a1>\n<a2>The "
        "road "
        "sang.</a2>\n</item>\n</copa-corpus>\n"};
    for (int i = 0; i < 2; i++) {
        struct task_items items = read_text(w, TASK_COPA, files[i], NULL);
        assert_int_equal(items.count, 2);
        assert_int_equal(items.item[0].gold, 1);
        assert_int_equal(items.item[1].gold, 0);
        expect(&items, 0, 0, "The lamp went out because", " i read on.");
        expect(&items, 0, 1, "The lamp went out because", " the bulb broke.");
        expect(&items, 1, 0, "Rain fell therefore", " the road got wet.");
        items_free(&items);
    }
}

static void lambada(void **state)
{
    struct world *w = *state;
    struct task_items items = read_text(
        w, TASK_LAMBADA,
        "{\"text\": \"He gave the dog a bone.\\n\\n\\\"Good,\\\" he said to the dog\"}\n", NULL);
    assert_int_equal(items.count, 1);
    assert_int_equal(items.item[0].choices, 1);
    expect(&items, 0, 0, "He gave the dog a bone.\n\n\"Good,\" he said to the", " dog");
    items_free(&items);
}

static void blimp(void **state)
{
    struct world *w = *state;
    struct task_items items =
        read_text(w, TASK_BLIMP,
                  "{\"sentence_good\": \"These dogs bark.\", \"sentence_bad\": \"These dogs "
                  "barks.\", \"field\": \"morphology\", "
                  "\"UID\": \"x\", \"simple_LM_method\": true, \"pairID\": \"0\"}\n\n",
                  NULL);
    assert_int_equal(items.count, 1);
    assert_int_equal(items.item[0].gold, 0);
    expect(&items, 0, 0, "", " These dogs bark.");
    expect(&items, 0, 1, "", " These dogs barks.");
    items_free(&items);
}

static void storycloze(void **state)
{
    struct world *w = *state;
    struct task_items items =
        read_text(w, TASK_STORYCLOZE,
                  "\xef\xbb\xbf"
                  "InputStoryid,InputSentence1,InputSentence2,InputSentence3,InputSentence4,"
                  "RandomFifthSentenceQuiz1,"
                  "RandomFifthSentenceQuiz2,AnswerRightEnding\r\n"
                  "a-1,Ann had a cat.,It ran off.,\"She called, and called.\",\"It said "
                  "\"\"miaow\"\".\",She was glad.,She ate soup.,1\r\n"
                  "a-2,One.,Two.,Three.,Four.,Six.,Five.,2\n",
                  NULL);
    assert_int_equal(items.count, 2);
    assert_int_equal(items.item[0].gold, 0);
    assert_int_equal(items.item[1].gold, 1);
    expect(&items, 0, 0, "Ann had a cat. It ran off. She called, and called. It said \"miaow\".",
           " She was glad.");
    expect(&items, 1, 1, "One. Two. Three. Four.", " Five.");
    items_free(&items);
}

static void arc(void **state)
{
    struct world *w = *state;
    struct task_items items = read_text(
        w, TASK_ARC_EASY,
        "{\"id\":\"Q_1\",\"question\":{\"stem\":\"What is "
        "ice?\",\"choices\":[{\"text\":\"water\",\"label\":\"A\"},{\"text\":"
        "\"iron\",\"label\":\"B\"},{\"text\":\"air\",\"label\":\"C\"}]},\"answerKey\":\"A\"}\n"
        "{\"id\":\"Q_2\",\"question\":{\"stem\":\"Two?\",\"choices\":[{\"text\":\"one\",\"label\":"
        "\"1\"},{\"text\":\"two\","
        "\"label\":\"2\"},{\"text\":\"six\",\"label\":\"3\"},{\"text\":\"ten\",\"label\":\"4\"}]},"
        "\"answerKey\":\"2\"}\n",
        NULL);
    assert_int_equal(items.count, 2);
    assert_int_equal(items.item[0].choices, 3);
    assert_int_equal(items.item[0].gold, 0);
    assert_int_equal(items.item[1].choices, 4);
    assert_int_equal(items.item[1].gold, 1);
    expect(&items, 0, 1, "Question: What is ice?\nAnswer:", " iron");
    items_free(&items);
}

/* What is refused ============================================================================= */

static void refusals(void **state)
{
    struct world *w = *state;
    static const char PIQA[] = "{\"goal\": \"a\", \"sol1\": \"b\", \"sol2\": \"c\"}\n{\"goal\": "
                               "\"d\", \"sol1\": \"e\", \"sol2\": \"f\"}\n";
    refuse_bytes(w, TASK_PIQA, PIQA, strlen(PIQA), "0\n", 1, "only 1 labels", "label file");
    refuse_bytes(w, TASK_PIQA, PIQA, strlen(PIQA), "0\n1\n1\n", 3, "more labels than the 2 records",
                 "label file");
    refuse_bytes(w, TASK_PIQA, PIQA, strlen(PIQA), "0\n2\n", 2, "label: '2' is neither 0 nor 1",
                 "give the label file");
    refuse(w, TASK_BLIMP,
           "{\"sentence_good\": \"a\", \"sentence_bad\": \"b\"}\n{\"sentence_good\": \"The ca", 2,
           "JSON: ", "cut off");
    refuse(w, TASK_BLIMP, "[1, 2]\n", 1, "'[1, 2]' is no object", "{...}");
    refuse(w, TASK_BLIMP, "{\"sentence_good\": \"a\"}\n", 1, "sentence_bad: missing", "format");
    refuse(w, TASK_BLIMP, "{\"sentence_good\": 5, \"sentence_bad\": \"b\"}\n", 1,
           "sentence_good: '5' is no text", "quotes");
    refuse(w, TASK_BLIMP, "{\"sentence_good\": \"a\", \"sentence_bad\": \" \"}\n", 1,
           "sentence_bad: the text is empty", "again");
    refuse(w, TASK_BLIMP, "{\"sentence_good\": \"caf\xe9 x\", \"sentence_bad\": \"b\"}\n", 1,
           "JSON: ", "UTF-8");
    refuse(w, TASK_BLIMP, "\n\n", 0, "no records of blimp", "task-");
    refuse(w, TASK_LAMBADA, "{\"text\": \"word\"}\n", 1, "text: a passage of one word", "predict");
    refuse(w, TASK_LAMBADA, "{\"text\": \"words \"}\n", 1, "text: a passage must be words",
           "last word");
    refuse(w, TASK_WINOGRANDE,
           "{\"sentence\": \"a _ b\", \"option1\": \"x\", \"option2\": \"y\", \"answer\": \"\"}\n",
           1, "answer: '\"\"' is no number from 1 to 2", "not published");
    refuse(w, TASK_WINOGRANDE,
           "{\"sentence\": \"a b\", \"option1\": \"x\", \"option2\": \"y\", \"answer\": \"1\"}\n",
           1, "sentence: there is no '_'", "options");
    refuse(w, TASK_WINOGRANDE,
           "{\"sentence\": \"a _\", \"option1\": \"x\", \"option2\": \"y\", \"answer\": \"1\"}\n",
           1, "nothing follows the '_'", "score");
    refuse(w, TASK_HELLASWAG,
           "{\"activity_label\": \"a\", \"ctx_a\": \"b\", \"ctx_b\": \"c\", \"endings\": [\"d\", "
           "\"e\", \"f\"], \"label\": 0}\n",
           1, "endings: ", "is no list of 4 to 4 entries");
    refuse(w, TASK_HELLASWAG,
           "{\"activity_label\": \"a\", \"ctx_a\": \"b\", \"ctx_b\": \"c\", \"endings\": [\"d\", "
           "\"e\", \"f\", \"g\"], \"label\": 4}\n",
           1, "label: '4' is no number from 0 to 3", "answers");
    refuse(w, TASK_COPA,
           "{\"premise\": \"a.\", \"choice1\": \"b\", \"choice2\": \"c\", \"question\": \"why\", "
           "\"label\": 0}\n",
           1, "question: 'why' is neither \"cause\" nor \"effect\"", "");
    refuse(w, TASK_COPA,
           "<copa-corpus>\n<item asks-for=\"why\" most-plausible-alternative=\"1\">\n", 2,
           "asks-for: 'why'", "cause");
    refuse(w, TASK_COPA, "<copa-corpus>\n<item asks-for=\"cause\">\n", 2,
           "most-plausible-alternative: ''", "neither 1 nor 2");
    refuse(w, TASK_COPA,
           "<copa-corpus>\n<item asks-for=\"cause\" "
           "most-plausible-alternative=\"1\"><p>a</p>\n<a1>b</a1></item>\n</copa-corpus>",
           3, "a2: '' is empty or missing", "p, a1 and a2");
    refuse(w, TASK_COPA,
           "<copa-corpus>\n<item asks-for=\"cause\" most-plausible-alternative=\"1\"><p>a</p>\n", 3,
           "XML: ", "cut off");
    refuse(
        w, TASK_COPA,
        "<copa-corpus>\n<item asks-for=\"cause\" most-plausible-alternative=\"1\"><p>caf\xe9</p>\n",
        2, "XML: ", "UTF-8");
    refuse(w, TASK_ARC_EASY,
           "{\"question\":{\"stem\":\"a\",\"choices\":[{\"text\":\"b\",\"label\":\"A\"},{\"text\":"
           "\"c\",\"label\":\"B\"}]},"
           "\"answerKey\":\"C\"}\n",
           1, "answerKey: 'C' is the label of no choice", "");
    refuse(w, TASK_ARC_EASY, "{\"question\":\"a\",\"answerKey\":\"C\"}\n", 1,
           "question: '\"a\"' is no object", "");
}

static void csv_refusals(void **state)
{
    struct world *w = *state;
#define HEADER                                                                                     \
    "InputStoryid,InputSentence1,InputSentence2,InputSentence3,InputSentence4,"                    \
    "RandomFifthSentenceQuiz1,"                                                                    \
    "RandomFifthSentenceQuiz2,AnswerRightEnding\n"
    refuse(w, TASK_STORYCLOZE, "storyid,title\n", 1,
           "InputSentence1: the header has no such column", "StoryCloze");
    refuse(w, TASK_STORYCLOZE, HEADER "a,b,c,d,e,f,g,1\na,b,c\n", 3,
           "InputSentence3: the row has only 3 fields", "cut off");
    refuse(w, TASK_STORYCLOZE, HEADER "a,b,c,d,e,f,g,0\n", 2,
           "AnswerRightEnding: '0' is neither 1 nor 2", "");
    refuse(w, TASK_STORYCLOZE, HEADER "a,b,c,,e,f,g,1\n", 2, "InputSentence3: the field is empty",
           "");
    refuse(w, TASK_STORYCLOZE, HEADER "a,b,c\xff,d,e,f,g,1\n", 2, "'c\\xff' is not UTF-8", "iconv");
    refuse(w, TASK_STORYCLOZE, HEADER "a,b,\"c\" d,d,e,f,g,1\n", 2, "CSV: ", "written twice");
    refuse(w, TASK_STORYCLOZE, HEADER "a,b,\"c,d,e,f,g,1\n", 2, "CSV: ", "cut off");
}

/* Counting, pinning =========================================================================== */

static void identify(void **state)
{
    struct world *w = *state;
    struct error err = {0};
    struct spec *spec = calloc(1, sizeof *spec);
    struct task *task = &spec->evaluate.task[0];
    spec->evaluate.tasks = 1;
    task->format = TASK_LAMBADA;
    strcpy(task->name, "lambada");
    spec->source.task[0] =
        source_of(put(w, "{\"text\": \"a b\"}\n{\"text\": \"c d\"}\n{\"text\": \"e f\"}\n"), "");
    assert_int_equal(task_identify(&err, spec), STATUS_OK);
    assert_int_equal(task->items, 3);
    assert_int_equal(strlen(task->hash), 32);
    assert_int_equal(task_identify(&err, spec), STATUS_OK); /* pinned now, and the same */
    task->hash[0] = task->hash[0] == '0' ? '1' : '0';
    assert_int_equal(task_identify(&err, spec), STATUS_FAILED);
    assert_non_null(strstr(err.message, "is pinned to the file"));
    error_clear(&err);
    task->hash[0] = '\0';
    task->items = 4;
    assert_int_equal(task_identify(&err, spec), STATUS_FAILED);
    assert_non_null(strstr(err.message, "asks for 4 items, and there are 3"));
    error_clear(&err);
    task->items = 2;
    task->shots = 3;
    assert_int_equal(task_identify(&err, spec), STATUS_FAILED);
    assert_non_null(strstr(err.message, "wants 3 examples"));
    error_clear(&err);
    spec->source.task[0] = source_of("/nonexistent/lambada.jsonl", "");
    assert_int_equal(task_identify(&err, spec), STATUS_FAILED);
    assert_non_null(strstr(err.message, "/nonexistent/lambada.jsonl"));
    free(spec);
}

static void published(void **state)
{
    (void)state;
    static const struct {
        enum task_format format;
        const char *path, *labels;
        int items;
    } files[] = {
        {TASK_COPA, "copa_dev.jsonl", "", 500},
        {TASK_COPA, "balanced-copa-dev-all.xml", "", 1000},
        {TASK_PIQA, "piqa_valid.jsonl", "piqa_valid-labels.lst", 1838},
        {TASK_WINOGRANDE, "winogrande_dev.jsonl", "", 1267},
        {TASK_LAMBADA, "lambada_test_openai.jsonl", "", 5153},
        {TASK_BLIMP, "blimp/npi_present_1.jsonl", "", 1000},
        {TASK_BLIMP, "blimp/wh_questions_subject_gap.jsonl", "", 1000},
        {TASK_BLIMP, "blimp/anaphor_gender_agreement.jsonl", "", 1000},
    };
    const char *folder = getenv("PTQSCALE_SHARED_DATA");
    for (size_t i = 0; folder != NULL && i < sizeof files / sizeof files[0]; i++) {
        struct error err = {0};
        struct task_items items;
        struct task_source source = {{0}, {0}};
        snprintf(source.path, sizeof source.path, "%s/%s", folder, files[i].path);
        if (files[i].labels[0]) {
            snprintf(source.labels, sizeof source.labels, "%s/%s", folder, files[i].labels);
        }
        if (task_read(&err, files[i].format, &source, &items) != STATUS_OK) {
            fail_msg("%s", err.message);
        }
        assert_int_equal(items.count, files[i].items);
        items_free(&items);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(hellaswag), TEST(piqa),         TEST(winogrande), TEST(copa),
        TEST(lambada),   TEST(blimp),        TEST(storycloze), TEST(arc),
        TEST(refusals),  TEST(csv_refusals), TEST(identify),   TEST(published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
