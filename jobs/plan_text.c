#include "jobs/plan_text.h"

#include <stdio.h>
#include <string.h>

const char *plan_count(double value, char out[PLAN_TEXT])
{
    static const char *const UNITS[] = {"", " k", " M", " G", " T", " P", " E", " Z", " Y"};
    int unit = 0;
    while (value >= 999.5 && unit < 8) {
        value /= 1000;
        unit++;
    }
    snprintf(out, PLAN_TEXT, unit ? "%.3g%s" : "%.0f%s", value, UNITS[unit]);
    return out;
}

const char *plan_exact(int64_t value, char out[PLAN_TEXT])
{
    char digits[PLAN_TEXT];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)value);
    int at = 0;
    for (int i = 0; i < length && at < PLAN_TEXT - 2; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            out[at++] = ',';
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *plan_time(double seconds, char out[PLAN_TEXT])
{
    static const struct {
        double below, unit;
        const char *format;
    } forms[] = {
        {1, 1e-3, "%.3g ms"},
        {100, 1, "%.3g s"},
        {6000, 60, "%.1f min"},
        {172800, 3600, "%.1f h"},
        {86400 * 1000.0, 86400, "%.4g days"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (seconds < forms[i].below) {
            snprintf(out, PLAN_TEXT, forms[i].format, seconds / forms[i].unit);
            return out;
        }
    }
    const double years = seconds / (86400 * 365.25);
    snprintf(out, PLAN_TEXT, years < 99.95 ? "%.3g years" : "%.0f years", years);
    return out;
}
