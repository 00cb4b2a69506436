/* One allocation, carved into arrays: run the carving once without memory to learn the size, then for real. */
#ifndef STUDY_ARENA_H
#define STUDY_ARENA_H

#include <stddef.h>

struct arena {
    char *base; /* NULL: only count */
    size_t used;
};

/* `count` zeroed elements of `size` bytes, aligned to 64. */
static inline void *arena_take(struct arena *arena, size_t count, size_t size)
{
    void *p = arena->base ? arena->base + arena->used : NULL;
    arena->used += (count * size + 63) / 64 * 64;
    return p;
}

#endif
