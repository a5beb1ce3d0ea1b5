#define _GNU_SOURCE
#include "apus_clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

apus_clock apus_clock_shared;

/* The changeover to a new fit lies this far ahead of its publication, so that a writer that loses
 * its core in between still publishes in time. */
#define CHANGEOVER_NS 5000000
#define CALIBRATION_NS 20000000
#define FULL_SLEW_NS 1000000000 /* an error is worked off over this time, or the last interval if longer */
#define MAX_SLEW_PPM 500
#define MAX_RATE_STEP_PPM 500
#define MAX_LAG_NS 10000000

/* A pair of readings of the two clocks at (nearly) one moment. */
typedef struct sample {
    uint64_t ticks;
    int64_t ns;
    uint64_t width_ticks;
} sample;

static pthread_mutex_t fit_lock = PTHREAD_MUTEX_INITIALIZER;
/* Guarded by fit_lock. */
static bool started;
static sample last;   /* that the latest fit was made from */
static uint64_t rate; /* of the counter against CLOCK_MONOTONIC: ns per tick, 32 fraction bits */

static int64_t read_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t apus_clock_system_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

static uint64_t ordered_ticks(void)
{
#if defined(__x86_64__)
    _mm_lfence();
    const uint64_t ticks = __rdtsc();
    _mm_lfence();
    return ticks;
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
    return apus_clock_ticks();
#else
    return 0;
#endif
}

/* The narrowest of several brackets: interrupts widen a bracket, nothing narrows it. */
static sample take_sample(void)
{
    sample best = {.width_ticks = UINT64_MAX};
    for (int i = 0; i < 16; i++) {
        const uint64_t before = ordered_ticks();
        const int64_t ns = read_ns(CLOCK_MONOTONIC);
        const uint64_t width = ordered_ticks() - before;
        if (width < best.width_ticks) {
            best = (sample){.ticks = before + width / 2, .ns = ns, .width_ticks = width};
        }
    }
    return best;
}

/* The kernel gives a TSC up that differs between cores or stops; believe it. */
static bool kernel_trusts_counter(void)
{
#if defined(__x86_64__)
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/available_clocksource", "re");
    if (file == NULL) {
        return true; /* not mounted, as in some containers: CPUID has to do */
    }
    char line[256] = {0};
    const bool got = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    return !got || strstr(line, "tsc") != NULL;
#else
    return true;
#endif
}

static bool counter_is_usable(void)
{
#if defined(__x86_64__)
    unsigned eax, ebx, ecx, edx;
    /* Leaf 8000_0007h, EDX bit 8: invariant TSC (Intel SDM vol. 3B, 18.17.1; AMD APM vol. 3, E.4.6). */
    return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) != 0 && (edx & (1u << 8)) != 0 && kernel_trusts_counter();
#elif defined(__aarch64__)
    return kernel_trusts_counter(); /* the architecture asks for a constant rate */
#else
    return false;
#endif
}

/* ns per tick between two samples, 32 fraction bits. */
static uint64_t slope_between(sample from, sample to)
{
    const uint64_t ticks = to.ticks - from.ticks;
    return (uint64_t)(((unsigned __int128)(uint64_t)(to.ns - from.ns) << 32) / ticks);
}

/* A fit to be published: the line from base on, and the slope that led there. */
typedef struct line {
    uint64_t base_ticks;
    int64_t base_ns;
    uint64_t slope_before, slope;
} line;

static line line_in_use(uint64_t version)
{
    /* Relaxed: only the holder of fit_lock writes fits. */
    const apus_clock_fit *fit = &apus_clock_shared.fits[version % APUS_CLOCK_FITS];
    return (line){
        .base_ticks = atomic_load_explicit(&fit->base_ticks, memory_order_relaxed),
        .base_ns = atomic_load_explicit(&fit->base_ns, memory_order_relaxed),
        .slope_before = atomic_load_explicit(&fit->slope_before, memory_order_relaxed),
        .slope = atomic_load_explicit(&fit->slope, memory_order_relaxed),
    };
}

static int64_t line_ns(line line, uint64_t ticks)
{
    return apus_clock_line_ns(ticks, line.base_ticks, line.base_ns, line.slope_before, line.slope);
}

/* Fills the slot that no current reader looks at. */
static void prepare(line line)
{
    const uint64_t version = atomic_load_explicit(&apus_clock_shared.version, memory_order_relaxed);
    apus_clock_fit *fit = &apus_clock_shared.fits[(version + 1) % APUS_CLOCK_FITS];
    /* Release fence, pairs with the acquire fence in apus_clock_now_ns: a reader that catches any of
     * these stores, in a slot that it took for an older fit, also sees that the version has moved. */
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&fit->base_ticks, line.base_ticks, memory_order_relaxed);
    atomic_store_explicit(&fit->base_ns, line.base_ns, memory_order_relaxed);
    atomic_store_explicit(&fit->slope_before, line.slope_before, memory_order_relaxed);
    atomic_store_explicit(&fit->slope, line.slope, memory_order_relaxed);
}

