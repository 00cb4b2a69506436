/*
 * What a run shows while it runs, on stdout: on a terminal one line that is updated in place, with
 * remarkable events above it; else a log, one line per event with its time.
 */
#ifndef PTQSCALE_MPI_DISPLAY_H
#define PTQSCALE_MPI_DISPLAY_H

#include <stdbool.h>

struct display {
    bool terminal;
    bool drawn;    /* the updated line is on the screen */
    double last;   /* when it was drawn */
    double second; /* a log: when the current second began, and the events in it */
    int events, left_out;
};

struct display_state {
    int cells, finished, running, failed;
    double eta;          /* seconds, NaN = unknown */
    const char *current; /* what runs, "2x64 base seed 1 45% loss 2.31, …" */
};

/* Finds out whether there is a terminal, also behind a launcher on this host. */
struct display display_create(void);

/* An event that a batch log records, unless there are very many in a second; not shown on a terminal
 * unless it is `remarkable`. */
void display_event(struct display *display, bool remarkable, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Is it time to draw the line again? Never on a log. */
bool display_due(const struct display *display);
void display_update(struct display *display, const struct display_state *state);

/* Take the line off the screen, at the end or before other output. */
void display_clear(struct display *display);

#endif
