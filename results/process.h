/* Other processes of this host, as the kernel shows them: is a lease's or a worker's process still that one? */
#ifndef RESULTS_PROCESS_H
#define RESULTS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

enum { PROCESS_BOOT = 40 };

/* When the process was started, in clock ticks after boot: with its pid it names the process. −1: it is gone (or
 * a zombie); 0: the kernel does not say just now. */
int64_t process_start(int64_t pid);

/* The kernel's id of this boot. False and "": there is none. */
bool process_boot(char boot[PROCESS_BOOT]);

#endif
