#include "apus_names.h"

#include <errno.h>
#include <stdlib.h>

int apus_names_create(uint32_t capacity, apus_names **out)
{
    if (capacity == 0 || capacity > 1u << 20) {
        return -EINVAL;
    }
    uint64_t slots = 8;
    while (slots < (uint64_t)capacity * 2) {
        slots *= 2;
    }
    apus_names *const names = aligned_alloc(APUS_CACHE_LINE, sizeof *names);
    if (names == NULL) {
        return -ENOMEM;
    }
    names->slots = calloc(slots, sizeof *names->slots);
    if (names->slots == NULL) {
        free(names);
        return -ENOMEM;
    }
    names->mask = slots - 1;
    names->count = 0;
    names->capacity = capacity;
    *out = names;
    return 0;
}

void apus_names_destroy(apus_names *names)
{
    if (names != NULL) {
        free(names->slots);
        free(names);
    }
}

int apus_names_add(apus_names *names, const char *text, size_t count, uint32_t value)
{
    if (count == 0 || count > APUS_NAMES_BYTES || value == APUS_NAMES_NONE) {
        return -EINVAL;
    }
    if (apus_names_find(names, text, count) != APUS_NAMES_NONE) {
        return -EEXIST;
    }
    if (names->count == names->capacity) {
        return -ENOSPC;
    }
    const uint64_t hash = apus_names_hash(text, count);
    uint64_t i = hash & names->mask;
    while (names->slots[i].hash != 0) {
        i = (i + 1) & names->mask;
    }
    apus_names_slot *const slot = &names->slots[i];
    slot->hash = hash;
    slot->value = value;
    slot->count = (uint8_t)count;
    memcpy(slot->bytes, text, count);
    names->count++;
    return 0;
}

bool apus_names_remove(apus_names *names, const char *text, size_t count)
{
    const uint64_t hash = apus_names_hash(text, count);
    uint64_t hole = hash & names->mask;
    for (;; hole = (hole + 1) & names->mask) {
        const apus_names_slot *const slot = &names->slots[hole];
        if (slot->hash == 0) {
            return false;
        }
        if (slot->hash == hash && slot->count == count && memcmp(slot->bytes, text, count) == 0) {
            break;
        }
    }
    /* Move back what probed over the hole, so that no search ends too early. */
    for (uint64_t i = (hole + 1) & names->mask; names->slots[i].hash != 0; i = (i + 1) & names->mask) {
        const uint64_t home = names->slots[i].hash & names->mask;
        if (((i - home) & names->mask) >= ((i - hole) & names->mask)) {
            names->slots[hole] = names->slots[i];
            hole = i;
        }
    }
    names->slots[hole].hash = 0;
    names->count--;
    return true;
}
