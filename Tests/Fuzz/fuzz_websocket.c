/* WebSocket endpoints. First byte, bit 0: the role of the end under test; bit 1: what is done with the rest.
 *
 * 0: the rest is what the peer sends after the handshake. A slow reader of RFC 6455 says what must happen; the
 *    endpoint must say the same, however the bytes are cut, and must have queued the same bytes each time.
 * 1: two ends talk. The rest is a script: texts, pings, closes, bytes moved in pieces of any size. Every text and
 *    ping that one end accepted must come out at the other, in order and unchanged. */
#include "apus_ws_endpoint.h"
#include "fuzz.h"

enum { HIGHEST_TEXT = 700 };

static const uint8_t client_key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static apus_ws_endpoint *make(apus_ws_role role, size_t message_bytes, size_t output_bytes)
{
    apus_ws_endpoint *endpoint = NULL;
    const apus_ws_limits limits = {.max_message_bytes = message_bytes, .output_bytes = output_bytes};
    require(apus_ws_endpoint_create(role, limits, "/", &endpoint) == 0, "an endpoint was not made");
    if (role == APUS_WS_CLIENT) {
        require(apus_ws_endpoint_start(endpoint, "localhost", "/", NULL, client_key, 42) == 0,
                "a client did not start");
    }
    return endpoint;
}

static apus_ws_event hand_over(apus_ws_endpoint *from, apus_ws_endpoint *to)
{
    const apus_ws_bytes output = apus_ws_endpoint_output(from);
    uint8_t *const copy = fuzz_copy(output.bytes, output.count);
    const size_t count = output.count;
    apus_ws_endpoint_consumed(from, count);
    apus_ws_endpoint_receive(to, copy, count);
    const apus_ws_event event = apus_ws_endpoint_next(to);
    free(copy);
    return event;
}

static void shake_hands(apus_ws_endpoint *client, apus_ws_endpoint *server)
{
    require(hand_over(client, server).kind == APUS_WS_EVENT_OPENED, "the server did not open");
    require(hand_over(server, client).kind == APUS_WS_EVENT_OPENED, "the client did not open");
}

/* ---- What a stream must mean. ---- */

static void log_event(fuzz_text *log, apus_ws_event event)
{
    fuzz_append_byte(log, (char)event.kind);
    fuzz_append_byte(log, (char)event.failure);
    fuzz_append_word(log, event.code);
    fuzz_append_word(log, event.count);
    fuzz_append(log, event.bytes, event.count);
}

/* Whether the bytes begin a UTF-8 text, or with `whole` are one, one character at a time by its value. */
static bool is_utf8(const uint8_t *bytes, size_t count, bool whole)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < count;) {
        const uint8_t lead = bytes[i];
        const size_t size = lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0;
        if (size == 0) {
            return false;
        }
        /* Complete it with the least and the most that could come: the first defect is where neither is a character. */
        const size_t here = count - i < size ? count - i : size;
        uint32_t low = size == 1 ? lead : lead & (0x7Fu >> size), high = low;
        for (size_t k = 1; k < size; k++) {
            if (k < here && (bytes[i + k] & 0xC0) != 0x80) {
                return false;
            }
            low = low << 6 | (k < here ? bytes[i + k] & 0x3Fu : 0);
            high = high << 6 | (k < here ? bytes[i + k] & 0x3Fu : 0x3F);
        }
        if (high < smallest[size] || low > 0x10FFFF || (low >= 0xD800 && high <= 0xDFFF)) {
            return false;
        }
        if (here < size) {
            return !whole;
        }
        i += size;
    }
    return true;
}

typedef struct {
    fuzz_text *log;
    uint8_t *message;
    size_t message_count, limit;
    uint8_t opcode; /* of the message in progress, 0 if there is none */
    bool is_over;
} slow_reader;

static void slow_fail(slow_reader *reader, apus_ws_failure failure, uint16_t code)
{
    log_event(reader->log,
              (apus_ws_event){.bytes = NULL, .kind = APUS_WS_EVENT_FAILED, .failure = failure, .code = code});
    reader->is_over = true;
}

static void slow_event(slow_reader *reader, apus_ws_event_kind kind, const uint8_t *bytes, size_t count, uint16_t code)
{
    log_event(reader->log, (apus_ws_event){.bytes = bytes, .count = count, .kind = kind, .code = code});
}

