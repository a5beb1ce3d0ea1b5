#define _GNU_SOURCE /* MADV_HUGEPAGE */
#include <errno.h>
#include <sys/mman.h>

#include "apus_match_internal.h"

/* ---- creation ---- */

enum { MATCH_HUGE_PAGE = 2 << 20 };

/* The engine and its arrays lie in one mapping: zeroed by the kernel, given back in one piece. */
static size_t place(size_t *used, size_t count, size_t size)
{
    const size_t start = *used;
    *used += (count * size + APUS_CACHE_LINE - 1) & ~(size_t)(APUS_CACHE_LINE - 1);
    return start;
}

int apus_match_create(const apus_match_limits *limits, apus_match **out)
{
    *out = NULL;
    if (limits->max_orders == 0 || limits->max_orders > APUS_MATCH_MAX_ORDERS || limits->max_levels == 0
        || limits->min_price_ticks < -APUS_MATCH_PRICE_LIMIT || limits->max_price_ticks > APUS_MATCH_PRICE_LIMIT
        || limits->min_price_ticks > limits->max_price_ticks) {
        return -EINVAL;
    }
    const size_t orders = limits->max_orders;
    const size_t levels = limits->max_levels < orders ? limits->max_levels : orders;
    size_t bytes = 0;
    place(&bytes, 1, sizeof(apus_match));
    const size_t orders_at = place(&bytes, orders + 1, sizeof(match_order));
    size_t levels_at[2], nodes_at[2];
    for (int side = 0; side < 2; side++) {
        levels_at[side] = place(&bytes, levels + 1, sizeof(match_level));
        nodes_at[side] = place(&bytes, 2 * levels + 1, sizeof(match_node));
    }
    const size_t reports_at = place(&bytes, orders + 1, sizeof(apus_match_report));

    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return -ENOMEM;
    }
    if (bytes >= 2 * (size_t)MATCH_HUGE_PAGE) {
        (void)madvise(memory, bytes, MADV_HUGEPAGE); /* orders are met in random order; advice may be refused */
    }
    apus_match *match = (apus_match *)(void *)memory;
    match->mapped_bytes = bytes;
    match->limits = *limits;
    match->limits.max_levels = (uint32_t)levels;
    match->orders = (match_order *)(void *)(memory + orders_at);
    match->reports = (apus_match_report *)(void *)(memory + reports_at);
    match->fresh_order = 1;
    for (int side = 0; side < 2; side++) {
        match_side *book = &match->sides[side];
        book->best_key = MATCH_NO_KEY;
        book->sign = side == APUS_BUY ? -1 : 1;
        book->levels = (match_level *)(void *)(memory + levels_at[side]);
        book->nodes = (match_node *)(void *)(memory + nodes_at[side]);
        book->fresh_level = 1;
        book->fresh_node = 1;
    }
    *out = match;
    return 0;
}

void apus_match_destroy(apus_match *match)
{
    if (match != NULL) {
        munmap(match, match->mapped_bytes);
    }
}

/* ---- levels and their trie ---- */

static uint32_t take_node(match_side *side, uint64_t key, unsigned height, uint32_t parent)
{
    uint32_t index = side->free_node;
    if (index != 0) {
        side->free_node = side->nodes[index].parent;
    } else {
        index = side->fresh_node++;
    }
    match_node *node = &side->nodes[index];
    node->bits = 0;
    node->prefix = match_prefix(key, height);
    node->parent = parent;
    return index << MATCH_HEIGHT_BITS | height;
}

static void release_node(match_side *side, uint32_t ref)
{
    match_node_at(side, ref)->parent = side->free_node;
    side->free_node = ref >> MATCH_HEIGHT_BITS;
}

static inline void set_child(match_side *side, uint32_t ref, unsigned child, uint32_t value)
{
    match_node *node = match_node_at(side, ref);
    node->bits |= (uint64_t)1 << child;
    node->children[child] = value;
}

/* A new, empty level of `key` in leaf `leaf`. The caller has made sure that one is free. */
static uint32_t add_to_leaf(match_side *side, uint64_t key, uint32_t leaf)
{
    uint32_t index = side->free_level;
    if (index != 0) {
        side->free_level = side->levels[index].head;
    } else {
        index = side->fresh_level++;
    }
    side->level_count++;
    side->levels[index] = (match_level){.key = key, .leaf = leaf};
    set_child(side, leaf, match_child(key, 0), index);
    if (key < side->best_key) {
        side->best_key = key;
        side->best = index;
    }
    return index;
}

