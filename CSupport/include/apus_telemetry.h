/* apus_telemetry.h: a mapped file in which the engine shows itself to other processes.
 *
 * Threads:   each lane's block has one writer, its lane; heartbeat and identity one, the engine. Any number
 *            of processes read. Only the control page may be written by others.
 * Hot path:  inline relaxed stores; a text or an instrument goes under its own sequence lock, which
 *            never makes the writer wait and lets a reader notice that it saw half (modelled in
 *            Tests/Models/telemetry.pml and verified by tools/models: keep the two alike).
 * Clock:     every *_ns here is CLOCK_MONOTONIC, which all processes of a machine share, except
 *            start_wall_ns (nanoseconds since 1970 UTC).
 * Life:      the file is built beside its place and renamed into it, so nobody opens half of one. The writer
 *            holds a lock on byte 0 while it lives: who wants to know asks apus_telemetry_writer_lives.
 *
 * ---------------------------------------------------------------------------------------------------
 * Layout, version 2; little-endian; offsets in bytes. All sizes are also in the file's header.
 *        0  apus_telemetry_header: what the file is; fixed once it is in place, but for the heartbeat
 *     4096  apus_telemetry_control: the stop word and the count of re-armings
 *     8192  apus_telemetry_counter_entry[64]: name and kind of each counter slot
 *    12288  apus_telemetry_lane[8], each:
 *             +0       name, presence, heartbeat, state, counters; what lane and watchdog answer to a halt; last events
 *             +4096    spans: 10 × 16,384 bytes, each the memory of one latency histogram
 *             +167936  apus_telemetry_instrument_slot[512], 512 bytes each
 * The header's mode came within version 2, to a place that was empty: 0 in files of before, which readers take.
 * Version 1 had smaller instruments and other spans; its control page, and so a halt, is taken over. Counters and spans
 * may be added within a version: a reader goes by the names in the file, and a span without values is one not recorded.
 * ---------------------------------------------------------------------------------------------------
 */
#ifndef APUS_TELEMETRY_H
#define APUS_TELEMETRY_H

#include <stdalign.h>
#include <stdatomic.h>

#include "apus_base.h"

#define APUS_TELEMETRY_VERSION 2
#define APUS_TELEMETRY_LANES 8
#define APUS_TELEMETRY_INSTRUMENTS 512 /* per lane */
#define APUS_TELEMETRY_COUNTERS 64     /* per lane */
#define APUS_TELEMETRY_SPANS 10        /* per lane */
#define APUS_TELEMETRY_SPAN_BYTES 16384
#define APUS_TELEMETRY_TEXT_BYTES 120 /* with the zero byte behind it */
#define APUS_TELEMETRY_NAME_BYTES 32  /* likewise */
#define APUS_TELEMETRY_BLOCK_BYTES 88 /* likewise */
#define APUS_TELEMETRY_EVENTS 8       /* per lane */
#define APUS_TELEMETRY_HORIZONS 3     /* of markouts */

/* The counters: symbol, Swift name, name in the file, kind ('c' only rises, 'g' is a level), meaning. New
 * ones go to the end; the number of a slot never changes within a version of the layout. */
