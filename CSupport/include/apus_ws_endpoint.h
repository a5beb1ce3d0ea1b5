/* apus_ws_endpoint.h: one end of a WebSocket connection (RFC 6455), client or server, free of I/O.
 *
 * Bytes go in through apus_ws_endpoint_receive and come out of apus_ws_endpoint_output; what happened
 * is asked for with apus_ws_endpoint_next. The caller owns sockets, TLS, timers and entropy.
 *
 * Ownership: apus_ws_endpoint_create allocates everything and touches every page of it;
 *            apus_ws_endpoint_destroy frees it. In between nothing allocates, except libcrypto in
 *            the opening handshake. Starting again after a disconnect reuses the same memory.
 * Threads:   one at a time. Nothing is shared.
 * Bounds:    a received message, the bytes waiting for the wire and the handshake's head each have a
 *            limit. A peer that exceeds one is failed; a send that exceeds one is refused.
 * Not here:  extensions (permessage-deflate is neither offered nor accepted), subprotocols,
 *            sending fragmented messages.
 */
#ifndef APUS_WS_ENDPOINT_H
#define APUS_WS_ENDPOINT_H

#include <stdalign.h>

#include "apus_ws.h"

#define APUS_WS_HEAD_LIMIT 16384  /* bytes of a request's or an answer's head, empty line included */
#define APUS_WS_OUTPUT_MIN 1024   /* smallest output capacity: any answer of a server fits */
#define APUS_WS_PATH_LIMIT 255
#define APUS_WS_CLOSE_RESERVE 16  /* output bytes kept for the one close frame */

typedef enum APUS_CLOSED_ENUM APUS_NAME(WebSocketRole) apus_ws_role {
    APUS_WS_CLIENT APUS_NAME(client) = 0,
    APUS_WS_SERVER APUS_NAME(server) = 1,
} apus_ws_role;

typedef enum APUS_CLOSED_ENUM APUS_NAME(WebSocketState) apus_ws_state {
    APUS_WS_CONNECTING APUS_NAME(connecting) = 0, /* the handshake is under way */
    APUS_WS_OPEN APUS_NAME(open) = 1,
    APUS_WS_CLOSING APUS_NAME(closing) = 2, /* our close is queued; messages still arrive */
    APUS_WS_CLOSED APUS_NAME(closed) = 3,   /* not started, or over: flush the output, drop the transport */
} apus_ws_state;

typedef enum APUS_CLOSED_ENUM APUS_NAME(WebSocketEventKind) apus_ws_event_kind {
    APUS_WS_EVENT_NONE APUS_NAME(none) = 0,     /* all received bytes are used up */
    APUS_WS_EVENT_OPENED APUS_NAME(opened) = 1,
    APUS_WS_EVENT_TEXT APUS_NAME(text) = 2,     /* a whole message, valid UTF-8 */
    APUS_WS_EVENT_BINARY APUS_NAME(binary) = 3, /* a whole message */
    APUS_WS_EVENT_PING APUS_NAME(ping) = 4,     /* its pong is queued */
    APUS_WS_EVENT_PONG APUS_NAME(pong) = 5,
    APUS_WS_EVENT_CLOSED APUS_NAME(closed) = 6, /* the peer's close; our reply is queued */
    APUS_WS_EVENT_FAILED APUS_NAME(failed) = 7, /* the connection is over; a close may be queued */
} apus_ws_event_kind;

