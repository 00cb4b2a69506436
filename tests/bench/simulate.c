/* build/simulate: the scheduler at scale, in virtual time. See tests/bench/simulation.h. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/simulation.h"

enum { MOST_RUNS = 1000 };

static void help(void)
{
    printf("usage: simulate [options]\n"
           "Runs the real scheduler in virtual time and prints one `key value` a line.\n"
           "  --workers N --cells N    (1024, 20000)\n"
           "  --deaths F               fraction of the workers that die (0.01)\n"
           "  --hangs F                fraction of those that hang and wake up later (0)\n"
           "  --killers N              cells that kill every worker (0)\n"
           "  --cell-error S --kind-error S    sigma of the log-normal cost errors (0.2, 0.3)\n"
           "  --shortest S             seconds of a 410M cell; 52B: 127 times that (60)\n"
           "  --timeout S --checkpoint-every S    (60, 120)\n"
           "  --seed N --runs N        the first of N seeds (1, 5)\n");
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"workers", required_argument, NULL, 'w'},
        {"cells", required_argument, NULL, 'c'},
        {"deaths", required_argument, NULL, 'd'},
        {"hangs", required_argument, NULL, 'g'},
        {"killers", required_argument, NULL, 'k'},
        {"cell-error", required_argument, NULL, 'e'},
        {"kind-error", required_argument, NULL, 'f'},
        {"shortest", required_argument, NULL, 's'},
        {"timeout", required_argument, NULL, 't'},
        {"checkpoint-every", required_argument, NULL, 'p'},
        {"seed", required_argument, NULL, 'x'},
        {"runs", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct simulation simulation = simulation_default();
    struct error err = {0};
    double ratio[MOST_RUNS];
    int runs = 5, option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        double x = optarg ? atof(optarg) : 0;
        switch (option) {
        case 'w':
            simulation.workers = (int)x;
            break;
        case 'c':
            simulation.cells = (int)x;
            break;
        case 'd':
            simulation.deaths = x;
            break;
        case 'g':
            simulation.hangs = x;
            break;
        case 'k':
            simulation.killers = (int)x;
            break;
        case 'e':
            simulation.cell_error = x;
            break;
        case 'f':
            simulation.kind_error = x;
            break;
        case 's':
            simulation.shortest = x;
            break;
        case 't':
            simulation.timeout = x;
            break;
        case 'p':
            simulation.checkpoint_every = x;
            break;
        case 'x':
            simulation.seed = (uint64_t)x;
            break;
        case 'r':
            runs = (int)x;
            break;
        case 'h':
            help();
            return STATUS_OK;
        default:
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
        printf("seed %llu\nlower_bound_seconds %.0f\nmakespan_seconds %.0f\nratio %.4f\n"
               "longest_cell_seconds %.0f\nlost_fraction %.2e\ndeaths %d\nhangs %d\n"
               "taken_back %d\nlate_refused %d\ndone %d\nquarantined %d\nunlucky %d\ncpu_seconds "
               "%.3f\n",
               (unsigned long long)simulation.seed, r.bound, r.makespan, ratio[i], r.longest,
               r.lost / r.work, r.deaths, r.hangs, r.taken_back, r.late, r.done, r.quarantined,
               r.unlucky, r.seconds);
    }
    qsort(ratio, (size_t)runs, sizeof *ratio, ascending);
    printf("runs %d\nratio_median %.4f\nratio_worst %.4f\n", runs, ratio[runs / 2],
           ratio[runs - 1]);
    return STATUS_OK;
}
