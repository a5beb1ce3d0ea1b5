/* apus_driver_setup.c: the cold side of the socket driver: memory, addresses, listening, connecting, waking. */
#define _GNU_SOURCE
#include "apus_driver_internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t power_of_two_from(uint64_t value)
{
    uint64_t power = 1;
    while (power < value) {
        power *= 2;
    }
    return power;
}

static uint8_t *map_anonymous(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Each connection's output twice in a row, over one memory file. */
static int map_send_memory(driver *d)
{
    const size_t each = d->send_mask + 1;
    const size_t count = d->config.max_connections;
    int result = 0;
    const int file = memfd_create("apus-send", MFD_CLOEXEC);
    if (file < 0) {
        return -errno;
    }
    if (ftruncate(file, (off_t)(each * count)) != 0) {
        result = -errno;
    }
    if (result == 0) {
        void *memory = mmap(NULL, 2 * each * count, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            result = -errno;
        } else {
            d->send_memory = memory;
            d->send_bytes = 2 * each * count;
        }
    }
    for (size_t i = 0; result == 0 && i < 2 * count; i++) {
        if (mmap(d->send_memory + i * each, each, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, file,
                 (off_t)(i / 2 * each)) == MAP_FAILED) {
            result = -errno;
        }
    }
    close(file);
    /* What is sent and received may hold credentials: not for core dumps (R57). */
    if (result == 0 && madvise(d->send_memory, d->send_bytes, MADV_DONTDUMP) != 0) {
        result = -errno;
    }
    return result;
}

static int set_up_memory(driver *d)
{
    const uint32_t connections = d->config.max_connections;
    d->connections = calloc(connections, sizeof *d->connections);
    d->free_slots = calloc(connections, sizeof *d->free_slots);
    d->dirty = calloc(connections, sizeof *d->dirty);
    d->starved = calloc(connections, sizeof *d->starved);
    d->reports = calloc(connections, sizeof *d->reports);
    d->lent = calloc(d->config.receive_buffer_count, sizeof *d->lent);
    d->waker = calloc(1, sizeof *d->waker);
    if (!d->connections || !d->free_slots || !d->dirty || !d->starved || !d->reports || !d->lent || !d->waker) {
        return -ENOMEM;
    }
    d->waker->references = 1;
    d->waker->fd = eventfd(0, EFD_CLOEXEC);
    if (d->waker->fd < 0) {
        return -errno;
    }
    d->receive_bytes = (size_t)d->config.receive_buffer_count * d->config.receive_buffer_bytes;
    d->receive_memory = map_anonymous(d->receive_bytes);
    if (d->receive_memory == NULL) {
        return -ENOMEM;
    }
    if (madvise(d->receive_memory, d->receive_bytes, MADV_DONTDUMP) != 0) {
        return -errno;
    }
    const int result = map_send_memory(d);
    if (result < 0) {
        return result;
    }
    for (uint32_t i = 0; i < connections; i++) {
        /* The lowest slot is taken first. */
        d->free_slots[i] = connections - 1 - i;
        d->connections[i].generation = 1;
        d->connections[i].fd = -1;
        d->connections[i].output = d->send_memory + 2 * (size_t)i * (d->send_mask + 1);
    }
    d->free_count = connections;
    return 0;
}

static int set_up_kind(driver *d, const driver_kind *kind)
{
    d->kind = kind;
    return kind->set_up(d);
}

/* The system's answers that mean "not here", as opposed to "not now" or "not so much". */
static bool means_unavailable(int error)
{
    return error == -ENOSYS || error == -EPERM || error == -EACCES || error == -EOPNOTSUPP;
}

static int choose_kind(driver *d)
{
    if (d->config.kind == APUS_DRIVER_EPOLL) {
        return set_up_kind(d, &apus_driver_epoll_);
    }
    const int result = set_up_kind(d, &apus_driver_uring_);
    if (d->config.kind == APUS_DRIVER_IO_URING || !means_unavailable(result)) {
        return result;
    }
    apus_driver_uring_.tear_down(d);
    memset(&d->front, 0, sizeof d->front);
    memset(&d->uring, 0, sizeof d->uring);
    d->refusal = result;
    return set_up_kind(d, &apus_driver_epoll_);
}

int apus_driver_create(const apus_driver_config *asked, apus_driver **out)
{
    *out = NULL;
    apus_driver_config filled = *asked;
    const apus_driver_config *const config = &filled;
    filled.max_connections += filled.max_connections == 0 ? 16 : 0;
    filled.receive_buffer_bytes += filled.receive_buffer_bytes == 0 ? 16384 : 0;
    filled.receive_buffer_count += filled.receive_buffer_count == 0 ? 256 : 0;
    filled.send_buffer_bytes += filled.send_buffer_bytes == 0 ? 262144 : 0;
    filled.close_timeout_ns += filled.close_timeout_ns == 0 ? 1000000000 : 0;
    if (config->max_connections < 1 || config->max_connections > 8192 || config->receive_buffer_bytes < 64
        || config->receive_buffer_bytes > 1 << 20 || config->receive_buffer_count < 2
        || config->receive_buffer_count > 32768 || __builtin_popcount(config->receive_buffer_count) != 1
        || config->send_buffer_bytes < 1 || config->send_buffer_bytes > 16 << 20 || config->close_timeout_ns <= 0
        || config->kind > APUS_DRIVER_EPOLL) {
        return -EINVAL;
    }
    const uint64_t send_bytes = power_of_two_from(config->send_buffer_bytes < 4096 ? 4096 : config->send_buffer_bytes);
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t each = send_bytes < page ? page : send_bytes;
    if (each * config->max_connections > (uint64_t)4 << 30
        || (uint64_t)config->receive_buffer_bytes * config->receive_buffer_count > (uint64_t)4 << 30) {
        return -EINVAL;
    }
    driver *d = aligned_alloc(APUS_CACHE_LINE, (sizeof *d + APUS_CACHE_LINE - 1) / APUS_CACHE_LINE * APUS_CACHE_LINE);
    if (d == NULL) {
        return -ENOMEM;
    }
    memset(d, 0, sizeof *d);
    d->config = *config;
    d->send_mask = each - 1;
    int result = set_up_memory(d);
    if (result == 0) {
        result = choose_kind(d);
    }
    if (result < 0) {
        apus_driver_destroy(&d->front);
        return result;
    }
    *out = &d->front;
    return 0;
}

void apus_driver_destroy(apus_driver *front)
{
    driver *d = (driver *)front;
    if (d == NULL) {
        return;
    }
    /* A ring holds its own references to the sockets and lets go of them a little after it is closed:
     * shutting them down frees the ports and tells the peers now. */
    for (uint32_t i = 0; i < d->listener_count; i++) {
        (void)shutdown(d->listeners[i], SHUT_RDWR);
        close(d->listeners[i]);
    }
    for (uint32_t i = 0; d->connections != NULL && i < d->config.max_connections; i++) {
        if (d->connections[i].fd > 0) {
            (void)shutdown(d->connections[i].fd, SHUT_RDWR);
            close(d->connections[i].fd);
        }
    }
    if (d->kind != NULL) {
        d->kind->tear_down(d);
    }
    if (d->receive_memory != NULL) {
        munmap(d->receive_memory, d->receive_bytes);
    }
    if (d->send_memory != NULL) {
        munmap(d->send_memory, d->send_bytes);
    }
    if (d->waker != NULL) {
        apus_waker_release(d->waker);
    }
    free(d->connections);
    free(d->free_slots);
    free(d->dirty);
    free(d->starved);
    free(d->reports);
    free(d->lent);
    free(d);
}

/* ---- listening ---- */

static bool parse_address(const char *host, uint16_t port, union address *out)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        return true;
    }
    return false;
}

