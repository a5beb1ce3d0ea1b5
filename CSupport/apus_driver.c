/* apus_driver.c: the turn of the io_uring socket driver, and the life of a connection.
 *
 * A slot is free again only when no operation on it is in flight and its last event has been polled,
 * so a completion always finds the connection that it was issued for; the generation in user_data is
 * the second lock on that door. */
#define _GNU_SOURCE
#include "apus_driver_internal.h"
#include "apus_realtime.h"

#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

static bool connection_of_handle(const driver *d, apus_connection handle, connection **out)
{
    const uint32_t slot = (uint32_t)handle;
    if (slot >= d->config.max_connections) {
        return false;
    }
    connection *c = &d->connections[slot];
    *out = c;
    return c->generation == (uint32_t)(handle >> 32) && c->state != SLOT_FREE && !c->told;
}

static uint32_t slot_of(const driver *d, const connection *c) { return (uint32_t)(c - d->connections); }

static uint64_t tag_of(const driver *d, const connection *c, operation op)
{
    return (uint64_t)op << 56 | (uint64_t)slot_of(d, c) << 32 | c->generation;
}

apus_connection apus_driver_handle_(const driver *d, const connection *c)
{
    return (uint64_t)c->generation << 32 | slot_of(d, c);
}

/* ---- submission ---- */

/* Its address names the thread. The kernel's own check does not see through a registered ring: that is
 * an index into a table of the calling thread, where another driver may be at the same place. */
static _Thread_local char this_thread;

static int adopt(driver *d)
{
    /* Not io_uring_enable_rings: liburing 2.3 declares it, but its shared library does not export it. */
    const int result = io_uring_register((unsigned)d->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (result < 0) {
        return result;
    }
    /* Saves the kernel a file lookup on each entry; the driver works without it. */
    if (io_uring_register_ring_fd(&d->ring) == 1) {
        d->enter_flags = IORING_ENTER_REGISTERED_RING;
    }
    d->owner = &this_thread;
    d->front.attention &= ~(unsigned)ATTENTION_START;
    return 0;
}

/* Publishes prepared entries and enters the kernel. 0, or -errno if the ring itself is unusable. */
static int enter(driver *d, unsigned min_complete, unsigned flags, int64_t wait_ns)
{
    if (d->front.attention & ATTENTION_START) {
        const int result = adopt(d);
        if (result < 0) {
            return result;
        }
    }
    if (d->owner != &this_thread) {
        return -EEXIST;
    }
    struct io_uring_sq *sq = &d->ring.sq;
    /* Release: the kernel reads the entries after the tail. (The index array is the identity.) */
    __atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
    sq->sqe_head = sq->sqe_tail;
    const unsigned pending = sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);

    struct __kernel_timespec time = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    struct io_uring_getevents_arg argument = {.sigmask_sz = 0, .ts = (uint64_t)(uintptr_t)&time};
    d->counters.enters++;
    int result;
    apus_realtime_allow_begin();
    if (min_complete != 0) {
        result = io_uring_enter2((unsigned)d->ring.enter_ring_fd, pending, min_complete,
                                 flags | d->enter_flags | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                 (sigset_t *)(void *)&argument, sizeof argument);
    } else {
        result = io_uring_enter2((unsigned)d->ring.enter_ring_fd, pending, 0, flags | d->enter_flags, NULL, 0);
    }
    apus_realtime_allow_end();
    if (sq->sqe_tail == __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE)) {
        d->front.attention &= ~(unsigned)ATTENTION_SUBMIT;
    }
    switch (result) {
    case -ETIME: case -EINTR: case -EAGAIN: case -EBUSY:
        return 0; /* timed out, signalled, or short of memory for now: what is left goes with the next turn */
    default:
        return result < 0 ? result : 0;
    }
}

void apus_driver_reserve_(driver *d, unsigned count)
{
    for (int i = 0; io_uring_sq_space_left(&d->ring) < count; i++) {
        /* The kernel consumes entries even if the operations fail. It declines only while it has no
         * memory for requests; without entries no state here could be kept true, so give up then. */
        const int result = enter(d, 0, IORING_ENTER_GETEVENTS, 0);
        APUS_ASSERT(result == 0 && i < 1000);
        if (i > 0) {
            sched_yield();
        }
    }
}

