#include "apus_ws_endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "apus_ws_http.h"

enum {
    NO_STATUS_RECEIVED = 1005, /* 7.1.5: the peer's close had no code */
    PROTOCOL_ERROR = 1002,
    NOT_CONSISTENT = 1007,
    TOO_BIG = 1009,
    BUFFER_LIMIT = 1 << 30, /* bytes; far above any use, far below any overflow */
};

/* ---- Life ---- */

static void forget_connection(apus_ws_endpoint *endpoint)
{
    endpoint->input = endpoint->message;
    endpoint->input_count = 0;
    endpoint->state = endpoint->is_client ? APUS_WS_CLOSED : APUS_WS_CONNECTING;
    endpoint->is_mid_frame = false;
    endpoint->pong_is_waiting = false;
    endpoint->frames_in = 0;
    endpoint->frames_out = 0;
    endpoint->output_start = endpoint->output_origin;
    endpoint->output_end = endpoint->output_origin;
    endpoint->text_payload = 0;
    endpoint->message_count = 0;
    endpoint->message_opcode = APUS_WS_CONTINUATION;
    endpoint->is_in_payload = false;
    endpoint->header_count = 0;
    endpoint->control_count = 0;
    endpoint->text = (apus_ws_text){0};
    endpoint->head_count = 0;
    endpoint->head_is_whole = false;
    endpoint->target_offset = 0;
    endpoint->target_count = 0;
}

/* Touches every page, so that a lane takes no page fault on its first long message. */
static void *allocate(size_t count)
{
    void *const memory = aligned_alloc(APUS_CACHE_LINE, (count + APUS_CACHE_LINE - 1) & ~(size_t)(APUS_CACHE_LINE - 1));
    if (memory != NULL) {
        memset(memory, 0, count);
    }
    return memory;
}

int apus_ws_endpoint_create(apus_ws_role role, apus_ws_limits limits, const char *path, apus_ws_endpoint **out)
{
    *out = NULL;
    const char *const accepted = role == APUS_WS_SERVER && path != NULL ? path : "";
    if (limits.max_message_bytes < APUS_WS_CONTROL_MAX || limits.max_message_bytes > BUFFER_LIMIT
        || limits.output_bytes < APUS_WS_OUTPUT_MIN || limits.output_bytes > BUFFER_LIMIT
        || strlen(accepted) > APUS_WS_PATH_LIMIT || (accepted[0] != 0 && accepted[0] != '/')) {
        return -EINVAL;
    }
    apus_ws_endpoint *const endpoint = allocate(sizeof *endpoint);
    if (endpoint == NULL) {
        return -ENOMEM;
    }
    uint8_t *const output = allocate(APUS_CACHE_LINE + 2 * limits.output_bytes + APUS_WS_CLOSE_RESERVE);
    uint8_t *const message = allocate(limits.max_message_bytes);
    char *const head = allocate(APUS_WS_HEAD_LIMIT);
    if (output == NULL || message == NULL || head == NULL) {
        free(output);
        free(message);
        free(head);
        free(endpoint);
        return -ENOMEM;
    }
    endpoint->output = output;
    endpoint->message = message;
    endpoint->head = head;
    endpoint->is_client = role == APUS_WS_CLIENT;
    endpoint->max_message_bytes = limits.max_message_bytes;
    endpoint->output_origin = APUS_CACHE_LINE - apus_ws_header_size(126, endpoint->is_client);
    endpoint->output_capacity = limits.output_bytes;
    memcpy(endpoint->path, accepted, strlen(accepted) + 1);
    forget_connection(endpoint);
    *out = endpoint;
    return 0;
}

void apus_ws_endpoint_destroy(apus_ws_endpoint *endpoint)
{
    if (endpoint != NULL) {
        free(endpoint->output);
        free(endpoint->message);
        free(endpoint->head);
        free(endpoint);
    }
}

void apus_ws_endpoint_reset(apus_ws_endpoint *endpoint)
{
    forget_connection(endpoint);
}

/* ---- Output ---- */

