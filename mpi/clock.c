#include "mpi/clock.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int64_t clock_unix(void)
{
    return (int64_t)time(NULL);
}

void clock_utc(char text[CLOCK_TEXT])
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(text, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

void clock_duration(double seconds, char text[CLOCK_DURATION])
{
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e12) {
        snprintf(text, CLOCK_DURATION, "unknown");
        return;
    }
    long long whole = llround(seconds);
    if (seconds < 9.95) {
        snprintf(text, CLOCK_DURATION, "%.1f s", seconds);
    } else if (whole < 60) {
        snprintf(text, CLOCK_DURATION, "%lld s", whole);
    } else if (whole < 3600) {
        snprintf(text, CLOCK_DURATION, "%lld min %02lld s", whole / 60, whole % 60);
    } else if (whole < 86400) {
        snprintf(text, CLOCK_DURATION, "%lld h %02lld min", whole / 3600, whole / 60 % 60);
    } else {
        snprintf(text, CLOCK_DURATION, "%lld d %02lld h", whole / 86400, whole / 3600 % 24);
    }
}