struct io_uring_sqe *apus_driver_entry_(driver *d)
{
    apus_driver_reserve_(d, 1);
    d->front.attention |= ATTENTION_SUBMIT;
    return io_uring_get_sqe(&d->ring);
}

static struct io_uring_sqe *connection_entry(driver *d, connection *c)
{
    c->in_flight++;
    return apus_driver_entry_(d);
}

static void start_receive(driver *d, connection *c)
{
    struct io_uring_sqe *sqe = connection_entry(d, c);
    io_uring_prep_recv_multishot(sqe, (int)slot_of(d, c), NULL, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    sqe->user_data = tag_of(d, c, OP_RECEIVE);
    c->receiving = true;
}

static void mark_dirty(driver *d, connection *c)
{
    if (!c->dirty) {
        c->dirty = true;
        d->dirty[d->dirty_count++] = slot_of(d, c);
        d->front.attention |= ATTENTION_SEND;
    }
}

/* One send for each connection that has bytes and none in flight. */
static void start_sends(driver *d)
{
    for (uint32_t i = 0; i < d->dirty_count; i++) {
        connection *c = &d->connections[d->dirty[i]];
        c->dirty = false;
        struct io_uring_sqe *sqe = connection_entry(d, c);
        c->sending = (uint32_t)(c->tail - c->head);
        io_uring_prep_send(sqe, (int)slot_of(d, c), c->output + (c->head & d->send_mask), c->sending, MSG_NOSIGNAL);
        sqe->flags |= IOSQE_FIXED_FILE;
        sqe->user_data = tag_of(d, c, OP_SEND);
    }
    d->dirty_count = 0;
    d->front.attention &= ~(unsigned)ATTENTION_SEND;
}

/* ---- provided buffers ---- */

static void give_back(driver *d, uint16_t buffer)
{
    io_uring_buf_ring_add(d->buffer_ring, d->receive_memory + (size_t)buffer * d->config.receive_buffer_bytes,
                          d->config.receive_buffer_bytes, buffer, (int)d->config.receive_buffer_count - 1,
                          d->returned_count);
    d->returned_count++;
    d->front.attention |= ATTENTION_BUFFERS;
}

static void publish_buffers(driver *d)
{
    io_uring_buf_ring_advance(d->buffer_ring, d->returned_count);
    d->returned_count = 0;
    d->front.attention &= ~(unsigned)ATTENTION_BUFFERS;
    /* All of them: any one may be the one with data. */
    const uint32_t count = d->starved_count;
    d->starved_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        connection *c = &d->connections[d->starved[i]];
        c->starved = false;
        start_receive(d, c);
    }
}

/* ---- the end of a connection ---- */

static void remove_from(uint32_t *list, uint32_t *count, uint32_t slot)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        if (list[i] != slot) {
            list[kept++] = list[i];
        }
    }
    *count = kept;
}

static void free_slot(driver *d, connection *c)
{
    c->state = SLOT_FREE;
    c->generation = c->generation == UINT32_MAX ? 1 : c->generation + 1;
    d->free_slots[d->free_count++] = slot_of(d, c);
}

/* Nothing is in flight any more. */
static void dispose(driver *d, connection *c)
{
    if (c->fd >= 0) {
        apus_realtime_allow_begin();
        const int none = -1;
        (void)io_uring_register_files_update(&d->ring, slot_of(d, c), &none, 1);
        close(c->fd);
        apus_realtime_allow_end();
        c->fd = -1;
    }
    if (c->told) {
        free_slot(d, c);
    } else {
        c->state = SLOT_REPORTING;
        d->reports[d->report_count++] = slot_of(d, c);
        d->front.attention |= ATTENTION_REPORT;
    }
}