/* `ref`, below `parent` (0: the root), does not cover `key`: puts a node above it that covers both. */
static uint32_t add_above(match_side *side, uint64_t key, uint32_t ref, uint32_t parent)
{
    match_node *node = match_node_at(side, ref);
    const unsigned below = match_height(ref);
    const uint64_t other = node->prefix << (MATCH_STEP_BITS * (below + 1));
    const unsigned first_difference = 63u - (unsigned)__builtin_clzll(match_prefix(key, below) ^ node->prefix);
    const unsigned height = below + 1 + first_difference / MATCH_STEP_BITS;
    const uint32_t joint = take_node(side, key, height, parent);
    const uint32_t leaf = take_node(side, key, 0, joint);
    set_child(side, joint, match_child(other, height), ref);
    set_child(side, joint, match_child(key, height), leaf);
    node->parent = joint;
    if (parent == 0) {
        side->root = joint;
    } else {
        match_node_at(side, parent)->children[match_child(key, match_height(parent))] = joint;
    }
    return add_to_leaf(side, key, leaf);
}

/* The level of `key`, new if there was none; then one must be free. */
static uint32_t find_or_add_level(match_side *side, uint64_t key)
{
    uint32_t ref = side->root, parent = 0;
    while (ref != 0) {
        const match_node *node = match_node_at(side, ref);
        const unsigned height = match_height(ref);
        if (APUS_UNLIKELY(node->prefix != match_prefix(key, height))) {
            return add_above(side, key, ref, parent);
        }
        const unsigned child = match_child(key, height);
        const bool exists = (node->bits >> child) & 1;
        if (height == 0) {
            return exists ? node->children[child] : add_to_leaf(side, key, ref);
        }
        if (!exists) {
            const uint32_t leaf = take_node(side, key, 0, ref);
            set_child(side, ref, child, leaf);
            return add_to_leaf(side, key, leaf);
        }
        parent = ref;
        ref = node->children[child];
    }
    side->root = take_node(side, key, 0, 0);
    return add_to_leaf(side, key, side->root);
}

/* Removes an empty level. Every node but the root leaf has a sibling, so at most a leaf and its
 * parent go, and if it was the best level, the next is right there. */
static void remove_level(match_side *side, uint32_t index)
{
    match_level *level = &side->levels[index];
    const uint64_t key = level->key;
    uint32_t ref = level->leaf;
    match_node *node = match_node_at(side, ref);
    node->bits &= ~((uint64_t)1 << match_child(key, 0));
    level->head = side->free_level;
    side->free_level = index;
    side->level_count--;
    if (node->bits == 0) {
        const uint32_t leaf = ref;
        ref = node->parent;
        release_node(side, leaf);
        if (ref == 0) {
            side->root = 0;
            side->best = 0;
            side->best_key = MATCH_NO_KEY;
            return;
        }
        node = match_node_at(side, ref);
        node->bits &= ~((uint64_t)1 << match_child(key, match_height(ref)));
        if ((node->bits & (node->bits - 1)) == 0) { /* an only child takes its parent's place */
            const uint32_t only = node->children[__builtin_ctzll(node->bits)];
            const uint32_t above = node->parent;
            match_node_at(side, only)->parent = above;
            if (above == 0) {
                side->root = only;
            } else {
                match_node_at(side, above)->children[match_child(key, match_height(above))] = only;
            }
            release_node(side, ref);
            ref = only;
        }
    }
    if (index == side->best) {
        side->best = match_first_level(side, ref);
        side->best_key = side->levels[side->best].key;
    }
}

/* ---- orders in their queues ---- */

/* Where the queue's order after (before) `slot` is written down, `slot` 0 being the queue's end.
 * Selected, not branched on: whether an order is the first or last of its queue cannot be foreseen. */
static inline uint32_t *link_to_next(const apus_match *match, match_level *level, uint32_t slot)
{
    uint32_t *inside = &match->orders[slot].next;
    return slot != 0 ? inside : &level->head;
}

static inline uint32_t *link_to_previous(const apus_match *match, match_level *level, uint32_t slot)
{
    uint32_t *inside = &match->orders[slot].previous;
    return slot != 0 ? inside : &level->tail;
}

