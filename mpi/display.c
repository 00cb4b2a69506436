#include "mpi/display.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mpi/clock.h"

static const double draw_every = 0.5; /* seconds */
enum { MOST_EVENTS = 200 };           /* per second; all are in the journal */

/* A launcher hands every rank a terminal of its own and forwards what it reads there. What counts
 * is where the launcher itself writes to, which can be seen if it is our parent. */
static bool launcher_has_terminal(void)
{
    char link[64], target[128];
    snprintf(link, sizeof link, "/proc/%ld/fd/1", (long)getppid());
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0) {
        return false;
    }
    target[length] = '\0';
    return strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0;
}

struct display display_create(void)
{
    bool launched = getenv("PMIX_RANK") || getenv("PMI_RANK") || getenv("OMPI_COMM_WORLD_RANK");
    const char *term = getenv("TERM");
    bool dumb = term && strcmp(term, "dumb") == 0;
    return (struct display){
        .terminal = !dumb && isatty(STDOUT_FILENO) && (!launched || launcher_has_terminal()),
    };
}

void display_clear(struct display *display)
{
    if (display->drawn) {
        fputs("\r\033[K", stdout);
        fflush(stdout);
        display->drawn = false;
    }
}

/* Is this event one too many? */
static bool leave_out(struct display *display)
{
    double now = clock_seconds();
    if (now - display->second >= 1) {
        if (display->left_out > 0) {
            printf("(%d more events, see the journal)\n", display->left_out);
        }
        display->second = now;
        display->events = display->left_out = 0;
    }
    display->left_out += ++display->events > MOST_EVENTS;
    return display->events > MOST_EVENTS;
}

void display_event(struct display *display, bool remarkable, const char *format, ...)
{
    if (!remarkable && (display->terminal || leave_out(display))) {
        return;
    }
    display_clear(display);
    if (!display->terminal) {
        char now[CLOCK_TEXT];
        clock_utc(now);
        printf("%s ", now);
    }
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

bool display_due(const struct display *display)
{
    return display->terminal && clock_seconds() - display->last >= draw_every;
}

void display_update(struct display *display, const struct display_state *state)
{
    char eta[CLOCK_DURATION], failed[32] = "", line[512];
    struct winsize window;
    int width = 80;

    clock_duration(state->eta, eta);
    if (state->failed > 0) {
        snprintf(failed, sizeof failed, ", %d failed", state->failed);
    }
    snprintf(line, sizeof line, "%d/%d cells done%s, %d running, ETA %s%s%s", state->finished,
             state->cells, failed, state->running, eta, state->current[0] ? " | " : "",
             state->current);
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 20) {
        width = window.ws_col;
    }
    printf("\r\033[K%.*s", width - 1, line);
    fflush(stdout);
    display->drawn = true;
    display->last = clock_seconds();
}
