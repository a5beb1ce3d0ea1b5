/* apus_decimal.h: decimal text to integers and back, exact, without floating point.
 *
 * Reading has two steps. apus_decimal_scan takes a JSON number apart: up to 19 significant digits, the
 * power of ten, and what had to be left behind. The apus_decimal_to_* functions then put it on a grid
 * of integers; each names its rounding. Writing turns a whole count of steps into the shortest text.
 *
 * All functions are pure, read only [text, end), and may run on any thread.
 */
#ifndef APUS_DECIMAL_H
#define APUS_DECIMAL_H

#include "apus_base.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the word tricks below read the first digit from the lowest byte");

/* Sign, 11 integer digits, point, 8 decimals, rounded up to whole words (text is stored in words). */
#define APUS_DECIMAL_TEXT_CAPACITY 32

/* A scanned number: (-1)^negative * (mantissa + left behind) * 10^exponent. */
typedef struct APUS_NAME(ScannedDecimal) apus_decimal {
    uint64_t mantissa;  /* the first 19 significant digits, leading zeros not counted */
    int32_t exponent;   /* saturates at +-APUS_DECIMAL_EXPONENT_LIMIT, far outside every grid */
    uint8_t next_digit; /* the 20th significant digit; 0 if there is none */
    bool truncated;     /* a digit after the 19th exists */
    bool sticky;        /* a digit after the 20th is not 0 */
    bool negative;
} apus_decimal;

#define APUS_DECIMAL_EXPONENT_LIMIT 100000000

/* How an integer came about. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(DecimalOutcome) apus_decimal_outcome {
    APUS_DECIMAL_EXACT APUS_NAME(exact) = 0,
    APUS_DECIMAL_INEXACT APUS_NAME(inexact), /* rounded: half away from zero */
    APUS_DECIMAL_OFF_GRID APUS_NAME(offGrid), /* not a whole step; the output is untouched */
    APUS_DECIMAL_OVERFLOW APUS_NAME(overflow), /* outside -(2^63 - 1) ... 2^63 - 1; the output is untouched */
} apus_decimal_outcome;

/* A step of a grid in 10^-8, prepared so that a division by it is a multiplication.
 *
 * v is a multiple of step = odd * 2^shift if its low bits are zero and (v >> shift) * inverse, modulo 2^64,
 * is at most (2^64 - 1) / odd; that product is then the quotient (Granlund and Montgomery, "Division by
 * invariant integers using multiplication", 1994, section 9). */
typedef struct APUS_NAME(DecimalStep) apus_step {
    int64_t step_e8;
    uint64_t inverse;
    uint64_t limit;
    uint32_t shift;
} apus_step;

/* `step_e8` > 0, else the result refuses every number but 0. */
static inline apus_step apus_step_make(int64_t step_e8)
{
    apus_step step = {step_e8, 0, 0, 0};
    if (step_e8 <= 0) {
        return step;
    }
    step.shift = (uint32_t)__builtin_ctzll((uint64_t)step_e8);
    const uint64_t odd = (uint64_t)step_e8 >> step.shift;
    uint64_t inverse = odd; /* right in 3 bits; each round doubles them */
    for (int round = 0; round < 5; round++) {
        inverse *= 2 - odd * inverse;
    }
    step.inverse = inverse;
    step.limit = UINT64_MAX / odd;
    return step;
}

static const uint64_t apus_pow10[20] = {
    1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u, 1000000000u, 10000000000u,
    100000000000u, 1000000000000u, 10000000000000u, 100000000000000u, 1000000000000000u,
    10000000000000000u, 100000000000000000u, 1000000000000000000u, 10000000000000000000u,
};

/* How many of the 8 bytes of `word`, from the lowest, are digits. */
APUS_HOT uint32_t apus_digits_leading(uint64_t word)
{
    /* A digit xor '0' is 0...9, and adding 0x76 sets bit 7 from 10 on. A carry out of a byte only spoils
     * bytes above the first one that is not a digit. */
    const uint64_t value = word ^ 0x3030303030303030u;
    const uint64_t other = ((value + 0x7676767676767676u) | value) & 0x8080808080808080u;
    return other == 0 ? 8 : (uint32_t)__builtin_ctzll(other) / 8;
}