static void append(apus_match *match, match_side *side, uint32_t level_index, match_order *order)
{
    match_level *level = &side->levels[level_index];
    const uint32_t slot = (uint32_t)order->handle & APUS_MATCH_MAX_ORDERS;
    order->level = level_index;
    order->next = 0;
    order->previous = level->tail;
    *link_to_next(match, level, level->tail) = slot;
    level->tail = slot;
    level->total += order->remaining;
}

/* Takes an order out of its queue; its slot stays taken. */
static void unlink_order(apus_match *match, match_side *side, const match_order *order)
{
    match_level *level = &side->levels[order->level];
    if (order->previous == 0 && order->next == 0) {
        remove_level(side, order->level);
        return;
    }
    level->total -= order->remaining;
    *link_to_next(match, level, order->previous) = order->next;
    *link_to_previous(match, level, order->next) = order->previous;
}

static inline void release_order(apus_match *match, match_order *order)
{
    const uint32_t slot = (uint32_t)order->handle & APUS_MATCH_MAX_ORDERS;
    order->handle += (uint64_t)1 << MATCH_SLOT_BITS;
    order->level = 0;
    order->next = match->free_order;
    match->free_order = slot;
    match->order_count--;
}

static inline match_order *take_order(apus_match *match)
{
    uint32_t slot = match->free_order;
    match_order *order = &match->orders[slot];
    if (slot != 0) {
        match->free_order = order->next;
    } else {
        slot = match->fresh_order++;
        order = &match->orders[slot];
        order->handle = (uint64_t)1 << MATCH_SLOT_BITS | slot;
    }
    match->order_count++;
    return order;
}

/* ---- reports and matching ---- */

/* The order that a call is about, on its way through the book. */
typedef struct match_taker {
    uint64_t handle, tag;
    uint32_t owner;
    uint8_t side, flags;
    apus_price_ticks price;
    apus_qty_lots total, remaining;
} match_taker;

/* kind, reason, side and owner in one store: whoever reads the report next may load them together,
 * and a load that spans several small stores waits until these have left the store buffer. */
static inline void set_head(apus_match_report *report, const match_taker *taker, apus_match_report_kind kind,
                            apus_match_reason reason)
{
    const struct {
        uint8_t kind, reason, side, unused;
        uint32_t owner;
    } head = {(uint8_t)kind, (uint8_t)reason, taker->side, 0, taker->owner};
    static_assert(sizeof head == offsetof(apus_match_report, handle), "all that comes before the handle");
    uint64_t word;
    memcpy(&word, &head, sizeof word);
    memcpy(report, &word, sizeof word);
}

static inline void report(apus_match *match, const match_taker *taker, apus_match_report_kind kind,
                          apus_match_reason reason)
{
    apus_match_report *out = &match->reports[match->report_count++];
    set_head(out, taker, kind, reason);
    out->handle = taker->handle;
    out->tag = taker->tag;
    out->price_ticks = taker->price;
    out->qty_lots = taker->total;
    out->remaining_lots = taker->remaining;
    out->maker_handle = 0;
    out->maker_tag = 0;
    out->maker_owner = 0;
    out->maker_remaining_lots = 0;
}

static inline match_taker taker_of(const match_order *order)
{
    return (match_taker){
        .handle = order->handle,
        .tag = order->tag,
        .owner = order->owner,
        .side = order->side,
        .flags = order->flags,
        .price = order->price,
        .total = order->executed + order->remaining,
        .remaining = order->remaining,
    };
}

/* An owner in a wider type, so that anonymous compares equal to nobody. */
static inline uint64_t self_of(const match_taker *taker)
{
    return taker->owner != 0 ? taker->owner : UINT64_MAX;
}

/* Whether the taker would meet an order of its owner before it is done. */
static bool meets_own(const apus_match *match, const match_side *book, const match_taker *taker, uint64_t limit)
{
    const uint64_t self = self_of(taker);
    apus_qty_lots remaining = taker->remaining;
    for (uint32_t index = book->best; index != 0; index = match_next_level(book, index)) {
        const match_level *level = &book->levels[index];
        if (level->key > limit) {
            return false;
        }
        for (uint32_t slot = level->head; slot != 0; slot = match->orders[slot].next) {
            const match_order *maker = &match->orders[slot];
            if (maker->owner == self) {
                return true;
            }
            if (maker->remaining >= remaining) {
                return false;
            }
            remaining -= maker->remaining;
        }
    }
    return false;
}

