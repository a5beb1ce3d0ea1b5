/* apus_driver.h: TCP sockets through io_uring or epoll, for clients and servers. The owner polls; nothing calls back.
 *
 * Kinds:     io_uring by choice: an idle turn costs nothing, and stays so with many connections. epoll where
 *            io_uring is forbidden or too old. Events, handles and errors are the same.
 * Ownership: apus_driver_create allocates everything; nothing allocates afterwards, except name
 *            resolution inside apus_driver_connect. Destroy closes every socket at once.
 * Threads:   one thread owns a driver. The first call of apus_driver_poll or apus_driver_flush binds
 *            it to the calling thread; another thread's is refused, and until then it may be moved. Only apus_waker_wake may be called from other threads.
 * Handles:   every connection that was asked for or accepted ends with exactly one CLOSED or
 *            CONNECT_FAILED event. From then on its handle is stale and is refused everywhere, also
 *            after its slot has been given to a new connection.
 * Kernel:    io_uring needs 6.1 or later (deferred task work, multishot receive, provided-buffer rings).
 */
#ifndef APUS_DRIVER_H
#define APUS_DRIVER_H

#include "apus_base.h"

#include <stdalign.h>

#if defined(__clang__)
/* Not inline, yet without locks, allocation or metadata: may be called from Swift's @_noLocks functions. */
#define APUS_DRIVER_CALL __attribute__((swift_attr("@_noLocks")))
#else
#define APUS_DRIVER_CALL
#endif

/* Generation in the upper half, slot in the lower: never 0 for a connection. */
typedef uint64_t apus_connection APUS_NEWTYPE(ConnectionHandle);

/* The slot, 0 ..< max_connections: an index for the owner's own table. It is not used again before
 * the CLOSED or CONNECT_FAILED event of this connection has been polled. */
APUS_HOT uint32_t apus_connection_slot(apus_connection connection)
{
    return (uint32_t)connection;
}

typedef enum APUS_CLOSED_ENUM APUS_NAME(SocketDriverKind) apus_driver_kind {
    APUS_DRIVER_AUTO APUS_NAME(automatic) = 0, /* io_uring, or epoll if the system does not let us have it */
    APUS_DRIVER_IO_URING APUS_NAME(ioUring),
    APUS_DRIVER_EPOLL APUS_NAME(epoll),
} apus_driver_kind;

/* A field that is 0 takes the default in brackets. */
typedef struct APUS_NAME(SocketDriverConfiguration) apus_driver_config {
    uint32_t max_connections;      /* [16] 1 ... 8192, open, opening and closing ones together */
    uint32_t receive_buffer_bytes; /* [16 KiB] 64 ... 1 MiB each */
    uint32_t receive_buffer_count; /* [256] a power of two, 2 ... 32768, shared by all connections */
    uint32_t send_buffer_bytes;    /* [256 KiB] 1 ... 16 MiB for each connection, rounded up to a power of two of at
                                      least 4 KiB; all together at most 4 GiB */
    apus_driver_kind kind;         /* [auto] */
    int64_t close_timeout_ns;      /* [1 s] > 0: how long an orderly close may wait for the peer */
} apus_driver_config;

typedef enum APUS_CLOSED_ENUM APUS_NAME(SocketEventKind) apus_driver_event_kind {
    APUS_DRIVER_CONNECTED APUS_NAME(connected) = 0,
    APUS_DRIVER_CONNECT_FAILED APUS_NAME(connectFailed), /* `error`: errno; ECANCELED if the owner gave up */
    APUS_DRIVER_ACCEPTED APUS_NAME(accepted),            /* `listener` */
    APUS_DRIVER_RECEIVED APUS_NAME(received),            /* `bytes`, `count` > 0; to be released */
    APUS_DRIVER_WRITABLE APUS_NAME(writable),            /* at most half of the send buffer is used again */
    APUS_DRIVER_CLOSED APUS_NAME(closed),                /* `error`: 0 if orderly, ECONNABORTED after abort, ETIMEDOUT
                                                            if output was still unsent at the close timeout */
} apus_driver_event_kind;

/* 32 bytes, plain data. */
typedef struct APUS_NAME(SocketEvent) apus_driver_event {
    apus_connection connection;
    const uint8_t *APUS_NULLABLE bytes; /* RECEIVED only: valid until released, also after CLOSED */
    uint32_t count;
    int32_t error;
    apus_driver_event_kind kind;
    uint16_t buffer;   /* RECEIVED only: token for apus_driver_release */
    uint16_t listener; /* ACCEPTED only */
} apus_driver_event;
static_assert(sizeof(apus_driver_event) == 32, "two events a cache line");

