/* apus_driver_internal.h: what the parts of the socket driver share. Not for Swift.
 *
 * apus_driver.c        what both kinds have in common: handles, output, ends, events
 * apus_driver_uring.c  the turn over io_uring
 * apus_driver_epoll.c  the turn over epoll; its system calls are in apus_driver_calls.h
 * apus_driver_setup.c  the cold side: memory, addresses, listening, connecting, waking
 */
#ifndef APUS_DRIVER_INTERNAL_H
#define APUS_DRIVER_INTERNAL_H

#include "include/apus_driver.h"
#include "include/apus_realtime.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>

#define MAX_ADDRESSES 4

/* Bits of apus_driver.attention. */
enum {
    ATTENTION_START = 1,   /* not bound to a thread yet */
    ATTENTION_SUBMIT = 2,  /* io_uring: entries are prepared */
    ATTENTION_SEND = 4,    /* connections have unsent bytes and no send in flight */
    ATTENTION_BUFFERS = 8, /* buffers were given back */
    ATTENTION_REPORT = 16, /* connections have ended and were not reported */
    ATTENTION_ALWAYS = 32, /* epoll: only a system call can tell */
};

typedef enum slot_state {
    SLOT_FREE = 0,
    SLOT_CONNECTING,
    SLOT_OPEN,
    SLOT_CLOSING,   /* closed by the owner: output, FIN, then the peer's FIN */
    SLOT_DRAINING,  /* closed by the peer and reported: remaining output is still sent */
    SLOT_ENDING,    /* io_uring: operations are being cancelled */
    SLOT_REPORTING, /* over; the last event waits to be polled */
} slot_state;

