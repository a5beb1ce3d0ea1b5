#include "apus_repeat_internal.h"
#include "apus_scan_kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define APUS_TARGET
#define APUS_MEMBERS apus_members_neon
#define APUS_LEVELS apus_levels_neon
#define APUS_KERNEL static inline __attribute__((always_inline))

/* 32 bytes of text. */
typedef struct apus_block {
    uint8x16_t low;
    uint8x16_t high;
} apus_block;

APUS_KERNEL apus_block block_load(const void *at)
{
    return (apus_block){vld1q_u8(at), vld1q_u8((const uint8_t *)at + 16)};
}

/* Bytes of 0 or 0xFF to bits: bit i speaks of byte i. */
APUS_KERNEL uint32_t block_mask(uint8x16_t low, uint8x16_t high)
{
    const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t sums = vpaddq_u8(vandq_u8(low, bits), vandq_u8(high, bits));
    sums = vpaddq_u8(sums, sums);
    sums = vpaddq_u8(sums, sums);
    return vgetq_lane_u32(vreinterpretq_u32_u8(sums), 0);
}

/* The 32 bytes at `at` begin as `line` says, but for the bytes in `but`. */
APUS_KERNEL bool block_is_key(const char *at, const apus_json_shape_line *line, uint32_t but)
{
    const apus_block text = block_load(at);
    const apus_block key = block_load(line->text);
    return (line->mask & ~(block_mask(vceqq_u8(text.low, key.low), vceqq_u8(text.high, key.high)) | but)) == 0;
}

/* Which of the last `count` bytes are no digits, and which of these are no points, or a point in the last byte. */
APUS_KERNEL uint32_t block_odd(apus_block block, uint32_t count, uint32_t *odd)
{
    const uint8x16_t zero = vdupq_n_u8('0');
    const uint8x16_t ten = vdupq_n_u8(10);
    const uint8x16_t point = vdupq_n_u8('.');
    const uint32_t digits =
        block_mask(vcltq_u8(vsubq_u8(block.low, zero), ten), vcltq_u8(vsubq_u8(block.high, zero), ten));
    *odd = ~digits & (UINT32_MAX << (-count & 31));
    return *odd & ~(block_mask(vceqq_u8(block.low, point), vceqq_u8(block.high, point)) & INT32_MAX);
}

/* Digits behind the only bit of `odd`; 32 if there is none. */
APUS_KERNEL uint32_t block_decimals(uint32_t odd)
{
    return odd == 0 ? 32 : (uint32_t)__builtin_clz(odd);
}

/* Quotes, backslashes and control characters among the bytes of `lanes`. */
APUS_KERNEL uint32_t block_specials(apus_block block, uint32_t lanes)
{
    const uint8x16_t quote = vdupq_n_u8('"');
    const uint8x16_t slash = vdupq_n_u8('\\');
    const uint8x16_t space = vdupq_n_u8(' ');
    const uint8x16_t low =
        vorrq_u8(vorrq_u8(vceqq_u8(block.low, quote), vceqq_u8(block.low, slash)), vcltq_u8(block.low, space));
    const uint8x16_t high =
        vorrq_u8(vorrq_u8(vceqq_u8(block.high, quote), vceqq_u8(block.high, slash)), vcltq_u8(block.high, space));
    return block_mask(low, high) & lanes;
}

/* The number that the `digits` <= 19 digits before `end` spell. A point stands before the last `decimals` of them; 32 if
 * there is none. `block` are the 32 bytes before `end`; reads one more before them. */