/* Trades down to `limit`, or until done; true if an order of the same owner stopped it. */
static bool trade(apus_match *match, match_side *book, match_taker *taker, uint64_t limit)
{
    const uint64_t self = self_of(taker);
    match_order *const orders = match->orders;
    apus_match_report *out = &match->reports[match->report_count];
    apus_qty_lots remaining = taker->remaining;
    bool stopped = false, more = true;
    while (more && book->best_key <= limit) {
        match_level *level = &book->levels[book->best];
        const apus_price_ticks price = match_price(book, level->key);
        uint32_t slot = level->head;
        do {
            match_order *maker = &orders[slot];
            if (maker->owner == self) {
                stopped = true;
                break;
            }
            const uint32_t next = maker->next;
            __builtin_prefetch(&orders[next], 1);
            const apus_qty_lots qty = remaining < maker->remaining ? remaining : maker->remaining;
            remaining -= qty;
            maker->remaining -= qty;
            level->total -= qty;
            set_head(out, taker, APUS_MATCH_TRADE, APUS_MATCH_REASON_NONE);
            out->handle = taker->handle;
            out->tag = taker->tag;
            out->price_ticks = price;
            out->qty_lots = qty;
            out->remaining_lots = remaining;
            out->maker_handle = maker->handle;
            out->maker_tag = maker->tag;
            out->maker_owner = maker->owner;
            out->maker_remaining_lots = maker->remaining;
            out++;
            if (maker->remaining != 0) {
                maker->executed += qty;
                break;
            }
            release_order(match, maker);
            slot = next;
        } while (remaining != 0 && slot != 0);
        more = remaining != 0 && !stopped;
        if (slot == 0) {
            remove_level(book, book->best);
        } else {
            level->head = slot;
            orders[slot].previous = 0;
            more = false;
        }
    }
    taker->remaining = remaining;
    match->report_count = (uint32_t)(out - match->reports);
    return stopped;
}

typedef struct match_outcome {
    apus_qty_lots remaining;
    apus_match_reason reason; /* NONE: the taker is done, or its rest may rest; else why its rest must go */
} match_outcome;

/* Trades what crosses. The taker comes by value: where nothing crosses, it need never be in memory. */
static __attribute__((noinline)) match_outcome execute(apus_match *match, match_side *book, match_taker taker,
                                                       uint64_t limit)
{
    if ((taker.flags & APUS_MATCH_STP_NO_FILL) != 0 && taker.owner != 0 && meets_own(match, book, &taker, limit)) {
        return (match_outcome){taker.remaining, APUS_MATCH_REASON_SELF_TRADE};
    }
    const bool stopped = trade(match, book, &taker, limit);
    return (match_outcome){taker.remaining, stopped ? APUS_MATCH_REASON_SELF_TRADE : APUS_MATCH_REASON_NONE};
}

static inline bool price_allowed(const apus_match *match, apus_price_ticks price)
{
    return price >= match->limits.min_price_ticks && price <= match->limits.max_price_ticks;
}

static inline bool qty_allowed(apus_qty_lots qty)
{
    return qty > 0 && qty <= APUS_MATCH_QTY_LIMIT;
}

static bool flags_allowed(const apus_match_order *order)
{
    const unsigned all = APUS_MATCH_MARKET | APUS_MATCH_IOC | APUS_MATCH_POST_ONLY | APUS_MATCH_POST_ONLY_REJECT
                         | APUS_MATCH_REDUCE_ONLY | APUS_MATCH_STP_NO_FILL;
    const unsigned flags = order->flags;
    if (order->side > APUS_SELL || (flags & ~all) != 0) {
        return false;
    }
    if ((flags & APUS_MATCH_POST_ONLY) != 0) {
        return (flags & (APUS_MATCH_MARKET | APUS_MATCH_IOC)) == 0;
    }
    return (flags & APUS_MATCH_POST_ONLY_REJECT) == 0;
}

/* ---- the three requests ---- */

static inline uint64_t reject(apus_match *match, const match_taker *taker, apus_match_reason reason)
{
    report(match, taker, APUS_MATCH_REJECTED, reason);
    return 0;
}