typedef struct connection {
    uint64_t head, tail; /* output ever taken by the kernel, ever queued */
    uint8_t *output;     /* mapped twice in a row */
    uint32_t generation;
    uint32_t sending;    /* bytes that the kernel has been asked to take, 0 if there are none */
    uint32_t in_flight;  /* io_uring: operations whose last completion is outstanding */
    int32_t fd, error;
    slot_state state;
    bool dirty, starved, timing, told, was_open, writable_wanted, fin_sent, peer_done;
    bool receiving;      /* io_uring: a multishot receive is in flight */
    /* epoll. */
    bool ready;          /* on the list of those that may have something for us */
    bool readable;       /* not read until the kernel had no more */
    bool hung_up;        /* a FIN or an error follows what can be read */
    bool sendable;       /* the kernel has room again for what it did not take */
    bool settled;        /* connecting: the kernel has an outcome */
    int64_t deadline_ns; /* CLOCK_MONOTONIC; valid while `timing` */
    /* Only while connecting. */
    bool timed_out;
    int32_t connect_result;
    int64_t connect_timeout_ns;
    struct __kernel_timespec connect_time;
    uint8_t address_count, address_next;
    bool has_local;
    union address {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addresses[MAX_ADDRESSES], local;
} connection;

struct apus_waker {
    uint32_t references; /* atomic */
    uint32_t pending;    /* atomic: a wake has been written and not been seen */
    int fd;              /* eventfd */
};

typedef struct driver driver;

/* What a kind of driver does in its own way. Each returns 0 or -errno unless it says otherwise. */
typedef struct driver_kind {
    apus_driver_kind name;
    int (*set_up)(driver *d);
    void (*tear_down)(driver *d); /* also after a set_up that failed or was never called */
    int (*turn)(driver *d, apus_driver_event *events, uint32_t max, int64_t wait_ns);
    int (*flush)(driver *d);
    void (*give_back)(driver *d, uint16_t buffer);
    int (*adopt_socket)(driver *d, connection *c, int fd); /* an accepted socket gets this slot */
    int (*start_connect)(driver *d, connection *c, const union address *address, socklen_t bytes);
    int (*start_accept)(driver *d, uint16_t listener);
    void (*start_deadline)(driver *d, connection *c);
    bool (*stop)(driver *d, connection *c); /* whether nothing is in flight any more */
    void (*forget_socket)(driver *d, connection *c); /* before it is closed */
} driver_kind;

extern const driver_kind apus_driver_uring_, apus_driver_epoll_;

typedef struct uring_part {
    struct io_uring ring;
    unsigned cq_mask, enter_flags;
    struct io_uring_buf_ring *buffer_ring;
    size_t buffer_ring_bytes;
    int returned_count; /* written behind the buffer ring's tail, not yet published */
    struct __kernel_timespec close_time, retry_time;
    uint64_t wake_value; /* the eventfd is read into it */
} uring_part;

typedef struct epoll_part {
    int fd;
    unsigned quiet_word;        /* what the front part looks at instead of the kernel's words */
    bool millisecond_waits;     /* this kernel has no epoll_pwait2 */
    uint32_t *ready, *timers, *open; /* lists of slots */
    uint32_t ready_count, timer_count, open_count;
    uint32_t turns_to_wait;     /* receiving turns until the set is asked again */
    int64_t next_deadline_ns;   /* not after any of `timers` and of the listeners; INT64_MAX if there is none */
    uint16_t *free_buffers;     /* a stack: the one used last is in the cache */
    uint32_t free_buffer_count;
    uint8_t *discard;           /* what nobody wants is received here */
    bool accepting[APUS_DRIVER_MAX_LISTENERS]; /* not accepted from until the kernel had no more */
    bool retrying[APUS_DRIVER_MAX_LISTENERS];  /* out of descriptors or memory until `retry_at_ns` */
    int64_t retry_at_ns[APUS_DRIVER_MAX_LISTENERS];
} epoll_part;

struct driver {
    apus_driver front; /* first: the public pointer points here */
    const driver_kind *kind;
    int refusal;
    const char *owner; /* names the thread */
    apus_driver_config config;
    uint64_t send_mask;
    connection *connections;
    uint32_t *free_slots, *dirty, *starved, *reports; /* lists of slots, max_connections each */
    uint32_t free_count, dirty_count, starved_count, report_count;
    uint8_t *receive_memory;
    bool *lent; /* by buffer: with the owner now */
    uint32_t lent_count;
    uint8_t *send_memory;
    size_t receive_bytes, send_bytes;
    int listeners[APUS_DRIVER_MAX_LISTENERS];
    uint32_t listener_count;
    apus_waker *waker;
    apus_driver_counters counters;
    union {
        uring_part uring;
        epoll_part epoll;
    };
};

/* ---- between the parts ---- */

static inline uint32_t slot_of(const driver *d, const connection *c) { return (uint32_t)(c - d->connections); }

static inline apus_connection handle_of(const driver *d, const connection *c)
{
    return (uint64_t)c->generation << 32 | slot_of(d, c);
}

/* Its address names the thread. io_uring's own check does not see through a registered ring: that is
 * an index into a table of the calling thread, where another driver may be at the same place. */
extern _Thread_local char apus_driver_this_thread_;

static inline void mark_dirty(driver *d, connection *c)
{
    if (!c->dirty) {
        c->dirty = true;
        d->dirty[d->dirty_count++] = slot_of(d, c);
        d->front.attention |= ATTENTION_SEND;
    }
}

/* Writes an event of `c`; returns 1. */
static inline int tell(driver *d, connection *c, apus_driver_event_kind kind, int error, apus_driver_event *event)
{
    *event = (apus_driver_event){.connection = handle_of(d, c), .kind = kind, .error = error};
    if (kind == APUS_DRIVER_CLOSED || kind == APUS_DRIVER_CONNECT_FAILED) {
        c->told = true;
    }
    return 1;
}

/* Writes the RECEIVED event of a buffer, which is the owner's from now on; returns 1. */
static inline int lend(driver *d, connection *c, uint16_t buffer, uint32_t count, apus_driver_event *event)
{
    d->lent[buffer] = true;
    d->lent_count++;
    (void)tell(d, c, APUS_DRIVER_RECEIVED, 0, event);
    event->bytes = d->receive_memory + (size_t)buffer * d->config.receive_buffer_bytes;
    event->count = count;
    event->buffer = buffer;
    return 1;
}

/* Output has been taken. Whether the owner is to be told that there is room again. */
static inline bool has_room_again(const driver *d, connection *c)
{
    if (!c->writable_wanted || c->state != SLOT_OPEN || c->tail - c->head > (d->send_mask + 1) / 2) {
        return false;
    }
    c->writable_wanted = false;
    return true;
}

void apus_driver_remove_(uint32_t *list, uint32_t *count, uint32_t slot);
/* Stops everything on `c`; its slot follows when the kernel has let go. */
void apus_driver_end_(driver *d, connection *c, int error);
/* Nothing is in flight any more: the socket is closed, and the end is to be reported if it was not. */
void apus_driver_dispose_(driver *d, connection *c);
/* Everything queued has been taken by the kernel, on a connection that is going away. */
void apus_driver_output_done_(driver *d, connection *c);
/* The peer has sent its FIN. The number of events written, 0 or 1. */
int apus_driver_peer_done_(driver *d, connection *c, apus_driver_event *event);
/* An accepted socket; it is closed and counted if there is no slot for it. The number of events written. */
int apus_driver_accepted_(driver *d, uint16_t listener, int fd, apus_driver_event *event);
/* Writes the last events of connections that are over, at most `max`; how many. */
uint32_t apus_driver_report_(driver *d, apus_driver_event *events, uint32_t max);
/* A free slot that owns `fd` (or none yet, -1); NULL if there is none or `fd` cannot be adopted. */
connection *apus_driver_take_slot_(driver *d, int fd);
/* Starts connecting to the next address. 0 or -errno. */
int apus_driver_try_address_(driver *d, connection *c);
/* An attempt has failed with `error` > 0: the next address, or the CONNECT_FAILED event. The number of events. */
int apus_driver_connect_missed_(driver *d, connection *c, int error, apus_driver_event *event);

#endif
