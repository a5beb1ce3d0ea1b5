/* apus_driver_calls.h: every system call that the epoll driver makes after set-up, in one place. Each returns what the
 * call returned, or -errno, and is counted. None blocks, except the wait that its owner asks for: RealtimeSanitizer,
 * which knows the calls by their names, is told so. */
#ifndef APUS_DRIVER_CALLS_H
#define APUS_DRIVER_CALLS_H

#include "apus_driver_internal.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CALL_LET_THROUGH(call)           \
    ({                                   \
        apus_realtime_allow_begin();     \
        __typeof__(call) outcome = call; \
        apus_realtime_allow_end();       \
        outcome;                         \
    })

static inline ssize_t call_receive(driver *d, int fd, uint8_t *bytes, size_t count)
{
    d->counters.enters++;
    const ssize_t result = CALL_LET_THROUGH(recv(fd, bytes, count, MSG_DONTWAIT));
    return result < 0 ? -errno : result;
}

static inline ssize_t call_send(driver *d, int fd, const uint8_t *bytes, size_t count)
{
    d->counters.enters++;
    const ssize_t result = CALL_LET_THROUGH(send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL));
    return result < 0 ? -errno : result;
}

/* `listener` is non-blocking. */
static inline int call_accept(driver *d, int listener)
{
    d->counters.enters++;
    const int fd = CALL_LET_THROUGH(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    return fd < 0 ? -errno : fd;
}

/* Edge-triggered: registered once and never changed. */
static inline int call_watch(driver *d, int fd, uint32_t edges, uint64_t tag)
{
    struct epoll_event event = {.events = edges | EPOLLET, .data.u64 = tag};
    d->counters.enters++;
    return CALL_LET_THROUGH(epoll_ctl(d->epoll.fd, EPOLL_CTL_ADD, fd, &event)) < 0 ? -errno : 0;
}

/* `fd` is non-blocking: 0, -EINPROGRESS, or why it failed at once. */
static inline int call_connect(driver *d, int fd, const struct sockaddr *address, socklen_t bytes)
{
    d->counters.enters++;
    return connect(fd, address, bytes) < 0 ? -errno : 0;
}

/* Whether a connection being made has an outcome. */
static inline bool call_has_outcome(driver *d, int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    d->counters.enters++;
    return CALL_LET_THROUGH(poll(&look, 1, 0)) > 0;
}

/* That outcome: 0 or -errno. */
static inline int call_outcome(driver *d, int fd)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    d->counters.enters++;
    return CALL_LET_THROUGH(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes)) < 0 ? -errno : -error;
}

/* After the waker's eventfd was reported readable: resets it. */
static inline void call_drain(driver *d, int fd)
{
    uint64_t count;
    d->counters.enters++;
    (void)!CALL_LET_THROUGH(read(fd, &count, sizeof count));
}

/* What has become ready; `wait_ns` 0 only looks. */
static inline int call_wait(driver *d, struct epoll_event *events, int max, int64_t wait_ns)
{
    d->counters.enters++;
    if (wait_ns > 0 && !d->epoll.millisecond_waits) {
        const struct timespec time = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
        const int result = CALL_LET_THROUGH(epoll_pwait2(d->epoll.fd, events, max, &time, NULL));
        if (result >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return result < 0 ? -errno : result;
        }
        d->epoll.millisecond_waits = true; /* before Linux 5.11, or a profile made before it */
    }
    const int64_t ms = (wait_ns + 999999) / 1000000;
    const int result = CALL_LET_THROUGH(epoll_wait(d->epoll.fd, events, max, ms > INT32_MAX ? INT32_MAX : (int)ms));
    return result < 0 ? -errno : result;
}

static inline int64_t call_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
