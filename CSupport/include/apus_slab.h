/* apus_slab.h: a fixed number of order records, found by our id or by the venue's, and chained into lists.
 *
 * Client ids: generation << index_bits | slot index. The id is the address, so that finding an order
 *             takes one compare and no hash; the generation makes an id of an earlier tenant of the slot
 *             miss. Generations run from `first_generation` to 2^(id_bits - index_bits) - 1, then on from
 *             1; 0 is never one, so no id is 0. An id comes back only after its slot has had all the other
 *             generations. Freed slots are reused first in, first out; a slot that was never used is taken only
 *             while fewer than APUS_SLAB_WAITING freed ones wait. So the memory in use stays small enough for
 *             the caches, and still no id comes back before APUS_SLAB_WAITING times all generations (or the
 *             whole capacity times, if that is less) have been given out.
 * Venue ids:  open addressing with linear probing and backward-shift deletion, at most a quarter full; one
 *             word an entry (hash bits above, slot index below), then a full compare on the record.
 * Links:      lists name a slot by its link, index + 1, so that 0 means "none" and zeroed memory is an empty
 *             list or an unlinked record. A record is in at most one list; the owner of the list's head
 *             keeps it in the order that it likes.
 * Ownership:  one block of memory, the caller's or our own. One thread. `client_id`, `venue_id`, `next` and
 *             `previous` of a record are written by these functions only; the rest is the caller's.
 * Bounds:     everything but create is O(1) (venue ids: expected, a probe chain at load 1/4). Nothing
 *             allocates after create. A broken precondition that would corrupt the slab traps.
 */
#ifndef APUS_SLAB_H
#define APUS_SLAB_H

#include "apus_base.h"
#include "apus_order.h"

#define APUS_SLAB_MAX_CAPACITY (1u << 20)
/* With more than 1,024 new orders a second the generations would rise faster than the seconds from which later lives take
 * their first one. */
#define APUS_SLAB_WAITING 1024
#define APUS_SLAB_ALIGNMENT 128 /* a record is two cache lines, fetched as a pair */

typedef struct apus_slab_slot {
    apus_order record;
    /* Free: the client id that the slot's next tenant gets. Taken: hash of the venue id, 0 if it has none. */
    uint64_t word;
} apus_slab_slot;
static_assert(sizeof(apus_slab_slot) == 128, "two cache lines");

/* A doubly linked list of records; all zero is an empty list. */
typedef struct APUS_NAME(OrderList) apus_list {
    uint32_t first, last; /* links */
    uint32_t count;
} apus_list;

typedef struct apus_slab {
    _Alignas(APUS_CACHE_LINE) apus_slab_slot *APUS_NONNULL slots;
    uint64_t *APUS_NONNULL venue_table; /* 0 = empty; bit 63 is set in every entry */
    uint64_t index_mask;      /* low bits of ids and of table entries */
    uint64_t venue_mask;      /* table size - 1 */
    uint32_t capacity;
    uint32_t index_bits, id_bits;
    uint32_t used_count;      /* slots from here on were never used */
    apus_list free;           /* freed ones, linked forwards only, oldest first */
    bool owns_memory;
} apus_slab;

/* Bytes of a block for `capacity` records, 0 if the capacity is out of range. */
size_t apus_slab_bytes(uint32_t capacity);

/* `memory` is NULL, or a block of at least apus_slab_bytes(capacity) bytes at a multiple of
 * APUS_SLAB_ALIGNMENT which outlives the slab.
 * 0; -EINVAL if capacity is not in 1 ... APUS_SLAB_MAX_CAPACITY, id_bits is above 63 or leaves fewer than two bits
 * for the generation, first_generation is 0 or does not fit, or the block is too small or misaligned; -ENOMEM. Cold. */
int apus_slab_create(uint32_t capacity, uint32_t id_bits, uint64_t first_generation, void *APUS_NULLABLE memory,
                     size_t memory_bytes, apus_slab *APUS_NULLABLE *APUS_NONNULL out);
void apus_slab_destroy(apus_slab *APUS_NULLABLE slab);

APUS_HOT uint32_t apus_slab_capacity(const apus_slab *APUS_NONNULL slab)
{
    return slab->capacity;
}

APUS_HOT uint32_t apus_slab_count(const apus_slab *APUS_NONNULL slab)
{
    return slab->used_count - slab->free.count;
}

