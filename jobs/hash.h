/* How the program writes XXH3-128 hashes. */
#ifndef JOBS_HASH_H
#define JOBS_HASH_H

#include <stdio.h>
#include <xxhash.h>

#include "jobs/cell.h"

/* 32 hex digits. */
static inline void hash_hex(XXH128_hash_t hash, char hex[CELL_ID])
{
    snprintf(hex, CELL_ID, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

#endif
