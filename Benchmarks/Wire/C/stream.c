/* stream.c: clock, pinning, sockets, and TLS straight on the socket. */
#include "wire_internal.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sched.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t wire_now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static cpu_set_t all_cores;

__attribute__((constructor)) static void note_cores(void) { (void)sched_getaffinity(0, sizeof all_cores, &all_cores); }

int wire_pin(int core)
{
    cpu_set_t set = all_cores;
    if (core >= 0) {
        CPU_ZERO(&set);
        CPU_SET((size_t)core, &set);
    }
    return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : -errno;
}

void wire_die_with_parent(void) { (void)prctl(PR_SET_PDEATHSIG, SIGKILL); }

void wire_spin_until(int64_t when_ns)
{
    while (wire_now_ns() < when_ns) {
        wire_relax();
    }
}

void wire_gaps(int64_t duration_ns, int64_t threshold_ns, uint64_t *count, int64_t *largest_ns)
{
    const int64_t end = wire_now_ns() + duration_ns;
    int64_t last = wire_now_ns();
    *count = 0;
    *largest_ns = 0;
    while (last < end) {
        const int64_t now = wire_now_ns();
        const int64_t step = now - last;
        last = now;
        *count += step > threshold_ns;
        *largest_ns = step > *largest_ns ? step : *largest_ns;
    }
}

/* ---- TLS ---- */

static bool set_up_context(SSL_CTX *context)
{
    /* Non-blocking spins call again with the same bytes, at another address perhaps. */
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_set_num_tickets(context, 0);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1
        && SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") == 1;
}

static X509 *self_signed(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    if (certificate == NULL) {
        return NULL;
    }
    X509_NAME *name = X509_get_subject_name(certificate);
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    X509_EXTENSION *issuer = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints, "critical,CA:TRUE");
    const bool made = names != NULL && issuer != NULL && X509_set_version(certificate, 2) == 1
        && ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long)(wire_now_ns() & 0x7FFFFFFF)) == 1
        && X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL
        && X509_gmtime_adj(X509_getm_notAfter(certificate), 86400) != NULL && X509_set_pubkey(certificate, key) == 1
        && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"wire", -1, -1, 0) == 1
        && X509_set_issuer_name(certificate, name) == 1 && X509_add_ext(certificate, names, -1) == 1
        && X509_add_ext(certificate, issuer, -1) == 1 && X509_sign(certificate, key, EVP_sha256()) > 0;
    X509_EXTENSION_free(names);
    X509_EXTENSION_free(issuer);
    if (!made) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

wire_tls *wire_tls_server(char *pem, size_t capacity)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key != NULL ? self_signed(key) : NULL;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    BIO *text = BIO_new(BIO_s_mem());
    wire_tls *tls = calloc(1, sizeof *tls);
    bool made = certificate != NULL && context != NULL && text != NULL && tls != NULL && set_up_context(context)
        && SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1
        && PEM_write_bio_X509(text, certificate) == 1;
    if (made) {
        const int count = BIO_read(text, pem, (int)capacity - 1);
        made = count > 0 && (size_t)count < capacity - 1;
        pem[made ? count : 0] = 0;
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(text);
    ERR_clear_error(); /* what is left in the queue would be taken for the next read's */
    if (!made) {
        SSL_CTX_free(context);
        free(tls);
        return NULL;
    }
    tls->context = context;
    return tls;
}

wire_tls *wire_tls_client(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    wire_tls *tls = calloc(1, sizeof *tls);
    if (context == NULL || tls == NULL || !set_up_context(context)) {
        SSL_CTX_free(context);
        free(tls);
        return NULL;
    }
    tls->context = context;
    return tls;
}

void wire_tls_free(wire_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->context);
        free(tls);
    }
}

/* ---- streams ---- */

int wire_stream_open(wire_stream *stream, int fd, wire_tls *tls, bool is_server, int64_t deadline_ns)
{
    const int yes = 1;
    *stream = (wire_stream){.fd = fd};
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0
        || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) {
        const int error = -errno;
        wire_stream_close(stream);
        return error;
    }
    if (tls == NULL) {
        return 0;
    }
    stream->ssl = SSL_new(tls->context);
    if (stream->ssl == NULL || SSL_set_fd(stream->ssl, fd) != 1) {
        wire_stream_close(stream);
        return -ENOMEM;
    }
    while (true) {
        const int result = is_server ? SSL_accept(stream->ssl) : SSL_connect(stream->ssl);
        if (result == 1) {
            return 0;
        }
        const int reason = SSL_get_error(stream->ssl, result);
        const bool waits = reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;
        if (!waits || wire_now_ns() > deadline_ns) {
            wire_stream_close(stream);
            return waits ? -ETIMEDOUT : -EPROTO;
        }
        usleep(200);
    }
}

void wire_stream_close(wire_stream *stream)
{
    SSL_free(stream->ssl);
    if (stream->fd >= 0) {
        close(stream->fd);
    }
    *stream = (wire_stream){.fd = -1};
}

ssize_t wire_stream_read(wire_stream *stream, uint8_t *out, size_t capacity)
{
    if (stream->ssl == NULL) {
        const ssize_t count = recv(stream->fd, out, capacity, MSG_DONTWAIT);
        if (count > 0) {
            return count;
        }
        if (count == 0) {
            return -ENOTCONN;
        }
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    }
    const int count = SSL_read(stream->ssl, out, (int)capacity);
    if (count > 0) {
        return count;
    }
    const int reason = SSL_get_error(stream->ssl, count);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        return 0;
    }
    ERR_clear_error();
    return reason == SSL_ERROR_ZERO_RETURN ? -ENOTCONN : -EPROTO;
}

int wire_stream_write(wire_stream *stream, const uint8_t *bytes, size_t count)
{
    int64_t deadline = 0;
    while (count > 0) {
        ssize_t taken;
        if (stream->ssl == NULL) {
            taken = send(stream->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (taken < 0 && errno != EAGAIN && errno != EINTR) {
                return -errno;
            }
        } else {
            taken = SSL_write(stream->ssl, bytes, (int)count);
            if (taken <= 0) {
                const int reason = SSL_get_error(stream->ssl, (int)taken);
                if (reason != SSL_ERROR_WANT_WRITE && reason != SSL_ERROR_WANT_READ) {
                    ERR_clear_error();
                    return -EPROTO;
                }
            }
        }
        if (taken > 0) {
            bytes += taken;
            count -= (size_t)taken;
        } else {
            /* A peer that has not read for so long will not read any more. */
            const int64_t now = wire_now_ns();
            deadline = deadline == 0 ? now + 5000000000 : deadline;
            if (now > deadline) {
                return -ETIMEDOUT;
            }
            wire_relax();
        }
    }
    return 0;
}