/* The number that 8 digits spell, first digit in the lowest byte; bytes of 0 count as the digit 0. */
APUS_HOT uint64_t apus_digits_value(uint64_t word)
{
    word = (word & 0x0F0F0F0F0F0F0F0Fu) * 2561 >> 8;
    word = (word & 0x00FF00FF00FF00FFu) * 6553601 >> 16;
    return (word & 0x0000FFFF0000FFFFu) * 42949672960001u >> 32;
}

/* Appends one run of digits; returns the first byte that is no digit. `*kept` counts the significant digits in
 * the mantissa, `*dropped` those that found no room. */
static inline const char *APUS_NONNULL apus_decimal_run(const char *APUS_NONNULL at, const char *APUS_NONNULL end,
                                                        apus_decimal *APUS_NONNULL out, uint32_t *APUS_NONNULL kept,
                                                        int64_t *APUS_NONNULL dropped)
{
    for (; at < end && (uint8_t)(*at - '0') < 10; at++) {
        const uint8_t digit = (uint8_t)(*at - '0');
        if (*kept < 19) {
            out->mantissa = out->mantissa * 10 + digit;
            *kept += out->mantissa != 0;
        } else {
            if (*dropped == 0) {
                out->next_digit = digit;
            } else {
                out->sticky |= digit != 0;
            }
            out->truncated = true;
            *dropped += 1;
        }
    }
    return at;
}

/* The general reader: any number of digits, any exponent. */
static inline const char *APUS_NULLABLE apus_decimal_scan_slow(const char *APUS_NONNULL at, const char *APUS_NONNULL end,
                                                               apus_decimal *APUS_NONNULL out)
{
    *out = (apus_decimal){0};
    if (at < end && *at == '-') {
        out->negative = true;
        at++;
    }
    uint32_t kept = 0;
    int64_t dropped = 0;
    const char *start = at;
    at = apus_decimal_run(at, end, out, &kept, &dropped);
    if (at == start || (*start == '0' && at - start > 1)) {
        return NULL; /* no digit, or a leading zero, which JSON forbids */
    }
    int64_t exponent = dropped;
    if (at < end && *at == '.') {
        at++;
        start = at;
        const int64_t before = dropped;
        at = apus_decimal_run(at, end, out, &kept, &dropped);
        if (at == start) {
            return NULL;
        }
        exponent -= (at - start) - (dropped - before);
    }
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        bool down = false;
        if (at < end && (*at == '+' || *at == '-')) {
            down = *at == '-';
            at++;
        }
        int64_t power = 0;
        start = at;
        for (; at < end && (uint8_t)(*at - '0') < 10; at++) {
            if (power < INT64_MAX / 100) {
                power = power * 10 + (*at - '0');
            }
        }
        if (at == start) {
            return NULL;
        }
        exponent += down ? -power : power;
    }
    if (exponent > APUS_DECIMAL_EXPONENT_LIMIT) {
        exponent = APUS_DECIMAL_EXPONENT_LIMIT;
    } else if (exponent < -APUS_DECIMAL_EXPONENT_LIMIT) {
        exponent = -APUS_DECIMAL_EXPONENT_LIMIT;
    }
    out->exponent = (int32_t)exponent;
    return at;
}

/* Steps over a JSON number without reading its value; NULL if there is none. */
static inline const char *APUS_NULLABLE apus_decimal_skip(const char *APUS_NONNULL at, const char *APUS_NONNULL end)
{
    at += at < end && *at == '-';
    const char *start = at;
    while (at < end && (uint8_t)(*at - '0') < 10) {
        at++;
    }
    if (at == start || (*start == '0' && at - start > 1)) {
        return NULL;
    }
    if (at < end && *at == '.') {
        start = ++at;
        while (at < end && (uint8_t)(*at - '0') < 10) {
            at++;
        }
        if (at == start) {
            return NULL;
        }
    }
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        start = at;
        while (at < end && (uint8_t)(*at - '0') < 10) {
            at++;
        }
        if (at == start) {
            return NULL;
        }
    }
    return at;
}

/* Appends the digits at `at` to `*mantissa`, at most 16 and only where 8 bytes can be read for each 8 digits;
 * returns how many. Fewer than there are means that the general reader must look. */