#define APUS_TELEMETRY_COUNTER_LIST(X)                                                                            \
    X(FRAMES_IN, framesIn, "frames_in", 'c', "Frames received from the venue")                                    \
    X(FRAMES_OUT, framesOut, "frames_out", 'c', "Frames sent to the venue")                                       \
    X(BYTES_IN, bytesIn, "bytes_in", 'c', "Payload bytes of these frames, without WebSocket headers and TLS")      \
    X(BYTES_OUT, bytesOut, "bytes_out", 'c', "Payload bytes of the frames sent, likewise")                        \
    X(MESSAGES_USED, messagesUsed, "messages_used", 'c', "Messages taken from the rate budget")                   \
    X(MESSAGES_THROTTLED, messagesThrottled, "messages_throttled", 'c', "Messages held back for want of budget")  \
    X(INSERTS, inserts, "inserts", 'c', "Orders sent")                                                            \
    X(AMENDS, amends, "amends", 'c', "Amendments sent")                                                           \
    X(CANCELS, cancels, "cancels", 'c', "Cancellations sent")                                                     \
    X(FILLS, fills, "fills", 'c', "Fills applied")                                                                \
    X(FILLS_REPEATED, fillsRepeated, "fills_repeated", 'c', "Fills reported again and not applied")               \
    X(REJECTS, rejects, "rejects", 'c', "Requests that the venue rejected")                                       \
    X(RISK_REFUSALS, riskRefusals, "risk_refusals", 'c', "Commands that the risk gate refused")                   \
    X(EDGE_REFUSALS, edgeRefusals, "edge_refusals", 'c', "Reports that were impossible and were not believed")    \
    X(GAPS, gaps, "gaps", 'c', "Gaps found in a stream")                                                          \
    X(RECONNECTS, reconnects, "reconnects", 'c', "Connections made after the first")                              \
    X(LIMIT_BREACHES, limitBreaches, "limit_breaches", 'c', "Risk limits found exceeded")                         \
    X(RATE_VIOLATIONS, rateViolations, "rate_violations", 'c', "Rate limits that the venue said were exceeded")   \
    X(RECONCILIATIONS, reconciliations, "reconciliations", 'c', "Times all orders were compared with the venue")  \
    X(DIRECTIVES, directives, "directives", 'c', "Directives received from the manager")                          \
    X(RING_FULL, ringFull, "ring_full", 'c', "Events that found the ring to the manager full")                    \
    X(JOURNAL_LOST, journalLost, "journal_lost", 'c', "Records that the journal had to refuse")                   \
    X(TURNS, turns, "turns", 'c', "Turns of the lane's loop")                                                     \
    X(ORDERS_LIVE, ordersLive, "orders_live", 'g', "Orders that count as live")                                   \
    X(ORDERS_UNKNOWN, ordersUnknown, "orders_unknown", 'g', "Orders whose outcome is not known")                  \
    X(ORDERS_IN_FLIGHT, ordersInFlight, "orders_in_flight", 'g', "Requests without an answer")                    \
    X(ORDERS_FOREIGN, ordersForeign, "orders_foreign", 'g', "Orders of others on the same account")               \
    X(RING_HIGH_WATER, ringHighWater, "ring_high_water", 'g', "Most events that waited in a ring at once")             \
    X(MESSAGE_BUDGET, messageBudget, "message_budget", 'g', "Order messages a second that the lane may send")      \
    X(HALT_LEVEL, haltLevel, "halt_level", 'g', "Level of the kill ladder that rules: 0 none to 5 disconnect")     \
    X(HALTS, halts, "halts", 'c', "Times that a cause of the kill ladder set or raised its latch")                 \
    X(PAUSES, pauses, "pauses", 'c', "Times that a safety rule pulled an instrument's quotes for a while")         \
    X(CLOCK_OFFSET_US, clockOffsetUs, "clock_offset_us", 'g', "Our clock against the venue's, microseconds, no sign") \
    X(WATCHDOG_TRIPS, watchdogTrips, "watchdog_trips", 'c', "Times that the watchdog pulled the quotes")           \
    X(MASS_QUOTES, massQuotes, "mass_quotes", 'c', "Mass quotes sent, of whatever many instruments")               \
    X(MOVES, moves, "moves", 'c', "Moves to a connection made before an announced closure")                        \
    X(BUDGET_LEFT, budgetLeft, "budget_left", 'g', "Order messages that may be sent at once")                      \
    X(CANCELS_LEFT, cancelsLeft, "cancels_left", 'g', "Cancellations that may be sent at once")                    \
    X(FILLS_MISSING, fillsMissing, "fills_missing", 'g', "Ended orders that may lack executions not told yet")     \
    X(POSITIONS_ADJUSTED, positionsAdjusted, "positions_adjusted", 'c', "Times the venue's position was taken over because it differed") \
    X(INSTRUMENTS_QUOTED, instrumentsQuoted, "instruments_quoted", 'g', "Instruments with a bid and an ask of ours") \
    X(JOURNAL_FAILED, journalFailed, "journal_failed", 'g', "1: a record could not be written, and quoting has stopped") \
    X(TICKS, ticks, "ticks", 'c', "Tickers and book messages read")                                                \
    X(POSITIONS_DIFFER, positionsDiffer, "positions_differ", 'g', "1: the venue's last word about a position differs from ours") \
    X(ORDERS_ACCEPTED, ordersAccepted, "orders_accepted", 'c', "Orders that the venue accepted, quotes of mass quotes among them") \
    X(ORDERS_FILLED, ordersFilled, "orders_filled", 'c', "Orders of which something was executed")                   \
    X(HEDGES, hedges, "hedges", 'c', "Orders that take, as the manager asked")                                        \
    X(MARKOUTS_LEFT_OUT, markoutsLeftOut, "markouts_left_out", 'c', "Executions whose markout could not be told: too many at once, or no market") \
    X(REFUSED_LATE, refusedLate, "refused_late", 'c', "Amendments and cancellations refused because their order had been executed or ended meanwhile; not in rejects") \
    X(PARAMETERS, parameters, "parameters", 'g', "Version of the parameters that the lane quotes by: 0 those of the start, and one more with each apus apply")

typedef enum APUS_CLOSED_ENUM APUS_NAME(TelemetryCounter) apus_telemetry_counter {
#define APUS_TELEMETRY_CASE(symbol, swift, name, kind, help) APUS_TELEMETRY_##symbol APUS_NAME(swift),
    APUS_TELEMETRY_COUNTER_LIST(APUS_TELEMETRY_CASE)
#undef APUS_TELEMETRY_CASE
} apus_telemetry_counter;

typedef enum APUS_CLOSED_ENUM APUS_NAME(LaneState) apus_telemetry_state {
    APUS_TELEMETRY_CONNECTING APUS_NAME(connecting) = 0,
    APUS_TELEMETRY_SYNCING APUS_NAME(syncing) = 1, /* orders, fills and positions are being established */
    APUS_TELEMETRY_QUOTING APUS_NAME(quoting) = 2,
    APUS_TELEMETRY_FROZEN APUS_NAME(frozen) = 3, /* connected, and not quoting for the cause that is shown */
    APUS_TELEMETRY_STOPPING APUS_NAME(stopping) = 4,
    APUS_TELEMETRY_STOPPED APUS_NAME(stopped) = 5,
} apus_telemetry_state;

