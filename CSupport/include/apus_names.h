/* apus_names.h: short byte strings (1...63 bytes) to numbers, in a table of fixed capacity.
 *
 * Built at set-up; looking up is hot, adding and removing are cold. One thread at a time may change it, and
 * nobody may look up meanwhile.
 */
#ifndef APUS_NAMES_H
#define APUS_NAMES_H

#include "apus_base.h"

#include <stdalign.h>

#define APUS_NAMES_BYTES 63
#define APUS_NAMES_NONE UINT32_MAX

typedef struct apus_names_slot {
    uint64_t hash; /* 0: empty */
    uint32_t value;
    uint8_t count;
    char bytes[APUS_NAMES_BYTES];
} apus_names_slot;

typedef struct apus_names {
    alignas(APUS_CACHE_LINE) apus_names_slot *APUS_NONNULL slots; /* at least twice as many as names: probing always ends */
    uint64_t mask;
    uint32_t count;
    uint32_t capacity;
} apus_names;

/* 0, -EINVAL if `capacity` is 0 or above 2^20, or -ENOMEM. Cold. */
int apus_names_create(uint32_t capacity, apus_names *APUS_NULLABLE *APUS_NONNULL out);
void apus_names_destroy(apus_names *APUS_NULLABLE names);

/* 0, -EINVAL for a text of no or too many bytes or the value APUS_NAMES_NONE, -EEXIST if the text is there
 * already, -ENOSPC if `capacity` names are. Cold. */
int apus_names_add(apus_names *APUS_NONNULL names, const char *APUS_NONNULL text, size_t count, uint32_t value);

/* Whether the text was there. Cold. */
bool apus_names_remove(apus_names *APUS_NONNULL names, const char *APUS_NONNULL text, size_t count);

/* Never 0. Reads exactly [text, text + count). */
APUS_HOT uint64_t apus_names_hash(const char *APUS_NONNULL text, size_t count)
{
    uint64_t hash = 0x9E3779B97F4A7C15u ^ count;
    uint64_t word = 0;
    size_t i = 0;
    for (; count - i >= 8; i += 8) {
        memcpy(&word, text + i, 8);
        hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    if (i < count) {
        if (count >= 8) {
            memcpy(&word, text + count - 8, 8); /* overlaps what was read: no loop over single bytes */
        } else {
            word = 0;
            for (; i < count; i++) {
                word = word << 8 | (uint8_t)text[i];
            }
        }
        hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    return hash != 0 ? hash : 1;
}

/* The value of the text, or APUS_NAMES_NONE. */
APUS_HOT uint32_t apus_names_find(const apus_names *APUS_NONNULL names, const char *APUS_NONNULL text, size_t count)
{
    const uint64_t hash = apus_names_hash(text, count);
    for (uint64_t i = hash & names->mask;; i = (i + 1) & names->mask) {
        const apus_names_slot *const slot = &names->slots[i];
        if (slot->hash == 0) {
            return APUS_NAMES_NONE;
        }
        if (slot->hash == hash && slot->count == count && memcmp(slot->bytes, text, count) == 0) {
            return slot->value;
        }
    }
}

#endif
