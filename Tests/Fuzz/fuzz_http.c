/* The opening handshake. First byte, bits 0-1: a server reads the rest as a request; a client reads it as the
 * answer; as the second with the right accept key put where the input says '$'; or a client starts with pieces of it.
 *
 * However the bytes are cut the outcome is the same, and whatever is let in has been looked through by a slow
 * reader: every field that RFC 6455 asks for, once, with its value. */
#define _GNU_SOURCE
#include <strings.h>

#include "apus_ws_http.h"
#include "fuzz.h"

static const uint8_t client_key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

typedef struct {
    apus_ws_event_kind kind;
    apus_ws_failure failure;
    uint16_t code;
    size_t target_count, output_count;
    char target[64], output[1024];
} outcome;

static apus_ws_endpoint *make(bool is_client, bool any_path)
{
    apus_ws_endpoint *endpoint = NULL;
    const apus_ws_limits limits = {.max_message_bytes = 125, .output_bytes = 1024};
    const apus_ws_role role = is_client ? APUS_WS_CLIENT : APUS_WS_SERVER;
    require(apus_ws_endpoint_create(role, limits, any_path ? "" : "/ws/v2", &endpoint) == 0,
            "an endpoint was not made");
    if (is_client) {
        require(apus_ws_endpoint_start(endpoint, "localhost", "/", NULL, client_key, 1) == 0, "a client did not start");
        apus_ws_endpoint_consumed(endpoint, apus_ws_endpoint_output(endpoint).count);
    }
    return endpoint;
}

/* The first event; what follows the head are frames, another target's matter. */
static bool offer(apus_ws_endpoint *endpoint, const uint8_t *bytes, size_t count, outcome *out)
{
    uint8_t *const piece = fuzz_copy(bytes, count);
    apus_ws_endpoint_receive(endpoint, piece, count);
    const apus_ws_event event = apus_ws_endpoint_next(endpoint);
    out->kind = event.kind;
    out->failure = event.failure;
    out->code = event.code;
    endpoint->input_count = 0; /* the piece ends here */
    free(piece);
    return event.kind != APUS_WS_EVENT_NONE;
}

static void run_cut(bool is_client, bool any_path, const uint8_t *bytes, size_t count, size_t first, size_t second,
                    outcome *out)
{
    memset(out, 0, sizeof *out);
    apus_ws_endpoint *const endpoint = make(is_client, any_path);
    if (!offer(endpoint, bytes, first, out) && !offer(endpoint, bytes + first, second - first, out)) {
        offer(endpoint, bytes + second, count - second, out);
    }
    const apus_ws_bytes target = apus_ws_endpoint_target(endpoint), output = apus_ws_endpoint_output(endpoint);
    require(output.count < sizeof out->output, "an answer is longer than documented");
    out->output_count = output.count;
    memcpy(out->output, output.bytes, output.count);
    out->target_count = target.count;
    memcpy(out->target, target.bytes, target.count < sizeof out->target ? target.count : sizeof out->target);
    const apus_ws_bytes host = apus_ws_endpoint_header(endpoint, "hOST");
    require(host.count <= count, "a header longer than the head");
    apus_ws_endpoint_destroy(endpoint);
}

/* ---- A slow reader of heads. ---- */

/* The `index`-th value of a field, trimmed, in `out`; false if there is none. `text` ends in a zero byte. */
static bool slow_field(const char *text, const char *name, int index, char *out, size_t capacity)
{
    const char *line = strstr(text, "\r\n");
    while (line != NULL && line[2] != 0) {
        line += 2;
        const char *const end = strstr(line, "\r\n");
        if (end == NULL) {
            return false;
        }
        if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':' && index-- == 0) {
            const char *from = line + strlen(name) + 1, *to = end;
            while (from < to && (*from == ' ' || *from == '\t')) {
                from++;
            }
            while (from < to && (to[-1] == ' ' || to[-1] == '\t')) {
                to--;
            }
            snprintf(out, capacity, "%.*s", (int)(to - from), from);
            return true;
        }
        line = end;
    }
    return false;
}