/* The latency histograms of a lane. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(TelemetrySpan) apus_telemetry_span_index {
    APUS_TELEMETRY_SPAN_TICK_TO_FRAME APUS_NAME(tickToFrame) = 0, /* a tick received to its order's frame written */
    APUS_TELEMETRY_SPAN_SUBMIT APUS_NAME(submit),                 /* from there to handed to the kernel: TLS and send */
    APUS_TELEMETRY_SPAN_TICK_TO_ORDER APUS_NAME(tickToOrder),     /* both */
    APUS_TELEMETRY_SPAN_ACKNOWLEDGE APUS_NAME(acknowledge),       /* a request written to the venue's answer read */
    APUS_TELEMETRY_SPAN_TURN APUS_NAME(turn), /* a turn of the loop in which something came in, to the next look at the sockets */
    /* The stages of a tick to its order's frame. Of one turn in APUS_TELEMETRY_STAGE_INTERVAL, if it led to an order; the
     * stages of a tick add up to its tick_to_frame. */
    APUS_TELEMETRY_SPAN_RECEIVE APUS_NAME(receive), /* TLS, WebSocket, the journal's record of the frame */
    APUS_TELEMETRY_SPAN_DECODE APUS_NAME(decode),   /* the frame into book, orders and positions */
    APUS_TELEMETRY_SPAN_DECIDE APUS_NAME(decide),   /* strategy and reconciler; timers */
    APUS_TELEMETRY_SPAN_RISK APUS_NAME(risk),       /* what is worth its message, and the risk gate's checks */
    APUS_TELEMETRY_SPAN_ENCODE APUS_NAME(encode),   /* budget, the orders' account, their frames and records */
} apus_telemetry_span_index;
#define APUS_TELEMETRY_SPANS_NAMED 10
#define APUS_TELEMETRY_STAGES 5 /* the last spans */
#define APUS_TELEMETRY_STAGE_INTERVAL 16

/* How much is asked of the engine; a higher level includes the lower ones. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(StopLevel) apus_telemetry_stop_level {
    APUS_TELEMETRY_STOP_NONE APUS_NAME(none) = 0,
    APUS_TELEMETRY_STOP_WIDEN APUS_NAME(widen) = 1,
    APUS_TELEMETRY_STOP_NO_NEW_ORDERS APUS_NAME(noNewOrders) = 2,
    APUS_TELEMETRY_STOP_CANCEL_ALL APUS_NAME(cancelAll) = 3,
    APUS_TELEMETRY_STOP_FLATTEN APUS_NAME(flatten) = 4,
    APUS_TELEMETRY_STOP_DISCONNECT APUS_NAME(disconnect) = 5,
} apus_telemetry_stop_level;

/* How far a lane, or its watchdog, has come with what the ladder asks of it. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(HaltOutcome) apus_telemetry_halt_outcome {
    APUS_TELEMETRY_HALT_NONE APUS_NAME(none) = 0,         /* nothing is latched */
    APUS_TELEMETRY_HALT_OBEYED APUS_NAME(obeyed) = 1,     /* widened, or no new orders: orders may rest */
    APUS_TELEMETRY_HALT_WORKING APUS_NAME(working) = 2,   /* cancelling, or verifying that nothing rests */
    APUS_TELEMETRY_HALT_VERIFIED APUS_NAME(verified) = 3, /* the venue confirms that no order of ours rests */
    APUS_TELEMETRY_HALT_CLOSING APUS_NAME(closing) = 4,   /* that, and a position is still being closed */
    APUS_TELEMETRY_HALT_FLAT APUS_NAME(flat) = 5,         /* that, and there is no position */
    APUS_TELEMETRY_HALT_OFFLINE APUS_NAME(offline) = 6,   /* no connection: nobody can be asked */
} apus_telemetry_halt_outcome;

/* What a lane answers to a halt. Written under a sequence lock; all of it is of one moment. */
typedef struct APUS_NAME(HaltAnswer) apus_telemetry_halt_answer {
    uint32_t level;         /* that rules now */
    uint32_t latched_level; /* the highest that only a person takes back */
    uint32_t outcome;       /* apus_telemetry_halt_outcome */
    uint32_t orders_left;   /* of ours, by the venue's last answer or our own count, the larger */
    uint64_t latched;       /* causes: four bits each, the level; see KillLadder */
    uint64_t passing;       /* likewise, those that end by themselves */
    uint32_t obeyed_level;  /* of the stop word, as the lane has last read it */
    uint32_t rearm_count;   /* re-armings that the lane has carried out */
    int64_t verified_ns;    /* when the venue confirmed that nothing rests; 0: not since the halt */
    int64_t answered_ns;    /* when this was written */
    int64_t clock_offset_ns; /* our clock less the venue's, network delay included; INT64_MIN: not known */
    char cause[APUS_TELEMETRY_TEXT_BYTES]; /* names of the causes, for people */
} apus_telemetry_halt_answer;
static_assert(sizeof(apus_telemetry_halt_answer) == 184, "as the layout says");
#define APUS_TELEMETRY_HALT_WORDS (sizeof(apus_telemetry_halt_answer) / 8)

