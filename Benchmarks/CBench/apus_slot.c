#include "apus_slot.h"

#include <stdlib.h>
#include <string.h>

apus_slot *apus_slot_create(void)
{
    apus_slot *const slot = aligned_alloc(64, sizeof(apus_slot));
    if (slot != NULL) {
        memset(slot, 0, sizeof *slot);
    }
    return slot;
}

void apus_slot_destroy(apus_slot *slot) { free(slot); }