static void slow_close(slow_reader *reader, const uint8_t *payload, size_t count)
{
    if (count == 0) {
        slow_event(reader, APUS_WS_EVENT_CLOSED, NULL, 0, 1005);
    } else {
        const uint16_t code = (uint16_t)(payload[0] << 8 | (count > 1 ? payload[1] : 0));
        const bool reserved =
            code < 1000 || (code >= 1004 && code <= 1006) || (code > 1014 && code < 3000) || code > 4999;
        if (count == 1 || reserved) {
            slow_fail(reader, APUS_WS_BAD_CLOSE, 1002);
        } else if (!is_utf8(payload + 2, count - 2, true)) {
            slow_fail(reader, APUS_WS_NOT_UTF8, 1007);
        } else {
            slow_event(reader, APUS_WS_EVENT_CLOSED, payload + 2, count - 2, code);
        }
    }
    reader->is_over = true;
}

/* One frame, or what there is of it; returns its bytes, 0 if it is not whole. */
static size_t slow_frame(slow_reader *reader, const uint8_t *bytes, size_t count, bool masked)
{
    if (count < 2) {
        return 0;
    }
    const uint8_t opcode = bytes[0] & 15;
    const bool is_final = bytes[0] >= 0x80, is_control = opcode >= 8;
    uint64_t length = bytes[1] & 0x7F;
    size_t header = 2;
    apus_ws_failure failure = APUS_WS_NO_FAILURE;
    if ((bytes[0] & 0x70) != 0) {
        failure = APUS_WS_RESERVED_BITS;
    } else if ((opcode > 2 && opcode < 8) || opcode > 10) {
        failure = APUS_WS_UNKNOWN_OPCODE;
    } else if ((bytes[1] >= 0x80) != masked) {
        failure = APUS_WS_BAD_MASK;
    } else if (is_control && (length > 125 || !is_final)) {
        failure = APUS_WS_BAD_CONTROL;
    }
    if (failure == APUS_WS_NO_FAILURE && length > 125) {
        const size_t size = length == 126 ? 2 : 8;
        const uint64_t smallest = length == 126 ? 126 : 65536;
        if (count < 2 + size) {
            return 0;
        }
        header += size;
        length = 0;
        for (size_t i = 0; i < size; i++) {
            length = length << 8 | bytes[2 + i];
        }
        if (length < smallest || length > INT64_MAX) {
            failure = APUS_WS_BAD_LENGTH;
        }
    }
    if (failure != APUS_WS_NO_FAILURE) {
        slow_fail(reader, failure, 1002);
        return 0;
    }
    const uint8_t *const key = bytes + header;
    header += masked ? 4 : 0;
    if (count < header) {
        return 0;
    }
    if (!is_control) {
        if (opcode == 0 && reader->opcode == 0) {
            slow_fail(reader, APUS_WS_NOTHING_TO_CONTINUE, 1002);
            return 0;
        }
        if (opcode != 0 && reader->opcode != 0) {
            slow_fail(reader, APUS_WS_MESSAGE_INTERRUPTED, 1002);
            return 0;
        }
        if (opcode != 0) {
            reader->opcode = opcode;
            reader->message_count = 0;
        }
        if (length > reader->limit - reader->message_count) {
            slow_fail(reader, APUS_WS_MESSAGE_TOO_LONG, 1009);
            return 0;
        }
    }
    const size_t here = length < count - header ? (size_t)length : count - header;
    uint8_t control[125];
    uint8_t *const to = is_control ? control : reader->message + reader->message_count;
    for (size_t i = 0; i < here; i++) {
        to[i] = (uint8_t)(bytes[header + i] ^ (masked ? key[i % 4] : 0));
    }
    if (!is_control) {
        reader->message_count += here;
        const bool ends = is_final && here == length;
        if (reader->opcode == APUS_WS_TEXT && !is_utf8(reader->message, reader->message_count, ends)) {
            slow_fail(reader, APUS_WS_NOT_UTF8, 1007);
            return 0;
        }
    }
    if (here < length) {
        return 0;
    }
    if (!is_control) {
        if (is_final) {
            slow_event(reader, reader->opcode == APUS_WS_TEXT ? APUS_WS_EVENT_TEXT : APUS_WS_EVENT_BINARY,
                       reader->message, reader->message_count, 0);
            reader->opcode = 0;
        }
    } else if (opcode == APUS_WS_CLOSE) {
        slow_close(reader, control, here);
    } else {
        slow_event(reader, opcode == APUS_WS_PING ? APUS_WS_EVENT_PING : APUS_WS_EVENT_PONG, control, here, 0);
    }
    return header + here;
}

static void slow_stream(fuzz_text *log, const uint8_t *bytes, size_t count, bool masked, size_t limit)
{
    slow_reader reader = {.log = log, .message = malloc(limit), .limit = limit};
    require(reader.message != NULL, "out of memory");
    while (!reader.is_over) {
        const size_t used = slow_frame(&reader, bytes, count, masked);
        if (used == 0) {
            break;
        }
        bytes += used;
        count -= used;
    }
    free(reader.message);
}

