/* apus_tls_internal.h: shared by the context and the session half of TLS. Not for Swift. */
#ifndef APUS_TLS_INTERNAL_H
#define APUS_TLS_INTERNAL_H

#include "include/apus_tls.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

struct apus_tls_context {
    uint32_t references; /* atomic: the creator's and one for each session */
    bool server;
    SSL_CTX *ssl;
    BIO_METHOD *method;
};

/* The BIO between OpenSSL and a session's two buffers. */
BIO_METHOD *apus_tls_bio_method_(void);

#endif
