#include "results/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "results/atomic.h"

/* Standard input, output and error are files in memory, not pipes: nobody waits for anybody, and no SIGPIPE can come. The
 * child holds the writing end of a pipe that it knows nothing of: when it ends, in whatever way, the reading end hangs up. */
struct run {
    int in, out, err;
    int alive[2];
    pid_t pid; /* 0: not started, or its end is known */
};

extern char **environ;

static int memory_file(struct error *err, const char *name, int *fd)
{
    int status = STATUS_OK;
    *fd = memfd_create(name, MFD_CLOEXEC);
    CHECK(err, *fd >= 0, STATUS_FAILED, "gnuplot: cannot create a file in memory: %s",
          strerror(errno));
cleanup:
    return status;
}

static int start(struct error *err, struct run *run)
{
    static char program[] = "gnuplot", quiet[] = "--default-settings", standard_input[] = "-";
    char *const arguments[] = {program, quiet, standard_input, NULL};
    int status = STATUS_OK;
    bool made = false;
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    CHECK(err, error == 0, STATUS_FAILED, "gnuplot: %s", strerror(error));
    made = true;
    const int from[] = {run->in, run->out, run->err, run->alive[1]};
    for (int i = 0; i < 4 && error == 0; i++) {
        error = posix_spawn_file_actions_adddup2(&actions, from[i], i);
    }
    CHECK(err, error == 0, STATUS_FAILED, "gnuplot: %s", strerror(error));
    error = posix_spawnp(&run->pid, program, &actions, NULL, arguments, environ);
    if (error != 0) {
        run->pid = 0;
    }
    CHECK(err, error != ENOENT, STATUS_USAGE,
          "there is no gnuplot in PATH; install it (Debian: apt-get install gnuplot-nox; clusters: "
          "module load gnuplot)");
    CHECK(err, error == 0, STATUS_FAILED, "gnuplot cannot be started: %s", strerror(error));
cleanup:
    if (made) {
        posix_spawn_file_actions_destroy(&actions);
    }
    return status;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Wait for the end of the child; false: it did not come in time. */
static bool wait_end(int fd, double seconds)
{
    const double end = now() + seconds;
    struct pollfd wait = {.fd = fd};
    for (double left = seconds; left > 0; left = end - now()) {
        int got = poll(&wait, 1, (int)(1000 * (left < 1000 ? left : 1000)) + 1);
        if (got > 0) {
            return true;
        }
        if (got < 0 && errno != EINTR) {
            return false;
        }
    }
    return false;
}

static int contents(struct error *err, int fd, char **data, size_t *size)
{
    int status = STATUS_OK;
    struct stat about;
    char *bytes = NULL;
    CHECK(err, fstat(fd, &about) == 0, STATUS_FAILED, "gnuplot: %s", strerror(errno));
    bytes = malloc((size_t)about.st_size + 1);
    CHECK(err, bytes != NULL, STATUS_FAILED, "gnuplot: out of memory for its output");
    size_t length = 0;
    while (length < (size_t)about.st_size) {
        ssize_t got = pread(fd, bytes + length, (size_t)about.st_size - length, (off_t)length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        CHECK(err, got > 0, STATUS_FAILED, "gnuplot: its output cannot be read: %s",
              strerror(errno));
        length += (size_t)got;
    }
    bytes[length] = '\0';
    *data = bytes;
    *size = length;
    bytes = NULL;
cleanup:
    free(bytes);
    return status;
}

/* What gnuplot said, on one line: without blank lines, prompts and repeated blanks. */
static void first_words(const char *said, char words[240])
{
    size_t used = 0;
    bool blank = true;
    for (const char *c = said; *c != '\0' && used < 239; c++) {
        bool space = (unsigned char)*c <= ' ';
        if (!space || !blank) {
            words[used++] = space ? ' ' : *c;
        }
        blank = space;
    }
    words[used] = '\0';
}

int gnuplot_run(struct error *err, const char *script, size_t size, double seconds, char **output,
                size_t *output_size)
{
    int status = STATUS_OK;
    struct run run = {.in = -1, .out = -1, .err = -1, .alive = {-1, -1}};
    char *said = NULL, words[240], *written = NULL;
    size_t said_size = 0, written_size = 0;
    int code = 0;
    *output = NULL;
    TRY(memory_file(err, "gnuplot-script", &run.in));
    TRY(memory_file(err, "gnuplot-output", &run.out));
    TRY(memory_file(err, "gnuplot-messages", &run.err));
    int error = atomic_write_all(run.in, script, size);
    CHECK(err, error == 0, STATUS_FAILED, "gnuplot: its script cannot be written: %s",
          strerror(error));
    CHECK(err, lseek(run.in, 0, SEEK_SET) == 0 && pipe2(run.alive, O_CLOEXEC) == 0, STATUS_FAILED,
          "gnuplot: %s", strerror(errno));
    TRY(start(err, &run));
    close(run.alive[1]);
    run.alive[1] = -1;
    CHECK(err, wait_end(run.alive[0], seconds), STATUS_STOPPED,
          "gnuplot was ended: it was not done after %g s", seconds);
    while (waitpid(run.pid, &code, 0) < 0 && errno == EINTR) {
    }
    run.pid = 0;
    TRY(contents(err, run.err, &said, &said_size));
    first_words(said, words);
    CHECK(err, !WIFSIGNALED(code), STATUS_FAILED, "gnuplot was killed by signal %d",
          WTERMSIG(code));
    CHECK(err, WEXITSTATUS(code) == 0, STATUS_FAILED, "gnuplot failed: %s", words);
    TRY(contents(err, run.out, &written, &written_size));
    CHECK(err, written_size > 0, STATUS_FAILED, "gnuplot drew nothing: %s", words);
    *output = written;
    *output_size = written_size;
    written = NULL;
cleanup:
    if (run.pid > 0) {
        kill(run.pid, SIGKILL);
        while (waitpid(run.pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    const int files[] = {run.in, run.out, run.err, run.alive[0], run.alive[1]};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (files[i] >= 0) {
            close(files[i]);
        }
    }
    free(said);
    free(written);
    return status;
}
