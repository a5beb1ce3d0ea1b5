/* apus_match.h: a price-time matching engine for one instrument: integer prices and sizes, no clock, no I/O.
 *
 * Ownership: apus_match_create allocates everything; nothing allocates afterwards. One thread.
 * Order:     reports are delivered through one callback, inside the call that caused them, in the
 *            order in which they happened: for an incoming order first its trades (best price first,
 *            oldest first), then its own final or resting state.
 */
#ifndef APUS_MATCH_H
#define APUS_MATCH_H

#include "apus_base.h"

typedef struct apus_match apus_match;

typedef enum APUS_CLOSED_ENUM APUS_NAME(MatchReportKind) apus_match_report_kind {
    APUS_MATCH_ACCEPTED APUS_NAME(accepted) = 0, /* rests, with `remaining_lots` at `price_ticks` */
    APUS_MATCH_TRADE APUS_NAME(trade),           /* `qty_lots` at the maker's price; both sides named */
    APUS_MATCH_DONE APUS_NAME(done),             /* the incoming order is fully executed */
    APUS_MATCH_CANCELLED APUS_NAME(cancelled),   /* gone with `remaining_lots` not executed; `reason` says why */
    APUS_MATCH_REJECTED APUS_NAME(rejected),     /* never entered the book; `reason` says why */
    APUS_MATCH_AMENDED APUS_NAME(amended),       /* a modify took effect and the order rests */
} apus_match_report_kind;

typedef enum APUS_CLOSED_ENUM APUS_NAME(MatchReason) apus_match_reason {
    APUS_MATCH_REASON_NONE APUS_NAME(none) = 0,
    APUS_MATCH_REASON_CLIENT APUS_NAME(client),                 /* asked for */
    APUS_MATCH_REASON_IMMEDIATE APUS_NAME(immediate),           /* IOC or market remainder; refused post-only */
    APUS_MATCH_REASON_SELF_TRADE APUS_NAME(selfTrade),
    APUS_MATCH_REASON_REDUCE_ONLY APUS_NAME(reduceOnly),        /* would not reduce the position */
    APUS_MATCH_REASON_BAD_PRICE APUS_NAME(badPrice),
    APUS_MATCH_REASON_BAD_QTY APUS_NAME(badQty),
    APUS_MATCH_REASON_UNKNOWN_ORDER APUS_NAME(unknownOrder),
    APUS_MATCH_REASON_FULL APUS_NAME(full),                     /* no free order slot or price level */
} apus_match_reason;

/* Bits of apus_match_order.flags. */
enum {
    APUS_MATCH_MARKET = 1,           /* no price limit; implies immediate-or-cancel */
    APUS_MATCH_IOC = 2,
    APUS_MATCH_POST_ONLY = 4,        /* a crossing price is moved to one tick behind the opposite best */
    APUS_MATCH_POST_ONLY_REJECT = 8, /* with POST_ONLY: cancelled instead of moved */
    APUS_MATCH_REDUCE_ONLY = 16,     /* size cut to `reducible_lots`; rejected if that is 0 */
    APUS_MATCH_STP_NO_FILL = 32,     /* self-trade: the incoming order does not trade at all if it would meet its owner's */
};

typedef struct APUS_NAME(MatchOrder) apus_match_order {
    uint64_t tag;     /* the caller's own number, echoed in every report */
    uint32_t owner;   /* self-trade group; 0 = anonymous, trades with everybody */
    uint8_t side;     /* apus_side */
    uint8_t flags;
    apus_price_ticks price_ticks;
    apus_qty_lots qty_lots;
    apus_qty_lots reducible_lots; /* only with REDUCE_ONLY */
} apus_match_order;

typedef struct APUS_NAME(MatchReport) apus_match_report {
    uint8_t kind;   /* apus_match_report_kind */
    uint8_t reason; /* apus_match_reason */
    uint8_t side;   /* of the order that the call was about */
    uint32_t owner;
    uint64_t handle, tag;            /* that order; handle 0 if it never rested */
    apus_price_ticks price_ticks;    /* trade price, or the order's (possibly moved) price */
    apus_qty_lots qty_lots;          /* traded; else the order's total size */
    apus_qty_lots remaining_lots;    /* of that order, after this report */
    uint64_t maker_handle, maker_tag; /* trades only */
    uint32_t maker_owner;
    apus_qty_lots maker_remaining_lots; /* 0: the maker is gone with this trade (no further report for it) */
} apus_match_report;

typedef void (*apus_match_callback)(void *APUS_NULLABLE context, const apus_match_report *APUS_NONNULL report);

/* 0, -EINVAL or -ENOMEM. `max_orders` resting at once, `max_levels` distinct prices a side at once. Cold. */
int apus_match_create(uint32_t max_orders, uint32_t max_levels, apus_match_callback APUS_NONNULL callback,
                      void *APUS_NULLABLE context, apus_match *APUS_NULLABLE *APUS_NONNULL out);
void apus_match_destroy(apus_match *APUS_NULLABLE match);

/* A new order. Returns its handle if it rests afterwards, else 0 (the reports say what happened).
 * Self-trade, default mode: trades down to the first order of the same owner, then the rest is
 * cancelled; the resting order stays. */
uint64_t apus_match_new(apus_match *APUS_NONNULL match, const apus_match_order *APUS_NONNULL order);

/* Cancels what rests under `handle`; false, with a REJECTED report, if nothing does. */
bool apus_match_cancel(apus_match *APUS_NONNULL match, uint64_t handle, apus_match_reason reason);

/* New price and new remaining size (> 0). The same price and a smaller size keep the place in the
 * queue; anything else goes to the end of its level, and may trade. The handle stays valid while
 * the order rests. Returns false if nothing rests afterwards. */
bool apus_match_modify(apus_match *APUS_NONNULL match, uint64_t handle, apus_price_ticks price_ticks,
                       apus_qty_lots remaining_lots);

/* Best price and its total size; false if the side is empty. */
bool apus_match_best(const apus_match *APUS_NONNULL match, apus_side side,
                     apus_price_ticks *APUS_NONNULL price_ticks, apus_qty_lots *APUS_NONNULL qty_lots);

/* Total resting size at a price, 0 if none. */
apus_qty_lots apus_match_depth(const apus_match *APUS_NONNULL match, apus_side side, apus_price_ticks price_ticks);

/* Writes up to `max` levels of a side, best first; returns how many. */
uint32_t apus_match_levels(const apus_match *APUS_NONNULL match, apus_side side,
                           apus_price_ticks *APUS_NONNULL prices, apus_qty_lots *APUS_NONNULL sizes, uint32_t max);

/* Orders resting now. */
uint32_t apus_match_count(const apus_match *APUS_NONNULL match);

#endif
