/* The order slab and its lists against arrays that are searched from end to end. */
#include "apus_slab.h"
#include "fuzz.h"

enum { MOST = 40, REMEMBERED = 64 };

typedef struct {
    uint64_t client_id; /* 0: the place is free */
    apus_id venue_id;
    int list; /* -1: in none */
} slow_order;

typedef struct {
    apus_slab *slab;
    uint32_t capacity, index_bits, id_bits;
    slow_order orders[MOST]; /* by slot */
    uint64_t next_id[MOST];
    uint32_t free[MOST], free_count; /* slots, oldest first */
    apus_list lists[2];
    uint32_t members[2][MOST], counts[2];
} world;

/* Few different ids, so that they meet; the bytes decide where they land. */
static apus_id take_venue_id(fuzz_bytes *bytes)
{
    apus_id id;
    char text[8] = "order-0";
    const uint8_t which = fuzz_take(bytes);
    text[6] = (char)(which % 48 + '0');
    apus_id_set(&id, text, which == 255 ? 0 : sizeof text - 1);
    return id;
}

static int find_client(const world *it, uint64_t id)
{
    for (uint32_t i = 0; i < it->capacity; i++) {
        if (id != 0 && it->orders[i].client_id == id) {
            return (int)i;
        }
    }
    return -1;
}

static int find_venue(const world *it, const apus_id *id)
{
    for (uint32_t i = 0; i < it->capacity; i++) {
        if (id->count != 0 && it->orders[i].client_id != 0 && apus_id_equal(&it->orders[i].venue_id, id)) {
            return (int)i;
        }
    }
    return -1;
}

static void take_out(world *it, uint32_t slot)
{
    const int list = it->orders[slot].list;
    for (uint32_t i = 0; list >= 0 && i < it->counts[list]; i++) {
        if (it->members[list][i] == slot) {
            memmove(&it->members[list][i], &it->members[list][i + 1], (it->counts[list] - i - 1) * sizeof(uint32_t));
            it->counts[list]--;
            break;
        }
    }
    it->orders[slot].list = -1;
}

