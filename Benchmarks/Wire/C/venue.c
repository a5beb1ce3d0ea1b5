/* venue.c: the thin venue: WebSocket by hand, the few answers that a session needs, and the timed loops. */
#include "wire_internal.h"

#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IN_BYTES = 1 << 20,
    OUT_BYTES = 4 << 20,
    ORDERS = 1 << 14, /* places in the table, a power of two; at most half are used */
    NAME_BYTES = 64,
    WORD_BYTES = 32,
};

typedef struct order {
    uint64_t client_id; /* 0: free */
    uint32_t instrument;
    bool is_buy, is_live;
    char price[WORD_BYTES], amount[WORD_BYTES]; /* as the client wrote them */
} order;

struct wire_venue {
    wire_stream stream;
    /* Received bytes: [start, scanned) are whole frames not yet handled, [scanned, end) the beginning of one. */
    uint8_t *in;
    size_t start, scanned, end;
    uint32_t text_frames; /* whole text frames in [start, scanned) */
    uint8_t *out;
    size_t out_count;
    order *orders;
    char (*names)[NAME_BYTES];
    uint32_t name_count;
    bool is_open, has_subscribed, has_asked_orders;
    wire_counts counts;
    wire_bytes last_orders, last_acknowledgements;
    char problem[256];
    /* Open loop: oldest message of each instrument that is not answered, and the newest sent; NONE if there is none. */
    wire_message *messages;
    uint32_t *oldest, *newest;
    uint64_t backlog;
    int64_t loop_start, received_at;
    wire_open_loop_result *loop;
};

static const uint32_t NONE = UINT32_MAX;

/* ---- output ---- */

static void put(wire_venue *v, const void *bytes, size_t count)
{
    if (v->out_count + count > OUT_BYTES) {
        abort(); /* the client does not read: nothing that a measurement could go on with */
    }
    memcpy(v->out + v->out_count, bytes, count);
    v->out_count += count;
}

static void put_text(wire_venue *v, const char *text) { put(v, text, strlen(text)); }

#define PUT(v, literal) put((v), (literal), sizeof(literal) - 1)

static void put_number(wire_venue *v, uint64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put(v, digits + at, sizeof digits - at);
}

/* Leaves room for the longest header; `end_frame` moves the payload up to the one it needs. */
static size_t begin_frame(wire_venue *v)
{
    put(v, "\0\0\0\0\0\0\0\0\0", 10);
    return v->out_count;
}

static size_t write_header(uint8_t *out, size_t count)
{
    out[0] = 0x81;
    if (count < 126) {
        out[1] = (uint8_t)count;
        return 2;
    }
    if (count < 65536) {
        out[1] = 126;
        out[2] = (uint8_t)(count >> 8);
        out[3] = (uint8_t)count;
        return 4;
    }
    out[1] = 127;
    for (int i = 0; i < 8; i++) {
        out[2 + i] = (uint8_t)(count >> (56 - 8 * i));
    }
    return 10;
}

static void end_frame(wire_venue *v, size_t payload)
{
    const size_t count = v->out_count - payload;
    uint8_t *const place = v->out + payload - 10;
    const size_t header = write_header(place, count);
    memmove(place + header, v->out + payload, count);
    v->out_count = payload - 10 + header + count;
}

size_t wire_frame(uint8_t *out, const char *text, size_t count)
{
    const size_t header = write_header(out, count);
    memcpy(out + header, text, count);
    return header + count;
}

static int flush(wire_venue *v)
{
    const int result = v->out_count == 0 ? 0 : wire_stream_write(&v->stream, v->out, v->out_count);
    v->out_count = 0;
    return result;
}

/* ---- input ---- */

static void make_room(wire_venue *v)
{
    if (v->start == v->end) {
        v->start = v->scanned = v->end = 0;
    } else if (IN_BYTES - v->end < IN_BYTES / 4) {
        memmove(v->in, v->in + v->start, v->end - v->start);
        v->scanned -= v->start;
        v->end -= v->start;
        v->start = 0;
    }
}