/* Stops everything on `c`; its slot follows when the kernel has let go. */
static void end(driver *d, connection *c, int error)
{
    if (c->state >= SLOT_ENDING) {
        return;
    }
    c->state = SLOT_ENDING;
    c->error = error;
    if (c->starved) {
        c->starved = false;
        remove_from(d->starved, &d->starved_count, slot_of(d, c));
    }
    if (c->dirty) {
        c->dirty = false;
        remove_from(d->dirty, &d->dirty_count, slot_of(d, c));
    }
    if (error != 0 && c->fd >= 0) {
        /* Not orderly: the peer is to see a reset, and the kernel keeps no output. */
        const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    if (c->in_flight > (c->timing ? 1u : 0u)) {
        struct io_uring_sqe *sqe = connection_entry(d, c);
        io_uring_prep_cancel_fd(sqe, (int)slot_of(d, c), IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD_FIXED);
        sqe->user_data = tag_of(d, c, OP_CANCEL);
    }
    if (c->timing) {
        struct io_uring_sqe *sqe = connection_entry(d, c);
        io_uring_prep_cancel64(sqe, tag_of(d, c, OP_DEADLINE), 0);
        sqe->user_data = tag_of(d, c, OP_CANCEL);
    }
    if (c->in_flight == 0) {
        dispose(d, c);
    }
}

static void start_deadline(driver *d, connection *c)
{
    struct io_uring_sqe *sqe = connection_entry(d, c);
    io_uring_prep_timeout(sqe, &d->close_time, 0, 0);
    sqe->user_data = tag_of(d, c, OP_DEADLINE);
    c->timing = true;
}

/* Everything queued has been taken by the kernel, on a connection that is going away. */
static void output_done(driver *d, connection *c)
{
    if (c->state == SLOT_DRAINING || c->peer_done) {
        end(d, c, 0);
    } else if (!c->fin_sent) {
        c->fin_sent = true;
        if (shutdown(c->fd, SHUT_WR) != 0) {
            end(d, c, errno);
        }
    }
}

/* ---- completions; each yields at most one event ---- */

static int tell(driver *d, connection *c, apus_driver_event_kind kind, int error, apus_driver_event *event)
{
    *event = (apus_driver_event){.connection = apus_driver_handle_(d, c), .kind = kind, .error = error};
    if (kind == APUS_DRIVER_CLOSED || kind == APUS_DRIVER_CONNECT_FAILED) {
        c->told = true;
    }
    return 1;
}

static int failed(driver *d, connection *c, int error, apus_driver_event *event)
{
    /* The owner hears at once while it still uses the connection; after its own close, once at the end. */
    const int count = c->state == SLOT_OPEN ? tell(d, c, APUS_DRIVER_CLOSED, error, event) : 0;
    end(d, c, error);
    return count;
}

static int received(driver *d, connection *c, const struct io_uring_cqe *cqe, apus_driver_event *event)
{
    c->receiving = (cqe->flags & IORING_CQE_F_MORE) != 0;
    const uint16_t buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    const bool has_buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0;
    const bool wanted = c->state == SLOT_OPEN || (c->state == SLOT_CLOSING && !c->peer_done);
    int count = 0;
    if (cqe->res > 0 && has_buffer && c->state == SLOT_OPEN) {
        d->lent[buffer] = true;
        d->lent_count++;
        count = tell(d, c, APUS_DRIVER_RECEIVED, 0, event);
        event->bytes = d->receive_memory + (size_t)buffer * d->config.receive_buffer_bytes;
        event->count = (uint32_t)cqe->res;
        event->buffer = buffer;
    } else if (has_buffer) {
        give_back(d, buffer);
    }
    switch (cqe->res) {
    case 0:
        if (c->state == SLOT_OPEN) {
            count = tell(d, c, APUS_DRIVER_CLOSED, 0, event);
            c->state = SLOT_DRAINING;
            if (c->tail == c->head) {
                end(d, c, 0);
            } else {
                start_deadline(d, c);
            }
        } else if (c->state == SLOT_CLOSING) {
            c->peer_done = true;
            if (c->tail == c->head) {
                end(d, c, 0);
            }
        }
        return count;
    case -ENOBUFS:
        d->counters.buffer_exhausted++;
        if (wanted && d->lent_count == d->config.receive_buffer_count) {
            c->starved = true;
            d->starved[d->starved_count++] = slot_of(d, c);
            return 0;
        }
        break;
    case -EAGAIN: case -EINTR:
        break;
    default:
        if (cqe->res < 0) {
            return wanted ? failed(d, c, -cqe->res, event) : 0;
        }
    }
    if (!c->receiving && wanted) {
        start_receive(d, c);
    }
    return count;
}

static int sent(driver *d, connection *c, int result, apus_driver_event *event)
{
    const uint32_t asked = c->sending;
    c->sending = 0;
    if (c->state >= SLOT_ENDING) {
        return 0;
    }
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
        return failed(d, c, -result, event);
    }
    if (result < (int)asked) {
        d->counters.short_sends++;
    }
    c->head += result > 0 ? (uint64_t)result : 0;
    const uint64_t used = c->tail - c->head;
    if (used != 0) {
        mark_dirty(d, c);
    } else if (c->state != SLOT_OPEN) {
        output_done(d, c);
        return 0;
    }
    if (c->writable_wanted && c->state == SLOT_OPEN && used <= (d->send_mask + 1) / 2) {
        c->writable_wanted = false;
        return tell(d, c, APUS_DRIVER_WRITABLE, 0, event);
    }
    return 0;
}

