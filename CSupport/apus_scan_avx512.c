#include "apus_repeat_internal.h"
#include "apus_scan_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define APUS_TARGET __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2")))
#define APUS_MEMBERS apus_members_avx512
#define APUS_KERNEL APUS_TARGET static inline __attribute__((always_inline))

typedef __m256i apus_block; /* 32 bytes of text */

APUS_KERNEL apus_block block_load(const char *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

/* The 32 bytes at `at` begin as `line` says, but for the bytes in `but`. */
APUS_KERNEL bool block_is_key(const char *at, const apus_json_shape_line *line, uint32_t but)
{
    const __m256i text = _mm256_load_si256((const __m256i *)(const void *)line->text);
    return _mm256_mask_cmpneq_epi8_mask(line->mask & ~but, block_load(at), text) == 0;
}

/* Which of the last `count` bytes are no digits, and which of these are no points, or a point in the last byte. Bit i
 * speaks of byte i. */
APUS_KERNEL uint32_t block_odd(apus_block block, uint32_t count, uint32_t *odd)
{
    /* What equals '0' in the last byte is a digit. */
    const __m256i points = _mm256_setr_epi8('.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.',
                                            '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '0');
    const __m256i value = _mm256_sub_epi8(block, _mm256_set1_epi8('0'));
    const __mmask32 lanes = UINT32_MAX << (-count & 31);
    const __mmask32 found = _mm256_mask_cmpgt_epu8_mask(lanes, value, _mm256_set1_epi8(9));
    *odd = found;
    return _mm256_mask_cmpneq_epi8_mask(found, block, points);
}

/* Digits behind the only bit of `odd`; 32 if there is none. */
APUS_KERNEL uint32_t block_decimals(uint32_t odd)
{
    return (uint32_t)_lzcnt_u32(odd);
}

/* Quotes, backslashes and control characters among the bytes of `lanes`. */
APUS_KERNEL uint32_t block_specials(apus_block block, uint32_t lanes)
{
    return _mm256_mask_cmplt_epu8_mask(lanes, block, _mm256_set1_epi8(0x20)) |
           _mm256_mask_cmpeq_epi8_mask(lanes, block, _mm256_set1_epi8('"')) |
           _mm256_mask_cmpeq_epi8_mask(lanes, block, _mm256_set1_epi8('\\'));
}

/* The number that the `digits` <= 19 digits before `end` spell. A point stands before the last `decimals` of
 * them; 32 if there is none. `block` are the 32 bytes before `end`; reads one more before them. */
APUS_KERNEL uint64_t block_value(apus_block block, const char *end, uint32_t digits, uint32_t decimals)
{
    /* Behind the point the digits stand where they should; before it one byte too far left. */
    const __mmask32 behind = UINT32_MAX << (-decimals & 31);
    const __mmask32 valid = UINT32_MAX << (-digits & 31);
    const __m256i text = _mm256_mask_blend_epi8(behind, block_load(end - 33), block);
    const __m256i value = _mm256_maskz_sub_epi8(valid, text, _mm256_set1_epi8('0'));
    const __m256i pairs = _mm256_maddubs_epi16(value, _mm256_set1_epi16(0x010A));
    const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00010064));
    const __m256i packed = _mm256_packus_epi32(fours, fours);
    const __m256i eights = _mm256_madd_epi16(packed, _mm256_set1_epi32(0x00012710));
    const uint64_t upper = (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(eights)) >> 32;
    const uint64_t lower = (uint64_t)_mm_cvtsi128_si64(_mm256_extracti128_si256(eights, 1));
    return (upper * 100000000 + (lower & UINT32_MAX)) * 100000000 + (lower >> 32);
}