static socklen_t address_bytes(const union address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

/* io_uring waits in the kernel for what would block; epoll is told. */
static int open_socket(const driver *d, const union address *address)
{
    const int extra = d->kind->name == APUS_DRIVER_EPOLL ? SOCK_NONBLOCK : 0;
    const int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | extra, 0);
    return fd < 0 ? -errno : fd;
}

int apus_driver_listen(apus_driver *front, const char *host, uint16_t port, uint16_t *bound_port)
{
    driver *d = (driver *)front;
    union address address;
    if (!parse_address(host, port, &address)) {
        return -EINVAL;
    }
    if (d->listener_count == APUS_DRIVER_MAX_LISTENERS) {
        return -ENOSPC;
    }
    const int fd = open_socket(d, &address);
    if (fd < 0) {
        return fd;
    }
    const int on = 1;
    socklen_t bytes = address_bytes(&address);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
        || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 || bind(fd, &address.any, bytes) != 0
        || listen(fd, 512) != 0 || getsockname(fd, &address.any, &bytes) != 0) {
        const int error = errno;
        close(fd);
        return -error;
    }
    if (bound_port != NULL) {
        *bound_port = ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
    }
    const uint16_t listener = (uint16_t)d->listener_count;
    d->listeners[listener] = fd;
    const int result = d->kind->start_accept(d, listener);
    if (result < 0) {
        close(fd);
        return result;
    }
    d->listener_count++;
    return listener;
}

