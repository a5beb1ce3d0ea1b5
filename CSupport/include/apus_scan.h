/* apus_scan.h: JSON of a known form in two stages, by kernels that are chosen when the program runs.
 *
 * The first stage lists where a value may end: every ',', ']' and '}' of the frame, also those inside strings. The
 * second stage reads an object (apus_members_scan) whose members it expects in the order in which they came last and
 * without white space: a key costs one vector comparison, and the end of a value is known from the list, so that
 * members do not wait for one another. Whatever is not as expected goes through the general reader of apus_json.h,
 * member by member, so every kernel accepts, refuses and yields the same. Numbers that nobody wants are checked, but
 * not converted.
 *
 * Bounds:  reads the bytes of the cursor, from its start to its end, and nothing else.
 * Thread:  indexes, tables and shapes belong to one thread. Nothing allocates after the create functions.
 */
#ifndef APUS_SCAN_H
#define APUS_SCAN_H

#include "apus_json.h"

/* The kernels. Which of them exist depends on the architecture, which of them run on the processor. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(ScanLevel) apus_scan_level {
    APUS_SCAN_GENERAL APUS_NAME(general) = 0,   /* no guess at all: what the others are checked against */
    APUS_SCAN_PORTABLE APUS_NAME(portable) = 1, /* guesses keys; eight bytes at a time */
    APUS_SCAN_NEON APUS_NAME(neon) = 2,
    APUS_SCAN_AVX2 APUS_NAME(avx2) = 3,         /* and BMI1, BMI2, LZCNT, POPCNT */
    APUS_SCAN_AVX512 APUS_NAME(avx512) = 4,     /* and F, BW, DQ, VL, VBMI2 */
} apus_scan_level;
#define APUS_SCAN_LEVELS 5

/* Whether this build has the kernels and this processor runs them. */
bool apus_scan_runs(apus_scan_level level);

/* The fastest that runs. */
apus_scan_level apus_scan_best(void);

/* Both grids of an instrument. `price_factor[d]` ticks are one unit of the d-th decimal, if that is a whole number, else
 * 0; so is `size_factor`. */
typedef struct APUS_NAME(LevelGrid) apus_level_grid {
    apus_step price;
    apus_step size;
    int64_t price_factor[16];
    int64_t size_factor[16];
    /* The most steps whose value in 10^-8 has 63 bits: what is more is no price or size for the general reader. */
    int64_t price_most;
    int64_t size_most;
} apus_level_grid;

/* Cold. */
void apus_level_grid_set(apus_level_grid *APUS_NONNULL grid, const apus_step *APUS_NONNULL price,
                         const apus_step *APUS_NONNULL size);

/* How much of a frame is listed; what lies behind it is read by the general reader. */
#define APUS_INDEX_BYTES 8192

typedef struct apus_index apus_index;
typedef struct apus_members apus_members;

/* One level of a book, on the grid of its instrument. */
typedef struct APUS_NAME(ScannedLevel) apus_level {
    int64_t ticks; /* > 0 */
    int64_t lots;  /* >= 0 */
} apus_level;

/* Where values may end. */
struct apus_index {
    alignas(APUS_CACHE_LINE) const char *APUS_NULLABLE base; /* NULL: nothing is listed */
    const char *APUS_NULLABLE limit;                         /* bytes before it are listed */
    uint32_t next;                                           /* the first entry that was not used yet */
    uint32_t count;
    void (*APUS_NONNULL build)(apus_index *APUS_NONNULL index, const char *APUS_NONNULL text, size_t count);
    bool (*APUS_NONNULL scan)(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                              apus_members *APUS_NONNULL members, apus_index *APUS_NONNULL index);
    int32_t (*APUS_NONNULL levels)(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                                   const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out,
                                   uint32_t max);
    int32_t (*APUS_NONNULL quoted)(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                                   const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out,
                                   uint32_t max);
    int32_t (*APUS_NONNULL worded)(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                                   const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out,
                                   uint32_t max);
    /* Distances from base, rising, then UINT16_MAX; the kernels write up to 64 more. */
    alignas(APUS_CACHE_LINE) uint16_t ends[APUS_INDEX_BYTES + 128];
};

/* One cache line, as wide as apus_json_shape_line. */
typedef struct apus_member {
    alignas(APUS_CACHE_LINE) apus_decimal number;
    apus_json_text value;
} apus_member;

