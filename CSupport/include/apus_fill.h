/* apus_fill.h: one execution as the journal keeps it. Host byte order; every byte is defined. */
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

#endif
