/* apus_tls_context.c: trust, certificates and protocol choice. Cold. */
#define _GNU_SOURCE
#include "apus_tls_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((format(printf, 5, 6))) static int refuse(apus_tls_context *context, int result, char *error,
                                                        size_t capacity, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, capacity, format, arguments);
    va_end(arguments);
    ERR_clear_error();
    apus_tls_context_destroy(context);
    return result;
}

static apus_tls_context *new_context(bool server, bool allow_tls12)
{
    ERR_clear_error();
    apus_tls_context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        return NULL;
    }
    context->references = 1;
    context->server = server;
    context->method = apus_tls_bio_method_();
    context->ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (context->method == NULL || context->ssl == NULL
        || SSL_CTX_set_min_proto_version(context->ssl, allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) != 1
        || SSL_CTX_set_ciphersuites(context->ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                                  "TLS_CHACHA20_POLY1305_SHA256") != 1
        || SSL_CTX_set_cipher_list(context->ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
        apus_tls_context_destroy(context);
        return NULL;
    }
    SSL_CTX_set_options(context->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET
                                          | SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Sessions are long and few: resumption would only add records that nobody asked for. */
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context->ssl, 0);
    SSL_CTX_set_read_ahead(context->ssl, 1);
    SSL_CTX_set_verify(context->ssl, server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return context;
}

int apus_tls_client_context(const uint8_t *ca_pem, size_t count, bool allow_tls12, apus_tls_context **out, char *error,
                            size_t capacity)
{
    *out = NULL;
    apus_tls_context *context = new_context(false, allow_tls12);
    if (context == NULL) {
        return refuse(NULL, -ENOMEM, error, capacity, "could not set up TLS: OpenSSL refused (out of memory?)");
    }
    if (ca_pem == NULL) {
        if (SSL_CTX_set_default_verify_paths(context->ssl) != 1) {
            return refuse(context, -EIO, error, capacity,
                          "could not load the system's trusted certificates; install the package ca-certificates, or "
                          "name a CA file");
        }
        *out = context;
        return 0;
    }
    BIO *text = count > 0 && count < 1 << 24 ? BIO_new_mem_buf(ca_pem, (int)count) : NULL;
    X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
    unsigned added = 0;
    X509 *certificate;
    while (text != NULL && (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL)) != NULL) {
        added += X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
    }
    BIO_free(text);
    if (added == 0) {
        return refuse(context, -EBADMSG, error, capacity,
                      "could not use the CA certificate: it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
    }
    ERR_clear_error(); /* the end of the list is reported as an error */
    *out = context;
    return 0;
}

int apus_tls_client_context_file(const char *ca_path, bool allow_tls12, apus_tls_context **out, char *error,
                                 size_t capacity)
{
    *out = NULL;
    if (access(ca_path, R_OK) != 0) {
        const int code = errno;
        return refuse(NULL, -code, error, capacity, "could not read the CA file %s: %s", ca_path, strerror(code));
    }
    apus_tls_context *context = new_context(false, allow_tls12);
    if (context == NULL) {
        return refuse(NULL, -ENOMEM, error, capacity, "could not set up TLS: OpenSSL refused (out of memory?)");
    }
    if (SSL_CTX_load_verify_file(context->ssl, ca_path) != 1) {
        return refuse(context, -EBADMSG, error, capacity,
                      "could not use the CA file %s: it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)",
                      ca_path);
    }
    *out = context;
    return 0;
}

static int no_passphrase(char *buffer, int size, int writing, void *data)
{
    (void)buffer, (void)size, (void)writing, (void)data;
    return -1; /* never asks a terminal */
}

int apus_tls_server_context_file(const char *certificate_path, const char *key_path, bool allow_tls12,
                                 apus_tls_context **out, char *error, size_t capacity)
{
    *out = NULL;
    const char *const paths[2] = {certificate_path, key_path};
    for (int i = 0; i < 2; i++) {
        if (access(paths[i], R_OK) != 0) {
            const int code = errno;
            return refuse(NULL, -code, error, capacity, "could not read the TLS %s %s: %s", i == 0 ? "certificate" : "key",
                          paths[i], strerror(code));
        }
    }
    apus_tls_context *context = new_context(true, allow_tls12);
    if (context == NULL) {
        return refuse(NULL, -ENOMEM, error, capacity, "could not set up TLS: OpenSSL refused (out of memory?)");
    }
    SSL_CTX_set_default_passwd_cb(context->ssl, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(context->ssl, certificate_path) != 1) {
        return refuse(context, -EBADMSG, error, capacity, "could not use the TLS certificate %s: it is not a PEM certificate",
                      certificate_path);
    }
    if (SSL_CTX_use_PrivateKey_file(context->ssl, key_path, SSL_FILETYPE_PEM) != 1
        || SSL_CTX_check_private_key(context->ssl) != 1) {
        return refuse(context, -EBADMSG, error, capacity,
                      "could not use the TLS key %s: it is not a PEM private key without passphrase that belongs to %s",
                      key_path, certificate_path);
    }
    *out = context;
    return 0;
}

/* "a.example,127.0.0.1" -> "DNS:a.example,IP:127.0.0.1", and the first name. False if a name is not one. */
static bool alternative_names(const char *names, char *out, size_t capacity, char *first, size_t first_capacity)
{
    size_t used = 0;
    const char *cursor = names;
    first[0] = 0;
    for (;;) {
        const size_t length = strcspn(cursor, ",");
        char name[256];
        if (length == 0 || length >= sizeof name) {
            return false;
        }
        memcpy(name, cursor, length);
        name[length] = 0;
        for (size_t i = 0; i < length; i++) {
            if (!isalnum((unsigned char)name[i]) && strchr(".-:*_", name[i]) == NULL) {
                return false;
            }
        }
        uint8_t address[16];
        const bool numeric = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
        if (!numeric && strchr(name, ':') != NULL) {
            return false;
        }
        const int written = snprintf(out + used, capacity - used, "%s%s:%s", used == 0 ? "" : ",",
                                     numeric ? "IP" : "DNS", name);
        if (written < 0 || (size_t)written >= capacity - used) {
            return false;
        }
        used += (size_t)written;
        if (first[0] == 0 && length < first_capacity) {
            memcpy(first, name, length + 1);
        }
        if (cursor[length] == 0) {
            return true;
        }
        cursor += length + 1;
    }
}

static bool add_extension(X509 *certificate, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    const bool ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static X509 *self_signed(EVP_PKEY *key, const char *names, const char *first, int64_t from_s, int64_t until_s)
{
    X509 *certificate = X509_new();
    if (certificate == NULL) {
        return NULL;
    }
    uint64_t serial = 0;
    X509_NAME *subject = X509_get_subject_name(certificate);
    const bool ok = RAND_bytes((unsigned char *)&serial, sizeof serial) == 1
        && X509_set_version(certificate, X509_VERSION_3) == 1
        && ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1
        && X509_gmtime_adj(X509_getm_notBefore(certificate), from_s) != NULL
        && X509_gmtime_adj(X509_getm_notAfter(certificate), until_s) != NULL
        && X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)first, -1, -1, 0) == 1
        && X509_set_issuer_name(certificate, subject) == 1 && X509_set_pubkey(certificate, key) == 1
        && add_extension(certificate, NID_subject_key_identifier, "hash")
        && add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE")
        && add_extension(certificate, NID_key_usage, "critical,digitalSignature")
        && add_extension(certificate, NID_ext_key_usage, "serverAuth")
        && add_extension(certificate, NID_subject_alt_name, names) && X509_sign(certificate, key, EVP_sha256()) > 0;
    if (!ok) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

int apus_tls_server_context_self_signed(const char *names, int64_t from_s, int64_t until_s, bool allow_tls12,
                                        apus_tls_context **out, uint8_t *pem, size_t pem_capacity, size_t *pem_count,
                                        char *error, size_t capacity)
{
    *out = NULL;
    *pem_count = 0;
    char list[2048], first[64];
    if (!alternative_names(names, list, sizeof list, first, sizeof first)) {
        return refuse(NULL, -EINVAL, error, capacity,
                      "could not make a certificate: the names must be DNS names or addresses separated by commas, "
                      "without spaces");
    }
    apus_tls_context *context = new_context(true, allow_tls12);
    if (context == NULL) {
        return refuse(NULL, -ENOMEM, error, capacity, "could not set up TLS: OpenSSL refused (out of memory?)");
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key != NULL ? self_signed(key, list, first[0] != 0 ? first : "apus", from_s, until_s) : NULL;
    BIO *text = BIO_new(BIO_s_mem());
    bool ok = certificate != NULL && text != NULL && SSL_CTX_use_certificate(context->ssl, certificate) == 1
        && SSL_CTX_use_PrivateKey(context->ssl, key) == 1 && PEM_write_bio_X509(text, certificate) == 1;
    if (ok) {
        char *bytes = NULL;
        const long count = BIO_get_mem_data(text, &bytes);
        ok = count > 0 && (size_t)count <= pem_capacity;
        if (ok) {
            memcpy(pem, bytes, (size_t)count);
            *pem_count = (size_t)count;
        }
    }
    BIO_free(text);
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (!ok) {
        return refuse(context, -EIO, error, capacity, "could not make a self-signed certificate for %s", names);
    }
    ERR_clear_error();
    *out = context;
    return 0;
}

void apus_tls_context_destroy(apus_tls_context *context)
{
    /* Acquire and release: the last one frees after every other thread's use. */
    if (context == NULL || __atomic_sub_fetch(&context->references, 1, __ATOMIC_ACQ_REL) != 0) {
        return;
    }
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->method);
    free(context);
}
