/* apus_ws.h: the WebSocket wire format (RFC 6455, section 5): frame headers, masks, text, close codes.
 *
 * Everything here is a pure function of its arguments: no state, no I/O. The connection's state
 * machine, which decides what a frame means, is apus_ws_endpoint.h.
 * Words are read and written as they lie in memory; the targets are little-endian.
 */
#ifndef APUS_WS_H
#define APUS_WS_H

#include "apus_base.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "headers and masks are handled as little-endian words");

#define APUS_WS_HEADER_MAX 14   /* 2 + 8 bytes of length + 4 of mask key */
#define APUS_WS_CONTROL_MAX 125 /* payload of a ping, pong or close (5.5) */

enum {
    APUS_WS_CONTINUATION = 0,
    APUS_WS_TEXT = 1,
    APUS_WS_BINARY = 2,
    APUS_WS_CLOSE = 8,
    APUS_WS_PING = 9,
    APUS_WS_PONG = 10,
};

/* What the first bytes of a frame are. Everything after SHORT breaks the protocol (close code 1002). */
typedef enum APUS_CLOSED_ENUM APUS_NAME(WebSocketParse) apus_ws_parse {
    APUS_WS_PARSE_READY APUS_NAME(ready) = 0,
    APUS_WS_PARSE_SHORT APUS_NAME(short) = 1,                  /* more bytes are needed */
    APUS_WS_PARSE_RESERVED_BITS APUS_NAME(reservedBits) = 2,   /* RSV1-3 without an extension */
    APUS_WS_PARSE_OPCODE APUS_NAME(opcode) = 3,                /* 3-7 or 11-15 */
    APUS_WS_PARSE_CONTROL APUS_NAME(control) = 4,              /* fragmented, or above 125 bytes */
    APUS_WS_PARSE_MASK APUS_NAME(mask) = 5,                    /* masked by a server, or unmasked by a client */
    APUS_WS_PARSE_LENGTH APUS_NAME(length) = 6,                /* not the shortest form, or 2^63 and above */
} apus_ws_parse;

typedef struct APUS_NAME(WebSocketHeader) apus_ws_header {
    uint64_t payload_bytes; /* below 2^63 */
    uint32_t mask_key;      /* as it lies in memory; 0 if the frame is not masked */
    uint8_t header_bytes;   /* 2 ... 14: where the payload starts */
    uint8_t opcode;
    bool is_final;
} apus_ws_header;

/* Reads one header from `count` received bytes. `masked` is what the sender must do: true for
 * frames from a client. `out` is complete only for READY. The first two bytes are judged as soon
 * as both are there, so that a bad frame is refused before its payload comes. */
APUS_HOT apus_ws_parse apus_ws_header_parse(
    const uint8_t *APUS_NONNULL bytes, size_t count, bool masked, apus_ws_header *APUS_NONNULL out)
{
    /* Eight bytes hold the whole header of every frame below 64 KiB, key included. */
    uint64_t word = 0;
    if (APUS_LIKELY(count >= 8)) {
        memcpy(&word, bytes, 8);
    } else {
        if (count < 2) {
            return APUS_WS_PARSE_SHORT;
        }
        for (size_t i = 0; i < count; i++) {
            word |= (uint64_t)bytes[i] << (8 * i);
        }
    }
    const uint32_t opcode = (uint32_t)word & 0x0Fu;
    const uint32_t length_code = (uint32_t)(word >> 8) & 0x7Fu;
    if (APUS_UNLIKELY((word & 0x70u) != 0)) {
        return APUS_WS_PARSE_RESERVED_BITS;
    }
    if (APUS_UNLIKELY(((0x0707u >> opcode) & 1u) == 0)) {
        return APUS_WS_PARSE_OPCODE;
    }
    if (APUS_UNLIKELY(((word >> 15) & 1u) != (masked ? 1u : 0u))) {
        return APUS_WS_PARSE_MASK;
    }
    if (APUS_UNLIKELY(opcode >= APUS_WS_CLOSE && (length_code > APUS_WS_CONTROL_MAX || (word & 0x80u) == 0))) {
        return APUS_WS_PARSE_CONTROL;
    }
    const size_t key_bytes = masked ? 4 : 0;
    size_t header_bytes;
    uint64_t payload_bytes = length_code;
    uint64_t key;
    if (length_code < 126) {
        header_bytes = 2 + key_bytes;
        key = word >> 16;
    } else if (length_code == 126) {
        if (count < 4) {
            return APUS_WS_PARSE_SHORT;
        }
        header_bytes = 4 + key_bytes;
        payload_bytes = __builtin_bswap16((uint16_t)(word >> 16));
        key = word >> 32;
        if (APUS_UNLIKELY(payload_bytes < 126)) {
            return APUS_WS_PARSE_LENGTH;
        }
    } else {
        if (count < 10) {
            return APUS_WS_PARSE_SHORT;
        }
        header_bytes = 10 + key_bytes;
        memcpy(&payload_bytes, bytes + 2, 8);
        payload_bytes = __builtin_bswap64(payload_bytes);
        if (payload_bytes <= UINT16_MAX || payload_bytes > INT64_MAX) {
            return APUS_WS_PARSE_LENGTH;
        }
        uint32_t late_key = 0;
        if (masked && count >= APUS_WS_HEADER_MAX) {
            memcpy(&late_key, bytes + 10, 4);
        }
        key = late_key;
    }
    if (count < header_bytes) {
        return APUS_WS_PARSE_SHORT;
    }
    out->payload_bytes = payload_bytes;
    out->mask_key = masked ? (uint32_t)key : 0;
    out->header_bytes = (uint8_t)header_bytes;
    out->opcode = (uint8_t)opcode;
    out->is_final = (word & 0x80u) != 0;
    return APUS_WS_PARSE_READY;
}