/* Slot index of a record, 0 ..< capacity. */
APUS_HOT uint32_t apus_slab_index(const apus_slab *APUS_NONNULL slab, const apus_order *APUS_NONNULL record)
{
    return (uint32_t)((const apus_slab_slot *)(const void *)record - slab->slots);
}

/* The record in a slot, or NULL if the slot is free or there is none: for scans over 0 ..< capacity. */
APUS_HOT apus_order *APUS_NULLABLE apus_slab_at(const apus_slab *APUS_NONNULL slab, uint64_t index)
{
    if (index >= slab->capacity || slab->slots[index].record.client_id == 0) {
        return NULL;
    }
    return &slab->slots[index].record;
}

/* The record of a link, NULL for link 0. */
APUS_HOT apus_order *APUS_NULLABLE apus_slab_follow(const apus_slab *APUS_NONNULL slab, uint32_t link)
{
    return link != 0 ? &slab->slots[link - 1].record : NULL;
}

/* ---- Lists ---- */

APUS_HOT apus_order *APUS_NULLABLE apus_list_first(const apus_slab *APUS_NONNULL slab,
                                                   const apus_list *APUS_NONNULL list)
{
    return apus_slab_follow(slab, list->first);
}

APUS_HOT apus_order *APUS_NULLABLE apus_list_last(const apus_slab *APUS_NONNULL slab,
                                                  const apus_list *APUS_NONNULL list)
{
    return apus_slab_follow(slab, list->last);
}

/* To remove records while walking, take the neighbour before the removal. */
APUS_HOT apus_order *APUS_NULLABLE apus_list_next(const apus_slab *APUS_NONNULL slab,
                                                  const apus_order *APUS_NONNULL record)
{
    return apus_slab_follow(slab, record->next);
}

APUS_HOT apus_order *APUS_NULLABLE apus_list_previous(const apus_slab *APUS_NONNULL slab,
                                                      const apus_order *APUS_NONNULL record)
{
    return apus_slab_follow(slab, record->previous);
}

/* Puts an unlinked record between two links that are neighbours now; 0 stands for the end of the list. */
APUS_HOT void apus_list_link_between(apus_slab *APUS_NONNULL slab, apus_list *APUS_NONNULL list,
                                     apus_order *APUS_NONNULL record, uint32_t before, uint32_t after)
{
    const uint32_t link = apus_slab_index(slab, record) + 1;
    APUS_ASSERT((record->next | record->previous) == 0 && list->first != link);
    record->previous = before;
    record->next = after;
    *(before != 0 ? &slab->slots[before - 1].record.next : &list->first) = link;
    *(after != 0 ? &slab->slots[after - 1].record.previous : &list->last) = link;
    list->count++;
}

/* Puts an unlinked record before `at`, a member of the list; at its end if `at` is NULL. */
APUS_HOT void apus_list_insert_before(apus_slab *APUS_NONNULL slab, apus_list *APUS_NONNULL list,
                                      apus_order *APUS_NONNULL record, const apus_order *APUS_NULLABLE at)
{
    const uint32_t before = at != NULL ? at->previous : list->last;
    const uint32_t after = at != NULL ? apus_slab_index(slab, at) + 1 : 0;
    apus_list_link_between(slab, list, record, before, after);
}

/* Puts an unlinked record after `at`, a member of the list; at its beginning if `at` is NULL. */
APUS_HOT void apus_list_insert_after(apus_slab *APUS_NONNULL slab, apus_list *APUS_NONNULL list,
                                     apus_order *APUS_NONNULL record, const apus_order *APUS_NULLABLE at)
{
    const uint32_t before = at != NULL ? apus_slab_index(slab, at) + 1 : 0;
    const uint32_t after = at != NULL ? at->next : list->first;
    apus_list_link_between(slab, list, record, before, after);
}

APUS_HOT void apus_list_append(apus_slab *APUS_NONNULL slab, apus_list *APUS_NONNULL list,
                               apus_order *APUS_NONNULL record)
{
    apus_list_link_between(slab, list, record, list->last, 0);
}

/* Takes a member out of its list. Traps if the record's ends are not this list's. */
APUS_HOT void apus_list_remove(apus_slab *APUS_NONNULL slab, apus_list *APUS_NONNULL list,
                               apus_order *APUS_NONNULL record)
{
    const uint32_t link = apus_slab_index(slab, record) + 1;
    const uint32_t before = record->previous, after = record->next;
    uint32_t *forward = before != 0 ? &slab->slots[before - 1].record.next : &list->first;
    uint32_t *backward = after != 0 ? &slab->slots[after - 1].record.previous : &list->last;
    APUS_ASSERT(*forward == link && *backward == link && list->count != 0);
    *forward = after;
    *backward = before;
    list->count--;
    record->next = 0;
    record->previous = 0;
}

