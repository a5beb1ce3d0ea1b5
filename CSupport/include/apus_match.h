/* apus_match.h: a price-time matching engine for one instrument: integer prices and sizes, no clock, no I/O.
 *
 * Ownership: apus_match_create allocates everything; nothing allocates afterwards. One thread. The
 *            memory is asked for at once but touched on first use, unless the process locks its memory.
 * Reports:   a call leaves its reports in a buffer of the engine, in the order in which things
 *            happened: for an incoming order first its trades (best price first, oldest first), then
 *            exactly one report on what became of it. The next new, cancel or modify overwrites them.
 *            There is no callback, so nothing can call back into a half-done match.
 * Bounds:    a price is within ±2^40 ticks and the instrument's own limits, a size 1 ... 2^53 lots.
 *            What does not fit is REJECTED before anything has changed.
 * Cost:      new, cancel and modify are O(1) plus one step a trade, wherever the prices are: a side
 *            finds its levels in a trie of at most seven steps, usually two or three.
 *
 * The rules come from Thalex (trading methods insert and amend; self-trade prevention), but say
 * nothing about accounts, margins or messages. The corners:
 *  - A market order's price is ignored, but echoed in its reports.
 *  - Post-only never trades, hence never meets self-trade prevention. A price that crosses becomes one
 *    tick behind the opposite best, whoever owns that; if this lies outside the instrument's prices
 *    (a buy pushed below min_price_ticks), the order is CANCELLED as IMMEDIATE, as it is with
 *    POST_ONLY_REJECT.
 *  - Reduce-only is looked at once, on entry. Shrinking the order later is the caller's modify or cancel.
 *  - Self-trade, default: the incoming order trades until it meets the first order of its owner, in
 *    price-time order; what is left is CANCELLED as SELF_TRADE, the resting order stays as it was.
 *  - Self-trade, STP_NO_FILL: if the above would cut it short, it is CANCELLED whole instead. An own
 *    order behind the one that completes it does no harm.
 *  - An order that may rest is REJECTED as FULL before it trades if there is no free slot, or no free
 *    level where it needs one, even if it would have traded completely. IOC and market orders
 *    need no room and are never refused for it.
 *  - A modified order is a plain limit order again: post-only and reduce-only do not survive entry,
 *    STP_NO_FILL does. A REJECTED modify leaves the order untouched.
 */
#ifndef APUS_MATCH_H
#define APUS_MATCH_H

#include "apus_base.h"

#if defined(__clang__)
#define APUS_MATCH_HOT __attribute__((swift_attr("@_noLocks")))
#else
#define APUS_MATCH_HOT
#endif

typedef struct apus_match apus_match;

#define APUS_MATCH_PRICE_LIMIT ((int64_t)1 << 40) /* ticks, either side of zero, inclusive */
#define APUS_MATCH_QTY_LIMIT ((int64_t)1 << 53)   /* lots, inclusive */
#define APUS_MATCH_MAX_ORDERS 0xFFFFFFu           /* a handle has 24 bits of slot and 40 of generation */

typedef enum APUS_CLOSED_ENUM APUS_NAME(MatchReportKind) apus_match_report_kind {
    APUS_MATCH_ACCEPTED APUS_NAME(accepted) = 0, /* rests, with `remaining_lots` at `price_ticks` */
    APUS_MATCH_TRADE APUS_NAME(trade),           /* `qty_lots` at the maker's price; both sides named */
    APUS_MATCH_DONE APUS_NAME(done),             /* the incoming order is fully executed */
    APUS_MATCH_CANCELLED APUS_NAME(cancelled),   /* gone with `remaining_lots` not executed; `reason` says why */
    APUS_MATCH_REJECTED APUS_NAME(rejected),     /* the request changed nothing; `reason` says why */
    APUS_MATCH_AMENDED APUS_NAME(amended),       /* a modify took effect and the order rests */
} apus_match_report_kind;