/* Lists the ',', ']' and '}' of the bytes of `lanes`. */
APUS_KERNEL uint16_t *index_append(uint16_t *out, __m512i block, uint64_t lanes, uint32_t offset)
{
    const __m512i folded = _mm512_or_si512(block, _mm512_set1_epi8(0x20));
    const uint64_t ends = (_mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8(',')) |
                           _mm512_cmpeq_epi8_mask(folded, _mm512_set1_epi8('}'))) &
                          lanes;
    const __m512i places = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36,
        35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7,
        6, 5, 4, 3, 2, 1, 0);
    const __m512i found = _mm512_maskz_compress_epi8(ends, places);
    const __m512i start = _mm512_set1_epi16((short)offset);
    const uint32_t count = (uint32_t)_mm_popcnt_u64(ends);
    _mm512_storeu_si512(out, _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(found)), start));
    if (APUS_UNLIKELY(count > 32)) {
        const __m256i more = _mm512_extracti64x4_epi64(found, 1);
        _mm512_storeu_si512(out + 32, _mm512_add_epi16(_mm512_cvtepu8_epi16(more), start));
    }
    return out + count;
}

APUS_TARGET void apus_index_avx512(apus_index *index, const char *text, size_t count)
{
    count = count > APUS_INDEX_BYTES ? APUS_INDEX_BYTES : count;
    uint16_t *out = index->ends;
    uint32_t i = 0;
    for (; i + 64 <= count; i += 64) {
        out = index_append(out, _mm512_loadu_si512(text + i), UINT64_MAX, i);
    }
    if (i < count) {
        const uint64_t lanes = UINT64_MAX >> (64 - (count - i));
        out = index_append(out, _mm512_maskz_loadu_epi8(lanes, text + i), lanes, i);
    }
    *out = UINT16_MAX;
    index->base = text;
    index->limit = text + count;
    index->next = 0;
    index->count = (uint32_t)(out - index->ends);
}

#include "apus_scan_members.h"

APUS_KERNEL uint64_t block_faults(const char *learned, const char *text, uint64_t digits, uint64_t heads)
{
    const __m512i found = _mm512_loadu_si512(text);
    const __m512i value = _mm512_sub_epi8(found, _mm512_set1_epi8('0'));
    const uint64_t other = _mm512_cmpneq_epi8_mask(found, _mm512_loadu_si512(learned));
    return (other & ~(digits & _mm512_cmplt_epu8_mask(value, _mm512_set1_epi8(10)))) |
           (heads & _mm512_testn_epi8_mask(value, value));
}

APUS_KERNEL uint32_t block_differs(const char *learned, const char *text)
{
    return _mm256_cmpneq_epi8_mask(block_load(learned), block_load(text));
}

APUS_KERNEL void block_copy(char *to, const char *from)
{
    _mm512_storeu_si512(to, _mm512_loadu_si512(from));
}

#define APUS_REPEAT apus_repeat_avx512
#include "apus_repeat_match.h"

/* 16 bits: the last n of them are set. The second table is for 16 numbers of decimals, and 16: no point. */
static const uint16_t last_16[17] = {0,      0x8000, 0xC000, 0xE000, 0xF000, 0xF800, 0xFC00, 0xFE00, 0xFF00,
                                     0xFF80, 0xFFC0, 0xFFE0, 0xFFF0, 0xFFF8, 0xFFFC, 0xFFFE, 0xFFFF};