/* ---- What the endpoint makes of it. ---- */

static void feed(apus_ws_endpoint *endpoint, fuzz_text *log, const uint8_t *bytes, size_t count)
{
    uint8_t *const piece = fuzz_copy(bytes, count);
    apus_ws_endpoint_receive(endpoint, piece, count);
    for (;;) {
        const apus_ws_event event = apus_ws_endpoint_next(endpoint);
        if (event.kind == APUS_WS_EVENT_NONE) {
            break;
        }
        log_event(log, event);
    }
    free(piece);
}

typedef struct {
    apus_ws_endpoint *endpoint, *peer;
    fuzz_text log, output;
} world;

/* A fresh connection in the same memory; its bytes are cut at two places. */
static void run_cut(world *it, const uint8_t *bytes, size_t count, size_t first, size_t second)
{
    apus_ws_endpoint *const client = it->endpoint->is_client ? it->endpoint : it->peer;
    apus_ws_endpoint_reset(it->endpoint);
    apus_ws_endpoint_reset(it->peer);
    require(apus_ws_endpoint_start(client, "localhost", "/", NULL, client_key, 42) == 0,
            "a client did not start again");
    shake_hands(client, it->endpoint->is_client ? it->peer : it->endpoint);
    it->log.count = 0;
    it->output.count = 0;
    feed(it->endpoint, &it->log, bytes, first);
    feed(it->endpoint, &it->log, bytes + first, second - first);
    feed(it->endpoint, &it->log, bytes + second, count - second);
    const apus_ws_bytes output = apus_ws_endpoint_output(it->endpoint);
    fuzz_append(&it->output, output.bytes, output.count);
    fuzz_append_word(&it->output, apus_ws_endpoint_state(it->endpoint));
    fuzz_append_word(&it->output, apus_ws_endpoint_frames_out(it->endpoint));
}

static void stream(fuzz_bytes bytes, apus_ws_role role)
{
    const size_t limit = 125 + (size_t)fuzz_take(&bytes) * 3;
    const size_t count = fuzz_left(&bytes) < 4096 ? fuzz_left(&bytes) : 4096;
    const uint8_t *const data = bytes.next;
    world it = {.endpoint = make(role, limit, 1024), .peer = make(1 - role, 125, 1024)};
    fuzz_text model = {0}, output = {0};
    slow_stream(&model, data, count, role == APUS_WS_SERVER, limit);
    run_cut(&it, data, count, count, count);
    require(fuzz_same(&it.log, &model), "the endpoint and the slow reader of RFC 6455 disagree");
    fuzz_append(&output, it.output.bytes, it.output.count);
    /* Long streams: not every cut, but near their ends and in steps that do not share a factor with anything. */
    for (size_t cut = 0; cut <= count; cut += count > 200 && cut > 60 ? 37 : 1) {
        const size_t second = cut + (cut * 7 + 3) % (count - cut + 1);
        run_cut(&it, data, count, cut, second);
        require(fuzz_same(&it.log, &model), "a cut changes the events");
        require(fuzz_same(&it.output, &output), "a cut changes what is sent");
    }
    apus_ws_endpoint_destroy(it.endpoint);
    apus_ws_endpoint_destroy(it.peer);
    free(it.log.bytes);
    free(it.output.bytes);
    free(model.bytes);
    free(output.bytes);
}

/* ---- Two ends. ---- */

typedef struct {
    apus_ws_endpoint *endpoint;
    fuzz_text sent;     /* texts and pings that it accepted */
    fuzz_text received; /* that the other end delivered */
    uint8_t begun[HIGHEST_TEXT];
    bool has_begun;
    size_t begun_max;
} speaker;

static void note(fuzz_text *text, apus_ws_event_kind kind, const void *bytes, size_t count)
{
    fuzz_append_byte(text, (char)kind);
    fuzz_append_word(text, count);
    fuzz_append(text, bytes, count);
}

/* ASCII, so that it may be cut anywhere. */
static size_t make_text(fuzz_bytes *bytes, uint8_t *out)
{
    const size_t count = fuzz_take_word(bytes, 2) % (HIGHEST_TEXT + 1);
    const uint8_t first = fuzz_take(bytes);
    for (size_t i = 0; i < count; i++) {
        out[i] = (uint8_t)((first + i * 31) & 0x7F);
    }
    return count;
}

