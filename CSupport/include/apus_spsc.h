/* apus_spsc.h: bounded ring of 64-byte records from one producer thread to one consumer thread.
 *
 * A record is one cache line: 56 bytes of payload and the sequence number that publishes it. The
 * consumer looks only at that line, so a hand-over moves one line between the cores, not a line of
 * data and a line of indexes. The producer looks at the consumer's index only when the free space
 * that it knows of has run out, once in many records.
 *
 * Ownership: apus_spsc_create allocates everything and apus_spsc_destroy frees it, after both
 *            threads have let go. apus_spsc_place uses memory of the caller's instead (local to a
 *            NUMA node, locked) and owns nothing.
 * Bounds:    capacity is a power of two and never changes. A full ring refuses; nothing here
 *            blocks, allocates or calls the kernel.
 * Proof:     Tests/Models/ring.pml is a model of this ring that Spin verifies, the memory orders included
 *            (tools/models): keep the two alike.
 */
#ifndef APUS_SPSC_H
#define APUS_SPSC_H

#include <stdalign.h>
#include <stdatomic.h>

#include "apus_base.h"

#define APUS_RING_PAYLOAD_BYTES 56
/* Two lines apart: the second-level prefetcher of x86 fetches lines in pairs. */
#define APUS_RING_LINE_PAIR 128

/* A payload without a type of its own. */
typedef struct APUS_NAME(RingRecord) apus_ring_record {
    uint64_t words[7];
} apus_ring_record;
static_assert(sizeof(apus_ring_record) == APUS_RING_PAYLOAD_BYTES, "the line less its sequence word");

typedef struct apus_spsc_slot {
    alignas(APUS_CACHE_LINE) unsigned char payload[APUS_RING_PAYLOAD_BYTES];
    _Atomic uint64_t sequence; /* 1 + position of the record that the slot holds; 0 before the first */
} apus_spsc_slot;
static_assert(sizeof(apus_spsc_slot) == APUS_CACHE_LINE, "a record is one line");

typedef struct apus_spsc {
    /* The producer's line. Others may read the atomics for statistics. */
    alignas(APUS_RING_LINE_PAIR) _Atomic uint64_t tail; /* records ever published */
    uint64_t head_seen;                                 /* producer's last look at head */
    uint64_t look_limit;                                /* known depth at which it looks again */
    uint64_t producer_mask;
    apus_spsc_slot *APUS_NONNULL producer_slots;
    _Atomic uint64_t high_water;
    _Atomic uint64_t refused;
    /* The consumer's line. */
    alignas(APUS_RING_LINE_PAIR) _Atomic uint64_t head; /* records ever released */
    uint64_t consumer_mask;
    apus_spsc_slot *APUS_NONNULL consumer_slots;
} apus_spsc;
static_assert(offsetof(apus_spsc, head) == APUS_RING_LINE_PAIR, "a pair of lines per writer");

/* Bytes that a ring of `capacity` records needs in apus_spsc_place; 0 if capacity is not a power of
 * two within 1 ... 2^24. */
size_t apus_spsc_bytes(uint32_t capacity);

/* Builds an empty ring in `memory`, which must be aligned to 128 bytes and outlive the ring.
 * 0, or -EINVAL for a bad capacity, too few bytes, or bad alignment. Cold. */
int apus_spsc_place(void *APUS_NONNULL memory, size_t bytes, uint32_t capacity,
                    apus_spsc *APUS_NULLABLE *APUS_NONNULL out);

/* 0, or -EINVAL if capacity is not a power of two within 1 ... 2^24, or -ENOMEM. Cold. */
int apus_spsc_create(uint32_t capacity, apus_spsc *APUS_NULLABLE *APUS_NONNULL out);

/* Frees a ring that apus_spsc_create made; NULL is fine. Cold. */
void apus_spsc_destroy(apus_spsc *APUS_NULLABLE ring);