/* The three numbers of a level in three lanes of 16 bytes, checked and converted together. */
APUS_TARGET int32_t apus_levels_avx512(apus_json *json, apus_index *index, const apus_level_grid *grid, apus_level *out,
                                       uint32_t max)
{
    if (APUS_UNLIKELY(!apus_index_covers(index, json) || json->end - json->at < 4 || *json->at != '[')) {
        return -1;
    }
    const char *const base = index->base;
    const char *at = json->at;
    const uint16_t *ends = index->ends + index->next;
    while (*ends <= at - base) {
        ends++;
    }
    if (at[1] == ']') {
        json->at = at + 2;
        index->next = (uint32_t)(ends + 1 - index->ends);
        return 0;
    }
    if (at[1] != '[' || index->count < 4) {
        return -1;
    }
    at += 2; /* the first number of a level */
    /* `ends` up to here has four entries, and the bytes behind its third number can be read. */
    const uint16_t *const last = index->ends + index->count - 4;
    const char *const safe = json->end - 4;
    const __m512i points = _mm512_broadcast_i32x4(
        _mm_setr_epi8('.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '0'));
    /* Out of the compiler's sight, which would otherwise make the product one of 64 bits, and slow. */
    __m256i hundred_million = _mm256_set1_epi64x(100000000);
    __asm__("" : "+x"(hundred_million));
    const uint64_t ones = 0x000100010001;
    const uint64_t tops = 0x800080008000;
    int32_t count = 0;
    for (;;) {
        const char *const p = base + ends[0];
        const char *const q = base + ends[1];
        const char *const r = base + ends[2];
        if (APUS_UNLIKELY(ends > last || r > safe || (uint32_t)count == max || *p != ',' || *q != ',')) {
            return -1;
        }
        /* Up to 15 bytes each: bit 0 of each lane stays free. */
        const uint64_t p_count = (uint64_t)(p - at);
        const uint64_t q_count = (uint64_t)(q - p) - 1;
        const uint64_t r_count = (uint64_t)(r - q) - 1;
        if (APUS_UNLIKELY((p_count | q_count | r_count) > 15)) {
            return -1;
        }
        const uint64_t lanes =
            last_16[p_count] | (uint64_t)last_16[q_count] << 16 | (uint64_t)last_16[r_count] << 32;
        const __m128i first = _mm_loadu_si128((const __m128i *)(const void *)(p - 16));
        const __m128i second = _mm_loadu_si128((const __m128i *)(const void *)(q - 16));
        const __m128i third = _mm_loadu_si128((const __m128i *)(const void *)(r - 16));
        const __m512i block = _mm512_inserti32x4(
            _mm512_castsi256_si512(_mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1)), third, 2);
        const __m512i value = _mm512_sub_epi8(block, _mm512_set1_epi8('0'));
        const uint64_t odd = _mm512_mask_cmpgt_epu8_mask(lanes, value, _mm512_set1_epi8(9));
        const uint64_t no_points = _mm512_mask_cmpneq_epi8_mask(odd, block, points);
        const uint64_t zeros = _mm512_mask_testn_epi8_mask(lanes, value, value);
        const uint64_t starts = lanes & ~(lanes << 1);
        /* In each lane: nothing but digits and one point, no digit missing on either side, no empty number, no leading
         * zero. The last byte of a lane is no point, so that bit can stop the borrow. */
        const uint64_t bad = no_points | (odd & ((odd | tops) - ones)) | (odd & starts) | (tops & ~lanes) |
                             ((zeros & starts) << 1 & lanes & ~odd);
        if (APUS_UNLIKELY(bad != 0)) {
            return -1;
        }
        /* Digits behind the point, 16 if there is none. */
        const uint32_t p_behind = (uint32_t)_lzcnt_u32((uint16_t)odd) - 16;
        const uint32_t q_behind = (uint32_t)_lzcnt_u32((uint16_t)(odd >> 16)) - 16;
        const uint32_t p_decimals = p_behind & 15;
        const uint32_t q_decimals = q_behind & 15;
        /* Before the point the digits stand one byte too far left. */
        const __mmask32 behind = last_16[p_behind] | (uint32_t)last_16[q_behind] << 16;
        const __mmask32 valid = (uint32_t)lanes & (behind | (uint32_t)lanes << 1);
        const __m256i two = _mm512_castsi512_si256(value);
        const __m256i digits =
            _mm256_maskz_mov_epi8(valid, _mm256_mask_blend_epi8(behind, _mm256_bslli_epi128(two, 1), two));
        const __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010A));
        const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00010064));
        const __m256i packed = _mm256_packus_epi32(fours, fours);
        const __m256i eights = _mm256_madd_epi16(packed, _mm256_set1_epi32(0x00012710));
        const __m256i mantissas = _mm256_add_epi64(_mm256_mul_epu32(eights, hundred_million),
                                                   _mm256_srli_epi64(eights, 32));
        const uint64_t price = (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(mantissas));
        const uint64_t size = (uint64_t)_mm_cvtsi128_si64(_mm256_extracti128_si256(mantissas, 1));
        uint32_t next;
        memcpy(&next, r, 4);
        if (APUS_UNLIKELY(!apus_level_count(price, p_decimals, grid->price_factor, &grid->price, &out[count].ticks) ||
                          !apus_level_count(size, q_decimals, grid->size_factor, &grid->size, &out[count].lots) || price == 0)) {
            return -1;
        }
        count++;
        ends += 4;
        if (APUS_LIKELY((next & 0xFFFFFF) == 0x5B2C5D)) { /* ],[ */
            at = r + 3;
        } else if ((next & 0xFFFF) == 0x5D5D) { /* ]] */
            at = r + 2;
            break;
        } else {
            return -1;
        }
    }
    index->next = (uint32_t)(ends - index->ends);
    json->at = at;
    return count;
}

