/* apus_book.h: the price levels of one instrument, absolute sizes by price, both sides.
 *
 * Rank:      a price seen from its side: larger is better. Bids: the price; asks: its complement. One code
 *            serves both sides.
 * Window:    sizes of 4,096 consecutive ranks round the touch, in a ring indexed by the rank's low bits, with
 *            a bitmap of 64 words and a summary word for best and next. Everything better than the window's
 *            lower end lies in the window: the best level is never looked for elsewhere.
 * Tail:      the worse levels, sorted, in chunks of at most 32 under a directory. The window follows the
 *            touch: it moves when a level is set above it or when the best falls below its middle, and then
 *            hands levels to the tail or takes them back.
 * Cost:      an update inside the window is the same few instructions at any depth and any distance (R30); one
 *            in the tail is a binary search; a move of the window costs at most the levels of 4,096 ranks.
 * Overflow:  a full tail drops its worst level. From then until clear the side keeps nothing at or beyond the
 *            best level ever dropped, so that what it shows is exact down to there, never a book with holes:
 *            a side that runs empty that way has no best instead of a wrong one (apus_book_is_complete).
 * Bounds:    prices of at most 2^60 ticks either way, negative and zero included; levels further out are dropped
 *            and counted. Sizes at or below 0 remove. Nothing allocates after create. One thread.
 */
#ifndef APUS_BOOK_H
#define APUS_BOOK_H

#include "apus_base.h"

#define APUS_BOOK_WINDOW 4096
#define APUS_BOOK_WORDS 64
#define APUS_BOOK_HEADROOM 1024 /* ranks above the best after a move of the window */
#define APUS_BOOK_MIN_TAIL 64u
#define APUS_BOOK_MAX_TAIL (1u << 18)
#define APUS_BOOK_PRICE_LIMIT ((int64_t)1 << 60)
#define APUS_BOOK_CHUNK 32

#if defined(__clang__)
/* A function out of line that neither allocates nor locks. */
#define APUS_BOOK_CALL __attribute__((swift_attr("@_noLocks")))
#else
#define APUS_BOOK_CALL
#endif

/* A size of 0 says that there is no such level. */
typedef struct APUS_NAME(BookLevel) apus_book_level {
    apus_price_ticks price_ticks;
    apus_qty_lots qty_lots;
} apus_book_level;

typedef struct apus_book_chunk {
    int64_t ranks[APUS_BOOK_CHUNK]; /* ascending: the best is the last */
    int64_t sizes[APUS_BOOK_CHUNK];
} apus_book_chunk;

typedef struct apus_book_run {
    int64_t first; /* rank of the chunk's first level */
    uint32_t chunk, count;
} apus_book_run;

typedef struct apus_book_side {
    /* One line: all scalars of an update inside the window. */
    _Alignas(APUS_CACHE_LINE) int64_t best_rank; /* INT64_MIN if the side is empty */
    int64_t best_size;                           /* 0 if the side is empty */
    int64_t base;                                /* the window's lower end, a multiple of 64 */
    int64_t floor;                               /* the lowest rank that the window accepts, >= base */
    uint64_t extent;                             /* ranks from floor to the upper end; 0 if the side is empty */
    uint64_t summary;                            /* bit w: bits[w] is not 0 */
    uint64_t depth;                              /* levels, tail included */
    int64_t flip;                                /* rank = price ^ flip: 0 or -1 */

    _Alignas(APUS_CACHE_LINE) int64_t horizon;   /* nothing is kept at or below it; INT64_MIN if nothing was dropped */
    apus_book_run *APUS_NONNULL runs;            /* directory of the tail, ascending */
    apus_book_chunk *APUS_NONNULL chunks;
    uint32_t *APUS_NONNULL free_chunks;
    uint32_t run_count, free_count;
    uint32_t tail_count, tail_capacity; /* levels */

    _Alignas(APUS_CACHE_LINE) uint64_t bits[APUS_BOOK_WORDS];
    int64_t sizes[APUS_BOOK_WINDOW];
} apus_book_side;

