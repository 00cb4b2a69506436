#include "jobs/duration.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct unit {
    const char *name;
    double seconds;
} units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"m", 60}, {"s", 1}, {"", 1}};

enum { UNITS = sizeof units / sizeof units[0] };

bool duration_parse(const char *text, double *seconds)
{
    double sum = 0, last = INFINITY;
    const char *at = text;
    do {
        char *end = NULL;
        if (!isdigit((unsigned char)*at) || strspn(at, "0xX") > 1) { /* no sign, space, hex */
            return false;
        }
        double value = strtod(at, &end);
        const size_t length = strspn(end, "dhmins");
        int u = 0;
        while (u < UNITS &&
               !(strlen(units[u].name) == length && strncmp(end, units[u].name, length) == 0)) {
            u++;
        }
        if (u == UNITS || units[u].seconds >= last || (length == 0 && at != text)) {
            return false;
        }
        sum += value * units[u].seconds;
        last = units[u].seconds;
        at = end + length;
    } while (*at != '\0');
    if (!isfinite(sum)) {
        return false;
    }
    *seconds = sum;
    return true;
}
