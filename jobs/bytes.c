#include "jobs/bytes.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool bytes_parse(const char *text, double *bytes)
{
    static const char PREFIXES[] = "kMGTP";
    char *end = NULL;
    if (!isdigit((unsigned char)text[0]) || strspn(text, "0xX") > 1) { /* no sign, space, hex */
        return false;
    }
    double value = strtod(text, &end);
    end += *end == ' ';
    if (strcmp(end, "B") != 0) {
        const char *prefix = *end == 'K' ? PREFIXES : strchr(PREFIXES, *end);
        if (*end == '\0' || prefix == NULL) {
            return false;
        }
        const int power = (int)(prefix - PREFIXES) + 1;
        if (strcmp(end + 1, "iB") == 0 && *end != 'k') {
            value *= pow(1024, power);
        } else if (strcmp(end + 1, "B") == 0) {
            value *= pow(1000, power);
        } else {
            return false;
        }
    }
    if (!isfinite(value) || value < 1) {
        return false;
    }
    *bytes = value;
    return true;
}

const char *bytes_text(double bytes, char out[BYTES_TEXT])
{
    static const char *const UNITS[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    int unit = 0;
    bytes /= 1024;
    while (bytes >= 999.5 && unit < 5) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, BYTES_TEXT, "%.3g %s", bytes, UNITS[unit]);
    return out;
}
