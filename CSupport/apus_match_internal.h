/* apus_match_internal.h: the matching engine's data: orders, levels, and the trie that orders the levels.
 *
 * A side sees prices as keys that grow from its best price away (a buy's price is negated), so both
 * sides share one code: the best level is the one with the smallest key.
 *
 * The trie takes six bits of the key a step. Chains of nodes with a single child are left out, so a
 * book within 64, 4,096 or 262,144 ticks is one, two or three nodes deep wherever it lies, a
 * lonely far price costs two nodes, and no price swing ever moves anything. With L levels there are
 * at most L leaves and L - 1 nodes above them: an upper node has at least two children.
 *
 * Indexes start at 1; 0 is "none", so zeroed memory is an empty engine.
 */
#ifndef APUS_MATCH_INTERNAL_H
#define APUS_MATCH_INTERNAL_H

#include <stdalign.h>

#include "apus_match.h"

enum {
    MATCH_STEP_BITS = 6,
    MATCH_FANOUT = 1 << MATCH_STEP_BITS,
    MATCH_HEIGHTS = 7,    /* 42 bits of key: 0 ... 2^41 */
    MATCH_HEIGHT_BITS = 3, /* of a node reference */
    MATCH_SLOT_BITS = 24,  /* of a handle */
};

#define MATCH_NO_KEY UINT64_MAX

/* One resting (or free) order: one cache line. */
typedef struct match_order {
    alignas(APUS_CACHE_LINE) uint64_t handle; /* generation and slot; a free slot holds its next handle */
    uint64_t tag;
    apus_qty_lots remaining, executed;
    apus_price_ticks price;
    uint32_t next, previous; /* in the level's queue; next also chains free slots */
    uint32_t level;          /* 0: free */
    uint32_t owner;
    uint8_t side;
    uint8_t flags;
} match_order;
static_assert(sizeof(match_order) == APUS_CACHE_LINE, "a cancel touches one line an order");

typedef struct match_level {
    uint64_t key;
    apus_qty_lots total;
    uint32_t head, tail; /* oldest and newest order; head also chains free levels */
    uint32_t leaf;       /* reference of the node that holds it */
    uint32_t unused;
} match_level;
static_assert(sizeof(match_level) == 32, "two levels a cache line");

/* A node of height h covers 64^(h+1) keys. A reference is its index and, in the low bits, its height. */
typedef struct match_node {
    alignas(APUS_CACHE_LINE) uint64_t bits; /* which children exist; other entries of `children` are stale */
    uint64_t prefix;                        /* the key's bits above the node */
    uint32_t parent;                        /* reference; 0: the root. Chains free nodes */
    alignas(APUS_CACHE_LINE) uint32_t children[MATCH_FANOUT]; /* references; in a leaf (height 0): levels */
} match_node;
static_assert(sizeof(match_node) == 5 * APUS_CACHE_LINE, "header and four lines of children");

typedef struct match_side {
    uint64_t best_key; /* MATCH_NO_KEY: the side is empty */
    uint32_t best;     /* level */
    uint32_t root;     /* node reference */
    int64_t sign;      /* key = sign * price + APUS_MATCH_PRICE_LIMIT */
    match_level *levels;
    match_node *nodes;
    uint32_t level_count;             /* in use */
    uint32_t free_level, fresh_level; /* chain of released ones; the first never used */
    uint32_t free_node, fresh_node;
} match_side;

struct apus_match {
    size_t mapped_bytes;
    match_order *orders;
    apus_match_report *reports;
    uint32_t report_count;
    uint32_t order_count;            /* resting */
    uint32_t free_order, fresh_order;
    apus_match_limits limits;
    match_side sides[2]; /* by apus_side */
};

static inline uint64_t match_key(const match_side *side, apus_price_ticks price)
{
    return (uint64_t)(side->sign * price + APUS_MATCH_PRICE_LIMIT);
}

static inline apus_price_ticks match_price(const match_side *side, uint64_t key)
{
    return side->sign * ((apus_price_ticks)key - APUS_MATCH_PRICE_LIMIT);
}

static inline match_node *match_node_at(const match_side *side, uint32_t ref)
{
    return &side->nodes[ref >> MATCH_HEIGHT_BITS];
}

static inline unsigned match_height(uint32_t ref)
{
    return ref & ((1u << MATCH_HEIGHT_BITS) - 1);
}

/* Which child of a node of this height the key belongs to. */
static inline unsigned match_child(uint64_t key, unsigned height)
{
    return (unsigned)(key >> (MATCH_STEP_BITS * height)) & (MATCH_FANOUT - 1);
}

static inline uint64_t match_prefix(uint64_t key, unsigned height)
{
    return key >> (MATCH_STEP_BITS * (height + 1));
}

/* The level of a key, or 0. Only the leaf's prefix is compared: on the way down a wrong turn ends
 * at a missing child or at a leaf of another prefix. */
static inline uint32_t match_find_level(const match_side *side, uint64_t key)
{
    uint32_t ref = side->root;
    while (ref != 0) {
        const match_node *node = match_node_at(side, ref);
        const unsigned height = match_height(ref);
        const unsigned child = match_child(key, height);
        if (((node->bits >> child) & 1) == 0) {
            return 0;
        }
        if (height == 0) {
            return node->prefix == match_prefix(key, 0) ? node->children[child] : 0;
        }
        ref = node->children[child];
    }
    return 0;
}

/* The best level below a node. */
static inline uint32_t match_first_level(const match_side *side, uint32_t ref)
{
    for (;;) {
        const match_node *node = match_node_at(side, ref);
        const uint32_t child = node->children[__builtin_ctzll(node->bits)];
        if (match_height(ref) == 0) {
            return child;
        }
        ref = child;
    }
}

/* The next worse level, or 0. */
static inline uint32_t match_next_level(const match_side *side, uint32_t level)
{
    const uint64_t key = side->levels[level].key;
    for (uint32_t ref = side->levels[level].leaf; ref != 0; ref = match_node_at(side, ref)->parent) {
        const match_node *node = match_node_at(side, ref);
        const unsigned height = match_height(ref);
        const uint64_t later = node->bits & ~(UINT64_MAX >> (MATCH_FANOUT - 1 - match_child(key, height)));
        if (later != 0) {
            const uint32_t child = node->children[__builtin_ctzll(later)];
            return height == 0 ? child : match_first_level(side, child);
        }
    }
    return 0;
}

static inline match_order *match_resting(const apus_match *match, uint64_t handle)
{
    const uint32_t slot = (uint32_t)handle & APUS_MATCH_MAX_ORDERS;
    if (slot == 0 || slot > match->limits.max_orders) {
        return NULL;
    }
    match_order *order = &match->orders[slot];
    return order->handle == handle && order->level != 0 ? order : NULL;
}

#endif
