#include "apus_book.h"

#include <errno.h>
#include <stdlib.h>

static_assert(offsetof(apus_book_side, horizon) == APUS_CACHE_LINE, "the scalars of an update share one line");

/* Two neighbouring chunks never hold 16 levels or fewer together (see remove_at), so that k chunks hold at least
 * 17 * (k / 2) levels, and this many are enough. */
static uint32_t chunk_count(uint32_t tail_levels)
{
    return tail_levels / 8 + 2;
}

/* ---- Tail: sorted runs ---- */

/* All ones or none. A conditional in a search becomes a jump that is guessed wrong every other time; the barrier keeps
 * the compiler from making one of this as well. */
static inline uint32_t all_if(bool condition)
{
    uint32_t mask = 0 - (uint32_t)condition;
    __asm__("" : "+r"(mask));
    return mask;
}

/* The run that holds `rank` or would take it: the last that begins at or below it, else the first. */
static uint32_t run_of(const apus_book_side *side, int64_t rank)
{
    const apus_book_run *runs = side->runs;
    uint32_t low = 0, count = side->run_count;
    while (count > 1) {
        const uint32_t half = count / 2;
        low += half & all_if(runs[low + half].first <= rank);
        count -= half;
    }
    return low;
}

/* The first place in a chunk whose rank is not below `rank`. */
static uint32_t place_of(const apus_book_chunk *chunk, uint32_t count, int64_t rank)
{
    uint32_t low = 0;
    while (count > 0) {
        const uint32_t half = (count + 1) / 2;
        low += half & all_if(chunk->ranks[low + half - 1] < rank);
        count -= half;
    }
    return low;
}

/* Puts an empty run with a chunk of its own into the directory. */
static apus_book_run *add_run(apus_book_side *side, uint32_t at)
{
    APUS_ASSERT(side->free_count != 0);
    memmove(&side->runs[at + 1], &side->runs[at], (side->run_count - at) * sizeof *side->runs);
    side->run_count++;
    side->runs[at] = (apus_book_run){0, side->free_chunks[--side->free_count], 0};
    return &side->runs[at];
}

static void remove_run(apus_book_side *side, uint32_t at)
{
    side->free_chunks[side->free_count++] = side->runs[at].chunk;
    side->run_count--;
    memmove(&side->runs[at], &side->runs[at + 1], (side->run_count - at) * sizeof *side->runs);
}

/* Appends `count` levels of one chunk, from `from` on, to another run. */
static void append_levels(apus_book_side *side, apus_book_run *to, const apus_book_chunk *source, uint32_t from,
                          uint32_t count)
{
    apus_book_chunk *target = &side->chunks[to->chunk];
    memcpy(&target->ranks[to->count], &source->ranks[from], count * sizeof(int64_t));
    memcpy(&target->sizes[to->count], &source->sizes[from], count * sizeof(int64_t));
    to->count += count;
    to->first = target->ranks[0];
}

/* Merges the run with the next one if both hold no more than half a chunk together. */
static bool merge_with_next(apus_book_side *side, uint32_t at)
{
    if (at + 1 >= side->run_count || side->runs[at].count + side->runs[at + 1].count > APUS_BOOK_CHUNK / 2) {
        return false;
    }
    append_levels(side, &side->runs[at], &side->chunks[side->runs[at + 1].chunk], 0, side->runs[at + 1].count);
    remove_run(side, at + 1);
    return true;
}

static void remove_at(apus_book_side *side, uint32_t at, uint32_t place)
{
    apus_book_run *run = &side->runs[at];
    apus_book_chunk *chunk = &side->chunks[run->chunk];
    run->count--;
    const size_t bytes = (run->count - place) * sizeof(int64_t);
    memmove(&chunk->ranks[place], &chunk->ranks[place + 1], bytes);
    memmove(&chunk->sizes[place], &chunk->sizes[place + 1], bytes);
    side->tail_count--;
    side->depth--;
    if (run->count == 0) {
        remove_run(side, at);
        return;
    }
    run->first = chunk->ranks[0];
    if (at == 0 || !merge_with_next(side, at - 1)) {
        merge_with_next(side, at);
    }
}

