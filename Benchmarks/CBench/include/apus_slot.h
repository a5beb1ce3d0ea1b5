/* apus_slot.h: the latest message from one thread to another under a sequence lock, which is what the ring of directives is
 * held against. One cache line; a new message takes the place of one that was not read.
 *
 * Writer: never waits. Reader: never waits for long; apus_slot_read fails while a message is being written. */
#ifndef APUS_SLOT_H
#define APUS_SLOT_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define APUS_SLOT_WORDS 7

typedef struct apus_slot_message {
    uint64_t words[APUS_SLOT_WORDS];
} apus_slot_message;

typedef struct apus_slot {
    alignas(64) _Atomic uint64_t sequence; /* odd while a message is written */
    _Atomic uint64_t words[APUS_SLOT_WORDS];
} apus_slot;

apus_slot *apus_slot_create(void);
void apus_slot_destroy(apus_slot *slot);

static inline __attribute__((always_inline)) void apus_slot_write(apus_slot *slot, const apus_slot_message *message)
{
    /* Relaxed: only this thread writes it. */
    const uint64_t odd = atomic_load_explicit(&slot->sequence, memory_order_relaxed) + 1;
    atomic_store_explicit(&slot->sequence, odd, memory_order_relaxed);
    /* Release fence, pairs with the acquire fence in apus_slot_read: who sees a new word sees the odd sequence. */
    atomic_thread_fence(memory_order_release);
    for (int i = 0; i < APUS_SLOT_WORDS; i++) {
        atomic_store_explicit(&slot->words[i], message->words[i], memory_order_relaxed);
    }
    /* Release, pairs with the acquire in apus_slot_read: the words are there. */
    atomic_store_explicit(&slot->sequence, odd + 1, memory_order_release);
}

/* True if there is a message other than the one that `*seen` stands for; it is whole. */
static inline __attribute__((always_inline)) bool apus_slot_read(apus_slot *slot, uint64_t *seen, apus_slot_message *out)
{
    const uint64_t begun = atomic_load_explicit(&slot->sequence, memory_order_acquire);
    if (begun == *seen || (begun & 1) != 0) {
        return false;
    }
    for (int i = 0; i < APUS_SLOT_WORDS; i++) {
        out->words[i] = atomic_load_explicit(&slot->words[i], memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&slot->sequence, memory_order_relaxed) != begun) {
        return false;
    }
    *seen = begun;
    return true;
}

#endif