typedef struct apus_book {
    apus_book_side sides[2];
    uint64_t dropped;
    bool owns_memory;
} apus_book;

/* A place in a walk over one side, best first. Any change of that side ends the walk. */
typedef struct APUS_NAME(BookCursor) apus_book_cursor {
    uint64_t words; /* words of the window still to visit, lowest ranks in bit 0 */
    uint64_t bits;  /* of the current word */
    int64_t rank;   /* of the current word's bit 0 */
    uint32_t run, left; /* tail: run to take from, levels left in it */
    uint32_t side;
} apus_book_cursor;

#define APUS_BOOK_ALIGNMENT 128

/* Bytes of a block for a book whose sides keep up to `tail_levels` beyond the window; 0 if out of range. */
size_t apus_book_bytes(uint32_t tail_levels);

/* `memory` is NULL, or a block of at least apus_book_bytes bytes at a multiple of APUS_BOOK_ALIGNMENT that outlives the
 * book. 0; -EINVAL if tail_levels is not in APUS_BOOK_MIN_TAIL ... APUS_BOOK_MAX_TAIL or the block does not do;
 * -ENOMEM. Cold. */
int apus_book_create(uint32_t tail_levels, void *APUS_NULLABLE memory, size_t memory_bytes,
                     apus_book *APUS_NULLABLE *APUS_NONNULL out);
void apus_book_destroy(apus_book *APUS_NULLABLE book);

/* Removes all levels of both sides and forgets that any were dropped (the count stays). */
APUS_BOOK_CALL void apus_book_clear(apus_book *APUS_NONNULL book);

/* What an update needs outside the window; callers use the inline functions below. */
APUS_BOOK_CALL bool apus_book_set_outside(apus_book *APUS_NONNULL book, apus_book_side *APUS_NONNULL side,
                                          int64_t rank, int64_t size);
APUS_BOOK_CALL void apus_book_refill(apus_book_side *APUS_NONNULL side);
APUS_BOOK_CALL void apus_book_lower(apus_book_side *APUS_NONNULL side);
APUS_BOOK_CALL int64_t apus_book_tail_size(const apus_book_side *APUS_NONNULL side, int64_t rank);
APUS_BOOK_CALL void apus_book_cut(apus_book_side *APUS_NONNULL side, uint64_t levels);

/* The summary, or any set of words, with the window's lowest word in bit 0. */
APUS_HOT uint64_t apus_book_in_rank_order(const apus_book_side *APUS_NONNULL side)
{
    const uint32_t turn = (uint32_t)(side->base >> 6) & 63;
    return side->summary >> turn | side->summary << ((64 - turn) & 63);
}

/* Writes one size into the window, and the bitmaps. Does not look for the best. */
APUS_HOT void apus_book_store(apus_book_side *APUS_NONNULL side, int64_t rank, int64_t size)
{
    const uint32_t slot = (uint32_t)rank & (APUS_BOOK_WINDOW - 1);
    const uint32_t word_index = slot >> 6, bit = slot & 63;
    const int64_t before = side->sizes[slot];
    side->sizes[slot] = size;
    /* No branches: whether an update adds, changes or removes cannot be predicted. */
    const uint64_t word = (side->bits[word_index] & ~((uint64_t)1 << bit)) | (uint64_t)(size != 0) << bit;
    side->bits[word_index] = word;
    side->summary = (side->summary & ~((uint64_t)1 << word_index)) | (uint64_t)(word != 0) << word_index;
    side->depth += (uint64_t)(size != 0) - (uint64_t)(before != 0);
}

