/* apus_driver_epoll.c: the turn over epoll, for systems that do not let us have io_uring.
 *
 * Edge-triggered: a socket is registered once, for both directions, and the set is never changed again; level-triggered
 * would need a system call for each time that output gets stuck and each time that buffers run out. The price: what has
 * not been read to the end must be remembered here, in the list of ready connections.
 *
 * A spinning owner with few connections does not ask the set at all, but receives from each socket in each turn, and asks
 * the set only every few turns: one system call fewer on the way of a message. With more connections (FEW_CONNECTIONS) that
 * costs more than the one epoll_wait that tells which of them has something. */
#define _GNU_SOURCE
#include "apus_driver_calls.h"

#include <stdlib.h>

/* Measured on loopback, 300 B each way, both ends spinning: Benchmarks/Drivers. */
#define FEW_CONNECTIONS 1
#define TURNS_BETWEEN_WAITS 16
#define EVENTS_A_WAIT 64
#define DISCARD_BYTES 16384
#define DISCARDS_A_TURN 8
#define RETRY_NS 100000000
#define BOTH_WAYS (EPOLLIN | EPOLLOUT | EPOLLRDHUP)

/* Tags of what is not a connection, in the slot's half; a generation is never 0. */
#define TAG_WAKE UINT32_MAX
#define TAG_LISTENER 0x80000000u

/* ---- what is ready ---- */

static void mark_ready(driver *d, connection *c)
{
    if (!c->ready) {
        c->ready = true;
        d->epoll.ready[d->epoll.ready_count++] = slot_of(d, c);
    }
}

/* The earliest of all time limits. */
static void find_next_deadline(driver *d)
{
    epoll_part *e = &d->epoll;
    e->next_deadline_ns = INT64_MAX;
    for (uint32_t i = 0; i < e->timer_count; i++) {
        const int64_t deadline = d->connections[e->timers[i]].deadline_ns;
        e->next_deadline_ns = deadline < e->next_deadline_ns ? deadline : e->next_deadline_ns;
    }
    for (uint32_t i = 0; i < d->listener_count; i++) {
        if (e->retrying[i] && e->retry_at_ns[i] < e->next_deadline_ns) {
            e->next_deadline_ns = e->retry_at_ns[i];
        }
    }
}

static void set_deadline(driver *d, connection *c, int64_t after_ns)
{
    c->deadline_ns = call_clock() + after_ns;
    if (!c->timing) {
        c->timing = true;
        d->epoll.timers[d->epoll.timer_count++] = slot_of(d, c);
    }
    if (c->deadline_ns < d->epoll.next_deadline_ns) {
        d->epoll.next_deadline_ns = c->deadline_ns;
    }
}

static void clear_deadline(driver *d, connection *c)
{
    if (c->timing) {
        c->timing = false;
        apus_driver_remove_(d->epoll.timers, &d->epoll.timer_count, slot_of(d, c));
        find_next_deadline(d); /* while there is none, no turn reads a clock */
    }
}

/* The connection begins to end. */
static void start_deadline(driver *d, connection *c)
{
    set_deadline(d, c, d->config.close_timeout_ns);
    if (c->starved) { /* what still comes is dropped, which needs no buffer */
        c->starved = false;
        apus_driver_remove_(d->starved, &d->starved_count, slot_of(d, c));
        mark_ready(d, c);
    }
}

static void add_open(driver *d, connection *c) { d->epoll.open[d->epoll.open_count++] = slot_of(d, c); }

static bool stop(driver *d, connection *c)
{
    clear_deadline(d, c);
    if (c->was_open) {
        apus_driver_remove_(d->epoll.open, &d->epoll.open_count, slot_of(d, c));
    }
    if (c->ready) {
        c->ready = false;
        apus_driver_remove_(d->epoll.ready, &d->epoll.ready_count, slot_of(d, c));
    }
    return true; /* nothing is ever in flight */
}

static void forget_socket(driver *d, connection *c)
{
    (void)d; /* closing it takes it out of the set */
    (void)c;
}