/* Payload length and header length (mask key included) of a client's frame, or false while its header is not whole. */
static bool frame_of(const uint8_t *bytes, size_t have, size_t *header, size_t *count)
{
    if (have < 2) {
        return false;
    }
    const size_t mask = bytes[1] & 0x80 ? 4 : 0;
    size_t length = bytes[1] & 0x7F;
    size_t head = 2;
    if (length == 126) {
        head = 4;
        if (have < head) {
            return false;
        }
        length = (size_t)bytes[2] << 8 | bytes[3];
    } else if (length == 127) {
        head = 10;
        if (have < head) {
            return false;
        }
        length = 0;
        for (int i = 0; i < 8; i++) {
            length = length << 8 | bytes[2 + i];
        }
    }
    *header = head + mask;
    *count = length;
    return true;
}

/* Moves `scanned` over what is whole. */
static void scan(wire_venue *v)
{
    size_t header, count;
    while (frame_of(v->in + v->scanned, v->end - v->scanned, &header, &count)
           && v->end - v->scanned >= header + count) {
        v->text_frames += (v->in[v->scanned] & 0x0F) == 1;
        v->scanned += header + count;
    }
}

/* Reads once. > 0 bytes, 0, or -errno. */
static ssize_t receive(wire_venue *v)
{
    const ssize_t count = wire_stream_read(&v->stream, v->in + v->end, IN_BYTES - v->end);
    if (count > 0) {
        v->end += (size_t)count;
        scan(v);
    }
    return count;
}

/* ---- requests: flat enough for a search by key; blanks after the colon are allowed ---- */

typedef struct word {
    const char *at;
    size_t count;
} word;

static word member(const char *text, size_t count, const char *key)
{
    char pattern[48];
    const int length = snprintf(pattern, sizeof pattern, "\"%s\":", key);
    const char *at = memmem(text, count, pattern, (size_t)length);
    if (at == NULL) {
        return (word){"", 0};
    }
    at += length;
    const char *const end = text + count;
    while (at < end && *at == ' ') {
        at++;
    }
    const char *stop = at;
    if (at < end && *at == '[') {
        stop = memchr(at, ']', (size_t)(end - at));
        return stop == NULL ? (word){"", 0} : (word){at, (size_t)(stop + 1 - at)};
    }
    if (at < end && *at == '"') {
        stop = memchr(at + 1, '"', (size_t)(end - at - 1));
        return stop == NULL ? (word){"", 0} : (word){at, (size_t)(stop + 1 - at)};
    }
    while (stop < end && *stop != ',' && *stop != '}' && *stop != ' ') {
        stop++;
    }
    return (word){at, (size_t)(stop - at)};
}

static bool is(word w, const char *text) { return w.count == strlen(text) && memcmp(w.at, text, w.count) == 0; }

static uint64_t number_of(word w)
{
    uint64_t value = 0;
    for (size_t i = 0; i < w.count && w.at[i] >= '0' && w.at[i] <= '9'; i++) {
        value = value * 10 + (uint64_t)(w.at[i] - '0');
    }
    return value;
}

static void keep(char *out, word w)
{
    const size_t count = w.count < WORD_BYTES - 1 ? w.count : WORD_BYTES - 1;
    memcpy(out, w.at, count);
    out[count] = 0;
}

static void begin_reply(wire_venue *v, word id)
{
    PUT(v, "{\"id\":");
    put(v, id.at, id.count);
    PUT(v, ",\"result\":");
}

static order *order_of(wire_venue *v, uint64_t client_id)
{
    size_t at = (size_t)(client_id * 0x9E3779B97F4A7C15u >> 40) & (ORDERS - 1);
    while (v->orders[at].client_id != 0 && v->orders[at].client_id != client_id) {
        at = (at + 1) & (ORDERS - 1);
    }
    return &v->orders[at];
}