/* Finds the best of a window that is not empty; true if its rank or size is new. */
APUS_HOT bool apus_book_find_best(apus_book_side *APUS_NONNULL side)
{
    const uint32_t word = 63 - (uint32_t)__builtin_clzll(apus_book_in_rank_order(side));
    const int64_t rank_of_word = side->base + (int64_t)word * 64;
    const uint64_t bits = side->bits[(uint32_t)(rank_of_word >> 6) & 63];
    const int64_t rank = rank_of_word + 63 - __builtin_clzll(bits);
    const int64_t size = side->sizes[(uint32_t)rank & (APUS_BOOK_WINDOW - 1)];
    const bool changed = ((rank ^ side->best_rank) | (size ^ side->best_size)) != 0;
    side->best_rank = rank;
    side->best_size = size;
    return changed;
}

/* Sets the size of a level; 0 removes it. True if the side's best price or best size changed. */
APUS_HOT bool apus_book_set(apus_book *APUS_NONNULL book, apus_side which, apus_price_ticks price_ticks,
                            apus_qty_lots qty_lots)
{
    apus_book_side *side = &book->sides[which & 1];
    const int64_t rank = price_ticks ^ side->flip;
    const int64_t size = qty_lots > 0 ? qty_lots : 0;
    if (APUS_UNLIKELY((uint64_t)rank - (uint64_t)side->floor >= side->extent)) {
        return apus_book_set_outside(book, side, rank, size);
    }
    apus_book_store(side, rank, size);
    /* Most updates are behind the best, and that is predictable. At or above it nothing is: no more branches. */
    if (APUS_LIKELY(rank < side->best_rank)) {
        return false;
    }
    if (APUS_UNLIKELY(side->summary == 0)) {
        apus_book_refill(side);
        return true;
    }
    const bool changed = apus_book_find_best(side);
    if (APUS_UNLIKELY(side->best_rank - side->base < APUS_BOOK_WINDOW / 2)) {
        apus_book_lower(side);
    }
    return changed;
}

/* The best level of a side; size 0 if the side is empty. */
APUS_HOT apus_book_level apus_book_best(const apus_book *APUS_NONNULL book, apus_side which)
{
    const apus_book_side *side = &book->sides[which & 1];
    return (apus_book_level){side->best_rank ^ side->flip, side->best_size};
}

/* Both sides have levels and the best bid is at or above the best ask: crossed or locked. */
APUS_HOT bool apus_book_crossed(const apus_book *APUS_NONNULL book)
{
    /* An empty side stands at the far end of the integers and crosses nothing. */
    return book->sides[APUS_BUY].best_rank >= ~book->sides[APUS_SELL].best_rank;
}

/* Number of levels of a side. */
APUS_HOT uint32_t apus_book_depth(const apus_book *APUS_NONNULL book, apus_side which)
{
    return (uint32_t)book->sides[which & 1].depth;
}

/* The size at a price, 0 if there is no such level. */
APUS_HOT apus_qty_lots apus_book_qty_at(const apus_book *APUS_NONNULL book, apus_side which,
                                        apus_price_ticks price_ticks)
{
    const apus_book_side *side = &book->sides[which & 1];
    const int64_t rank = price_ticks ^ side->flip;
    if (APUS_LIKELY((uint64_t)rank - (uint64_t)side->floor < side->extent)) {
        return side->sizes[(uint32_t)rank & (APUS_BOOK_WINDOW - 1)];
    }
    return apus_book_tail_size(side, rank);
}

/* Starts a walk over a side, best first. */
APUS_HOT apus_book_cursor apus_book_walk(const apus_book *APUS_NONNULL book, apus_side which)
{
    const apus_book_side *side = &book->sides[which & 1];
    return (apus_book_cursor){apus_book_in_rank_order(side), 0, 0, side->run_count, 0, which & 1};
}