/* Why a connection failed. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(WebSocketFailureCode) apus_ws_failure {
    APUS_WS_NO_FAILURE APUS_NAME(none) = 0,
    /* A client's view of the handshake. */
    APUS_WS_NOT_HTTP APUS_NAME(notHTTP) = 1,
    APUS_WS_REFUSED APUS_NAME(refused) = 2, /* the event's `code` is the HTTP status */
    APUS_WS_NO_UPGRADE APUS_NAME(noUpgrade) = 3,
    APUS_WS_NO_CONNECTION_UPGRADE APUS_NAME(noConnectionUpgrade) = 4,
    APUS_WS_WRONG_ACCEPT APUS_NAME(wrongAccept) = 5,
    APUS_WS_EXTENSION_NOT_OFFERED APUS_NAME(extensionNotOffered) = 6,
    APUS_WS_SUBPROTOCOL_NOT_OFFERED APUS_NAME(subprotocolNotOffered) = 7,
    APUS_WS_HEAD_TOO_LONG APUS_NAME(headTooLong) = 8,
    /* A server's: it answered with the HTTP status in `code`. */
    APUS_WS_REQUEST_REFUSED APUS_NAME(requestRefused) = 9,
    /* Frames; the close code follows in brackets. */
    APUS_WS_RESERVED_BITS APUS_NAME(reservedBits) = 10,            /* 1002 */
    APUS_WS_UNKNOWN_OPCODE APUS_NAME(unknownOpcode) = 11,          /* 1002 */
    APUS_WS_BAD_CONTROL APUS_NAME(badControl) = 12,                /* 1002 */
    APUS_WS_BAD_MASK APUS_NAME(badMask) = 13,                      /* 1002 */
    APUS_WS_BAD_LENGTH APUS_NAME(badLength) = 14,                  /* 1002 */
    APUS_WS_NOTHING_TO_CONTINUE APUS_NAME(nothingToContinue) = 15, /* 1002 */
    APUS_WS_MESSAGE_INTERRUPTED APUS_NAME(messageInterrupted) = 16, /* 1002: new message inside a fragmented one */
    APUS_WS_BAD_CLOSE APUS_NAME(badClose) = 17,                    /* 1002: payload of one byte, or a code that must not be sent */
    APUS_WS_NOT_UTF8 APUS_NAME(notUTF8) = 18,                      /* 1007 */
    APUS_WS_MESSAGE_TOO_LONG APUS_NAME(messageTooLong) = 19,       /* 1009 */
} apus_ws_failure;

/* One thing that happened. `bytes` are the payload of a message, ping or pong, or the reason of a
 * close, never NULL; they stay as they are until the next call of receive or next. */
typedef struct APUS_NAME(WebSocketRawEvent) apus_ws_event {
    const uint8_t *APUS_NONNULL bytes;
    size_t count;
    apus_ws_event_kind kind;
    apus_ws_failure failure;
    /* CLOSED: the peer's close code, 1005 if it gave none. FAILED: the HTTP status in the handshake
     * (0 if there was none), after that the close code that was queued. */
    uint16_t code;
} apus_ws_event;

typedef struct apus_ws_limits {
    size_t max_message_bytes; /* of a received message, >= 125, fragments added up */
    size_t output_bytes;      /* waiting for the wire, >= APUS_WS_OUTPUT_MIN; a close always fits besides */
} apus_ws_limits;

typedef struct apus_ws_bytes {
    const uint8_t *APUS_NONNULL bytes;
    size_t count;
} apus_ws_bytes;

/* Opaque: the fields are for the inline functions below. */
typedef struct apus_ws_endpoint {
    /* What a received message and a sent message touch. */
    alignas(APUS_CACHE_LINE) const uint8_t *APUS_NONNULL input; /* received, not yet used */
    size_t input_count;
    uint8_t state;      /* apus_ws_state */
    bool is_client;
    bool is_mid_frame;  /* part of a header, frame or message has been stored */
    bool pong_is_waiting;
    uint32_t frame_key;
    size_t max_message_bytes;
    uint64_t frames_in;
    uint64_t frames_out;
    uint64_t key_state;

    /* Bytes for the wire are output[start ..< end], end - start <= capacity. Behind the origin, the
     * memory is twice the capacity and the close's reserve: by the time that it runs out, at least
     * as many bytes have left as must be moved to the front, so a byte is moved once at most on
     * average. The origin is where the header of a usual text (126 to 65,535 bytes) has to start for
     * its payload to start a cache line: wide stores then never straddle two. */
    alignas(APUS_CACHE_LINE) uint8_t *APUS_NONNULL output;
    size_t output_start;
    size_t output_end;
    size_t output_origin;
    size_t output_capacity;
    size_t text_payload; /* where the payload of a begun text lies in output; 0: none is begun */
    size_t text_max_bytes;

    /* A frame or message that has come in part. */
    alignas(APUS_CACHE_LINE) uint8_t *APUS_NONNULL message; /* max_message_bytes */
    size_t message_count;
    size_t frame_left;    /* payload bytes still to come */
    uint8_t message_opcode; /* APUS_WS_CONTINUATION: no message is in progress */
    uint8_t frame_opcode;
    bool frame_is_final;
    bool is_in_payload;
    uint8_t header_count;
    uint8_t control_count;
    uint8_t pong_count;
    apus_ws_text text;
    uint8_t header[APUS_WS_HEADER_MAX];
    uint8_t control[APUS_WS_CONTROL_MAX];
    uint8_t pong[APUS_WS_CONTROL_MAX];

    /* The handshake. */
    char *APUS_NONNULL head;
    size_t head_count;
    bool head_is_whole;
    size_t target_offset, target_count;
    char accept[32];
    char path[APUS_WS_PATH_LIMIT + 1];
} apus_ws_endpoint;