/* What the watchdog of a lane has done. Written by the watchdog's thread alone, under a sequence lock. */
typedef struct APUS_NAME(WatchdogView) apus_telemetry_watchdog_view {
    uint32_t state;       /* 0 off, 1 connecting, 2 watching, 3 pulling, 4 pulled: nothing of ours rests */
    uint32_t orders_left; /* by the venue's last answer to it */
    uint64_t trip_count;
    int64_t tripped_ns;   /* the last time */
    int64_t flat_ns;      /* when the venue then confirmed that nothing rests; 0: not yet */
    int64_t answered_ns;  /* when this was written */
} apus_telemetry_watchdog_view;
static_assert(sizeof(apus_telemetry_watchdog_view) == 40, "as the layout says");
#define APUS_TELEMETRY_WATCHDOG_WORDS (sizeof(apus_telemetry_watchdog_view) / 8)

/* What a lane shows of one instrument. Prices and quantities lie on the instrument's grid; a side that is
 * not there has quantity 0. */
typedef struct APUS_NAME(InstrumentTelemetry) apus_telemetry_instrument {
    char name[APUS_TELEMETRY_NAME_BYTES];
    int64_t tick_e8;                  /* one tick in 10^-8 of the quote currency */
    int64_t lot_e8;                   /* one lot in 10^-8 contracts */
    apus_price_ticks bid_ticks;       /* best of the market, ours excluded */
    apus_qty_lots bid_lots;
    apus_price_ticks ask_ticks;
    apus_qty_lots ask_lots;
    int64_t mark_e8;                  /* mark price, 10^-8 of the quote currency; 0 if not known */
    apus_price_ticks own_bid_ticks;   /* our best */
    apus_qty_lots own_bid_lots;
    apus_price_ticks own_ask_ticks;
    apus_qty_lots own_ask_lots;
    uint32_t own_bid_level_count, own_ask_level_count;
    apus_qty_lots position_lots;      /* negative when short */
    int64_t pnl_e8;                   /* realised and unrealised, fees not deducted */
    int64_t fees_e8;                  /* paid, positive */
    uint64_t fill_count;
    int64_t quoted_ns;                /* time with both sides live … */
    int64_t observed_ns;              /* … out of this */
    uint64_t flags;                   /* bit 0: the position is known (R22) */
    /* What closing the position would begin with: size (negative sells; 0: nothing to close, or no depth), the
     * depth displayed within the worst price, the limit of the first order, and that worst price. */
    apus_qty_lots plan_lots;
    apus_qty_lots plan_depth_lots;
    apus_price_ticks plan_limit_ticks;
    apus_price_ticks plan_worst_ticks;
    /* Exposure: the position if everything that may still be bought (or sold) is, and what of that is not proven: orders whose
     * request has no answer yet, and those of unknown state. */
    apus_qty_lots worst_long_lots, worst_short_lots;
    apus_qty_lots unproven_buy_lots, unproven_sell_lots;
    apus_qty_lots limit_lots;         /* of position and exposure */
    apus_qty_lots bought_lots, sold_lots;
    int64_t traded_e8;                /* value of all executions, 10^-8 of the quote currency */
    int64_t own_bid_since_ns, own_ask_since_ns; /* since when our best has its price; 0: none */
    int64_t market_ns;                /* when the last ticker came; 0: none */
    uint64_t adjustment_count;        /* times that the venue's position was taken over because it differed */
    char block[APUS_TELEMETRY_BLOCK_BYTES]; /* why it is not quoted; empty: it is */
    /* Markouts after 1, 10 and 60 s, 10^-8 of the quote currency: what the executions have gained by then against the middle of
     * the others' quotes, and what they traded together. */
    int64_t markout_e8[APUS_TELEMETRY_HORIZONS];
    int64_t marked_e8[APUS_TELEMETRY_HORIZONS];
} apus_telemetry_instrument;
static_assert(sizeof(apus_telemetry_instrument) == 448, "as the layout says");

/* Something that went wrong, or a turn of state, as people read it. */
typedef struct APUS_NAME(LaneEvent) apus_telemetry_event {
    int64_t at_ns;
    char text[APUS_TELEMETRY_TEXT_BYTES];
} apus_telemetry_event;
#define APUS_TELEMETRY_EVENT_WORDS (APUS_TELEMETRY_EVENTS * sizeof(apus_telemetry_event) / 8)
#define APUS_TELEMETRY_POSITION_KNOWN 1u

#define APUS_TELEMETRY_INSTRUMENT_WORDS (sizeof(apus_telemetry_instrument) / 8)
#define APUS_TELEMETRY_TEXT_WORDS (APUS_TELEMETRY_TEXT_BYTES / 8)

/* ---- The file. ---- */