APUS_HOT uint32_t apus_digits_take(const char *APUS_NONNULL at, const char *APUS_NONNULL end,
                                   uint64_t *APUS_NONNULL mantissa)
{
    uint64_t word;
    memcpy(&word, at, 8);
    const uint32_t count = apus_digits_leading(word);
    if (count == 0) {
        return 0;
    }
    *mantissa = *mantissa * apus_pow10[count] + apus_digits_value(word << (64 - 8 * count));
    if (APUS_LIKELY(count < 8) || end - at < 16) {
        return count;
    }
    memcpy(&word, at + 8, 8);
    const uint32_t more = apus_digits_leading(word);
    if (more == 0) {
        return 8;
    }
    *mantissa = *mantissa * apus_pow10[more] + apus_digits_value(word << (64 - 8 * more));
    return 8 + more;
}

/* Reads the JSON number that starts at `at`; returns the first byte behind it, or NULL if there is none.
 * What follows the number is the caller's business. */
APUS_HOT const char *APUS_NULLABLE apus_decimal_scan(const char *APUS_NONNULL at, const char *APUS_NONNULL end,
                                                     apus_decimal *APUS_NONNULL out)
{
    /* At most 19 digits and no exponent, some way before the end of the frame: nearly every number of a
     * venue. 8 digits cost one load. Whatever looks odd goes to the general reader from the start. */
    if (APUS_LIKELY(end - at >= 32)) {
        const bool negative = *at == '-';
        const char *p = at + negative;
        uint64_t mantissa = 0;
        uint32_t digits = apus_digits_take(p, end, &mantissa);
        if (APUS_LIKELY(digits != 0 && (*p != '0' || digits == 1))) {
            p += digits;
            uint32_t decimals = 0;
            if (*p == '.') {
                p++;
                if (APUS_UNLIKELY(end - p < 8)) {
                    return apus_decimal_scan_slow(at, end, out);
                }
                decimals = apus_digits_take(p, end, &mantissa);
                if (decimals == 0) {
                    return NULL;
                }
                p += decimals;
                digits += decimals;
            }
            if (APUS_LIKELY(p < end && digits <= 19 && (*p | 0x20) != 'e' && (uint8_t)(*p - '0') >= 10)) {
                *out = (apus_decimal){.mantissa = mantissa, .exponent = -(int32_t)decimals, .negative = negative};
                return p;
            }
        }
    }
    return apus_decimal_scan_slow(at, end, out);
}

/* value * 10^places as an integer, rounded half away from zero; EXACT, INEXACT or OVERFLOW. `places` 0...18. */
APUS_HOT apus_decimal_outcome apus_decimal_to_scaled(const apus_decimal *APUS_NONNULL number, int32_t places,
                                                     int64_t *APUS_NONNULL out)
{
    uint64_t value = number->mantissa;
    const int32_t shift = number->exponent + places;
    if (APUS_LIKELY((uint32_t)shift <= 18 && !number->truncated)) {
        /* No more decimals than places: nearly always. */
        if (APUS_UNLIKELY(__builtin_mul_overflow(value, apus_pow10[shift], &value) || value > (uint64_t)INT64_MAX)) {
            return APUS_DECIMAL_OVERFLOW;
        }
        *out = number->negative ? -(int64_t)value : (int64_t)value;
        return APUS_DECIMAL_EXACT;
    }
    bool inexact = number->truncated && (number->next_digit != 0 || number->sticky);
    if (value != 0) {
        if (shift > 0) {
            /* Truncated: 19 digits times 10 or more is out of range by itself. */
            if (shift > 18 || number->truncated || __builtin_mul_overflow(value, apus_pow10[shift], &value)) {
                return APUS_DECIMAL_OVERFLOW;
            }
        } else if (shift == 0) {
            value += number->next_digit >= 5; /* 10^19 at most */
        } else if (shift >= -19) {
            const uint64_t divisor = apus_pow10[-shift];
            const uint64_t rest = value % divisor;
            value /= divisor;
            inexact |= rest != 0;
            value += rest >= divisor / 2;
        } else {
            value = 0; /* below 10^19 / 10^20 */
            inexact = true;
        }
        if (value > (uint64_t)INT64_MAX) {
            return APUS_DECIMAL_OVERFLOW;
        }
    }
    *out = number->negative ? -(int64_t)value : (int64_t)value;
    return inexact ? APUS_DECIMAL_INEXACT : APUS_DECIMAL_EXACT;
}