/* Allocates an endpoint. `path` is what a server accepts, up to a '?': it starts with '/', or is
 * empty for any; a client ignores it. A server is ready for a request at once; a client is CLOSED
 * until it is started. 0, -EINVAL if a limit or the path is out of its range, or -ENOMEM. */
int apus_ws_endpoint_create(apus_ws_role role, apus_ws_limits limits, const char *APUS_NULLABLE path,
    apus_ws_endpoint *APUS_NULLABLE *APUS_NONNULL out);

void apus_ws_endpoint_destroy(apus_ws_endpoint *APUS_NULLABLE endpoint);

/* Client: forgets the connection before, if there was one, and queues the upgrade request.
 *
 * host:      what the Host field says, "thalex.com" or "localhost:8080".
 * path:      path and query, starting with '/'.
 * fields:    further fields, each "Name: value\r\n"; NULL for none. Not those of the handshake itself
 *            (Host, Upgrade, Connection, Sec-WebSocket-*), nor those that announce a body.
 * key:       16 random bytes, new for each connection (4.1).
 * mask_seed: entropy for the mask keys, new for each connection.
 *
 * 0, -EOPNOTSUPP on a server, -EDESTADDRREQ for a host, -EINVAL for a path or -EBADMSG for fields
 * that would not make a well-formed request, -ENOSPC if the request exceeds the output's capacity,
 * -EIO if libcrypto has no SHA-1. On an error the endpoint is CLOSED. */
int apus_ws_endpoint_start(apus_ws_endpoint *APUS_NONNULL endpoint, const char *APUS_NONNULL host,
    const char *APUS_NONNULL path, const char *APUS_NULLABLE fields, const uint8_t *APUS_NONNULL key,
    uint64_t mask_seed);

/* Forgets the connection, output included: a server waits for the next request, a client is CLOSED. */
void apus_ws_endpoint_reset(apus_ws_endpoint *APUS_NONNULL endpoint);

/* The value of the first field `name` (any case) in the peer's head, which stays as it is until
 * the next start or reset: Retry-After of a refusal, say. Empty if it is not there. */
apus_ws_bytes apus_ws_endpoint_header(const apus_ws_endpoint *APUS_NONNULL endpoint, const char *APUS_NONNULL name);

/* Server: path and query of the request, with the same life; empty before it has come. */
apus_ws_bytes apus_ws_endpoint_target(const apus_ws_endpoint *APUS_NONNULL endpoint);

#if defined(__clang__)
#define APUS_WS_CALL __attribute__((swift_attr("@_noLocks")))
#else
#define APUS_WS_CALL
#endif

/* The general case of apus_ws_endpoint_next. */
APUS_WS_CALL apus_ws_event apus_ws_endpoint_next_slowly(apus_ws_endpoint *APUS_NONNULL endpoint);

/* Queues a ping of at most 125 bytes. False if the endpoint is not open, a text is begun, the
 * payload is too long, or the output is full. */
APUS_WS_CALL bool apus_ws_endpoint_ping(
    apus_ws_endpoint *APUS_NONNULL endpoint, const uint8_t *APUS_NULLABLE payload, size_t count);

/* Starts the closing handshake; a text that is begun is dropped. False, and nothing happens, if the
 * code must not be sent (apus_ws_close_code_is_valid). In a handshake it just ends the connection;
 * a second close does nothing. */
APUS_WS_CALL bool apus_ws_endpoint_close(apus_ws_endpoint *APUS_NONNULL endpoint, uint16_t code);

/* The same with a reason, UTF-8 of at most 123 bytes; without it if it is longer or there is no room. */
APUS_WS_CALL bool apus_ws_endpoint_close_saying(
    apus_ws_endpoint *APUS_NONNULL endpoint, uint16_t code, const uint8_t *APUS_NULLABLE reason, size_t count);

/* Moves the waiting bytes to the front of the output, so that `frame_bytes` more fit behind them.
 * False if they would exceed the capacity. */
