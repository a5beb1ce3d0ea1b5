/* Small text: base64url against a slow one, key text in PEM, venue ids and the table of names. */
#include <errno.h>

#include "apus_crypto.h"
#include "apus_names.h"
#include "fuzz.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* A bit at a time. */
static size_t slow_encode(const uint8_t *bytes, size_t count, uint8_t *out)
{
    size_t made = 0;
    for (size_t bit = 0; bit < 8 * count; bit += 6) {
        unsigned value = 0;
        for (size_t i = bit; i < bit + 6; i++) {
            value = value << 1 | (i < 8 * count ? bytes[i / 8] >> (7 - i % 8) & 1u : 0);
        }
        out[made++] = (uint8_t)alphabet[value];
    }
    return made;
}

static void check_base64(const uint8_t *data, size_t size)
{
    const size_t room = 2 * size + 4;
    uint8_t *const bytes = fuzz_copy(data, size), *const text = malloc(room);
    uint8_t *const model = malloc(room), *const back = malloc(room);
    require(text != NULL && model != NULL && back != NULL, "out of memory");
    const size_t expected = slow_encode(bytes, size, model);
    const int count = apus_base64url_encode(bytes, size, text, room);
    require(count >= 0 && (size_t)count == expected && memcmp(text, model, expected) == 0, "base64url differs");
    require(expected == (4 * size + 2) / 3, "another length than documented");
    require(apus_base64url_decode(text, expected, back, room) == (int)size && memcmp(back, bytes, size) == 0,
            "base64url does not come back");
    if (size != 0) {
        uint8_t *const tight = malloc(expected - 1 + 1);
        require(tight != NULL && apus_base64url_encode(bytes, size, tight, expected - 1) == -ENOBUFS,
                "a text that does not fit was written");
        free(tight);
    }
    /* The input as text: accepted exactly if it is what the encoder makes of some bytes. */
    const int decoded = apus_base64url_decode(bytes, size, back, room);
    require(decoded >= 0 || decoded == -EINVAL, "another error than documented");
    bool is_text = size % 4 != 1;
    for (size_t i = 0; i < size; i++) {
        is_text = is_text && bytes[i] != 0 && strchr(alphabet, bytes[i]) != NULL;
    }
    if (decoded >= 0) {
        require(is_text && slow_encode(back, (size_t)decoded, model) == size && memcmp(model, bytes, size) == 0,
                "text that no encoder makes was accepted");
    } else if (is_text) {
        /* Only spare bits that are set can be wrong now. */
        const char *const last = strchr(alphabet, bytes[size - 1]);
        require(size % 4 != 0 && ((last - alphabet) & (size % 4 == 2 ? 15 : 3)) != 0, "good text was refused");
    }
    free(bytes);
    free(text);
    free(model);
    free(back);
}

static void check_pem(const uint8_t *data, size_t size)
{
    uint8_t *const pem = fuzz_copy(data, size);
    apus_signing_key *key = NULL;
    int result = apus_signing_key_from_pem(pem, size, &key);
    require((result == 0) == (key != NULL), "a key without success, or the other way round");
    require(result == 0 || result == -EBADMSG || result == -EKEYREJECTED || result == -EOPNOTSUPP,
            "another error than documented");
    apus_signing_key_destroy(key);
    apus_verifying_key *other = NULL;
    result = apus_verifying_key_from_pem(pem, size, &other);
    require((result == 0) == (other != NULL), "a public key without success, or the other way round");
    require(result == 0 || result == -EBADMSG || result == -EKEYREJECTED, "another error than documented");
    apus_verifying_key_destroy(other);
    free(pem);
}

enum { NAMES = 24 };

typedef struct {
    uint8_t bytes[80];
    size_t count;
    uint32_t value;
} slow_name;

static void check_names(fuzz_bytes bytes)
{
    apus_names *names = NULL;
    slow_name known[NAMES];
    uint32_t count = 0;
    require(apus_names_create(NAMES, &names) == 0, "no table");
    while (!fuzz_is_empty(&bytes)) {
        const uint8_t verb = fuzz_take(&bytes);
        size_t length;
        const uint8_t *const text = fuzz_take_bytes(&bytes, fuzz_take(&bytes) % 72, &length);
        char *const copy = (char *)fuzz_copy(text, length);
        uint32_t at = 0;
        while (at < count && (known[at].count != length || memcmp(known[at].bytes, text, length) != 0)) {
            at++;
        }
        const bool is_known = at < count;
        require(apus_names_find(names, copy, length) == (is_known ? known[at].value : APUS_NAMES_NONE),
                "a name was misjudged");
        if (verb % 4 == 0) {
            require(apus_names_remove(names, copy, length) == is_known, "a removal was misjudged");
            if (is_known) {
                known[at] = known[--count];
            }
        } else {
            const uint32_t value = verb == 255 ? APUS_NAMES_NONE : verb;
            const bool fits = length >= 1 && length <= APUS_NAMES_BYTES && value != APUS_NAMES_NONE;
            const int expected = !fits ? -EINVAL : is_known ? -EEXIST : count == NAMES ? -ENOSPC : 0;
            require(apus_names_add(names, copy, length, value) == expected, "an addition was misjudged");
            if (expected == 0) {
                known[count].count = length;
                known[count].value = value;
                memcpy(known[count++].bytes, text, length);
            }
        }
        for (uint32_t i = 0; i < count; i++) {
            require(apus_names_find(names, (const char *)known[i].bytes, known[i].count) == known[i].value,
                    "a name is lost");
        }
        apus_id id;
        require(apus_id_set(&id, copy, length) == (length >= 1 && length <= APUS_ID_CAPACITY), "an id was misjudged");
        require(id.count == 0 || (id.count == length && memcmp(id.bytes, text, length) == 0), "an id is another");
        free(copy);
    }
    apus_names_destroy(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = fuzz_begin(data, size);
    switch (fuzz_take(&bytes) % 4) {
    case 0: check_pem(bytes.next, fuzz_left(&bytes)); break;
    case 1: check_names(bytes); break;
    default: check_base64(bytes.next, fuzz_left(&bytes)); break;
    }
    return 0;
}
