#include "apus_slab.h"

#include <errno.h>
#include <stdlib.h>

static_assert(sizeof(apus_slab) <= APUS_SLAB_ALIGNMENT, "the header takes the block's first unit");

static uint32_t venue_table_size(uint32_t capacity)
{
    uint32_t size = 4;
    while (size < 4 * capacity) {
        size *= 2;
    }
    return size;
}

size_t apus_slab_bytes(uint32_t capacity)
{
    if (capacity == 0 || capacity > APUS_SLAB_MAX_CAPACITY) {
        return 0;
    }
    const size_t bytes = APUS_SLAB_ALIGNMENT + capacity * sizeof(apus_slab_slot) +
                         venue_table_size(capacity) * sizeof(uint64_t);
    return (bytes + APUS_SLAB_ALIGNMENT - 1) / APUS_SLAB_ALIGNMENT * APUS_SLAB_ALIGNMENT;
}

int apus_slab_create(uint32_t capacity, uint32_t id_bits, uint64_t first_generation, void *memory,
                     size_t memory_bytes, apus_slab **out)
{
    *out = NULL;
    const size_t bytes = apus_slab_bytes(capacity);
    if (bytes == 0) {
        return -EINVAL;
    }
    uint32_t index_bits = 0;
    while ((1u << index_bits) < capacity) {
        index_bits++;
    }
    if (id_bits > 63 || id_bits < index_bits + 2 || first_generation == 0 ||
        first_generation >> (id_bits - index_bits) != 0) {
        return -EINVAL;
    }
    char *block = memory;
    if (memory == NULL) {
        block = aligned_alloc(APUS_SLAB_ALIGNMENT, bytes);
        if (block == NULL) {
            return -ENOMEM;
        }
    } else if (memory_bytes < bytes || (uintptr_t)memory % APUS_SLAB_ALIGNMENT != 0) {
        return -EINVAL;
    }
    memset(block, 0, bytes); /* also touches every page */

    apus_slab *slab = (apus_slab *)(void *)block;
    slab->slots = (apus_slab_slot *)(void *)(block + APUS_SLAB_ALIGNMENT);
    slab->venue_table = (uint64_t *)(void *)(slab->slots + capacity);
    slab->index_mask = ((uint64_t)1 << index_bits) - 1;
    slab->venue_mask = venue_table_size(capacity) - 1;
    slab->capacity = capacity;
    slab->index_bits = index_bits;
    slab->id_bits = id_bits;
    slab->owns_memory = memory == NULL;
    for (uint32_t index = 0; index < capacity; index++) {
        slab->slots[index].word = first_generation << index_bits | index;
    }
    *out = slab;
    return 0;
}

void apus_slab_destroy(apus_slab *slab)
{
    if (slab != NULL && slab->owns_memory) {
        free(slab);
    }
}