/* ---- Client ids ---- */

/* Whether the next insert takes a slot that was never used. */
APUS_HOT bool apus_slab_is_next_unused(const apus_slab *APUS_NONNULL slab)
{
    return slab->free.count < APUS_SLAB_WAITING && slab->used_count < slab->capacity;
}

/* The id that the next insert gives, 0 if the slab is full. */
APUS_HOT uint64_t apus_slab_next_id(const apus_slab *APUS_NONNULL slab)
{
    if (apus_slab_is_next_unused(slab)) {
        return slab->slots[slab->used_count].word;
    }
    return slab->free.first != 0 ? slab->slots[slab->free.first - 1].word : 0;
}

/* A record with its client id set and everything else zero, or NULL if the slab is full. */
APUS_HOT apus_order *APUS_NULLABLE apus_slab_insert(apus_slab *APUS_NONNULL slab)
{
    apus_slab_slot *slot;
    if (apus_slab_is_next_unused(slab)) {
        slot = &slab->slots[slab->used_count++];
    } else {
        const uint32_t link = slab->free.first;
        if (APUS_UNLIKELY(link == 0)) {
            return NULL;
        }
        slot = &slab->slots[link - 1];
        const uint32_t following = slot->record.next;
        slab->free.first = following;
        slab->free.count--;
        if (APUS_UNLIKELY(following == 0)) {
            slab->free.last = 0;
        } else {
            /* The oldest free slot is the coldest one: start to fetch what the next insert will want. */
            __builtin_prefetch(&slab->slots[following - 1], 1);
            __builtin_prefetch((const char *)&slab->slots[following - 1] + APUS_CACHE_LINE, 1);
        }
    }
    const uint64_t id = slot->word;
    memset(slot, 0, sizeof *slot);
    slot->record.client_id = id;
    return &slot->record;
}

/* The live order of an id; NULL if the id is stale, was never given out, or is 0. */
APUS_HOT apus_order *APUS_NULLABLE apus_slab_find(const apus_slab *APUS_NONNULL slab, uint64_t client_id)
{
    const uint64_t index = client_id & slab->index_mask;
    /* Free slots hold id 0. */
    if (APUS_UNLIKELY(index >= slab->capacity) || APUS_UNLIKELY(client_id == 0)) {
        return NULL;
    }
    apus_order *record = &slab->slots[index].record;
    return record->client_id == client_id ? record : NULL;
}

/* ---- Venue ids ---- */

/* Bit 63 marks a used entry; the slot's own bits are left out. */
APUS_HOT uint64_t apus_slab_venue_hash(const apus_slab *APUS_NONNULL slab, const apus_id *APUS_NONNULL id)
{
    return (apus_id_hash(id, 0) | (uint64_t)1 << 63) & ~slab->index_mask;
}

APUS_HOT uint64_t apus_slab_venue_home(const apus_slab *APUS_NONNULL slab, uint64_t entry)
{
    return (entry >> slab->index_bits) & slab->venue_mask;
}

