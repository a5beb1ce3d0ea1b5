/* The JSON cursor against a recursive parser (RFC 8259; that strings are UTF-8 is checked by neither).
 *
 * Both write down what they see in one form. The cursor is also asked to skip, step and leap over the same value,
 * and to walk its objects by a shape that has learnt their order. */
#include "apus_json.h"
#include "fuzz.h"

enum { DEEPEST = 500 };

/* ---- The slow parser. ---- */

typedef struct {
    const uint8_t *at, *end;
    int depth, deepest;
} slow_json;

static void slow_space(slow_json *json)
{
    while (json->at < json->end && strchr(" \t\r\n", *json->at) != NULL && *json->at != 0) {
        json->at++;
    }
}

static bool slow_byte(slow_json *json, char byte)
{
    if (json->at < json->end && *json->at == (uint8_t)byte) {
        json->at++;
        return true;
    }
    return false;
}

static void slow_utf8(fuzz_text *out, uint32_t code)
{
    if (code < 0x80) {
        fuzz_append_byte(out, (char)code);
    } else {
        const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        static const uint32_t leads[4] = {0, 0xC0, 0xE0, 0xF0};
        fuzz_append_byte(out, (char)(leads[more] | code >> (6 * more)));
        for (int i = more - 1; i >= 0; i--) {
            fuzz_append_byte(out, (char)(0x80 | (code >> (6 * i) & 0x3F)));
        }
    }
}

static bool slow_hex(slow_json *json, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *const found = json->at < json->end && *json->at != 0 ? strchr(digits, *json->at) : NULL;
        if (found == NULL) {
            return false;
        }
        const uint32_t value = (uint32_t)(found - digits);
        *out = *out * 16 + (value < 16 ? value : value - 6);
        json->at++;
    }
    return true;
}

/* Behind the opening quote; the text without escapes goes to `out`. */
static bool slow_string(slow_json *json, fuzz_text *out)
{
    while (json->at < json->end) {
        const uint8_t byte = *json->at++;
        if (byte == '"') {
            return true;
        }
        if (byte < 0x20) {
            return false;
        }
        if (byte != '\\') {
            fuzz_append_byte(out, (char)byte);
            continue;
        }
        if (json->at == json->end) {
            return false;
        }
        static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        const uint8_t escape = *json->at++;
        const char *const known = escape != 0 ? strchr(escapes, escape) : NULL;
        if (known != NULL) {
            fuzz_append_byte(out, meanings[known - escapes]);
            continue;
        }
        uint32_t code;
        if (escape != 'u' || !slow_hex(json, &code)) {
            return false;
        }
        if (code >= 0xD800 && code <= 0xDBFF) {
            slow_json ahead = *json;
            uint32_t low;
            if (slow_byte(&ahead, '\\') && slow_byte(&ahead, 'u') && slow_hex(&ahead, &low) && low >= 0xDC00
                && low <= 0xDFFF) {
                *json = ahead;
                code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00);
            }
        }
        slow_utf8(out, code >= 0xD800 && code <= 0xDFFF ? 0xFFFD : code);
    }
    return false;
}

static bool slow_digits(slow_json *json)
{
    const uint8_t *const start = json->at;
    while (json->at < json->end && *json->at >= '0' && *json->at <= '9') {
        json->at++;
    }
    return json->at != start;
}

static bool slow_number(slow_json *json)
{
    slow_byte(json, '-');
    if (!slow_byte(json, '0') && !slow_digits(json)) {
        return false;
    }
    if (slow_byte(json, '.') && !slow_digits(json)) {
        return false;
    }
    if (slow_byte(json, 'e') || slow_byte(json, 'E')) {
        if (!slow_byte(json, '+')) {
            slow_byte(json, '-');
        }
        return slow_digits(json);
    }
    return true;
}

static void write_string(fuzz_text *out, const fuzz_text *text)
{
    fuzz_append_byte(out, 'S');
    fuzz_append_word(out, text->count);
    fuzz_append(out, text->bytes, text->count);
}

static bool slow_string_out(slow_json *json, fuzz_text *out)
{
    fuzz_text text = {0};
    const bool good = slow_byte(json, '"') && slow_string(json, &text);
    if (good) {
        write_string(out, &text);
    }
    free(text.bytes);
    return good;
}