bool apus_ws_endpoint_make_room(apus_ws_endpoint *endpoint, size_t frame_bytes)
{
    const size_t pending = endpoint->output_end - endpoint->output_start;
    if (pending + frame_bytes > endpoint->output_capacity) {
        return false;
    }
    if (endpoint->output_end + frame_bytes > endpoint->output_origin + 2 * endpoint->output_capacity) {
        memmove(endpoint->output + endpoint->output_origin, endpoint->output + endpoint->output_start, pending);
        endpoint->output_start = endpoint->output_origin;
        endpoint->output_end = endpoint->output_origin + pending;
    }
    return true;
}

/* The room has been made. */
static void queue_control(apus_ws_endpoint *endpoint, uint8_t opcode, const uint8_t *payload, size_t count)
{
    uint8_t *to = endpoint->output + endpoint->output_end;
    const uint32_t key = endpoint->is_client ? apus_ws_next_key(&endpoint->key_state) : 0;
    to += apus_ws_header_build(to, opcode, count, endpoint->is_client, key);
    if (count != 0) {
        apus_ws_mask(to, payload, count, key);
    }
    endpoint->output_end = (size_t)(to + count - endpoint->output);
    endpoint->frames_out++;
}

/* Always fits: a connection has one close at most, and APUS_WS_CLOSE_RESERVE is kept for it. */
static void queue_close(apus_ws_endpoint *endpoint, uint16_t code)
{
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    endpoint->text_payload = 0;
    endpoint->pong_is_waiting = false;
    queue_control(endpoint, APUS_WS_CLOSE, payload, code == NO_STATUS_RECEIVED ? 0 : sizeof payload);
}

void apus_ws_endpoint_flush_pong(apus_ws_endpoint *endpoint)
{
    if (endpoint->state != APUS_WS_OPEN) {
        endpoint->pong_is_waiting = false; /* nothing follows a close */
    } else if (endpoint->pong_is_waiting && endpoint->text_payload == 0
        && apus_ws_endpoint_make_room(endpoint, apus_ws_header_size(endpoint->pong_count, endpoint->is_client) + endpoint->pong_count)) {
        endpoint->pong_is_waiting = false;
        queue_control(endpoint, APUS_WS_PONG, endpoint->pong, endpoint->pong_count);
    }
}

bool apus_ws_endpoint_ping(apus_ws_endpoint *endpoint, const uint8_t *payload, size_t count)
{
    if (endpoint->state != APUS_WS_OPEN || endpoint->text_payload != 0 || count > APUS_WS_CONTROL_MAX
        || !apus_ws_endpoint_make_room(endpoint, apus_ws_header_size(count, endpoint->is_client) + count)) {
        return false;
    }
    queue_control(endpoint, APUS_WS_PING, payload, count);
    return true;
}

bool apus_ws_endpoint_close(apus_ws_endpoint *endpoint, uint16_t code)
{
    if (!apus_ws_close_code_is_valid(code)) {
        return false;
    }
    if (endpoint->state == APUS_WS_OPEN) {
        queue_close(endpoint, code);
        endpoint->state = APUS_WS_CLOSING;
    } else if (endpoint->state == APUS_WS_CONNECTING) {
        endpoint->state = APUS_WS_CLOSED;
    }
    return true;
}