/* Price and size of a level in two lanes of 16 bytes, checked and converted together. `points` and `hundred_million` are
 * level_points() and level_factor(). */
APUS_KERNEL bool level_pair(const char *price_end, uint64_t price_count, const char *size_end, uint64_t size_count,
                            __m256i points, __m256i hundred_million, const apus_level_grid *grid, apus_level *out)
{
    const uint32_t ones = 0x00010001;
    const uint32_t tops = 0x80008000;
    /* Up to 15 bytes each: bit 0 of each lane stays free. */
    if (APUS_UNLIKELY((price_count | size_count) > 15)) {
        return false;
    }
    const uint32_t lanes = last_16[price_count] | (uint32_t)last_16[size_count] << 16;
    const __m128i first = _mm_loadu_si128((const __m128i *)(const void *)(price_end - 16));
    const __m128i second = _mm_loadu_si128((const __m128i *)(const void *)(size_end - 16));
    const __m256i block = _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
    const __m256i value = _mm256_sub_epi8(block, _mm256_set1_epi8('0'));
    const uint32_t odd = _mm256_mask_cmpgt_epu8_mask(lanes, value, _mm256_set1_epi8(9));
    const uint32_t no_points = _mm256_mask_cmpneq_epi8_mask(odd, block, points);
    const uint32_t zeros = _mm256_mask_testn_epi8_mask(lanes, value, value);
    const uint32_t starts = lanes & ~(lanes << 1);
    /* As in apus_levels_avx512. */
    const uint32_t bad = no_points | (odd & ((odd | tops) - ones)) | (odd & starts) | (tops & ~lanes) |
                         ((zeros & starts) << 1 & lanes & ~odd);
    if (APUS_UNLIKELY(bad != 0)) {
        return false;
    }
    /* Digits behind the point, 16 if there is none. */
    const uint32_t p_behind = (uint32_t)_lzcnt_u32((uint16_t)odd) - 16;
    const uint32_t s_behind = (uint32_t)_lzcnt_u32((uint16_t)(odd >> 16)) - 16;
    /* Before the point the digits stand one byte too far left. */
    const __mmask32 right = last_16[p_behind] | (uint32_t)last_16[s_behind] << 16;
    const __mmask32 valid = lanes & (right | lanes << 1);
    const __m256i digits =
        _mm256_maskz_mov_epi8(valid, _mm256_mask_blend_epi8(right, _mm256_bslli_epi128(value, 1), value));
    const __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010A));
    const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00010064));
    const __m256i packed = _mm256_packus_epi32(fours, fours);
    const __m256i eights = _mm256_madd_epi16(packed, _mm256_set1_epi32(0x00012710));
    const __m256i mantissas = _mm256_add_epi64(_mm256_mul_epu32(eights, hundred_million),
                                               _mm256_srli_epi64(eights, 32));
    const uint64_t price = (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(mantissas));
    const uint64_t size = (uint64_t)_mm_cvtsi128_si64(_mm256_extracti128_si256(mantissas, 1));
    return apus_level_count(price, p_behind & 15, grid->price_factor, &grid->price, &out->ticks) &&
           apus_level_count(size, s_behind & 15, grid->size_factor, &grid->size, &out->lots) && price != 0 &&
           out->ticks <= grid->price_most && out->lots <= grid->size_most;
}