/* Bytes of the header of a frame with this payload, in its shortest form, which is the only legal one. */
APUS_HOT size_t apus_ws_header_size(size_t payload_bytes, bool masked)
{
    const size_t length_bytes = payload_bytes < 126 ? 2 : payload_bytes <= UINT16_MAX ? 4 : 10;
    return length_bytes + (masked ? 4 : 0);
}

/* Writes the header of an unfragmented frame to `out`, which has room for apus_ws_header_size bytes,
 * and returns that size. `key` is ignored unless `masked`. */
APUS_HOT size_t apus_ws_header_build(
    uint8_t *APUS_NONNULL out, uint8_t opcode, size_t payload_bytes, bool masked, uint32_t key)
{
    const uint64_t mask_bit = masked ? 0x8000u : 0;
    const uint64_t first = 0x80u | opcode | mask_bit;
    size_t size;
    if (APUS_LIKELY(payload_bytes >= 126 && payload_bytes <= UINT16_MAX)) {
        const uint64_t length = __builtin_bswap16((uint16_t)payload_bytes);
        const uint64_t word = first | 0x7E00u | length << 16 | (uint64_t)key << 32;
        if (masked) {
            memcpy(out, &word, 8);
            return 8;
        }
        memcpy(out, &word, 4);
        return 4;
    }
    if (payload_bytes < 126) {
        const uint16_t head = (uint16_t)(first | (uint64_t)payload_bytes << 8);
        memcpy(out, &head, 2);
        size = 2;
    } else {
        const uint16_t head = (uint16_t)(first | 0x7F00u);
        const uint64_t length = __builtin_bswap64(payload_bytes);
        memcpy(out, &head, 2);
        memcpy(out + 2, &length, 8);
        size = 10;
    }
    if (masked) {
        memcpy(out + size, &key, 4);
        size += 4;
    }
    return size;
}

/* The key for a piece that starts `offset` bytes into the payload. */
APUS_HOT uint32_t apus_ws_key_at(uint32_t key, size_t offset)
{
    const uint32_t shift = 8 * (uint32_t)(offset & 3);
    return key >> shift | key << (-shift & 31);
}

/* The next mask key of a connection, from a state that the caller seeds at connect time with
 * entropy of the system. (wyrand: a Weyl sequence through one wide multiplication.) Keys exist so
 * that a script in a browser cannot choose the bytes on the wire (10.3); an engine that writes its
 * own messages needs them to be well spread, not secret. */
APUS_HOT uint32_t apus_ws_next_key(uint64_t *APUS_NONNULL state)
{
    *state += 0xA0761D6478BD642Fu;
    const unsigned __int128 product = (unsigned __int128)*state * (*state ^ 0xE7037ED1A0B428DBu);
    return (uint32_t)((uint64_t)product ^ (uint64_t)(product >> 64));
}

/* Lowered to whatever the target has: four SSE or NEON registers, two of AVX2, one of AVX-512. */
typedef uint64_t apus_ws_block __attribute__((vector_size(64)));
typedef uint64_t apus_ws_quarter __attribute__((vector_size(16)));