bool apus_ws_endpoint_close_saying(apus_ws_endpoint *endpoint, uint16_t code, const uint8_t *reason, size_t count)
{
    uint8_t payload[APUS_WS_CONTROL_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
    if (endpoint->state != APUS_WS_OPEN || count == 0 || count > sizeof payload - 2u || code == NO_STATUS_RECEIVED
        || !apus_ws_close_code_is_valid(code)
        || !apus_ws_endpoint_make_room(endpoint, apus_ws_header_size(count + 2u, endpoint->is_client) + count + 2u)) {
        return apus_ws_endpoint_close(endpoint, code);
    }
    memcpy(payload + 2, reason, count);
    endpoint->text_payload = 0;
    endpoint->pong_is_waiting = false;
    queue_control(endpoint, APUS_WS_CLOSE, payload, count + 2u);
    endpoint->state = APUS_WS_CLOSING;
    return true;
}

/* ---- Opening handshake ---- */

/* Visible ASCII without spaces: what may stand in a request line. */
static bool is_visible(const char *text)
{
    for (; *text != 0; text++) {
        if ((uint8_t)*text <= 0x20 || (uint8_t)*text >= 0x7F) {
            return false;
        }
    }
    return true;
}

int apus_ws_endpoint_start(apus_ws_endpoint *endpoint, const char *host, const char *path, const char *fields,
    const uint8_t *key, uint64_t mask_seed)
{
    if (!endpoint->is_client) {
        return -EOPNOTSUPP;
    }
    forget_connection(endpoint);
    if (fields == NULL) {
        fields = "";
    }
    if (host[0] == 0 || !is_visible(host)) {
        return -EDESTADDRREQ;
    }
    if (path[0] != '/' || !is_visible(path)) {
        return -EINVAL;
    }
    if (!apus_ws_fields_may_be_added(fields, strlen(fields))) {
        return -EBADMSG;
    }
    char key_text[APUS_WS_KEY_CHARS + 1], accept[APUS_WS_ACCEPT_CHARS + 1];
    apus_ws_encode_key(key, key_text);
    const int result = apus_ws_accept_key(key_text, accept);
    if (result != 0) {
        return result;
    }
    const int count = snprintf((char *)endpoint->output + endpoint->output_origin, endpoint->output_capacity,
        "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
        path, host, key_text, fields);
    if (count < 0 || (size_t)count >= endpoint->output_capacity) {
        return -ENOSPC;
    }
    memcpy(endpoint->accept, accept, sizeof accept);
    endpoint->output_end += (size_t)count;
    endpoint->key_state = mask_seed;
    endpoint->state = APUS_WS_CONNECTING;
    return 0;
}

static apus_ws_event over(apus_ws_endpoint *endpoint, apus_ws_event event)
{
    endpoint->state = APUS_WS_CLOSED;
    endpoint->input_count = 0;
    endpoint->text_payload = 0;
    endpoint->pong_is_waiting = false;
    return event;
}

static apus_ws_event nothing(const apus_ws_endpoint *endpoint)
{
    return (apus_ws_event){.bytes = endpoint->control, .kind = APUS_WS_EVENT_NONE};
}

static apus_ws_event handshake_failed(apus_ws_endpoint *endpoint, apus_ws_failure failure, uint16_t status)
{
    return over(endpoint, (apus_ws_event){
        .bytes = endpoint->control, .kind = APUS_WS_EVENT_FAILED, .failure = failure, .code = status});
}

static apus_ws_event refuse_request(apus_ws_endpoint *endpoint, uint16_t status)
{
    endpoint->output_end +=
        apus_ws_refusal(status, (char *)endpoint->output + endpoint->output_end, endpoint->output_capacity);
    return handshake_failed(endpoint, APUS_WS_REQUEST_REFUSED, status);
}

static apus_ws_event opened(apus_ws_endpoint *endpoint)
{
    endpoint->state = APUS_WS_OPEN;
    return (apus_ws_event){.bytes = endpoint->control, .kind = APUS_WS_EVENT_OPENED};
}

static apus_ws_event answer_request(apus_ws_endpoint *endpoint, const apus_ws_head *head)
{
    apus_ws_slice target = {endpoint->head, 0}, key = {endpoint->head, 0};
    char accept[APUS_WS_ACCEPT_CHARS + 1];
    uint16_t status = apus_ws_judge_request(head, endpoint->path, &target, &key);
    if (status == 101 && apus_ws_accept_key(key.text, accept) != 0) {
        status = 500;
    }
    if (target.count != 0 && target.text[0] == '/' && target.text >= endpoint->head
        && target.text < endpoint->head + endpoint->head_count) {
        endpoint->target_offset = (size_t)(target.text - endpoint->head);
        endpoint->target_count = target.count;
    }
    if (status != 101) {
        return refuse_request(endpoint, status);
    }
    const int count = snprintf((char *)endpoint->output + endpoint->output_end, endpoint->output_capacity,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    endpoint->output_end += (size_t)count;
    return opened(endpoint);
}

/* Whether the head so far can become the head that this role waits for. What is plainly something
 * else (TLS, a binary protocol) is refused at once, and not after a time-out. */
static bool head_begins_well(const apus_ws_endpoint *endpoint)
{
    static const char version[] = "HTTP/1.";
    const size_t count = endpoint->head_count < sizeof version - 1 ? endpoint->head_count : sizeof version - 1;
    if (endpoint->is_client) {
        return memcmp(endpoint->head, version, count) == 0;
    }
    return endpoint->head[0] >= 'A' && endpoint->head[0] <= 'Z';
}

static apus_ws_event shake_hands(apus_ws_endpoint *endpoint)
{
    while (endpoint->input_count != 0) {
        if (endpoint->head_count == APUS_WS_HEAD_LIMIT) {
            return endpoint->is_client ? handshake_failed(endpoint, APUS_WS_HEAD_TOO_LONG, 0) : refuse_request(endpoint, 431);
        }
        const char byte = (char)*endpoint->input++;
        endpoint->input_count--;
        endpoint->head[endpoint->head_count++] = byte;
        if (!head_begins_well(endpoint)) {
            return endpoint->is_client ? handshake_failed(endpoint, APUS_WS_NOT_HTTP, 0) : refuse_request(endpoint, 400);
        }
        if (byte != '\n' || endpoint->head_count < 4
            || memcmp(endpoint->head + endpoint->head_count - 4, "\r\n\r\n", 4) != 0) {
            continue;
        }
        apus_ws_head head;
        endpoint->head_is_whole = apus_ws_head_parse(endpoint->head, endpoint->head_count, &head);
        if (!endpoint->is_client) {
            return endpoint->head_is_whole ? answer_request(endpoint, &head) : refuse_request(endpoint, 400);
        }
        uint16_t status = 0;
        const apus_ws_failure failure = endpoint->head_is_whole
            ? apus_ws_judge_answer(&head, endpoint->accept, &status) : APUS_WS_NOT_HTTP;
        return failure == APUS_WS_NO_FAILURE ? opened(endpoint) : handshake_failed(endpoint, failure, status);
    }
    return nothing(endpoint);
}

apus_ws_bytes apus_ws_endpoint_header(const apus_ws_endpoint *endpoint, const char *name)
{
    apus_ws_head head;
    apus_ws_slice value = {endpoint->head, 0};
    if (endpoint->head_is_whole && apus_ws_head_parse(endpoint->head, endpoint->head_count, &head)) {
        apus_ws_head_find(&head, name, &value);
    }
    return (apus_ws_bytes){(const uint8_t *)value.text, value.count};
}

apus_ws_bytes apus_ws_endpoint_target(const apus_ws_endpoint *endpoint)
{
    return (apus_ws_bytes){(const uint8_t *)endpoint->head + endpoint->target_offset, endpoint->target_count};
}

/* ---- Frames ---- */

static apus_ws_event fail(apus_ws_endpoint *endpoint, apus_ws_failure failure, uint16_t code)
{
    if (endpoint->state == APUS_WS_OPEN) {
        queue_close(endpoint, code);
    }
    return over(endpoint, (apus_ws_event){
        .bytes = endpoint->control, .kind = APUS_WS_EVENT_FAILED, .failure = failure, .code = code});
}

static apus_ws_failure failure_of(apus_ws_parse parse)
{
    switch (parse) {
    case APUS_WS_PARSE_RESERVED_BITS: return APUS_WS_RESERVED_BITS;
    case APUS_WS_PARSE_OPCODE: return APUS_WS_UNKNOWN_OPCODE;
    case APUS_WS_PARSE_CONTROL: return APUS_WS_BAD_CONTROL;
    case APUS_WS_PARSE_MASK: return APUS_WS_BAD_MASK;
    case APUS_WS_PARSE_LENGTH: return APUS_WS_BAD_LENGTH;
    case APUS_WS_PARSE_READY:
    case APUS_WS_PARSE_SHORT: break;
    }
    return APUS_WS_NO_FAILURE;
}

/* Takes a header off the input, which may hold only a part of it: that is stored. */
static apus_ws_parse take_header(apus_ws_endpoint *endpoint, apus_ws_header *header)
{
    const bool masked = !endpoint->is_client;
    if (endpoint->header_count == 0) {
        const apus_ws_parse parse = apus_ws_header_parse(endpoint->input, endpoint->input_count, masked, header);
        if (parse == APUS_WS_PARSE_READY) {
            endpoint->input += header->header_bytes;
            endpoint->input_count -= header->header_bytes;
        }
        if (parse != APUS_WS_PARSE_SHORT) {
            return parse;
        }
    }
    while (endpoint->input_count != 0) {
        endpoint->header[endpoint->header_count++] = *endpoint->input++;
        endpoint->input_count--;
        const apus_ws_parse parse = apus_ws_header_parse(endpoint->header, endpoint->header_count, masked, header);
        if (parse != APUS_WS_PARSE_SHORT) {
            endpoint->header_count = 0;
            return parse;
        }
    }
    return APUS_WS_PARSE_SHORT;
}

/* Judges a header by what came before it, and makes its frame the current one. */
static apus_ws_failure begin_frame(apus_ws_endpoint *endpoint, const apus_ws_header *header)
{
    if (header->opcode >= APUS_WS_CLOSE) {
        endpoint->control_count = 0;
    } else {
        if (header->opcode == APUS_WS_CONTINUATION) {
            if (endpoint->message_opcode == APUS_WS_CONTINUATION) {
                return APUS_WS_NOTHING_TO_CONTINUE;
            }
        } else {
            if (endpoint->message_opcode != APUS_WS_CONTINUATION) {
                return APUS_WS_MESSAGE_INTERRUPTED;
            }
            endpoint->message_opcode = header->opcode;
            endpoint->message_count = 0; /* and `text` is between two characters, as the last message was */
        }
        if (header->payload_bytes > endpoint->max_message_bytes - endpoint->message_count) {
            return APUS_WS_MESSAGE_TOO_LONG;
        }
    }
    endpoint->frame_left = header->payload_bytes;
    endpoint->frame_key = header->mask_key;
    endpoint->frame_opcode = header->opcode;
    endpoint->frame_is_final = header->is_final;
    endpoint->is_in_payload = true;
    return APUS_WS_NO_FAILURE;
}

/* Moves as much of the current frame's payload as has come to where it is collected, unmasked. */
static apus_ws_slice collect(apus_ws_endpoint *endpoint)
{
    const size_t count = endpoint->frame_left < endpoint->input_count ? endpoint->frame_left : endpoint->input_count;
    uint8_t *to;
    if (endpoint->frame_opcode >= APUS_WS_CLOSE) {
        to = endpoint->control + endpoint->control_count;
        endpoint->control_count = (uint8_t)(endpoint->control_count + count);
    } else {
        to = endpoint->message + endpoint->message_count;
        endpoint->message_count += count;
    }
    if (endpoint->is_client) {
        memcpy(to, endpoint->input, count);
    } else {
        apus_ws_mask(to, endpoint->input, count, endpoint->frame_key);
        endpoint->frame_key = apus_ws_key_at(endpoint->frame_key, count);
    }
    endpoint->input += count;
    endpoint->input_count -= count;
    endpoint->frame_left -= count;
    return (apus_ws_slice){(const char *)to, count};
}

static apus_ws_event end_control(apus_ws_endpoint *endpoint)
{
    const uint8_t *const payload = endpoint->control;
    const uint8_t count = endpoint->control_count;
    apus_ws_event event = {.bytes = payload, .count = count};
    if (endpoint->frame_opcode == APUS_WS_PONG) {
        event.kind = APUS_WS_EVENT_PONG;
        return event;
    }
    if (endpoint->frame_opcode == APUS_WS_PING) {
        /* A ping that comes before the pong of the last one has left replaces it (5.5.3). */
        memcpy(endpoint->pong, payload, count);
        endpoint->pong_count = count;
        endpoint->pong_is_waiting = true;
        apus_ws_endpoint_flush_pong(endpoint);
        event.kind = APUS_WS_EVENT_PING;
        return event;
    }
    uint16_t code = NO_STATUS_RECEIVED;
    if (count != 0) {
        code = (uint16_t)(payload[0] << 8 | payload[1]);
        if (count == 1 || !apus_ws_close_code_is_valid(code)) {
            return fail(endpoint, APUS_WS_BAD_CLOSE, PROTOCOL_ERROR);
        }
        apus_ws_text reason = {0};
        if (!apus_ws_text_feed(&reason, payload + 2, count - 2u) || reason.missing != 0) {
            return fail(endpoint, APUS_WS_NOT_UTF8, NOT_CONSISTENT);
        }
        event.bytes = payload + 2;
        event.count = count - 2u;
    }
    if (endpoint->state == APUS_WS_OPEN) {
        queue_close(endpoint, code);
    }
    event.kind = APUS_WS_EVENT_CLOSED;
    event.code = code;
    return over(endpoint, event);
}

static apus_ws_event end_message(apus_ws_endpoint *endpoint, const uint8_t *bytes, size_t count)
{
    const bool is_text = endpoint->message_opcode == APUS_WS_TEXT;
    endpoint->message_opcode = APUS_WS_CONTINUATION;
    if (is_text && endpoint->text.missing != 0) {
        return fail(endpoint, APUS_WS_NOT_UTF8, NOT_CONSISTENT);
    }
    return (apus_ws_event){
        .bytes = bytes, .count = count, .kind = is_text ? APUS_WS_EVENT_TEXT : APUS_WS_EVENT_BINARY};
}

/* Runs until something happened or the input is used up; each turn uses a byte of it at least, or ends a frame. */
static apus_ws_event read_frames(apus_ws_endpoint *endpoint)
{
    while (endpoint->is_in_payload || endpoint->input_count != 0) {
        if (!endpoint->is_in_payload) {
            apus_ws_header header;
            const apus_ws_parse parse = take_header(endpoint, &header);
            if (parse == APUS_WS_PARSE_SHORT) {
                break;
            }
            const apus_ws_failure failure =
                parse == APUS_WS_PARSE_READY ? begin_frame(endpoint, &header) : failure_of(parse);
            if (failure != APUS_WS_NO_FAILURE) {
                return fail(endpoint, failure, failure == APUS_WS_MESSAGE_TOO_LONG ? TOO_BIG : PROTOCOL_ERROR);
            }
        }
        const bool is_control = endpoint->frame_opcode >= APUS_WS_CLOSE;
        const bool is_text = !is_control && endpoint->message_opcode == APUS_WS_TEXT;
        /* A whole message where it lies. (Unmasking costs a pass anyway, so a server's input is
         * unmasked into the buffer and stays constant.) */
        const bool in_place = endpoint->is_client && !is_control && endpoint->frame_opcode != APUS_WS_CONTINUATION
            && endpoint->frame_is_final && endpoint->message_count == 0 && endpoint->input_count >= endpoint->frame_left;
        apus_ws_slice piece;
        if (in_place) {
            piece = (apus_ws_slice){(const char *)endpoint->input, endpoint->frame_left};
            endpoint->input += piece.count;
            endpoint->input_count -= piece.count;
            endpoint->frame_left = 0;
        } else {
            piece = collect(endpoint);
        }
        if (is_text && !apus_ws_text_feed(&endpoint->text, (const uint8_t *)piece.text, piece.count)) {
            return fail(endpoint, APUS_WS_NOT_UTF8, NOT_CONSISTENT);
        }
        if (endpoint->frame_left != 0) {
            break;
        }
        endpoint->is_in_payload = false;
        endpoint->frames_in++;
        if (is_control) {
            return end_control(endpoint);
        }
        if (in_place) {
            return end_message(endpoint, (const uint8_t *)piece.text, piece.count);
        }
        if (endpoint->frame_is_final) {
            return end_message(endpoint, endpoint->message, endpoint->message_count);
        }
    }
    return nothing(endpoint);
}

apus_ws_event apus_ws_endpoint_next_slowly(apus_ws_endpoint *endpoint)
{
    apus_ws_event event;
    if (endpoint->state == APUS_WS_CLOSED) {
        endpoint->input_count = 0;
        return nothing(endpoint);
    }
    if (endpoint->state == APUS_WS_CONNECTING) {
        return shake_hands(endpoint);
    }
    event = read_frames(endpoint);
    endpoint->is_mid_frame = endpoint->is_in_payload || endpoint->header_count != 0
        || endpoint->message_opcode != APUS_WS_CONTINUATION;
    return event;
}
