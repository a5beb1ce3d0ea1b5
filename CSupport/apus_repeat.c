#include <errno.h>
#include <stdlib.h>

#include "apus_repeat_internal.h"

static apus_repeat_outcome repeat_none(apus_repeat *repeat, const apus_json *json, apus_members *members,
                                       uint32_t *changed)
{
    (void)repeat;
    (void)json;
    (void)members;
    (void)changed;
    return APUS_REPEAT_NONE;
}

int apus_repeat_create(apus_scan_level level, apus_repeat **out)
{
    apus_repeat *const repeat = aligned_alloc(APUS_CACHE_LINE, sizeof *repeat);
    if (repeat == NULL) {
        return -ENOMEM;
    }
    memset(repeat, 0, sizeof *repeat);
    repeat->match = repeat_none;
    repeat->weight = APUS_REPEAT_TIRED;
    (void)level;
#if defined(__x86_64__)
    if (level == APUS_SCAN_AVX2) {
        repeat->match = apus_repeat_avx2;
    } else if (level == APUS_SCAN_AVX512) {
        repeat->match = apus_repeat_avx512;
    }
#elif defined(__aarch64__)
    if (level == APUS_SCAN_NEON) {
        repeat->match = apus_repeat_neon;
    }
#endif
    *out = repeat;
    return 0;
}

void apus_repeat_destroy(apus_repeat *repeat)
{
    free(repeat);
}

void apus_repeat_forget(apus_repeat *repeat)
{
    repeat->count = 0;
    repeat->weight = APUS_REPEAT_TIRED;
}

bool apus_repeat_is_due(apus_repeat *repeat)
{
    repeat->weight += APUS_REPEAT_MISS;
    return repeat->match != repeat_none && repeat->weight > APUS_REPEAT_TIRED;
}

static bool is_digit(char byte)
{
    return (uint8_t)(byte - '0') < 10;
}

/* The number of bytes [start, end) of the text. */
static apus_repeat_value value_of(const char *text, uint32_t start, uint32_t end)
{
    apus_repeat_value value = {(uint16_t)start, (uint16_t)end, -1, true, 0, 32};
    for (uint32_t i = start; i < end; i++) {
        if (is_digit(text[i])) {
            value.digits++;
        } else if (text[i] == '.') {
            value.decimals = (uint8_t)(end - i - 1);
        } else {
            value.is_plain = false;
        }
    }
    value.is_plain = value.is_plain && value.digits <= 19;
    return value;
}

static void mark(apus_repeat *repeat, uint64_t *masks, uint32_t at)
{
    for (uint32_t block = 0; block < repeat->blocks; block++) {
        const uint32_t offset = apus_repeat_offset(repeat, block);
        if (at >= offset && at - offset < 64) {
            masks[block] |= (uint64_t)1 << (at - offset);
        }
    }
}

void apus_repeat_learn(apus_repeat *repeat, const apus_json *json, apus_json_shape *shape)
{
    const char *const text = json->at;
    const size_t count = (size_t)(json->end - text);
    repeat->count = 0;
    repeat->weight = 0;
    if (count < 64 || count > APUS_REPEAT_BYTES || *text != '{') {
        return;
    }
    uint32_t values = 0, wanted = 0, seen = 0;
    apus_json cursor = *json;
    apus_json_walk walk = {0};
    cursor.at++;
    for (;;) {
        const int32_t key = apus_json_next_field(&cursor, shape, &walk);
        if (key == APUS_JSON_FIELD_END) {
            break;
        }
        if (key >= 0) {
            const uint32_t bit = (uint32_t)shape->lines[key].bit;
            if ((seen & bit) != 0) {
                return;
            }
            seen |= bit;
        }
        if (apus_json_peek(&cursor) != APUS_JSON_NUMBER) {
            apus_json_skip(&cursor);
            continue;
        }
        const uint32_t start = (uint32_t)(cursor.at - text);
        apus_json_skip(&cursor);
        if (values == APUS_REPEAT_VALUES || cursor.failed) {
            return;
        }
        apus_repeat_value *const value = &repeat->values[values];
        *value = value_of(text, start, (uint32_t)(cursor.at - text));
        if (key >= 0 && shape->lines[key].is_wanted) {
            value->key = (int8_t)key;
            repeat->wanted[wanted++] = (uint8_t)values;
        }
        values++;
    }
    if (cursor.failed) {
        return;
    }
    repeat->values_count = values;
    repeat->wanted_count = wanted;
    repeat->blocks = (uint32_t)(count + 63) / 64;
    repeat->count = (uint32_t)count;
    memcpy(repeat->text, text, count);
    memset(repeat->digits, 0, sizeof repeat->digits);
    memset(repeat->heads, 0, sizeof repeat->heads);
    for (uint32_t v = 0; v < values; v++) {
        const apus_repeat_value *const value = &repeat->values[v];
        const uint32_t head = value->start + (uint32_t)(text[value->start] == '-');
        for (uint32_t i = head; i < value->end; i++) {
            if (is_digit(text[i])) {
                mark(repeat, repeat->digits, i);
            }
        }
        if (head + 1u < value->end && is_digit(text[head + 1])) {
            mark(repeat, repeat->heads, head);
        }
    }
}