APUS_WS_CALL bool apus_ws_endpoint_make_room(apus_ws_endpoint *APUS_NONNULL endpoint, size_t frame_bytes);

/* Queues the pong that is waiting for a commit or for room, if it can. */
APUS_WS_CALL void apus_ws_endpoint_flush_pong(apus_ws_endpoint *APUS_NONNULL endpoint);

/* Hands in received bytes; ask `next` until NONE before the next receive (trapped), and leave the
 * bytes alone until then. A message of a server that lies wholly inside them, in one frame, is
 * delivered where it lies; all others are put together in the endpoint's buffer. */
APUS_HOT void apus_ws_endpoint_receive(
    apus_ws_endpoint *APUS_NONNULL endpoint, const uint8_t *APUS_NULLABLE bytes, size_t count)
{
    APUS_ASSERT(endpoint->input_count == 0);
    if (APUS_LIKELY(count != 0)) {
        endpoint->input = bytes;
        endpoint->input_count = count;
    }
}

/* The next thing that happened, or NONE when all received bytes are used up. After CLOSED or FAILED
 * the rest of the bytes is dropped. */
APUS_HOT apus_ws_event apus_ws_endpoint_next(apus_ws_endpoint *APUS_NONNULL endpoint)
{
    const uint8_t *const input = endpoint->input;
    const size_t count = endpoint->input_count;
    const uint8_t state = endpoint->state;
    if (count == 0) {
        return (apus_ws_event){.bytes = input, .kind = APUS_WS_EVENT_NONE};
    }
    /* A whole text from the server, in one frame, ASCII: nearly everything that a venue sends. */
    if (APUS_LIKELY(endpoint->is_client && !endpoint->is_mid_frame
            && (state == APUS_WS_OPEN || state == APUS_WS_CLOSING) && input[0] == (0x80 | APUS_WS_TEXT))) {
        apus_ws_header header;
        if (APUS_LIKELY(apus_ws_header_parse(input, count, false, &header) == APUS_WS_PARSE_READY)) {
            const uint8_t *const payload = input + header.header_bytes;
            if (APUS_LIKELY(header.payload_bytes <= count - header.header_bytes
                    && header.payload_bytes <= endpoint->max_message_bytes
                    && apus_ws_is_ascii(payload, header.payload_bytes))) {
                endpoint->input = payload + header.payload_bytes;
                endpoint->input_count = count - header.header_bytes - header.payload_bytes;
                endpoint->frames_in++;
                return (apus_ws_event){.bytes = payload, .count = header.payload_bytes, .kind = APUS_WS_EVENT_TEXT};
            }
        }
    }
    return apus_ws_endpoint_next_slowly(endpoint);
}

/* Room for the payload of a text of at most `max_bytes`, to be written in place and committed; NULL
 * if the endpoint is not open or the output is full. It stays where it is until committed or
 * dropped. Control frames that come up in between wait. A text begun before and not committed is
 * forgotten. */
APUS_HOT char *APUS_NULLABLE apus_ws_endpoint_begin_text(apus_ws_endpoint *APUS_NONNULL endpoint, size_t max_bytes)
{
    endpoint->text_payload = 0;
    if (APUS_UNLIKELY(endpoint->state != APUS_WS_OPEN || max_bytes > endpoint->output_capacity)) {
        return NULL;
    }
    const size_t header_bytes = apus_ws_header_size(max_bytes, endpoint->is_client);
    const size_t frame_bytes = header_bytes + max_bytes;
    if (APUS_UNLIKELY(endpoint->output_end + frame_bytes > endpoint->output_origin + endpoint->output_capacity)
        && APUS_UNLIKELY(!apus_ws_endpoint_make_room(endpoint, frame_bytes))) {
        return NULL;
    }
    endpoint->text_payload = endpoint->output_end + header_bytes;
    endpoint->text_max_bytes = max_bytes;
    return (char *)endpoint->output + endpoint->text_payload;
}

/* Queues the begun text with the first `count` bytes of its room, which the caller knows to be UTF-8;
 * `count` is at most what was begun (trapped). False if there is no begun text any more, because the
 * endpoint was closed since. */
