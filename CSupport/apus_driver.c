/* apus_driver.c: what both kinds of socket driver share: handles, output, and how a connection ends.
 *
 * A slot is free again only when no operation on it is in flight and its last event has been polled, so
 * what the kernel says always finds the connection that it is about; the generation is the second lock
 * on that door. */
#define _GNU_SOURCE
#include "apus_driver_internal.h"

#include <sys/socket.h>
#include <unistd.h>

_Thread_local char apus_driver_this_thread_;

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

/* ---- the end of a connection ---- */

void apus_driver_remove_(uint32_t *list, uint32_t *count, uint32_t slot)
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

void apus_driver_dispose_(driver *d, connection *c)
{
    if (c->fd >= 0) {
        apus_realtime_allow_begin();
        d->kind->forget_socket(d, c);
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

void apus_driver_end_(driver *d, connection *c, int error)
{
    if (c->state >= SLOT_ENDING) {
        return;
    }
    c->state = SLOT_ENDING;
    c->error = error;
    if (c->starved) {
        c->starved = false;
        apus_driver_remove_(d->starved, &d->starved_count, slot_of(d, c));
    }
    if (c->dirty) {
        c->dirty = false;
        apus_driver_remove_(d->dirty, &d->dirty_count, slot_of(d, c));
    }
    if (error != 0 && c->fd >= 0) {
        /* Not orderly: the peer is to see a reset, and the kernel keeps no output. */
        const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        apus_realtime_allow_begin();
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        apus_realtime_allow_end();
    }
    if (d->kind->stop(d, c)) {
        apus_driver_dispose_(d, c);
    }
}

void apus_driver_output_done_(driver *d, connection *c)
{
    if (c->state == SLOT_DRAINING || c->peer_done) {
        apus_driver_end_(d, c, 0);
    } else if (!c->fin_sent) {
        c->fin_sent = true;
        apus_realtime_allow_begin();
        const int result = shutdown(c->fd, SHUT_WR);
        const int error = errno;
        apus_realtime_allow_end();
        if (result != 0) {
            apus_driver_end_(d, c, error);
        }
    }
}

int apus_driver_peer_done_(driver *d, connection *c, apus_driver_event *event)
{
    if (c->state == SLOT_OPEN) {
        const int count = tell(d, c, APUS_DRIVER_CLOSED, 0, event);
        c->state = SLOT_DRAINING;
        if (c->tail == c->head) {
            apus_driver_end_(d, c, 0);
        } else {
            d->kind->start_deadline(d, c);
        }
        return count;
    }
    if (c->state == SLOT_CLOSING) {
        c->peer_done = true;
        if (c->tail == c->head) {
            apus_driver_end_(d, c, 0);
        }
    }
    return 0;
}

uint32_t apus_driver_report_(driver *d, apus_driver_event *events, uint32_t max)
{
    uint32_t reported = 0;
    while (reported < max && reported < d->report_count) {
        connection *c = &d->connections[d->reports[reported]];
        (void)tell(d, c, c->was_open ? APUS_DRIVER_CLOSED : APUS_DRIVER_CONNECT_FAILED, c->error, &events[reported]);
        free_slot(d, c);
        reported++;
    }
    if (reported != 0) {
        d->report_count -= reported;
        memmove(d->reports, d->reports + reported, d->report_count * sizeof *d->reports);
    }
    if (d->report_count == 0) {
        d->front.attention &= ~(unsigned)ATTENTION_REPORT;
    }
    return reported;
}

/* ---- the beginning of one ---- */

connection *apus_driver_take_slot_(driver *d, int fd)
{
    if (d->free_count == 0) {
        return NULL;
    }
    connection *c = &d->connections[d->free_slots[d->free_count - 1]];
    if (fd >= 0 && d->kind->adopt_socket(d, c, fd) < 0) {
        return NULL;
    }
    d->free_count--;
    const uint32_t generation = c->generation;
    uint8_t *const output = c->output;
    *c = (connection){.generation = generation, .output = output, .fd = fd};
    return c;
}

int apus_driver_accepted_(driver *d, uint16_t listener, int fd, apus_driver_event *event)
{
    connection *c = apus_driver_take_slot_(d, fd);
    if (c == NULL) {
        d->counters.accept_refused++;
        close(fd);
        return 0;
    }
    /* TCP_NODELAY is inherited from the listening socket. */
    c->state = SLOT_OPEN;
    c->was_open = true;
    const int count = tell(d, c, APUS_DRIVER_ACCEPTED, 0, event);
    event->listener = listener;
    return count;
}

int apus_driver_connect_missed_(driver *d, connection *c, int error, apus_driver_event *event)
{
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

/* ---- the owner's calls ---- */

int apus_driver_turn(apus_driver *front, apus_driver_event *events, uint32_t max, int64_t wait_ns)
{
    driver *d = (driver *)front;
    return d->kind->turn(d, events, max, wait_ns);
}

int apus_driver_flush(apus_driver *front)
{
    driver *d = (driver *)front;
    return d->kind->flush(d);
}

void apus_driver_release(apus_driver *front, const apus_driver_event *event)
{
    driver *d = (driver *)front;
    APUS_ASSERT(event->kind == APUS_DRIVER_RECEIVED && event->buffer < d->config.receive_buffer_count
                && d->lent[event->buffer]);
    d->lent[event->buffer] = false;
    d->lent_count--;
    d->kind->give_back(d, event->buffer);
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
        apus_driver_end_(d, c, ECANCELED);
    } else if (c->state == SLOT_OPEN) {
        c->state = SLOT_CLOSING;
        d->kind->start_deadline(d, c);
        if (c->tail == c->head) {
            apus_driver_output_done_(d, c);
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
    apus_driver_end_(d, c, c->state == SLOT_CONNECTING ? ECANCELED : ECONNABORTED);
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

apus_driver_kind apus_driver_kind_of(const apus_driver *front) { return ((const driver *)front)->kind->name; }

int apus_driver_refusal(const apus_driver *front) { return ((const driver *)front)->refusal; }