/* Forgets the worst level for lack of room, and with it everything beyond. */
static void drop(apus_book *book, apus_book_side *side, int64_t rank)
{
    book->dropped++;
    if (rank > side->horizon) {
        side->horizon = rank;
    }
}

static void drop_worst(apus_book *book, apus_book_side *side)
{
    drop(book, side, side->runs[0].first);
    remove_at(side, 0, 0);
}

/* Puts a level better than all others of the tail into it. */
static void push_best(apus_book *book, apus_book_side *side, int64_t rank, int64_t size)
{
    if (side->tail_count == side->tail_capacity) {
        drop_worst(book, side);
    }
    apus_book_run *run = side->run_count != 0 ? &side->runs[side->run_count - 1] : NULL;
    if (run == NULL || run->count == APUS_BOOK_CHUNK) {
        run = add_run(side, side->run_count);
    }
    apus_book_chunk *chunk = &side->chunks[run->chunk];
    chunk->ranks[run->count] = rank;
    chunk->sizes[run->count] = size;
    run->count++;
    run->first = chunk->ranks[0];
    side->tail_count++;
    side->depth++;
}

static int64_t tail_best_rank(const apus_book_side *side)
{
    const apus_book_run *run = &side->runs[side->run_count - 1];
    return side->chunks[run->chunk].ranks[run->count - 1];
}

static void tail_set(apus_book *book, apus_book_side *side, int64_t rank, int64_t size)
{
    if (side->tail_count == 0 || rank > tail_best_rank(side)) {
        if (size != 0) {
            push_best(book, side, rank, size);
        }
        return;
    }
    uint32_t at = run_of(side, rank);
    apus_book_run *run = &side->runs[at];
    apus_book_chunk *chunk = &side->chunks[run->chunk];
    uint32_t place = place_of(chunk, run->count, rank);
    if (place < run->count && chunk->ranks[place] == rank) {
        if (size != 0) {
            chunk->sizes[place] = size;
        } else {
            remove_at(side, at, place);
        }
        return;
    }
    if (size == 0) {
        return;
    }
    if (side->tail_count == side->tail_capacity) {
        if (rank < side->runs[0].first) {
            drop(book, side, rank);
            return;
        }
        drop_worst(book, side);
        tail_set(book, side, rank, size); /* once: there is room now */
        return;
    }
    if (run->count == APUS_BOOK_CHUNK) {
        /* Halves; the level goes to the one that it belongs to. */
        apus_book_run *upper = add_run(side, at + 1);
        run = &side->runs[at];
        append_levels(side, upper, chunk, APUS_BOOK_CHUNK / 2, APUS_BOOK_CHUNK / 2);
        run->count = APUS_BOOK_CHUNK / 2;
        if (place > APUS_BOOK_CHUNK / 2) {
            place -= APUS_BOOK_CHUNK / 2;
            run = upper;
            chunk = &side->chunks[run->chunk];
        }
    }
    const size_t bytes = (run->count - place) * sizeof(int64_t);
    memmove(&chunk->ranks[place + 1], &chunk->ranks[place], bytes);
    memmove(&chunk->sizes[place + 1], &chunk->sizes[place], bytes);
    chunk->ranks[place] = rank;
    chunk->sizes[place] = size;
    run->count++;
    run->first = chunk->ranks[0];
    side->tail_count++;
    side->depth++;
}

int64_t apus_book_tail_size(const apus_book_side *side, int64_t rank)
{
    if (side->tail_count == 0) {
        return 0;
    }
    const apus_book_run *run = &side->runs[run_of(side, rank)];
    const apus_book_chunk *chunk = &side->chunks[run->chunk];
    const uint32_t place = place_of(chunk, run->count, rank);
    return place < run->count && chunk->ranks[place] == rank ? chunk->sizes[place] : 0;
}

