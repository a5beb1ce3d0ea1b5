/* apus_tls.c: a TLS session between two fixed buffers of ciphertext. */
#define _GNU_SOURCE
#include "apus_tls_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* What OpenSSL may add on its own behind a write that was let in: an alert, a key update. */
#define RESERVED_BYTES 2048
/* Header, explicit nonce (TLS 1.2), content type and tag of a record, rounded up. */
#define RECORD_OVERHEAD 64
#define RECORD_PLAINTEXT 16384

typedef struct buffer {
    uint8_t *bytes; /* APUS_TLS_BUFFER_BYTES */
    size_t head, tail;
} buffer;

struct apus_tls {
    SSL *ssl;
    apus_tls_context *context;
    buffer in, out;
    apus_tls_state state;
    char host[256];
    char error[384];
};

static size_t append(buffer *b, const uint8_t *bytes, size_t count)
{
    if (b->head == b->tail) {
        b->head = b->tail = 0;
    } else if (count > APUS_TLS_BUFFER_BYTES - b->tail && b->head != 0) {
        memmove(b->bytes, b->bytes + b->head, b->tail - b->head);
        b->tail -= b->head;
        b->head = 0;
    }
    const size_t room = APUS_TLS_BUFFER_BYTES - b->tail;
    const size_t taken = count < room ? count : room;
    memcpy(b->bytes + b->tail, bytes, taken);
    b->tail += taken;
    return taken;
}

/* ---- the BIO: OpenSSL's view of the two buffers ---- */