typedef struct apus_telemetry_header {
    char magic[8]; /* "APUSTELE" */
    uint32_t version;
    uint32_t header_bytes;
    uint64_t file_bytes;
    uint32_t lane_capacity, lane_bytes;
    uint32_t instrument_capacity, instrument_bytes;
    uint32_t counter_capacity, counter_entry_bytes;
    uint32_t span_capacity, span_bytes;
    int64_t process_id;
    uint64_t boot_epoch;
    int64_t start_wall_ns;
    int64_t start_ns;
    char name[APUS_TELEMETRY_NAME_BYTES]; /* of the instance */
    uint32_t mode;                        /* 1 simulated, 2 testnet, 3 production, 4 shadow; 0: not said */
    uint32_t unused;
    alignas(APUS_CACHE_LINE) _Atomic int64_t heartbeat_ns; /* the engine's own */
} apus_telemetry_header;
static_assert(offsetof(apus_telemetry_header, mode) == 120, "as the layout says");
static_assert(offsetof(apus_telemetry_header, heartbeat_ns) == 128, "as the layout says");

/* Written by whoever may write the file; requesters take turns by a lock on its first byte. */
typedef struct apus_telemetry_control {
    _Atomic uint32_t stop_level; /* apus_telemetry_stop_level; only rises, until cleared by hand */
    _Atomic uint32_t rearm_count; /* times that a person has re-armed the engine; rises after the level has fallen */
    _Atomic uint64_t request_count;
    _Atomic int64_t requested_wall_ns;
    _Atomic int64_t requester_process_id;
    _Atomic uint64_t sequence; /* of the text: odd while it is written */
    _Atomic uint64_t cause[APUS_TELEMETRY_TEXT_WORDS];
} apus_telemetry_control;

typedef struct apus_telemetry_counter_entry {
    char name[56]; /* empty: the slot has no meaning */
    char kind;     /* 'c': only rises; 'g': a level */
    char unused[7];
} apus_telemetry_counter_entry;

typedef struct apus_telemetry_instrument_slot {
    alignas(APUS_CACHE_LINE) _Atomic uint64_t sequence; /* 0: never written; odd: being written */
    _Atomic uint64_t words[APUS_TELEMETRY_INSTRUMENT_WORDS];
    uint8_t unused[512 - 8 - sizeof(apus_telemetry_instrument)];
} apus_telemetry_instrument_slot;
static_assert(sizeof(apus_telemetry_instrument_slot) == 512, "as the layout says");

typedef struct apus_telemetry_lane {
    alignas(4096) char name[APUS_TELEMETRY_NAME_BYTES];
    _Atomic uint32_t is_present;       /* set last, when the name is there */
    _Atomic uint32_t instrument_count; /* slots below this may be written */
    alignas(APUS_CACHE_LINE) _Atomic int64_t heartbeat_ns;
    alignas(APUS_CACHE_LINE) _Atomic uint64_t state_sequence; /* odd while state and cause are written */
    _Atomic uint64_t state;                                 /* apus_telemetry_state */
    _Atomic int64_t state_since_ns;
    _Atomic uint64_t cause[APUS_TELEMETRY_TEXT_WORDS];
    alignas(APUS_CACHE_LINE) _Atomic uint64_t counters[APUS_TELEMETRY_COUNTERS];
    alignas(APUS_CACHE_LINE) _Atomic uint64_t halt_sequence; /* odd while the answer is written */
    _Atomic uint64_t halt[APUS_TELEMETRY_HALT_WORDS];
    alignas(APUS_CACHE_LINE) _Atomic uint64_t watchdog_sequence; /* likewise; the watchdog's own lines */
    _Atomic uint64_t watchdog[APUS_TELEMETRY_WATCHDOG_WORDS];
    alignas(APUS_CACHE_LINE) _Atomic uint64_t event_sequence; /* likewise; the lane's */
    _Atomic uint64_t event_count;                           /* ever; the newest is at (count - 1) % 8 */
    _Atomic uint64_t events[APUS_TELEMETRY_EVENT_WORDS];
    alignas(4096) uint8_t spans[APUS_TELEMETRY_SPANS][APUS_TELEMETRY_SPAN_BYTES];
    apus_telemetry_instrument_slot instruments[APUS_TELEMETRY_INSTRUMENTS];
} apus_telemetry_lane;
static_assert(offsetof(apus_telemetry_lane, spans) == 4096, "as the layout says");
static_assert(offsetof(apus_telemetry_lane, instruments) == 167936, "as the layout says");

typedef struct apus_telemetry_file {
    alignas(4096) apus_telemetry_header header;
    alignas(4096) apus_telemetry_control control;
    alignas(4096) apus_telemetry_counter_entry counters[APUS_TELEMETRY_COUNTERS];
    alignas(4096) apus_telemetry_lane lanes[APUS_TELEMETRY_LANES];
} apus_telemetry_file;
static_assert(offsetof(apus_telemetry_file, lanes) == 12288, "as the layout says");

/* ---- Writer. ---- */

/* Puts a new file in place at `path`, readable by its owner alone, and maps it. With `keep_stop` the stop
 * word and its cause are taken over from the file that was there: a halt outlives a restart.
 * Returns a descriptor (>= 0), to be given to apus_telemetry_close; or -EBUSY: another process writes that
 * file; or -errno of the path or the disk. Cold. */
int apus_telemetry_create(const char *APUS_NONNULL path, const char *APUS_NONNULL name, uint32_t mode,
                          uint64_t boot_epoch, int64_t now_ns, bool keep_stop,
                          apus_telemetry_file *APUS_NULLABLE *APUS_NONNULL out);

