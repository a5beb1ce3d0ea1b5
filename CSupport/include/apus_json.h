/* apus_json.h: a reader for the JSON of a trading venue: one pass over (text, count), no copy, no allocation.
 *
 * A cursor walks the text; the caller says what it wants next and skips the rest. Any member order, white
 * space and unknown members are fine. The first defect makes the cursor fail for good: it jumps to the end,
 * where every further call fails too, so that a caller may check once, at the end of a loop.
 *
 * Bounds:  never reads outside [text, text + count); nesting of at most APUS_JSON_DEPTH.
 * Strict:  what is skipped is checked too (numbers, words, escapes, commas, no control characters in strings),
 *          except by apus_json_leap. UTF-8 is the business of the WebSocket layer.
 * Thread:  a cursor belongs to one thread; apus_json_shape learns while it is used, so it does too.
 */
#ifndef APUS_JSON_H
#define APUS_JSON_H

#include "apus_decimal.h"

#include <stdalign.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define APUS_JSON_DEPTH 64

typedef struct APUS_NAME(JSONCursor) apus_json {
    const char *APUS_NONNULL at;
    const char *APUS_NONNULL end;
    const char *APUS_NONNULL start; /* bytes from here on may be looked at again */
    bool failed; /* a defect was met; `at` equals `end` then */
} apus_json;

/* What the next value is, judged by its first byte. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(JSONKind) apus_json_kind {
    APUS_JSON_NONE APUS_NAME(none) = 0, /* no value starts here */
    APUS_JSON_NULL APUS_NAME(null),
    APUS_JSON_BOOL APUS_NAME(bool),
    APUS_JSON_NUMBER APUS_NAME(number),
    APUS_JSON_STRING APUS_NAME(string),
    APUS_JSON_ARRAY APUS_NAME(array),
    APUS_JSON_OBJECT APUS_NAME(object),
} apus_json_kind;

/* A string as it stands between its quotes. */
typedef struct APUS_NAME(JSONText) apus_json_text {
    const char *APUS_NULLABLE bytes;
    size_t count;
    bool has_escapes; /* `bytes` is raw: apus_json_unescape gives the meaning */
} apus_json_text;

APUS_HOT apus_json apus_json_begin(const char *APUS_NONNULL text, size_t count)
{
    return (apus_json){text, text + count, text, false};
}

/* Always false, for `return`. */
APUS_HOT bool apus_json_fail(apus_json *APUS_NONNULL json)
{
    json->at = json->end;
    json->failed = true;
    return false;
}

APUS_HOT void apus_json_space(apus_json *APUS_NONNULL json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t')) {
        json->at++;
    }
}

/* Whether `count` bytes are the same at both places. Reads nothing else; words that overlap, so that a count known when
 * this is compiled costs a few instructions and no call. */
APUS_HOT bool apus_json_same(const char *APUS_NONNULL a, const char *APUS_NONNULL b, size_t count)
{
    uint64_t x, y;
    if (count >= 8) {
        uint64_t difference = 0;
        for (size_t i = 0; i + 8 < count; i += 8) {
            memcpy(&x, a + i, 8);
            memcpy(&y, b + i, 8);
            difference |= x ^ y;
        }
        memcpy(&x, a + count - 8, 8);
        memcpy(&y, b + count - 8, 8);
        return (difference | (x ^ y)) == 0;
    }
    if (count >= 4) {
        uint32_t first[2], last[2];
        memcpy(&first[0], a, 4);
        memcpy(&first[1], b, 4);
        memcpy(&last[0], a + count - 4, 4);
        memcpy(&last[1], b + count - 4, 4);
        return first[0] == first[1] && last[0] == last[1];
    }
    for (size_t i = 0; i < count; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

/* Steps over white space and then `byte`; false, without failing, if something else is there. */
APUS_HOT bool apus_json_accept(apus_json *APUS_NONNULL json, char byte)
{
    if (APUS_LIKELY(json->at < json->end && *json->at == byte)) {
        json->at++;
        return true;
    }
    apus_json_space(json);
    if (json->at < json->end && *json->at == byte) {
        json->at++;
        return true;
    }
    return false;
}

APUS_HOT apus_json_kind apus_json_peek(apus_json *APUS_NONNULL json)
{
    apus_json_space(json);
    if (json->at == json->end) {
        return APUS_JSON_NONE;
    }
    switch (*json->at) {
    case '"': return APUS_JSON_STRING;
    case '{': return APUS_JSON_OBJECT;
    case '[': return APUS_JSON_ARRAY;
    case 'n': return APUS_JSON_NULL;
    case 't': case 'f': return APUS_JSON_BOOL;
    case '-': case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9': return APUS_JSON_NUMBER;
    default: return APUS_JSON_NONE;
    }
}

/* Only white space is left, and nothing failed. */
APUS_HOT bool apus_json_finish(apus_json *APUS_NONNULL json)
{
    apus_json_space(json);
    return json->at == json->end && !json->failed;
}

/* The first byte of [at, end) that is a quote, a backslash or a control character, or `end`. */
APUS_HOT const char *APUS_NONNULL apus_json_special_portable(const char *APUS_NONNULL at, const char *APUS_NONNULL end)
{
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        const uint64_t ones = 0x0101010101010101u;
        const uint64_t quote = word ^ (ones * '"');
        const uint64_t slash = word ^ (ones * '\\');
        /* Bit 7 of a byte is set where it was 0, resp. below 0x20; borrows only spoil higher bytes. */
        const uint64_t hits = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((word - ones * 0x20) & ~word)) &
                              (ones * 0x80);
        if (hits != 0) {
            return at + __builtin_ctzll(hits) / 8;
        }
        at += 8;
    }
    while (at < end && *at != '"' && *at != '\\' && (uint8_t)*at >= 0x20) {
        at++;
    }
    return at;
}