static int adopt_socket(driver *d, connection *c, int fd) { return call_watch(d, fd, BOTH_WAYS, handle_of(d, c)); }

static int start_connect(driver *d, connection *c, const union address *address, socklen_t bytes)
{
    c->settled = false;
    const int started = call_connect(d, c->fd, &address->any, bytes);
    if (started < 0 && started != -EINPROGRESS) {
        /* At once; yet it is to be an event, as later ones are. */
        c->connect_result = started;
        c->settled = true;
        mark_ready(d, c);
        return 0;
    }
    /* Only now: a socket that is not connecting yet counts as hung up. */
    const int result = call_watch(d, c->fd, BOTH_WAYS, handle_of(d, c));
    if (result == 0) {
        set_deadline(d, c, c->connect_timeout_ns);
    }
    return result;
}

static int start_accept(driver *d, uint16_t listener)
{
    return call_watch(d, d->listeners[listener], EPOLLIN, TAG_LISTENER | listener);
}

/* ---- sending ---- */

/* Offers what is queued to the kernel. False if the connection has ended. */
static bool offer(driver *d, connection *c)
{
    const uint32_t asked = (uint32_t)(c->tail - c->head);
    const ssize_t taken = call_send(d, c->fd, c->output + (c->head & d->send_mask), asked);
    if (taken < 0 && taken != -EAGAIN && taken != -EINTR) {
        apus_driver_end_(d, c, (int)-taken);
        return false;
    }
    c->head += taken > 0 ? (uint64_t)taken : 0;
    /* What is left goes when the kernel says that there is room: an edge is certain after a short send. */
    c->sending = (uint32_t)(c->tail - c->head);
    c->sendable = c->sending != 0 && taken == -EINTR;
    if (c->sending != 0) {
        d->counters.short_sends++;
    } else if (c->state != SLOT_OPEN) {
        apus_driver_output_done_(d, c);
        return c->state != SLOT_FREE && c->state < SLOT_ENDING;
    }
    return true;
}

static void start_sends(driver *d)
{
    for (uint32_t i = 0; i < d->dirty_count; i++) {
        connection *c = &d->connections[d->dirty[i]];
        c->dirty = false;
        if (offer(d, c) && (c->writable_wanted || c->sendable)) {
            mark_ready(d, c); /* the owner may have to be told, which needs a turn */
        }
    }
    d->dirty_count = 0;
    d->front.attention &= ~(unsigned)ATTENTION_SEND;
}

/* ---- receiving ---- */

static void give_back(driver *d, uint16_t buffer) { d->epoll.free_buffers[d->epoll.free_buffer_count++] = buffer; }

static void feed_starved(driver *d)
{
    if (d->epoll.free_buffer_count == 0) {
        return;
    }
    for (uint32_t i = 0; i < d->starved_count; i++) {
        connection *c = &d->connections[d->starved[i]];
        c->starved = false;
        mark_ready(d, c);
    }
    d->starved_count = 0;
}

/* The owner has closed: whatever still comes is dropped until the peer's FIN. */
static int discard(driver *d, connection *c, apus_driver_event *event)
{
    const ssize_t got = call_receive(d, c->fd, d->epoll.discard, DISCARD_BYTES);
    c->readable = got > 0 || got == -EINTR;
    if (got == 0) {
        return apus_driver_peer_done_(d, c, event);
    }
    if (got < 0 && got != -EAGAIN && got != -EINTR) {
        apus_driver_end_(d, c, (int)-got);
    }
    return 0;
}