/* The next level of a walk; size 0 at its end. */
APUS_HOT apus_book_level apus_book_next(const apus_book *APUS_NONNULL book, apus_book_cursor *APUS_NONNULL cursor)
{
    const apus_book_side *side = &book->sides[cursor->side & 1];
    if (cursor->bits == 0) {
        if (APUS_UNLIKELY(cursor->words == 0)) {
            if (cursor->left == 0) {
                if (cursor->run == 0) {
                    return (apus_book_level){0, 0};
                }
                cursor->run--;
                cursor->left = side->runs[cursor->run].count;
            }
            cursor->left--;
            const apus_book_chunk *chunk = &side->chunks[side->runs[cursor->run].chunk];
            return (apus_book_level){chunk->ranks[cursor->left] ^ side->flip, chunk->sizes[cursor->left]};
        }
        const uint32_t word = 63 - (uint32_t)__builtin_clzll(cursor->words);
        cursor->words ^= (uint64_t)1 << word;
        cursor->rank = side->base + (int64_t)word * 64;
        cursor->bits = side->bits[(uint32_t)(cursor->rank >> 6) & 63];
    }
    const uint32_t bit = 63 - (uint32_t)__builtin_clzll(cursor->bits);
    cursor->bits ^= (uint64_t)1 << bit;
    const int64_t rank = cursor->rank + bit;
    return (apus_book_level){rank ^ side->flip, side->sizes[(uint32_t)rank & (APUS_BOOK_WINDOW - 1)]};
}

/* The same by value, for callers that have no address to give. */
typedef struct apus_book_step {
    apus_book_cursor cursor;
    apus_book_level level;
} apus_book_step;

APUS_HOT apus_book_step apus_book_next_step(const apus_book *APUS_NONNULL book, apus_book_cursor cursor)
{
    apus_book_step step = {cursor, {0, 0}};
    step.level = apus_book_next(book, &step.cursor);
    return step;
}

/* The i-th best level, 0 being the best; size 0 if there are not that many. Skips 64 ranks, or a chunk of the
 * tail, at a time: for all of the first levels use a walk. */
APUS_HOT apus_book_level apus_book_level_at(const apus_book *APUS_NONNULL book, apus_side which, uint64_t i)
{
    const apus_book_side *side = &book->sides[which & 1];
    if (i == 0 || i >= side->depth) {
        return i == 0 ? apus_book_best(book, which) : (apus_book_level){0, 0};
    }
    apus_book_cursor cursor = apus_book_walk(book, which);
    while (cursor.words != 0) {
        const uint32_t word = 63 - (uint32_t)__builtin_clzll(cursor.words);
        const int64_t rank = side->base + (int64_t)word * 64;
        const uint32_t count = (uint32_t)__builtin_popcountll(side->bits[(uint32_t)(rank >> 6) & 63]);
        if (i < count) {
            break;
        }
        i -= count;
        cursor.words ^= (uint64_t)1 << word;
    }
    if (cursor.words == 0) {
        while (i >= side->runs[cursor.run - 1].count) {
            cursor.run--;
            i -= side->runs[cursor.run].count;
        }
    }
    for (; i > 0; i--) {
        apus_book_next(book, &cursor);
    }
    return apus_book_next(book, &cursor);
}

/* Keeps the best `levels` of a side and forgets the others: for channels of limited depth, whose levels fall
 * out of sight without a word. These do not count as dropped. */
APUS_HOT void apus_book_truncate(apus_book *APUS_NONNULL book, apus_side which, uint32_t levels)
{
    apus_book_side *side = &book->sides[which & 1];
    if (side->depth > levels) {
        apus_book_cut(side, levels);
    }
}

/* Levels dropped since create because a tail was full or a price out of range. */
APUS_HOT uint64_t apus_book_dropped(const apus_book *APUS_NONNULL book)
{
    return book->dropped;
}

/* No level of this side was dropped for lack of room since the last clear. If false, the side is exact for
 * prices better than the one that `apus_book_horizon` gives, and silent about the rest. */
APUS_HOT bool apus_book_is_complete(const apus_book *APUS_NONNULL book, apus_side which)
{
    return book->sides[which & 1].horizon == INT64_MIN;
}

/* The best price that was dropped; only if the side is not complete. */
APUS_HOT apus_price_ticks apus_book_horizon(const apus_book *APUS_NONNULL book, apus_side which)
{
    return book->sides[which & 1].horizon ^ book->sides[which & 1].flip;
}

#endif