static bool slow_value(slow_json *json, fuzz_text *out)
{
    slow_space(json);
    if (json->at == json->end) {
        return false;
    }
    const uint8_t *const start = json->at;
    if (*start == '"') {
        return slow_string_out(json, out);
    }
    if (*start == '{' || *start == '[') {
        const char end = *start == '{' ? '}' : ']';
        json->at++;
        if (++json->depth > json->deepest) {
            json->deepest = json->depth;
        }
        if (json->depth > DEEPEST) {
            return false;
        }
        fuzz_append_byte(out, (char)*start);
        slow_space(json);
        if (!slow_byte(json, end)) {
            do {
                slow_space(json);
                if (end == '}') {
                    if (!slow_string_out(json, out)) {
                        return false;
                    }
                    slow_space(json);
                    if (!slow_byte(json, ':')) {
                        return false;
                    }
                }
                if (!slow_value(json, out)) {
                    return false;
                }
                slow_space(json);
            } while (slow_byte(json, ','));
            if (!slow_byte(json, end)) {
                return false;
            }
        }
        json->depth--;
        fuzz_append_byte(out, end);
        return true;
    }
    static const char *const words[] = {"null", "true", "false"};
    for (int i = 0; i < 3; i++) {
        const size_t count = strlen(words[i]);
        if ((size_t)(json->end - json->at) >= count && memcmp(json->at, words[i], count) == 0) {
            json->at += count;
            fuzz_append_byte(out, words[i][0]);
            return true;
        }
    }
    if (!slow_number(json)) {
        return false;
    }
    fuzz_append_byte(out, 'N');
    fuzz_append(out, start, (size_t)(json->at - start));
    return true;
}

/* ---- The same by the cursor. ---- */

static void write_text(fuzz_text *out, apus_json_text text)
{
    char *const plain = malloc(text.count + 1);
    require(plain != NULL, "out of memory");
    const int64_t count = apus_json_unescape(text.bytes, text.count, plain, text.count);
    require(count >= 0 && (size_t)count <= text.count, "a checked string does not unescape");
    require(text.has_escapes || ((size_t)count == text.count && memcmp(plain, text.bytes, text.count) == 0),
            "a string without escapes changes");
    const fuzz_text meaning = {plain, (size_t)count, 0};
    write_string(out, &meaning);
    free(plain);
}

static bool walk(apus_json *json, fuzz_text *out, int depth)
{
    apus_json_text text;
    bool started = false;
    switch (apus_json_peek(json)) {
    case APUS_JSON_NONE: return false;
    case APUS_JSON_NULL:
        fuzz_append_byte(out, 'n');
        return apus_json_null(json);
    case APUS_JSON_BOOL: {
        bool value;
        if (!apus_json_bool(json, &value)) {
            return false;
        }
        fuzz_append_byte(out, value ? 't' : 'f');
        return true;
    }
    case APUS_JSON_NUMBER: {
        const char *const start = json->at;
        apus_decimal number;
        if (!apus_json_number(json, &number)) {
            return false;
        }
        fuzz_append_byte(out, 'N');
        fuzz_append(out, start, (size_t)(json->at - start));
        return true;
    }
    case APUS_JSON_STRING:
        if (!apus_json_string(json, &text)) {
            return false;
        }
        write_text(out, text);
        return true;
    case APUS_JSON_ARRAY:
        if (depth == DEEPEST || !apus_json_enter_array(json)) {
            return false;
        }
        fuzz_append_byte(out, '[');
        while (apus_json_next_element(json, &started)) {
            if (!walk(json, out, depth + 1)) {
                return false;
            }
        }
        fuzz_append_byte(out, ']');
        return !json->failed;
    case APUS_JSON_OBJECT:
        if (depth == DEEPEST || !apus_json_enter_object(json)) {
            return false;
        }
        fuzz_append_byte(out, '{');
        while (apus_json_next_key(json, &started, &text)) {
            write_text(out, text);
            if (!walk(json, out, depth + 1)) {
                return false;
            }
        }
        fuzz_append_byte(out, '}');
        return !json->failed;
    }
    return false;
}

/* By a shape: known keys as their index, the others by their place, each with the bytes of its value. */
static const char *const known[] = {"a", "bb", "id", "channel_name", "notification", "price", "amount", "label",
                                    "best_bid_price", "twenty-eight-bytes-long-keys"};
enum { KNOWN = sizeof known / sizeof known[0] };