/* One order, in the members and their order of the venue's samples. */
static void put_order(wire_venue *v, const order *o, const char *reason)
{
    PUT(v, "{\"order_id\":\"00");
    put_number(v, o->client_id);
    PUT(v, "\",\"order_type\":\"limit\",\"time_in_force\":\"good_till_cancelled\",\"instrument_name\":\"");
    put_text(v, v->names[o->instrument]);
    if (o->is_buy) {
        PUT(v, "\",\"direction\":\"buy\",\"price\":");
    } else {
        PUT(v, "\",\"direction\":\"sell\",\"price\":");
    }
    put_text(v, o->price);
    PUT(v, ",\"amount\":");
    put_text(v, o->amount);
    PUT(v, ",\"filled_amount\":0,\"remaining_amount\":");
    put_text(v, o->is_live ? o->amount : "0");
    PUT(v, ",\"label\":\"\",\"client_order_id\":");
    put_number(v, o->client_id);
    PUT(v, ",\"status\":\"");
    put_text(v, o->is_live ? "open" : "cancelled");
    PUT(v, "\",\"fills\":[],\"change_reason\":\"");
    put_text(v, reason);
    if (!o->is_live) {
        PUT(v, "\",\"delete_reason\":\"client_cancel");
    }
    PUT(v, "\",\"insert_reason\":\"client_request\",\"create_time\":1776715498.201377,\"persistent\":false}");
}

static void refuse(wire_venue *v, word id, const char *code, const char *message)
{
    const size_t payload = begin_frame(v);
    PUT(v, "{\"id\":");
    put(v, id.at, id.count);
    PUT(v, ",\"error\":{\"code\":");
    put_text(v, code);
    PUT(v, ",\"message\":\"");
    put_text(v, message);
    PUT(v, "\"}}");
    end_frame(v, payload);
}

/* A buy order's price tells which message the client had seen. */
static void match(wire_venue *v, uint32_t instrument, int64_t price)
{
    uint32_t at = v->oldest[instrument];
    while (at != NONE && !(price >= v->messages[at].low && price <= v->messages[at].high)) {
        at = at == v->newest[instrument] ? NONE : v->messages[at].next;
    }
    if (at == NONE) {
        v->loop->unmatched++;
        return;
    }
    v->messages[at].own = 1;
    uint32_t each = v->oldest[instrument];
    while (true) {
        v->messages[each].answered_ns = v->received_at - v->loop_start;
        v->backlog--;
        if (each == at) {
            break;
        }
        each = v->messages[each].next;
    }
    if (at == v->newest[instrument]) {
        v->oldest[instrument] = v->newest[instrument] = NONE;
    } else {
        v->oldest[instrument] = v->messages[at].next;
    }
}

static void order_request(wire_venue *v, const char *text, size_t count, word method, word id)
{
    const word client = member(text, count, "client_order_id");
    const uint64_t client_id = number_of(client);
    order *const o = order_of(v, client_id);
    const char *reason = "amend";
    if (is(method, "\"private/insert\"")) {
        const word name = member(text, count, "instrument_name");
        uint32_t instrument = 0;
        while (instrument < v->name_count
               && !(name.count == strlen(v->names[instrument]) + 2
                    && memcmp(name.at + 1, v->names[instrument], name.count - 2) == 0)) {
            instrument++;
        }
        if (client_id == 0 || o->client_id != 0 || instrument == v->name_count || v->counts.inserts >= ORDERS / 2) {
            refuse(v, id, "2", "not an order that this venue takes");
            return;
        }
        o->client_id = client_id;
        o->instrument = instrument;
        o->is_buy = is(member(text, count, "direction"), "\"buy\"");
        o->is_live = true;
        v->counts.inserts++;
        v->counts.live++;
        reason = "insert";
    } else if (client_id == 0 || o->client_id != client_id || !o->is_live) {
        refuse(v, id, "1", "order not found");
        return;
    }
    if (is(method, "\"private/cancel\"")) {
        o->is_live = false;
        v->counts.cancels++;
        v->counts.live--;
        reason = "cancel";
    } else {
        const word price = member(text, count, "price");
        keep(o->price, price);
        keep(o->amount, member(text, count, "amount"));
        v->counts.amends += reason[0] == 'a';
        if (v->loop != NULL) {
            v->loop->orders++;
            if (o->is_buy) {
                match(v, o->instrument, (int64_t)number_of(price));
            }
        }
    }
    const size_t payload = begin_frame(v);
    begin_reply(v, id);
    put_order(v, o, reason);
    PUT(v, "}");
    end_frame(v, payload);
}

