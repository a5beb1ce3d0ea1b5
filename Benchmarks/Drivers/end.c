#define _GNU_SOURCE
#include "end.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HALF_OPEN_PATIENCE 2000000 /* polls while connections are made, before giving up */

const char *const way_names[WAYS] = {"bare recv spin", "io_uring driver", "epoll driver"};

void die(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("drivers: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    exit(1);
}

/* ---- bytes on the wire ---- */

static void wire_send(end *e, uint32_t i, const uint8_t *bytes, size_t count)
{
    if (e->way != BARE) {
        if (apus_driver_send(e->driver, e->connections[i], bytes, (uint32_t)count) != 0) {
            die("a driver refused to send %zu bytes", count);
        }
        (void)apus_driver_flush(e->driver);
        return;
    }
    while (count > 0) {
        e->calls++;
        const ssize_t sent = send(e->fds[i], bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            count -= (size_t)sent;
        } else if (errno != EAGAIN) {
            die("send: %s", strerror(errno));
        }
    }
}

static void tls_flush(end *e, uint32_t i)
{
    const uint8_t *bytes;
    const size_t count = apus_tls_pending(e->sessions[i], &bytes);
    if (count > 0) {
        wire_send(e, i, bytes, count);
        apus_tls_take(e->sessions[i], count);
    }
}

static bool plain_arrived(end *e, uint32_t i, const uint8_t *bytes, uint32_t count, uint8_t *out)
{
    uint32_t *have = &e->partial_count[i];
    if (*have + count > sizeof e->partial[i]) {
        die("more bytes came than were sent");
    }
    if (count > 0) {
        memcpy(e->partial[i] + *have, bytes, count);
        *have += count;
    }
    if (*have < MESSAGE_BYTES) {
        return false;
    }
    if (out == NULL) { /* the peer was ready before us */
        e->early = true;
        return false;
    }
    memcpy(out, e->partial[i], MESSAGE_BYTES);
    *have -= MESSAGE_BYTES;
    return true;
}

/* Whether they complete a message. */
static bool arrived(end *e, uint32_t i, const uint8_t *bytes, uint32_t count, uint8_t *out)
{
    if (e->sessions[i] == NULL) {
        return plain_arrived(e, i, bytes, count, out);
    }
    if (apus_tls_feed(e->sessions[i], bytes, count) != (int)count) {
        die("TLS: %s", apus_tls_error(e->sessions[i]));
    }
    uint8_t plain[16384];
    bool complete = false;
    int read;
    while ((read = apus_tls_read(e->sessions[i], plain, sizeof plain)) > 0) {
        complete |= plain_arrived(e, i, plain, (uint32_t)read, out);
    }
    if (read < 0) {
        die("TLS: %s", apus_tls_error(e->sessions[i]));
    }
    tls_flush(e, i);
    return complete;
}

static uint32_t index_of(const end *e, apus_connection connection)
{
    if (e->is_server) {
        return apus_connection_slot(connection);
    }
    uint32_t i = 0;
    while (i < e->count && e->connections[i] != connection) {
        i++;
    }
    return i;
}

/* ---- messages ---- */

void end_send(end *e, uint32_t i, const uint8_t *bytes)
{
    if (e->sessions[i] == NULL) {
        wire_send(e, i, bytes, MESSAGE_BYTES);
        return;
    }
    if (apus_tls_write(e->sessions[i], bytes, MESSAGE_BYTES) != 0) {
        die("TLS: %s", apus_tls_error(e->sessions[i]));
    }
    tls_flush(e, i);
}

uint32_t end_receive(end *e, uint8_t *out)
{
    uint32_t complete = UINT32_MAX;
    if (e->early) {
        e->early = false;
        for (uint32_t i = 0; i < e->count; i++) {
            if (e->partial_count[i] >= MESSAGE_BYTES) {
                (void)plain_arrived(e, i, NULL, 0, out);
                return i;
            }
        }
    }
    if (e->way == BARE) {
        uint8_t bytes[16384];
        for (uint32_t i = 0; complete == UINT32_MAX; i = i + 1 == e->count ? 0 : i + 1) {
            e->calls++;
            const ssize_t got = recv(e->fds[i], bytes, sizeof bytes, MSG_DONTWAIT);
            if (got == 0 || (got < 0 && errno != EAGAIN)) {
                die("recv: %s", got == 0 ? "closed" : strerror(errno));
            }
            if (got > 0 && arrived(e, i, bytes, (uint32_t)got, out)) {
                complete = i;
            }
        }
        return complete;
    }
    apus_driver_event events[16];
    while (complete == UINT32_MAX) {
        const int count = apus_driver_poll(e->driver, events, 16, e->wait_ns);
        for (int n = 0; n < count; n++) {
            if (events[n].kind != APUS_DRIVER_RECEIVED) {
                die("a connection ended early");
            }
            const uint32_t i = index_of(e, events[n].connection);
            if (arrived(e, i, events[n].bytes, events[n].count, out)) {
                complete = i;
            }
            apus_driver_release(e->driver, &events[n]);
        }
        if (count < 0) {
            die("poll: %s", strerror(-count));
        }
    }
    return complete;
}

uint64_t end_calls(const end *e)
{
    if (e->way == BARE) {
        return e->calls;
    }
    apus_driver_counters counters;
    apus_driver_read_counters(e->driver, &counters);
    return counters.enters;
}

/* ---- making and ending connections ---- */

static void make_driver(end *e)
{
    const apus_driver_config config = {
        .max_connections = MOST_CONNECTIONS,
        .send_buffer_bytes = 16384,
        .receive_buffer_bytes = 16384,
        .receive_buffer_count = 64,
        .kind = e->way == EPOLL ? APUS_DRIVER_EPOLL : APUS_DRIVER_IO_URING,
    };
    const int result = apus_driver_create(&config, &e->driver);
    if (result < 0) {
        char text[512];
        apus_driver_explain_create(result, text, sizeof text);
        die("%s", text);
    }
}

void end_listen(end *e, way way, int64_t wait_ns, apus_tls_context *context)
{
    memset(e, 0, sizeof *e);
    e->way = way;
    e->is_server = true;
    e->wait_ns = wait_ns;
    e->context = context;
    if (way != BARE) {
        make_driver(e);
        if (apus_driver_listen(e->driver, "127.0.0.1", 0, &e->port) < 0) {
            die("could not listen on 127.0.0.1");
        }
        return;
    }
    e->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    if (bind(e->listener, (struct sockaddr *)&address, bytes) != 0 || listen(e->listener, MOST_CONNECTIONS) != 0
        || getsockname(e->listener, (struct sockaddr *)&address, &bytes) != 0) {
        die("could not listen on 127.0.0.1: %s", strerror(errno));
    }
    e->port = ntohs(address.sin_port);
}

static void make_session(end *e, uint32_t i)
{
    if (e->context != NULL && apus_tls_create(e->context, e->is_server ? NULL : "127.0.0.1", &e->sessions[i]) != 0) {
        die("could not make a TLS session");
    }
    if (e->context != NULL) {
        tls_flush(e, i);
    }
}

static bool all_secure(const end *e)
{
    for (uint32_t i = 0; i < e->count; i++) {
        if (e->sessions[i] != NULL && apus_tls_get_state(e->sessions[i]) != APUS_TLS_READY) {
            return false;
        }
    }
    return true;
}

/* Polls a driver until `count` connections are up and, over TLS, secure. */
static void settle(end *e, uint32_t count)
{
    uint32_t up = 0;
    apus_driver_event events[16];
    for (int i = 0; i < HALF_OPEN_PATIENCE && !(up == count && all_secure(e)); i++) {
        const int n = apus_driver_poll(e->driver, events, 16, 1000000);
        for (int k = 0; k < n; k++) {
            const uint32_t index = index_of(e, events[k].connection);
            if (events[k].kind == APUS_DRIVER_RECEIVED) {
                (void)arrived(e, index, events[k].bytes, events[k].count, NULL);
                apus_driver_release(e->driver, &events[k]);
            } else if (events[k].kind == APUS_DRIVER_ACCEPTED || events[k].kind == APUS_DRIVER_CONNECTED) {
                e->connections[index] = events[k].connection;
                e->count = e->is_server ? e->count + 1 : e->count;
                make_session(e, index);
                up++;
            } else if (events[k].kind != APUS_DRIVER_WRITABLE) {
                die("a connection could not be made: %s", strerror(events[k].error));
            }
        }
    }
    if (up != count || !all_secure(e)) {
        die("the connections were not made in time");
    }
}

/* The same for bare sockets, which exist already. */
static void settle_bare(end *e)
{
    const int on = 1;
    for (uint32_t i = 0; i < e->count; i++) {
        (void)setsockopt(e->fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        make_session(e, i);
    }
    uint8_t bytes[16384];
    while (!all_secure(e)) {
        for (uint32_t i = 0; i < e->count; i++) {
            const ssize_t got = recv(e->fds[i], bytes, sizeof bytes, MSG_DONTWAIT);
            if (got > 0) {
                (void)arrived(e, i, bytes, (uint32_t)got, NULL);
            } else if (got == 0) {
                die("the peer closed during the TLS handshake");
            }
        }
    }
}

void end_accept(end *e, uint32_t count)
{
    if (e->way != BARE) {
        settle(e, count);
        return;
    }
    for (e->count = 0; e->count < count; e->count++) {
        e->fds[e->count] = accept4(e->listener, NULL, NULL, SOCK_CLOEXEC);
    }
    settle_bare(e);
}

void end_connect(end *e, way way, int64_t wait_ns, apus_tls_context *context, uint16_t port, uint32_t count)
{
    memset(e, 0, sizeof *e);
    e->way = way;
    e->wait_ns = wait_ns;
    e->context = context;
    e->listener = -1;
    if (way != BARE) {
        make_driver(e);
        for (e->count = 0; e->count < count; e->count++) {
            if (apus_driver_connect(e->driver, "127.0.0.1", port, NULL, 5000000000, &e->connections[e->count]) != 0) {
                die("could not connect to 127.0.0.1");
            }
        }
        settle(e, count);
        return;
    }
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (e->count = 0; e->count < count; e->count++) {
        e->fds[e->count] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(e->fds[e->count], (const struct sockaddr *)&address, sizeof address) != 0) {
            die("could not connect to 127.0.0.1: %s", strerror(errno));
        }
    }
    settle_bare(e);
}

void end_close(end *e)
{
    for (uint32_t i = 0; i < e->count; i++) {
        apus_tls_destroy(e->sessions[i]);
        if (e->way == BARE) {
            close(e->fds[i]);
        }
    }
    if (e->way == BARE && e->is_server) {
        close(e->listener);
    }
    apus_driver_destroy(e->driver);
    e->driver = NULL;
}