/* Whether two ids are the same, five words at once: a memcmp of this length becomes a library call. */
APUS_HOT bool apus_slab_same_venue_id(const apus_id *APUS_NONNULL a, const apus_id *APUS_NONNULL b)
{
    uint64_t x[5], y[5];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

/* The live order to which a venue id is bound, or NULL. */
APUS_HOT apus_order *APUS_NULLABLE apus_slab_find_venue_id(const apus_slab *APUS_NONNULL slab,
                                                           const apus_id *APUS_NONNULL id)
{
    const uint64_t hash = apus_slab_venue_hash(slab, id);
    /* Ends: the table is at most a quarter full. */
    for (uint64_t at = apus_slab_venue_home(slab, hash);; at = (at + 1) & slab->venue_mask) {
        const uint64_t entry = slab->venue_table[at];
        if (((entry ^ hash) & ~slab->index_mask) == 0) {
            apus_order *record = &slab->slots[entry & slab->index_mask].record;
            if (APUS_LIKELY(apus_slab_same_venue_id(&record->venue_id, id))) {
                return record;
            }
        } else if (entry == 0) {
            return NULL;
        }
    }
}

/* The order can no longer be found by a venue id. Nothing happens if it has none. */
APUS_HOT void apus_slab_unbind_venue_id(apus_slab *APUS_NONNULL slab, apus_order *APUS_NONNULL record)
{
    apus_slab_slot *slot = (apus_slab_slot *)(void *)record;
    if (slot->word == 0) {
        return;
    }
    uint64_t *table = slab->venue_table;
    const uint64_t mask = slab->venue_mask;
    const uint64_t own = slot->word | apus_slab_index(slab, record);
    uint64_t hole = apus_slab_venue_home(slab, own);
    while (table[hole] != own) {
        APUS_ASSERT(table[hole] != 0); /* else the slab was written over */
        hole = (hole + 1) & mask;
    }
    /* Move back whatever could not stand nearer to its home because of this entry. */
    for (uint64_t at = (hole + 1) & mask; table[at] != 0; at = (at + 1) & mask) {
        const uint64_t from_home = (at - apus_slab_venue_home(slab, table[at])) & mask;
        if (from_home >= ((at - hole) & mask)) {
            table[hole] = table[at];
            hole = at;
        }
    }
    table[hole] = 0;
    slot->word = 0;
    memset(&record->venue_id, 0, sizeof record->venue_id);
}

/* Makes the order findable by the venue's id, in place of an earlier one if it has one.
 * False, and nothing changes, if the id is empty or another live order has it. */
APUS_HOT bool apus_slab_bind_venue_id(apus_slab *APUS_NONNULL slab, apus_order *APUS_NONNULL record,
                                      const apus_id *APUS_NONNULL id)
{
    APUS_ASSERT(record->client_id != 0);
    if (APUS_UNLIKELY(id->count == 0)) {
        return false;
    }
    const apus_id copy = *id; /* `id` may point into the record */
    const apus_order *holder = apus_slab_find_venue_id(slab, &copy);
    if (APUS_UNLIKELY(holder != NULL)) {
        return holder == record;
    }
    apus_slab_unbind_venue_id(slab, record);
    const uint64_t hash = apus_slab_venue_hash(slab, &copy);
    uint64_t at = apus_slab_venue_home(slab, hash);
    while (slab->venue_table[at] != 0) {
        at = (at + 1) & slab->venue_mask;
    }
    slab->venue_table[at] = hash | apus_slab_index(slab, record);
    ((apus_slab_slot *)(void *)record)->word = hash;
    record->venue_id = copy;
    return true;
}

/* The two above with the id by value, for callers that have no address to give. */
APUS_HOT apus_order *APUS_NULLABLE apus_slab_find_venue_id_copy(const apus_slab *APUS_NONNULL slab, apus_id id)
{
    return apus_slab_find_venue_id(slab, &id);
}

APUS_HOT bool apus_slab_bind_venue_id_copy(apus_slab *APUS_NONNULL slab, apus_order *APUS_NONNULL record, apus_id id)
{
    return apus_slab_bind_venue_id(slab, record, &id);
}

/* Frees a live record: its ids stop to be found. `list` is the list that it is in, or NULL if it is in none.
 * Traps if the record is free, if it has neighbours and `list` is NULL, or if `list` is not its list as far as
 * that shows. */
APUS_HOT void apus_slab_erase(apus_slab *APUS_NONNULL slab, apus_order *APUS_NONNULL record,
                              apus_list *APUS_NULLABLE list)
{
    const uint64_t id = record->client_id;
    APUS_ASSERT(id != 0);
    if (list != NULL) {
        apus_list_remove(slab, list, record);
    } else {
        APUS_ASSERT((record->next | record->previous) == 0);
    }
    apus_slab_unbind_venue_id(slab, record);
    uint64_t next_id = id + ((uint64_t)1 << slab->index_bits);
    if (APUS_UNLIKELY(next_id >> slab->id_bits != 0)) {
        next_id = (id & slab->index_mask) | (uint64_t)1 << slab->index_bits;
    }
    ((apus_slab_slot *)(void *)record)->word = next_id;
    record->client_id = 0;
    record->phase = APUS_ORDER_FREE;
    const uint32_t link = apus_slab_index(slab, record) + 1;
    record->next = 0;
    *(slab->free.last != 0 ? &slab->slots[slab->free.last - 1].record.next : &slab->free.first) = link;
    slab->free.last = link;
    slab->free.count++;
}

#endif
