/* Objects that come again with other numbers, against the general reader, which remembers nothing.
 *
 * The first byte chooses the kernels. Each further step changes the last good text in a few places and offers it: what is
 * taken for a repetition must be right JSON, and every wanted number must be the one that the general reader finds. */
#include "apus_repeat.h"
#include "fuzz.h"

enum { PREFIX = 45, MOST = 1400, KEYS = 6 };

static const char *const keys[KEYS] = {"mark_price", "index", "amount", "volume", "rate", "time"};
static const uint32_t wanted = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4;

static const char first[] = "{\"channel_name\":\"a.name-----\",\"notification\":{\"mark_price\":100000.41,\"index\":100003.25916667,"
                            "\"amount\":1.5,\"side\":\"buy\",\"volume\":152.31300000000002,\"rate\":-0.000012713,\"none\":null,"
                            "\"time\":1776715497.7188172,\"other\":[1,2],\"funding\":1.2713e-05}}";

/* Another byte, one more, one less, or another digit: the last is what keeps the form. */
static size_t change(char *text, size_t count, fuzz_bytes *bytes)
{
    static const char others[] = "0123456789.,:{}[]\"eE-+ \\n";
    const uint8_t how = fuzz_take(bytes);
    const size_t place = PREFIX + fuzz_take_word(bytes, 2) % (count - PREFIX);
    const uint8_t with = fuzz_take(bytes);
    switch (how % 8) {
    case 0:
        text[place] = others[with % (sizeof others - 1)];
        return count;
    case 1:
        if (count > 100) {
            memmove(text + place, text + place + 1, count - place - 1);
            return count - 1;
        }
        return count;
    case 2:
        if (count < MOST) {
            memmove(text + place + 1, text + place, count - place);
            text[place] = others[with % 14];
            return count + 1;
        }
        return count;
    default:
        for (size_t i = place; i < count; i++) {
            if ((uint8_t)(text[i] - '0') < 10) {
                text[i] = (char)('0' + with % 10);
                break;
            }
        }
        return count;
    }
}

static bool same(const apus_decimal *a, const apus_decimal *b)
{
    return a->mantissa == b->mantissa && a->exponent == b->exponent && a->negative == b->negative &&
           a->truncated == b->truncated && a->next_digit == b->next_digit && a->sticky == b->sticky;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = fuzz_begin(data, size);
    static const apus_scan_level levels[] = {APUS_SCAN_AVX512, APUS_SCAN_AVX2, APUS_SCAN_NEON, APUS_SCAN_PORTABLE};
    const apus_scan_level level = levels[fuzz_take(&bytes) % 4];
    if (!apus_scan_runs(level)) {
        return 0;
    }
    apus_json_shape *shape, *slow_shape;
    apus_repeat *repeat;
    apus_members *found, *slow;
    apus_index *index;
    require(apus_json_shape_create(keys, KEYS, &shape) == 0 && apus_json_shape_create(keys, KEYS, &slow_shape) == 0 &&
                apus_repeat_create(level, &repeat) == 0 && apus_members_create(1, &found) == 0 &&
                apus_members_create(1, &slow) == 0 && apus_index_create(APUS_SCAN_GENERAL, &index) == 0,
            "no memory");
    for (uint32_t key = 0; key < KEYS; key++) {
        if (wanted >> key & 1) {
            apus_json_shape_want(shape, key);
            apus_json_shape_want(slow_shape, key);
        }
    }
    char good[MOST], next[MOST + 8];
    size_t count = sizeof first - 1;
    memcpy(good, first, count);
    apus_decimal learned[KEYS];
    uint32_t learned_set = 0;
    memset(learned, 0, sizeof learned);
    do {
        size_t next_count = count;
        memcpy(next, good, count);
        const uint8_t changes = fuzz_take(&bytes) % 4;
        for (uint8_t i = 0; i < changes; i++) {
            next_count = change(next, next_count, &bytes);
        }
        /* A copy of its own, so that no byte behind it can be read unseen. */
        char *const text = malloc(next_count);
        memcpy(text, next, next_count);

        apus_json slow_json = apus_json_begin(text, next_count);
        slow_json.at = text + PREFIX;
        const bool is_good = *slow_json.at++ == '{' && apus_members_scan(&slow_json, slow_shape, slow, index) &&
                             apus_json_accept(&slow_json, '}') && apus_json_finish(&slow_json);
        const uint32_t numbers = is_good ? apus_members_numbers(slow) & wanted : 0;

        apus_json json = apus_json_begin(text, next_count);
        json.at = text + PREFIX;
        uint32_t changed = 0;
        const apus_repeat_outcome outcome = apus_repeat_match(repeat, &json, found, &changed);
        if (outcome != APUS_REPEAT_NONE) {
            require(is_good, "a text that is no JSON was taken for a repetition");
            require(numbers == learned_set, "a repetition has other numbers");
        }
        for (int32_t key = 0; outcome != APUS_REPEAT_NONE && key < KEYS; key++) {
            if (numbers >> key & 1) {
                const apus_decimal *const is = changed >> key & 1 ? apus_members_decimal(found, key) : &learned[key];
                require(same(is, apus_members_decimal(slow, key)), "a number of a repetition is another");
                if (outcome == APUS_REPEAT_SAME) {
                    learned[key] = *apus_members_decimal(slow, key);
                }
            }
        }
        if (outcome == APUS_REPEAT_NONE && is_good && apus_repeat_is_due(repeat)) {
            apus_repeat_learn(repeat, &json, shape);
            learned_set = numbers;
            for (int32_t key = 0; key < KEYS; key++) {
                learned[key] = *apus_members_decimal(slow, key);
            }
        }
        if (is_good && next_count <= MOST) {
            memcpy(good, next, next_count);
            count = next_count;
        }
        free(text);
    } while (!fuzz_is_empty(&bytes));
    apus_index_destroy(index);
    apus_members_destroy(slow);
    apus_members_destroy(found);
    apus_repeat_destroy(repeat);
    apus_json_shape_destroy(slow_shape);
    apus_json_shape_destroy(shape);
    return 0;
}
