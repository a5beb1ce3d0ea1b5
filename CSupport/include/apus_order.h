/* apus_order.h: the record of one order of ours, two cache lines, plain data.
 *
 * What the venue last confirmed and what the request in flight asks for are kept apart: the truth
 * about an order is the first, the worst case is the larger of both.
 */
#ifndef APUS_ORDER_H
#define APUS_ORDER_H

#include "apus_base.h"

/* What is known of an order's existence. Only the venue's word moves one to DEAD. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(OrderPhase) apus_order_phase {
    APUS_ORDER_FREE APUS_NAME(free) = 0,       /* the slot holds no order */
    APUS_ORDER_INSERTING APUS_NAME(inserting), /* sent; the venue has not said anything yet */
    APUS_ORDER_LIVE APUS_NAME(live),           /* the venue says that it rests */
    APUS_ORDER_UNKNOWN APUS_NAME(unknown),     /* the outcome of a request is not known: counts as live */
    APUS_ORDER_DEAD APUS_NAME(dead),           /* the venue says that it is gone */
} apus_order_phase;

/* The request of ours that has no answer yet; at most one per order. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(InFlight) apus_in_flight {
    APUS_IN_FLIGHT_NONE APUS_NAME(none) = 0,
    APUS_IN_FLIGHT_INSERT APUS_NAME(insert),
    APUS_IN_FLIGHT_AMEND APUS_NAME(amend),
    APUS_IN_FLIGHT_CANCEL APUS_NAME(cancel),
} apus_in_flight;

typedef struct APUS_NAME(OrderRecord) apus_order {
    uint64_t client_id;            /* generation and slot index in one integer; 0 in a free slot */
    apus_price_ticks price_ticks;  /* as last confirmed */
    apus_qty_lots qty_lots;        /* total size as last confirmed, filled part included */
    apus_qty_lots filled_lots;     /* sum of the fills that were booked: the truth */
    apus_qty_lots reported_lots;   /* filled amount as the venue reported it; ahead of the sum when a fill is late */
    apus_price_ticks target_ticks; /* what the request in flight asks for */
    apus_qty_lots target_lots;
    int64_t sent_ns;               /* when the request in flight left */
    apus_id venue_id;
    uint32_t next, previous;       /* neighbours in the owner's list, slot indexes */
    uint16_t instrument_index;
    uint8_t side;                  /* apus_side */
    uint8_t phase;                 /* apus_order_phase */
    uint8_t in_flight;             /* apus_in_flight */
    uint8_t cancel_attempts;
    uint8_t flags;                 /* owner's use */
    uint8_t level;                 /* owner's use: the announcement of a mass quote, see StateTracker */
} apus_order;
static_assert(sizeof(apus_order) == 120, "within two cache lines");

#endif