static void send_simple(wire_venue *v, const char *text)
{
    const size_t payload = begin_frame(v);
    put_text(v, text);
    end_frame(v, payload);
}

static void cancel_everything(wire_venue *v, word id)
{
    size_t payload = begin_frame(v);
    begin_reply(v, id);
    put_number(v, v->counts.live);
    PUT(v, "}");
    end_frame(v, payload);
    for (size_t i = 0; i < ORDERS; i++) {
        order *const o = &v->orders[i];
        if (o->client_id == 0 || !o->is_live) {
            continue;
        }
        o->is_live = false;
        v->counts.live--;
        payload = begin_frame(v);
        PUT(v, "{\"channel_name\":\"session.orders\",\"notification\":[");
        put_order(v, o, "cancel");
        PUT(v, "]}");
        end_frame(v, payload);
    }
}

static void other_request(wire_venue *v, const char *text, size_t count, word method, word id)
{
    v->counts.other++;
    const bool subscribes_privately = is(method, "\"private/subscribe\"");
    if (is(method, "\"private/cancel_session\"") || is(method, "\"private/cancel_all\"")) {
        cancel_everything(v, id);
        return;
    }
    const size_t payload = begin_frame(v);
    begin_reply(v, id);
    if (is(method, "\"public/login\"")) {
        PUT(v, "{\"account_number\":\"A123456789\"}");
    } else if (is(method, "\"private/set_cancel_on_disconnect\"")) {
        PUT(v, "{\"message_rate\":1000000}");
    } else if (is(method, "\"public/instruments\"")) {
        PUT(v, "[");
        for (uint32_t i = 0; i < v->name_count; i++) {
            put_text(v, i == 0 ? "{\"instrument_name\":\"" : ",{\"instrument_name\":\"");
            put_text(v, v->names[i]);
            PUT(v, "\",\"tick_size\":1,\"volume_tick_size\":0.001,\"min_order_amount\":0.001,\"type\":\"perpetual\"}");
        }
        /* Others that nobody asked for, as at the real venue: see WIRE_GREETING_BYTES. */
        for (uint32_t i = 0; i < 50; i++) {
            char text[192];
            (void)snprintf(text, sizeof text,
                           ",{\"instrument_name\":\"BTC-26DEC26-%u-C\",\"tick_size\":5,\"volume_tick_size\":0.1,"
                           "\"min_order_amount\":0.1,\"type\":\"option\"}", 50000 + 1000 * i);
            put_text(v, text);
        }
        PUT(v, "]");
    } else if (subscribes_privately || is(method, "\"public/subscribe\"")) {
        const word channels = member(text, count, "channels");
        put(v, channels.at, channels.count);
        v->has_subscribed |= !subscribes_privately;
    } else if (is(method, "\"private/trade_history\"")) {
        PUT(v, "{\"trades\":[]}");
    } else {
        /* open_orders, portfolio and whatever else asks for a list */
        PUT(v, "[]");
        v->has_asked_orders |= is(method, "\"private/open_orders\"");
    }
    PUT(v, "}");
    end_frame(v, payload);
    if (subscribes_privately) {
        send_simple(v, "{\"channel_name\":\"session.orders\",\"notification\":[],\"snapshot\":true}");
        send_simple(v, "{\"channel_name\":\"account.portfolio\",\"notification\":[],\"snapshot\":true}");
    }
}

static void request(wire_venue *v, const char *text, size_t count)
{
    const word method = member(text, count, "method");
    const word id = member(text, count, "id");
    if (is(method, "\"private/amend\"") || is(method, "\"private/insert\"") || is(method, "\"private/cancel\"")) {
        order_request(v, text, count, method, id);
    } else {
        other_request(v, text, count, method, id);
    }
}