/* Producer, out of line: looks at the consumer's index afresh and keeps the statistics. Returns
 * whether there is room. */
bool apus_spsc_look(apus_spsc *APUS_NONNULL ring, uint64_t tail) __attribute__((cold));

/* Producer: the payload of the next free record (56 bytes, aligned to 64), or NULL if the ring is
 * full. Asking again before apus_spsc_publish yields the same one. */
APUS_HOT void *APUS_NULLABLE apus_spsc_claim(apus_spsc *APUS_NONNULL ring)
{
    /* Relaxed: only this thread writes tail. */
    const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (APUS_UNLIKELY(tail - ring->head_seen >= ring->look_limit)) {
        if (!apus_spsc_look(ring, tail)) {
            return NULL;
        }
    }
    return ring->producer_slots[tail & ring->producer_mask].payload;
}

/* Producer: hands the record that apus_spsc_claim returned last to the consumer. Only after a claim
 * that succeeded. */
APUS_HOT void apus_spsc_publish(apus_spsc *APUS_NONNULL ring)
{
    const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    apus_spsc_slot *slot = &ring->producer_slots[tail & ring->producer_mask];
    /* Release, pairs with apus_spsc_front: whoever sees the sequence sees the payload. */
    atomic_store_explicit(&slot->sequence, tail + 1, memory_order_release);
    /* Relaxed: others read tail for statistics only. */
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_relaxed);
}

/* Consumer: the oldest record's payload, or NULL if the ring is empty. It stays valid, and stays the
 * oldest, until apus_spsc_release. */
APUS_HOT const void *APUS_NULLABLE apus_spsc_front(apus_spsc *APUS_NONNULL ring)
{
    /* Relaxed: only this thread writes head. */
    const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    apus_spsc_slot *slot = &ring->consumer_slots[head & ring->consumer_mask];
    /* Acquire, pairs with apus_spsc_publish. A slot not yet written holds an older lap's number. */
    if (atomic_load_explicit(&slot->sequence, memory_order_acquire) != head + 1) {
        return NULL;
    }
    return slot->payload;
}

/* Consumer: gives the oldest record's slot back to the producer. Only after apus_spsc_front
 * returned one. */
APUS_HOT void apus_spsc_release(apus_spsc *APUS_NONNULL ring)
{
    const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    /* Release, pairs with apus_spsc_look: our last read of the payload happens before the producer
     * overwrites it. */
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

APUS_HOT uint32_t apus_spsc_capacity(const apus_spsc *APUS_NONNULL ring)
{
    return (uint32_t)(ring->consumer_mask + 1);
}

/* Any thread: records published and not released, exact only while both ends are at rest. */
APUS_HOT uint32_t apus_spsc_depth(const apus_spsc *APUS_NONNULL ring)
{
    /* Head first: tail read later is never behind it. Acquire keeps the two loads in this order. */
    const uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    /* Signed: tail's store may still be on its way when the record has already been released. */
    const int64_t depth = (int64_t)(tail - head);
    const int64_t capacity = (int64_t)ring->consumer_mask + 1;
    return (uint32_t)(depth < 0 ? 0 : depth > capacity ? capacity : depth);
}

/* Any thread: the greatest depth that a claim has brought about so far. Exact above an eighth of the
 * capacity; below that a lower bound, because the producer does not look at the consumer's index so
 * often. It costs the hot path nothing: the limit that asks for the look is the check for a full
 * ring. */
APUS_HOT uint32_t apus_spsc_high_water(const apus_spsc *APUS_NONNULL ring)
{
    return (uint32_t)atomic_load_explicit(&ring->high_water, memory_order_relaxed);
}

/* Any thread: how many claims found the ring full. */
APUS_HOT uint64_t apus_spsc_refused(const apus_spsc *APUS_NONNULL ring)
{
    return atomic_load_explicit(&ring->refused, memory_order_relaxed);
}

#endif