/* For writers and readers. The file stays, as the last thing known of a process that is gone. */
void apus_telemetry_close(apus_telemetry_file *APUS_NULLABLE file, int descriptor);

/* Writer: gives the lane its name and makes it visible. NULL if `index` >= APUS_TELEMETRY_LANES. Cold. */
apus_telemetry_lane *APUS_NULLABLE apus_telemetry_open_lane(apus_telemetry_file *APUS_NONNULL file, uint32_t index,
                                                            const char *APUS_NONNULL name, int64_t now_ns);

/* Writer: the block of a lane, for its watchdog; `index` < APUS_TELEMETRY_LANES. */
APUS_HOT apus_telemetry_lane *APUS_NONNULL apus_telemetry_lane_block(apus_telemetry_file *APUS_NONNULL file,
                                                                    uint32_t index)
{
    APUS_ASSERT(index < APUS_TELEMETRY_LANES);
    return &file->lanes[index];
}

APUS_HOT void apus_telemetry_beat(apus_telemetry_file *APUS_NONNULL file, int64_t now_ns)
{
    /* Relaxed, here and for every single figure below: it publishes nothing but itself. */
    atomic_store_explicit(&file->header.heartbeat_ns, now_ns, memory_order_relaxed);
}

APUS_HOT void apus_telemetry_lane_beat(apus_telemetry_lane *APUS_NONNULL lane, int64_t now_ns)
{
    atomic_store_explicit(&lane->heartbeat_ns, now_ns, memory_order_relaxed);
}

/* One writer, so a load and a store will do: no locked instruction. */
APUS_HOT void apus_telemetry_add(apus_telemetry_lane *APUS_NONNULL lane, apus_telemetry_counter counter, uint64_t count)
{
    _Atomic uint64_t *const slot = &lane->counters[(unsigned)counter % APUS_TELEMETRY_COUNTERS];
    atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + count, memory_order_relaxed);
}

APUS_HOT void apus_telemetry_set(apus_telemetry_lane *APUS_NONNULL lane, apus_telemetry_counter counter, uint64_t value)
{
    atomic_store_explicit(&lane->counters[(unsigned)counter % APUS_TELEMETRY_COUNTERS], value, memory_order_relaxed);
}

APUS_HOT uint64_t apus_telemetry_count(const apus_telemetry_lane *APUS_NONNULL lane, uint32_t counter)
{
    return atomic_load_explicit(&lane->counters[counter % APUS_TELEMETRY_COUNTERS], memory_order_relaxed);
}

/* The memory of one histogram, 16 KiB, zero at first; NULL if there is no such span. This header does
 * not know what is in it. */
APUS_HOT void *APUS_NULLABLE apus_telemetry_span(apus_telemetry_lane *APUS_NONNULL lane, uint32_t span)
{
    return span < APUS_TELEMETRY_SPANS ? lane->spans[span] : NULL;
}

/* Sequence lock, writer's side: begins and ends a change of words that readers must see together. */
APUS_HOT uint64_t apus_telemetry_begin(_Atomic uint64_t *APUS_NONNULL sequence)
{
    const uint64_t odd = atomic_load_explicit(sequence, memory_order_relaxed) + 1;
    atomic_store_explicit(sequence, odd, memory_order_relaxed);
    /* Release fence, pairs with the acquire fence in apus_telemetry_read_instrument: who sees a new word
     * sees the odd sequence. */
    atomic_thread_fence(memory_order_release);
    return odd;
}

APUS_HOT void apus_telemetry_end(_Atomic uint64_t *APUS_NONNULL sequence, uint64_t odd)
{
    /* Release, pairs with the first acquire in apus_telemetry_read_instrument. */
    atomic_store_explicit(sequence, odd + 1, memory_order_release);
}

/* Writer: shows one instrument; false if `index` is beyond the table. About thirty stores. */
APUS_HOT bool apus_telemetry_show_instrument(apus_telemetry_lane *APUS_NONNULL lane, uint32_t index,
                                             const apus_telemetry_instrument *APUS_NONNULL value)
{
    if (index >= APUS_TELEMETRY_INSTRUMENTS) {
        return false;
    }
    apus_telemetry_instrument_slot *const slot = &lane->instruments[index];
    const uint64_t odd = apus_telemetry_begin(&slot->sequence);
    for (size_t i = 0; i < APUS_TELEMETRY_INSTRUMENT_WORDS; i++) {
        uint64_t word;
        memcpy(&word, (const char *)value + i * 8, sizeof word);
        atomic_store_explicit(&slot->words[i], word, memory_order_relaxed);
    }
    apus_telemetry_end(&slot->sequence, odd);
    if (APUS_UNLIKELY(index >= atomic_load_explicit(&lane->instrument_count, memory_order_relaxed))) {
        atomic_store_explicit(&lane->instrument_count, index + 1, memory_order_release);
    }
    return true;
}

/* Writer: state and its cause (UTF-8, cut at 119 bytes); `since_ns` is the time of the change. Bounded by
 * the text's size; call it on a change, not on each turn. */