static int bio_read(BIO *bio, char *out, int capacity)
{
    buffer *in = &((apus_tls *)BIO_get_data(bio))->in;
    BIO_clear_retry_flags(bio);
    const size_t held = in->tail - in->head;
    if (held == 0 || capacity <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    const size_t count = held < (size_t)capacity ? held : (size_t)capacity;
    memcpy(out, in->bytes + in->head, count);
    in->head += count;
    return (int)count;
}

static int bio_write(BIO *bio, const char *bytes, int count)
{
    buffer *out = &((apus_tls *)BIO_get_data(bio))->out;
    BIO_clear_retry_flags(bio);
    const size_t taken = count > 0 ? append(out, (const uint8_t *)bytes, (size_t)count) : 0;
    if (taken == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    return (int)taken;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

BIO_METHOD *apus_tls_bio_method_(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "apus buffers");
    if (method != NULL
        && (BIO_meth_set_read(method, bio_read) != 1 || BIO_meth_set_write(method, bio_write) != 1
            || BIO_meth_set_ctrl(method, bio_control) != 1)) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* ---- failure ---- */

static void explain_certificate(apus_tls *tls, long verdict)
{
    char *out = tls->error;
    const size_t capacity = sizeof tls->error;
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        snprintf(out, capacity, "the certificate of %s has expired (renew it, or set this machine's clock)", tls->host);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        snprintf(out, capacity, "the certificate of %s is not valid yet (is this machine's clock right?)", tls->host);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH: case X509_V_ERR_IP_ADDRESS_MISMATCH:
        snprintf(out, capacity, "the certificate is for another host than %s (check the address, or who answers there)",
                 tls->host);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT: case X509_V_ERR_CERT_UNTRUSTED: case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        snprintf(out, capacity, "the certificate of %s comes from an issuer that is not trusted (%s); give the issuer's "
                 "certificate as CA file if it is meant to be trusted", tls->host, X509_verify_cert_error_string(verdict));
        break;
    case X509_V_ERR_CERT_REVOKED:
        snprintf(out, capacity, "the certificate of %s has been revoked (do not connect; ask the venue)", tls->host);
        break;
    default:
        snprintf(out, capacity, "the certificate of %s was refused: %s", tls->host, X509_verify_cert_error_string(verdict));
    }
}

static int failed(apus_tls *tls)
{
    if (tls->state == APUS_TLS_FAILED) {
        return -EPROTO;
    }
    tls->state = APUS_TLS_FAILED;
    const unsigned long code = ERR_peek_last_error();
    const long verdict = SSL_get_verify_result(tls->ssl);
    const char *reason = ERR_reason_error_string(code);
    if (!tls->context->server && verdict != X509_V_OK) {
        explain_certificate(tls, verdict);
        ERR_clear_error();
        return -EPROTO;
    }
    switch (ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0) {
    case SSL_R_WRONG_VERSION_NUMBER: case SSL_R_HTTP_REQUEST: case SSL_R_HTTPS_PROXY_REQUEST:
        reason = "the other end does not speak TLS (is this a plain-text port?)";
        break;
    case SSL_R_UNSUPPORTED_PROTOCOL: case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: case SSL_R_VERSION_TOO_LOW:
        reason = "the two ends have no TLS version in common (1.3 is required here unless 1.2 is allowed)";
        break;
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        reason = "the other end does not trust our certificate (give it our certificate as CA file)";
        break;
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE: case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        reason = "the other end refused our certificate (is it for the host name that it asked for?)";
        break;
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        reason = "the other end says that our certificate has expired (renew it, or check both clocks)";
        break;
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: case SSL_R_BAD_RECORD_TYPE:
        reason = "a record was damaged on the way or tampered with (connect again)";
        break;
    default:
        break;
    }
    snprintf(tls->error, sizeof tls->error, "TLS %s%s failed: %s", tls->context->server ? "with a client" : "with ",
             tls->host, reason != NULL ? reason : "the other end broke the protocol");
    ERR_clear_error();
    return -EPROTO;
}

/* ---- sessions ---- */

int apus_tls_create(apus_tls_context *context, const char *host, apus_tls **out)
{
    *out = NULL;
    if (context->server != (host == NULL) || (host != NULL && (host[0] == 0 || strlen(host) > 253))) {
        return -EINVAL;
    }
    apus_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) {
        return -ENOMEM;
    }
    ERR_clear_error();
    /* Relaxed: the caller holds a reference already. */
    __atomic_fetch_add(&context->references, 1, __ATOMIC_RELAXED);
    tls->context = context;
    tls->in.bytes = malloc(APUS_TLS_BUFFER_BYTES);
    tls->out.bytes = malloc(APUS_TLS_BUFFER_BYTES);
    tls->ssl = SSL_new(context->ssl);
    BIO *bio = BIO_new(context->method);
    if (tls->in.bytes == NULL || tls->out.bytes == NULL || tls->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        apus_tls_destroy(tls);
        return -ENOMEM;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    if (host == NULL) {
        SSL_set_accept_state(tls->ssl);
        *out = tls;
        return 0;
    }
    strcpy(tls->host, host);
    X509_VERIFY_PARAM *parameters = SSL_get0_param(tls->ssl);
    uint8_t address[16];
    const bool numeric = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const bool ok = numeric
        ? X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1
        : SSL_set1_host(tls->ssl, host) == 1 && SSL_set_tlsext_host_name(tls->ssl, host) == 1;
    if (!ok) {
        ERR_clear_error();
        apus_tls_destroy(tls);
        return -EINVAL;
    }
    SSL_set_connect_state(tls->ssl);
    (void)apus_tls_feed(tls, (const uint8_t *)"", 0);
    *out = tls;
    return 0;
}

void apus_tls_destroy(apus_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    free(tls->in.bytes);
    free(tls->out.bytes);
    apus_tls_context_destroy(tls->context);
    free(tls);
}

static bool waits(const apus_tls *tls, int result)
{
    const int kind = SSL_get_error(tls->ssl, result);
    return kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE;
}

int apus_tls_feed(apus_tls *tls, const uint8_t *bytes, size_t count)
{
    if (tls->state == APUS_TLS_FAILED) {
        return -EPROTO;
    }
    size_t taken = append(&tls->in, bytes, count);
    if (tls->state == APUS_TLS_HANDSHAKING) {
        ERR_clear_error();
        const int result = SSL_do_handshake(tls->ssl);
        if (result == 1) {
            tls->state = APUS_TLS_READY;
        } else if (!waits(tls, result)) {
            return failed(tls);
        }
        taken += append(&tls->in, bytes + taken, count - taken);
    }
    return (int)taken;
}

int apus_tls_read(apus_tls *tls, uint8_t *out, size_t capacity)
{
    switch (tls->state) {
    case APUS_TLS_HANDSHAKING:
        return 0;
    case APUS_TLS_PEER_CLOSED:
        return -ESHUTDOWN;
    case APUS_TLS_FAILED:
        return -EPROTO;
    default:
        break;
    }
    if ((SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN) || !SSL_is_init_finished(tls->ssl)) {
        return -ESHUTDOWN; /* the latter only when closed during the handshake */
    }
    ERR_clear_error();
    const int result = SSL_read(tls->ssl, out, capacity > 1 << 30 ? 1 << 30 : (int)capacity);
    if (result > 0) {
        return result;
    }
    if (SSL_get_error(tls->ssl, result) == SSL_ERROR_ZERO_RETURN) {
        if (tls->state == APUS_TLS_READY) {
            tls->state = APUS_TLS_PEER_CLOSED;
        }
        return -ESHUTDOWN;
    }
    return waits(tls, result) ? 0 : failed(tls);
}

int apus_tls_write(apus_tls *tls, const uint8_t *bytes, size_t count)
{
    switch (tls->state) {
    case APUS_TLS_HANDSHAKING:
        return -ENOTCONN;
    case APUS_TLS_CLOSED:
        return -ESHUTDOWN;
    case APUS_TLS_FAILED:
        return -EPROTO;
    default:
        break;
    }
    if (count > APUS_TLS_WRITE_BYTES) {
        return -EMSGSIZE;
    }
    if (count == 0) {
        return 0;
    }
    const size_t needed = count + (count / RECORD_PLAINTEXT + 1) * RECORD_OVERHEAD + RESERVED_BYTES;
    if (needed > APUS_TLS_BUFFER_BYTES - (tls->out.tail - tls->out.head)) {
        return -ENOBUFS;
    }
    ERR_clear_error();
    /* With room for all of it there is no partial write. */
    const int result = SSL_write(tls->ssl, bytes, (int)count);
    return result == (int)count ? 0 : failed(tls);
}

size_t apus_tls_pending(const apus_tls *tls, const uint8_t **bytes)
{
    *bytes = tls->out.bytes + tls->out.head;
    return tls->out.tail - tls->out.head;
}

void apus_tls_take(apus_tls *tls, size_t count)
{
    APUS_ASSERT(count <= tls->out.tail - tls->out.head);
    tls->out.head += count;
}

void apus_tls_close(apus_tls *tls)
{
    if (tls->state == APUS_TLS_FAILED || tls->state == APUS_TLS_CLOSED) {
        return;
    }
    if (tls->state == APUS_TLS_HANDSHAKING) {
        tls->state = APUS_TLS_CLOSED; /* there is no connection to close in an orderly way */
        return;
    }
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
    tls->state = APUS_TLS_CLOSED;
}

apus_tls_state apus_tls_get_state(const apus_tls *tls) { return tls->state; }

const char *apus_tls_error(const apus_tls *tls) { return tls->error; }

void apus_tls_describe(const apus_tls *tls, char *out, size_t capacity)
{
    const char *cipher = SSL_is_init_finished(tls->ssl) ? SSL_get_cipher_name(tls->ssl) : NULL;
    if (cipher == NULL) {
        snprintf(out, capacity, "no connection");
    } else {
        snprintf(out, capacity, "%s %s", SSL_get_version(tls->ssl), cipher);
    }
}