APUS_KERNEL __m256i level_points(void)
{
    return _mm256_broadcastsi128_si256(
        _mm_setr_epi8('.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '0'));
}

APUS_KERNEL __m256i level_factor(void)
{
    /* Out of the compiler's sight, which would otherwise make the product one of 64 bits, and slow. */
    __m256i hundred_million = _mm256_set1_epi64x(100000000);
    __asm__("" : "+x"(hundred_million));
    return hundred_million;
}

APUS_TARGET int32_t apus_quoted_avx512(apus_json *json, apus_index *index, const apus_level_grid *grid, apus_level *out,
                                       uint32_t max)
{
    if (APUS_UNLIKELY(!apus_index_covers(index, json) || json->end - json->at < 4 || *json->at != '[')) {
        return -1;
    }
    const char *const base = index->base;
    const char *at = json->at;
    const uint16_t *ends = index->ends + index->next;
    while (*ends <= at - base) {
        ends++;
    }
    if (at[1] == ']') {
        json->at = at + 2;
        index->next = (uint32_t)(ends + 1 - index->ends);
        return 0;
    }
    if (at[1] != '[' || at[2] != '"' || index->count < 3) {
        return -1;
    }
    at += 3; /* the first digit of a level */
    /* `ends` up to here has three entries, and the bytes behind its second can be read. */
    const uint16_t *const last = index->ends + index->count - 3;
    const char *const safe = json->end - 7;
    const __m256i points = level_points();
    const __m256i hundred_million = level_factor();
    int32_t count = 0;
    for (;;) {
        const char *const p = base + ends[0]; /* the ',' between price and size */
        const char *const r = base + ends[1]; /* the ']' behind the size */
        if (APUS_UNLIKELY(ends > last || r > safe || (uint32_t)count == max)) {
            return -1;
        }
        uint32_t between; /* `","` and a digit */
        uint64_t behind;
        memcpy(&between, p - 1, 4);
        memcpy(&behind, r - 1, 8);
        if (APUS_UNLIKELY((between & 0xFFFFFF) != 0x222C22 ||
                          !level_pair(p - 1, (uint64_t)(p - at) - 1, r - 1, (uint64_t)(r - p) - 3, points,
                                      hundred_million, grid, &out[count]))) {
            return -1;
        }
        count++;
        ends += 3;
        if (APUS_LIKELY((behind & APUS_QUOTED_NEXT_MASK) == APUS_QUOTED_NEXT)) {
            at = r + 4;
        } else if ((behind & APUS_QUOTED_END_MASK) == APUS_QUOTED_END) {
            at = r + 2;
            break;
        } else {
            return -1;
        }
    }
    index->next = (uint32_t)(ends - index->ends);
    json->at = at;
    return count;
}

APUS_TARGET int32_t apus_worded_avx512(apus_json *json, apus_index *index, const apus_level_grid *grid, apus_level *out,
                                       uint32_t max)
{
    if (APUS_UNLIKELY(!apus_index_covers(index, json) || json->end - json->at < 4 || *json->at != '[')) {
        return -1;
    }
    const char *const base = index->base;
    const char *at = json->at;
    const uint16_t *ends = index->ends + index->next;
    while (*ends <= at - base) {
        ends++;
    }
    if (at[1] == ']') {
        json->at = at + 2;
        index->next = (uint32_t)(ends + 1 - index->ends);
        return 0;
    }
    if (at[1] != '[' || index->count < 4) {
        return -1;
    }
    at += 2; /* the word of a level */
    /* `ends` up to here has four entries, and the bytes behind its third can be read. */
    const uint16_t *const last = index->ends + index->count - 4;
    const char *const safe = json->end - 4;
    const __m256i points = level_points();
    const __m256i hundred_million = level_factor();
    int32_t count = 0;
    for (;;) {
        const char *const p = base + ends[0];
        const char *const q = base + ends[1];
        const char *const r = base + ends[2];
        if (APUS_UNLIKELY(ends > last || r > safe || (uint32_t)count == max || *p != ',' || *q != ',' ||
                          !apus_is_level_word(at, p) ||
                          !level_pair(q, (uint64_t)(q - p) - 1, r, (uint64_t)(r - q) - 1, points, hundred_million, grid,
                                      &out[count]))) {
            return -1;
        }
        uint32_t behind;
        memcpy(&behind, r, 4);
        count++;
        ends += 4;
        if (APUS_LIKELY((behind & 0xFFFFFF) == 0x5B2C5D)) { /* ],[ */
            at = r + 3;
        } else if ((behind & 0xFFFF) == 0x5D5D) { /* ]] */
            at = r + 2;
            break;
        } else {
            return -1;
        }
    }
    index->next = (uint32_t)(ends - index->ends);
    json->at = at;
    return count;
}

#endif