/* ---- connecting ---- */

int apus_driver_try_address_(driver *d, connection *c)
{
    const union address *address = &c->addresses[c->address_next++];
    if (c->fd >= 0) {
        d->kind->forget_socket(d, c);
        close(c->fd);
    }
    c->fd = open_socket(d, address);
    if (c->fd < 0) {
        const int error = c->fd;
        c->fd = -1;
        return error;
    }
    const int on = 1;
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0
        || (c->has_local && bind(c->fd, &c->local.any, address_bytes(&c->local)) != 0)) {
        return -errno;
    }
    c->state = SLOT_CONNECTING;
    return d->kind->start_connect(d, c, address, address_bytes(address));
}

static int resolve(const char *host, uint16_t port, connection *c)
{
    if (parse_address(host, port, &c->addresses[0])) {
        c->address_count = 1;
        return 0;
    }
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    switch (getaddrinfo(host, service, &hints, &list)) {
    case 0:
        break;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    default:
        return -ENOENT;
    }
    for (struct addrinfo *item = list; item != NULL && c->address_count < MAX_ADDRESSES; item = item->ai_next) {
        if (item->ai_addrlen <= sizeof(union address)) {
            memcpy(&c->addresses[c->address_count++], item->ai_addr, item->ai_addrlen);
        }
    }
    freeaddrinfo(list);
    return c->address_count != 0 ? 0 : -ENOENT;
}

int apus_driver_connect(apus_driver *front, const char *host, uint16_t port, const char *local_host,
                        int64_t timeout_ns, apus_connection *out)
{
    driver *d = (driver *)front;
    *out = 0;
    connection scratch = {.fd = -1};
    if (timeout_ns <= 0 || port == 0 || (local_host != NULL && !parse_address(local_host, 0, &scratch.local))) {
        return -EINVAL;
    }
    if (d->free_count == 0) {
        return -ENOSPC;
    }
    int result = resolve(host, port, &scratch);
    if (result < 0) {
        return result;
    }
    connection *c = apus_driver_take_slot_(d, -1);
    if (c == NULL) {
        return -ENOSPC;
    }
    memcpy(c->addresses, scratch.addresses, sizeof c->addresses);
    c->address_count = scratch.address_count;
    c->local = scratch.local;
    c->has_local = local_host != NULL;
    c->connect_timeout_ns = timeout_ns;
    do {
        result = apus_driver_try_address_(d, c);
    } while (result < 0 && c->address_next < c->address_count);
    if (result < 0) {
        if (c->fd >= 0) {
            d->kind->forget_socket(d, c);
            close(c->fd);
            c->fd = -1;
        }
        c->state = SLOT_FREE;
        d->free_slots[d->free_count++] = slot_of(d, c);
        return result;
    }
    *out = handle_of(d, c);
    return 0;
}

/* ---- waking ---- */

apus_waker *apus_driver_waker(apus_driver *front)
{
    apus_waker *waker = ((driver *)front)->waker;
    /* Relaxed: the caller's driver holds a reference already. */
    __atomic_fetch_add(&waker->references, 1, __ATOMIC_RELAXED);
    return waker;
}

void apus_waker_wake(apus_waker *waker)
{
    /* Release, pairs with the driver's exchange: what was published before is seen after the poll. */
    if (__atomic_exchange_n(&waker->pending, 1, __ATOMIC_ACQ_REL) == 0) {
        const uint64_t one = 1;
        /* Cannot fail or block: the count never exceeds the one unseen wake. */
        (void)!write(waker->fd, &one, sizeof one);
    }
}

void apus_waker_release(apus_waker *waker)
{
    /* Acquire and release: the last one frees after every other thread's use. */
    if (__atomic_sub_fetch(&waker->references, 1, __ATOMIC_ACQ_REL) == 0) {
        if (waker->fd >= 0) {
            close(waker->fd);
        }
        free(waker);
    }
}
