/* apus_bucket.h: token buckets in integer nanoseconds (the generic cell rate algorithm).
 *
 * The state is one word, the time at which the bucket is full again. Taking n tokens moves it n
 * emission intervals later and is allowed while it stays within `capacity` intervals of now: no
 * division, no floating point, no refill step.
 *
 * Rates:   a rate is "tokens per period", as venues state it. The interval is period / tokens rounded
 *          up to a whole nanosecond, so the bucket never exceeds the rate; what it falls short by is
 *          less than tokens / period_ns of it (1,000 per second: under a millionth).
 * Promise: in any window of T ns at most capacity + floor(T / interval) tokens are taken.
 * Time:    any clock in ns within 0 ... 2^61, passed in. If it steps back the bucket waits, it never
 *          grants more.
 * Two forms: apus_bucket has one writer; apus_shared_bucket may be used by any number of threads,
 *          also of several processes if it lies in memory that they share.
 */
#ifndef APUS_BUCKET_H
#define APUS_BUCKET_H

#include <stdalign.h>
#include <stdatomic.h>

#include "apus_base.h"

#define APUS_BUCKET_NEVER INT64_MAX
#define APUS_BUCKET_MAX_CAPACITY ((1u << 24) - 1)
#define APUS_BUCKET_MAX_INTERVAL_NS ((INT64_C(1) << 40) - 1) /* 18 minutes a token */
#define APUS_BUCKET_MAX_BURST_NS (INT64_C(1) << 61)

typedef enum APUS_CLOSED_ENUM APUS_NAME(TakeResult) apus_take {
    APUS_TAKE_TAKEN APUS_NAME(taken) = 0,
    APUS_TAKE_NOT_YET APUS_NAME(notYet) = 1, /* nothing was taken; ask again at ready_ns */
    APUS_TAKE_NEVER APUS_NAME(never) = 2,    /* more than the bucket can ever hold: an error of the asker (R63) */
} apus_take;

/* A rate in the form that the buckets compute with. */
typedef struct APUS_NAME(BucketRate) apus_bucket_rate {
    int64_t interval_ns; /* 1 ... APUS_BUCKET_MAX_INTERVAL_NS */
    uint32_t capacity;   /* 1 ... APUS_BUCKET_MAX_CAPACITY */
    uint32_t reserved;
} apus_bucket_rate;

/* Fills `out` for `capacity` tokens at most and `tokens` per `period_ns`. 0, or -EINVAL if one of
 * them is 0 or negative, or -ERANGE if the capacity or the interval is beyond the limits above. Cold. */
int apus_bucket_rate_make(uint32_t capacity, uint32_t tokens, int64_t period_ns, apus_bucket_rate *APUS_NONNULL out);

/* ---- the arithmetic, shared by both forms ---- */

APUS_HOT int64_t apus_bucket_burst_ns(apus_bucket_rate rate)
{
    return rate.interval_ns * (int64_t)rate.capacity;
}

/* Tokens there at `now_ns`. Divides: not for the hot path. */
APUS_HOT uint32_t apus_bucket_available_at(int64_t full_at_ns, apus_bucket_rate rate, int64_t now_ns)
{
    if (full_at_ns <= now_ns) {
        return rate.capacity;
    }
    const int64_t owed_ns = full_at_ns - now_ns;
    if (owed_ns >= apus_bucket_burst_ns(rate)) {
        return 0;
    }
    /* A token that is on its way is not there: round what is owed up. */
    return rate.capacity - (uint32_t)((owed_ns + rate.interval_ns - 1) / rate.interval_ns);
}

/* The first time, not before `now_ns`, at which `n` tokens are there and `kept` would remain. */
APUS_HOT int64_t apus_bucket_ready_at(int64_t full_at_ns, apus_bucket_rate rate, uint32_t n, uint32_t kept,
                                      int64_t now_ns)
{
    const uint64_t wanted = (uint64_t)n + kept;
    if (wanted > rate.capacity) {
        return APUS_BUCKET_NEVER;
    }
    const int64_t ready_ns = full_at_ns - (int64_t)(rate.capacity - wanted) * rate.interval_ns;
    return ready_ns > now_ns ? ready_ns : now_ns;
}

/* The state after it has been made sure that no more than `tokens` are there at `at_ns`. */
APUS_HOT int64_t apus_bucket_lowered(int64_t full_at_ns, apus_bucket_rate rate, uint32_t tokens, int64_t at_ns)
{
    if (tokens >= rate.capacity) {
        return full_at_ns;
    }
    const int64_t bound_ns = at_ns + (int64_t)(rate.capacity - tokens) * rate.interval_ns;
    return bound_ns > full_at_ns ? bound_ns : full_at_ns;
}

