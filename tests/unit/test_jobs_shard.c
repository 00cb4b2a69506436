/* A study cut into shards: parsing, dealing, what remains; and a study file for another folder. */
#include "tests/unit/jobs_fixture.h"

#include <limits.h>

#include "jobs/cost.h"
#include "jobs/relocate.h"
#include "jobs/shard.h"

static void parse(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",     "1",  "0/4", "5/4",   "1/0",  "-1/4", "1/4x",   "a/4",
        "1 /4", "/4", "1/",  "1/4/2", "1//4", " 1/4", "1/1001", "99999999999999/2"};
    struct error err = {0};
    struct shard shard = {0};
    assert_int_equal(shard_parse(&err, "test", "2/4", &shard), STATUS_OK);
    assert_int_equal(shard.index, 2);
    assert_int_equal(shard.count, 4);
    assert_int_equal(shard_parse(&err, "test", "1/1", &shard), STATUS_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error_clear(&err);
        if (shard_parse(&err, "test", wrong[i], &shard) != STATUS_USAGE) {
            fail_msg("\"%s\" was taken", wrong[i]);
        }
        assert_non_null(strstr(err.message, "test: "));
        assert_non_null(strstr(err.message, wrong[i]));
    }
}

/* Every cell has one shard; sums and numbers are as balanced as the header says. */
static void check_deal(const double *cost, int count, int shards)
{
    struct error err = {0};
    int *shard_of = calloc((size_t)count + 1, sizeof *shard_of);
    double *sum = calloc((size_t)shards + 1, sizeof *sum), largest = 0;
    int *cells = calloc((size_t)shards + 1, sizeof *cells);
    assert_int_equal(shard_deal(&err, cost, count, shards, shard_of), STATUS_OK);
    for (int i = 0; i < count; i++) {
        assert_in_range(shard_of[i], 1, shards);
        sum[shard_of[i]] += cost[i];
        cells[shard_of[i]]++;
        largest = cost[i] > largest ? cost[i] : largest;
    }
    for (int a = 1; a <= shards; a++) {
        for (int b = 1; b <= shards; b++) {
            assert_true(sum[a] - sum[b] <= largest * (1 + 1e-12));
            assert_true(cells[a] - cells[b] <= 1);
        }
    }
    free(shard_of);
    free(sum);
    free(cells);
}

static void deal(void **state)
{
    (void)state;
    struct error err = {0};
    double cost[997];
    unsigned seed = 1;
    for (int i = 0; i < 997; i++) {
        seed = seed * 1664525U + 1013904223U;
        cost[i] = i % 5 == 0 ? 1 : (double)(seed >> 8) * (i % 3 == 0 ? 1000 : 1);
    }
    for (int count = 0; count <= 997; count += 1 + count / 3) {
        for (int shards = 1; shards <= 64; shards += 1 + shards / 2) {
            check_deal(cost, count, shards);
        }
    }
    static const double five[] = {3, 9, 3, 7, 1};
    static const int expected[] = {2, 1, 1, 2, 1}; /* 9 | 7, then 3 (the first of two) back, … */
    int shard_of[5];
    assert_int_equal(shard_deal(&err, five, 5, 2, shard_of), STATUS_OK);
    assert_memory_equal(shard_of, expected, sizeof expected);
}

/* The shards of a study file are a partition of its cells, in the study's order, with its numbers. */
static void partition(void **state)
{
    (void)state;
    enum { SHARDS = 4 };
    char text[2048];
    int whole = 0, together = 0;
    static const char study[] =
        FIXTURE_STUDY "base: {tokens: 65536}\nfactors: {dropout: [0.1, 0.2, 0.3]}\n";
    struct cell *all = fixture_cells(study, &whole);
    assert_int_equal(whole, 8);
    char *seen = calloc((size_t)whole, 1);
    for (int shard = 1; shard <= SHARDS; shard++) {
        int count = 0, before = -1;
        snprintf(text, sizeof text, "%sshard: %d/%d\n", study, shard, SHARDS);
        struct cell *part = fixture_cells(text, &count);
        assert_int_equal(count, 2);
        for (int i = 0; i < count; i++) {
            assert_true(part[i].number > before);
            before = part[i].number;
            assert_in_range(before, 0, whole - 1);
            assert_memory_equal(&part[i], &all[before], sizeof part[i]);
            assert_int_equal(seen[before]++, 0);
            together++;
        }
        free(part);
    }
    assert_int_equal(together, whole);
    for (int i = 0; i < whole; i++) {
        assert_int_equal(all[i].number, i);
    }
    free(seen);
    free(all);
}