/* Handles what is whole: answers wait in `out`. 0, or -ENOTCONN after the client's close. */
static int handle(wire_venue *v)
{
    while (v->start < v->scanned) {
        uint8_t *const frame = v->in + v->start;
        size_t header, count;
        (void)frame_of(frame, v->scanned - v->start, &header, &count);
        uint8_t *const payload = frame + header;
        if (frame[1] & 0x80) {
            uint8_t mask[8];
            memcpy(mask, payload - 4, 4);
            memcpy(mask + 4, payload - 4, 4);
            uint64_t wide;
            memcpy(&wide, mask, 8);
            size_t i = 0;
            for (; i + 8 <= count; i += 8) {
                uint64_t piece;
                memcpy(&piece, payload + i, 8);
                piece ^= wide;
                memcpy(payload + i, &piece, 8);
            }
            for (; i < count; i++) {
                payload[i] ^= mask[i & 3];
            }
        }
        v->start += header + count;
        switch (frame[0] & 0x0F) {
        case 1:
            v->text_frames--;
            request(v, (const char *)payload, count);
            break;
        case 8:
            return -ENOTCONN;
        case 9: { /* a ping: its pong */
            const uint8_t head[2] = {0x8A, (uint8_t)count};
            put(v, head, 2);
            put(v, payload, count);
            break;
        }
        default:
            break;
        }
    }
    make_room(v);
    return 0;
}

/* ---- the beginning of a connection ---- */

int wire_listen(uint16_t *port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0
        || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4) != 0
        || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        const int error = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return error;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

wire_venue *wire_venue_accept(int listener, wire_tls *tls, const char *const *names, uint32_t count, int64_t timeout_ns)
{
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    const int64_t deadline = wire_now_ns() + timeout_ns;
    if (poll(&wait, 1, (int)(timeout_ns / 1000000)) <= 0) {
        return NULL;
    }
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    wire_stream stream;
    if (fd < 0 || wire_stream_open(&stream, fd, tls, true, deadline) < 0) {
        return NULL;
    }
    wire_venue *v = calloc(1, sizeof *v);
    if (v == NULL) {
        abort();
    }
    v->stream = stream;
    v->in = calloc(1, IN_BYTES);
    v->out = calloc(1, OUT_BYTES);
    v->orders = calloc(ORDERS, sizeof *v->orders);
    v->names = calloc(count, sizeof *v->names);
    v->oldest = calloc(count, sizeof *v->oldest);
    v->newest = calloc(count, sizeof *v->newest);
    if (v->in == NULL || v->out == NULL || v->orders == NULL || v->names == NULL || v->oldest == NULL
        || v->newest == NULL) {
        abort();
    }
    v->name_count = count;
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(v->names[i], NAME_BYTES, "%s", names[i]);
    }
    v->last_orders.bytes = v->last_acknowledgements.bytes = v->in;
    return v;
}

void wire_venue_free(wire_venue *v)
{
    if (v != NULL) {
        wire_stream_close(&v->stream);
        free(v->in);
        free(v->out);
        free(v->orders);
        free(v->names);
        free(v->oldest);
        free(v->newest);
        free(v);
    }
}

const char *wire_venue_problem(const wire_venue *v) { return v->problem; }

const char *wire_venue_cipher(const wire_venue *v)
{
    static _Thread_local char text[128];
    text[0] = 0;
    if (v->stream.ssl != NULL) {
        (void)snprintf(text, sizeof text, "%s %s", SSL_get_version(v->stream.ssl), SSL_get_cipher(v->stream.ssl));
    }
    return text;
}

void wire_venue_adopt(wire_venue *v, const wire_venue *other)
{
    memcpy(v->orders, other->orders, ORDERS * sizeof *v->orders);
    v->counts = other->counts;
    v->is_open = true;
    v->has_subscribed = other->has_subscribed;
    v->has_asked_orders = other->has_asked_orders;
}