/* Both the connect and its time limit have completed. */
static int connect_settled(driver *d, connection *c, apus_driver_event *event)
{
    if (c->connect_result == 0) {
        c->state = SLOT_OPEN;
        c->was_open = true;
        start_receive(d, c);
        return tell(d, c, APUS_DRIVER_CONNECTED, 0, event);
    }
    int error = c->timed_out ? ETIMEDOUT : -c->connect_result;
    while (c->address_next < c->address_count) {
        const int result = apus_driver_try_address_(d, c);
        if (result == 0) {
            return 0;
        }
        error = -result;
    }
    c->state = SLOT_ENDING;
    return tell(d, c, APUS_DRIVER_CONNECT_FAILED, error, event);
}

static int connection_completed(driver *d, const struct io_uring_cqe *cqe, operation op, apus_driver_event *event)
{
    const uint32_t slot = (uint32_t)(cqe->user_data >> 32) & 0xFFFFFF;
    connection *c = &d->connections[slot];
    if (slot >= d->config.max_connections || c->generation != (uint32_t)cqe->user_data || c->in_flight == 0) {
        d->counters.stale_completions++;
        if (cqe->flags & IORING_CQE_F_BUFFER) {
            give_back(d, (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT));
        }
        return 0;
    }
    /* A connection that ends inside a handler waits for this completion to be settled below. */
    const bool more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    int count = 0;
    switch (op) {
    case OP_RECEIVE:
        count = received(d, c, cqe, event);
        break;
    case OP_SEND:
        count = sent(d, c, cqe->res, event);
        break;
    case OP_CONNECT:
        c->connect_result = cqe->res;
        break;
    case OP_CONNECT_LIMIT:
        c->timed_out = cqe->res == -ETIME;
        break;
    case OP_DEADLINE:
        c->timing = false;
        if (cqe->res == -ETIME && (c->state == SLOT_CLOSING || c->state == SLOT_DRAINING)) {
            end(d, c, c->tail != c->head ? ETIMEDOUT : 0);
        }
        break;
    case OP_CANCEL:
        if (c->in_flight > 1 && cqe->res == -EALREADY) {
            (void)shutdown(c->fd, SHUT_RDWR); /* it was running: let it end by itself */
        }
        break;
    default:
        break;
    }
    if (!more) {
        c->in_flight--;
    }
    if (c->in_flight == 0 && c->state == SLOT_CONNECTING) {
        count = connect_settled(d, c, event);
    }
    if (c->in_flight == 0 && c->state == SLOT_ENDING) {
        dispose(d, c);
    }
    return count;
}

connection *apus_driver_take_slot_(driver *d, int fd)
{
    if (d->free_count == 0) {
        return NULL;
    }
    connection *c = &d->connections[d->free_slots[d->free_count - 1]];
    if (fd >= 0 && io_uring_register_files_update(&d->ring, slot_of(d, c), &fd, 1) != 1) {
        return NULL;
    }
    d->free_count--;
    const uint32_t generation = c->generation;
    uint8_t *const output = c->output;
    *c = (connection){.generation = generation, .output = output, .fd = fd};
    return c;
}

