/* Drives the matching engine with arbitrary bytes and checks, after every request, what must always hold. */
#include "apus_match.h"
#include "fuzz.h"

enum { REMEMBERED = 64, FUZZ_OWNERS = 3 };

/* Small prices mostly, so that orders meet; now and then one from anywhere. */
static apus_price_ticks take_price(fuzz_bytes *bytes)
{
    const uint8_t shape = fuzz_take(bytes);
    const int8_t offset = (int8_t)fuzz_take(bytes);
    switch (shape >> 4) {
    case 0: return (apus_price_ticks)offset * ((int64_t)1 << (18 + (shape & 15)));
    case 1: return (apus_price_ticks)offset * ((int64_t)1 << (shape & 15));
    case 2: return (shape & 1 ? -APUS_MATCH_PRICE_LIMIT : APUS_MATCH_PRICE_LIMIT) + (offset & 3) - 2;
    case 3: return offset;
    default: return offset % 8;
    }
}

static apus_qty_lots take_qty(fuzz_bytes *bytes)
{
    const uint8_t shape = fuzz_take(bytes);
    switch (shape >> 5) {
    case 0: return (apus_qty_lots)(shape & 31) << (fuzz_take(bytes) % 56);
    case 1: return APUS_MATCH_QTY_LIMIT - (shape & 31) + 1;
    default: return 1 + shape % 16;
    }
}

/* Quantity that entered, less what left, must be what rests. */
static __int128 resting_total(const apus_match *match)
{
    static apus_price_ticks prices[1024];
    static apus_qty_lots sizes[1024];
    __int128 total = 0;
    for (int side = 0; side < 2; side++) {
        const uint32_t count = apus_match_levels(match, (apus_side)side, prices, sizes, 1024);
        for (uint32_t i = 0; i < count; i++) {
            total += sizes[i];
        }
    }
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = fuzz_begin(data, size);
    apus_match_limits limits = {
        .max_orders = 1 + fuzz_take(&bytes) % 200,
        .max_levels = 1 + fuzz_take(&bytes) % 40,
        .min_price_ticks = -APUS_MATCH_PRICE_LIMIT,
        .max_price_ticks = APUS_MATCH_PRICE_LIMIT,
    };
    if (fuzz_take(&bytes) % 4 == 0) {
        limits.min_price_ticks = 1;
    }
    apus_match *match = NULL;
    require(apus_match_create(&limits, &match) == 0, "create failed");
    uint64_t handles[REMEMBERED] = {0};
    uint32_t remembered = 0;
    __int128 rests = 0;
    for (uint64_t tag = 1; !fuzz_is_empty(&bytes); tag++) {
        const uint8_t verb = fuzz_take(&bytes);
        uint64_t handle = handles[fuzz_take(&bytes) % REMEMBERED];
        apus_match_resting before = {0};
        const bool existed = apus_match_find(match, handle, &before);
        apus_qty_lots entered = 0;
        bool is_new = false;
        if (verb < 140) {
            is_new = true;
            const apus_match_order order = {
                .tag = tag,
                .owner = fuzz_take(&bytes) % (FUZZ_OWNERS + 1),
                .side = verb & 1,
                .flags = verb < 70 ? 0 : fuzz_take(&bytes),
                .price_ticks = take_price(&bytes),
                .qty_lots = take_qty(&bytes),
                .reducible_lots = (int8_t)fuzz_take(&bytes),
            };
            handle = apus_match_new(match, &order);
            if (handle != 0) {
                handles[remembered++ % REMEMBERED] = handle;
            }
        } else if (verb < 190) {
            require(apus_match_cancel(match, handle, APUS_MATCH_REASON_CLIENT) == existed, "cancel misjudged a handle");
        } else {
            const apus_qty_lots qty = take_qty(&bytes);
            const apus_price_ticks price = verb < 210 && existed ? before.price_ticks : take_price(&bytes);
            const bool stays = apus_match_modify(match, handle, price, qty);
            apus_match_resting after;
            require(stays == apus_match_find(match, handle, &after), "modify misjudged what rests");
            entered = qty;
        }

        uint32_t count = 0;
        const apus_match_report *reports = apus_match_reports(match, &count);
        require(count > 0, "a request without a report");
        const apus_match_report *last = &reports[count - 1];
        require(last->kind != APUS_MATCH_TRADE, "the last report is a trade");
        apus_qty_lots traded = 0;
        for (uint32_t i = 0; i + 1 < count; i++) {
            require(reports[i].kind == APUS_MATCH_TRADE && reports[i].qty_lots > 0, "an empty trade");
            require(reports[i].owner == 0 || reports[i].owner != reports[i].maker_owner, "a self-trade");
            require(i == 0 || (last->side == APUS_BUY ? reports[i].price_ticks >= reports[i - 1].price_ticks
                                                      : reports[i].price_ticks <= reports[i - 1].price_ticks),
                    "a better price was passed over");
            traded += reports[i].qty_lots;
        }
        if (last->kind == APUS_MATCH_REJECTED) {
            require(traded == 0, "a rejected request traded");
        } else {
            if (is_new) {
                entered = last->qty_lots;
            } else if (verb < 190) {
                entered = before.remaining_lots;
            }
            if (!is_new) {
                rests -= before.remaining_lots;
            }
            require(last->remaining_lots == entered - traded, "quantity is lost");
            rests -= traded;
            if (last->kind == APUS_MATCH_ACCEPTED || last->kind == APUS_MATCH_AMENDED) {
                rests += last->remaining_lots;
            } else {
                require((last->kind == APUS_MATCH_DONE) == (last->remaining_lots == 0), "done, but not all traded");
            }
        }
        require(resting_total(match) == rests, "the book holds another quantity than entered less left");
        const char *broken = apus_match_check(match);
        require(broken == NULL, broken);
    }
    apus_match_destroy(match);
    return 0;
}