/* Answers the HTTP upgrade once its head is whole; false until then. */
static bool upgrade(wire_venue *v, int *result)
{
    char *const text = (char *)v->in + v->start;
    const size_t count = v->end - v->start;
    const char *const end = memmem(text, count, "\r\n\r\n", 4);
    if (end == NULL) {
        return false;
    }
    *(char *)(v->in + v->end) = 0;
    const char *key = strcasestr(text, "\r\nSec-WebSocket-Key:");
    if (strncmp(text, "GET ", 4) != 0 || key == NULL || key > end) {
        (void)snprintf(v->problem, sizeof v->problem, "the client did not ask for a WebSocket");
        *result = -EPROTO;
        return true;
    }
    key += strlen("\r\nSec-WebSocket-Key:");
    key += strspn(key, " ");
    char joined[128];
    const size_t key_count = strcspn(key, " \r");
    if (key_count > 64) {
        *result = -EPROTO;
        return true;
    }
    (void)snprintf(joined, sizeof joined, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)key_count, key);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_count = 0;
    unsigned char accept[64];
    EVP_Digest(joined, strlen(joined), digest, &digest_count, EVP_sha1(), NULL);
    (void)EVP_EncodeBlock(accept, digest, (int)digest_count);
    put_text(v, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: ");
    put_text(v, (const char *)accept);
    put_text(v, "\r\n\r\n");
    v->start += (size_t)(end + 4 - text);
    v->scanned = v->start;
    scan(v);
    *result = flush(v);
    return true;
}

bool wire_venue_is_ready(const wire_venue *v) { return v->has_subscribed && v->has_asked_orders; }

wire_counts wire_venue_counts(const wire_venue *v) { return v->counts; }

int wire_venue_serve(wire_venue *v, int64_t quiet_ns, int64_t timeout_ns)
{
    int64_t now = wire_now_ns();
    const int64_t deadline = now + timeout_ns;
    int64_t heard = now;
    while (now - heard < quiet_ns) {
        if (now > deadline) {
            (void)snprintf(v->problem, sizeof v->problem, "the client did not come to rest in time");
            return -ETIMEDOUT;
        }
        ssize_t count;
        if (v->is_open) {
            count = receive(v);
        } else {
            count = wire_stream_read(&v->stream, v->in + v->end, IN_BYTES / 2 - v->end);
            v->end += count > 0 ? (size_t)count : 0;
            int result = 0;
            if (count > 0 && upgrade(v, &result)) {
                v->is_open = true;
                if (result < 0) {
                    return result;
                }
            }
        }
        if (count < 0) {
            return (int)count;
        }
        now = wire_now_ns();
        if (count > 0) {
            heard = now;
            const int handled = v->is_open ? handle(v) : 0;
            const int flushed = flush(v);
            if (handled < 0 || flushed < 0) {
                return handled < 0 ? handled : flushed;
            }
        } else {
            usleep(50);
        }
    }
    return 0;
}

int wire_venue_greet(wire_venue *v)
{
    memset(v->out, 0, WIRE_GREETING_BYTES);
    v->out_count = WIRE_GREETING_BYTES;
    return flush(v);
}

int wire_venue_send_text(wire_venue *v, const char *text, size_t count)
{
    const size_t payload = begin_frame(v);
    put(v, text, count);
    end_frame(v, payload);
    return flush(v);
}

/* ---- timed ---- */

/* The one timed part. `frames` whole text frames are then in [start, scanned). */
static int exchange(wire_venue *v, wire_bytes tick, uint32_t frames, int64_t timeout_ns, int64_t *out_ns)
{
    const int64_t sent = wire_now_ns();
    const int result = wire_stream_write(&v->stream, tick.bytes, tick.count);
    if (result < 0) {
        return result;
    }
    uint32_t turns = 0;
    while (true) {
        const ssize_t count = receive(v);
        if (count > 0 && v->text_frames >= frames) {
            *out_ns = wire_now_ns() - sent;
            return 0;
        }
        if (count < 0) {
            return (int)count;
        }
        if ((++turns & 1023) == 0 && wire_now_ns() - sent > timeout_ns) {
            (void)snprintf(v->problem, sizeof v->problem, "%u of %u order frames came in answer to a tick",
                           v->text_frames, frames);
            return -ETIMEDOUT;
        }
    }
}

