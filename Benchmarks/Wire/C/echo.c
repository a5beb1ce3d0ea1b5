/* echo.c: what a program that does nothing else needs for the same bytes on the same cores. */
#include "wire_internal.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire_echo {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wants_run, runs, wants_end; /* under the lock */
    int problem;
    _Atomic int call; /* for the spinning thread, which then looks under the lock: CALL_... */
    uint16_t port;
    wire_tls *tls;
    int core;
    size_t tick, acknowledgement;
    uint8_t *reply;
    size_t reply_count;
};

enum { BUFFER_BYTES = 1 << 18, CALL_NONE = 0, CALL_CHANGE = 1, CALL_END = 2 };

/* Spins until `count` bytes have come. 0, -EINTR if the thread is called, or -errno. A pause waits for the end of an
 * exchange, the thread's end does not. */
static int take(wire_echo *echo, wire_stream *stream, uint8_t *buffer, size_t count, bool is_between)
{
    size_t have = 0;
    while (have < count) {
        const ssize_t got = wire_stream_read(stream, buffer, count - have < BUFFER_BYTES ? count - have : BUFFER_BYTES);
        if (got < 0) {
            return (int)got;
        }
        have += (size_t)got;
        if (got == 0) {
            /* Relaxed: the lock orders the rest. */
            const int call = atomic_load_explicit(&echo->call, memory_order_relaxed);
            if (call == CALL_END || (call == CALL_CHANGE && is_between && have == 0)) {
                return -EINTR;
            }
        }
    }
    return 0;
}

static int connect_to(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        const int error = -errno;
        close(fd);
        return error;
    }
    return fd >= 0 ? fd : -errno;
}

static void set_runs(wire_echo *echo, bool runs)
{
    echo->runs = runs;
    pthread_cond_broadcast(&echo->changed);
}

static void *run(void *argument)
{
    wire_echo *const echo = argument;
    wire_stream stream = {.fd = -1};
    uint8_t *const buffer = malloc(BUFFER_BYTES);
    int result = wire_pin(echo->core);
    const int fd = connect_to(echo->port);
    if (fd < 0) {
        result = fd;
    } else {
        const int opened = wire_stream_open(&stream, fd, echo->tls, false, wire_now_ns() + 5000000000);
        result = opened < 0 ? opened : take(echo, &stream, buffer, WIRE_GREETING_BYTES, false);
    }
    while (true) {
        pthread_mutex_lock(&echo->lock);
        if (result < 0 && result != -EINTR) {
            echo->problem = result;
        }
        echo->call = CALL_NONE;
        while (!echo->wants_end && (!echo->wants_run || echo->problem != 0)) {
            set_runs(echo, false);
            pthread_cond_wait(&echo->changed, &echo->lock);
        }
        const bool ends = echo->wants_end;
        set_runs(echo, !ends);
        pthread_mutex_unlock(&echo->lock);
        if (ends) {
            break;
        }
        do {
            result = take(echo, &stream, buffer, echo->tick, true);
            if (result == 0) {
                result = wire_stream_write(&stream, echo->reply, echo->reply_count);
            }
            if (result == 0) {
                result = take(echo, &stream, buffer, echo->acknowledgement, false);
            }
        } while (result == 0);
    }
    wire_stream_close(&stream);
    free(buffer);
    return NULL;
}

wire_echo *wire_echo_start(uint16_t port, wire_tls *tls, int core)
{
    wire_echo *echo = calloc(1, sizeof *echo);
    if (echo == NULL) {
        return NULL;
    }
    echo->port = port;
    echo->tls = tls;
    echo->core = core;
    pthread_mutex_init(&echo->lock, NULL);
    pthread_cond_init(&echo->changed, NULL);
    if (pthread_create(&echo->thread, NULL, run, echo) != 0) {
        free(echo);
        return NULL;
    }
    return echo;
}

void wire_echo_set(wire_echo *echo, size_t tick, wire_bytes reply, size_t acknowledgement)
{
    uint8_t *const copy = malloc(reply.count > 0 ? reply.count : 1);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, reply.bytes, reply.count);
    free(echo->reply);
    echo->reply = copy;
    echo->reply_count = reply.count;
    echo->tick = tick;
    echo->acknowledgement = acknowledgement;
}

void wire_echo_run(wire_echo *echo, bool runs)
{
    pthread_mutex_lock(&echo->lock);
    echo->wants_run = runs;
    echo->call = CALL_CHANGE;
    pthread_cond_broadcast(&echo->changed);
    while (echo->runs != runs && echo->problem == 0) {
        pthread_cond_wait(&echo->changed, &echo->lock);
    }
    pthread_mutex_unlock(&echo->lock);
}

int wire_echo_stop(wire_echo *echo)
{
    pthread_mutex_lock(&echo->lock);
    echo->wants_end = true;
    echo->call = CALL_END;
    pthread_cond_broadcast(&echo->changed);
    pthread_mutex_unlock(&echo->lock);
    pthread_join(echo->thread, NULL);
    const int problem = echo->problem;
    pthread_mutex_destroy(&echo->lock);
    pthread_cond_destroy(&echo->changed);
    free(echo->reply);
    free(echo);
    return problem;
}
