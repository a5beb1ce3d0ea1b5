/* apus_clock.h: nanoseconds of CLOCK_MONOTONIC, read from the processor's counter.
 *
 * The counter (TSC on x86-64 where it is invariant, CNTVCT on arm64) runs at a steady rate that is
 * not quite the kernel's: 6 µs a second apart were seen. So a helper calls apus_clock_refit about once
 * a second; each fit bends the line so that it meets the kernel's clock again a second later. The
 * line has no jumps, so time never runs backwards, and intervals are wrong by the bend only
 * (a few parts in a million, at most 500). One exception: a lag above 10 ms, as after the machine was
 * paused, is made good by one step forwards.
 *
 * Threads: apus_clock_now_ns from any thread, lock-free; apus_clock_start and apus_clock_refit take a
 *          lock of their own, which no reader touches.
 *          Tests/Models/clock.pml is a model of the hand-over that Spin verifies (tools/models): keep the two
 *          alike.
 * Without a usable counter, or before apus_clock_start, readings come from clock_gettime.
 */
#ifndef APUS_CLOCK_H
#define APUS_CLOCK_H

#include <stdalign.h>
#include <stdatomic.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "apus_base.h"

typedef enum APUS_CLOSED_ENUM APUS_NAME(ClockSource) apus_clock_source {
    APUS_CLOCK_SYSTEM APUS_NAME(system) = 0,   /* clock_gettime */
    APUS_CLOCK_COUNTER APUS_NAME(counter) = 1, /* the processor's counter, fitted */
} apus_clock_source;

/* What a refit did. */
typedef struct APUS_NAME(ClockFit) apus_clock_fit_report {
    int64_t error_ns;       /* CLOCK_MONOTONIC less our clock, just before the fit */
    int64_t uncertainty_ns; /* half the time that the comparison took: the error is known to this */
    int64_t rate_ppb;       /* new slope against the previous fit's, in parts per 10^9 */
    bool changed;           /* false: too early after the last fit, or there is no counter in use */
} apus_clock_fit_report;

/* The fit in use and the one being written. */
#define APUS_CLOCK_FITS 2

/* now = base_ns + (ticks - base_ticks) * slope, slopes in ns per tick, 32 fraction bits. The slope
 * before the base is the previous fit's: bases lie a little in the future when they are published,
 * so that everybody changes over at one and the same tick. */
typedef struct apus_clock_fit {
    alignas(APUS_CACHE_LINE) _Atomic uint64_t base_ticks;
    _Atomic int64_t base_ns;
    _Atomic uint64_t slope_before;
    _Atomic uint64_t slope;
} apus_clock_fit;

typedef struct apus_clock {
    alignas(APUS_CACHE_LINE) _Atomic uint64_t version; /* fits published; 0 means "use the system's" */
    apus_clock_fit fits[APUS_CLOCK_FITS];              /* fit v is in slot v % APUS_CLOCK_FITS */
} apus_clock;

extern apus_clock apus_clock_shared;

#if defined(__clang__)
#define APUS_CLOCK_NO_LOCKS __attribute__((swift_attr("@_noLocks")))
#else
#define APUS_CLOCK_NO_LOCKS
#endif

/* clock_gettime(CLOCK_MONOTONIC). */
int64_t apus_clock_system_ns(void) APUS_CLOCK_NO_LOCKS;

/* The processor's counter as it is; 0 where none is known. Not ordered against the loads before it: a
 * processor may read the counter while such a load still waits for its cache line, some 100 ns. */
APUS_HOT uint64_t apus_clock_ticks(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

APUS_HOT int64_t apus_clock_line_ns(uint64_t ticks, uint64_t base_ticks, int64_t base_ns, uint64_t slope_before,
                                    uint64_t slope)
{
    const int64_t distance = (int64_t)(ticks - base_ticks);
    const uint64_t rate = distance < 0 ? slope_before : slope;
    return base_ns + (int64_t)(((__int128)distance * (int64_t)rate) >> 32);
}

/* Nanoseconds on the scale of CLOCK_MONOTONIC; never less than an earlier reading of this thread. */
APUS_HOT int64_t apus_clock_now_ns(void)
{
    for (;;) {
        /* Acquire, pairs with the store of version in apus_clock_refit: the fit is complete. */
        const uint64_t version = atomic_load_explicit(&apus_clock_shared.version, memory_order_acquire);
        if (APUS_UNLIKELY(version == 0)) {
            return apus_clock_system_ns();
        }
        const apus_clock_fit *fit = &apus_clock_shared.fits[version % APUS_CLOCK_FITS];
        /* Relaxed: the acquire above covers the fit, and the check below throws away one that has
         * been replaced meanwhile. */
        const uint64_t base_ticks = atomic_load_explicit(&fit->base_ticks, memory_order_relaxed);
        const int64_t base_ns = atomic_load_explicit(&fit->base_ns, memory_order_relaxed);
        const uint64_t slope_before = atomic_load_explicit(&fit->slope_before, memory_order_relaxed);
        const uint64_t slope = atomic_load_explicit(&fit->slope, memory_order_relaxed);
        const uint64_t ticks = apus_clock_ticks();
        /* Pairs with the release fence in apus_clock_refit: having read any word of a later fit in
         * this slot, we see that the version has moved on. It also keeps a thread that was off its
         * core from using the old line past the changeover. At most one retry per refit, and none
         * ever waits for the writer. */
        atomic_thread_fence(memory_order_acquire);
        if (APUS_LIKELY(atomic_load_explicit(&apus_clock_shared.version, memory_order_relaxed) == version)) {
            return apus_clock_line_ns(ticks, base_ticks, base_ns, slope_before, slope);
        }
    }
}

/* As apus_clock_now_ns, but never before the loads that precede it in the program: for a reading that is
 * to be compared with one that another thread handed over. Costs a few ns more. */
APUS_HOT int64_t apus_clock_now_ordered_ns(void)
{
#if defined(__x86_64__)
    __builtin_ia32_lfence();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
    return apus_clock_now_ns();
}

/* Looks for a usable counter and calibrates it, 20 ms; later calls only report. Cold. */
apus_clock_source apus_clock_start(void);

/* The source in use now. */
apus_clock_source apus_clock_source_now(void);

/* Compares with CLOCK_MONOTONIC and publishes a better fit. From a helper thread, about once a
 * second (at most every 10 ms; less often is safe, but the error grows). Cold. */
apus_clock_fit_report apus_clock_refit(void);

/* CLOCK_REALTIME less CLOCK_MONOTONIC, in ns: add it to a reading to get Unix time. It changes when
 * the wall clock is set or slewed; the reading is good to about 100 ns. Cold. */
int64_t apus_clock_wall_offset_ns(void);

#endif