/* One receive. The number of events written. */
static int receive(driver *d, connection *c, apus_driver_event *event)
{
    if (c->state != SLOT_OPEN) {
        if (c->state == SLOT_CLOSING && !c->peer_done) {
            return discard(d, c, event);
        }
        c->readable = false;
        return 0;
    }
    epoll_part *e = &d->epoll;
    if (APUS_UNLIKELY(e->free_buffer_count == 0)) {
        if (!c->starved) {
            d->counters.buffer_exhausted++;
            c->starved = true;
            d->starved[d->starved_count++] = slot_of(d, c);
        }
        return 0;
    }
    const uint16_t buffer = e->free_buffers[e->free_buffer_count - 1];
    const uint32_t size = d->config.receive_buffer_bytes;
    const ssize_t got = call_receive(d, c->fd, d->receive_memory + (size_t)buffer * size, size);
    /* Less than was asked for: there is no more, and the next bytes will be an edge. A FIN that came with these
     * bytes will not: it is in the edge that they were in. */
    c->readable = got == (ssize_t)size || (got > 0 && c->hung_up) || got == -EINTR;
    if (got > 0) {
        e->free_buffer_count--;
        return lend(d, c, buffer, (uint32_t)got, event);
    }
    if (got == 0) {
        return apus_driver_peer_done_(d, c, event);
    }
    if (got != -EAGAIN && got != -EINTR) {
        apus_driver_end_(d, c, (int)-got); /* reported at the end of this turn */
    }
    return 0;
}

/* ---- connecting and accepting ---- */

static int connect_settled(driver *d, connection *c, apus_driver_event *event)
{
    clear_deadline(d, c);
    if (c->connect_result == 0) {
        c->state = SLOT_OPEN;
        c->was_open = true;
        add_open(d, c);
        return tell(d, c, APUS_DRIVER_CONNECTED, 0, event);
    }
    const int count = apus_driver_connect_missed_(d, c, -c->connect_result, event);
    if (c->state == SLOT_ENDING) {
        apus_driver_dispose_(d, c);
    }
    return count;
}

static uint32_t accept_all(driver *d, uint16_t listener, apus_driver_event *events, uint32_t max)
{
    epoll_part *e = &d->epoll;
    uint32_t count = 0;
    while (count < max && e->accepting[listener]) {
        const int fd = call_accept(d, d->listeners[listener]);
        if (fd >= 0) {
            if (apus_driver_accepted_(d, listener, fd, &events[count]) != 0) {
                add_open(d, &d->connections[apus_connection_slot(events[count].connection)]);
                count++;
            }
        } else if (fd == -EAGAIN) {
            e->accepting[listener] = false;
        } else {
            d->counters.accept_errors++;
            if (fd != -ECONNABORTED && fd != -EINTR) {
                /* Out of descriptors or memory: wait a little instead of spinning on it. */
                e->accepting[listener] = false;
                e->retrying[listener] = true;
                e->retry_at_ns[listener] = call_clock() + RETRY_NS;
                find_next_deadline(d);
            }
        }
    }
    return count;
}

/* ---- time limits ---- */

static void look_at_deadlines(driver *d, int64_t now)
{
    epoll_part *e = &d->epoll;
    /* Backwards: an entry that ends takes itself off the list, and the later ones move down. */
    for (uint32_t i = e->timer_count; i-- > 0;) {
        connection *c = &d->connections[e->timers[i]];
        if (c->deadline_ns > now) {
            continue;
        }
        if (c->state == SLOT_CONNECTING) {
            clear_deadline(d, c);
            if (!c->settled) {
                /* An owner that was late has not heard of an outcome that was in time. */
                c->connect_result = call_has_outcome(d, c->fd) ? call_outcome(d, c->fd) : -ETIMEDOUT;
                c->settled = true;
                mark_ready(d, c);
            }
        } else {
            apus_driver_end_(d, c, c->tail != c->head ? ETIMEDOUT : 0);
        }
    }
    for (uint32_t i = 0; i < d->listener_count; i++) {
        if (e->retrying[i] && e->retry_at_ns[i] <= now) {
            e->retrying[i] = false;
            e->accepting[i] = true;
        }
    }
    find_next_deadline(d);
}

/* ---- the turn ---- */

