/* apus_scan_kernels.h: what the kernels of apus_scan.c share; private to them. */
#ifndef APUS_SCAN_KERNELS_H
#define APUS_SCAN_KERNELS_H

#include "apus_scan.h"

bool apus_members_general(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                          apus_members *APUS_NONNULL members, apus_index *APUS_NONNULL index);
bool apus_members_portable(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                           apus_members *APUS_NONNULL members, apus_index *APUS_NONNULL index);
bool apus_members_avx2(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                       apus_members *APUS_NONNULL members, apus_index *APUS_NONNULL index);
bool apus_members_avx512(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                         apus_members *APUS_NONNULL members, apus_index *APUS_NONNULL index);

/* The portable reader from the middle of an object on. */
bool apus_members_rest(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                       apus_members *APUS_NONNULL members, apus_json_walk walk);

void apus_index_avx2(apus_index *APUS_NONNULL index, const char *APUS_NONNULL text, size_t count);
void apus_index_avx512(apus_index *APUS_NONNULL index, const char *APUS_NONNULL text, size_t count);

/* The same pointer, but the compiler may not conclude that what it points to was loaded with a block. */
APUS_HOT const char *APUS_NONNULL apus_opaque(const char *APUS_NONNULL at)
{
    __asm__("" : "+r"(at));
    return at;
}

bool apus_members_neon(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                       apus_members *APUS_NONNULL members, apus_index *APUS_NONNULL index);
void apus_index_neon(apus_index *APUS_NONNULL index, const char *APUS_NONNULL text, size_t count);

/* Where a kernel stands in an object. */
typedef struct apus_members_state {
    const char *APUS_NONNULL at;       /* the ',' or '}' behind the last member, or the '{' */
    const uint16_t *APUS_NONNULL ends; /* the first entry of the index behind `at` */
    uint32_t last;                     /* as in apus_json_walk */
    bool started;
} apus_members_state;

/* What follows of a member that is not as expected: */
typedef enum apus_members_next {
    APUS_MEMBERS_GO_ON, /* more members, at the state */
    APUS_MEMBERS_DONE,  /* the object has been read to its end, and the cursor is behind it */
    APUS_MEMBERS_FAILED,
} apus_members_next;

/* Reads one member generally: from what stands before its key on (`value` NULL), or the value of the key `last` - 1. */
apus_members_next apus_members_surprise(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                                        apus_members *APUS_NONNULL members, apus_index *APUS_NONNULL index,
                                        apus_members_state *APUS_NONNULL state, const char *APUS_NULLABLE value);

/* The portable reader from the middle of an object on. */
bool apus_members_rest(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                       apus_members *APUS_NONNULL members, apus_json_walk walk);

int32_t apus_levels_none(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                    const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max);
int32_t apus_levels_avx2(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                    const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max);
int32_t apus_levels_avx512(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                    const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max);

int32_t apus_levels_neon(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                         const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max);

int32_t apus_quoted_avx2(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                         const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max);
int32_t apus_quoted_avx512(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                           const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max);
int32_t apus_quoted_neon(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                         const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max);

int32_t apus_worded_avx2(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                         const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max);
int32_t apus_worded_avx512(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                           const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max);
int32_t apus_worded_neon(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                         const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max);

/* Whether "new", "change" or "delete" stands between `at` and `end`; behind `end` three more bytes can be read. The words
 * come in any order, so there is no branch on which it is. */
APUS_HOT bool apus_is_level_word(const char *APUS_NONNULL at, const char *APUS_NONNULL end)
{
    const ptrdiff_t count = end - at;
    if (APUS_UNLIKELY(count < 5)) {
        return false;
    }
    uint64_t word;
    memcpy(&word, at, 8);
    const uint32_t is_short = (uint32_t)(count == 5) & (uint32_t)(word << 24 == 0x2277656E22000000);
    const uint32_t is_long =
        (uint32_t)(count == 8) & ((uint32_t)(word == 0x2265676E61686322) | (uint32_t)(word == 0x226574656C656422));
    return (is_short | is_long) != 0;
}

/* What stands from the last quote of a quoted level on: `"],["` before another level, `"]]` at the end. */
#define APUS_QUOTED_NEXT 0x225B2C5D22u
#define APUS_QUOTED_NEXT_MASK 0xFFFFFFFFFFu
#define APUS_QUOTED_END 0x5D5D22u
#define APUS_QUOTED_END_MASK 0xFFFFFFu

/* mantissa * 10^-decimals as a count of steps; false if it is none, or the general reader has to say. `mantissa` is below
 * 10^18. */
APUS_HOT bool apus_level_steps(uint64_t mantissa, uint32_t decimals, const apus_step *APUS_NONNULL step,
                               int64_t *APUS_NONNULL out)
{
    int64_t value_e8;
    if (decimals > 8 || __builtin_mul_overflow((int64_t)mantissa, (int64_t)apus_pow10[8 - decimals], &value_e8)) {
        return false;
    }
    /* apus_step_count for a number that is not negative. */
    const uint64_t count = ((uint64_t)value_e8 >> step->shift) * step->inverse;
    *out = (int64_t)count;
    return count <= step->limit && ((uint64_t)value_e8 & (((uint64_t)1 << step->shift) - 1)) == 0;
}

/* The same, with the factors of the grid first: nearly every number is a multiple of the step by its decimals alone. */
APUS_HOT bool apus_level_count(uint64_t mantissa, uint32_t decimals, const int64_t *APUS_NONNULL factors,
                               const apus_step *APUS_NONNULL step, int64_t *APUS_NONNULL out)
{
    const int64_t factor = factors[decimals & 15];
    if (APUS_LIKELY(factor != 0)) {
        return !__builtin_mul_overflow((int64_t)mantissa, factor, out);
    }
    return apus_level_steps(mantissa, decimals, step, out);
}

/* Whether `index` lists the text at the cursor, and the kernels may look at the 40 bytes before it. */
APUS_HOT bool apus_index_covers(const apus_index *APUS_NONNULL index, const apus_json *APUS_NONNULL json)
{
    return index->base != NULL && json->at >= index->base && json->at < index->limit && json->at - json->start >= 40;
}

/* 32 bytes from apus_lanes + n on: the last n of them are 0xFF. */
extern const uint8_t apus_lanes[64];

#endif