/* Masks or unmasks `count` bytes from `from` to `to` in one pass. The two are the same address, or
 * do not overlap. Any alignment, any count; nothing outside the `count` bytes is touched.
 *
 * Each size has its last piece end exactly at the end, overlapping the piece before. All pieces that
 * overlap are loaded before any is stored, so that doing it in place does not mask a byte twice. */
APUS_HOT void apus_ws_mask(uint8_t *APUS_NONNULL to, const uint8_t *APUS_NONNULL from, size_t count, uint32_t key)
{
    const uint64_t key_head = key | (uint64_t)key << 32;
    const uint32_t tail = apus_ws_key_at(key, count);
    const uint64_t key_tail = tail | (uint64_t)tail << 32;
    if (APUS_LIKELY(count >= 64)) {
        apus_ws_block last;
        memcpy(&last, from + count - 64, 64);
        last ^= key_tail;
        for (size_t i = 0; i < count - 64; i += 64) {
            apus_ws_block block;
            memcpy(&block, from + i, 64);
            block ^= key_head;
            memcpy(to + i, &block, 64);
        }
        memcpy(to + count - 64, &last, 64);
    } else if (count >= 16) {
        apus_ws_quarter first, last;
        memcpy(&first, from, 16);
        memcpy(&last, from + count - 16, 16);
        if (count > 32) {
            apus_ws_quarter second, third;
            memcpy(&second, from + 16, 16);
            memcpy(&third, from + count - 32, 16);
            second ^= key_head;
            third ^= key_tail;
            memcpy(to + 16, &second, 16);
            memcpy(to + count - 32, &third, 16);
        }
        first ^= key_head;
        last ^= key_tail;
        memcpy(to, &first, 16);
        memcpy(to + count - 16, &last, 16);
    } else if (count >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + count - 8, 8);
        first ^= key_head;
        last ^= key_tail;
        memcpy(to, &first, 8);
        memcpy(to + count - 8, &last, 8);
    } else if (count >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + count - 4, 4);
        first ^= key;
        last ^= tail;
        memcpy(to, &first, 4);
        memcpy(to + count - 4, &last, 4);
    } else {
        for (size_t i = 0; i < count; i++) {
            to[i] = (uint8_t)(from[i] ^ (uint8_t)(key >> (8 * i)));
        }
    }
}

/* Whether no byte has its top bit set. Looks at all of them: text from venues is nearly always
 * ASCII, and one branch at the end beats a branch per block. */
APUS_HOT bool apus_ws_is_ascii(const uint8_t *APUS_NONNULL bytes, size_t count)
{
    uint64_t seen = 0;
    if (APUS_LIKELY(count >= 64)) {
        /* The two ends, then whole cache lines in between. */
        apus_ws_block all, head;
        memcpy(&all, bytes + count - 64, 64);
        memcpy(&head, bytes, 64);
        all |= head;
        for (size_t i = 64 - ((uintptr_t)bytes & 63); i < count - 64; i += 64) {
            apus_ws_block block;
            memcpy(&block, bytes + i, 64);
            all |= block;
        }
        seen = (all[0] | all[1] | all[2] | all[3]) | (all[4] | all[5] | all[6] | all[7]);
    } else if (count >= 8) {
        memcpy(&seen, bytes + count - 8, 8);
        for (size_t i = 0; i < count - 8; i += 8) {
            uint64_t word;
            memcpy(&word, bytes + i, 8);
            seen |= word;
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            seen |= bytes[i];
        }
    }
    return (seen & 0x8080808080808080u) == 0;
}

/* Where a UTF-8 text stands between two pieces of it. All zero at the start; a text may end only
 * where `missing` is 0. */
typedef struct APUS_NAME(WebSocketText) apus_ws_text {
    uint8_t missing; /* continuation bytes still to come, 0 ... 3 */
    uint8_t low;     /* the bounds of the next one, which refuse overlong forms, surrogates */
    uint8_t high;    /* and anything above U+10FFFF at the second byte already */
} apus_ws_text;

/* Checks the next piece of a text (RFC 3629); false as soon as no continuation could make it valid. */
bool apus_ws_text_feed(apus_ws_text *APUS_NONNULL text, const uint8_t *APUS_NONNULL bytes, size_t count);

/* Whether a close frame may carry this code: 7.4.1, 7.4.2 and the registry of 7.4.2 (1012 to 1014
 * were registered later). 1004, 1005, 1006 and 1015 must never be on the wire. */
APUS_HOT bool apus_ws_close_code_is_valid(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

#endif
