#include "apus_repeat_internal.h"
#include "apus_scan_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define APUS_TARGET __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#define APUS_MEMBERS apus_members_avx2
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
    const uint32_t same = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block_load(at), text));
    return (line->mask & ~(same | but)) == 0;
}

/* Which of the last `count` bytes are no digits, and which of these are no points, or a point in the last byte. Bit i
 * speaks of byte i. */
APUS_KERNEL uint32_t block_odd(apus_block block, uint32_t count, uint32_t *odd)
{
    /* '0' ... '9' become the ten greatest signed numbers. */
    const __m256i moved = _mm256_add_epi8(block, _mm256_set1_epi8(0x7F - '9'));
    const __m256i digits = _mm256_cmpgt_epi8(moved, _mm256_set1_epi8(0x7F - 10));
    /* What equals '0' in the last byte is a digit. */
    const __m256i points = _mm256_setr_epi8('.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.',
                                            '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '.', '0');
    *odd = ~(uint32_t)_mm256_movemask_epi8(digits) & (UINT32_MAX << (-count & 31));
    return *odd & ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block, points));
}

/* Digits behind the only bit of `odd`; 32 if there is none. */
APUS_KERNEL uint32_t block_decimals(uint32_t odd)
{
    return (uint32_t)_lzcnt_u32(odd);
}

/* Quotes, backslashes and control characters among the bytes of `lanes`. */
APUS_KERNEL uint32_t block_specials(apus_block block, uint32_t lanes)
{
    const __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(block, _mm256_set1_epi8(0x1F)), block);
    const __m256i quote = _mm256_cmpeq_epi8(block, _mm256_set1_epi8('"'));
    const __m256i slash = _mm256_cmpeq_epi8(block, _mm256_set1_epi8('\\'));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(control, _mm256_or_si256(quote, slash))) & lanes;
}

/* The number that the `digits` <= 19 digits before `end` spell. A point stands before the last `decimals` of
 * them; 32 if there is none. `block` are the 32 bytes before `end`; reads one more before them. */
APUS_KERNEL uint64_t block_value(apus_block block, const char *end, uint32_t digits, uint32_t decimals)
{
    /* Behind the point the digits stand where they should; before it one byte too far left. */
    const __m256i left = block_load(end - 33);
    const __m256i behind = _mm256_loadu_si256((const __m256i *)(const void *)(apus_lanes + decimals));
    const __m256i valid = _mm256_loadu_si256((const __m256i *)(const void *)(apus_lanes + digits));
    const __m256i text = _mm256_blendv_epi8(left, block, behind);
    const __m256i value = _mm256_and_si256(_mm256_sub_epi8(text, _mm256_set1_epi8('0')), valid);
    const __m256i pairs = _mm256_maddubs_epi16(value, _mm256_set1_epi16(0x010A));
    const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00010064));
    const __m256i packed = _mm256_packus_epi32(fours, fours);
    const __m256i eights = _mm256_madd_epi16(packed, _mm256_set1_epi32(0x00012710));
    const uint64_t upper = (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(eights)) >> 32;
    const uint64_t lower = (uint64_t)_mm_cvtsi128_si64(_mm256_extracti128_si256(eights, 1));
    return (upper * 100000000 + (lower & UINT32_MAX)) * 100000000 + (lower >> 32);
}

/* Bit i of the result: byte i is ',', ']' or '}'. */
APUS_KERNEL uint32_t block_ends(apus_block block)
{
    const __m256i comma = _mm256_cmpeq_epi8(block, _mm256_set1_epi8(','));
    const __m256i folded = _mm256_or_si256(block, _mm256_set1_epi8(0x20));
    const __m256i close = _mm256_cmpeq_epi8(folded, _mm256_set1_epi8('}'));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(comma, close));
}

APUS_KERNEL uint64_t block_ends_64(const char *at)
{
    return block_ends(block_load(at)) | (uint64_t)block_ends(block_load(at + 32)) << 32;
}

APUS_KERNEL uint16_t *index_append(uint16_t *out, uint64_t ends, uint32_t offset)
{
    const uint32_t count = (uint32_t)__builtin_popcountll(ends);
    /* A few without looking how many there are; what is too much is overwritten. */
    for (uint32_t i = 0; i < 4; i++) {
        out[i] = (uint16_t)(offset + (uint32_t)_tzcnt_u64(ends));
        ends = _blsr_u64(ends);
    }
    if (count > 4) {
        for (uint32_t i = 4; i < 16; i++) {
            out[i] = (uint16_t)(offset + (uint32_t)_tzcnt_u64(ends));
            ends = _blsr_u64(ends);
        }
        for (uint32_t i = 16; i < count; i++) {
            out[i] = (uint16_t)(offset + (uint32_t)_tzcnt_u64(ends));
            ends = _blsr_u64(ends);
        }
    }
    return out + count;
}

APUS_TARGET void apus_index_avx2(apus_index *index, const char *text, size_t count)
{
    count = count > APUS_INDEX_BYTES ? APUS_INDEX_BYTES : count;
    uint16_t *out = index->ends;
    uint32_t i = 0;
    for (; i + 64 <= count; i += 64) {
        out = index_append(out, block_ends_64(text + i), i);
    }
    const uint32_t rest = (uint32_t)count - i;
    if (rest != 0) {
        if (APUS_LIKELY(count >= 64)) {
            out = index_append(out, block_ends_64(text + count - 64) >> (64 - rest), i);
        } else {
            char last[64] = {0};
            memcpy(last, text, rest);
            out = index_append(out, block_ends_64(last), i);
        }
    }
    *out = UINT16_MAX;
    index->base = text;
    index->limit = text + count;
    index->next = 0;
    index->count = (uint32_t)(out - index->ends);
}

#define APUS_LEVELS apus_levels_avx2
#include "apus_scan_members.h"

APUS_KERNEL uint32_t block_differs(const char *learned, const char *text)
{
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block_load(learned), block_load(text)));
}

APUS_KERNEL uint32_t half_faults(const char *learned, const char *text, uint32_t digits, uint32_t heads)
{
    const __m256i found = block_load(text);
    const __m256i moved = _mm256_add_epi8(found, _mm256_set1_epi8(0x7F - '9'));
    const uint32_t allowed = (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(moved, _mm256_set1_epi8(0x7F - 10)));
    const uint32_t zeros = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(found, _mm256_set1_epi8('0')));
    return (block_differs(learned, text) & ~(digits & allowed)) | (heads & zeros);
}

APUS_KERNEL uint64_t block_faults(const char *learned, const char *text, uint64_t digits, uint64_t heads)
{
    return half_faults(learned, text, (uint32_t)digits, (uint32_t)heads) |
           (uint64_t)half_faults(learned + 32, text + 32, (uint32_t)(digits >> 32), (uint32_t)(heads >> 32)) << 32;
}

APUS_KERNEL void block_copy(char *to, const char *from)
{
    _mm256_storeu_si256((__m256i *)(void *)to, block_load(from));
    _mm256_storeu_si256((__m256i *)(void *)(to + 32), block_load(from + 32));
}

#define APUS_REPEAT apus_repeat_avx2
#include "apus_repeat_match.h"
#include "apus_scan_levels.h"

#define APUS_QUOTED apus_quoted_avx2
#include "apus_scan_quoted.h"

#define APUS_WORDED apus_worded_avx2
#include "apus_scan_worded.h"

#endif