static void note_edge(driver *d, const struct epoll_event *edge)
{
    const uint32_t slot = (uint32_t)edge->data.u64, generation = (uint32_t)(edge->data.u64 >> 32);
    if (slot == TAG_WAKE) {
        call_drain(d, d->waker->fd);
        /* Acquire, pairs with the exchange in apus_waker_wake: after this poll the owner sees what was
         * published before any wake that was merged into this one. */
        (void)__atomic_exchange_n(&d->waker->pending, 0, __ATOMIC_ACQ_REL);
        return;
    }
    if (generation == 0) {
        d->epoll.accepting[slot & ~TAG_LISTENER] = true;
        return;
    }
    connection *c = &d->connections[slot];
    if (slot >= d->config.max_connections || c->generation != generation || c->state == SLOT_FREE || c->fd < 0) {
        d->counters.stale_completions++;
        return;
    }
    const uint32_t gone = EPOLLRDHUP | EPOLLHUP | EPOLLERR, out = EPOLLOUT | EPOLLHUP | EPOLLERR;
    c->readable |= (edge->events & (EPOLLIN | gone)) != 0;
    c->hung_up |= (edge->events & gone) != 0;
    if (c->state == SLOT_CONNECTING) {
        if ((edge->events & out) && !c->settled) {
            c->connect_result = call_outcome(d, c->fd);
            c->settled = true;
            mark_ready(d, c);
        }
        return;
    }
    c->sendable |= (edge->events & out) != 0 && c->sending != 0;
    if (c->readable || c->sendable) {
        mark_ready(d, c);
    }
}

/* 0 or -errno. */
static int ask(driver *d, int64_t wait_ns)
{
    struct epoll_event edges[EVENTS_A_WAIT];
    int count = call_wait(d, edges, EVENTS_A_WAIT, wait_ns);
    d->epoll.turns_to_wait = TURNS_BETWEEN_WAITS;
    if (count < 0) {
        return count == -EINTR ? 0 : count;
    }
    for (int i = 0; i < count; i++) {
        note_edge(d, &edges[i]);
    }
    return 0;
}

static bool is_alive(const connection *c) { return c->state != SLOT_FREE && c->state < SLOT_ENDING; }

/* What a ready connection has for us, at most `max` > 0 events; it stays on the list if that was not all. */
static uint32_t serve(driver *d, connection *c, apus_driver_event *events, uint32_t max)
{
    uint32_t count = 0;
    if (c->state == SLOT_CONNECTING) {
        if (!c->settled) {
            return 0;
        }
        count += (uint32_t)connect_settled(d, c, &events[count]);
        if (c->state == SLOT_CONNECTING) {
            return count; /* the next address */
        }
    }
    if (is_alive(c) && c->sendable && !offer(d, c)) {
        return count;
    }
    if (count < max && has_room_again(d, c)) {
        count += (uint32_t)tell(d, c, APUS_DRIVER_WRITABLE, 0, &events[count]);
    }
    for (uint32_t discards = 0; count < max && is_alive(c) && c->readable && !c->starved;) {
        if (c->state != SLOT_OPEN && discards++ == DISCARDS_A_TURN) {
            break;
        }
        count += (uint32_t)receive(d, c, &events[count]);
    }
    if (is_alive(c) && ((c->readable && !c->starved) || c->sendable || (c->writable_wanted && count == max))) {
        mark_ready(d, c);
    }
    return count;
}

static uint32_t serve_ready(driver *d, apus_driver_event *events, uint32_t max)
{
    epoll_part *e = &d->epoll;
    const uint32_t waiting = e->ready_count;
    uint32_t count = 0, taken = 0;
    while (taken < waiting && count < max) {
        connection *c = &d->connections[e->ready[taken]];
        e->ready[taken++] = UINT32_MAX; /* it may end in here, and is not to be found */
        c->ready = false;
        count += serve(d, c, &events[count], max - count);
    }
    e->ready_count -= taken;
    memmove(e->ready, e->ready + taken, e->ready_count * sizeof *e->ready);
    return count;
}

/* The sockets themselves are asked instead of the set. */
static void suspect_all(driver *d)
{
    for (uint32_t i = 0; i < d->epoll.open_count; i++) {
        connection *c = &d->connections[d->epoll.open[i]];
        c->readable = true;
        mark_ready(d, c);
    }
}

