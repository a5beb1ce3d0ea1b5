/* Looking at a matching engine's book, and checking it. */
#include "apus_match_internal.h"

bool apus_match_best(const apus_match *match, apus_side side, apus_price_ticks *price_ticks, apus_qty_lots *qty_lots)
{
    const match_side *book = &match->sides[side];
    if (book->best == 0) {
        return false;
    }
    *price_ticks = match_price(book, book->best_key);
    *qty_lots = book->levels[book->best].total;
    return true;
}

static uint32_t level_at(const apus_match *match, apus_side side, apus_price_ticks price)
{
    if (price < match->limits.min_price_ticks || price > match->limits.max_price_ticks) {
        return 0;
    }
    return match_find_level(&match->sides[side], match_key(&match->sides[side], price));
}

apus_qty_lots apus_match_depth(const apus_match *match, apus_side side, apus_price_ticks price_ticks)
{
    return match->sides[side].levels[level_at(match, side, price_ticks)].total; /* level 0 stays empty */
}

uint32_t apus_match_levels(const apus_match *match, apus_side side, apus_price_ticks *prices, apus_qty_lots *sizes,
                           uint32_t max)
{
    const match_side *book = &match->sides[side];
    uint32_t count = 0;
    for (uint32_t level = book->best; level != 0 && count < max; level = match_next_level(book, level)) {
        prices[count] = match_price(book, book->levels[level].key);
        sizes[count] = book->levels[level].total;
        count++;
    }
    return count;
}

uint32_t apus_match_queue(const apus_match *match, apus_side side, apus_price_ticks price_ticks, uint64_t *handles,
                          uint32_t max)
{
    const uint32_t level = level_at(match, side, price_ticks);
    uint32_t count = 0;
    if (level == 0) {
        return 0;
    }
    for (uint32_t slot = match->sides[side].levels[level].head; slot != 0 && count < max;
         slot = match->orders[slot].next) {
        handles[count++] = match->orders[slot].handle;
    }
    return count;
}

bool apus_match_find(const apus_match *match, uint64_t handle, apus_match_resting *out)
{
    const match_order *order = match_resting(match, handle);
    if (order == NULL) {
        return false;
    }
    *out = (apus_match_resting){
        .handle = order->handle,
        .tag = order->tag,
        .owner = order->owner,
        .side = order->side,
        .price_ticks = order->price,
        .qty_lots = order->executed + order->remaining,
        .remaining_lots = order->remaining,
    };
    return true;
}

uint32_t apus_match_count(const apus_match *match)
{
    return match->order_count;
}

/* ---- invariants ---- */

typedef struct match_census {
    uint32_t orders, levels, nodes;
    uint64_t last_key;
    bool any;
} match_census;

#define REQUIRE(condition, text) \
    do {                         \
        if (!(condition)) {      \
            return text;         \
        }                        \
    } while (0)

static const char *check_level(const apus_match *match, int side, uint32_t index, uint32_t leaf, uint64_t key,
                               match_census *census)
{
    const match_side *book = &match->sides[side];
    REQUIRE(index != 0 && index < book->fresh_level, "a leaf names a level that does not exist");
    const match_level *level = &book->levels[index];
    REQUIRE(level->key == key, "a level hangs at another key than its own");
    REQUIRE(level->leaf == leaf, "a level names another leaf");
    REQUIRE(!census->any || census->last_key < key, "levels are not in order");
    REQUIRE(census->any || (book->best == index && book->best_key == key), "the best level is not the first");
    census->any = true;
    census->last_key = key;
    census->levels++;
    const apus_price_ticks price = match_price(book, key);
    REQUIRE(price >= match->limits.min_price_ticks && price <= match->limits.max_price_ticks,
            "a level lies outside the instrument's prices");
    apus_qty_lots total = 0;
    uint32_t previous = 0;
    REQUIRE(level->head != 0, "a level is empty");
    for (uint32_t slot = level->head; slot != 0; slot = match->orders[slot].next) {
        REQUIRE(slot < match->fresh_order, "a queue names an order that does not exist");
        const match_order *order = &match->orders[slot];
        REQUIRE(++census->orders <= match->order_count, "more orders are queued than rest");
        REQUIRE((order->handle & APUS_MATCH_MAX_ORDERS) == slot, "a handle names another slot");
        REQUIRE(order->level == index && order->side == side, "an order names another level");
        REQUIRE(order->price == price, "an order has another price than its level");
        REQUIRE(order->previous == previous, "a queue is torn");
        REQUIRE(order->remaining > 0 && order->executed >= 0
                    && order->remaining <= APUS_MATCH_QTY_LIMIT - order->executed,
                "an order's size is out of range");
        REQUIRE(!__builtin_add_overflow(total, order->remaining, &total), "a level's total overflows");
        previous = slot;
    }
    REQUIRE(level->tail == previous, "a queue's tail is not its last order");
    REQUIRE(level->total == total, "a level's total is not the sum of its orders");
    return NULL;
}