static int accepted(driver *d, const struct io_uring_cqe *cqe, apus_driver_event *event)
{
    const uint16_t listener = (uint16_t)(cqe->user_data >> 32);
    if (listener >= d->listener_count) {
        return 0;
    }
    int count = 0;
    bool later = false;
    if (cqe->res >= 0) {
        connection *c = apus_driver_take_slot_(d, cqe->res);
        if (c == NULL) {
            d->counters.accept_refused++;
            close(cqe->res);
        } else {
            /* TCP_NODELAY is inherited from the listening socket. */
            c->state = SLOT_OPEN;
            c->was_open = true;
            start_receive(d, c);
            count = tell(d, c, APUS_DRIVER_ACCEPTED, 0, event);
            event->listener = listener;
        }
    } else if ((cqe->user_data >> 56) == OP_ACCEPT) {
        d->counters.accept_errors++;
        /* Out of descriptors or memory: wait a little instead of spinning on it. */
        later = cqe->res != -ECONNABORTED && cqe->res != -EINTR && cqe->res != -EAGAIN;
    }
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        apus_driver_start_accept_(d, listener, later);
    }
    return count;
}

static int completed(driver *d, const struct io_uring_cqe *cqe, apus_driver_event *event)
{
    const operation op = (operation)(cqe->user_data >> 56);
    switch (op) {
    case OP_WAKE:
        /* Acquire, pairs with the exchange in apus_waker_wake: after this poll the owner sees what was
         * published before any wake that was merged into this one. */
        (void)__atomic_exchange_n(&d->waker->pending, 0, __ATOMIC_ACQ_REL);
        apus_driver_start_wake_(d);
        return 0;
    case OP_ACCEPT: case OP_ACCEPT_RETRY:
        return accepted(d, cqe, event);
    default:
        return connection_completed(d, cqe, op, event);
    }
}

/* ---- the owner's calls ---- */

int apus_driver_turn(apus_driver *front, apus_driver_event *events, uint32_t max, int64_t wait_ns)
{
    driver *d = (driver *)front;
    struct io_uring_cq *cq = &d->ring.cq;
    if (d->returned_count != 0) {
        publish_buffers(d);
    }
    start_sends(d);
    const unsigned flags = __atomic_load_n(d->front.sq_flags, __ATOMIC_RELAXED) & d->front.attention_mask;
    const bool ready = __atomic_load_n(d->front.cq_tail, __ATOMIC_ACQUIRE) != d->front.cq_head;
    const bool sleep = wait_ns > 0 && !ready && d->report_count == 0;
    if ((d->front.attention & (ATTENTION_SUBMIT | ATTENTION_START)) || flags != 0 || sleep) {
        const int result = enter(d, sleep ? 1 : 0, flags != 0 ? IORING_ENTER_GETEVENTS : 0, wait_ns);
        if (result < 0) {
            return result;
        }
    }
    /* Acquire, pairs with the kernel's release of the completions below the tail. */
    const unsigned tail = __atomic_load_n(d->front.cq_tail, __ATOMIC_ACQUIRE);
    uint32_t count = 0;
    while (count < max && d->front.cq_head != tail) {
        const struct io_uring_cqe cqe = cq->cqes[d->front.cq_head & d->cq_mask];
        d->front.cq_head++;
        count += (uint32_t)completed(d, &cqe, &events[count]);
    }
    /* Release: the kernel may overwrite what we have copied. */
    __atomic_store_n(cq->khead, d->front.cq_head, __ATOMIC_RELEASE);
    uint32_t reported = 0;
    while (count < max && reported < d->report_count) {
        connection *c = &d->connections[d->reports[reported++]];
        count += (uint32_t)tell(d, c, c->was_open ? APUS_DRIVER_CLOSED : APUS_DRIVER_CONNECT_FAILED, c->error,
                                &events[count]);
        free_slot(d, c);
    }
    if (reported != 0) {
        d->report_count -= reported;
        memmove(d->reports, d->reports + reported, d->report_count * sizeof *d->reports);
    }
    if (d->report_count == 0) {
        d->front.attention &= ~(unsigned)ATTENTION_REPORT;
    }
    return (int)count;
}