/* The state under `next` that owes as many tokens at `now_ns` as `full_at_ns` owes under `rate`. */
APUS_HOT int64_t apus_bucket_carried(int64_t full_at_ns, apus_bucket_rate rate, apus_bucket_rate next, int64_t now_ns)
{
    const uint32_t owed = rate.capacity - apus_bucket_available_at(full_at_ns, rate, now_ns);
    return now_ns + (int64_t)(owed < next.capacity ? owed : next.capacity) * next.interval_ns;
}

/* ---- one writer ---- */

typedef struct apus_bucket {
    int64_t full_at_ns;
    apus_bucket_rate rate;
} apus_bucket;

/* A full bucket. */
APUS_HOT apus_bucket apus_bucket_make(apus_bucket_rate rate)
{
    return (apus_bucket){.full_at_ns = 0, .rate = rate};
}

/* Takes `n` tokens (at least 1) if `kept` would remain: the reserve that others, such as cancels,
 * may still take from. */
APUS_HOT apus_take apus_bucket_try_take_keeping(apus_bucket *APUS_NONNULL bucket, uint32_t n, uint32_t kept,
                                                int64_t now_ns)
{
    const apus_bucket_rate rate = bucket->rate;
    const uint64_t wanted = (uint64_t)n + kept;
    if (APUS_UNLIKELY(wanted > rate.capacity)) {
        return APUS_TAKE_NEVER;
    }
    const int64_t base_ns = bucket->full_at_ns > now_ns ? bucket->full_at_ns : now_ns;
    if (base_ns - now_ns > (int64_t)(rate.capacity - wanted) * rate.interval_ns) {
        return APUS_TAKE_NOT_YET;
    }
    bucket->full_at_ns = base_ns + (int64_t)n * rate.interval_ns;
    return APUS_TAKE_TAKEN;
}

APUS_HOT apus_take apus_bucket_try_take(apus_bucket *APUS_NONNULL bucket, uint32_t n, int64_t now_ns)
{
    return apus_bucket_try_take_keeping(bucket, n, 0, now_ns);
}

APUS_HOT uint32_t apus_bucket_available(const apus_bucket *APUS_NONNULL bucket, int64_t now_ns)
{
    return apus_bucket_available_at(bucket->full_at_ns, bucket->rate, now_ns);
}

/* The first time from `now_ns` on at which `n` tokens are there, or APUS_BUCKET_NEVER. */
APUS_HOT int64_t apus_bucket_ready_ns(const apus_bucket *APUS_NONNULL bucket, uint32_t n, int64_t now_ns)
{
    return apus_bucket_ready_at(bucket->full_at_ns, bucket->rate, n, 0, now_ns);
}

/* Makes sure that no more than `tokens` are there at `at_ns`: what the venue says remains (at_ns =
 * now), or a ban until at_ns (tokens = 0). Never adds tokens. */
APUS_HOT void apus_bucket_lower(apus_bucket *APUS_NONNULL bucket, uint32_t tokens, int64_t at_ns)
{
    bucket->full_at_ns = apus_bucket_lowered(bucket->full_at_ns, bucket->rate, tokens, at_ns);
}

/* Changes the rate; tokens that have been taken and not yet refilled stay taken, at most the new
 * capacity of them. */
APUS_HOT void apus_bucket_reconfigure(apus_bucket *APUS_NONNULL bucket, apus_bucket_rate rate, int64_t now_ns)
{
    bucket->full_at_ns = apus_bucket_carried(bucket->full_at_ns, bucket->rate, rate, now_ns);
    bucket->rate = rate;
}

/* ---- any number of threads ---- */

/* The rate is one word too, so that a take reads it whole: interval in the upper 40 bits.
 *
 * Tests/Models/bucket.pml is a model of this bucket that Spin verifies (tools/models): keep the two alike.
 *
 * full_at_ns is stored ahead_ns late. A change of rate may bring the true time back to one that it had before; the
 * stored one only ever rises. Otherwise a take that was judged under an older rate could find its state unchanged
 * and pay that rate's price (the model's mutation STATE_MAY_RETURN: ten tokens for the price of one). */
typedef struct apus_shared_bucket {
    alignas(APUS_CACHE_LINE) _Atomic int64_t full_at_ns;
    _Atomic uint64_t packed_rate;
    _Atomic int64_t ahead_ns; /* 0 ... APUS_BUCKET_MAX_AHEAD_NS; changes with the rate only */
} apus_shared_bucket;
static_assert(sizeof(apus_shared_bucket) == APUS_CACHE_LINE, "a line of its own");