APUS_HOT const char *APUS_NONNULL apus_json_special(const char *APUS_NONNULL at, const char *APUS_NONNULL end)
{
#if defined(__SSE2__)
    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                           _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
        const int hits = _mm_movemask_epi8(_mm_or_si128(control, marks));
        if (hits != 0) {
            return at + __builtin_ctz((unsigned)hits);
        }
        at += 16;
    }
#endif
    return apus_json_special_portable(at, end);
}

APUS_HOT bool apus_json_is_hex(char byte)
{
    return (uint8_t)(byte - '0') < 10 || (uint8_t)((byte | 0x20) - 'a') < 6;
}

/* Behind the opening quote: steps behind the closing one. */
static inline bool apus_json_string_rest(apus_json *APUS_NONNULL json, apus_json_text *APUS_NONNULL out)
{
    const char *const start = json->at;
    const char *at = start;
    out->has_escapes = false;
    for (;;) {
        at = apus_json_special(at, json->end);
        if (at == json->end || (uint8_t)*at < 0x20) {
            return apus_json_fail(json);
        }
        if (*at == '"') {
            break;
        }
        out->has_escapes = true;
        if (json->end - at < 2) {
            return apus_json_fail(json);
        }
        const char escape = at[1];
        if (escape == 'u') {
            if (json->end - at < 6 || !apus_json_is_hex(at[2]) || !apus_json_is_hex(at[3]) ||
                !apus_json_is_hex(at[4]) || !apus_json_is_hex(at[5])) {
                return apus_json_fail(json);
            }
            at += 6;
        } else if (escape == '"' || escape == '\\' || escape == '/' || escape == 'b' || escape == 'f' ||
                   escape == 'n' || escape == 'r' || escape == 't') {
            at += 2;
        } else {
            return apus_json_fail(json);
        }
    }
    out->bytes = start;
    out->count = (size_t)(at - start);
    json->at = at + 1;
    return true;
}

/* A string value. */
APUS_HOT bool apus_json_string(apus_json *APUS_NONNULL json, apus_json_text *APUS_NONNULL out)
{
    return apus_json_accept(json, '"') ? apus_json_string_rest(json, out) : apus_json_fail(json);
}

/* A number value. */
APUS_HOT bool apus_json_number(apus_json *APUS_NONNULL json, apus_decimal *APUS_NONNULL out)
{
    if (APUS_UNLIKELY(json->at < json->end && (uint8_t)*json->at <= ' ')) {
        apus_json_space(json);
    }
    const char *const behind = apus_decimal_scan(json->at, json->end, out);
    if (APUS_UNLIKELY(behind == NULL)) {
        return apus_json_fail(json);
    }
    json->at = behind;
    return true;
}

/* A whole number of up to 19 digits, right here, with a member behind it. False, with the cursor where it was, if it is
 * anything else: the general reader has to look. */