int apus_driver_flush(apus_driver *front)
{
    driver *d = (driver *)front;
    start_sends(d);
    return d->front.attention & ATTENTION_SUBMIT ? enter(d, 0, 0, 0) : 0;
}

void apus_driver_release(apus_driver *front, const apus_driver_event *event)
{
    driver *d = (driver *)front;
    APUS_ASSERT(event->kind == APUS_DRIVER_RECEIVED && event->buffer < d->config.receive_buffer_count
                && d->lent[event->buffer]);
    d->lent[event->buffer] = false;
    d->lent_count--;
    give_back(d, event->buffer);
}

int apus_driver_send_space(apus_driver *front, apus_connection handle, uint8_t **out, uint32_t *capacity)
{
    driver *d = (driver *)front;
    connection *c;
    if (!connection_of_handle(d, handle, &c) || c->state != SLOT_OPEN) {
        *out = NULL;
        *capacity = 0;
        return -ENOTCONN;
    }
    /* The buffer is mapped twice in a row, so free space is always contiguous. */
    *out = c->output + (c->tail & d->send_mask);
    *capacity = (uint32_t)(d->send_mask + 1 - (c->tail - c->head));
    return 0;
}

int apus_driver_commit(apus_driver *front, apus_connection handle, uint32_t count)
{
    driver *d = (driver *)front;
    connection *c;
    if (!connection_of_handle(d, handle, &c) || c->state != SLOT_OPEN) {
        return -ENOTCONN;
    }
    APUS_ASSERT(count <= d->send_mask + 1 - (c->tail - c->head));
    c->tail += count;
    if (c->tail - c->head > (d->send_mask + 1) / 2) {
        c->writable_wanted = true;
    }
    if (count != 0 && c->sending == 0) {
        mark_dirty(d, c);
    }
    return 0;
}

int apus_driver_send(apus_driver *front, apus_connection handle, const uint8_t *bytes, uint32_t count)
{
    driver *d = (driver *)front;
    uint8_t *space;
    uint32_t capacity;
    const int result = apus_driver_send_space(front, handle, &space, &capacity);
    if (result < 0) {
        return result;
    }
    if (count > capacity) {
        if (count > d->send_mask + 1) {
            return -EMSGSIZE;
        }
        d->connections[(uint32_t)handle].writable_wanted = true;
        return -ENOBUFS;
    }
    memcpy(space, bytes, count);
    return apus_driver_commit(front, handle, count);
}

int apus_driver_close(apus_driver *front, apus_connection handle)
{
    driver *d = (driver *)front;
    connection *c;
    if (!connection_of_handle(d, handle, &c)) {
        return -ENOTCONN;
    }
    if (c->state == SLOT_CONNECTING) {
        end(d, c, ECANCELED);
    } else if (c->state == SLOT_OPEN) {
        c->state = SLOT_CLOSING;
        start_deadline(d, c);
        if (c->tail == c->head) {
            output_done(d, c);
        }
    }
    return 0;
}

int apus_driver_abort(apus_driver *front, apus_connection handle)
{
    driver *d = (driver *)front;
    connection *c;
    if (!connection_of_handle(d, handle, &c)) {
        return -ENOTCONN;
    }
    end(d, c, c->state == SLOT_CONNECTING ? ECANCELED : ECONNABORTED);
    return 0;
}

uint32_t apus_driver_unsent(const apus_driver *front, apus_connection handle)
{
    connection *c;
    return connection_of_handle((const driver *)front, handle, &c) ? (uint32_t)(c->tail - c->head) : 0;
}

uint32_t apus_driver_connection_count(const apus_driver *front)
{
    const driver *d = (const driver *)front;
    return d->config.max_connections - d->free_count;
}

void apus_driver_read_counters(const apus_driver *front, apus_driver_counters *out)
{
    *out = ((const driver *)front)->counters;
}
