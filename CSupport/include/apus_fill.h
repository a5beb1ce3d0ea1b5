/* apus_fill.h: executions and accounts as the journal keeps them. Host byte order; every byte is defined. */
#ifndef APUS_FILL_H
#define APUS_FILL_H

#include "apus_base.h"

typedef struct APUS_NAME(FillRecord) apus_fill_record {
    apus_id trade_id;
    apus_id order_id;
    apus_price_ticks price_ticks;
    apus_qty_lots qty_lots;
    int64_t fee_e8;          /* paid if positive; only with has_fee */
    int64_t venue_time_ns;   /* since the Unix epoch */
    uint16_t instrument_index;
    uint8_t side;            /* apus_side */
    uint8_t is_maker;
    uint8_t has_fee;
    uint8_t is_fee_only;     /* the execution was booked by an earlier record; this brings its fee */
    uint8_t reserved[2];
} apus_fill_record;
static_assert(sizeof(apus_fill_record) == 120, "no padding");

/* How the account of one instrument stands. Absolute, so that the last one tells all. */
typedef struct APUS_NAME(AccountRecord) apus_account_record {
    apus_qty_lots position_lots; /* only with is_position_known */
    int64_t lot_e8;              /* what a lot is, 10^-8 contracts; 0: never listed */
    int64_t cash_e8;             /* proceeds of sells less costs of buys, fees not taken off */
    int64_t fees_e8;
    apus_qty_lots bought_lots;
    apus_qty_lots sold_lots;
    int64_t traded_e8;                    /* value of all executions */
    int64_t opened_ns;                    /* venue's clock: the account begins there; 0: not known */
    int64_t included_until_ns;            /* venue's clock: executions until then are part of the position */
    apus_price_ticks included_mark_ticks; /* what a lot of them was valued at */
    int64_t venue_time_ns;                /* newest execution of any instrument that was booked, venue's clock */
    uint32_t fill_count;
    uint32_t fills_without_fee;
    uint32_t adjustment_count; /* times that the venue's position was taken over because it differed */
    uint16_t instrument_index;
    uint8_t is_position_known;
    uint8_t reserved;
} apus_account_record;
static_assert(sizeof(apus_account_record) == 104, "no padding");

/* An execution, and how the account stands with it: one record, so that no death of the process comes between. */
typedef struct APUS_NAME(BookedFillRecord) apus_booked_fill_record {
    apus_fill_record fill;
    apus_account_record account;
} apus_booked_fill_record;
static_assert(sizeof(apus_booked_fill_record) == 224, "no padding");

#endif
