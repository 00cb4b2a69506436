/* The schedule of a plan: who runs when. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/plan_tables.h"
#include "jobs/plan_text.h"

enum { COLUMNS = 72 };

/* Rank-seconds of the interval by column of `width` seconds. */
static void spread(const struct plan_interval *interval, double width, double busy[COLUMNS])
{
    const int first = (int)fmin(COLUMNS - 1, floor(interval->start / width));
    for (int c = first; c < COLUMNS && c * width < interval->end; c++) {
        const double from = fmax(interval->start, c * width);
        const double to = fmin(interval->end, (c + 1) * width);
        busy[c] += to > from ? (to - from) * interval->ranks : 0;
    }
}

/* A column's share of the ranks: nothing, a point below a twentieth, tenths, # for nearly all. */
static char symbol(double share)
{
    const int tenths = (int)floor(share * 10 + 0.5);
    return share < 1e-9 ? ' ' : share < 0.05 ? '.' : tenths > 9 ? '#' : (char)('0' + tenths);
}

static void print_line(FILE *out, const char *name, const double share[COLUMNS])
{
    char line[COLUMNS + 1];
    for (int c = 0; c < COLUMNS; c++) {
        line[c] = symbol(share[c]);
    }
    line[COLUMNS] = '\0';
    fprintf(out, "%-*s |%s|\n", PLAN_NAME, name, line);
}

static void print_chart(FILE *out, const struct plan *plan, const struct plan_interval *interval,
                        int intervals, double makespan, double (*busy)[COLUMNS])
{
    const double width = makespan / COLUMNS;
    char half[PLAN_TEXT], end[PLAN_TEXT];
    double idle[COLUMNS];
    bool seen[SPEC_SIZES] = {false};
    for (int i = 0; i < intervals; i++) {
        const int size = plan->cell[interval[i].cell].size;
        seen[size] = true;
        spread(&interval[i], width, busy[size]);
    }
    for (int c = 0; c < COLUMNS; c++) {
        idle[c] = 1;
        for (int s = 0; s < plan->spec->sizes; s++) {
            busy[s][c] /= width * plan->workers;
            idle[c] -= busy[s][c];
        }
        idle[c] = idle[c] < 1e-6 ? 0 : idle[c];
    }
    fprintf(out, "%-*s  %-*s%-*s%*s\n", PLAN_NAME, "", COLUMNS / 2, "0", COLUMNS / 4,
            plan_time(makespan / 2, half), COLUMNS / 4, plan_time(makespan, end));
    for (int s = 0; s < plan->spec->sizes; s++) {
        if (seen[s]) {
            print_line(out, plan->spec->size[s].name, busy[s]);
        }
    }
    print_line(out, "idle", idle);
    fputs("share of the workers on each size: . below 5 %, 1 to 9 tenths, # all\n\n", out);
}

static double workers_per_node(const struct plan *plan)
{
    const long here = sysconf(_SC_NPROCESSORS_ONLN);
    return plan->machine.ranks_per_node > 0 ? plan->machine.ranks_per_node
                                            : (here > 0 ? (double)here : 1);
}

/* What a node needs, against the memory here: a cluster's nodes are not known to this program. */
static void print_memory(FILE *out, const struct plan *plan)
{
    double most = 0;
    char rank[BYTES_TEXT], need[BYTES_TEXT], have[BYTES_TEXT];
    const double here = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    const double at_once = fmin(workers_per_node(plan), plan->workers);
    for (int i = 0; i < plan->count; i++) {
        most = fmax(most, plan->process + plan->cell[i].width.bytes);
    }
    fprintf(out,
            "Memory: at most %s for a worker, %s for the %.0f of a node; this machine has %s%s\n",
            bytes_text(most, rank), bytes_text(most * at_once, need), at_once,
            bytes_text(here, have), most * at_once > here ? ", too little" : "");
}

static void print_rates(FILE *out, const struct plan *plan)
{
    const struct plan_machine *m = &plan->machine;
    fprintf(out, "Times %s %.4g GFLOP/s per rank", m->rates ? "follow from" : "assume", m->gflops);
    if (plan->workers > 1) {
        fprintf(out, ", %.3g GB/s to and from each, %.3g microseconds per message", m->bandwidth,
                m->latency);
    }
    fprintf(out, "%s%s.\nA run learns the real rates from its finished cells.\n",
            m->rates ? ", as " : ":\nnothing was measured here (plan --measure does)",
            m->rates ? m->rates : "");
}

int plan_print_schedule(struct error *err, FILE *out, const struct plan *plan,
                        const struct plan_interval *interval, int intervals)
{
    int status = STATUS_OK;
    char span[PLAN_TEXT], bound[PLAN_TEXT];
    const struct plan_machine *m = &plan->machine;
    double makespan = 0, busy = 0, longest = 0;
    int widened = 0;
    double(*share)[COLUMNS] = calloc(SPEC_SIZES, sizeof *share);
    CHECK(err, share, STATUS_FAILED, "out of memory");
    for (int i = 0; i < intervals; i++) {
        makespan = fmax(makespan, interval[i].end);
        busy += (interval[i].end - interval[i].start) * interval[i].ranks;
        widened += interval[i].ranks > plan->cell[interval[i].cell].width.ranks;
    }
    double work = 0;
    for (int i = 0; i < plan->count; i++) {
        longest = fmax(longest, plan->cell[i].seconds);
        work += plan->cell[i].seconds * plan->cell[i].width.ranks;
    }
    const double least = fmax(work / plan->workers, widened > 0 ? 0 : longest);
    const double node = workers_per_node(plan);
    const double nodes = ceil(plan->workers / node); /* the coordinator sleeps: it needs no core */
    print_chart(out, plan, interval, intervals, makespan, share);
    fprintf(out, "%d cells on %d worker%s: %s, by the rules of the run itself; not less than %s\n",
            plan->count, plan->workers, plan->workers == 1 ? "" : "s", plan_time(makespan, span),
            plan_time(least, bound));
    if (widened > 0) {
        fprintf(out, "(at the end, %d time%s, idle workers make a running cell's team larger)\n",
                widened, widened == 1 ? "" : "s");
    }
    fprintf(out, "%.3g core-hours; %.3g node-hours on %.0f node%s of %.0f %s\n", busy / 3600,
            nodes * makespan / 3600, nodes, nodes == 1 ? "" : "s", node,
            m->ranks_per_node > 0 ? "workers" : "cores like this one");
    print_memory(out, plan);
    print_rates(out, plan);
cleanup:
    free(share);
    return status;
}