APUS_HOT void apus_telemetry_show_state(apus_telemetry_lane *APUS_NONNULL lane, apus_telemetry_state state,
                                        const char *APUS_NULLABLE cause, size_t cause_bytes, int64_t since_ns)
{
    char text[APUS_TELEMETRY_TEXT_BYTES] = {0};
    if (cause != NULL) {
        memcpy(text, cause, cause_bytes < sizeof text ? cause_bytes : sizeof text - 1);
    }
    const uint64_t odd = apus_telemetry_begin(&lane->state_sequence);
    atomic_store_explicit(&lane->state, (uint64_t)state, memory_order_relaxed);
    atomic_store_explicit(&lane->state_since_ns, since_ns, memory_order_relaxed);
    for (size_t i = 0; i < APUS_TELEMETRY_TEXT_WORDS; i++) {
        uint64_t word;
        memcpy(&word, text + i * 8, sizeof word);
        atomic_store_explicit(&lane->cause[i], word, memory_order_relaxed);
    }
    apus_telemetry_end(&lane->state_sequence, odd);
}

/* Lane: an event (UTF-8, cut at 119 bytes). On a change, not on each turn. */
APUS_HOT void apus_telemetry_add_event(apus_telemetry_lane *APUS_NONNULL lane, const char *APUS_NULLABLE text,
                                       size_t text_bytes, int64_t at_ns)
{
    apus_telemetry_event event = {.at_ns = at_ns};
    if (text != NULL) {
        memcpy(event.text, text, text_bytes < sizeof event.text ? text_bytes : sizeof event.text - 1);
    }
    const uint64_t odd = apus_telemetry_begin(&lane->event_sequence);
    const uint64_t count = atomic_load_explicit(&lane->event_count, memory_order_relaxed);
    const size_t first = (size_t)(count % APUS_TELEMETRY_EVENTS) * (sizeof event / 8);
    for (size_t i = 0; i < sizeof event / 8; i++) {
        uint64_t word;
        memcpy(&word, (const char *)&event + i * 8, sizeof word);
        atomic_store_explicit(&lane->events[first + i], word, memory_order_relaxed);
    }
    atomic_store_explicit(&lane->event_count, count + 1, memory_order_relaxed);
    apus_telemetry_end(&lane->event_sequence, odd);
}

/* Engine: the level that is asked for. One load of a line that hardly ever changes: look at it each turn.
 * A value above the known ones counts as the highest. */
APUS_HOT apus_telemetry_stop_level apus_telemetry_requested_stop(const apus_telemetry_file *APUS_NONNULL file)
{
    /* Acquire, pairs with apus_telemetry_request_stop: the cause is there. */
    const uint32_t level = atomic_load_explicit(&file->control.stop_level, memory_order_acquire);
    return level <= APUS_TELEMETRY_STOP_DISCONNECT ? (apus_telemetry_stop_level)level : APUS_TELEMETRY_STOP_DISCONNECT;
}

/* Engine: what is asked for, in one number that changes whenever that does: the level in the low half, the count of
 * re-armings in the high one. Two loads of one line that hardly ever changes. */
APUS_HOT uint64_t apus_telemetry_control_word(const apus_telemetry_file *APUS_NONNULL file)
{
    /* Acquire, pairs with apus_telemetry_clear_stop: who sees the re-arming does not see the level that it ended. */
    const uint64_t rearms = atomic_load_explicit(&file->control.rearm_count, memory_order_acquire);
    return rearms << 32 | (uint64_t)apus_telemetry_requested_stop(file);
}

/* Lane: the answer to a halt. About thirty stores; call it on a change and a few times a second. */
APUS_HOT void apus_telemetry_show_halt(apus_telemetry_lane *APUS_NONNULL lane,
                                       const apus_telemetry_halt_answer *APUS_NONNULL value)
{
    const uint64_t odd = apus_telemetry_begin(&lane->halt_sequence);
    for (size_t i = 0; i < APUS_TELEMETRY_HALT_WORDS; i++) {
        uint64_t word;
        memcpy(&word, (const char *)value + i * 8, sizeof word);
        atomic_store_explicit(&lane->halt[i], word, memory_order_relaxed);
    }
    apus_telemetry_end(&lane->halt_sequence, odd);
}

/* Watchdog: what it has done. */
APUS_HOT void apus_telemetry_show_watchdog(apus_telemetry_lane *APUS_NONNULL lane,
                                           const apus_telemetry_watchdog_view *APUS_NONNULL value)
{
    const uint64_t odd = apus_telemetry_begin(&lane->watchdog_sequence);
    for (size_t i = 0; i < APUS_TELEMETRY_WATCHDOG_WORDS; i++) {
        uint64_t word;
        memcpy(&word, (const char *)value + i * 8, sizeof word);
        atomic_store_explicit(&lane->watchdog[i], word, memory_order_relaxed);
    }
    apus_telemetry_end(&lane->watchdog_sequence, odd);
}

/* ---- Control, from another process. ---- */

/* Asks the engine whose file is at `path` for `level` or more; a request never lowers. `cause` is UTF-8, cut
 * at 119 bytes. Works whether or not the engine is alive. 0 or -errno; -EBADMSG: not a telemetry file;
 * -EPROTO: of another version, which `version_found` then names. */
int apus_telemetry_request_stop(const char *APUS_NONNULL path, apus_telemetry_stop_level level,
                                const char *APUS_NONNULL cause, uint32_t *APUS_NONNULL version_found);

