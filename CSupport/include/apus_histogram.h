/* apus_histogram.h: latencies counted in log-linear buckets, fixed memory, one writer, any readers.
 *
 * Each power of two is cut into 32 buckets, so a bucket is at most 1/32 (3.2 %) as wide as the values
 * in it; below 64 every value has its own. All of 0 ... 2^63 - 1 fits: nothing is clipped.
 *
 * Layout:  plain words without pointers, aligned to 8 bytes; zeroed memory is an empty histogram.
 *          It may lie in a mapped file and be read by another process.
 * Threads: one writer (record, merge into, reset). Anyone may read at any time; a reader may see a
 *          bucket before the sums that belong to it, so readers count the buckets themselves.
 */
#ifndef APUS_HISTOGRAM_H
#define APUS_HISTOGRAM_H

#include <stdatomic.h>

#include "apus_base.h"

#define APUS_HISTOGRAM_SUB_BITS 5
#define APUS_HISTOGRAM_SUB (1 << APUS_HISTOGRAM_SUB_BITS)
/* Values below 64 take the first 64 buckets; each of the 57 powers of two above takes 32. */
#define APUS_HISTOGRAM_BUCKETS ((63 - APUS_HISTOGRAM_SUB_BITS + 1) * APUS_HISTOGRAM_SUB)

#if defined(__clang__)
#define APUS_HISTOGRAM_IN_SWIFT __attribute__((swift_attr("~Copyable"))) /* used through pointers only */
#else
#define APUS_HISTOGRAM_IN_SWIFT
#endif

typedef struct APUS_HISTOGRAM_IN_SWIFT apus_histogram {
    _Atomic uint64_t count;
    _Atomic uint64_t sum;
    _Atomic uint64_t max;
    _Atomic uint64_t buckets[APUS_HISTOGRAM_BUCKETS];
} apus_histogram;
static_assert(sizeof(apus_histogram) == (3 + 1888) * 8, "the layout that the telemetry file maps");
static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "lock-free words");

/* The bucket of a value; monotone in the value. */
APUS_HOT uint32_t apus_histogram_index(uint64_t value)
{
    /* |32: values below 64 get shift 0 and so a bucket each. */
    const uint32_t shift = (uint32_t)(63 - APUS_HISTOGRAM_SUB_BITS - __builtin_clzll(value | APUS_HISTOGRAM_SUB));
    return (shift << APUS_HISTOGRAM_SUB_BITS) + (uint32_t)(value >> shift);
}

/* The greatest value that falls into bucket `index`, and the least. */
APUS_HOT uint64_t apus_histogram_bucket_high(uint32_t index)
{
    if (index < 2 * APUS_HISTOGRAM_SUB) {
        return index;
    }
    const uint32_t shift = (index >> APUS_HISTOGRAM_SUB_BITS) - 1;
    const uint64_t top = (index & (APUS_HISTOGRAM_SUB - 1)) + APUS_HISTOGRAM_SUB;
    return ((top + 1) << shift) - 1;
}

APUS_HOT uint64_t apus_histogram_bucket_low(uint32_t index)
{
    return index == 0 ? 0 : apus_histogram_bucket_high(index - 1) + 1;
}

/* Writer: counts one value; a negative one (two clocks that disagree) counts as 0. */
APUS_HOT void apus_histogram_record(apus_histogram *APUS_NONNULL histogram, int64_t value_ns)
{
    const uint64_t value = value_ns < 0 ? 0 : (uint64_t)value_ns;
    _Atomic uint64_t *bucket = &histogram->buckets[apus_histogram_index(value)];
    /* Relaxed loads and stores, no read-modify-write: there is one writer, and each word stands for
     * itself. */
    atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_store_explicit(&histogram->count,
                          atomic_load_explicit(&histogram->count, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_store_explicit(&histogram->sum,
                          atomic_load_explicit(&histogram->sum, memory_order_relaxed) + value, memory_order_relaxed);
    if (APUS_UNLIKELY(value > atomic_load_explicit(&histogram->max, memory_order_relaxed))) {
        atomic_store_explicit(&histogram->max, value, memory_order_relaxed);
    }
}

APUS_HOT uint64_t apus_histogram_count(const apus_histogram *APUS_NONNULL histogram)
{
    return atomic_load_explicit(&histogram->count, memory_order_relaxed);
}

/* Sum of the values; wraps after 2^64 ns, 584 years of latency. */
APUS_HOT uint64_t apus_histogram_sum(const apus_histogram *APUS_NONNULL histogram)
{
    return atomic_load_explicit(&histogram->sum, memory_order_relaxed);
}

/* The greatest value, exact; 0 if there is none. */
APUS_HOT uint64_t apus_histogram_max(const apus_histogram *APUS_NONNULL histogram)
{
    return atomic_load_explicit(&histogram->max, memory_order_relaxed);
}

APUS_HOT uint64_t apus_histogram_bucket_count(const apus_histogram *APUS_NONNULL histogram, uint32_t index)
{
    return atomic_load_explicit(&histogram->buckets[index], memory_order_relaxed);
}

/* The least bucket bound that at least `per_million` millionths of the values do not exceed (999000
 * is the 99.9th percentile), never above the exact maximum: at most 3.2 % too high, never too low.
 * 0 if there are no values; above 1000000 counts as 1000000. Any thread. Cold: reads all buckets. */
uint64_t apus_histogram_percentile(const apus_histogram *APUS_NONNULL histogram, uint32_t per_million);

/* How many values lie in buckets wholly at or below `value`: what a cumulative ("le") bucket of a
 * Prometheus histogram wants. Any thread. Cold. */
uint64_t apus_histogram_count_up_to(const apus_histogram *APUS_NONNULL histogram, uint64_t value);

/* `into` = what `from` holds now, its count being the sum of the copied buckets. Writer of `into`. */
void apus_histogram_copy(apus_histogram *APUS_NONNULL into, const apus_histogram *APUS_NONNULL from);

/* Adds what `from` holds to `into`. Writer of `into`. */
void apus_histogram_merge(apus_histogram *APUS_NONNULL into, const apus_histogram *APUS_NONNULL from);

/* Takes `earlier`, an older copy of the same histogram, out of `later`, which leaves the values in
 * between; the maximum becomes the bound of the highest bucket left, or the exact one if that is less.
 * If any bucket shrank, the writer has reset in between, and `later` is left whole. Writer of
 * `later`. */
void apus_histogram_subtract(apus_histogram *APUS_NONNULL later, const apus_histogram *APUS_NONNULL earlier);

/* Empties it. Writer only: a reset beside a record would lose one of the two. */
void apus_histogram_reset(apus_histogram *APUS_NONNULL histogram);

#endif
