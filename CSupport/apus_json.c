#include "apus_json.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t hex_value(const char *bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        const uint8_t byte = (uint8_t)bytes[i];
        value = value << 4 | (uint32_t)(byte <= '9' ? byte - '0' : (byte | 0x20) - 'a' + 10);
    }
    return value;
}

static bool is_hex4(const char *bytes)
{
    return apus_json_is_hex(bytes[0]) && apus_json_is_hex(bytes[1]) && apus_json_is_hex(bytes[2]) &&
           apus_json_is_hex(bytes[3]);
}

int64_t apus_json_unescape(const char *bytes, size_t count, char *out, size_t capacity)
{
    size_t length = 0;
    size_t i = 0;
    while (i < count) {
        char utf8[4];
        size_t size = 1;
        if (bytes[i] != '\\') {
            utf8[0] = bytes[i++];
        } else {
            if (count - i < 2) {
                return -1;
            }
            const char escape = bytes[i + 1];
            i += 2;
            if (escape == 'u') {
                if (count - i < 4 || !is_hex4(bytes + i)) {
                    return -1;
                }
                uint32_t code = hex_value(bytes + i);
                i += 4;
                if (code >= 0xD800 && code < 0xE000) {
                    uint32_t low = 0;
                    if (code < 0xDC00 && count - i >= 6 && bytes[i] == '\\' && bytes[i + 1] == 'u' &&
                        is_hex4(bytes + i + 2)) {
                        low = hex_value(bytes + i + 2);
                    }
                    if (low >= 0xDC00 && low < 0xE000) {
                        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                        i += 6;
                    } else {
                        code = 0xFFFD;
                    }
                }
                if (code < 0x80) {
                    utf8[0] = (char)code;
                } else if (code < 0x800) {
                    utf8[0] = (char)(0xC0 | code >> 6);
                    utf8[1] = (char)(0x80 | (code & 0x3F));
                    size = 2;
                } else if (code < 0x10000) {
                    utf8[0] = (char)(0xE0 | code >> 12);
                    utf8[1] = (char)(0x80 | (code >> 6 & 0x3F));
                    utf8[2] = (char)(0x80 | (code & 0x3F));
                    size = 3;
                } else {
                    utf8[0] = (char)(0xF0 | code >> 18);
                    utf8[1] = (char)(0x80 | (code >> 12 & 0x3F));
                    utf8[2] = (char)(0x80 | (code >> 6 & 0x3F));
                    utf8[3] = (char)(0x80 | (code & 0x3F));
                    size = 4;
                }
            } else {
                switch (escape) {
                case 'b': utf8[0] = '\b'; break;
                case 'f': utf8[0] = '\f'; break;
                case 'n': utf8[0] = '\n'; break;
                case 'r': utf8[0] = '\r'; break;
                case 't': utf8[0] = '\t'; break;
                case '"': case '\\': case '/': utf8[0] = escape; break;
                default: return -1;
                }
            }
        }
        if (capacity - length < size) {
            return -1;
        }
        memcpy(out + length, utf8, size);
        length += size;
    }
    return (int64_t)length;
}

int apus_json_shape_create(const char *const *keys, uint32_t count, apus_json_shape **out)
{
    if (count == 0 || count > APUS_JSON_SHAPE_KEYS) {
        return -EINVAL;
    }
    apus_json_shape *const shape = aligned_alloc(APUS_CACHE_LINE, sizeof *shape);
    if (shape == NULL) {
        return -ENOMEM;
    }
    memset(shape, 0, sizeof *shape);
    for (uint32_t i = 0; i < count; i++) {
        const size_t length = strlen(keys[i]);
        if (length == 0 || length > APUS_JSON_KEY_BYTES) {
            free(shape);
            return -EINVAL;
        }
        char text[32] = {0};
        char mask[32] = {0};
        text[0] = '"';
        memcpy(text + 1, keys[i], length);
        text[length + 1] = '"';
        text[length + 2] = ':';
        memset(mask, 0xFF, length + 3);
        memcpy(shape->keys[i].text, text, sizeof text);
        memcpy(shape->keys[i].mask, mask, sizeof mask);
        shape->keys[i].count = (uint32_t)length + 3;
        apus_json_shape_line *const line = &shape->lines[i];
        line->text[0] = ',';
        memcpy(line->text + 1, text, length + 3);
        line->count = (uint32_t)length + 4;
        line->mask = UINT32_MAX >> (32 - line->count);
        line->bit = i < APUS_JSON_SHAPE_READ ? (uint64_t)1 << i : 0;
        /* The first guess is that members come in the order in which the keys were given. */
        shape->next[i] = (uint8_t)i;
    }
    shape->next[count] = 0;
    shape->count = count;
    *out = shape;
    return 0;
}

void apus_json_shape_want(apus_json_shape *shape, uint32_t key)
{
    APUS_ASSERT(key < shape->count && key < APUS_JSON_SHAPE_READ);
    shape->lines[key].is_wanted = true;
}

void apus_json_shape_destroy(apus_json_shape *shape)
{
    free(shape);
}

int32_t apus_json_search_field(apus_json *json, apus_json_shape *shape, apus_json_walk *walk)
{
    apus_json_text key;
    if (!apus_json_next_key(json, &walk->started, &key)) {
        return APUS_JSON_FIELD_END;
    }
    const char *bytes = key.bytes;
    size_t count = key.count;
    char plain[APUS_JSON_KEY_BYTES];
    if (key.has_escapes) {
        /* A key that does not fit is longer than every known one. */
        const int64_t length = apus_json_unescape(bytes, count, plain, sizeof plain);
        if (length < 0) {
            return APUS_JSON_FIELD_UNKNOWN;
        }
        bytes = plain;
        count = (size_t)length;
    }
    for (uint32_t i = 0; i < shape->count; i++) {
        if (shape->keys[i].count == count + 3 && memcmp((const char *)shape->keys[i].text + 1, bytes, count) == 0) {
            shape->next[walk->last] = (uint8_t)i;
            walk->last = i + 1;
            return (int32_t)i;
        }
    }
    return APUS_JSON_FIELD_UNKNOWN;
}

int32_t apus_json_lookup_field(apus_json *json, apus_json_shape *shape, apus_json_walk *walk)
{
    /* The guess once more, where apus_json_next_field cannot read whole words: near the end of the text. */
    const uint32_t guess = shape->next[walk->last];
    const apus_json_shape_line *const line = &shape->lines[guess];
    if (walk->started && json->end - json->at > (ptrdiff_t)line->count &&
        apus_json_same(json->at, line->text, line->count)) {
        json->at += line->count;
        walk->last = guess + 1;
        return (int32_t)guess;
    }
    return apus_json_search_field(json, shape, walk);
}
