/* build/simulate: the scheduler at scale, in virtual time. See tests/bench/simulation.h. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/simulation.h"

enum { MOST_RUNS = 10000 };

static void help(void)
{
    printf("usage: simulate [options]\n"
           "Runs the real scheduler in virtual time and prints one `key value` a line.\n"
           "  --workers N --cells N    (1024, 20000)\n"
           "  --widths A,B,C,D         workers of a cell of 410M, 6B, 13B, 52B (1,1,1,1)\n"
           "  --costs A,B,C,D          their costs, relative to each other (0.41,6,13,52)\n"
           "  --one-budget             not three token budgets\n"
           "  --mixture                widths and seconds independent of each other\n"
           "  --doublings N --gain F --restart S    widening at the end: how often (0), what a "
           "doubling keeps (0.9), "
           "seconds (30)\n"
           "  --deaths F               fraction of the workers that die (0.01)\n"
           "  --hangs F                fraction of those that hang and wake up later (0)\n"
           "  --killers N              cells that kill every worker that leads them (0)\n"
           "  --stops F                cells that are stopped and given back, per cell (0)\n"
           "  --cell-error S --kind-error S    sigma of the log-normal cost errors (0.2, 0.3)\n"
           "  --shortest S             seconds of a 410M cell on one worker; 52B: 127 times that "
           "(60)\n"
           "  --timeout S --checkpoint-every S --release S    (60, 120, 1)\n"
           "  --seed N --runs N        the first of N seeds (1, 5)\n"
           "  --quiet                  only what comes after the last run\n");
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void show(const struct simulation *simulation, const struct simulation_result *r)
{
    printf("seed %llu\nlower_bound_seconds %.0f\nmakespan_seconds %.0f\nratio %.4f\n"
           "nested_ratio %.4f\nlongest_cell_seconds %.0f\nbusy_fraction %.4f\nmean_start_seconds "
           "%.0f\n"
           "reservations %d\nlongest_reservation_seconds %.0f\nlatest_start_seconds "
           "%.0f\nbackfilled %d\n"
           "lost_fraction %.2e\ndeaths %d\nhangs %d\ntaken_back %d\nstopped %d\nwidened %d\n"
           "late_refused %d\ndone %d\nquarantined %d\nunlucky %d\nstuck %d\ncpu_seconds %.3f\n",
           (unsigned long long)simulation->seed, r->bound, r->makespan, r->makespan / r->bound,
           r->makespan / r->nested, r->longest, r->busy, r->mean_start, r->reservations, r->waited,
           r->late_start, r->backfilled, r->lost / r->work, r->deaths, r->hangs, r->taken_back,
           r->stopped, r->widened, r->late, r->done, r->quarantined, r->unlucky, r->stuck,
           r->seconds);
}

/* One option and its value; false: there is no such option. */
static bool set(struct simulation *s, int option, const char *text)
{
    double x = text ? atof(text) : 0;
    int n = (int)x;
    switch (option) {
    case 'w':
        s->workers = n;
        return true;
    case 'c':
        s->cells = n;
        return true;
    case 'W':
        return sscanf(text, "%d,%d,%d,%d", &s->width[0], &s->width[1], &s->width[2],
                      &s->width[3]) == SIMULATION_SIZES;
    case 'C':
        return sscanf(text, "%lf,%lf,%lf,%lf", &s->cost[0], &s->cost[1], &s->cost[2],
                      &s->cost[3]) == SIMULATION_SIZES;
    case 'b':
        s->budgets = false;
        return true;
    case 'm':
        s->mixture = true;
        return true;
    case 'D':
        s->doublings = n;
        return true;
    case 'G':
        s->gain = x;
        return true;
    case 'R':
        s->restart = x;
        return true;
    case 'd':
        s->deaths = x;
        return true;
    case 'g':
        s->hangs = x;
        return true;
    case 'k':
        s->killers = n;
        return true;
    case 'S':
        s->stops = x;
        return true;
    case 'e':
        s->cell_error = x;
        return true;
    case 'f':
        s->kind_error = x;
        return true;
    case 's':
        s->shortest = x;
        return true;
    case 't':
        s->timeout = x;
        return true;
    case 'p':
        s->checkpoint_every = x;
        return true;
    case 'l':
        s->release = x;
        return true;
    case 'x':
        s->seed = (uint64_t)x;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"workers", required_argument, NULL, 'w'},
        {"cells", required_argument, NULL, 'c'},
        {"widths", required_argument, NULL, 'W'},
        {"mixture", no_argument, NULL, 'm'},
        {"doublings", required_argument, NULL, 'D'},
        {"gain", required_argument, NULL, 'G'},
        {"restart", required_argument, NULL, 'R'},
        {"deaths", required_argument, NULL, 'd'},
        {"hangs", required_argument, NULL, 'g'},
        {"killers", required_argument, NULL, 'k'},
        {"stops", required_argument, NULL, 'S'},
        {"cell-error", required_argument, NULL, 'e'},
        {"kind-error", required_argument, NULL, 'f'},
        {"shortest", required_argument, NULL, 's'},
        {"timeout", required_argument, NULL, 't'},
        {"checkpoint-every", required_argument, NULL, 'p'},
        {"release", required_argument, NULL, 'l'},
        {"seed", required_argument, NULL, 'x'},
        {"runs", required_argument, NULL, 'r'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {"costs", required_argument, NULL, 'C'},
        {"one-budget", no_argument, NULL, 'b'},
        {0},
    };
    static double ratio[MOST_RUNS];
    struct simulation simulation = simulation_default();
    struct error err = {0};
    bool quiet = false;
    int runs = 5, option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r') {
            runs = atoi(optarg);
        } else if (option == 'q') {
            quiet = true;
        } else if (option == 'h') {
            help();
            return STATUS_OK;
        } else if (!set(&simulation, option, optarg)) {
            return STATUS_USAGE;
        }
    }
    if (runs < 1 || runs > MOST_RUNS) {
        fprintf(stderr, "simulate: --runs: 1 … %d\n", MOST_RUNS);
        return STATUS_USAGE;
    }
    printf("workers %d\ncells %d\n", simulation.workers, simulation.cells);
    for (int i = 0; i < runs; i++, simulation.seed++) {
        struct simulation_result r;
        int status = simulation_run(&err, &simulation, &r);
        if (status != STATUS_OK) {
            fprintf(stderr, "simulate: seed %llu: %s\n", (unsigned long long)simulation.seed,
                    err.message);
            return status;
        }
        ratio[i] = r.makespan / r.bound;
        if (!quiet) {
            show(&simulation, &r);
        }
    }
    qsort(ratio, (size_t)runs, sizeof *ratio, ascending);
    printf("runs %d\nratio_median %.4f\nratio_p90 %.4f\nratio_worst %.4f\n", runs, ratio[runs / 2],
           ratio[runs * 9 / 10], ratio[runs - 1]);
    return STATUS_OK;
}