static const char *check_node(const apus_match *match, int side, uint32_t ref, uint32_t parent, match_census *census)
{
    const match_side *book = &match->sides[side];
    const unsigned height = match_height(ref);
    REQUIRE(height < MATCH_HEIGHTS && ref >> MATCH_HEIGHT_BITS != 0 && ref >> MATCH_HEIGHT_BITS < book->fresh_node,
            "a node reference is out of range");
    const match_node *node = match_node_at(book, ref);
    REQUIRE(++census->nodes < book->fresh_node, "nodes form a cycle");
    REQUIRE(node->parent == parent, "a node names another parent");
    REQUIRE(node->bits != 0, "a node is empty");
    REQUIRE(height == 0 || (node->bits & (node->bits - 1)) != 0, "an upper node has a single child");
    if (parent != 0) {
        const unsigned above = match_height(parent);
        REQUIRE(above > height, "a node is not below its parent");
        REQUIRE(node->prefix >> (MATCH_STEP_BITS * (above - height)) == match_node_at(book, parent)->prefix,
                "a node's prefix does not extend its parent's");
    }
    for (uint64_t bits = node->bits; bits != 0; bits &= bits - 1) {
        const unsigned child = (unsigned)__builtin_ctzll(bits);
        const uint32_t below = node->children[child];
        const char *broken;
        if (height == 0) {
            broken = check_level(match, side, below, ref, node->prefix << MATCH_STEP_BITS | child, census);
        } else {
            REQUIRE(match_height(below) < height, "a node is not below its parent");
            const uint64_t start = match_node_at(book, below)->prefix << (MATCH_STEP_BITS * (match_height(below) + 1));
            REQUIRE(match_child(start, height) == child, "a node hangs in another slot than its own");
            broken = check_node(match, side, below, ref, census);
        }
        if (broken != NULL) {
            return broken;
        }
    }
    return NULL;
}

const char *apus_match_check(const apus_match *match)
{
    match_census census = {0};
    for (int side = 0; side < 2; side++) {
        const match_side *book = &match->sides[side];
        census.any = false;
        census.levels = census.nodes = 0;
        if (book->root != 0) {
            const char *broken = check_node(match, side, book->root, 0, &census);
            if (broken != NULL) {
                return broken;
            }
        } else {
            REQUIRE(book->best == 0 && book->best_key == MATCH_NO_KEY, "an empty side has a best level");
        }
        REQUIRE(census.levels == book->level_count, "levels are lost or counted twice");
        REQUIRE(book->level_count <= match->limits.max_levels, "there are more levels than allowed");
        for (uint32_t level = book->free_level; level != 0; level = book->levels[level].head) {
            REQUIRE(++census.levels < book->fresh_level, "the chain of free levels is too long");
        }
        REQUIRE(census.levels == book->fresh_level - 1, "a level is neither used nor free");
        REQUIRE(book->fresh_level - 1 <= match->limits.max_levels, "a level lies beyond its array");
        for (uint32_t node = book->free_node; node != 0; node = book->nodes[node].parent) {
            REQUIRE(++census.nodes < book->fresh_node, "the chain of free nodes is too long");
        }
        REQUIRE(census.nodes == book->fresh_node - 1, "a node is neither used nor free");
        REQUIRE(book->fresh_node - 1 <= 2 * match->limits.max_levels, "a node lies beyond its array");
        REQUIRE(book->levels[0].total == 0, "the level that stands for none has a size");
    }
    REQUIRE(census.orders == match->order_count, "orders are lost or counted twice");
    for (uint32_t slot = match->free_order; slot != 0; slot = match->orders[slot].next) {
        REQUIRE(match->orders[slot].level == 0, "a free slot holds an order");
        REQUIRE(++census.orders < match->fresh_order, "the chain of free slots is too long");
    }
    REQUIRE(census.orders == match->fresh_order - 1, "a slot is neither used nor free");
    REQUIRE(match->fresh_order - 1 <= match->limits.max_orders, "a slot lies beyond its array");
    const match_side *buys = &match->sides[APUS_BUY], *sells = &match->sides[APUS_SELL];
    REQUIRE(buys->best == 0 || sells->best == 0
                || match_price(buys, buys->best_key) < match_price(sells, sells->best_key),
            "the book is crossed");
    REQUIRE(match->report_count <= match->limits.max_orders + 1, "there are more reports than room");
    return NULL;
}
