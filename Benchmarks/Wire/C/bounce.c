/* bounce.c: the canary of two virtual cores: one cache line, back and forth. */
#include "wire_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ROUNDS = 50, TRIPS = 2000 };

typedef struct bounce {
    _Alignas(128) _Atomic uint64_t line; /* odd: ours, even: theirs */
    _Alignas(128) int core;
} bounce;

static void *answer(void *argument)
{
    bounce *const b = argument;
    (void)wire_pin(b->core);
    for (uint64_t turn = 1; turn < 2 * (uint64_t)ROUNDS * TRIPS; turn += 2) {
        while (atomic_load_explicit(&b->line, memory_order_acquire) != turn) {
        }
        atomic_store_explicit(&b->line, turn + 1, memory_order_release);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

int64_t wire_bounce_ns(int core)
{
    static bounce b;
    int64_t times[ROUNDS];
    pthread_t thread;
    atomic_store(&b.line, 0);
    b.core = core;
    const int result = pthread_create(&thread, NULL, answer, &b);
    if (result != 0) {
        return -result;
    }
    uint64_t turn = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t start = wire_now_ns();
        for (int trip = 0; trip < TRIPS; trip++) {
            atomic_store_explicit(&b.line, turn + 1, memory_order_release);
            while (atomic_load_explicit(&b.line, memory_order_acquire) != turn + 2) {
            }
            turn += 2;
        }
        times[round] = (wire_now_ns() - start) / TRIPS;
    }
    pthread_join(thread, NULL);
    qsort(times, ROUNDS, sizeof times[0], compare);
    return times[ROUNDS / 2];
}
