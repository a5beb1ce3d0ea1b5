#define _GNU_SOURCE
#include "apus_floor.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

apus_gaps apus_gaps_measure(int64_t duration_ns, int64_t threshold_ns)
{
    apus_gaps gaps = {0};
    const int64_t start = now_ns();
    int64_t last = start;
    while (last - start < duration_ns) {
        const int64_t now = now_ns();
        const int64_t gap = now - last;
        if (gap > threshold_ns) {
            gaps.count++;
            gaps.lost_ns += gap;
            if (gap > gaps.longest_ns) {
                gaps.longest_ns = gap;
            }
        }
        last = now;
    }
    gaps.elapsed_ns = last - start;
    return gaps;
}

int64_t apus_forced_switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nivcsw;
}

int apus_partner_start(int32_t core, void *(*body)(void *), void *context, uint64_t *handle)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0) {
        return error;
    }
    pthread_t thread;
    error = pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    if (error == 0) {
        error = pthread_create(&thread, &attributes, body, context);
    }
    pthread_attr_destroy(&attributes);
    if (error == 0) {
        *handle = (uint64_t)thread;
    }
    return error;
}

void apus_partner_join(uint64_t handle)
{
    pthread_join((pthread_t)handle, NULL);
}

typedef struct bounce {
    alignas(128) _Atomic uint64_t turn; /* odd: the partner's, even: ours */
    alignas(128) uint64_t trips;
} bounce;

static void *bounce_partner(void *context)
{
    bounce *const b = context;
    for (uint64_t trip = 0; trip < b->trips; trip++) {
        while (atomic_load_explicit(&b->turn, memory_order_acquire) != 2 * trip + 1) {
        }
        atomic_store_explicit(&b->turn, 2 * trip + 2, memory_order_release);
    }
    return NULL;
}

double apus_bounce_ns(int32_t other_core, uint64_t trips)
{
    bounce b = {.turn = 0, .trips = 2 * trips};
    uint64_t handle;
    if (apus_partner_start(other_core, bounce_partner, &b, &handle) != 0) {
        return -1;
    }
    int64_t start = 0;
    for (uint64_t trip = 0; trip < b.trips; trip++) {
        if (trip == trips) {
            start = now_ns();
        }
        atomic_store_explicit(&b.turn, 2 * trip + 1, memory_order_release);
        while (atomic_load_explicit(&b.turn, memory_order_acquire) != 2 * trip + 2) {
        }
    }
    const int64_t end = now_ns();
    apus_partner_join(handle);
    return (double)(end - start) / (double)trips;
}
