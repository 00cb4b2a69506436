/* The printed plan: what it says of a study, of teams and of a schedule, and what it refuses. */
#include <math.h>
#include <time.h>

#include "jobs/bytes.h"
#include "jobs/memory.h"
#include "jobs/plan.h"
#include "jobs/plan_text.h"
#include "mpi/forecast.h"
#include "tests/unit/jobs_fixture.h"

static const struct plan_machine MACHINE = {
    .ranks = 3, .gflops = 40, .bandwidth = 1, .latency = 10};

struct planned {
    struct spec *spec;
    struct cell *cells;
    struct plan *plan;
    int count;
};

static struct planned plan_of_spec(struct spec *spec, const struct plan_machine *machine)
{
    struct error err = {0};
    struct planned p = {.spec = spec};
    if (spec_cells(&err, p.spec, &p.cells, &p.count) != STATUS_OK ||
        plan_create(&err, p.spec, p.cells, p.count, machine, &p.plan) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    return p;
}

static struct planned plan_of(const char *path, const struct plan_machine *machine)
{
    struct error err = {0};
    struct spec *spec = NULL;
    if (spec_read(&err, path, &spec) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    return plan_of_spec(spec, machine);
}

static struct planned plan_of_text(const char *text, const struct plan_machine *machine)
{
    struct error err = {0};
    struct spec *spec = NULL;
    if (fixture_read(&err, text, strlen(text), &spec) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    return plan_of_spec(spec, machine);
}

static void planned_free(struct planned *p)
{
    plan_free(p->plan);
    free(p->cells);
    spec_free(p->spec);
}

static char *printed(const struct planned *p, const struct plan_interval *interval, int intervals)
{
    struct error err = {0};
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_int_equal(plan_print(&err, out, p->plan, interval, intervals), STATUS_OK);
    fclose(out);
    return text;
}

static void expect(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("the plan lacks \"%s\":\n%s", part, text);
    }
}

#define QUICK PTQSCALE_SOURCE_DIR "/jobs/quick.yaml"

/* 45 cells, one after the other on two workers. */
static void quick(void **state)
{
    (void)state;
    struct planned p = plan_of(QUICK, &MACHINE);
    struct plan_interval *interval = calloc((size_t)p.count, sizeof *interval);
    double free_at[2] = {0};
    assert_non_null(interval);
    for (int i = 0; i < p.count; i++) {
        const double seconds = p.plan->cell[i].seconds;
        const double start = free_at[i % 2];
        interval[i] =
            (struct plan_interval){.cell = i, .ranks = 1, .start = start, .end = start + seconds};
        free_at[i % 2] = interval[i].end;
    }
    char *text = printed(&p, interval, p.count), span[PLAN_TEXT], line[256];
    const char *const parts[] = {
        "Provisional: 3 seeds",
        "3x96                 335,136         384,288 "
        "    15    502 k      1.13 T       853 G    4.4 MiB",
        "45 cells on 2 workers: ",
        "40 GFLOP/s",
        "node-hours",
        "assume",
        "seeds       1 2 3",
        "base | total_decay=0.005 | dropout=0.1 | grad_clip=none | precision=fp16",
        "w8a8 w8 w8a8-tensor w6a6 w4 w3 w4a8 w4a4",
        "gcide.dict.dz",
        "idle         |",
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        expect(text, parts[i]);
    }
    snprintf(line, sizeof line, "45 cells on 2 workers: %s, by",
             plan_time(fmax(free_at[0], free_at[1]), span));
    expect(text, line);
    free(text);
    free(interval);
    planned_free(&p);
}

static void refused_machines(void **state)
{
    (void)state;
    struct planned p = plan_of(QUICK, &MACHINE);
    for (int i = 0; i < 4; i++) {
        struct error err = {0};
        struct plan_machine machine = MACHINE;
        struct plan *plan = NULL;
        *(i == 0 ? &machine.gflops : i == 1 ? &machine.bandwidth : &machine.latency) = -1;
        if (i == 3) {
            machine = MACHINE;
            machine.ranks = 0;
        }
        assert_int_equal(plan_create(&err, p.spec, p.cells, p.count, &machine, &plan),
                         STATUS_USAGE);
        assert_null(plan);
    }
    planned_free(&p);
}

/* The chart: one size on both workers until the middle, another on one of two until the end. */
static void chart(void **state)
{
    (void)state;
    struct planned p = plan_of(QUICK, &MACHINE);
    const int second = 15; /* a cell of 2x64 */
    const struct plan_interval interval[] = {{0, 2, 0, 36}, {second, 1, 36, 72}};
    char *text = printed(&p, interval, 2), axis[128];
    expect(
        text,
        "\n2x32         |####################################                                    "
        "|\n"
        "2x64         |                                    555555555555555555555555555555555555|\n"
        "idle         |                                    "
        "555555555555555555555555555555555555|\n");
    snprintf(axis, sizeof axis, "%-36s%-18s%18s\n", "0", "36 s", "72 s");
    expect(text, axis);
    assert_null(strstr(text, "\n3x96         |"));
    free(text);
    planned_free(&p);
}

/* Teams are chosen from the memory, and what fits none is refused, with the reason. */
static void teams(void **state)
{
    (void)state;
    static const char study[] =
        "sizes:\n"
        "  - {name: small, layers: 2, d_model: 64, heads: 2, context: 64, learning_rate: 1.0e-3}\n"
        "  - {name: large, layers: 8, d_model: 512, heads: 8, context: 64, learning_rate: 1.0e-3}\n"
        "base: {tokens: 65536}\nseeds: 1\ndata: {files: [text.txt]}\n"
        "train: {batch_tokens: 256, micro_batch_tokens: 64}\n";
    enum { SMALL, LARGE };
    struct memory memory;
    struct plan_machine machine = MACHINE;
    struct planned p = plan_of_text(study, &machine);
    const struct cell large = p.cells[LARGE];
    const double process = p.plan->process;
    assert_int_equal(p.count, 2);
    assert_int_equal(p.plan->cell[LARGE].width.ranks, 1);
    assert_false(p.plan->cell[LARGE].width.recompute);
    planned_free(&p);

    memory_of(&large, 1, true, &memory);
    machine.memory = process + memory.peak + 1;
    p = plan_of_text(study, &machine);
    assert_int_equal(p.plan->refused, 0);
    assert_int_equal(p.plan->cell[LARGE].width.ranks, 1);
    assert_true(p.plan->cell[LARGE].width.recompute);
    assert_false(p.plan->cell[SMALL].width.recompute);
    planned_free(&p);

    machine.memory -= 2;
    p = plan_of_text(study, &machine);
    assert_int_equal(p.plan->cell[LARGE].width.ranks, 2);
    assert_int_equal(p.plan->cell[LARGE].most, 2); /* there are no more */
    assert_int_equal(p.plan->cell[SMALL].width.ranks, 1);
    char *text = printed(&p, NULL, 0);
    expect(text, "Memory of a rank, large:");
    free(text);
    planned_free(&p);

    memory_of(&large, 2, true, &memory);
    machine.memory = process + memory.peak - 1; /* there are two workers */
    p = plan_of_text(study, &machine);
    assert_int_equal(p.plan->refused, 1);
    assert_true(p.plan->cell[SMALL].fits);
    assert_false(p.plan->cell[LARGE].fits);
    text = printed(&p, NULL, 0);
    expect(text, "size large: a cell needs ");
    expect(text, "with 2 ranks and activations computed again");
    expect(text, "4 ranks per cell would do: start more ranks");
    expect(text, "large        does not fit, see below");
    free(text);
    planned_free(&p);
}

/* What the scheduler makes of it =============================================================== */

/* No two teams on one worker at a time, none before its turn is possible, all of every cell. */
static double check_schedule(const struct scheduler_item *item, int count, int workers,
                             const struct plan_interval *interval, int intervals)
{
    double makespan = 0;
    double *done = calloc((size_t)count, sizeof *done);
    assert_non_null(done);
    for (int i = 0; i < intervals; i++) {
        const struct plan_interval *a = &interval[i];
        int busy = 0;
        assert_true(a->start >= 0 && a->end > a->start);
        for (int j = 0; j < intervals; j++) { /* at the moment this one starts */
            busy +=
                interval[j].start <= a->start && a->start < interval[j].end ? interval[j].ranks : 0;
        }
        assert_true(busy <= workers);
        const double doublings = log2((double)a->ranks / item[a->cell].width);
        done[a->cell] += (a->end - a->start) * pow(1 + item[a->cell].gain, doublings);
        makespan = fmax(makespan, a->end);
    }
    for (int i = 0; i < count; i++) {
        assert_true(done[i] >= item[i].seconds * (1 - 1e-9));
    }
    free(done);
    return makespan;
}

static void schedules(void **state)
{
    (void)state;
    enum { CELLS = 60, WORKERS = 8 };
    struct error err = {0};
    struct scheduler_item item[CELLS];
    struct plan_interval *interval = NULL;
    int intervals = 0;
    double work = 0;
    for (int i = 0; i < CELLS; i++) {
        item[i] = (struct scheduler_item){.seconds = 100 + 37 * (i % 7),
                                          .kind = i % 3,
                                          .width = 1 << i % 4,
                                          .most = 1 << i % 4,
                                          .gain = 0};
        work += item[i].seconds * item[i].width;
    }
    if (forecast(&err, item, CELLS, WORKERS, 10, &interval, &intervals) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(intervals, CELLS);
    const double makespan = check_schedule(item, CELLS, WORKERS, interval, intervals);
    assert_true(makespan >= work / WORKERS && makespan <= 1.15 * work / WORKERS);
    free(interval);

    item[5].width = item[5].most = 16; /* wider than all there is */
    assert_int_equal(forecast(&err, item, CELLS, WORKERS, 10, &interval, &intervals),
                     STATUS_FAILED);
    expect(err.message, "16 ranks");
}

/* The last cell's team may grow when all others are done. */
static void widening(void **state)
{
    (void)state;
    struct error err = {0};
    const struct scheduler_item item[] = {
        {.seconds = 1000, .kind = 0, .width = 1, .most = 4, .gain = 0.9},
        {.seconds = 100, .kind = 0, .width = 1, .most = 4, .gain = 0.9},
    };
    struct plan_interval *interval = NULL;
    int intervals = 0;
    assert_int_equal(forecast(&err, item, 2, 4, 10, &interval, &intervals), STATUS_OK);
    const double makespan = check_schedule(item, 2, 4, interval, intervals);
    assert_true(makespan <= 1000 + 1e-6);
    free(interval);
}

/* 20,000 cells on 4,095 workers in teams of up to 64: seconds, not minutes. */
static void many(void **state)
{
    (void)state;
    enum { CELLS = 20000, WORKERS = 4095 };
    struct error err = {0};
    struct scheduler_item *item = calloc(CELLS, sizeof *item);
    struct plan_interval *interval = NULL;
    int intervals = 0;
    double work = 0;
    struct timespec begin, end;
    assert_non_null(item);
    for (int i = 0; i < CELLS; i++) {
        item[i] = (struct scheduler_item){.seconds = 1000 + i * 7919 % 1000,
                                          .kind = i % 12,
                                          .width = 1 << i % 7,
                                          .most = 1 << i % 7,
                                          .gain = 0};
        work += item[i].seconds * item[i].width;
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (forecast(&err, item, CELLS, WORKERS, 10, &interval, &intervals) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    const double seconds =
        (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    double makespan = 0;
    for (int i = 0; i < intervals; i++) {
        makespan = fmax(makespan, interval[i].end);
    }
    printf("%d cells: %.2f s; makespan %.3f of the bound\n", CELLS, seconds,
           makespan * WORKERS / work);
    assert_int_equal(intervals, CELLS);
    assert_true(makespan >= work / WORKERS && makespan <= 1.1 * work / WORKERS);
    assert_true(seconds < 20);
    free(interval);
    free(item);
}

static void texts(void **state)
{
    (void)state;
    char text[PLAN_TEXT];
    assert_string_equal(plan_exact(51539607552, text), "51,539,607,552");
    assert_string_equal(plan_exact(999, text), "999");
    assert_string_equal(plan_exact(1000, text), "1,000");
    assert_string_equal(plan_exact(INT64_MAX, text), "9,223,372,036,854,775,807");
    assert_string_equal(plan_count(1.13e24, text), "1.13 Y");
    assert_string_equal(plan_time(0.0025, text), "2.5 ms");
    assert_string_equal(plan_time(390, text), "6.5 min");
    assert_string_equal(plan_time(86400 * 12.5, text), "12.5 days");
    assert_string_equal(plan_time(86400 * 36525.0, text), "100 years");
    assert_string_equal(bytes_text(6.5 * 1073741824, text), "6.5 GiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick),     cmocka_unit_test(refused_machines),
        cmocka_unit_test(chart),     cmocka_unit_test(teams),
        cmocka_unit_test(schedules), cmocka_unit_test(widening),
        cmocka_unit_test(many),      cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