APUS_KERNEL uint64_t block_value(apus_block block, const char *end, uint32_t digits, uint32_t decimals)
{
    /* Behind the point the digits stand where they should; before it one byte too far left. */
    const apus_block left = block_load(end - 33);
    const apus_block behind = block_load(apus_lanes + decimals);
    const apus_block valid = block_load(apus_lanes + digits);
    const uint8x16_t zero = vdupq_n_u8('0');
    const uint8x16_t low = vandq_u8(vsubq_u8(vbslq_u8(behind.low, block.low, left.low), zero), valid.low);
    const uint8x16_t high = vandq_u8(vsubq_u8(vbslq_u8(behind.high, block.high, left.high), zero), valid.high);
    const uint8x16_t pairs = vmlaq_u8(vuzp2q_u8(low, high), vuzp1q_u8(low, high), vdupq_n_u8(10));
    const uint8x16_t first = vuzp1q_u8(pairs, pairs);
    const uint8x16_t second = vuzp2q_u8(pairs, pairs);
    const uint16x8_t fours = vaddw_u8(vmull_u8(vget_low_u8(first), vdup_n_u8(100)), vget_low_u8(second));
    const uint16x8_t upper = vuzp1q_u16(fours, fours);
    const uint16x8_t lower = vuzp2q_u16(fours, fours);
    const uint32x4_t eights = vaddw_u16(vmull_u16(vget_low_u16(upper), vdup_n_u16(10000)), vget_low_u16(lower));
    return ((uint64_t)vgetq_lane_u32(eights, 1) * 100000000 + vgetq_lane_u32(eights, 2)) * 100000000 +
           vgetq_lane_u32(eights, 3);
}

/* Bit i of the result: byte i is ',', ']' or '}'. */
APUS_KERNEL uint32_t block_ends(const char *at)
{
    const apus_block block = block_load(at);
    const uint8x16_t comma = vdupq_n_u8(',');
    const uint8x16_t close = vdupq_n_u8('}');
    const uint8x16_t fold = vdupq_n_u8(0x20);
    return block_mask(vorrq_u8(vceqq_u8(block.low, comma), vceqq_u8(vorrq_u8(block.low, fold), close)),
                      vorrq_u8(vceqq_u8(block.high, comma), vceqq_u8(vorrq_u8(block.high, fold), close)));
}

APUS_KERNEL uint16_t *index_append(uint16_t *out, uint32_t ends, uint32_t offset)
{
    while (ends != 0) {
        *out++ = (uint16_t)(offset + (uint32_t)__builtin_ctz(ends));
        ends &= ends - 1;
    }
    return out;
}

void apus_index_neon(apus_index *index, const char *text, size_t count)
{
    count = count > APUS_INDEX_BYTES ? APUS_INDEX_BYTES : count;
    uint16_t *out = index->ends;
    uint32_t i = 0;
    for (; i + 32 <= count; i += 32) {
        out = index_append(out, block_ends(text + i), i);
    }
    if (i < count) {
        char last[32] = {0};
        memcpy(last, text + i, count - i);
        out = index_append(out, block_ends(last), i);
    }
    *out = UINT16_MAX;
    index->base = text;
    index->limit = text + count;
    index->next = 0;
    index->count = (uint32_t)(out - index->ends);
}

#include "apus_scan_members.h"

APUS_KERNEL uint32_t block_differs(const char *learned, const char *text)
{
    const apus_block a = block_load(learned);
    const apus_block b = block_load(text);
    return ~block_mask(vceqq_u8(a.low, b.low), vceqq_u8(a.high, b.high));
}

APUS_KERNEL uint32_t half_faults(const char *learned, const char *text, uint32_t digits, uint32_t heads)
{
    const uint8x16_t zero = vdupq_n_u8('0');
    const uint8x16_t ten = vdupq_n_u8(10);
    const apus_block found = block_load(text);
    const uint32_t allowed =
        block_mask(vcltq_u8(vsubq_u8(found.low, zero), ten), vcltq_u8(vsubq_u8(found.high, zero), ten));
    const uint32_t zeros = block_mask(vceqq_u8(found.low, zero), vceqq_u8(found.high, zero));
    return (block_differs(learned, text) & ~(digits & allowed)) | (heads & zeros);
}

APUS_KERNEL uint64_t block_faults(const char *learned, const char *text, uint64_t digits, uint64_t heads)
{
    return half_faults(learned, text, (uint32_t)digits, (uint32_t)heads) |
           (uint64_t)half_faults(learned + 32, text + 32, (uint32_t)(digits >> 32), (uint32_t)(heads >> 32)) << 32;
}

APUS_KERNEL void block_copy(char *to, const char *from)
{
    memcpy(to, from, 64);
}

#define APUS_REPEAT apus_repeat_neon
#include "apus_repeat_match.h"

#include "apus_scan_levels.h"

#define APUS_QUOTED apus_quoted_neon
#include "apus_scan_quoted.h"

#define APUS_WORDED apus_worded_neon
#include "apus_scan_worded.h"

#endif