APUS_HOT bool apus_json_whole(apus_json *APUS_NONNULL json, uint64_t *APUS_NONNULL out)
{
    const char *p = json->at;
    if (APUS_UNLIKELY(json->end - p < 32)) {
        return false;
    }
    uint64_t value = 0;
    const uint32_t digits = apus_digits_take(p, json->end, &value);
    if (APUS_UNLIKELY(digits == 0 || (*p == '0' && digits != 1))) {
        return false;
    }
    p += digits;
    if (digits == 16) {
        for (uint32_t more = 0; more < 3 && (uint8_t)(*p - '0') < 10; more++) {
            value = value * 10 + (uint8_t)(*p++ - '0');
        }
    }
    if (APUS_UNLIKELY(*p != ',')) {
        return false;
    }
    *out = value;
    json->at = p;
    return true;
}

/* One of the words null, true, false. */
APUS_HOT bool apus_json_word(apus_json *APUS_NONNULL json, const char *APUS_NONNULL word, size_t count)
{
    apus_json_space(json);
    if ((size_t)(json->end - json->at) < count || memcmp(json->at, word, count) != 0) {
        return apus_json_fail(json);
    }
    json->at += count;
    return true;
}

APUS_HOT bool apus_json_bool(apus_json *APUS_NONNULL json, bool *APUS_NONNULL out)
{
    apus_json_space(json);
    *out = json->at < json->end && *json->at == 't';
    return *out ? apus_json_word(json, "true", 4) : apus_json_word(json, "false", 5);
}

/* Steps over `null`; false, without failing, if another value is there. */
APUS_HOT bool apus_json_null(apus_json *APUS_NONNULL json)
{
    if (json->at < json->end && *json->at != 'n' && (uint8_t)*json->at > ' ') {
        return false;
    }
    apus_json_space(json);
    return json->at < json->end && *json->at == 'n' && apus_json_word(json, "null", 4);
}

/* Any value, checked completely. */
static inline bool apus_json_skip(apus_json *APUS_NONNULL json)
{
    uint64_t objects = 0; /* bit 0: the innermost container is an object */
    uint32_t depth = 0;
    for (;;) {
        /* Here a value starts. */
        apus_json_text text;
        apus_decimal number;
        switch (apus_json_peek(json)) {
        case APUS_JSON_STRING:
            if (!apus_json_string(json, &text)) {
                return false;
            }
            break;
        case APUS_JSON_NUMBER:
            if (!apus_json_number(json, &number)) {
                return false;
            }
            break;
        case APUS_JSON_NULL:
            if (!apus_json_word(json, "null", 4)) {
                return false;
            }
            break;
        case APUS_JSON_BOOL: {
            bool value;
            if (!apus_json_bool(json, &value)) {
                return false;
            }
            break;
        }
        case APUS_JSON_OBJECT:
        case APUS_JSON_ARRAY: {
            const bool object = *json->at == '{';
            json->at++;
            if (apus_json_accept(json, object ? '}' : ']')) {
                break;
            }
            if (depth == APUS_JSON_DEPTH) {
                return apus_json_fail(json);
            }
            depth++;
            objects = objects << 1 | object;
            if (object && (!apus_json_string(json, &text) || !apus_json_accept(json, ':'))) {
                return apus_json_fail(json);
            }
            continue;
        }
        case APUS_JSON_NONE:
            return apus_json_fail(json);
        }
        /* Here a value has ended. */
        for (;;) {
            if (depth == 0) {
                return true;
            }
            const bool object = objects & 1;
            if (apus_json_accept(json, ',')) {
                if (object && (!apus_json_string(json, &text) || !apus_json_accept(json, ':'))) {
                    return apus_json_fail(json);
                }
                break;
            }
            if (!apus_json_accept(json, object ? '}' : ']')) {
                return apus_json_fail(json);
            }
            objects >>= 1;
            depth--;
        }
    }
}

/* Any value, checked completely, at less cost for numbers and strings. */
static inline bool apus_json_step(apus_json *APUS_NONNULL json)
{
    if (APUS_LIKELY(json->at < json->end)) {
        const char byte = *json->at;
        if ((uint8_t)(byte - '0') < 10 || byte == '-') {
            if (APUS_LIKELY(json->end - json->at >= 32)) {
                apus_decimal number;
                return apus_json_number(json, &number);
            }
            const char *const behind = apus_decimal_skip(json->at, json->end);
            if (APUS_UNLIKELY(behind == NULL)) {
                return apus_json_fail(json);
            }
            json->at = behind;
            return true;
        }
        if (byte == '"') {
            apus_json_text text;
            json->at++;
            return apus_json_string_rest(json, &text);
        }
    }
    return apus_json_skip(json);
}

/* Steps over an array or object by counting brackets outside strings: fast, and for text that will be read
 * again, because what lies inside is not checked. Scalars are skipped with checks. */