static bool slow_has_token(const char *text, const char *name, const char *token)
{
    static char value[4096];
    for (int i = 0; slow_field(text, name, i, value, sizeof value); i++) {
        for (char *rest = value, *piece; (piece = strsep(&rest, ",")) != NULL;) {
            while (*piece == ' ' || *piece == '\t') {
                piece++;
            }
            size_t count = strlen(piece);
            while (count > 0 && (piece[count - 1] == ' ' || piece[count - 1] == '\t')) {
                piece[--count] = 0;
            }
            if (strcasecmp(piece, token) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void check_common(const char *head)
{
    require(slow_has_token(head, "Upgrade", "websocket"), "opened without Upgrade: websocket");
    require(slow_has_token(head, "Connection", "upgrade"), "opened without Connection: upgrade");
    for (const char *at = head; *at != 0; at++) {
        require((uint8_t)*at >= 0x20 || *at == '\t' || *at == '\r' || *at == '\n', "opened with a control character");
        require(*at != '\n' || (at != head && at[-1] == '\r'), "opened with a bare line feed");
    }
}

static void check_request(const char *head, const outcome *found)
{
    char value[4096], other[64];
    check_common(head);
    require(strncmp(head, "GET ", 4) == 0, "opened another method than GET");
    const char *const line_end = strstr(head, "\r\n");
    require(line_end - head >= 9 && memcmp(line_end - 9, " HTTP/1.1", 9) == 0, "opened another version than HTTP/1.1");
    require(slow_field(head, "Host", 0, value, sizeof value) && !slow_field(head, "Host", 1, other, sizeof other),
            "opened without exactly one Host");
    require(slow_field(head, "Sec-WebSocket-Version", 0, value, sizeof value) && strcmp(value, "13") == 0
                && !slow_field(head, "Sec-WebSocket-Version", 1, other, sizeof other),
            "opened without exactly one version 13");
    require(!slow_field(head, "Transfer-Encoding", 0, other, sizeof other), "opened with a body");
    require(!slow_field(head, "Content-Length", 0, other, sizeof other) || strcmp(other, "0") == 0,
            "opened with a body");
    require(slow_field(head, "Sec-WebSocket-Key", 0, value, sizeof value) && strlen(value) == 24
                && !slow_field(head, "Sec-WebSocket-Key", 1, other, sizeof other),
            "opened without exactly one key");
    char accept[APUS_WS_ACCEPT_CHARS + 1], answer[1024], back[64];
    require(apus_ws_accept_key(value, accept) == 0, "no SHA-1");
    snprintf(answer, sizeof answer, "%.*s", (int)found->output_count, found->output);
    require(slow_field(answer, "Sec-WebSocket-Accept", 0, back, sizeof back) && strcmp(back, accept) == 0,
            "a wrong accept key");
    require(found->target_count > 0 && found->target[0] == '/', "opened without a path");
}

static void check_answer(const char *head)
{
    char value[4096], key[APUS_WS_KEY_CHARS + 1], accept[APUS_WS_ACCEPT_CHARS + 1];
    check_common(head);
    require(strncmp(head, "HTTP/1.1 101", 12) == 0, "opened by another answer than 101");
    apus_ws_encode_key(client_key, key);
    require(apus_ws_accept_key(key, accept) == 0, "no SHA-1");
    require(slow_field(head, "Sec-WebSocket-Accept", 0, value, sizeof value) && strcmp(value, accept) == 0
                && !slow_field(head, "Sec-WebSocket-Accept", 1, value, sizeof value),
            "opened without exactly one right accept key");
    require(!slow_field(head, "Sec-WebSocket-Extensions", 0, value, sizeof value), "opened with an extension");
    require(!slow_field(head, "Sec-WebSocket-Protocol", 0, value, sizeof value), "opened with a subprotocol");
}

static void handshake(const uint8_t *bytes, size_t count, bool is_client, bool any_path, uint8_t salt)
{
    outcome whole, cut;
    run_cut(is_client, any_path, bytes, count, count, count, &whole);
    for (size_t first = salt % 7; first <= count; first += 1 + count / 16) {
        run_cut(is_client, any_path, bytes, count, first, first + (count - first) * salt / 256, &cut);
        require(memcmp(&whole, &cut, sizeof whole) == 0, "a cut changes the outcome");
    }
    if (whole.kind == APUS_WS_EVENT_OPENED) {
        /* No zero byte is before the end of a head that was let in: it would have been refused. */
        const uint8_t *const end = memmem(bytes, count, "\r\n\r\n", 4);
        require(end != NULL, "opened before the head was whole");
        const size_t head_count = (size_t)(end - bytes) + 2;
        char *const head = malloc(head_count + 1);
        require(head != NULL, "out of memory");
        memcpy(head, bytes, head_count);
        head[head_count] = 0;
        require(strlen(head) == head_count, "opened with a zero byte in the head");
        if (is_client) {
            check_answer(head);
        } else {
            check_request(head, &whole);
        }
        free(head);
    } else if (whole.kind == APUS_WS_EVENT_FAILED && !is_client) {
        char answer[16];
        snprintf(answer, sizeof answer, "HTTP/1.1 %u ", whole.code);
        require(whole.output_count > 13 && memcmp(whole.output, answer, 13) == 0, "a refusal without its answer");
    }
}

/* A request of ours from arbitrary pieces either is refused, or is one that our own server takes for well formed. */
static void start(fuzz_bytes bytes)
{
    char pieces[3][512];
    for (int i = 0; i < 3; i++) {
        size_t found;
        const size_t wanted = fuzz_take(&bytes);
        const uint8_t *const piece = fuzz_take_bytes(&bytes, i == 2 ? 511 : wanted, &found);
        memcpy(pieces[i], piece, found);
        pieces[i][found] = 0;
    }
    apus_ws_endpoint *const client = make(true, true), *const server = make(false, true);
    const int result = apus_ws_endpoint_start(client, pieces[0], pieces[1], pieces[2], client_key, 7);
    require(result == 0 || apus_ws_endpoint_state(client) == APUS_WS_CLOSED, "a refused start leaves a client open");
    if (result == 0) {
        const apus_ws_bytes output = apus_ws_endpoint_output(client);
        outcome out = {0};
        require(offer(server, output.bytes, output.count, &out), "our own request is not whole");
        require(out.kind == APUS_WS_EVENT_OPENED, "our own server refuses our own request");
    }
    apus_ws_endpoint_destroy(client);
    apus_ws_endpoint_destroy(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = fuzz_begin(data, size);
    const uint8_t mode = fuzz_take(&bytes), salt = fuzz_take(&bytes);
    if ((mode & 3) == 3) {
        start(bytes);
    } else if ((mode & 3) == 2) {
        char key[APUS_WS_KEY_CHARS + 1], accept[APUS_WS_ACCEPT_CHARS + 1];
        apus_ws_encode_key(client_key, key);
        require(apus_ws_accept_key(key, accept) == 0, "no SHA-1");
        fuzz_text text = {0};
        while (!fuzz_is_empty(&bytes)) {
            const uint8_t byte = fuzz_take(&bytes);
            fuzz_append(&text, byte == '$' ? (const char *)accept : (const char *)&byte,
                        byte == '$' ? APUS_WS_ACCEPT_CHARS : 1);
        }
        handshake((const uint8_t *)text.bytes, text.count, true, true, salt);
        free(text.bytes);
    } else {
        handshake(bytes.next, fuzz_left(&bytes), mode & 1, mode & 4, salt);
    }
    return 0;
}