/* value in 10^-8, rounded half away from zero at the 9th decimal; EXACT, INEXACT or OVERFLOW. */
APUS_HOT apus_decimal_outcome apus_decimal_to_e8(const apus_decimal *APUS_NONNULL number, int64_t *APUS_NONNULL out)
{
    return apus_decimal_to_scaled(number, 8, out);
}

/* Seconds to nanoseconds, rounded half away from zero; EXACT, INEXACT or OVERFLOW. */
APUS_HOT apus_decimal_outcome apus_decimal_to_ns(const apus_decimal *APUS_NONNULL number, int64_t *APUS_NONNULL out)
{
    return apus_decimal_to_scaled(number, 9, out);
}

/* A value in 10^-8 as a whole count of steps; EXACT or OFF_GRID. */
APUS_HOT apus_decimal_outcome apus_step_count(const apus_step *APUS_NONNULL step, int64_t value_e8,
                                              int64_t *APUS_NONNULL out)
{
    const uint64_t size = value_e8 < 0 ? 0 - (uint64_t)value_e8 : (uint64_t)value_e8;
    const uint64_t count = (size >> step->shift) * step->inverse;
    if (APUS_UNLIKELY(count > step->limit || (size & (((uint64_t)1 << step->shift) - 1)) != 0 ||
                      (step->limit == 0 && size != 0))) {
        return APUS_DECIMAL_OFF_GRID;
    }
    *out = value_e8 < 0 ? -(int64_t)count : (int64_t)count;
    return APUS_DECIMAL_EXACT;
}

/* A whole count of steps, after rounding to 8 decimals as the venue does with what it is sent: EXACT,
 * INEXACT (rounding was needed, the result lies on the grid), OFF_GRID or OVERFLOW. */
APUS_HOT apus_decimal_outcome apus_decimal_to_steps(const apus_decimal *APUS_NONNULL number,
                                                    const apus_step *APUS_NONNULL step, int64_t *APUS_NONNULL out)
{
    int64_t value_e8 = 0;
    const apus_decimal_outcome outcome = apus_decimal_to_e8(number, &value_e8);
    if (APUS_UNLIKELY(outcome == APUS_DECIMAL_OVERFLOW)) {
        return outcome;
    }
    const apus_decimal_outcome grid = apus_step_count(step, value_e8, out);
    return grid == APUS_DECIMAL_EXACT ? outcome : grid;
}

/* A whole number 0 ... 2^64 - 1, such as an id; false if the value is anything else. */
static inline bool apus_decimal_to_u64(const apus_decimal *APUS_NONNULL number, uint64_t *APUS_NONNULL out)
{
    uint64_t value = number->mantissa;
    if (value == 0) {
        *out = 0;
        return true;
    }
    if (number->negative || number->sticky) {
        return false;
    }
    int32_t exponent = number->exponent;
    if (number->truncated && (number->next_digit != 0 || exponent > 0)) {
        /* The 20th digit belongs to the number if it stands before the point. */
        if (exponent < 1 || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)number->next_digit, &value)) {
            return false;
        }
        exponent -= 1;
    }
    if (exponent > 0) {
        if (exponent > 19 || __builtin_mul_overflow(value, apus_pow10[exponent], &value)) {
            return false;
        }
    } else if (exponent < 0) {
        if (exponent < -19 || value % apus_pow10[-exponent] != 0) {
            return false;
        }
        value /= apus_pow10[-exponent];
    }
    *out = value;
    return true;
}

/* The whole text is one number. */
APUS_HOT bool apus_decimal_parse(const char *APUS_NONNULL text, size_t count, apus_decimal *APUS_NONNULL out)
{
    return apus_decimal_scan(text, text + count, out) == text + count;
}

/* "00" to "99" in memory order. Two digits a look-up: a quarter of the multiplications that eight digits at a time need,
 * and it is multiplications that a core has only one unit for. */
static const char apus_digit_pairs[201] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
                                          "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
                                          "9899";

/* Four digits of `value` < 10^4 as text, first digit in the lowest byte. */
APUS_HOT uint32_t apus_digits_four(uint32_t value)
{
    const uint32_t high = (value * 5243) >> 19; /* / 100 */
    const uint32_t low = value - high * 100;
    uint16_t first;
    uint16_t second;
    memcpy(&first, apus_digit_pairs + 2 * high, 2);
    memcpy(&second, apus_digit_pairs + 2 * low, 2);
    return first | (uint32_t)second << 16;
}

