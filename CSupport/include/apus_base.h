/* apus_base.h: what every other header of the hot path shares: annotations, integer units, small values.
 *
 * Prices are counts of ticks, quantities counts of lots, times nanoseconds, money 10^-8 of the
 * quote currency ("e8"). No floating point appears in any of them.
 */
#ifndef APUS_BASE_H
#define APUS_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define APUS_CACHE_LINE 64

#if defined(__clang__)
/* An inline hot operation. The attribute lets Swift's @_noLocks functions call it. */
#define APUS_HOT static inline __attribute__((always_inline, swift_attr("@_noLocks")))
#define APUS_NEWTYPE(name) __attribute__((swift_newtype(struct), swift_name(#name)))
#define APUS_NAME(name) __attribute__((swift_name(#name)))
#define APUS_CLOSED_ENUM __attribute__((enum_extensibility(closed)))
#define APUS_NONNULL _Nonnull
#define APUS_NULLABLE _Nullable
#else /* gcc, for benchmarks against peers */
#define APUS_HOT static inline __attribute__((always_inline))
#define APUS_NEWTYPE(name)
#define APUS_NAME(name)
#define APUS_CLOSED_ENUM
#define APUS_NONNULL
#define APUS_NULLABLE
#endif

#define APUS_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define APUS_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Holds in every build: inline C is compiled again inside Swift, where NDEBUG may differ. */
#define APUS_ASSERT(condition)                     \
    do {                                           \
        if (__builtin_expect(!(condition), 0)) {   \
            __builtin_trap();                      \
        }                                          \
    } while (0)

typedef int64_t apus_price_ticks APUS_NEWTYPE(PriceTicks);
typedef int64_t apus_qty_lots APUS_NEWTYPE(QtyLots);

/* Which side of the market an order is on; the index of per-side arrays. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(Side) apus_side {
    APUS_BUY APUS_NAME(buy) = 0,
    APUS_SELL APUS_NAME(sell) = 1,
} apus_side;

APUS_HOT apus_side apus_side_opposite(apus_side side)
{
    return side == APUS_BUY ? APUS_SELL : APUS_BUY;
}

/* An opaque identifier that a venue made, held inline: order ids and trade ids of every venue seen
 * so far have 12 to 36 characters. Unused bytes are zero, so that two ids compare as memory. */
#define APUS_ID_CAPACITY 39
typedef struct APUS_NAME(VenueID) apus_id {
    char bytes[APUS_ID_CAPACITY];
    uint8_t count; /* 0 means "no id" */
} apus_id;
static_assert(sizeof(apus_id) == 40, "five words");

/* Fills `out` from text; false, and an empty id, if `count` is 0 or above APUS_ID_CAPACITY. */
APUS_HOT bool apus_id_set(apus_id *APUS_NONNULL out, const char *APUS_NONNULL text, size_t count)
{
    memset(out, 0, sizeof *out);
    if (count == 0 || count > APUS_ID_CAPACITY) {
        return false;
    }
    memcpy(out->bytes, text, count);
    out->count = (uint8_t)count;
    return true;
}

APUS_HOT bool apus_id_equal(const apus_id *APUS_NONNULL a, const apus_id *APUS_NONNULL b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* A 64-bit hash, never 0 (tables use 0 for "empty"). Two seeds give independent hashes. */
APUS_HOT uint64_t apus_id_hash(const apus_id *APUS_NONNULL id, uint64_t seed)
{
    uint64_t words[5];
    memcpy(words, id, sizeof words);
    uint64_t hash = seed ^ 0x9E3779B97F4A7C15u;
    for (int i = 0; i < 5; i++) {
        hash = (hash ^ words[i]) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    return hash != 0 ? hash : 1;
}

#endif