int wire_round(wire_venue *v, const wire_round_plan *plan, int64_t *out_ns)
{
    size_t next = plan->first;
    uint32_t i = 0;
    for (bool is_last = plan->count == 0; !is_last; i++) {
        make_room(v);
        int result = exchange(v, plan->ticks[next], plan->frames, plan->timeout_ns, &out_ns[i]);
        next = next + 1 == plan->tick_count ? 0 : next + 1;
        if (result < 0) {
            return result;
        }
        v->last_orders = (wire_bytes){v->in + v->start, v->scanned - v->start};
        is_last = i + 1 == plan->count || wire_now_ns() > plan->until_ns;
        uint8_t kept[4096];
        const size_t kept_count = v->last_orders.count < sizeof kept ? v->last_orders.count : sizeof kept;
        if (is_last) {
            memcpy(kept, v->last_orders.bytes, kept_count); /* reading unmasks in place */
        }
        result = handle(v);
        if (result < 0) {
            return result;
        }
        v->last_acknowledgements = (wire_bytes){v->out, v->out_count};
        result = flush(v);
        if (result < 0) {
            return result;
        }
        if (is_last) {
            memcpy(v->in + IN_BYTES / 2, kept, kept_count);
            v->last_orders = (wire_bytes){v->in + IN_BYTES / 2, kept_count};
        }
        wire_spin_until(wire_now_ns() + plan->gap_ns);
    }
    return (int)i;
}

wire_bytes wire_last_orders(const wire_venue *v) { return v->last_orders; }
wire_bytes wire_last_acknowledgements(const wire_venue *v) { return v->last_acknowledgements; }

/* ---- open loop ---- */

int wire_open_loop(wire_venue *v, wire_message *messages, size_t count, int64_t drain_ns, wire_open_loop_result *result)
{
    *result = (wire_open_loop_result){0};
    for (uint32_t i = 0; i < v->name_count; i++) {
        v->oldest[i] = v->newest[i] = NONE;
    }
    v->messages = messages;
    v->loop = result;
    v->backlog = 0;
    v->loop_start = wire_now_ns() + 1000000;
    size_t next = 0;
    int status = 0;
    const int64_t end = v->loop_start + (count > 0 ? messages[count - 1].due_ns : 0) + drain_ns;
    while (status == 0) {
        const int64_t now = wire_now_ns();
        if (next < count && now - v->loop_start >= messages[next].due_ns) {
            const size_t first = next;
            /* What is due leaves in one write, up to what a socket takes at once. */
            while (next < count && now - v->loop_start >= messages[next].due_ns && v->out_count < 65536) {
                put(v, messages[next].frame.bytes, messages[next].frame.count);
                next++;
            }
            for (size_t i = first; i < next; i++) {
                wire_message *const m = &messages[i];
                m->answered_ns = -1;
                m->own = 0;
                const uint32_t at = m->instrument;
                if (v->oldest[at] == NONE) {
                    v->oldest[at] = (uint32_t)i;
                } else {
                    messages[v->newest[at]].next = (uint32_t)i;
                }
                v->newest[at] = (uint32_t)i;
            }
            v->backlog += next - first;
            result->largest_backlog = v->backlog > result->largest_backlog ? v->backlog : result->largest_backlog;
            result->sends++;
            status = flush(v);
            for (size_t i = first; i < next; i++) {
                messages[i].sent_ns = now - v->loop_start;
            }
        }
        const ssize_t got = receive(v);
        if (got > 0) {
            v->received_at = wire_now_ns();
            status = handle(v);
            const int flushed = flush(v);
            status = status < 0 ? status : flushed;
        } else if (got < 0) {
            status = (int)got;
        } else if (next == count && (v->backlog == 0 || now > end)) {
            break;
        }
    }
    result->duration_ns = wire_now_ns() - v->loop_start;
    v->loop = NULL;
    v->messages = NULL;
    return status;
}