typedef enum APUS_CLOSED_ENUM APUS_NAME(MatchReason) apus_match_reason {
    APUS_MATCH_REASON_NONE APUS_NAME(none) = 0,
    APUS_MATCH_REASON_CLIENT APUS_NAME(client),                 /* asked for */
    APUS_MATCH_REASON_IMMEDIATE APUS_NAME(immediate),           /* IOC or market remainder; refused post-only */
    APUS_MATCH_REASON_SELF_TRADE APUS_NAME(selfTrade),
    APUS_MATCH_REASON_REDUCE_ONLY APUS_NAME(reduceOnly),        /* would not reduce the position */
    APUS_MATCH_REASON_BAD_PRICE APUS_NAME(badPrice),            /* outside the instrument's prices */
    APUS_MATCH_REASON_BAD_QTY APUS_NAME(badQty),                /* not 1 ... 2^53; after a modify, executed part included */
    APUS_MATCH_REASON_UNKNOWN_ORDER APUS_NAME(unknownOrder),
    APUS_MATCH_REASON_FULL APUS_NAME(full),                     /* no free order slot or price level, or the
                                                                   level's total would pass 2^63 - 1 */
    APUS_MATCH_REASON_BAD_FLAGS APUS_NAME(badFlags),            /* no such side or flag; post-only with market or IOC;
                                                                   POST_ONLY_REJECT without POST_ONLY */
} apus_match_reason;

/* Bits of apus_match_order.flags. Without MARKET and IOC, an order is good till cancelled. */
enum {
    APUS_MATCH_MARKET = 1,           /* no price limit; implies immediate-or-cancel */
    APUS_MATCH_IOC = 2,
    APUS_MATCH_POST_ONLY = 4,        /* a crossing price is moved to one tick behind the opposite best */
    APUS_MATCH_POST_ONLY_REJECT = 8, /* with POST_ONLY: cancelled instead of moved */
    APUS_MATCH_REDUCE_ONLY = 16,     /* size cut to `reducible_lots`; rejected if that is not positive */
    APUS_MATCH_STP_NO_FILL = 32,     /* self-trade: the incoming order does not trade at all if it would meet its owner's */
};

typedef struct APUS_NAME(MatchLimits) apus_match_limits {
    uint32_t max_orders APUS_NAME(maxOrders); /* resting at once, 1 ... APUS_MATCH_MAX_ORDERS; 144 bytes each */
    uint32_t max_levels APUS_NAME(maxLevels); /* distinct prices a side at once, >= 1; more than max_orders is no use; about 1.4 KB each */
    apus_price_ticks min_price_ticks APUS_NAME(minPrice); /* lowest and highest price that may rest, within ±APUS_MATCH_PRICE_LIMIT */
    apus_price_ticks max_price_ticks APUS_NAME(maxPrice);
} apus_match_limits;

typedef struct APUS_NAME(MatchOrder) apus_match_order {
    uint64_t tag;                  /* the caller's own number, echoed in every report */
    uint32_t owner;                /* self-trade group; 0 = anonymous, trades with everybody */
    uint8_t side APUS_NAME(sideCode); /* apus_side */
    uint8_t flags APUS_NAME(flagBits);
    apus_price_ticks price_ticks APUS_NAME(price);
    apus_qty_lots qty_lots APUS_NAME(quantity);
    apus_qty_lots reducible_lots APUS_NAME(reducible); /* only with REDUCE_ONLY */
} apus_match_order;

typedef struct APUS_NAME(MatchReport) apus_match_report {
    uint8_t kind APUS_NAME(kindCode);     /* apus_match_report_kind */
    uint8_t reason APUS_NAME(reasonCode); /* apus_match_reason */
    uint8_t side APUS_NAME(sideCode);     /* of the order that the call was about */
    uint32_t owner;
    uint64_t handle, tag;                 /* that order; handle 0 while it does not rest (a new order's trades).
                                             An unknown order: the handle asked for, the rest is 0 */
    apus_price_ticks price_ticks APUS_NAME(price);      /* trade price, or the order's (possibly moved) price */
    apus_qty_lots qty_lots APUS_NAME(quantity);         /* traded; else the order's total size, executed part included */
    apus_qty_lots remaining_lots APUS_NAME(remaining);  /* of that order, after this report; CANCELLED: what was cancelled */
    uint64_t maker_handle APUS_NAME(makerHandle), maker_tag APUS_NAME(makerTag); /* trades only */
    uint32_t maker_owner APUS_NAME(makerOwner);
    apus_qty_lots maker_remaining_lots APUS_NAME(makerRemaining); /* 0: the maker is gone with this trade (no further report for it) */
} apus_match_report;
static_assert(sizeof(apus_match_report) == 80, "a report is written for every trade");

/* What rests under a handle. */
typedef struct APUS_NAME(MatchResting) apus_match_resting {
    uint64_t handle, tag;
    uint32_t owner;
    uint8_t side APUS_NAME(sideCode);
    apus_price_ticks price_ticks APUS_NAME(price);
    apus_qty_lots qty_lots APUS_NAME(quantity);        /* total size, executed part included */
    apus_qty_lots remaining_lots APUS_NAME(remaining);
} apus_match_resting;

