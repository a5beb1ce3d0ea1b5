/* wire_internal.h: connections, shared by the venue and the echo. */
#ifndef WIRE_INTERNAL_H
#define WIRE_INTERNAL_H

#define _GNU_SOURCE
#include "WireC.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <sys/types.h>

struct wire_tls {
    SSL_CTX *context;
};

typedef struct wire_stream {
    int fd;
    SSL *ssl; /* NULL: plain */
} wire_stream;

/* Takes over `fd`, which is made non-blocking; completes the TLS handshake. 0 or -errno; then `fd` is closed. */
int wire_stream_open(wire_stream *stream, int fd, wire_tls *tls, bool is_server, int64_t deadline_ns);
void wire_stream_close(wire_stream *stream);
/* > 0 bytes, 0 nothing there, < 0 -errno (-ENOTCONN: the peer is gone). */
ssize_t wire_stream_read(wire_stream *stream, uint8_t *out, size_t capacity);
/* All of it, spinning while the kernel is full, for 5 s at most. 0 or -errno. */
int wire_stream_write(wire_stream *stream, const uint8_t *bytes, size_t count);

static inline void wire_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