/* As apus_telemetry_request_stop, for the engine's own latches: nothing is written if there has been a re-arming since
 * `rearm_count`, which the latch does not outlive. */
int apus_telemetry_keep_latch(const char *APUS_NONNULL path, apus_telemetry_stop_level level,
                              const char *APUS_NONNULL cause, uint32_t rearm_count, uint32_t *APUS_NONNULL version_found);

/* Re-arms, by hand: sets the stop word back to none and counts a re-arming, which makes each lane let go of all its
 * latches. A cause that still holds latches again at once. */
int apus_telemetry_clear_stop(const char *APUS_NONNULL path, uint32_t *APUS_NONNULL version_found);

/* ---- Reader. ---- */

/* Maps the file read-only; a descriptor (>= 0) for apus_telemetry_close, or as apus_telemetry_request_stop. */
int apus_telemetry_open(const char *APUS_NONNULL path, const apus_telemetry_file *APUS_NULLABLE *APUS_NONNULL out,
                        uint32_t *APUS_NONNULL version_found);

/* Whether the process that writes the file of this reader's descriptor is alive: it holds a lock. */
bool apus_telemetry_writer_lives(int descriptor);

/* Whether a newer file (or none) is at `path` now: the engine was restarted, open again. */
bool apus_telemetry_is_replaced(int descriptor, const char *APUS_NONNULL path);

typedef struct apus_telemetry_state_view {
    uint32_t state;
    int64_t since_ns;
    char cause[APUS_TELEMETRY_TEXT_BYTES];
} apus_telemetry_state_view;

typedef struct apus_telemetry_stop_view {
    uint32_t level;
    uint32_t rearm_count;
    uint64_t request_count;
    int64_t requested_wall_ns;
    int64_t requester_process_id;
    char cause[APUS_TELEMETRY_TEXT_BYTES];
} apus_telemetry_stop_view;

/* What is constant in a file, and the engine's heartbeat. */
typedef struct apus_telemetry_facts {
    char name[APUS_TELEMETRY_NAME_BYTES];
    uint32_t mode;
    int64_t process_id;
    uint64_t boot_epoch;
    int64_t start_wall_ns;
    int64_t start_ns;
    int64_t heartbeat_ns;
} apus_telemetry_facts;

apus_telemetry_facts apus_telemetry_read_facts(const apus_telemetry_file *APUS_NONNULL file);

/* The lane, or NULL if there is none at `index`. */
const apus_telemetry_lane *APUS_NULLABLE apus_telemetry_lane_at(const apus_telemetry_file *APUS_NONNULL file,
                                                                uint32_t index);
/* `out` gets the name with its zero byte. */
void apus_telemetry_lane_name(const apus_telemetry_lane *APUS_NONNULL lane, char *APUS_NONNULL out);
int64_t apus_telemetry_lane_heartbeat(const apus_telemetry_lane *APUS_NONNULL lane);
uint32_t apus_telemetry_instrument_count(const apus_telemetry_lane *APUS_NONNULL lane);
const void *APUS_NULLABLE apus_telemetry_span_of(const apus_telemetry_lane *APUS_NONNULL lane, uint32_t span);

/* These see a whole value or return false: nothing was ever written there, or the writer died while
 * writing it, or kept writing through 1,000 attempts (the thread yields in between). */
bool apus_telemetry_read_state(const apus_telemetry_lane *APUS_NONNULL lane,
                               apus_telemetry_state_view *APUS_NONNULL out);
bool apus_telemetry_read_instrument(const apus_telemetry_lane *APUS_NONNULL lane, uint32_t index,
                                    apus_telemetry_instrument *APUS_NONNULL out);
bool apus_telemetry_read_halt(const apus_telemetry_lane *APUS_NONNULL lane,
                              apus_telemetry_halt_answer *APUS_NONNULL out);
bool apus_telemetry_read_watchdog(const apus_telemetry_lane *APUS_NONNULL lane,
                                  apus_telemetry_watchdog_view *APUS_NONNULL out);
/* The last events, oldest first; how many, at most 8. */
size_t apus_telemetry_read_events(const apus_telemetry_lane *APUS_NONNULL lane, apus_telemetry_event *APUS_NONNULL out);
/* Events ever. */
uint64_t apus_telemetry_event_count(const apus_telemetry_lane *APUS_NONNULL lane);
/* The stop word; its cause is empty while a requester writes it, or after one died writing it. */
apus_telemetry_stop_view apus_telemetry_read_stop(const apus_telemetry_file *APUS_NONNULL file);

/* Name and kind of a counter slot as the file has them; NULL for a slot without meaning. */
const char *APUS_NULLABLE apus_telemetry_counter_name(const apus_telemetry_file *APUS_NONNULL file, uint32_t counter,
                                                      bool *APUS_NONNULL is_level);
/* What this program knows of a counter slot; NULL if nothing. */
const char *APUS_NULLABLE apus_telemetry_counter_help(uint32_t counter);
/* "tick_to_frame", "submit" …; NULL if there is no such span. */
const char *APUS_NULLABLE apus_telemetry_span_name(uint32_t span);

#endif
