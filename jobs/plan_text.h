/* Numbers for people, in plans. Private to jobs/. */
#ifndef JOBS_PLAN_TEXT_H
#define JOBS_PLAN_TEXT_H

#include <stdint.h>

#include "jobs/bytes.h"

enum { PLAN_TEXT = 32 };

/* 512 k, 1.5 M, 2.3 T. Each returns out. */
const char *plan_count(double value, char out[PLAN_TEXT]);

/* 51,539,607,552 */
const char *plan_exact(int64_t value, char out[PLAN_TEXT]);

/* 2.5 ms, 41 s, 6.5 min, 30.0 h, 12.5 days, 81 years */
const char *plan_time(double seconds, char out[PLAN_TEXT]);

#endif