static inline bool apus_json_leap(apus_json *APUS_NONNULL json)
{
    const apus_json_kind kind = apus_json_peek(json);
    if (kind != APUS_JSON_ARRAY && kind != APUS_JSON_OBJECT) {
        return apus_json_skip(json);
    }
    const char *at = json->at;
    int64_t depth = 0;
    for (;;) {
        const char *stop = json->end; /* bytes before it are looked at one by one */
#if defined(__SSE2__)
        /* Whole blocks without a string in which the depth cannot reach 0. '[' and '{' differ in one bit only,
         * so do ']' and '}', and no other byte is mapped on them. */
        while (json->end - at >= 16) {
            const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
            const int quotes = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
            if (quotes != 0) {
                stop = at + __builtin_ctz((unsigned)quotes) + 1;
                break;
            }
            const __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
            const __m128i opens = _mm_cmpeq_epi8(folded, _mm_set1_epi8('{'));
            const __m128i closes = _mm_cmpeq_epi8(folded, _mm_set1_epi8('}'));
            const __m128i one = _mm_set1_epi8(1);
            const __m128i opened = _mm_sad_epu8(_mm_and_si128(opens, one), _mm_setzero_si128());
            const __m128i closed = _mm_sad_epu8(_mm_and_si128(closes, one), _mm_setzero_si128());
            const int64_t up = _mm_cvtsi128_si64(opened) + _mm_cvtsi128_si64(_mm_srli_si128(opened, 8));
            const int64_t down = _mm_cvtsi128_si64(closed) + _mm_cvtsi128_si64(_mm_srli_si128(closed, 8));
            if (depth <= down) {
                stop = at + 16;
                break;
            }
            depth += up - down;
            at += 16;
        }
#endif
        if (at == json->end) {
            return apus_json_fail(json);
        }
        while (at < stop) {
            const char byte = *at++;
            if (byte == '"') {
                apus_json_text text;
                json->at = at;
                if (!apus_json_string_rest(json, &text)) {
                    return false;
                }
                at = json->at;
                break;
            }
            if ((byte | 0x20) == '{') {
                depth++;
            } else if ((byte | 0x20) == '}' && --depth == 0) {
                json->at = at;
                return true;
            }
        }
    }
}

APUS_HOT bool apus_json_enter_array(apus_json *APUS_NONNULL json)
{
    return apus_json_accept(json, '[') || apus_json_fail(json);
}

APUS_HOT bool apus_json_enter_object(apus_json *APUS_NONNULL json)
{
    return apus_json_accept(json, '{') || apus_json_fail(json);
}

/* The next element of an array that was entered: true with the cursor on it; false behind the ']', or if the
 * cursor failed. `*started` is false before the first call. */
APUS_HOT bool apus_json_next_element(apus_json *APUS_NONNULL json, bool *APUS_NONNULL started)
{
    if (*started) {
        if (APUS_LIKELY(apus_json_accept(json, ','))) {
            return true;
        }
        return !apus_json_accept(json, ']') && apus_json_fail(json);
    }
    *started = true;
    return !apus_json_accept(json, ']') && (json->at < json->end || apus_json_fail(json));
}

/* The next key of an object that was entered: true with the cursor on its value; false behind the '}', or if
 * the cursor failed. `*started` is false before the first call. */
APUS_HOT bool apus_json_next_key(apus_json *APUS_NONNULL json, bool *APUS_NONNULL started,
                                 apus_json_text *APUS_NONNULL key)
{
    if (*started) {
        if (APUS_UNLIKELY(!apus_json_accept(json, ','))) {
            return !apus_json_accept(json, '}') && apus_json_fail(json);
        }
    } else {
        *started = true;
        if (apus_json_accept(json, '}')) {
            return false;
        }
    }
    return apus_json_string(json, key) && (apus_json_accept(json, ':') || apus_json_fail(json));
}

/* An array of numbers: its first `max` go to `out`, further elements of any kind are skipped. Returns how many
 * were stored, or -1 if the cursor failed, also because one of the first `max` is no number. */
APUS_HOT int32_t apus_json_numbers(apus_json *APUS_NONNULL json, apus_decimal *APUS_NONNULL out, int32_t max)
{
    if (APUS_UNLIKELY(!apus_json_enter_array(json))) {
        return -1;
    }
    int32_t count = 0;
    bool started = false;
    while (apus_json_next_element(json, &started)) {
        if (APUS_LIKELY(count < max)) {
            if (APUS_UNLIKELY(!apus_json_number(json, &out[count]))) {
                return -1;
            }
            count++;
        } else {
            apus_json_skip(json);
        }
    }
    return json->failed ? -1 : count;
}