/* Since creation; for telemetry and tests. */
typedef struct APUS_NAME(SocketDriverCounters) apus_driver_counters {
    uint64_t enters;            /* system calls made to send, receive, accept, submit, reap or wait */
    uint64_t short_sends;       /* sends that the kernel took only in part, or not at once */
    uint64_t buffer_exhausted;  /* receives that found no provided buffer */
    uint64_t accept_refused;    /* accepted and closed at once: no free slot */
    uint64_t accept_errors;     /* accept failed (for example EMFILE) and was tried again later */
    uint64_t stale_completions; /* completions for a connection that no longer exists: expected 0 */
} apus_driver_counters;

/* The front part of a driver, visible so that an idle turn stays inline. With epoll there is always attention: only a
 * system call can tell whether something has arrived. */
typedef struct apus_driver {
    alignas(APUS_CACHE_LINE) const unsigned *APUS_NONNULL cq_tail; /* the kernel writes it */
    const unsigned *APUS_NONNULL sq_flags;                         /* the kernel writes it */
    unsigned cq_head;                                              /* completions seen */
    unsigned attention_mask;                                       /* flags for which the kernel wants to be entered */
    uint32_t attention;                                            /* not 0: user-space work is waiting */
} apus_driver;

/* 0 with *out, or -errno: -EINVAL (configuration out of range), -ENOMEM, -EMFILE, and if io_uring was asked for by
 * name -ENOSYS, -EPERM or -EACCES (not available) or -EOPNOTSUPP (kernel too old). apus_driver_explain_create says
 * what to do. Cold. */
int apus_driver_create(const apus_driver_config *APUS_NONNULL config, apus_driver *APUS_NULLABLE *APUS_NONNULL out);

/* What it became: never APUS_DRIVER_AUTO. Any thread. */
apus_driver_kind apus_driver_kind_of(const apus_driver *APUS_NONNULL driver);
/* Why `auto` did not become io_uring: the -errno of the refusal; 0 if it did or was not asked for. Any thread. */
int apus_driver_refusal(const apus_driver *APUS_NONNULL driver);

/* Closes every socket and frees everything. Pending output is dropped. Any thread, after the owner has
 * let go. NULL is fine. Cold. */
void apus_driver_destroy(apus_driver *APUS_NULLABLE driver);

/* One sentence for an operator about a failed create, listen or connect; `error` is the negative
 * return value. NUL-terminated, cut to `capacity`. Any thread. Cold. */
void apus_driver_explain_create(int error, char *APUS_NONNULL out, size_t capacity);
/* The same about apus_driver_refusal: that epoll is used, why, and what to change. */
void apus_driver_explain_refusal(int error, char *APUS_NONNULL out, size_t capacity);
void apus_driver_explain_listen(int error, const char *APUS_NONNULL host, uint16_t port, char *APUS_NONNULL out,
                                size_t capacity);
/* `error` as returned by connect (negative) or as in CONNECT_FAILED (positive). */
void apus_driver_explain_connect(int error, const char *APUS_NONNULL host, uint16_t port, char *APUS_NONNULL out,
                                 size_t capacity);

/* Listens on a numeric IPv4 or IPv6 address; port 0 lets the kernel choose. Returns the listener's
 * number (0 ..< 8) and the port, or -errno: -EINVAL (not a numeric address), -ENOSPC (8 listeners
 * already), -EADDRINUSE, -EACCES ... Cold. */
#define APUS_DRIVER_MAX_LISTENERS 8
int apus_driver_listen(apus_driver *APUS_NONNULL driver, const char *APUS_NONNULL host, uint16_t port,
                       uint16_t *APUS_NULLABLE bound_port);

/* Starts a connection; its outcome is an event. `host` is a name or an address; a name is resolved
 * here, blocking, and up to 4 addresses are tried in turn, each for `timeout_ns` > 0. `local_host`,
 * if given, is the numeric local address to connect from. 0 with *out, or -errno: -ENOSPC (no free slot),
 * -ENOENT (unknown name), -EAGAIN (resolver unavailable), -EINVAL (local_host, timeout) ... Cold. */
int apus_driver_connect(apus_driver *APUS_NONNULL driver, const char *APUS_NONNULL host, uint16_t port,
                        const char *APUS_NULLABLE local_host, int64_t timeout_ns, apus_connection *APUS_NONNULL out);

/* Orderly: pending output is sent, then FIN, then the peer's FIN is awaited, all within close_timeout_ns.
 * Nothing more is received or accepted for sending. 0, or -ENOTCONN if the handle is stale. Cold. */
int apus_driver_close(apus_driver *APUS_NONNULL driver, apus_connection connection);

