/* apus_driver_internal.h: what the parts of the socket driver share. Not for Swift. */
#ifndef APUS_DRIVER_INTERNAL_H
#define APUS_DRIVER_INTERNAL_H

#include "include/apus_driver.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>

#define BUFFER_GROUP 1
#define MAX_ADDRESSES 4

/* Bits of apus_driver.attention. */
enum {
    ATTENTION_START = 1,   /* the ring is not enabled yet */
    ATTENTION_SUBMIT = 2,  /* entries are prepared */
    ATTENTION_SEND = 4,    /* connections have unsent bytes and no send in flight */
    ATTENTION_BUFFERS = 8, /* buffers were given back */
    ATTENTION_REPORT = 16, /* connections have ended and were not reported */
};

/* user_data: operation in the top byte, then slot (24 bits), then generation (32 bits). */
typedef enum operation {
    OP_WAKE = 1,
    OP_ACCEPT,
    OP_ACCEPT_RETRY,
    OP_RECEIVE,
    OP_SEND,
    OP_CONNECT,
    OP_CONNECT_LIMIT,
    OP_DEADLINE,
    OP_CANCEL,
} operation;

typedef enum slot_state {
    SLOT_FREE = 0,
    SLOT_CONNECTING,
    SLOT_OPEN,
    SLOT_CLOSING,   /* closed by the owner: output, FIN, then the peer's FIN */
    SLOT_DRAINING,  /* closed by the peer and reported: remaining output is still sent */
    SLOT_ENDING,    /* operations are being cancelled */
    SLOT_REPORTING, /* over; the last event waits to be polled */
} slot_state;

typedef struct connection {
    uint64_t head, tail; /* output ever taken by the kernel, ever queued */
    uint8_t *output;     /* mapped twice in a row */
    uint32_t generation;
    uint32_t sending;    /* bytes of the send in flight, 0 if there is none */
    uint32_t in_flight;  /* operations whose last completion is outstanding */
    int32_t fd, error;
    slot_state state;
    bool receiving, dirty, starved, timing, told, was_open, writable_wanted, fin_sent, peer_done;
    /* Only while connecting. */
    bool timed_out;
    int32_t connect_result;
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

typedef struct driver {
    apus_driver front; /* first: the public pointer points here */
    struct io_uring ring;
    unsigned cq_mask, enter_flags;
    const char *owner; /* names the thread */
    apus_driver_config config;
    uint64_t send_mask;
    connection *connections;
    uint32_t *free_slots, *dirty, *starved, *reports; /* lists of slots, max_connections each */
    uint32_t free_count, dirty_count, starved_count, report_count;
    struct io_uring_buf_ring *buffer_ring;
    uint8_t *receive_memory;
    bool *lent; /* by buffer: with the owner now */
    uint32_t lent_count;
    int returned_count; /* written behind the ring's tail, not yet published */
    uint8_t *send_memory;
    size_t buffer_ring_bytes, receive_bytes, send_bytes;
    struct __kernel_timespec close_time, retry_time;
    int listeners[APUS_DRIVER_MAX_LISTENERS];
    uint32_t listener_count;
    apus_waker *waker;
    uint64_t wake_value; /* the eventfd is read into it */
    apus_driver_counters counters;
} driver;

/* Between the parts. */

/* At least `count` free submission entries, and the next ones are published together. */
void apus_driver_reserve_(driver *d, unsigned count);
struct io_uring_sqe *apus_driver_entry_(driver *d);
apus_connection apus_driver_handle_(const driver *d, const connection *c);
/* A free slot that owns `fd` (or none yet, -1); NULL if there is none or `fd` cannot be registered. */
connection *apus_driver_take_slot_(driver *d, int fd);
/* Starts connecting to the next address. 0 or -errno. */
int apus_driver_try_address_(driver *d, connection *c);
void apus_driver_start_accept_(driver *d, uint16_t listener, bool later);
void apus_driver_start_wake_(driver *d);

#endif
