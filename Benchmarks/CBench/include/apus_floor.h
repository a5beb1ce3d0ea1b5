/* apus_floor.h: what the machine itself does: the gaps in a spinning thread, and a cache line between two cores. */
#ifndef APUS_FLOOR_H
#define APUS_FLOOR_H

#include <stddef.h>
#include <stdint.h>

/* Gaps of a thread that only reads the clock. */
typedef struct apus_gaps {
    int64_t elapsed_ns;
    int64_t count;   /* gaps above the threshold */
    int64_t lost_ns; /* their sum */
    int64_t longest_ns;
} apus_gaps;

/* Spins for `duration_ns` on the calling thread's core. */
apus_gaps apus_gaps_measure(int64_t duration_ns, int64_t threshold_ns);

/* How often the system has taken a core from a thread of this process that wanted to go on. */
int64_t apus_forced_switches(void);

/* Sends one cache line to a thread on `other_core` and back `trips` times, after as many warm ones; returns the
 * nanoseconds of one round trip, or a negative number if the thread could not be had. */
double apus_bounce_ns(int32_t other_core, uint64_t trips);

/* Runs `body` on a new thread pinned to `core`; `*handle` is for apus_partner_join. 0, or an error number. */
int apus_partner_start(int32_t core, void *(*body)(void *), void *context, uint64_t *handle);
void apus_partner_join(uint64_t handle);

#endif