static bool walk_shape(apus_json *json, apus_json_shape *shape, fuzz_text *out)
{
    apus_json_walk state = {0};
    if (!apus_json_enter_object(json)) {
        return false;
    }
    for (;;) {
        const int32_t field = apus_json_next_field(json, shape, &state);
        if (field == APUS_JSON_FIELD_END) {
            return !json->failed;
        }
        apus_json_space(json);
        const char *const start = json->at;
        if (!apus_json_step(json)) {
            return false;
        }
        fuzz_append_word(out, (uint64_t)(int64_t)field);
        fuzz_append(out, start, (size_t)(json->at - start));
    }
}

static bool slow_shape(slow_json *json, fuzz_text *out)
{
    fuzz_text scrap = {0};
    bool good = true;
    slow_space(json);
    slow_byte(json, '{');
    slow_space(json);
    if (!slow_byte(json, '}')) {
        do {
            fuzz_text key = {0};
            slow_space(json);
            good = good && slow_byte(json, '"') && slow_string(json, &key);
            slow_space(json);
            good = good && slow_byte(json, ':');
            int64_t field = -1;
            for (int64_t i = 0; i < KNOWN; i++) {
                if (key.count == strlen(known[i]) && memcmp(known[i], key.bytes, key.count) == 0) {
                    field = i;
                }
            }
            free(key.bytes);
            slow_space(json);
            const uint8_t *const start = json->at;
            good = good && slow_value(json, &scrap);
            fuzz_append_word(out, (uint64_t)field);
            fuzz_append(out, start, (size_t)(json->at - start));
            slow_space(json);
        } while (good && slow_byte(json, ','));
    }
    free(scrap.bytes);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *const bytes = fuzz_copy(data, size);
    const char *const text = (const char *)bytes;
    fuzz_text expected = {0}, found = {0};

    slow_json slow = {.at = bytes, .end = bytes + size};
    bool is_json = slow_value(&slow, &expected);
    slow_space(&slow);
    is_json = is_json && slow.at == slow.end;

    apus_json json = apus_json_begin(text, size);
    const bool walked = walk(&json, &found, 0) && apus_json_finish(&json);
    require(walked == is_json, "the cursor and the recursive parser disagree on what is JSON");
    require(!is_json || fuzz_same(&expected, &found), "the cursor and the recursive parser read different values");
    require(!json.failed || json.at == json.end, "a failed cursor is not at the end");

    json = apus_json_begin(text, size);
    const bool skipped = apus_json_skip(&json) && apus_json_finish(&json);
    require(skipped == (is_json && slow.deepest <= APUS_JSON_DEPTH), "skip misjudged a value");
    json = apus_json_begin(text, size);
    const bool stepped = apus_json_step(&json) && apus_json_finish(&json);
    require(stepped == skipped, "step misjudged a value");
    json = apus_json_begin(text, size);
    const bool leapt = apus_json_leap(&json) && apus_json_finish(&json);
    require(leapt || !is_json || slow.deepest > APUS_JSON_DEPTH, "leap did not get over a value");
    if (is_json && size != 0) {
        /* Where it leaves a container, skip would as well. */
        json = apus_json_begin(text, size);
        apus_json_leap(&json);
        apus_json other = apus_json_begin(text, size);
        const bool deep = !apus_json_skip(&other);
        require(deep || json.at == other.at, "leap stops in another place than skip");
    }
    json = apus_json_begin(text, size);
    apus_decimal numbers[4];
    apus_json_numbers(&json, numbers, 4);

    json = apus_json_begin(text, size);
    const bool is_object = apus_json_peek(&json) == APUS_JSON_OBJECT;
    apus_json_shape *shape = NULL;
    require(apus_json_shape_create(known, KNOWN, &shape) == 0, "no shape");
    if (is_object && !is_json) {
        for (int turn = 0; turn < 2; turn++) {
            json = apus_json_begin(text, size);
            const bool accepted = walk_shape(&json, shape, &found) && apus_json_finish(&json);
            require(!accepted, "a walk by a shape accepts what is no JSON");
        }
    } else if (is_object && slow.deepest <= APUS_JSON_DEPTH) {
        expected.count = 0;
        slow = (slow_json){.at = bytes, .end = bytes + size};
        require(slow_shape(&slow, &expected), "the slow parser contradicts itself");
        for (int turn = 0; turn < 3; turn++) {
            found.count = 0;
            json = apus_json_begin(text, size);
            require(walk_shape(&json, shape, &found), "a walk by a shape failed");
            require(fuzz_same(&expected, &found), "a walk by a shape found other members");
        }
    }
    apus_json_shape_destroy(shape);
    free(expected.bytes);
    free(found.bytes);
    free(bytes);
    return 0;
}
