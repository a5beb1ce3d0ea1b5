#define _GNU_SOURCE
#include "apus_bucket.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

int apus_bucket_rate_make(uint32_t capacity, uint32_t tokens, int64_t period_ns, apus_bucket_rate *out)
{
    *out = (apus_bucket_rate){0};
    if (capacity == 0 || tokens == 0 || period_ns <= 0) {
        return -EINVAL;
    }
    /* Rounded up: a longer interval never exceeds the venue's rate. */
    const int64_t interval_ns = period_ns / tokens + (period_ns % tokens != 0);
    if (capacity > APUS_BUCKET_MAX_CAPACITY || interval_ns > APUS_BUCKET_MAX_INTERVAL_NS ||
        interval_ns > APUS_BUCKET_MAX_BURST_NS / (int64_t)capacity) {
        return -ERANGE;
    }
    out->interval_ns = interval_ns;
    out->capacity = capacity;
    return 0;
}

void apus_shared_bucket_init(apus_shared_bucket *bucket, apus_bucket_rate rate)
{
    atomic_init(&bucket->packed_rate, apus_bucket_pack(rate));
    atomic_init(&bucket->ahead_ns, 0);
    atomic_init(&bucket->full_at_ns, 0);
}

int apus_shared_bucket_create(apus_bucket_rate rate, apus_shared_bucket **out)
{
    *out = aligned_alloc(alignof(apus_shared_bucket), sizeof(apus_shared_bucket));
    if (*out == NULL) {
        return -ENOMEM;
    }
    apus_shared_bucket_init(*out, rate);
    return 0;
}

void apus_shared_bucket_destroy(apus_shared_bucket *bucket)
{
    free(bucket);
}

static apus_bucket_rate rate_of(const apus_shared_bucket *bucket)
{
    return apus_bucket_unpack(atomic_load_explicit(&bucket->packed_rate, memory_order_acquire));
}

static int64_t ahead_of(const apus_shared_bucket *bucket)
{
    return atomic_load_explicit(&bucket->ahead_ns, memory_order_acquire);
}

uint32_t apus_shared_bucket_available(const apus_shared_bucket *bucket, int64_t now_ns)
{
    const int64_t full_at_ns = atomic_load_explicit(&bucket->full_at_ns, memory_order_acquire);
    return apus_bucket_available_at(full_at_ns, rate_of(bucket), now_ns + ahead_of(bucket));
}

int64_t apus_shared_bucket_ready_ns(const apus_shared_bucket *bucket, uint32_t n, int64_t now_ns)
{
    const int64_t full_at_ns = atomic_load_explicit(&bucket->full_at_ns, memory_order_acquire);
    const apus_bucket_rate rate = rate_of(bucket);
    if (full_at_ns == APUS_BUCKET_CHANGING && n <= rate.capacity) {
        return now_ns + rate.interval_ns;
    }
    return apus_bucket_ready_at(full_at_ns - ahead_of(bucket), rate, n, 0, now_ns);
}

void apus_shared_bucket_lower(apus_shared_bucket *bucket, uint32_t tokens, int64_t at_ns)
{
    for (;;) {
        int64_t full_at_ns = atomic_load_explicit(&bucket->full_at_ns, memory_order_acquire);
        if (full_at_ns == APUS_BUCKET_CHANGING) {
            sched_yield();
            continue;
        }
        const int64_t lowered_ns = apus_bucket_lowered(full_at_ns, rate_of(bucket), tokens, at_ns + ahead_of(bucket));
        /* Relaxed, as in apus_shared_bucket_try_take_keeping. */
        if (atomic_compare_exchange_weak_explicit(&bucket->full_at_ns, &full_at_ns, lowered_ns, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return;
        }
    }
}

void apus_shared_bucket_reconfigure(apus_shared_bucket *bucket, apus_bucket_rate rate, int64_t now_ns)
{
    const apus_bucket_rate old = rate_of(bucket);
    const int64_t old_ahead_ns = ahead_of(bucket);
    const int64_t stored_ns = atomic_exchange_explicit(&bucket->full_at_ns, APUS_BUCKET_CHANGING, memory_order_acq_rel);
    const int64_t full_at_ns = apus_bucket_carried(stored_ns - old_ahead_ns, old, rate, now_ns);
    /* Just as much ahead as makes the stored time rise; nothing once time itself has passed it. At the limit, 73
     * years, the bucket waits instead of going further ahead. */
    const int64_t wanted_ns = stored_ns + 1 - full_at_ns;
    const int64_t ahead_ns = wanted_ns < 0 ? 0
                             : wanted_ns > APUS_BUCKET_MAX_AHEAD_NS ? APUS_BUCKET_MAX_AHEAD_NS
                                                                    : wanted_ns;
    const int64_t next_ns = full_at_ns + ahead_ns > stored_ns ? full_at_ns + ahead_ns : stored_ns + 1;
    /* Release, twice: who sees this rate, or how far ahead, also sees that the old state is gone. */
    atomic_store_explicit(&bucket->packed_rate, apus_bucket_pack(rate), memory_order_release);
    atomic_store_explicit(&bucket->ahead_ns, ahead_ns, memory_order_release);
    /* Release: who sees this state sees the rate that it was computed for. */
    atomic_store_explicit(&bucket->full_at_ns, next_ns, memory_order_release);
}