/* `value` < 10^4 without leading zeros; stores four bytes. */
APUS_HOT size_t apus_digits_write_short(uint32_t value, char *APUS_NONNULL out)
{
    const uint32_t zeros = (value < 10) + (value < 100) + (value < 1000u);
    const uint32_t text = apus_digits_four(value) >> (8 * zeros);
    memcpy(out, &text, 4);
    return 4 - zeros;
}

/* All eight digits of `value` < 10^8. */
APUS_HOT void apus_digits_write_eight(uint32_t value, char *APUS_NONNULL out)
{
    const uint32_t high = value / 10000;
    const uint64_t text = apus_digits_four(high) | (uint64_t)apus_digits_four(value - high * 10000) << 32;
    memcpy(out, &text, 8);
}

/* `value` < 10^8 without leading zeros. */
APUS_HOT size_t apus_digits_write(uint32_t value, char *APUS_NONNULL out)
{
    if (value < 10000) {
        return apus_digits_write_short(value, out);
    }
    const uint32_t high = value / 10000;
    const size_t count = apus_digits_write_short(high, out);
    const uint32_t low = apus_digits_four(value - high * 10000);
    memcpy(out + count, &low, 4);
    return count + 4;
}

/* Three digits of each number below 1,000 in memory order, and in the fourth byte the leading zeros of its text as
 * bits, 0, 8 or 16, and from bit 5 on how many of its digits are left without trailing zeros. One look-up instead of
 * three multiplications, in 4 KB of which neighbouring numbers share lines. */
extern const uint32_t apus_digit_triples[1000];

/* `value` < 1,000 without leading zeros; stores four bytes. */
APUS_HOT size_t apus_digits_write_three(uint32_t value, char *APUS_NONNULL out)
{
    const uint32_t entry = apus_digit_triples[value];
    const uint32_t zeros = entry >> 24 & 31;
    const uint32_t text = (entry & 0xFFFFFF) >> zeros;
    memcpy(out, &text, 4);
    return 3 - zeros / 8;
}

/* `value` in decimal without leading zeros; at most 20 bytes, written in words: 24 bytes of room. */
APUS_HOT size_t apus_decimal_write_u64(uint64_t value, char *APUS_NONNULL out)
{
    if (value < 1000) {
        return apus_digits_write_three((uint32_t)value, out);
    }
    if (value < 1000000) {
        const uint32_t thousands = (uint32_t)value / 1000;
        const size_t count = apus_digits_write_three(thousands, out);
        memcpy(out + count, &apus_digit_triples[(uint32_t)value - thousands * 1000], 4);
        return count + 3;
    }
    if (value < 100000000) {
        return apus_digits_write((uint32_t)value, out);
    }
    const uint64_t upper = value / 100000000;
    size_t count;
    if (APUS_LIKELY(upper < 100000000)) {
        count = apus_digits_write((uint32_t)upper, out);
    } else {
        const uint32_t top = (uint32_t)(upper / 100000000); /* at most 1844 */
        count = apus_digits_write_short(top, out);
        apus_digits_write_eight((uint32_t)(upper - (uint64_t)top * 100000000), out + count);
        count += 8;
    }
    apus_digits_write_eight((uint32_t)(value - upper * 100000000), out + count);
    return count + 8;
}

/* '.' and the decimals `four` < 10^4, not 0, of 10^-4, without trailing zeros. */
APUS_HOT size_t apus_digits_write_decimals(uint32_t four, char *APUS_NONNULL out)
{
    const uint32_t text = apus_digits_four(four);
    out[0] = '.';
    memcpy(out + 1, &text, 4);
    return 5 - (size_t)__builtin_clz(text ^ 0x30303030u) / 8;
}

/* A value in 10^-8 as the shortest decimal text, such as 76280, 0.1 or -12.5; returns its length.
 * `out` has room for APUS_DECIMAL_TEXT_CAPACITY bytes; what lies behind the text is undefined. */