APUS_HOT bool apus_ws_endpoint_commit_text(apus_ws_endpoint *APUS_NONNULL endpoint, size_t count)
{
    size_t payload = endpoint->text_payload;
    if (APUS_UNLIKELY(payload == 0)) {
        return false;
    }
    APUS_ASSERT(count <= endpoint->text_max_bytes);
    endpoint->text_payload = 0;
    const bool is_client = endpoint->is_client;
    const size_t end = endpoint->output_end;
    uint8_t *const output = endpoint->output;
    size_t frame = payload - apus_ws_header_size(count, is_client);
    if (APUS_UNLIKELY(frame != end)) { /* a shorter header than room was left for */
        if (endpoint->output_start == end) {
            endpoint->output_start = frame;
        } else {
            const size_t gap = frame - end;
            memmove(output + payload - gap, output + payload, count);
            payload -= gap;
            frame = end;
        }
    }
    const uint32_t key = is_client ? apus_ws_next_key(&endpoint->key_state) : 0;
    apus_ws_header_build(output + frame, APUS_WS_TEXT, count, is_client, key);
    if (is_client) {
        apus_ws_mask(output + payload, output + payload, count, key);
    }
    endpoint->output_end = payload + count;
    endpoint->frames_out++;
    if (APUS_UNLIKELY(endpoint->pong_is_waiting)) {
        apus_ws_endpoint_flush_pong(endpoint);
    }
    return true;
}

/* Forgets a begun text. */
APUS_HOT void apus_ws_endpoint_drop_text(apus_ws_endpoint *APUS_NONNULL endpoint)
{
    endpoint->text_payload = 0;
    if (APUS_UNLIKELY(endpoint->pong_is_waiting)) {
        apus_ws_endpoint_flush_pong(endpoint);
    }
}

/* Queues a copy of `text`, which the caller knows to be UTF-8; copied and masked in one pass. False
 * if the endpoint is not open, a text is begun, or the output is full. */
APUS_HOT bool apus_ws_endpoint_send_text(
    apus_ws_endpoint *APUS_NONNULL endpoint, const char *APUS_NULLABLE text, size_t count)
{
    if (APUS_UNLIKELY(endpoint->text_payload != 0)) {
        return false;
    }
    char *const room = apus_ws_endpoint_begin_text(endpoint, count);
    if (APUS_UNLIKELY(room == NULL)) {
        return false;
    }
    const bool is_client = endpoint->is_client;
    const uint32_t key = is_client ? apus_ws_next_key(&endpoint->key_state) : 0;
    apus_ws_header_build(endpoint->output + endpoint->output_end, APUS_WS_TEXT, count, is_client, key);
    if (APUS_LIKELY(count != 0)) {
        if (is_client) {
            apus_ws_mask((uint8_t *)room, (const uint8_t *)text, count, key);
        } else {
            memcpy(room, text, count);
        }
    }
    endpoint->output_end = endpoint->text_payload + count;
    endpoint->text_payload = 0;
    endpoint->frames_out++;
    return true;
}

/* The bytes for the wire; they stay where they are until the next call that queues or consumes. */
APUS_HOT apus_ws_bytes apus_ws_endpoint_output(const apus_ws_endpoint *APUS_NONNULL endpoint)
{
    const apus_ws_bytes output = {
        endpoint->output + endpoint->output_start, endpoint->output_end - endpoint->output_start};
    return output;
}

/* Takes the first `count` bytes off the output, which holds as many (trapped). */
APUS_HOT void apus_ws_endpoint_consumed(apus_ws_endpoint *APUS_NONNULL endpoint, size_t count)
{
    APUS_ASSERT(count <= endpoint->output_end - endpoint->output_start);
    endpoint->output_start += count;
    if (endpoint->output_start == endpoint->output_end && endpoint->text_payload == 0) {
        endpoint->output_start = endpoint->output_origin;
        endpoint->output_end = endpoint->output_origin;
    }
    if (APUS_UNLIKELY(endpoint->pong_is_waiting)) {
        apus_ws_endpoint_flush_pong(endpoint);
    }
}

APUS_HOT apus_ws_state apus_ws_endpoint_state(const apus_ws_endpoint *APUS_NONNULL endpoint)
{
    return (apus_ws_state)endpoint->state;
}

/* Frames of this connection, control frames and fragments included. */
APUS_HOT uint64_t apus_ws_endpoint_frames_in(const apus_ws_endpoint *APUS_NONNULL endpoint)
{
    return endpoint->frames_in;
}

APUS_HOT uint64_t apus_ws_endpoint_frames_out(const apus_ws_endpoint *APUS_NONNULL endpoint)
{
    return endpoint->frames_out;
}

#endif