static void publish(void)
{
    const uint64_t version = atomic_load_explicit(&apus_clock_shared.version, memory_order_relaxed);
    /* Release, pairs with the first load in apus_clock_now_ns. */
    atomic_store_explicit(&apus_clock_shared.version, version + 1, memory_order_release);
}

apus_clock_source apus_clock_source_now(void)
{
    return atomic_load_explicit(&apus_clock_shared.version, memory_order_relaxed) == 0 ? APUS_CLOCK_SYSTEM
                                                                                        : APUS_CLOCK_COUNTER;
}

apus_clock_source apus_clock_start(void)
{
    pthread_mutex_lock(&fit_lock);
    if (!started && counter_is_usable()) {
        const sample first = take_sample();
        struct timespec wait = {.tv_nsec = CALIBRATION_NS};
        while (nanosleep(&wait, &wait) == -1 && errno == EINTR) {
        }
        last = take_sample();
        if (last.ticks > first.ticks && last.ns > first.ns) {
            rate = slope_between(first, last);
            prepare((line){.base_ticks = last.ticks, .base_ns = last.ns, .slope_before = rate, .slope = rate});
            publish();
        }
    }
    started = true;
    pthread_mutex_unlock(&fit_lock);
    return apus_clock_source_now();
}

static apus_clock_fit_report refit_locked(void)
{
    apus_clock_fit_report report = {0};
    const uint64_t version = atomic_load_explicit(&apus_clock_shared.version, memory_order_relaxed);
    if (version == 0) {
        return report;
    }
    const line old = line_in_use(version);
    const sample now = take_sample();
    report.error_ns = now.ns - line_ns(old, now.ticks);
    report.uncertainty_ns = (int64_t)(((unsigned __int128)now.width_ticks * old.slope) >> 33);
    const int64_t interval_ns = now.ns - last.ns;
    /* The previous changeover must lie behind every reader. */
    if (interval_ns < 2 * CHANGEOVER_NS || (int64_t)(now.ticks - old.base_ticks) <= 0) {
        return report;
    }

    /* An interval in which only one of the clocks ran tells nothing about the rate. */
    const uint64_t seen = slope_between(last, now);
    const uint64_t off = seen > rate ? seen - rate : rate - seen;
    rate = off <= rate / 1000000 * MAX_RATE_STEP_PPM ? seen : rate;

    /* On top of the rate, what brings us back to the kernel's clock in time. */
    const int64_t step_ns = report.error_ns > MAX_LAG_NS ? report.error_ns : 0;
    const int64_t slew_time_ns = interval_ns > FULL_SLEW_NS ? interval_ns : FULL_SLEW_NS;
    const int64_t limit = (int64_t)(rate / 1000000 * MAX_SLEW_PPM);
    const __int128 wanted = (__int128)(report.error_ns - step_ns) * (int64_t)rate / slew_time_ns;
    const int64_t bend = wanted > limit ? limit : wanted < -limit ? -limit : (int64_t)wanted;
    const uint64_t next_slope = (uint64_t)((int64_t)rate + bend);
    const uint64_t ahead_ticks = (uint64_t)(((unsigned __int128)CHANGEOVER_NS << 32) / rate);
    uint64_t base_ticks;
    do {
        /* The new line starts on the old one, a little ahead: no jump for anybody. */
        base_ticks = apus_clock_ticks() + ahead_ticks;
        prepare((line){.base_ticks = base_ticks,
                       .base_ns = line_ns(old, base_ticks) + step_ns,
                       .slope_before = old.slope,
                       .slope = next_slope});
        /* Off the core for most of the lead: choose anew. */
    } while ((int64_t)(base_ticks - apus_clock_ticks()) < (int64_t)(ahead_ticks / 2));
    publish();

    last = now;
    report.rate_ppb = (int64_t)((__int128)((int64_t)next_slope - (int64_t)old.slope) * 1000000000 / (int64_t)old.slope);
    report.changed = true;
    return report;
}

apus_clock_fit_report apus_clock_refit(void)
{
    pthread_mutex_lock(&fit_lock);
    const apus_clock_fit_report report = refit_locked();
    pthread_mutex_unlock(&fit_lock);
    return report;
}

int64_t apus_clock_wall_offset_ns(void)
{
    int64_t best_width = INT64_MAX, offset = 0;
    for (int i = 0; i < 8; i++) {
        const int64_t before = read_ns(CLOCK_MONOTONIC);
        const int64_t wall = read_ns(CLOCK_REALTIME);
        const int64_t width = read_ns(CLOCK_MONOTONIC) - before;
        if (width < best_width) {
            best_width = width;
            offset = wall - (before + width / 2);
        }
    }
    return offset;
}