APUS_HOT size_t apus_decimal_write_e8(int64_t value_e8, char *APUS_NONNULL out)
{
    size_t count = 0;
    uint64_t size = (uint64_t)value_e8;
    if (value_e8 < 0) {
        size = 0 - size;
        out[count++] = '-';
    }
    const uint64_t whole = size / 100000000;
    count += apus_decimal_write_u64(whole, out + count);
    const uint32_t decimals = (uint32_t)(size - whole * 100000000);
    if (decimals != 0) {
        const uint32_t high = decimals / 10000;
        const uint32_t low = decimals - high * 10000;
        if (low == 0) {
            return count + apus_digits_write_decimals(high, out + count);
        }
        const uint32_t first = apus_digits_four(high);
        const uint32_t second = apus_digits_four(low);
        out[count] = '.';
        memcpy(out + count + 1, &first, 4);
        memcpy(out + count + 5, &second, 4);
        count += 9 - (size_t)__builtin_clz(second ^ 0x30303030u) / 8;
    }
    return count;
}

/* steps * step_e8 as the shortest decimal text; returns its length, or 0 if the product leaves 64 bits.
 * `out` has room for APUS_DECIMAL_TEXT_CAPACITY bytes. */
APUS_HOT size_t apus_decimal_write(int64_t steps, int64_t step_e8, char *APUS_NONNULL out)
{
    int64_t value_e8;
    if (APUS_UNLIKELY(__builtin_mul_overflow(steps, step_e8, &value_e8))) {
        return 0;
    }
    return apus_decimal_write_e8(value_e8, out);
}

/* The size of a step for writing: apus_decimal_unit_make. */
typedef struct APUS_NAME(DecimalUnit) apus_decimal_unit {
    int64_t step_e8;
    uint32_t whole; /* the step, if it is a whole number below 2^32; else 0 */
    uint32_t in_e3; /* the step in 10^-3, if that is a whole number below 2^32; else 0 */
    uint32_t in_e4; /* so in 10^-4 */
} apus_decimal_unit;

APUS_HOT apus_decimal_unit apus_decimal_unit_make(int64_t step_e8)
{
    const int64_t whole = step_e8 / 100000000;
    const int64_t in_e3 = step_e8 / 100000;
    const int64_t in_e4 = step_e8 / 10000;
    return (apus_decimal_unit){
        .step_e8 = step_e8,
        .whole = step_e8 > 0 && step_e8 % 100000000 == 0 && whole <= UINT32_MAX ? (uint32_t)whole : 0,
        .in_e3 = step_e8 > 0 && step_e8 % 100000 == 0 && in_e3 <= UINT32_MAX ? (uint32_t)in_e3 : 0,
        .in_e4 = step_e8 > 0 && step_e8 % 10000 == 0 && in_e4 <= UINT32_MAX ? (uint32_t)in_e4 : 0,
    };
}

/* The same text as apus_decimal_write with the unit's step, at less cost on an ordinary grid. */
APUS_HOT size_t apus_decimal_write_unit(int64_t steps, apus_decimal_unit unit, char *APUS_NONNULL out)
{
    if (APUS_LIKELY((uint64_t)steps <= UINT32_MAX)) {
        if (unit.whole != 0) {
            const uint64_t value = (uint64_t)steps * unit.whole;
            /* What leaves 64 bits in 10^-8 has no text. */
            if (APUS_LIKELY(value < 10000000000)) {
                return apus_decimal_write_u64(value, out);
            }
            return apus_decimal_write(steps, unit.step_e8, out);
        }
        if (unit.in_e3 != 0) {
            const uint64_t value = (uint64_t)steps * unit.in_e3;
            if (APUS_LIKELY(value < 1000000)) {
                const uint32_t whole = (uint32_t)value / 1000;
                const size_t count = apus_digits_write_three(whole, out);
                const uint32_t entry = apus_digit_triples[(uint32_t)value - whole * 1000];
                const uint32_t text = entry << 8 | '.';
                const uint32_t digits = entry >> 29;
                memcpy(out + count, &text, 4);
                return count + digits + (digits != 0);
            }
        }
        if (unit.in_e4 != 0) {
            const uint64_t value = (uint64_t)steps * unit.in_e4;
            if (APUS_LIKELY(value < 100000000)) {
                const uint32_t high = (uint32_t)value / 10000;
                const uint32_t decimals = (uint32_t)value - high * 10000;
                const size_t count = apus_digits_write_short(high, out);
                return decimals == 0 ? count : count + apus_digits_write_decimals(decimals, out + count);
            }
        }
    }
    return apus_decimal_write(steps, unit.step_e8, out);
}

#endif
