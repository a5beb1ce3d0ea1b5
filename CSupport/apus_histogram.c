#include "apus_histogram.h"

/* Relaxed throughout: words stand for themselves, see the header. */
static uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void put(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

uint64_t apus_histogram_percentile(const apus_histogram *histogram, uint32_t per_million)
{
    uint64_t count = 0;
    uint32_t last = 0;
    for (uint32_t i = 0; i < APUS_HISTOGRAM_BUCKETS; i++) {
        const uint64_t here = get(&histogram->buckets[i]);
        count += here;
        last = here != 0 ? i : last;
    }
    if (count == 0) {
        return 0;
    }
    const uint64_t part = per_million > 1000000 ? 1000000 : per_million;
    /* ceil(count * part / 10^6) without overflow. */
    uint64_t rank = count / 1000000 * part + (count % 1000000 * part + 999999) / 1000000;
    rank = rank == 0 ? 1 : rank;
    uint64_t seen = 0;
    uint32_t index = last; /* a writer may move counts on between the two passes */
    for (uint32_t i = 0; i <= last; i++) {
        seen += get(&histogram->buckets[i]);
        if (seen >= rank) {
            index = i;
            break;
        }
    }
    const uint64_t bound = apus_histogram_bucket_high(index);
    const uint64_t max = get(&histogram->max);
    /* The maximum may lag behind its bucket while the writer is between the two stores. */
    return max >= apus_histogram_bucket_low(index) && max < bound ? max : bound;
}

uint64_t apus_histogram_count_up_to(const apus_histogram *histogram, uint64_t value)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < APUS_HISTOGRAM_BUCKETS && apus_histogram_bucket_high(i) <= value; i++) {
        count += get(&histogram->buckets[i]);
    }
    return count;
}

void apus_histogram_copy(apus_histogram *into, const apus_histogram *from)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < APUS_HISTOGRAM_BUCKETS; i++) {
        const uint64_t here = get(&from->buckets[i]);
        put(&into->buckets[i], here);
        count += here;
    }
    put(&into->count, count);
    put(&into->sum, get(&from->sum));
    put(&into->max, get(&from->max));
}

void apus_histogram_merge(apus_histogram *into, const apus_histogram *from)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < APUS_HISTOGRAM_BUCKETS; i++) {
        const uint64_t here = get(&from->buckets[i]);
        if (here != 0) {
            put(&into->buckets[i], get(&into->buckets[i]) + here);
            count += here;
        }
    }
    const uint64_t max = get(&from->max);
    put(&into->count, get(&into->count) + count);
    put(&into->sum, get(&into->sum) + get(&from->sum));
    put(&into->max, max > get(&into->max) ? max : get(&into->max));
}

void apus_histogram_subtract(apus_histogram *later, const apus_histogram *earlier)
{
    uint64_t count = 0, highest = 0;
    bool was_reset = false;
    for (uint32_t i = 0; i < APUS_HISTOGRAM_BUCKETS; i++) {
        was_reset |= get(&earlier->buckets[i]) > get(&later->buckets[i]);
    }
    for (uint32_t i = 0; i < APUS_HISTOGRAM_BUCKETS; i++) {
        const uint64_t left = get(&later->buckets[i]) - (was_reset ? 0 : get(&earlier->buckets[i]));
        put(&later->buckets[i], left);
        count += left;
        highest = left != 0 ? apus_histogram_bucket_high(i) : highest;
    }
    put(&later->count, count);
    put(&later->sum, get(&later->sum) - (was_reset ? 0 : get(&earlier->sum)));
    if (count == 0 || highest < get(&later->max)) {
        put(&later->max, highest);
    }
}

void apus_histogram_reset(apus_histogram *histogram)
{
    for (uint32_t i = 0; i < APUS_HISTOGRAM_BUCKETS; i++) {
        put(&histogram->buckets[i], 0);
    }
    put(&histogram->count, 0);
    put(&histogram->sum, 0);
    put(&histogram->max, 0);
}