static void study_files(void **state)
{
    (void)state;
    struct error err = {0};
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    char *expanded = NULL;
    int count = 0;
    static const char bad[] = FIXTURE_STUDY "base: {tokens: 65536}\nshard: 3/2\n",
                      many[] = FIXTURE_STUDY "base: {tokens: 65536}\nshard: 1/3\n",
                      one[] = FIXTURE_STUDY "base: {tokens: 65536}\nshard: 2/2\n";
    assert_int_equal(fixture_read(&err, bad, sizeof bad - 1, &spec), STATUS_USAGE);
    assert_non_null(strstr(err.message, ":6: shard"));
    error_clear(&err);
    assert_int_equal(fixture_read(&err, many, sizeof many - 1, &spec), STATUS_OK);
    assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_USAGE);
    assert_non_null(strstr(err.message, "2 cells"));
    spec_free(spec);
    error_clear(&err);
    assert_int_equal(fixture_read(&err, one, sizeof one - 1, &spec), STATUS_OK);
    assert_int_equal(spec_expanded(&err, spec, &expanded), STATUS_OK);
    assert_non_null(strstr(expanded, "\nshard: 2/2\n"));
    spec_free(spec);
    assert_int_equal(fixture_read(&err, expanded, strlen(expanded), &spec), STATUS_OK);
    assert_int_equal(spec->shard.index, 2);
    assert_int_equal(spec->shard.count, 2);
    spec_free(spec);
    free(expanded);
}

/* ---- another folder ---- */

/* The study file `name` with this text, relocated and read again from another place. */
static void check_relocated(const char *folder, const char *name, const char *text,
                            const char *contains)
{
    struct error err = {0};
    struct spec *spec = NULL, *moved = NULL;
    char path[256], other[256], resolved[PATH_MAX], *relocated = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(spec_read(&err, path, &spec), STATUS_OK);
    if (spec_relocated(&err, spec, &relocated) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    if (strstr(relocated, contains) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", contains, relocated);
    }
    snprintf(other, sizeof other, "/tmp/ptqscale-relocated-%d.yaml", (int)getpid());
    file = fopen(other, "w");
    assert_non_null(file);
    fputs(relocated, file);
    fclose(file);
    if (spec_read(&err, other, &moved) != STATUS_OK) {
        fail_msg("%s in:\n%s", err.message, relocated);
    }
    assert_string_equal(moved->name, spec->name);
    assert_int_equal(moved->source.files, spec->source.files);
    for (int i = 0; i < spec->source.files; i++) {
        assert_int_equal(moved->source.file[i][0], '/');
        if (realpath(spec->source.file[i], resolved) != NULL) {
            assert_string_equal(moved->source.file[i], resolved);
        }
    }
    remove(other);
    remove(path);
    spec_free(spec);
    spec_free(moved);
    free(relocated);
}

static void relocation(void **state)
{
    (void)state;
    static const char sizes[] =
        "sizes: [{layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}]\n"
        "base: {tokens: 65536}\n";
    char folder[] = "/tmp/ptqscale-relocate-XXXXXX", text[1024], path[256];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/text \"x\".txt", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);

    snprintf(text, sizeof text,
             "# \xc3\xa9t\xc3\xa9, a comment\nname: named\n%sseeds: 1 # one\n"
             "data: {files: ['text \"x\".txt', /etc/hostname, gone.txt]} # the end\n",
             sizes);
    check_relocated(folder, "a.yaml", text, "# \xc3\xa9t\xc3\xa9, a comment\nname: named\n");
    check_relocated(folder, "a.yaml", text, ", /etc/hostname, \"/");
    check_relocated(folder, "a.yaml", text, "/gone.txt\"]} # the end\n");
    snprintf(text, sizeof text,
             "# no name\n---\n%sseeds: 1\ndata:\n  files:\n    - text \"x\".txt # \xe2\x82\xac\n"
             "    - gone.txt\n",
             sizes);
    check_relocated(folder, "b.yaml", text, "---\nname: \"b\"\nsizes:");
    check_relocated(folder, "b.yaml", text, "\" # \xe2\x82\xac\n");
    snprintf(text, sizeof text,
             "{sizes: [{layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}],\n"
             " base: {tokens: 65536}, seeds: 1, data: {files: [\"text \\\"x\\\".txt\"]}}\n");
    check_relocated(folder, "c.yaml", text, "{name: \"c\", sizes");
    remove(path);
    remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse),       cmocka_unit_test(deal),       cmocka_unit_test(partition),
        cmocka_unit_test(study_files), cmocka_unit_test(relocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
