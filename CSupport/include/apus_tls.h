/* apus_tls.h: TLS 1.3 as a state machine: ciphertext in and out, plaintext in and out, no I/O, no clock but the
 * certificate check's. Everything OpenSSL stays behind these few functions.
 *
 * Ownership: a context is immutable after creation and shared by its sessions, which keep it alive.
 * Threads:   a context may be used from several threads; a session by one at a time.
 * Bounds:    a session holds two fixed buffers; neither end can make it hold more.
 */
#ifndef APUS_TLS_H
#define APUS_TLS_H

#include "apus_base.h"

#if defined(__clang__)
#define APUS_TLS_CALL __attribute__((swift_attr("@_noLocks")))
#else
#define APUS_TLS_CALL
#endif

typedef struct apus_tls_context apus_tls_context;
typedef struct apus_tls apus_tls;

/* Ciphertext that waits on either side, at most. A record is at most 16,640 bytes. */
#define APUS_TLS_BUFFER_BYTES (128 * 1024)
/* The most that one apus_tls_write takes. */
#define APUS_TLS_WRITE_BYTES (96 * 1024)

typedef enum APUS_CLOSED_ENUM APUS_NAME(TLSState) apus_tls_state {
    APUS_TLS_HANDSHAKING APUS_NAME(handshaking) = 0,
    APUS_TLS_READY APUS_NAME(ready),
    APUS_TLS_PEER_CLOSED APUS_NAME(peerClosed), /* its close_notify came: nothing more will be read; writing still works */
    APUS_TLS_CLOSED APUS_NAME(closed),          /* we sent ours: nothing more may be written */
    APUS_TLS_FAILED APUS_NAME(failed),          /* apus_tls_error says why; send what is pending (an alert), then close */
} apus_tls_state;

/* Contexts. 0 with *out, or -errno with a sentence in `error` (NUL-terminated, cut to `capacity`). Cold.
 * TLS 1.3 is required unless `allow_tls12`; TLS_AES_128_GCM_SHA256 is preferred. */

/* Client. Trusts the issuers in `ca_pem` and no others, or the system's if it is NULL. */
int apus_tls_client_context(const uint8_t *APUS_NULLABLE ca_pem, size_t count, bool allow_tls12,
                            apus_tls_context *APUS_NULLABLE *APUS_NONNULL out, char *APUS_NONNULL error, size_t capacity);
/* The same, with the issuers in a file. */
int apus_tls_client_context_file(const char *APUS_NONNULL ca_path, bool allow_tls12,
                                 apus_tls_context *APUS_NULLABLE *APUS_NONNULL out, char *APUS_NONNULL error,
                                 size_t capacity);
/* Server, with a certificate chain (leaf first) and its key in PEM files. */
int apus_tls_server_context_file(const char *APUS_NONNULL certificate_path, const char *APUS_NONNULL key_path,
                                 bool allow_tls12, apus_tls_context *APUS_NULLABLE *APUS_NONNULL out,
                                 char *APUS_NONNULL error, size_t capacity);
/* Server, with a new self-signed certificate (ECDSA P-256) for `names`: DNS names and addresses separated by
 * commas. Valid from now + `from_s` until now + `until_s` (seconds). The certificate is written to `pem`,
 * `*pem_count` bytes: a client context made from it trusts exactly this server. Its key exists only in memory. */
int apus_tls_server_context_self_signed(const char *APUS_NONNULL names, int64_t from_s, int64_t until_s, bool allow_tls12,
                                        apus_tls_context *APUS_NULLABLE *APUS_NONNULL out, uint8_t *APUS_NONNULL pem,
                                        size_t pem_capacity, size_t *APUS_NONNULL pem_count,
                                        char *APUS_NONNULL error, size_t capacity);
void apus_tls_context_destroy(apus_tls_context *APUS_NULLABLE context);

/* A client session verifies that the certificate is for `host` (a DNS name or an address); a server session takes
 * NULL. The client's first flight is pending at once. 0, -EINVAL or -ENOMEM. Cold. */
int apus_tls_create(apus_tls_context *APUS_NONNULL context, const char *APUS_NULLABLE host,
                    apus_tls *APUS_NULLABLE *APUS_NONNULL out);
void apus_tls_destroy(apus_tls *APUS_NULLABLE tls);

/* Takes up to `count` bytes of ciphertext and goes on with the handshake. Returns how many were taken: fewer only
 * when the buffer is full, that is when plaintext must be read first. -EPROTO if the session failed. */
APUS_TLS_CALL int apus_tls_feed(apus_tls *APUS_NONNULL tls, const uint8_t *APUS_NONNULL bytes, size_t count);
/* Plaintext: > 0 bytes; 0 if more ciphertext is needed; -ESHUTDOWN after the peer's close_notify; -EPROTO. Read until
 * it returns 0 after each feed. `capacity` of 16 KiB takes a whole record. */
APUS_TLS_CALL int apus_tls_read(apus_tls *APUS_NONNULL tls, uint8_t *APUS_NONNULL out, size_t capacity);
/* Encrypts all of it or nothing: 0, -ENOTCONN (not ready yet), -ENOBUFS (take pending ciphertext first), -EMSGSIZE
 * (over APUS_TLS_WRITE_BYTES), -ESHUTDOWN (closed by us), -EPROTO. */
APUS_TLS_CALL int apus_tls_write(apus_tls *APUS_NONNULL tls, const uint8_t *APUS_NONNULL bytes, size_t count);
/* Ciphertext to be sent: its start, valid until the next call, and its length. */
APUS_TLS_CALL size_t apus_tls_pending(const apus_tls *APUS_NONNULL tls, const uint8_t *APUS_NULLABLE *APUS_NONNULL bytes);
/* The first `count` of them have been sent; traps if there were fewer. */
APUS_TLS_CALL void apus_tls_take(apus_tls *APUS_NONNULL tls, size_t count);
/* Puts a close_notify behind what is pending. */
APUS_TLS_CALL void apus_tls_close(apus_tls *APUS_NONNULL tls);

APUS_TLS_CALL apus_tls_state apus_tls_get_state(const apus_tls *APUS_NONNULL tls);
/* Why the session failed, as a sentence for an operator; empty if it did not. Valid as long as the session. */
const char *APUS_NONNULL apus_tls_error(const apus_tls *APUS_NONNULL tls);
/* For example "TLSv1.3 TLS_AES_128_GCM_SHA256"; "no connection" before the handshake is done. */
void apus_tls_describe(const apus_tls *APUS_NONNULL tls, char *APUS_NONNULL out, size_t capacity);

#endif
