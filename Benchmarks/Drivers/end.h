/* end.h: one end of a loopback echo: bare sockets or a socket driver, plain or over TLS. One thread owns an end. */
#ifndef END_H
#define END_H

#include "apus_driver.h"
#include "apus_tls.h"

#define MOST_CONNECTIONS 64
#define MESSAGE_BYTES 300

typedef enum way { BARE, IO_URING, EPOLL, WAYS } way;
extern const char *const way_names[WAYS];

typedef struct end {
    way way;
    bool is_server;
    int64_t wait_ns; /* 0 spins; else how long the driver may sleep at a time */
    apus_driver *driver;
    int listener; /* bare */
    uint16_t port;
    uint32_t count; /* connections */
    int fds[MOST_CONNECTIONS];                     /* bare */
    apus_connection connections[MOST_CONNECTIONS]; /* driver; index by order of connecting at the client, by slot at
                                                      the server */
    apus_tls_context *context;
    apus_tls *sessions[MOST_CONNECTIONS]; /* NULL: plain */
    uint8_t partial[MOST_CONNECTIONS][2 * MESSAGE_BYTES]; /* a message that is not complete */
    uint32_t partial_count[MOST_CONNECTIONS];
    bool early; /* one became complete while connections were being made */
    uint64_t calls;                       /* bare: system calls; a driver counts its own */
} end;

/* Opens the server's listener; `context` NULL for plain. */
void end_listen(end *e, way way, int64_t wait_ns, apus_tls_context *context);
/* The server's side and the client's side of making `count` connections; both return when all are up. */
void end_accept(end *e, uint32_t count);
void end_connect(end *e, way way, int64_t wait_ns, apus_tls_context *context, uint16_t port, uint32_t count);
void end_close(end *e);

/* Sends MESSAGE_BYTES on one connection. */
void end_send(end *e, uint32_t connection, const uint8_t *bytes);
/* Waits for MESSAGE_BYTES on any connection and copies them to `out`; the connection. */
uint32_t end_receive(end *e, uint8_t *out);
/* System calls made on the way of messages. */
uint64_t end_calls(const end *e);

/* Ends the program with one line. */
_Noreturn void die(const char *format, ...);

#endif