/* ---- Window ---- */

static int64_t lowest_rank(const apus_book_side *side)
{
    return -APUS_BOOK_PRICE_LIMIT + side->flip;
}

static int64_t highest_rank(const apus_book_side *side)
{
    return APUS_BOOK_PRICE_LIMIT + side->flip;
}

/* Puts the window where a best level of `rank` has its headroom. Levels have been moved, or will be. */
static void place_window(apus_book_side *side, int64_t rank)
{
    side->base = (rank - (APUS_BOOK_WINDOW - APUS_BOOK_HEADROOM)) & ~(int64_t)63;
    /* Levels beyond the horizon or out of range stay out, even where the window reaches over them. */
    const int64_t lowest = side->horizon >= lowest_rank(side) ? side->horizon + 1 : lowest_rank(side);
    const int64_t end = side->base + APUS_BOOK_WINDOW;
    side->floor = lowest > side->base ? lowest : side->base;
    side->extent = (uint64_t)((end <= highest_rank(side) ? end : highest_rank(side) + 1) - side->floor);
}

/* Takes from the tail what the window now covers. */
static void take_from_tail(apus_book_side *side)
{
    while (side->run_count != 0) {
        const uint32_t at = side->run_count - 1;
        const apus_book_run *run = &side->runs[at];
        const apus_book_chunk *chunk = &side->chunks[run->chunk];
        const int64_t rank = chunk->ranks[run->count - 1];
        if (rank < side->base) {
            return;
        }
        const int64_t size = chunk->sizes[run->count - 1];
        remove_at(side, at, run->count - 1);
        apus_book_store(side, rank, size);
    }
}

/* The best fell into the lower half of the window: everything above it is empty. */
void apus_book_lower(apus_book_side *side)
{
    place_window(side, side->best_rank);
    take_from_tail(side);
}

/* The last level of the window went: the tail's best is the best, or the side is empty. */
void apus_book_refill(apus_book_side *side)
{
    if (side->tail_count == 0) {
        side->best_rank = INT64_MIN;
        side->best_size = 0;
        side->floor = 0;
        side->extent = 0;
        return;
    }
    place_window(side, tail_best_rank(side));
    take_from_tail(side);
    apus_book_find_best(side);
}

/* A level above the window: what falls out at the lower end goes to the tail, worst first. */
static void raise_window(apus_book *book, apus_book_side *side, int64_t rank)
{
    const int64_t new_base = (rank - (APUS_BOOK_WINDOW - APUS_BOOK_HEADROOM)) & ~(int64_t)63;
    uint64_t words = apus_book_in_rank_order(side);
    while (words != 0) {
        const int64_t rank_of_word = side->base + (int64_t)__builtin_ctzll(words) * 64;
        if (rank_of_word >= new_base) {
            break;
        }
        words &= words - 1;
        const uint32_t index = (uint32_t)(rank_of_word >> 6) & 63;
        uint64_t bits = side->bits[index];
        side->depth -= (uint64_t)__builtin_popcountll(bits);
        for (; bits != 0; bits &= bits - 1) {
            const uint32_t bit = (uint32_t)__builtin_ctzll(bits);
            push_best(book, side, rank_of_word + bit, side->sizes[index * 64 + bit]);
            side->sizes[index * 64 + bit] = 0;
        }
        side->bits[index] = 0;
        side->summary &= ~((uint64_t)1 << index);
    }
    place_window(side, rank);
}

bool apus_book_set_outside(apus_book *book, apus_book_side *side, int64_t rank, int64_t size)
{
    if (rank > highest_rank(side) || rank < lowest_rank(side) || rank <= side->horizon) {
        book->dropped += size != 0;
        return false;
    }
    if (side->extent == 0) {
        if (size == 0) {
            return false;
        }
        place_window(side, rank);
    } else if (rank < side->base) {
        tail_set(book, side, rank, size);
        return false;
    } else {
        if (size == 0) {
            return false;
        }
        raise_window(book, side, rank);
    }
    apus_book_store(side, rank, size);
    return apus_book_find_best(side);
}

