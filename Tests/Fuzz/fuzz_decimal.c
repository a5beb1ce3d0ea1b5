/* Decimals against arithmetic on strings of digits. First byte: which places and which step; the rest is text. */
#include "apus_decimal.h"
#include "fuzz.h"

enum { DIGITS = 2600, FAR = 1000000 };

/* (-1)^negative * digits * 10^exponent, digits without leading zeros (none: zero). */
typedef struct {
    char digits[DIGITS];
    int count;
    int64_t exponent;
    bool negative;
} slow_decimal;

static bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* By the grammar of JSON; where the number ends, or NULL. */
static const char *slow_scan(const char *at, const char *end, slow_decimal *out)
{
    out->count = 0;
    out->exponent = 0;
    out->negative = at < end && *at == '-';
    at += out->negative;
    if (!is_digit(at, end) || (*at == '0' && is_digit(at + 1, end))) {
        return NULL;
    }
    for (int part = 0; part < 2; part++) {
        if (part == 1) {
            if (at == end || *at != '.') {
                break;
            }
            at++;
            if (!is_digit(at, end)) {
                return NULL;
            }
        }
        for (; is_digit(at, end); at++) {
            if (out->count != 0 || *at != '0') {
                out->digits[out->count++] = *at;
            }
            out->exponent -= part;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        const bool down = at < end && *at == '-';
        at += at < end && (*at == '-' || *at == '+');
        if (!is_digit(at, end)) {
            return NULL;
        }
        int64_t power = 0;
        for (; is_digit(at, end); at++) {
            power = power < FAR ? power * 10 + (*at - '0') : power;
        }
        out->exponent += down ? -power : power;
    }
    return at;
}

/* value * 10^places as a whole number, rounded half away from zero, where it is at most `limit`. */
static apus_decimal_outcome slow_scaled(const slow_decimal *number, int64_t places, uint64_t limit, uint64_t *out)
{
    const int64_t shift = number->exponent + places;
    unsigned __int128 value = 0;
    if (number->count == 0) {
        *out = 0;
        return APUS_DECIMAL_EXACT;
    }
    const int64_t whole = number->count + shift; /* digits before the point */
    if (whole > 20) {
        return APUS_DECIMAL_OVERFLOW;
    }
    bool exact = true;
    for (int64_t i = 0; i < whole || i < number->count; i++) {
        const int digit = i < number->count ? number->digits[i] - '0' : 0;
        if (i < whole) {
            value = value * 10 + (unsigned)digit;
        } else {
            exact = exact && digit == 0;
        }
    }
    /* Only the digit behind the point decides; it is one of the number's unless zeros stand there. */
    if (whole >= 0 && whole < number->count && number->digits[whole] >= '5') {
        value++;
    }
    if (value > limit) {
        return APUS_DECIMAL_OVERFLOW;
    }
    *out = (uint64_t)value;
    return exact ? APUS_DECIMAL_EXACT : APUS_DECIMAL_INEXACT;
}

static void check_same(const apus_decimal *a, const apus_decimal *b)
{
    require(a->mantissa == b->mantissa && a->exponent == b->exponent && a->next_digit == b->next_digit
                && a->truncated == b->truncated && a->sticky == b->sticky && a->negative == b->negative,
            "a number is read differently when more follows it");
}

static void check_number(const apus_decimal *number, const slow_decimal *slow, int places, int64_t step_e8)
{
    uint64_t size = 0;
    const apus_decimal_outcome expected = slow_scaled(slow, places, INT64_MAX, &size);
    int64_t value = -77;
    require(apus_decimal_to_scaled(number, places, &value) == expected, "a scaled value has another outcome");
    if (expected == APUS_DECIMAL_OVERFLOW) {
        require(value == -77, "an overflow touched the output");
    } else {
        require(value == (slow->negative ? -(int64_t)size : (int64_t)size), "a scaled value differs");
    }

    const bool is_whole = slow_scaled(slow, 0, UINT64_MAX, &size) == APUS_DECIMAL_EXACT
        && (!slow->negative || slow->count == 0);
    uint64_t id = 0;
    require(apus_decimal_to_u64(number, &id) == is_whole, "an id was misjudged");
    require(!is_whole || id == size, "an id differs");

    const apus_step step = apus_step_make(step_e8);
    int64_t steps = -77;
    apus_decimal_outcome outcome = slow_scaled(slow, 8, INT64_MAX, &size);
    if (outcome != APUS_DECIMAL_OVERFLOW && (step_e8 <= 0 ? size != 0 : size % (uint64_t)step_e8 != 0)) {
        outcome = APUS_DECIMAL_OFF_GRID;
    }
    require(apus_decimal_to_steps(number, &step, &steps) == outcome, "a count of steps has another outcome");
    if (outcome == APUS_DECIMAL_EXACT || outcome == APUS_DECIMAL_INEXACT) {
        const int64_t count = step_e8 <= 0 ? 0 : (int64_t)(size / (uint64_t)step_e8);
        require(steps == (slow->negative ? -count : count), "a count of steps differs");
    } else {
        require(steps == -77, "a refused number touched the output");
    }
}

/* Shortest text of value / 10^8, from printf and scissors. */
static size_t slow_write(__int128 value_e8, char *out)
{
    const unsigned __int128 size = value_e8 < 0 ? -(unsigned __int128)value_e8 : (unsigned __int128)value_e8;
    int count = sprintf(out, "%s%llu.%08u", value_e8 < 0 ? "-" : "", (unsigned long long)(size / 100000000),
                        (unsigned)(size % 100000000));
    while (out[count - 1] == '0') {
        count--;
    }
    return (size_t)(out[count - 1] == '.' ? count - 1 : count);
}

static void check_writing(uint64_t word, int64_t step_e8)
{
    char *const out = malloc(APUS_DECIMAL_TEXT_CAPACITY), model[64];
    require(out != NULL, "out of memory");
    size_t count = apus_decimal_write_u64(word, out);
    require(count == (size_t)sprintf(model, "%llu", (unsigned long long)word) && memcmp(out, model, count) == 0,
            "a whole number is written differently");
    const int64_t value = (int64_t)word;
    count = apus_decimal_write_e8(value, out);
    require(count == slow_write(value, model) && memcmp(out, model, count) == 0, "a decimal is written differently");
    apus_decimal back;
    int64_t value_back = 0;
    require(apus_decimal_parse(out, count, &back), "what was written is no number");
    if (value != INT64_MIN) {
        require(apus_decimal_to_e8(&back, &value_back) == APUS_DECIMAL_EXACT && value_back == value,
                "a round trip changed a value");
    }
    int64_t product;
    count = apus_decimal_write(value, step_e8, out);
    if (__builtin_mul_overflow(value, step_e8, &product)) {
        require(count == 0, "a product outside 64 bits was written");
    } else {
        require(count == slow_write(product, model) && memcmp(out, model, count) == 0,
                "a product is written differently");
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t steps[] = {1, 0, -5, 100000000, 50000000, 100000, 1000000, 12500000, 3, 7 * 1024, INT64_MAX,
                                    (int64_t)1 << 62, 999999937, 10, 500000000, 25};
    fuzz_bytes bytes = fuzz_begin(data, size);
    const uint8_t choice = fuzz_take(&bytes);
    const int64_t step_e8 = steps[choice & 15];
    const int places = (choice >> 4) + (choice & 3);
    size_t count;
    const char *const text = (const char *)fuzz_take_bytes(&bytes, DIGITS - 1, &count);

    /* At the end of its memory, and with bytes behind it. */
    char *const tight = (char *)fuzz_copy(text, count);
    char *const roomy = malloc(count + 64);
    require(roomy != NULL, "out of memory");
    memcpy(roomy, text, count);
    memset(roomy + count, choice & 1 ? ',' : ']', 64);
    slow_decimal slow;
    const char *const end = slow_scan(tight, tight + count, &slow);
    apus_decimal number, other;
    const char *const behind = apus_decimal_scan(tight, tight + count, &number);
    const char *const behind_other = apus_decimal_scan(roomy, roomy + count + 64, &other);
    require(behind == end, "a number ends elsewhere, or is none");
    require((behind_other == NULL) == (behind == NULL)
                && (behind == NULL || behind_other - roomy == behind - tight),
            "a number ends elsewhere when more follows it");
    if (end != NULL) {
        check_same(&number, &other);
        check_number(&number, &slow, places, step_e8);
        require(apus_decimal_parse(tight, count, &number) == (end == tight + count), "parse misjudged what is behind");
    }
    uint64_t word = 0;
    memcpy(&word, text, count < 8 ? count : 8);
    check_writing(word, step_e8);
    check_writing(word >> (choice & 63), step_e8);
    free(tight);
    free(roomy);
    return 0;
}