/* The members of one object, by the index of their keys in the shape, below APUS_JSON_SHAPE_READ. The four sets are
 * disjoint unless a key comes twice; of two values of one kind the last one stays. */
struct apus_members {
    alignas(APUS_CACHE_LINE) uint32_t numbers; /* bit i: key i had a number, converted if it is wanted */
    uint32_t texts;                            /* a string, in `value` */
    uint32_t nulls;
    uint32_t others;                           /* true, false, an array or an object; its text is in `value` */
    apus_member all[APUS_JSON_SHAPE_KEYS];
};

/* `level` must run. 0 or -ENOMEM; -EINVAL for a level that does not run. Cold. */
int apus_index_create(apus_scan_level level, apus_index *APUS_NULLABLE *APUS_NONNULL out);
void apus_index_destroy(apus_index *APUS_NULLABLE index);

/* Lists [text, text + count), or as much of it as fits; nothing at the levels that do without a list. */
APUS_HOT void apus_index_build(apus_index *APUS_NONNULL index, const char *APUS_NONNULL text, size_t count)
{
    index->build(index, text, count);
}

APUS_HOT uint32_t apus_index_count(const apus_index *APUS_NONNULL index)
{
    return index->count;
}

/* The distance of entry `i` from the start of the text. */
APUS_HOT uint32_t apus_index_end(const apus_index *APUS_NONNULL index, uint32_t i)
{
    return index->ends[i];
}

/* To be called when the text may change: what is listed holds no longer. */
APUS_HOT void apus_index_clear(apus_index *APUS_NONNULL index)
{
    index->base = NULL;
    index->limit = NULL;
}

/* `count` tables in a row. 0, -EINVAL if `count` is 0, or -ENOMEM. Cold. */
int apus_members_create(uint32_t count, apus_members *APUS_NULLABLE *APUS_NONNULL out);

APUS_HOT apus_members *APUS_NONNULL apus_members_at(apus_members *APUS_NONNULL first, ptrdiff_t i)
{
    return first + i;
}

void apus_members_destroy(apus_members *APUS_NULLABLE members);

/* Reads the object whose '{' has just been passed; the cursor ends behind its '}'. False, with a failed cursor, if
 * this is no JSON. Fast where `index` lists the text that the cursor is in; right everywhere. */
APUS_HOT bool apus_members_scan(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                                apus_members *APUS_NONNULL members, apus_index *APUS_NONNULL index)
{
    return index->scan(json, shape, members, index);
}

/* Reads an array of levels, each [price, size, a number] without white space, all on the grid and none negative; the
 * cursor ends behind its ']'. Returns how many there are, or -1 with the cursor where it was: the
 * text is another, longer than `max`, or not listed in `index`, and the general reader has to look. */
APUS_HOT int32_t apus_levels_scan(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                                  const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max)
{
    return index->levels(json, index, grid, out, max);
}

/* The same for levels whose two numbers are strings, as in [["85930.5","1.204"],["85930.0","0"]]. */
APUS_HOT int32_t apus_quoted_levels_scan(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                                         const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out,
                                         uint32_t max)
{
    return index->quoted(json, index, grid, out, max);
}

/* The same for levels of a word and two numbers, as in [["new",86472.5,9120.0],["delete",86470.5,0.0]]. */
APUS_HOT int32_t apus_worded_levels_scan(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                                         const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out,
                                         uint32_t max)
{
    return index->worded(json, index, grid, out, max);
}

APUS_HOT const apus_decimal *APUS_NONNULL apus_members_decimal(const apus_members *APUS_NONNULL members, int32_t key)
{
    return &members->all[key].number;
}

APUS_HOT apus_json_text apus_members_value(const apus_members *APUS_NONNULL members, int32_t key)
{
    return members->all[key].value;
}

/* The string that a member is; empty if it is none of this object, so that what an earlier object left is never read. */
APUS_HOT apus_json_text apus_members_text(const apus_members *APUS_NONNULL members, int32_t key)
{
    if (APUS_LIKELY(members->texts >> key & 1)) {
        return members->all[key].value;
    }
    return (apus_json_text){0};
}

APUS_HOT uint32_t apus_members_numbers(const apus_members *APUS_NONNULL members)
{
    return members->numbers;
}

APUS_HOT uint32_t apus_members_texts(const apus_members *APUS_NONNULL members)
{
    return members->texts;
}

APUS_HOT uint32_t apus_members_others(const apus_members *APUS_NONNULL members)
{
    return members->others;
}

#endif