static inline uint64_t kill(apus_match *match, const match_taker *taker, apus_match_reason reason)
{
    report(match, taker, APUS_MATCH_CANCELLED, reason);
    return 0;
}

static inline uint64_t rest(apus_match *match, match_side *own, uint32_t level, match_taker *taker)
{
    match_order *order = take_order(match);
    order->tag = taker->tag;
    order->remaining = taker->remaining;
    order->executed = taker->total - taker->remaining;
    order->price = taker->price;
    order->owner = taker->owner;
    order->side = taker->side;
    order->flags = taker->flags;
    append(match, own, level, order);
    taker->handle = order->handle;
    report(match, taker, APUS_MATCH_ACCEPTED, APUS_MATCH_REASON_NONE);
    return order->handle;
}

uint64_t apus_match_new(apus_match *match, const apus_match_order *order)
{
    match->report_count = 0;
    match_taker taker = {
        .tag = order->tag,
        .owner = order->owner,
        .side = order->side,
        .flags = order->flags,
        .price = order->price_ticks,
        .total = order->qty_lots,
        .remaining = order->qty_lots,
    };
    if (APUS_UNLIKELY(!flags_allowed(order))) {
        return reject(match, &taker, APUS_MATCH_REASON_BAD_FLAGS);
    }
    const bool market = (order->flags & APUS_MATCH_MARKET) != 0;
    if (APUS_UNLIKELY(!market && !price_allowed(match, order->price_ticks))) {
        return reject(match, &taker, APUS_MATCH_REASON_BAD_PRICE);
    }
    if (APUS_UNLIKELY(!qty_allowed(order->qty_lots))) {
        return reject(match, &taker, APUS_MATCH_REASON_BAD_QTY);
    }
    if ((order->flags & APUS_MATCH_REDUCE_ONLY) != 0) {
        if (order->reducible_lots <= 0) {
            return reject(match, &taker, APUS_MATCH_REASON_REDUCE_ONLY);
        }
        if (order->reducible_lots < taker.total) {
            taker.total = taker.remaining = order->reducible_lots;
        }
    }
    match_side *own = &match->sides[taker.side];
    match_side *opposite = &match->sides[taker.side ^ 1];
    const uint64_t limit = market ? MATCH_NO_KEY - 1 : match_key(opposite, taker.price);
    bool crosses = opposite->best_key <= limit;
    if (crosses && (order->flags & APUS_MATCH_POST_ONLY) != 0) {
        /* Behind the opposite best is better than it on that side: one key less. */
        const apus_price_ticks moved = match_price(opposite, opposite->best_key - 1);
        if ((order->flags & APUS_MATCH_POST_ONLY_REJECT) != 0 || !price_allowed(match, moved)) {
            return kill(match, &taker, APUS_MATCH_REASON_IMMEDIATE);
        }
        taker.price = moved;
        crosses = false;
    }
    if ((order->flags & (APUS_MATCH_MARKET | APUS_MATCH_IOC)) != 0) {
        apus_match_reason reason = APUS_MATCH_REASON_IMMEDIATE;
        if (crosses) {
            const match_outcome outcome = execute(match, opposite, taker, limit);
            taker.remaining = outcome.remaining;
            reason = outcome.reason != APUS_MATCH_REASON_NONE ? outcome.reason : reason;
        }
        if (taker.remaining != 0) {
            return kill(match, &taker, reason);
        }
        report(match, &taker, APUS_MATCH_DONE, APUS_MATCH_REASON_NONE);
        return 0;
    }
    if (APUS_UNLIKELY(match->order_count == match->limits.max_orders)) {
        return reject(match, &taker, APUS_MATCH_REASON_FULL);
    }
    const uint64_t key = match_key(own, taker.price);
    /* A crossing order has no level of its own side yet: that would lie across the opposite best. */
    if (APUS_UNLIKELY(own->level_count == match->limits.max_levels)
        && (crosses || match_find_level(own, key) == 0)) {
        return reject(match, &taker, APUS_MATCH_REASON_FULL);
    }
    if (crosses) {
        const match_outcome outcome = execute(match, opposite, taker, limit);
        taker.remaining = outcome.remaining;
        if (outcome.reason != APUS_MATCH_REASON_NONE) {
            return kill(match, &taker, outcome.reason);
        }
        if (taker.remaining == 0) {
            report(match, &taker, APUS_MATCH_DONE, APUS_MATCH_REASON_NONE);
            return 0;
        }
    }
    const uint32_t level = find_or_add_level(own, key);
    if (APUS_UNLIKELY(own->levels[level].total > INT64_MAX - taker.remaining)) {
        return reject(match, &taker, APUS_MATCH_REASON_FULL); /* an old level, hence nothing traded */
    }
    return rest(match, own, level, &taker);
}