static void move(speaker *from, speaker *to, size_t count)
{
    const apus_ws_bytes output = apus_ws_endpoint_output(from->endpoint);
    count = count < output.count ? count : output.count;
    uint8_t *const piece = fuzz_copy(output.bytes, count);
    apus_ws_endpoint_consumed(from->endpoint, count);
    apus_ws_endpoint_receive(to->endpoint, piece, count);
    for (;;) {
        const apus_ws_event event = apus_ws_endpoint_next(to->endpoint);
        if (event.kind == APUS_WS_EVENT_NONE) {
            break;
        }
        require(event.kind != APUS_WS_EVENT_FAILED, "what one end sent, the other could not read");
        if (event.kind == APUS_WS_EVENT_TEXT || event.kind == APUS_WS_EVENT_PING) {
            note(&from->received, event.kind, event.bytes, event.count);
        }
    }
    free(piece);
}

static void conversation(fuzz_bytes bytes, apus_ws_role role)
{
    const size_t capacity = 1024 + 8 * (size_t)fuzz_take(&bytes);
    speaker ends[2] = {{.endpoint = make(role, 1024, capacity)}, {.endpoint = make(1 - role, 1024, capacity)}};
    shake_hands(ends[role == APUS_WS_CLIENT ? 0 : 1].endpoint, ends[role == APUS_WS_CLIENT ? 1 : 0].endpoint);
    uint8_t text[HIGHEST_TEXT];
    while (!fuzz_is_empty(&bytes)) {
        const uint8_t verb = fuzz_take(&bytes);
        speaker *const self = &ends[verb & 1], *const other = &ends[~verb & 1];
        switch (verb >> 1 & 7) {
        case 0: {
            const size_t count = make_text(&bytes, text);
            uint8_t *const copy = fuzz_copy(text, count);
            if (apus_ws_endpoint_send_text(self->endpoint, (const char *)copy, count)) {
                require(!self->has_begun || apus_ws_endpoint_state(self->endpoint) != APUS_WS_OPEN, "a text in a text");
                note(&self->sent, APUS_WS_EVENT_TEXT, text, count);
            }
            free(copy);
            break;
        }
        case 1: {
            self->begun_max = make_text(&bytes, self->begun);
            char *const room = apus_ws_endpoint_begin_text(self->endpoint, self->begun_max);
            self->has_begun = room != NULL;
            if (room != NULL) {
                memcpy(room, self->begun, self->begun_max);
            }
            break;
        }
        case 2:
            if (self->has_begun) {
                const size_t count = self->begun_max == 0 ? 0 : fuzz_take_word(&bytes, 2) % (self->begun_max + 1);
                if (apus_ws_endpoint_commit_text(self->endpoint, count)) {
                    note(&self->sent, APUS_WS_EVENT_TEXT, self->begun, count);
                }
                self->has_begun = false;
            }
            break;
        case 3:
            apus_ws_endpoint_drop_text(self->endpoint);
            self->has_begun = false;
            break;
        case 4: {
            const size_t count = make_text(&bytes, text) % 130;
            if (apus_ws_endpoint_ping(self->endpoint, text, count)) {
                require(count <= 125, "a ping that is too long was accepted");
                note(&self->sent, APUS_WS_EVENT_PING, text, count);
            }
            break;
        }
        case 5:
            if (fuzz_take(&bytes) > 200) {
                apus_ws_endpoint_close(self->endpoint, 1000);
                self->has_begun = false;
            }
            break;
        default: move(self, other, fuzz_take_word(&bytes, 2) % 2048); break;
        }
        const apus_ws_bytes output = apus_ws_endpoint_output(self->endpoint);
        require(output.count <= capacity + APUS_WS_CLOSE_RESERVE, "more waits than the capacity");
    }
    for (int turn = 0; turn < 4; turn++) {
        for (int i = 0; i < 2; i++) {
            apus_ws_endpoint_drop_text(ends[i].endpoint);
            move(&ends[i], &ends[1 - i], SIZE_MAX);
        }
    }
    for (int i = 0; i < 2; i++) {
        /* After a close at the other end, what was sent last may not have been read. */
        const bool closed = apus_ws_endpoint_state(ends[1 - i].endpoint) == APUS_WS_CLOSED;
        require(closed ? ends[i].received.count <= ends[i].sent.count : ends[i].received.count == ends[i].sent.count,
                "another number of messages came out than went in");
        require(ends[i].received.count == 0
                    || memcmp(ends[i].received.bytes, ends[i].sent.bytes, ends[i].received.count) == 0,
                "a message was changed on its way");
    }
    for (int i = 0; i < 2; i++) {
        apus_ws_endpoint_destroy(ends[i].endpoint);
        free(ends[i].sent.bytes);
        free(ends[i].received.bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = fuzz_begin(data, size);
    const uint8_t mode = fuzz_take(&bytes);
    const apus_ws_role role = mode & 1 ? APUS_WS_SERVER : APUS_WS_CLIENT;
    if ((mode & 2) == 0) {
        stream(bytes, role);
    } else {
        conversation(bytes, role);
    }
    return 0;
}
