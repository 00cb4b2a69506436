#include "mpi/deadline.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "jobs/duration.h"
#include "mpi/clock.h"

enum { ANSWER = 256 };

static const double ask_every = 240;   /* seconds */
static const double ask_patience = 60; /* for one answer */
static const double least_steps = 3;   /* that a cell must be able to do before it is stopped … */
static const double least_seconds = 1; /* … and what beginning it costs */

struct deadline {
    int64_t when; /* Unix seconds; 0 = none */
    char job[64]; /* to ask for; "" = nobody to ask */
    pid_t asking; /* squeue that runs; 0 = none */
    int answer;   /* read end of its output */
    char text[ANSWER];
    size_t length;
    double asked; /* clock_seconds; 0 = never */
    bool warned;
};

static bool parse_time(const char *text, int64_t *when)
{
    struct tm parts = {.tm_isdst = -1};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == NULL) {
        return false;
    }
    bool utc = strcmp(rest, "Z") == 0;
    if (!utc && rest[0] != '\0') {
        return false;
    }
    time_t seconds = utc ? timegm(&parts) : mktime(&parts);
    *when = (int64_t)seconds;
    return seconds > 0;
}

int deadline_parse(struct error *err, const char *text, int64_t now, int64_t *when)
{
    int status = STATUS_OK;
    double span = 0;
    size_t digits = strspn(text, "0123456789");
    if (text[0] == '+' && duration_parse(text + 1, &span) && span < 1e9) {
        *when = now + (int64_t)ceil(span);
    } else if (digits > 0 && digits < 12 && text[digits] == '\0') {
        *when = strtoll(text, NULL, 10);
        CHECK(err, *when > 1000000000, STATUS_USAGE,
              "run: --deadline: \"%s\" is no time in Unix seconds; for a span write +%s", text,
              text);
    } else {
        CHECK(err, parse_time(text, when), STATUS_USAGE,
              "run: --deadline: \"%s\" is not a time; write Unix seconds, "
              "2025-12-31T23:59:59 (with Z: UTC), or +2h",
              text);
    }
cleanup:
    return status;
}

bool deadline_parse_squeue(const char *text, int64_t *when)
{
    char line[ANSWER];
    snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\r\n "), text);
    return parse_time(line, when);
}

bool deadline_allows(double left, double expected, int64_t steps)
{
    double needed = steps > 0 ? least_steps * expected / (double)steps + least_seconds : expected;
    return left >= (expected < needed ? expected : needed);
}

int deadline_create(struct error *err, const char *text, struct deadline **deadline)
{
    int status = STATUS_OK;
    const char *job = getenv("SLURM_JOB_ID"), *array = getenv("SLURM_ARRAY_JOB_ID");
    const char *task = getenv("SLURM_ARRAY_TASK_ID");
    struct deadline *d = calloc(1, sizeof *d);

    *deadline = NULL;
    CHECK(err, d != NULL, STATUS_FAILED, "out of memory");
    d->answer = -1;
    if (text != NULL) {
        TRY(deadline_parse(err, text, clock_unix(), &d->when));
    } else if (array != NULL && array[0] != '\0' && task != NULL) {
        /* One of the tasks has the array's own id, by which squeue would tell of all. */
        snprintf(d->job, sizeof d->job, "%.30s_%.30s", array, task);
    } else if (job != NULL) {
        snprintf(d->job, sizeof d->job, "%.60s", job);
    }
    *deadline = d;
    d = NULL;
cleanup:
    deadline_free(d);
    return status;
}

/* It has said all that we want to know: never wait for it, whatever it does. */
static void stop_asking(struct deadline *d)
{
    if (d->answer >= 0) {
        close(d->answer);
        d->answer = -1;
    }
    if (d->asking > 0) {
        kill(d->asking, SIGKILL);
        waitpid(d->asking, NULL, 0);
        d->asking = 0;
    }
}

void deadline_free(struct deadline *d)
{
    if (d != NULL) {
        stop_asking(d);
        free(d);
    }
}

static void warn(struct deadline *d, const char *what)
{
    if (!d->warned) {
        d->warned = true;
        fprintf(
            stderr,
            "ptqscale: warning: the end of job %s is not known: %s; give it with --deadline, or "
            "what runs at the time limit goes on from its last checkpoint only\n",
            d->job, what);
    }
}

/* Start squeue with our environment, but with the signals that we block let through. */
static int spawn(struct deadline *d)
{
    int ends[2], failure;
    sigset_t none;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *const arguments[] = {"squeue", "-h", "-j", d->job, "-o", "%e", NULL};
    extern char **environ;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return errno;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    failure = posix_spawnp(&d->asking, "squeue", &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    if (failure != 0) {
        d->asking = 0;
        close(ends[0]);
    } else {
        d->answer = ends[0];
    }
    return failure;
}

void deadline_poll(struct deadline *d)
{
    double now = clock_seconds();
    if (d->job[0] == '\0') {
        return;
    }
    if (d->asking == 0) {
        if (d->asked > 0 && now - d->asked < ask_every) {
            return;
        }
        d->asked = now;
        d->length = 0;
        int failure = spawn(d);
        if (failure != 0) {
            char what[128];
            snprintf(what, sizeof what, "squeue: %s", strerror(failure));
            warn(d, what);
        }
        return;
    }
    ssize_t got = read(d->answer, d->text + d->length, sizeof d->text - 1 - d->length);
    if (got > 0) {
        d->length += (size_t)got;
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (now - d->asked > ask_patience) {
            warn(d, "squeue does not answer");
            stop_asking(d);
        }
        return;
    }
    d->text[d->length] = '\0';
    stop_asking(d);
    int64_t when = 0;
    if (deadline_parse_squeue(d->text, &when)) {
        d->when = when;
    } else if (d->length == 0) {
        warn(d, "squeue failed");
    }
}

double deadline_left(const struct deadline *d)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return d->when == 0 ? INFINITY : (double)(d->when - now.tv_sec) - 1e-9 * (double)now.tv_nsec;
}
