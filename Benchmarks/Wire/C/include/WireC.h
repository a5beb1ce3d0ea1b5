/* WireC.h: a thin venue that measures, and the bare echo that it is compared with.
 *
 * The venue speaks as much of Thalex's protocol as a session of the engine needs, matches nothing, and spins on
 * non-blocking sockets. Its timed part (`wire_exchange`) is the same code, on the same connection type, for the
 * engine and for the echo: what differs is only who answers.
 *
 * Threads: a venue belongs to one thread. An echo has a thread of its own. Nothing here allocates while it measures.
 * Errors:  functions that may fail return a negative errno; `wire_venue_problem` says in words what a venue met.
 */
#ifndef WIREC_H
#define WIREC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/* CLOCK_MONOTONIC. */
int64_t wire_now_ns(void);
/* Binds the calling thread to one core, or with -1 to those that this process had at its start. */
int wire_pin(int core);
/* This process is killed when its parent ends. */
void wire_die_with_parent(void);
/* Spins until then. */
void wire_spin_until(int64_t when_ns);
/* Reads the clock for so long and counts the steps above `threshold_ns`: what the machine itself takes away. */
void wire_gaps(int64_t duration_ns, int64_t threshold_ns, uint64_t *count, int64_t *largest_ns);

/* Round trip of one cache line between the calling thread and a thread on `core`, median in nanoseconds; -errno. Tells
 * whether two virtual cores are two cores at this moment, or two threads of one. */
int64_t wire_bounce_ns(int core);

/* ---- TLS 1.3, AES-128-GCM, by OpenSSL alone ---- */

typedef struct wire_tls wire_tls;
/* A server with a new key and a certificate for 127.0.0.1, which is written to `pem` with a final NUL. */
wire_tls *_Nullable wire_tls_server(char *pem, size_t capacity);
/* A client that verifies nothing: for the echo. */
wire_tls *_Nullable wire_tls_client(void);
void wire_tls_free(wire_tls *_Nullable tls);

/* ---- the venue ---- */

typedef struct wire_venue wire_venue;

/* Listens on 127.0.0.1; `*port` 0 takes any. Returns the descriptor. */
int wire_listen(uint16_t *port);
/* Waits for one connection and completes TLS if `tls` is given. `names`: `count` instruments, each with a tick of 1 and
 * a lot of 0.001. NULL if nobody came in time. */
wire_venue *_Nullable wire_venue_accept(int listener, wire_tls *_Nullable tls,
                                        const char *const _Nonnull *_Nonnull names, uint32_t count,
                                        int64_t timeout_ns);
void wire_venue_free(wire_venue *_Nullable venue);
const char *wire_venue_problem(const wire_venue *venue);
/* For example "TLSv1.3 TLS_AES_128_GCM_SHA256", "" for plain TCP. */
const char *wire_venue_cipher(const wire_venue *venue);

/* The echo repeats a session, so its venue needs no handshake: takes over what `other` knows of its orders. */
void wire_venue_adopt(wire_venue *venue, const wire_venue *other);

/* Answers whatever the client asks until it has been quiet for `quiet_ns`, or the time is over. 0, -ETIMEDOUT, or
 * -ENOTCONN if the client is gone. */
int wire_venue_serve(wire_venue *venue, int64_t quiet_ns, int64_t timeout_ns);
/* The client has its subscriptions and has asked what rests: market data may be sent. */
bool wire_venue_is_ready(const wire_venue *venue);
/* Sends one text as a WebSocket frame. */
int wire_venue_send_text(wire_venue *venue, const char *text, size_t count);
/* Writes `text` as a WebSocket frame to `out` (10 bytes more than the text at most); returns its length. */
size_t wire_frame(uint8_t *out, const char *text, size_t count);

typedef struct wire_counts {
    uint64_t inserts, amends, cancels; /* received, each of them answered */
    uint64_t other;                    /* requests that are no orders */
    uint64_t live;                     /* orders that rest */
} wire_counts;
wire_counts wire_venue_counts(const wire_venue *venue);

typedef struct wire_bytes {
    const uint8_t *bytes;
    size_t count;
} wire_bytes;

typedef struct wire_round_plan {
    const wire_bytes *ticks; /* sent in turn, from `first` on, round and round */
    size_t tick_count;
    size_t first;
    uint32_t frames;    /* order frames that answer each tick */
    uint32_t count;     /* exchanges */
    int64_t gap_ns;     /* from the acknowledgements to the next tick */
    int64_t timeout_ns; /* for each exchange */
    int64_t until_ns;   /* CLOCK_MONOTONIC: no exchange begins after this */
} wire_round_plan;

/* `count` ticks one after the other: a stamp, send, spin until `frames` whole order frames have been received, a stamp;
 * then, not timed, the orders are read and acknowledged. `out_ns` takes the times. How many, or -errno. */
int wire_round(wire_venue *venue, const wire_round_plan *plan, int64_t *out_ns);
/* The orders' bytes of the last exchange, and the acknowledgements' that followed. Valid until the next one. */
wire_bytes wire_last_orders(const wire_venue *venue);
wire_bytes wire_last_acknowledgements(const wire_venue *venue);

/* ---- the bare echo ---- */

typedef struct wire_echo wire_echo;
/* Connects to `port` from a thread pinned to `core`, which takes the greeting and then sleeps. The venue must accept
 * and greet meanwhile. */
wire_echo *_Nullable wire_echo_start(uint16_t port, wire_tls *_Nullable tls, int core);
/* Sends what an echo takes without an answer. A receiver's kernel learns from the largest segment that it has seen when
 * to acknowledge; a session begins with a list of instruments of some kilobytes, so its stand-ins must have one too.
 * With this left out loopback is 2 us slower or faster for one of them, by chance (Linux, tcp_measure_rcv_mss). */
enum { WIRE_GREETING_BYTES = 6000 };
int wire_venue_greet(wire_venue *venue);
/* For each `tick` bytes that arrive, sends `reply`; then takes `acknowledgement` bytes and is silent. While asleep. */
void wire_echo_set(wire_echo *echo, size_t tick, wire_bytes reply, size_t acknowledgement);
/* Spins, or sleeps; returns when the thread does so. */
void wire_echo_run(wire_echo *echo, bool run);
/* Ends the thread. 0, or what it met as -errno. */
int wire_echo_stop(wire_echo *echo);

/* ---- open loop ---- */

typedef struct wire_message {
    wire_bytes frame;
    int64_t due_ns;      /* from the start */
    uint32_t instrument; /* < the venue's count */
    int32_t low, high;   /* a bid at a price of this range, ticks, has seen this message */
    int64_t sent_ns;     /* out: from the start; when its sending began */
    int64_t answered_ns; /* out: when an order that has seen this message, or a later one, was received; -1 never */
    uint32_t own;        /* out: 1 if the order was its own, 0 if a later message's order answered for it */
    uint32_t next;       /* for this code */
} wire_message;

typedef struct wire_open_loop_result {
    int64_t duration_ns;
    uint64_t orders;
    uint64_t unmatched;        /* orders that fit no message: to be 0 */
    uint64_t sends;            /* system calls that carried market data */
    uint64_t largest_backlog;  /* messages sent and not answered, at most */
} wire_open_loop_result;

/* Sends each message when it is due, whatever has been answered (what is due together leaves in one write),
 * acknowledges each order at once, and ends when all is answered or `drain_ns` after the last one. */
int wire_open_loop(wire_venue *venue, wire_message *messages, size_t count, int64_t drain_ns,
                   wire_open_loop_result *result);

#pragma clang assume_nonnull end

#endif