void apus_book_cut(apus_book_side *side, uint64_t levels)
{
    while (side->depth > levels && side->tail_count != 0) {
        remove_at(side, 0, 0);
    }
    while (side->depth > levels) {
        const int64_t rank_of_word = side->base + (int64_t)__builtin_ctzll(apus_book_in_rank_order(side)) * 64;
        const uint64_t bits = side->bits[(uint32_t)(rank_of_word >> 6) & 63];
        apus_book_store(side, rank_of_word + __builtin_ctzll(bits), 0);
    }
    if (side->depth == 0) {
        apus_book_refill(side);
    }
}

/* ---- Whole book ---- */

static void clear_side(apus_book_side *side)
{
    for (uint64_t words = side->summary; words != 0; words &= words - 1) {
        const uint32_t index = (uint32_t)__builtin_ctzll(words);
        memset(&side->sizes[index * 64], 0, 64 * sizeof(int64_t));
        side->bits[index] = 0;
    }
    side->summary = 0;
    while (side->run_count != 0) {
        side->free_chunks[side->free_count++] = side->runs[--side->run_count].chunk;
    }
    side->tail_count = 0;
    side->depth = 0;
    side->horizon = INT64_MIN;
    apus_book_refill(side);
}

void apus_book_clear(apus_book *book)
{
    clear_side(&book->sides[APUS_BUY]);
    clear_side(&book->sides[APUS_SELL]);
}

static size_t up(size_t bytes)
{
    return (bytes + APUS_BOOK_ALIGNMENT - 1) / APUS_BOOK_ALIGNMENT * APUS_BOOK_ALIGNMENT;
}

size_t apus_book_bytes(uint32_t tail_levels)
{
    if (tail_levels < APUS_BOOK_MIN_TAIL || tail_levels > APUS_BOOK_MAX_TAIL) {
        return 0;
    }
    const size_t chunks = chunk_count(tail_levels);
    return up(sizeof(apus_book)) + 2 * (up(chunks * sizeof(apus_book_chunk)) + up(chunks * sizeof(apus_book_run)) +
                                        up(chunks * sizeof(uint32_t)));
}

int apus_book_create(uint32_t tail_levels, void *memory, size_t memory_bytes, apus_book **out)
{
    *out = NULL;
    const size_t bytes = apus_book_bytes(tail_levels);
    if (bytes == 0) {
        return -EINVAL;
    }
    char *block = memory;
    if (memory == NULL) {
        block = aligned_alloc(APUS_BOOK_ALIGNMENT, bytes);
        if (block == NULL) {
            return -ENOMEM;
        }
    } else if (memory_bytes < bytes || (uintptr_t)memory % APUS_BOOK_ALIGNMENT != 0) {
        return -EINVAL;
    }
    memset(block, 0, bytes); /* also touches every page */

    apus_book *book = (apus_book *)(void *)block;
    book->owns_memory = memory == NULL;
    const uint32_t chunks = chunk_count(tail_levels);
    char *next = block + up(sizeof *book);
    for (int which = 0; which < 2; which++) {
        apus_book_side *side = &book->sides[which];
        side->flip = which == APUS_BUY ? 0 : -1;
        side->tail_capacity = tail_levels;
        side->chunks = (apus_book_chunk *)(void *)next;
        next += up(chunks * sizeof(apus_book_chunk));
        side->runs = (apus_book_run *)(void *)next;
        next += up(chunks * sizeof(apus_book_run));
        side->free_chunks = (uint32_t *)(void *)next;
        next += up(chunks * sizeof(uint32_t));
        while (side->free_count < chunks) {
            side->free_chunks[side->free_count] = side->free_count;
            side->free_count++;
        }
    }
    apus_book_clear(book);
    *out = book;
    return 0;
}

void apus_book_destroy(apus_book *book)
{
    if (book != NULL && book->owns_memory) {
        free(book);
    }
}
