#include "apus_spsc.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_CAPACITY (1u << 24)

size_t apus_spsc_bytes(uint32_t capacity)
{
    if (capacity == 0 || capacity > MAX_CAPACITY || (capacity & (capacity - 1)) != 0) {
        return 0;
    }
    const size_t bytes = sizeof(apus_spsc) + (size_t)capacity * sizeof(apus_spsc_slot);
    /* Whole pairs of lines, as aligned_alloc asks. */
    return (bytes + APUS_RING_LINE_PAIR - 1) & ~(size_t)(APUS_RING_LINE_PAIR - 1);
}

int apus_spsc_place(void *memory, size_t bytes, uint32_t capacity, apus_spsc **out)
{
    *out = NULL;
    const size_t needed = apus_spsc_bytes(capacity);
    if (needed == 0 || bytes < needed || (uintptr_t)memory % APUS_RING_LINE_PAIR != 0) {
        return -EINVAL;
    }
    /* Every page is written here, so that the first lap does not fault. */
    memset(memory, 0, needed);
    apus_spsc *ring = memory;
    apus_spsc_slot *slots = (apus_spsc_slot *)(ring + 1);
    ring->producer_slots = ring->consumer_slots = slots;
    ring->producer_mask = ring->consumer_mask = capacity - 1;
    ring->look_limit = capacity >= 8 ? capacity / 8 : 1;
    *out = ring;
    return 0;
}

int apus_spsc_create(uint32_t capacity, apus_spsc **out)
{
    *out = NULL;
    const size_t bytes = apus_spsc_bytes(capacity);
    if (bytes == 0) {
        return -EINVAL;
    }
    void *memory = aligned_alloc(APUS_RING_LINE_PAIR, bytes);
    if (memory == NULL) {
        return -ENOMEM;
    }
    return apus_spsc_place(memory, bytes, capacity, out);
}

void apus_spsc_destroy(apus_spsc *ring)
{
    free(ring);
}

bool apus_spsc_look(apus_spsc *ring, uint64_t tail)
{
    const uint64_t capacity = ring->producer_mask + 1;
    /* Acquire, pairs with apus_spsc_release: the consumer's last read of a slot happens before we
     * overwrite it. */
    ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
    const uint64_t depth = tail - ring->head_seen;
    if (depth >= capacity) {
        /* Relaxed, here and below: statistics, written by this thread only. */
        const uint64_t refused = atomic_load_explicit(&ring->refused, memory_order_relaxed);
        atomic_store_explicit(&ring->refused, refused + 1, memory_order_relaxed);
        atomic_store_explicit(&ring->high_water, capacity, memory_order_relaxed);
        return false;
    }
    if (depth + 1 > atomic_load_explicit(&ring->high_water, memory_order_relaxed)) {
        atomic_store_explicit(&ring->high_water, depth + 1, memory_order_relaxed);
    }
    if (depth >= ring->look_limit) {
        ring->look_limit = depth + 1; /* at most capacity: the next look is due when the mark may rise */
    }
    return true;
}
