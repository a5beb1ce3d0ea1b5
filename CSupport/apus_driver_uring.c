/* apus_driver_uring.c: the turn over io_uring: multishot receives into provided buffers, one send in flight a
 * connection, and nothing asked of the kernel while its words in user space say that nothing has happened. */
#define _GNU_SOURCE
#include "apus_driver_internal.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_GROUP 1

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

static uint64_t tag_of(const driver *d, const connection *c, operation op)
{
    return (uint64_t)op << 56 | (uint64_t)slot_of(d, c) << 32 | c->generation;
}

/* ---- submission ---- */

static int adopt(driver *d)
{
    /* Not io_uring_enable_rings: liburing 2.3 declares it, but its shared library does not export it. */
    const int result = io_uring_register((unsigned)d->uring.ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (result < 0) {
        return result;
    }
    /* Saves the kernel a file lookup on each entry; the driver works without it. */
    if (io_uring_register_ring_fd(&d->uring.ring) == 1) {
        d->uring.enter_flags = IORING_ENTER_REGISTERED_RING;
    }
    d->owner = &apus_driver_this_thread_;
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
    if (d->owner != &apus_driver_this_thread_) {
        return -EEXIST;
    }
    struct io_uring_sq *sq = &d->uring.ring.sq;
    /* Release: the kernel reads the entries after the tail. (The index array is the identity.) */
    __atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
    sq->sqe_head = sq->sqe_tail;
    const unsigned pending = sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);

    struct __kernel_timespec time = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    struct io_uring_getevents_arg argument = {.sigmask_sz = 0, .ts = (uint64_t)(uintptr_t)&time};
    const unsigned ring_fd = (unsigned)d->uring.ring.enter_ring_fd;
    d->counters.enters++;
    int result;
    apus_realtime_allow_begin();
    if (min_complete != 0) {
        result = io_uring_enter2(ring_fd, pending, min_complete,
                                 flags | d->uring.enter_flags | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                 (sigset_t *)(void *)&argument, sizeof argument);
    } else {
        result = io_uring_enter2(ring_fd, pending, 0, flags | d->uring.enter_flags, NULL, 0);
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

/* At least `count` free submission entries, and the next ones are published together. */
static void reserve(driver *d, unsigned count)
{
    for (int i = 0; io_uring_sq_space_left(&d->uring.ring) < count; i++) {
        /* The kernel consumes entries even if the operations fail. It declines only while it has no
         * memory for requests; without entries no state here could be kept true, so give up then. */
        const int result = enter(d, 0, IORING_ENTER_GETEVENTS, 0);
        APUS_ASSERT(result == 0 && i < 1000);
        if (i > 0) {
            sched_yield();
        }
    }
}

static struct io_uring_sqe *entry(driver *d)
{
    reserve(d, 1);
    d->front.attention |= ATTENTION_SUBMIT;
    return io_uring_get_sqe(&d->uring.ring);
}

static struct io_uring_sqe *connection_entry(driver *d, connection *c)
{
    c->in_flight++;
    return entry(d);
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

static void start_deadline(driver *d, connection *c)
{
    struct io_uring_sqe *sqe = connection_entry(d, c);
    io_uring_prep_timeout(sqe, &d->uring.close_time, 0, 0);
    sqe->user_data = tag_of(d, c, OP_DEADLINE);
    c->timing = true;
}

static void start_accept_now_or_later(driver *d, uint16_t listener, bool later)
{
    struct io_uring_sqe *sqe = entry(d);
    if (later) {
        io_uring_prep_timeout(sqe, &d->uring.retry_time, 0, 0);
    } else {
        io_uring_prep_multishot_accept(sqe, d->listeners[listener], NULL, NULL, SOCK_CLOEXEC);
    }
    sqe->user_data = (uint64_t)(later ? OP_ACCEPT_RETRY : OP_ACCEPT) << 56 | (uint64_t)listener << 32;
}

static int start_accept(driver *d, uint16_t listener)
{
    start_accept_now_or_later(d, listener, false);
    return 0;
}

static void start_wake(driver *d)
{
    struct io_uring_sqe *sqe = entry(d);
    io_uring_prep_read(sqe, d->waker->fd, &d->uring.wake_value, sizeof d->uring.wake_value, 0);
    sqe->user_data = (uint64_t)OP_WAKE << 56;
}

static int adopt_socket(driver *d, connection *c, int fd)
{
    const int result = io_uring_register_files_update(&d->uring.ring, slot_of(d, c), &fd, 1);
    return result == 1 ? 0 : result < 0 ? result : -EIO;
}

static void forget_socket(driver *d, connection *c)
{
    const int none = -1;
    (void)io_uring_register_files_update(&d->uring.ring, slot_of(d, c), &none, 1);
}

static int start_connect(driver *d, connection *c, const union address *address, socklen_t bytes)
{
    const int result = adopt_socket(d, c, c->fd);
    if (result < 0) {
        return result;
    }
    c->connect_time.tv_sec = c->connect_timeout_ns / 1000000000;
    c->connect_time.tv_nsec = c->connect_timeout_ns % 1000000000;
    c->timed_out = false;
    c->in_flight += 2;
    reserve(d, 2); /* a link must not be cut in two by a submission */
    struct io_uring_sqe *sqe = entry(d);
    io_uring_prep_connect(sqe, (int)slot_of(d, c), &address->any, bytes);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK;
    sqe->user_data = tag_of(d, c, OP_CONNECT);
    sqe = entry(d);
    io_uring_prep_link_timeout(sqe, &c->connect_time, 0);
    sqe->user_data = tag_of(d, c, OP_CONNECT_LIMIT);
    return 0;
}

/* Cancels what is in flight. */
static bool stop(driver *d, connection *c)
{
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
    return c->in_flight == 0;
}

/* ---- provided buffers ---- */

static void give_back(driver *d, uint16_t buffer)
{
    io_uring_buf_ring_add(d->uring.buffer_ring, d->receive_memory + (size_t)buffer * d->config.receive_buffer_bytes,
                          d->config.receive_buffer_bytes, buffer, (int)d->config.receive_buffer_count - 1,
                          d->uring.returned_count);
    d->uring.returned_count++;
    d->front.attention |= ATTENTION_BUFFERS;
}

static void publish_buffers(driver *d)
{
    io_uring_buf_ring_advance(d->uring.buffer_ring, d->uring.returned_count);
    d->uring.returned_count = 0;
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

/* ---- completions; each yields at most one event ---- */

static int failed(driver *d, connection *c, int error, apus_driver_event *event)
{
    /* The owner hears at once while it still uses the connection; after its own close, once at the end. */
    const int count = c->state == SLOT_OPEN ? tell(d, c, APUS_DRIVER_CLOSED, error, event) : 0;
    apus_driver_end_(d, c, error);
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
        count = lend(d, c, buffer, (uint32_t)cqe->res, event);
    } else if (has_buffer) {
        give_back(d, buffer);
    }
    switch (cqe->res) {
    case 0:
        return apus_driver_peer_done_(d, c, event);
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
    if (c->tail != c->head) {
        mark_dirty(d, c);
    } else if (c->state != SLOT_OPEN) {
        apus_driver_output_done_(d, c);
        return 0;
    }
    return has_room_again(d, c) ? tell(d, c, APUS_DRIVER_WRITABLE, 0, event) : 0;
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
    return apus_driver_connect_missed_(d, c, c->timed_out ? ETIMEDOUT : -c->connect_result, event);
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
            apus_driver_end_(d, c, c->tail != c->head ? ETIMEDOUT : 0);
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
        apus_driver_dispose_(d, c);
    }
    return count;
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
        count = apus_driver_accepted_(d, listener, cqe->res, event);
        if (count != 0) {
            start_receive(d, &d->connections[apus_connection_slot(event->connection)]);
        }
    } else if ((cqe->user_data >> 56) == OP_ACCEPT) {
        d->counters.accept_errors++;
        /* Out of descriptors or memory: wait a little instead of spinning on it. */
        later = cqe->res != -ECONNABORTED && cqe->res != -EINTR && cqe->res != -EAGAIN;
    }
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        start_accept_now_or_later(d, listener, later);
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
        start_wake(d);
        return 0;
    case OP_ACCEPT: case OP_ACCEPT_RETRY:
        return accepted(d, cqe, event);
    default:
        return connection_completed(d, cqe, op, event);
    }
}

/* ---- the turn ---- */

static int turn(driver *d, apus_driver_event *events, uint32_t max, int64_t wait_ns)
{
    struct io_uring_cq *cq = &d->uring.ring.cq;
    if (d->uring.returned_count != 0) {
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
        const struct io_uring_cqe cqe = cq->cqes[d->front.cq_head & d->uring.cq_mask];
        d->front.cq_head++;
        count += (uint32_t)completed(d, &cqe, &events[count]);
    }
    /* Release: the kernel may overwrite what we have copied. */
    __atomic_store_n(cq->khead, d->front.cq_head, __ATOMIC_RELEASE);
    if (d->report_count != 0) {
        count += apus_driver_report_(d, events + count, max - count);
    }
    return (int)count;
}

static int flush(driver *d)
{
    start_sends(d);
    return d->front.attention & ATTENTION_SUBMIT ? enter(d, 0, 0, 0) : 0;
}

/* ---- set-up ---- */

static uint32_t power_of_two_from(uint64_t value)
{
    uint64_t power = 1;
    while (power < value) {
        power *= 2;
    }
    return (uint32_t)power;
}

static int set_up(driver *d)
{
    uring_part *u = &d->uring;
    const uint32_t connections = d->config.max_connections, buffers = d->config.receive_buffer_count;
    u->ring.ring_fd = -1;
    u->close_time.tv_sec = d->config.close_timeout_ns / 1000000000;
    u->close_time.tv_nsec = d->config.close_timeout_ns % 1000000000;
    u->retry_time.tv_nsec = 100000000;
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG
            | IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = power_of_two_from(4 * (uint64_t)connections + buffers + 128),
    };
    int result = io_uring_queue_init_params(power_of_two_from(2 * (uint64_t)connections + 64), &u->ring, &parameters);
    if (result < 0) {
        u->ring.ring_fd = -1;
        return result == -EINVAL ? -EOPNOTSUPP : result;
    }
    for (unsigned i = 0; i < *u->ring.sq.kring_entries; i++) {
        u->ring.sq.array[i] = i;
    }
    u->cq_mask = *u->ring.cq.kring_entries - 1;
    d->front.cq_tail = u->ring.cq.ktail;
    d->front.sq_flags = u->ring.sq.kflags;
    d->front.cq_head = *u->ring.cq.khead;
    d->front.attention_mask = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    d->front.attention = ATTENTION_START;

    /* A profile may let us make a ring and not let us enter it. A ring that is not enabled says EBADFD. */
    result = io_uring_enter2((unsigned)u->ring.ring_fd, 0, 0, 0, NULL, 0);
    if (result < 0 && result != -EBADFD) {
        return result;
    }
    result = io_uring_register_files_sparse(&u->ring, connections);
    if (result < 0) {
        return result == -EINVAL ? -EOPNOTSUPP : result;
    }
    u->buffer_ring_bytes = buffers * sizeof(struct io_uring_buf);
    void *memory = mmap(NULL, u->buffer_ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                        -1, 0);
    if (memory == MAP_FAILED) {
        return -ENOMEM;
    }
    u->buffer_ring = memory;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)u->buffer_ring,
        .ring_entries = buffers,
        .bgid = BUFFER_GROUP,
    };
    result = io_uring_register_buf_ring(&u->ring, &registration, 0);
    if (result < 0) {
        return result == -EINVAL ? -EOPNOTSUPP : result;
    }
    io_uring_buf_ring_init(u->buffer_ring);
    for (uint32_t i = 0; i < buffers; i++) {
        io_uring_buf_ring_add(u->buffer_ring, d->receive_memory + (size_t)i * d->config.receive_buffer_bytes,
                              d->config.receive_buffer_bytes, (uint16_t)i, (int)buffers - 1, (int)i);
    }
    io_uring_buf_ring_advance(u->buffer_ring, (int)buffers);
    start_wake(d);
    return 0;
}

static void tear_down(driver *d)
{
    if (d->uring.ring.ring_fd >= 0) {
        io_uring_queue_exit(&d->uring.ring);
        d->uring.ring.ring_fd = -1;
    }
    if (d->uring.buffer_ring != NULL) {
        munmap(d->uring.buffer_ring, d->uring.buffer_ring_bytes);
        d->uring.buffer_ring = NULL;
    }
}

const driver_kind apus_driver_uring_ = {
    .name = APUS_DRIVER_IO_URING,
    .set_up = set_up,
    .tear_down = tear_down,
    .turn = turn,
    .flush = flush,
    .give_back = give_back,
    .adopt_socket = adopt_socket,
    .start_connect = start_connect,
    .start_accept = start_accept,
    .start_deadline = start_deadline,
    .stop = stop,
    .forget_socket = forget_socket,
};
