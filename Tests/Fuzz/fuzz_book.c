/* The price book against an array of levels: updates near the touch, far away and at the edges, full tails,
 * truncation, walks. What a side says must be exact down to its horizon. */
#include "apus_book.h"
#include "fuzz.h"

enum { MOST = 8192, TAIL = APUS_BOOK_MIN_TAIL };

typedef struct {
    int64_t prices[MOST], sizes[MOST];
    uint32_t count; /* best first */
} slow_side;

static bool is_better(apus_side side, int64_t a, int64_t b)
{
    return side == APUS_BUY ? a > b : a < b;
}

static void slow_set(slow_side *levels, apus_side side, int64_t price, int64_t size)
{
    uint32_t at = 0;
    while (at < levels->count && is_better(side, levels->prices[at], price)) {
        at++;
    }
    const bool exists = at < levels->count && levels->prices[at] == price;
    if (exists && size > 0) {
        levels->sizes[at] = size;
    } else if (exists) {
        levels->count--;
        memmove(&levels->prices[at], &levels->prices[at + 1], (levels->count - at) * sizeof(int64_t));
        memmove(&levels->sizes[at], &levels->sizes[at + 1], (levels->count - at) * sizeof(int64_t));
    } else if (size > 0) {
        require(levels->count < MOST, "the model is full");
        memmove(&levels->prices[at + 1], &levels->prices[at], (levels->count - at) * sizeof(int64_t));
        memmove(&levels->sizes[at + 1], &levels->sizes[at], (levels->count - at) * sizeof(int64_t));
        levels->count++;
        levels->prices[at] = price;
        levels->sizes[at] = size;
    }
}

static int64_t slow_size(const slow_side *levels, int64_t price)
{
    for (uint32_t i = 0; i < levels->count; i++) {
        if (levels->prices[i] == price) {
            return levels->sizes[i];
        }
    }
    return 0;
}

/* After a drop nothing at or beyond the horizon is kept. */
static void forget_beyond_horizon(const apus_book *book, slow_side *levels, apus_side side)
{
    if (!apus_book_is_complete(book, side)) {
        const int64_t horizon = apus_book_horizon(book, side);
        while (levels->count > 0 && !is_better(side, levels->prices[levels->count - 1], horizon)) {
            levels->count--;
        }
    }
}

static void check(const apus_book *book, const slow_side *levels, apus_side side, uint32_t probe)
{
    const apus_book_level best = apus_book_best(book, side);
    require(apus_book_depth(book, side) == levels->count, "another depth");
    require(best.qty_lots == (levels->count != 0 ? levels->sizes[0] : 0), "another best size");
    require(levels->count == 0 || best.price_ticks == levels->prices[0], "another best price");
    apus_book_cursor cursor = apus_book_walk(book, side);
    for (uint32_t i = 0; i < levels->count; i++) {
        const apus_book_level level = apus_book_next(book, &cursor);
        require(level.price_ticks == levels->prices[i] && level.qty_lots == levels->sizes[i],
                "a walk meets another level");
    }
    require(apus_book_next(book, &cursor).qty_lots == 0, "a walk does not end");
    const uint32_t at = levels->count != 0 ? probe % (levels->count + 1) : 0;
    const apus_book_level level = apus_book_level_at(book, side, at);
    require(level.qty_lots == (at < levels->count ? levels->sizes[at] : 0), "another size by place");
    require(at >= levels->count || level.price_ticks == levels->prices[at], "another price by place");
}

static int64_t take_price(fuzz_bytes *bytes, const slow_side *levels)
{
    const uint8_t shape = fuzz_take(bytes);
    const int64_t offset = (int8_t)fuzz_take(bytes);
    const int64_t touch = levels->count != 0 ? levels->prices[0] : 0;
    switch (shape >> 4) {
    case 0: return offset * ((int64_t)1 << (shape & 15)) * 1024;
    case 1: return touch + offset * 64 + (shape & 15);
    case 2: return touch + offset * 1021;
    case 3: return (shape & 1 ? -APUS_BOOK_PRICE_LIMIT : APUS_BOOK_PRICE_LIMIT) + offset % 4;
    case 4: return shape & 1 ? INT64_MAX - (shape & 14) : INT64_MIN + (shape & 14);
    case 5: return levels->count != 0 ? levels->prices[(uint8_t)offset % levels->count] : offset;
    case 6: return touch + (shape & 1 ? 4096 : -4096) + offset % 4;
    default: return touch + offset % 16;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static slow_side sides[2];
    static apus_book *book;
    fuzz_bytes bytes = fuzz_begin(data, size);
    if (book == NULL) {
        require(apus_book_create(TAIL, NULL, 0, &book) == 0, "no book");
    }
    apus_book_clear(book);
    sides[0].count = 0;
    sides[1].count = 0;
    while (!fuzz_is_empty(&bytes)) {
        const uint8_t verb = fuzz_take(&bytes);
        const apus_side side = verb & 1 ? APUS_SELL : APUS_BUY;
        slow_side *const levels = &sides[side];
        if (verb >= 254) {
            apus_book_clear(book);
            sides[0].count = 0;
            sides[1].count = 0;
        } else if (verb >= 248) {
            const uint32_t kept = fuzz_take(&bytes);
            apus_book_truncate(book, side, kept);
            levels->count = levels->count < kept ? levels->count : kept;
        } else {
            /* A run of levels fills a tail in few bytes. */
            const int64_t price = take_price(&bytes, levels);
            const uint8_t amount = fuzz_take(&bytes);
            const int64_t qty = amount < 60 ? 0 : amount == 60 ? -5 : amount == 61 ? INT64_MAX : amount;
            const uint32_t run = verb >= 240 ? 100 : 1;
            const int64_t stride = 1 + verb % 5 * 50;
            for (uint32_t i = 0; i < run; i++) {
                int64_t at;
                if (__builtin_add_overflow(price, (int64_t)i * stride, &at)) {
                    break;
                }
                const bool in_range = at >= -APUS_BOOK_PRICE_LIMIT && at <= APUS_BOOK_PRICE_LIMIT;
                const bool hidden = !apus_book_is_complete(book, side)
                    && !is_better(side, at, apus_book_horizon(book, side));
                const int64_t best_price = levels->count != 0 ? levels->prices[0] : 0;
                const int64_t best_size = levels->count != 0 ? levels->sizes[0] : 0;
                const bool changed = apus_book_set(book, side, at, qty);
                if (in_range && !hidden) {
                    slow_set(levels, side, at, qty);
                }
                forget_beyond_horizon(book, levels, side);
                const bool expected = best_size != (levels->count != 0 ? levels->sizes[0] : 0)
                    || (levels->count != 0 && best_price != levels->prices[0]);
                require(changed == expected, "a change of the best was misreported");
                require(!in_range || apus_book_qty_at(book, side, at) == slow_size(levels, at),
                        "another size at a price");
                if (i % 16 == 0) {
                    check(book, levels, side, fuzz_take(&bytes));
                }
            }
        }
        check(book, levels, side, verb * 7u);
        const bool crossed = sides[0].count != 0 && sides[1].count != 0 && sides[0].prices[0] >= sides[1].prices[0];
        require(apus_book_crossed(book) == crossed, "crossed was misjudged");
    }
    return 0;
}