static void check(const world *it)
{
    require(apus_slab_count(it->slab) == it->capacity - it->free_count, "another count");
    require(apus_slab_next_id(it->slab) == (it->free_count != 0 ? it->next_id[it->free[0]] : 0), "another next id");
    for (uint32_t i = 0; i < it->capacity; i++) {
        const apus_order *const record = apus_slab_at(it->slab, i);
        const slow_order *const order = &it->orders[i];
        require((record != NULL) == (order->client_id != 0), "another slot is taken");
        if (record != NULL) {
            require(record->client_id == order->client_id && apus_id_equal(&record->venue_id, &order->venue_id),
                    "another order");
            require(apus_slab_find(it->slab, order->client_id) == record, "a live order is not found");
            require(order->venue_id.count == 0 || apus_slab_find_venue_id(it->slab, &order->venue_id) == record,
                    "a live order is not found by the venue's id");
        }
    }
    for (int list = 0; list < 2; list++) {
        require(it->lists[list].count == it->counts[list], "another length of a list");
        const apus_order *forward = apus_list_first(it->slab, &it->lists[list]);
        const apus_order *backward = apus_list_last(it->slab, &it->lists[list]);
        for (uint32_t i = 0; i < it->counts[list]; i++) {
            require(forward != NULL && apus_slab_index(it->slab, forward) == it->members[list][i],
                    "another order of a list");
            const uint32_t mirrored = it->members[list][it->counts[list] - 1 - i];
            require(backward != NULL && apus_slab_index(it->slab, backward) == mirrored,
                    "another order of a list, backwards");
            forward = apus_list_next(it->slab, forward);
            backward = apus_list_previous(it->slab, backward);
        }
        require(forward == NULL && backward == NULL, "a list does not end");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = fuzz_begin(data, size);
    world it = {.capacity = 1 + fuzz_take(&bytes) % MOST};
    while (((uint32_t)1 << it.index_bits) < it.capacity) {
        it.index_bits++;
    }
    it.id_bits = it.index_bits + 2 + fuzz_take(&bytes) % 3; /* generations come round soon */
    const uint64_t first = 1 + fuzz_take(&bytes) % 3;
    const int made = apus_slab_create(it.capacity, it.id_bits, first, NULL, 0, &it.slab);
    require(made == 0, "no slab");
    for (uint32_t i = 0; i < it.capacity; i++) {
        it.next_id[i] = first << it.index_bits | i;
        it.free[i] = i;
        it.orders[i].list = -1;
    }
    it.free_count = it.capacity;
    uint64_t remembered[REMEMBERED] = {0};
    uint32_t count = 0;
    while (!fuzz_is_empty(&bytes)) {
        const uint8_t verb = fuzz_take(&bytes);
        const uint64_t id = remembered[fuzz_take(&bytes) % REMEMBERED];
        const int slot = find_client(&it, id);
        apus_order *const record = apus_slab_find(it.slab, id);
        require((record != NULL) == (slot >= 0), "an id was misjudged");
        slow_order *const order = slot >= 0 ? &it.orders[slot] : NULL;
        switch (verb % 8) {
        case 0:
        case 1: {
            apus_order *const inserted = apus_slab_insert(it.slab);
            require((inserted != NULL) == (it.free_count != 0), "an insert was misjudged");
            if (inserted != NULL) {
                const uint32_t at = it.free[0];
                memmove(it.free, it.free + 1, --it.free_count * sizeof it.free[0]);
                it.orders[at] = (slow_order){.client_id = it.next_id[at], .list = -1};
                require(inserted->client_id == it.next_id[at], "another id was given");
                remembered[count++ % REMEMBERED] = inserted->client_id;
            }
            break;
        }
        case 2:
        case 3: {
            const apus_id venue_id = take_venue_id(&bytes);
            const int holder = find_venue(&it, &venue_id);
            const apus_order *const found = apus_slab_find_venue_id(it.slab, &venue_id);
            require(venue_id.count == 0 || (found != NULL) == (holder >= 0), "a venue's id was misjudged");
            if (record != NULL) {
                const bool free_to_bind = venue_id.count != 0 && (holder < 0 || holder == slot);
                require(apus_slab_bind_venue_id(it.slab, record, &venue_id) == free_to_bind, "a binding was misjudged");
                if (free_to_bind) {
                    order->venue_id = venue_id;
                }
            }
            break;
        }
        case 4:
            if (record != NULL) {
                apus_slab_unbind_venue_id(it.slab, record);
                memset(&order->venue_id, 0, sizeof order->venue_id);
            }
            break;
        case 5:
            if (record != NULL && order->list < 0) {
                const int list = verb >> 7;
                const uint32_t place = fuzz_take(&bytes) % (it.counts[list] + 1);
                const apus_order *const at =
                    place < it.counts[list] ? apus_slab_at(it.slab, it.members[list][place]) : NULL;
                uint32_t to = place;
                if (verb & 64) {
                    apus_list_insert_before(it.slab, &it.lists[list], record, at);
                } else {
                    apus_list_insert_after(it.slab, &it.lists[list], record, at);
                    to = at != NULL ? place + 1 : 0;
                }
                memmove(&it.members[list][to + 1], &it.members[list][to], (it.counts[list] - to) * sizeof(uint32_t));
                it.members[list][to] = (uint32_t)slot;
                it.counts[list]++;
                order->list = list;
            }
            break;
        case 6:
            if (record != NULL && order->list >= 0) {
                apus_list_remove(it.slab, &it.lists[order->list], record);
                take_out(&it, (uint32_t)slot);
            }
            break;
        default:
            if (record != NULL) {
                apus_slab_erase(it.slab, record, order->list >= 0 ? &it.lists[order->list] : NULL);
                take_out(&it, (uint32_t)slot);
                uint64_t generation = (order->client_id >> it.index_bits) + 1;
                if (generation >> (it.id_bits - it.index_bits) != 0) {
                    generation = 1;
                }
                it.next_id[slot] = generation << it.index_bits | (uint32_t)slot;
                it.orders[slot] = (slow_order){.list = -1};
                it.free[it.free_count++] = (uint32_t)slot;
            }
            break;
        }
        check(&it);
    }
    apus_slab_destroy(it.slab);
    return 0;
}