static bool reject_unknown(apus_match *match, uint64_t handle)
{
    const match_taker nobody = {.handle = handle};
    reject(match, &nobody, APUS_MATCH_REASON_UNKNOWN_ORDER);
    return false;
}

bool apus_match_cancel(apus_match *match, uint64_t handle, apus_match_reason reason)
{
    match->report_count = 0;
    match_order *order = match_resting(match, handle);
    if (APUS_UNLIKELY(order == NULL)) {
        return reject_unknown(match, handle);
    }
    const match_taker taker = taker_of(order);
    unlink_order(match, &match->sides[order->side], order);
    release_order(match, order);
    kill(match, &taker, reason);
    return true;
}

bool apus_match_modify(apus_match *match, uint64_t handle, apus_price_ticks price_ticks, apus_qty_lots remaining_lots)
{
    match->report_count = 0;
    match_order *order = match_resting(match, handle);
    if (APUS_UNLIKELY(order == NULL)) {
        return reject_unknown(match, handle);
    }
    match_taker taker = taker_of(order);
    if (APUS_UNLIKELY(!price_allowed(match, price_ticks))) {
        reject(match, &taker, APUS_MATCH_REASON_BAD_PRICE);
        return true;
    }
    if (APUS_UNLIKELY(!qty_allowed(remaining_lots) || remaining_lots > APUS_MATCH_QTY_LIMIT - order->executed)) {
        reject(match, &taker, APUS_MATCH_REASON_BAD_QTY);
        return true;
    }
    match_side *own = &match->sides[order->side];
    match_side *opposite = &match->sides[order->side ^ 1];
    const bool same_price = price_ticks == order->price;
    const apus_qty_lots total = order->executed + remaining_lots;
    if (same_price && remaining_lots <= order->remaining) {
        own->levels[order->level].total -= order->remaining - remaining_lots;
        order->remaining = taker.remaining = remaining_lots;
        taker.total = total;
        report(match, &taker, APUS_MATCH_AMENDED, APUS_MATCH_REASON_NONE);
        return true;
    }

    const bool alone = order->previous == 0 && order->next == 0;
    const uint64_t key = match_key(own, price_ticks);
    uint32_t level = same_price ? order->level : match_find_level(own, key);
    const apus_qty_lots others =
        level == 0 ? 0 : own->levels[level].total - (same_price ? order->remaining : 0);
    if (APUS_UNLIKELY((level == 0 && !alone && own->level_count == match->limits.max_levels)
                      || others > INT64_MAX - remaining_lots)) {
        reject(match, &taker, APUS_MATCH_REASON_FULL);
        return true;
    }
    unlink_order(match, own, order);
    if (same_price && alone) {
        level = 0; /* went with its only order */
    }
    taker.price = price_ticks;
    taker.total = total;
    taker.remaining = remaining_lots;
    const uint64_t limit = match_key(opposite, price_ticks);
    if (opposite->best_key <= limit) {
        const match_outcome outcome = execute(match, opposite, taker, limit);
        taker.remaining = outcome.remaining;
        if (outcome.reason != APUS_MATCH_REASON_NONE || outcome.remaining == 0) {
            const bool stopped = outcome.reason != APUS_MATCH_REASON_NONE;
            report(match, &taker, stopped ? APUS_MATCH_CANCELLED : APUS_MATCH_DONE, outcome.reason);
            release_order(match, order);
            return false;
        }
    }
    order->price = price_ticks;
    order->remaining = taker.remaining;
    order->executed = total - taker.remaining;
    append(match, own, level != 0 ? level : find_or_add_level(own, key), order);
    report(match, &taker, APUS_MATCH_AMENDED, APUS_MATCH_REASON_NONE);
    return true;
}

const apus_match_report *apus_match_reports(const apus_match *match, uint32_t *count)
{
    *count = match->report_count;
    return match->reports;
}