/* 0, -EINVAL if a limit is out of its range, or -ENOMEM. Cold. */
int apus_match_create(const apus_match_limits *APUS_NONNULL limits, apus_match *APUS_NULLABLE *APUS_NONNULL out);
void apus_match_destroy(apus_match *APUS_NULLABLE match);

/* A new order. Returns its handle if it rests afterwards, else 0. Its last report is ACCEPTED, DONE,
 * CANCELLED or REJECTED. A handle is never 0 and is not used again for 2^40 orders in the same slot. */
APUS_MATCH_HOT uint64_t apus_match_new(apus_match *APUS_NONNULL match, const apus_match_order *APUS_NONNULL order);

/* Cancels what rests under `handle`, with one CANCELLED report that carries `reason`; false, with a
 * REJECTED report, if nothing does. */
APUS_MATCH_HOT bool apus_match_cancel(apus_match *APUS_NONNULL match, uint64_t handle, apus_match_reason reason);

/* New price and new remaining size. The same price and no larger a size keep the place in the
 * queue; anything else goes to the end of its level, and may trade, under the order's own self-trade
 * rule. The handle stays valid while the order rests. Its last report is AMENDED, DONE (traded
 * completely), CANCELLED (self-trade) or REJECTED. Returns whether the order rests afterwards. */
APUS_MATCH_HOT bool apus_match_modify(apus_match *APUS_NONNULL match, uint64_t handle, apus_price_ticks price_ticks,
                                      apus_qty_lots remaining_lots);

/* The reports of the last new, cancel or modify; valid until the next one. At most max_orders + 1. */
APUS_MATCH_HOT const apus_match_report *APUS_NONNULL apus_match_reports(const apus_match *APUS_NONNULL match,
                                                                        uint32_t *APUS_NONNULL count);

/* Best price and its total size; false if the side is empty. */
APUS_MATCH_HOT bool apus_match_best(const apus_match *APUS_NONNULL match, apus_side side,
                                    apus_price_ticks *APUS_NONNULL price_ticks, apus_qty_lots *APUS_NONNULL qty_lots);

/* Total resting size at a price, 0 if none (or if the price is out of range). */
APUS_MATCH_HOT apus_qty_lots apus_match_depth(const apus_match *APUS_NONNULL match, apus_side side,
                                              apus_price_ticks price_ticks);

/* Writes up to `max` levels of a side, best first; returns how many. */
APUS_MATCH_HOT uint32_t apus_match_levels(const apus_match *APUS_NONNULL match, apus_side side,
                                          apus_price_ticks *APUS_NONNULL prices, apus_qty_lots *APUS_NONNULL sizes,
                                          uint32_t max);

/* Writes up to `max` handles of the orders at a price, oldest first; returns how many. */
APUS_MATCH_HOT uint32_t apus_match_queue(const apus_match *APUS_NONNULL match, apus_side side,
                                         apus_price_ticks price_ticks, uint64_t *APUS_NONNULL handles, uint32_t max);

/* What rests under `handle`; false if nothing does. */
APUS_MATCH_HOT bool apus_match_find(const apus_match *APUS_NONNULL match, uint64_t handle,
                                    apus_match_resting *APUS_NONNULL out);

/* Orders resting now. */
APUS_MATCH_HOT uint32_t apus_match_count(const apus_match *APUS_NONNULL match);

/* Verifies every invariant of the data structure, in time linear in its size: NULL, or what is
 * broken. For tests and fuzzers. Cold. */
const char *APUS_NULLABLE apus_match_check(const apus_match *APUS_NONNULL match);

typedef void (*apus_match_callback)(void *APUS_NULLABLE context, const apus_match_report *APUS_NONNULL report);

/* Calls `callback` with each report of the last new, cancel or modify, in order: for callers that would
 * rather be called back. The callback must leave the engine alone until it has seen the last report. */
static inline void apus_match_deliver(const apus_match *APUS_NONNULL match, apus_match_callback APUS_NONNULL callback,
                                      void *APUS_NULLABLE context)
{
    uint32_t count = 0;
    const apus_match_report *const reports = apus_match_reports(match, &count);
    for (uint32_t i = 0; i < count; i++) {
        callback(context, &reports[i]);
    }
}

#endif
