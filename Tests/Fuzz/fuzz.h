/* fuzz.h: what the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput; tools/fuzz builds it
 * with libFuzzer and the sanitizers. A target checks by `require`, against slow and obvious code beside it. */
#ifndef APUS_FUZZ_H
#define APUS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, taken from the front; zeros when it is used up. */
typedef struct {
    const uint8_t *next, *end;
} fuzz_bytes;

static inline fuzz_bytes fuzz_begin(const uint8_t *data, size_t size)
{
    return (fuzz_bytes){data, data + size};
}

static inline bool fuzz_is_empty(const fuzz_bytes *bytes)
{
    return bytes->next == bytes->end;
}

static inline size_t fuzz_left(const fuzz_bytes *bytes)
{
    return (size_t)(bytes->end - bytes->next);
}

static inline uint8_t fuzz_take(fuzz_bytes *bytes)
{
    return bytes->next < bytes->end ? *bytes->next++ : 0;
}

/* Little-endian, `count` bytes of at most 8. */
static inline uint64_t fuzz_take_word(fuzz_bytes *bytes, int count)
{
    uint64_t word = 0;
    for (int i = 0; i < count; i++) {
        word |= (uint64_t)fuzz_take(bytes) << (8 * i);
    }
    return word;
}

/* Up to `count` bytes where they lie; `*found` says how many there were. */
static inline const uint8_t *fuzz_take_bytes(fuzz_bytes *bytes, size_t count, size_t *found)
{
    const uint8_t *const start = bytes->next;
    *found = count < fuzz_left(bytes) ? count : fuzz_left(bytes);
    bytes->next += *found;
    return start;
}

static inline void require(bool condition, const char *text)
{
    if (!condition) {
        fprintf(stderr, "fuzz: %s\n", text);
        abort();
    }
}

/* A copy in a block of exactly its size, so that the address sanitizer sees one byte too many; `free` it. */
static inline uint8_t *fuzz_copy(const void *from, size_t count)
{
    uint8_t *const copy = malloc(count != 0 ? count : 1);
    require(copy != NULL, "out of memory");
    if (count != 0) {
        memcpy(copy, from, count);
    }
    return copy;
}

/* Text that grows: what two sides are compared by. */
typedef struct {
    char *bytes;
    size_t count, capacity;
} fuzz_text;

static inline void fuzz_append(fuzz_text *text, const void *from, size_t count)
{
    if (text->count + count > text->capacity) {
        text->capacity = 2 * (text->count + count) + 256;
        text->bytes = realloc(text->bytes, text->capacity);
        require(text->bytes != NULL, "out of memory");
    }
    if (count != 0) {
        memcpy(text->bytes + text->count, from, count);
    }
    text->count += count;
}

static inline void fuzz_append_byte(fuzz_text *text, char byte)
{
    fuzz_append(text, &byte, 1);
}

static inline void fuzz_append_word(fuzz_text *text, uint64_t word)
{
    fuzz_append(text, &word, sizeof word);
}

static inline bool fuzz_same(const fuzz_text *a, const fuzz_text *b)
{
    return a->count == b->count && (a->count == 0 || memcmp(a->bytes, b->bytes, a->count) == 0);
}

#endif