/* full_at_ns while the rate is being changed: nothing is granted. */
#define APUS_BUCKET_CHANGING INT64_MAX
/* With time and burst at their limits a stored time stays below APUS_BUCKET_CHANGING. */
#define APUS_BUCKET_MAX_AHEAD_NS (INT64_C(1) << 61)

APUS_HOT uint64_t apus_bucket_pack(apus_bucket_rate rate)
{
    return (uint64_t)rate.interval_ns << 24 | rate.capacity;
}

APUS_HOT apus_bucket_rate apus_bucket_unpack(uint64_t packed)
{
    return (apus_bucket_rate){.interval_ns = (int64_t)(packed >> 24), .capacity = (uint32_t)(packed & 0xFFFFFF)};
}

/* Makes `bucket` full, before it is shared. */
void apus_shared_bucket_init(apus_shared_bucket *APUS_NONNULL bucket, apus_bucket_rate rate);

/* A bucket on the heap, or -ENOMEM; destroy after everybody has let go. Cold. */
int apus_shared_bucket_create(apus_bucket_rate rate, apus_shared_bucket *APUS_NULLABLE *APUS_NONNULL out);
void apus_shared_bucket_destroy(apus_shared_bucket *APUS_NULLABLE bucket);

/* After a lost race: another thread is at it, and gets on faster if the line is left to it for a moment. Two threads that
 * do nothing but take need 18 ns each with this, 44 without. */
APUS_HOT void apus_bucket_step_back(void)
{
    for (int i = 0; i < 4; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }
}

/* As apus_bucket_try_take_keeping. Lock-free: an attempt is repeated only because another one
 * succeeded. */
APUS_HOT apus_take apus_shared_bucket_try_take_keeping(apus_shared_bucket *APUS_NONNULL bucket, uint32_t n,
                                                       uint32_t kept, int64_t now_ns)
{
    const uint64_t wanted = (uint64_t)n + kept;
    for (;;) {
        /* Acquire, pairs with the last store of apus_shared_bucket_reconfigure: a state is never
         * judged by an older rate than the one it was computed for. */
        int64_t full_at_ns = atomic_load_explicit(&bucket->full_at_ns, memory_order_acquire);
        /* Acquire, pairs with the rate's store there: whoever sees the new rate beside the old state
         * fails to exchange the state below, since APUS_BUCKET_CHANGING was stored before it. */
        const apus_bucket_rate rate =
            apus_bucket_unpack(atomic_load_explicit(&bucket->packed_rate, memory_order_acquire));
        if (APUS_UNLIKELY(wanted > rate.capacity)) {
            return APUS_TAKE_NEVER;
        }
        /* Acquire: as the rate. */
        const int64_t stored_now_ns = now_ns + atomic_load_explicit(&bucket->ahead_ns, memory_order_acquire);
        const int64_t base_ns = full_at_ns > stored_now_ns ? full_at_ns : stored_now_ns;
        if (base_ns - stored_now_ns > (int64_t)(rate.capacity - wanted) * rate.interval_ns) {
            return APUS_TAKE_NOT_YET;
        }
        /* Relaxed: the word publishes nothing but itself. Unchanged means that no take and no change of rate
         * came in between: the stored time never returns to a value that it has had. */
        if (APUS_LIKELY(atomic_compare_exchange_weak_explicit(&bucket->full_at_ns, &full_at_ns,
                                                              base_ns + (int64_t)n * rate.interval_ns,
                                                              memory_order_relaxed, memory_order_relaxed))) {
            return APUS_TAKE_TAKEN;
        }
        apus_bucket_step_back();
    }
}

APUS_HOT apus_take apus_shared_bucket_try_take(apus_shared_bucket *APUS_NONNULL bucket, uint32_t n, int64_t now_ns)
{
    return apus_shared_bucket_try_take_keeping(bucket, n, 0, now_ns);
}

/* As their single-writer namesakes; any thread; beside others' takes they are already old. During a
 * change of rate they say 0 tokens, and one interval from now. */
uint32_t apus_shared_bucket_available(const apus_shared_bucket *APUS_NONNULL bucket, int64_t now_ns);
int64_t apus_shared_bucket_ready_ns(const apus_shared_bucket *APUS_NONNULL bucket, uint32_t n, int64_t now_ns);

/* As apus_bucket_lower. Any thread. Waits out a change of rate. Cold. */
void apus_shared_bucket_lower(apus_shared_bucket *APUS_NONNULL bucket, uint32_t tokens, int64_t at_ns);

/* As apus_bucket_reconfigure. One thread at a time; takers meanwhile hear "not yet", for as long as
 * this thread needs for four stores. Cold. */
void apus_shared_bucket_reconfigure(apus_shared_bucket *APUS_NONNULL bucket, apus_bucket_rate rate, int64_t now_ns);

#endif