static bool is_accepting(const driver *d)
{
    bool any = false;
    for (uint32_t i = 0; i < d->listener_count; i++) {
        any |= d->epoll.accepting[i];
    }
    return any;
}

static int bind_to_thread(driver *d)
{
    if (d->owner == NULL) {
        d->owner = &apus_driver_this_thread_;
        d->front.attention &= ~(unsigned)ATTENTION_START;
    }
    return d->owner == &apus_driver_this_thread_ ? 0 : -EEXIST;
}

/* Asks the set, the sockets, or neither. 0 or -errno. */
static int look(driver *d, int64_t wait_ns)
{
    epoll_part *e = &d->epoll;
    if (wait_ns > 0 && (e->ready_count != 0 || d->report_count != 0 || is_accepting(d))) {
        wait_ns = 0;
    } else if (wait_ns > 0 && e->next_deadline_ns != INT64_MAX) {
        const int64_t left = e->next_deadline_ns - call_clock();
        wait_ns = left < wait_ns ? (left > 0 ? left : 0) : wait_ns;
    } else if (wait_ns == 0 && e->open_count <= FEW_CONNECTIONS) {
        suspect_all(d);
        if (--e->turns_to_wait != 0) {
            return 0;
        }
    }
    return ask(d, wait_ns);
}

static int turn(driver *d, apus_driver_event *events, uint32_t max, int64_t wait_ns)
{
    epoll_part *e = &d->epoll;
    int result = bind_to_thread(d);
    if (result < 0) {
        return result;
    }
    if (d->starved_count != 0) {
        feed_starved(d);
    }
    start_sends(d);
    result = look(d, wait_ns);
    if (result < 0) {
        return result;
    }
    if (e->next_deadline_ns != INT64_MAX) {
        const int64_t now = call_clock();
        if (now >= e->next_deadline_ns) {
            look_at_deadlines(d, now);
        }
    }
    uint32_t count = 0;
    for (uint16_t i = 0; i < d->listener_count; i++) {
        if (e->accepting[i]) {
            count += accept_all(d, i, events + count, max - count);
        }
    }
    count += serve_ready(d, events + count, max - count);
    if (d->report_count != 0) {
        count += apus_driver_report_(d, events + count, max - count);
    }
    return (int)count;
}

static int flush(driver *d)
{
    const int result = bind_to_thread(d);
    if (result == 0) {
        start_sends(d);
    }
    return result;
}

/* ---- set-up ---- */

static int set_up(driver *d)
{
    epoll_part *e = &d->epoll;
    const uint32_t connections = d->config.max_connections, buffers = d->config.receive_buffer_count;
    e->fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->fd < 0) {
        return -errno;
    }
    /* Twice: while the list is gone through, what has been served may be put on it again. */
    e->ready = calloc(2 * (size_t)connections, sizeof *e->ready);
    e->timers = calloc(connections, sizeof *e->timers);
    e->open = calloc(connections, sizeof *e->open);
    e->free_buffers = calloc(buffers, sizeof *e->free_buffers);
    e->discard = malloc(DISCARD_BYTES);
    if (!e->ready || !e->timers || !e->open || !e->free_buffers || !e->discard) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < buffers; i++) {
        e->free_buffers[i] = (uint16_t)(buffers - 1 - i);
    }
    e->free_buffer_count = buffers;
    e->next_deadline_ns = INT64_MAX;
    e->turns_to_wait = 1;
    d->front.cq_tail = &e->quiet_word;
    d->front.sq_flags = &e->quiet_word;
    d->front.attention = ATTENTION_START | ATTENTION_ALWAYS;
    return call_watch(d, d->waker->fd, EPOLLIN, TAG_WAKE);
}

static void tear_down(driver *d)
{
    epoll_part *e = &d->epoll;
    if (e->fd >= 0) {
        close(e->fd);
    }
    free(e->ready);
    free(e->timers);
    free(e->open);
    free(e->free_buffers);
    free(e->discard);
}

const driver_kind apus_driver_epoll_ = {
    .name = APUS_DRIVER_EPOLL,
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