/* At once: pending output is dropped, the peer sees a reset. 0, or -ENOTCONN. Cold. */
int apus_driver_abort(apus_driver *APUS_NONNULL driver, apus_connection connection);

/* The work behind apus_driver_poll; may be called directly. */
APUS_DRIVER_CALL int apus_driver_turn(apus_driver *APUS_NONNULL driver, apus_driver_event *APUS_NONNULL events,
                                      uint32_t max, int64_t wait_ns);

/* Whether a poll would find nothing, without asking the kernel: looks at two words shared with it and one of our
 * own. Never true with epoll. */
APUS_HOT bool apus_driver_idle(const apus_driver *APUS_NONNULL driver)
{
    /* Acquire, pairs with the kernel's release of the completions below the tail. Relaxed for the
     * flags: they only say that it is worth entering the kernel. */
    return (driver->attention
            | (__atomic_load_n(driver->cq_tail, __ATOMIC_ACQUIRE) - driver->cq_head)
            | (__atomic_load_n(driver->sq_flags, __ATOMIC_RELAXED) & driver->attention_mask)) == 0;
}

/* Submits what is pending and writes up to `max` > 0 events. Returns how many, or a negative errno if
 * the ring or the epoll set itself failed (-EEXIST: polled from a second thread). `wait_ns` 0: never blocks, and
 * with io_uring enters the kernel only if there is something to submit or to reap; > 0: may sleep that long,
 * ends early with the first event, a wake or a signal (possibly with 0 events). */
APUS_HOT int apus_driver_poll(apus_driver *APUS_NONNULL driver, apus_driver_event *APUS_NONNULL events, uint32_t max,
                              int64_t wait_ns)
{
    if (APUS_LIKELY(wait_ns == 0 && apus_driver_idle(driver))) {
        return 0;
    }
    return apus_driver_turn(driver, events, max, wait_ns);
}

/* Gives a RECEIVED event's buffer back. Each exactly once (a second time traps). Never enters the
 * kernel; the buffers given back since the last poll become usable with the next one. */
APUS_DRIVER_CALL void apus_driver_release(apus_driver *APUS_NONNULL driver,
                                          const apus_driver_event *APUS_NONNULL event);

/* Sending. Bytes are queued in the connection's own buffer and leave with the next flush or poll; one
 * send is in flight at a time and what is queued meanwhile leaves together.
 * -ENOTCONN: stale, not yet connected, or closing. -ENOBUFS: not enough room, nothing was queued; a
 * WRITABLE event will follow. -EMSGSIZE: larger than the whole buffer. */

/* Where to write next and how many bytes fit there, contiguously; 0 or -ENOTCONN. */
APUS_DRIVER_CALL int apus_driver_send_space(apus_driver *APUS_NONNULL driver, apus_connection connection,
                                            uint8_t *APUS_NULLABLE *APUS_NONNULL out, uint32_t *APUS_NONNULL capacity);
/* Queues the first `count` bytes written there; traps if that is more than the capacity was. */
APUS_DRIVER_CALL int apus_driver_commit(apus_driver *APUS_NONNULL driver, apus_connection connection, uint32_t count);
/* Queues a copy. */
APUS_DRIVER_CALL int apus_driver_send(apus_driver *APUS_NONNULL driver, apus_connection connection,
                                      const uint8_t *APUS_NONNULL bytes, uint32_t count);
/* Submits now. 0 or -errno as from poll. */
APUS_DRIVER_CALL int apus_driver_flush(apus_driver *APUS_NONNULL driver);

/* Bytes queued and not yet taken by the kernel; 0 for a stale handle. */
uint32_t apus_driver_unsent(const apus_driver *APUS_NONNULL driver, apus_connection connection);
/* Connections that hold a slot, closing ones included. */
uint32_t apus_driver_connection_count(const apus_driver *APUS_NONNULL driver);
void apus_driver_read_counters(const apus_driver *APUS_NONNULL driver, apus_driver_counters *APUS_NONNULL out);

/* Wakes the owner from a waiting poll. Counted separately from the driver, so that a waker may outlive
 * it. A wake that nobody waits for is consumed by a later poll: look at the queues after every poll. */
typedef struct apus_waker apus_waker;
/* A new reference. Cold. */
apus_waker *APUS_NONNULL apus_driver_waker(apus_driver *APUS_NONNULL driver);
/* Any thread. Wakes that the owner has not seen yet are merged: then it costs one atomic exchange. */
void apus_waker_wake(apus_waker *APUS_NONNULL waker);
void apus_waker_release(apus_waker *APUS_NONNULL waker);

#endif