/* Turns a raw string into UTF-8; returns its length, or -1 if `capacity` is too small or an escape is
 * incomplete. A lone half of a surrogate pair becomes U+FFFD. Cold. */
int64_t apus_json_unescape(const char *APUS_NONNULL bytes, size_t count, char *APUS_NONNULL out, size_t capacity);

/* The known keys of one kind of object, with a memory of the order in which they came last time. A member that
 * comes where it came before is recognised by comparing four words; anything else is looked up. */
#define APUS_JSON_SHAPE_KEYS 64
#define APUS_JSON_SHAPE_READ 32 /* keys from here on are known only to be stepped over fast by apus_members_scan */
#define APUS_JSON_KEY_BYTES 28 /* longest key that fits `,"key":` into four words */

typedef struct apus_json_shape_key {
    uint64_t text[4]; /* "key": with its quotes and colon */
    uint64_t mask[4];
    uint32_t count; /* bytes of text */
} apus_json_shape_key;

/* The same for comparisons of 32 bytes at once (apus_scan.h): ,"key": with the comma before it. */
typedef struct apus_json_shape_line {
    alignas(APUS_CACHE_LINE) char text[32];
    uint32_t mask; /* bit i: byte i of text counts */
    uint32_t count;
    bool is_wanted; /* a number is converted, not only checked */
    uint64_t bit;   /* in the sets of apus_members; 0 from key APUS_JSON_SHAPE_READ on */
} apus_json_shape_line;

typedef struct apus_json_shape {
    alignas(APUS_CACHE_LINE) apus_json_shape_key keys[APUS_JSON_SHAPE_KEYS];
    apus_json_shape_line lines[APUS_JSON_SHAPE_KEYS];
    uint8_t next[APUS_JSON_SHAPE_KEYS + 1]; /* expected after key i - 1; [0] at the start of the object */
    uint32_t count;
} apus_json_shape;

/* Results of apus_json_next_field below the indexes of the keys. */
#define APUS_JSON_FIELD_UNKNOWN (-1) /* the caller skips the value */
#define APUS_JSON_FIELD_END (-2)     /* behind the '}', or the cursor failed */

/* A walk through one object; all zero at its start. */
typedef struct APUS_NAME(JSONWalk) apus_json_walk {
    uint32_t last; /* index of the key last met, plus 1 */
    bool started;
} apus_json_walk;

/* `keys` are `count` texts without escapes. 0, -EINVAL for more than APUS_JSON_SHAPE_KEYS keys, an empty key or
 * one above APUS_JSON_KEY_BYTES, or -ENOMEM. Cold. */
int apus_json_shape_create(const char *APUS_NONNULL const *APUS_NONNULL keys, uint32_t count,
                           apus_json_shape *APUS_NULLABLE *APUS_NONNULL out);
void apus_json_shape_destroy(apus_json_shape *APUS_NULLABLE shape);

/* Marks a key, below APUS_JSON_SHAPE_READ, whose numbers apus_members_scan converts. Cold. */
void apus_json_shape_want(apus_json_shape *APUS_NONNULL shape, uint32_t key);

/* apus_json_next_field without any guess. */
int32_t apus_json_search_field(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                               apus_json_walk *APUS_NONNULL walk);

/* The slow half of apus_json_next_field. */
int32_t apus_json_lookup_field(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                               apus_json_walk *APUS_NONNULL walk);

/* The next member of an object that was entered: the index of its key in the shape, with the cursor on the
 * value, or one of the APUS_JSON_FIELD_ results. */
APUS_HOT int32_t apus_json_next_field(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                                      apus_json_walk *APUS_NONNULL walk)
{
    if (APUS_LIKELY(json->end - json->at >= 33)) {
        const uint32_t guess = shape->next[walk->last];
        const apus_json_shape_key *const key = &shape->keys[guess];
        const char *const at = json->at + walk->started;
        uint64_t text[4];
        memcpy(text, at, 32);
        const uint64_t difference = ((text[0] ^ key->text[0]) & key->mask[0]) | ((text[1] ^ key->text[1]) & key->mask[1]) |
                                    ((text[2] ^ key->text[2]) & key->mask[2]) | ((text[3] ^ key->text[3]) & key->mask[3]);
        if (APUS_LIKELY(difference == 0 && (!walk->started || *json->at == ','))) {
            json->at = at + key->count;
            walk->last = guess + 1;
            walk->started = true;
            return (int32_t)guess;
        }
    }
    return apus_json_lookup_field(json, shape, walk);
}

#endif
