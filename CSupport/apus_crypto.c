/* apus_crypto.c: RSA keys and signatures over OpenSSL's EVP interface. */
#define _GNU_SOURCE
#include "include/apus_crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_KEY_FILE (64 * 1024)
#define MIN_BITS 2048
#define MAX_BITS 16384

/* Both kinds of key are an EVP_PKEY; the distinct names keep them apart. */
static EVP_PKEY *of_signing(const apus_signing_key *key) { return (EVP_PKEY *)(uintptr_t)key; }
static EVP_PKEY *of_verifying(const apus_verifying_key *key) { return (EVP_PKEY *)(uintptr_t)key; }

static const EVP_MD *digest_of(apus_hash hash)
{
    switch (hash) {
    case APUS_SHA256:
        return EVP_sha256();
    case APUS_SHA384:
        return EVP_sha384();
    default:
        return EVP_sha512();
    }
}

/* Never asks a terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

/* 0, or why `key` is not one that we work with. */
static int check_rsa(const EVP_PKEY *key)
{
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        return -EBADMSG;
    }
    const int bits = EVP_PKEY_get_bits(key);
    return bits < MIN_BITS || bits > MAX_BITS ? -EKEYREJECTED : 0;
}

int apus_signing_key_from_pem(const uint8_t *pem, size_t count, apus_signing_key **out)
{
    *out = NULL;
    if (count == 0 || count > MAX_KEY_FILE) {
        return -EBADMSG;
    }
    BIO *text = BIO_new_mem_buf(pem, (int)count);
    if (text == NULL) {
        return -ENOMEM;
    }
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, no_passphrase, NULL);
    BIO_free(text);
    ERR_clear_error(); /* its texts could quote the input */
    if (key == NULL) {
        return memmem(pem, count, "ENCRYPTED", 9) != NULL ? -EOPNOTSUPP : -EBADMSG;
    }
    int result = check_rsa(key);
    if (result == 0) {
        EVP_PKEY_CTX *check = EVP_PKEY_CTX_new(key, NULL);
        if (check == NULL || EVP_PKEY_pairwise_check(check) != 1) {
            result = -EKEYREJECTED;
        }
        EVP_PKEY_CTX_free(check);
        ERR_clear_error();
    }
    if (result < 0) {
        EVP_PKEY_free(key);
        return result;
    }
    *out = (apus_signing_key *)(void *)key;
    return 0;
}

int apus_signing_key_from_file(const char *path, apus_signing_key **out)
{
    *out = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not hold us up */
    if (fd < 0) {
        return -errno;
    }
    struct stat status;
    int result = 0;
    if (fstat(fd, &status) != 0) {
        result = -errno;
    } else if (S_ISDIR(status.st_mode)) {
        result = -EISDIR;
    } else if (!S_ISREG(status.st_mode)) {
        result = -EINVAL;
    } else if ((status.st_mode & 0177) != 0) {
        result = -EPERM;
    } else if (status.st_size > MAX_KEY_FILE) {
        result = -EFBIG;
    }
    if (result < 0) {
        close(fd);
        return result;
    }
    uint8_t pem[MAX_KEY_FILE];
    size_t count = 0;
    while (count < sizeof pem) {
        const ssize_t got = read(fd, pem + count, sizeof pem - count);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            result = -errno;
        }
        if (got <= 0) {
            break;
        }
        count += (size_t)got;
    }
    close(fd);
    if (result == 0) {
        result = apus_signing_key_from_pem(pem, count, out);
    }
    OPENSSL_cleanse(pem, sizeof pem);
    return result;
}

int apus_signing_key_generate(uint32_t bits, apus_signing_key **out)
{
    *out = NULL;
    if (bits < MIN_BITS || bits > MAX_BITS) {
        return -EINVAL;
    }
    EVP_PKEY *key = EVP_RSA_gen(bits);
    ERR_clear_error();
    *out = (apus_signing_key *)(void *)key;
    return key != NULL ? 0 : -EIO;
}

void apus_signing_key_destroy(apus_signing_key *key) { EVP_PKEY_free(of_signing(key)); }

size_t apus_signing_key_signature_bytes(const apus_signing_key *key)
{
    return (size_t)EVP_PKEY_get_size(of_signing(key));
}

/* Takes the text out of `text`, wipes and frees it. */
static int take_text(BIO *text, bool written, uint8_t *out, size_t capacity)
{
    char *bytes = NULL;
    const long count = written ? BIO_get_mem_data(text, &bytes) : -1;
    int result = -EIO;
    if (count > 0) {
        result = (size_t)count > capacity ? -ENOBUFS : (int)count;
        if (result > 0) {
            memcpy(out, bytes, (size_t)count);
        }
        OPENSSL_cleanse(bytes, (size_t)count);
    }
    BIO_free(text);
    ERR_clear_error();
    return result;
}

int apus_signing_key_write_private_pem(const apus_signing_key *key, bool pkcs8, uint8_t *out, size_t capacity)
{
    BIO *text = BIO_new(BIO_s_secmem());
    if (text == NULL) {
        return -ENOMEM;
    }
    const int written = pkcs8
        ? PEM_write_bio_PKCS8PrivateKey(text, of_signing(key), NULL, NULL, 0, NULL, NULL)
        : PEM_write_bio_PrivateKey_traditional(text, of_signing(key), NULL, NULL, 0, NULL, NULL);
    return take_text(text, written == 1, out, capacity);
}

int apus_signing_key_write_public_pem(const apus_signing_key *key, uint8_t *out, size_t capacity)
{
    BIO *text = BIO_new(BIO_s_mem());
    if (text == NULL) {
        return -ENOMEM;
    }
    return take_text(text, PEM_write_bio_PUBKEY(text, of_signing(key)) == 1, out, capacity);
}

int apus_signing_key_sign(const apus_signing_key *key, apus_hash hash, const uint8_t *bytes, size_t count, uint8_t *out,
                          size_t capacity)
{
    if (capacity < apus_signing_key_signature_bytes(key)) {
        return -ENOBUFS;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t length = capacity;
    /* PKCS#1 v1.5 is the padding an RSA key has by default. */
    const bool ok = context != NULL && EVP_DigestSignInit(context, NULL, digest_of(hash), NULL, of_signing(key)) == 1
        && EVP_DigestSign(context, out, &length, bytes, count) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return ok ? (int)length : -EIO;
}

int apus_verifying_key_from_pem(const uint8_t *pem, size_t count, apus_verifying_key **out)
{
    *out = NULL;
    if (count == 0 || count > MAX_KEY_FILE) {
        return -EBADMSG;
    }
    /* The decoder takes both SPKI and PKCS#1, and refuses private keys by the selection. */
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *decoder = OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", NULL, "RSA", EVP_PKEY_PUBLIC_KEY, NULL, NULL);
    const unsigned char *data = pem;
    size_t left = count;
    const bool ok = memmem(pem, count, "PRIVATE KEY", 11) == NULL && decoder != NULL
        && OSSL_DECODER_from_data(decoder, &data, &left) == 1 && key != NULL;
    OSSL_DECODER_CTX_free(decoder);
    ERR_clear_error();
    const int result = ok ? check_rsa(key) : -EBADMSG;
    if (result < 0) {
        EVP_PKEY_free(key);
        return result;
    }
    *out = (apus_verifying_key *)(void *)key;
    return 0;
}

int apus_verifying_key_of(const apus_signing_key *key, apus_verifying_key **out)
{
    /* By way of the public encoding, so that the verifying key does not hold the private half. */
    uint8_t pem[8192];
    *out = NULL;
    const int count = apus_signing_key_write_public_pem(key, pem, sizeof pem);
    return count < 0 ? count : apus_verifying_key_from_pem(pem, (size_t)count, out);
}

void apus_verifying_key_destroy(apus_verifying_key *key) { EVP_PKEY_free(of_verifying(key)); }

bool apus_verifying_key_accepts(const apus_verifying_key *key, apus_hash hash, const uint8_t *bytes, size_t count,
                                const uint8_t *signature, size_t signature_bytes)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool ok = context != NULL && EVP_DigestVerifyInit(context, NULL, digest_of(hash), NULL, of_verifying(key)) == 1
        && EVP_DigestVerify(context, signature, signature_bytes, bytes, count) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return ok;
}

/* ---- base64url ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int apus_base64url_encode(const uint8_t *bytes, size_t count, uint8_t *out, size_t capacity)
{
    if (count > INT_MAX / 2 || capacity < (4 * count + 2) / 3) {
        return -ENOBUFS;
    }
    uint32_t bits = 0;
    unsigned held = 0;
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6) {
            out[written++] = (uint8_t)alphabet[bits >> (held - 6) & 63];
        }
    }
    if (held != 0) {
        out[written++] = (uint8_t)alphabet[bits << (6 - held) & 63];
    }
    return (int)written;
}

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int apus_base64url_decode(const uint8_t *text, size_t count, uint8_t *out, size_t capacity)
{
    if (count > INT_MAX || count % 4 == 1) {
        return -EINVAL;
    }
    if (capacity < count * 3 / 4) {
        return -ENOBUFS;
    }
    uint32_t bits = 0;
    unsigned held = 0;
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        const int value = value_of(text[i]);
        if (value < 0) {
            return -EINVAL;
        }
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[written++] = (uint8_t)(bits >> held);
        }
    }
    return (bits & ((1u << held) - 1)) != 0 ? -EINVAL : (int)written;
}

int apus_hmac_sha256(const uint8_t *key, size_t key_count, const uint8_t *bytes, size_t count, uint8_t *out)
{
    if (key_count > INT_MAX) {
        return -EINVAL;
    }
    unsigned int written = 0;
    const bool done = HMAC(EVP_sha256(), key, (int)key_count, bytes, count, out, &written) != NULL;
    ERR_clear_error();
    return done && written == APUS_HMAC_SHA256_BYTES ? 0 : -EIO;
}

int apus_random(uint8_t *out, size_t count)
{
    while (count > 0) {
        const int part = count > INT_MAX ? INT_MAX : (int)count;
        if (RAND_bytes(out, part) != 1) {
            ERR_clear_error();
            return -EIO;
        }
        out += part;
        count -= (size_t)part;
    }
    return 0;
}

int apus_sha256_text(const uint8_t *bytes, size_t count, char *out)
{
    unsigned char digest[32];
    unsigned length = 0;
    out[0] = 0;
    if (EVP_Digest(count != 0 ? (const void *)bytes : "", count, digest, &length, EVP_sha256(), NULL) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    for (unsigned i = 0; i < length; i++) {
        snprintf(out + (size_t)2 * i, 3, "%02x", digest[i]);
    }
    return 0;
}

/* Room for several keys of the largest size and what a signature needs meanwhile; within the usual limit of locked
 * memory of 8 MiB. A full pool makes signing fail, so it is ample. */
#define GUARDED_BYTES ((size_t)1 << 20)
#define GUARDED_UNIT 64

static pthread_once_t guard_once = PTHREAD_ONCE_INIT;
static int guard_result;

static void guard_keys(void)
{
    /* 1: done; 2: done, but something of it (the locking) was refused. */
    const int result = CRYPTO_secure_malloc_init(GUARDED_BYTES, GUARDED_UNIT);
    ERR_clear_error();
    guard_result = result == 1 ? 1 : result == 2 ? 0 : -ENOMEM;
}

int apus_crypto_guard_keys(void)
{
    pthread_once(&guard_once, guard_keys);
    return guard_result;
}

size_t apus_crypto_guarded_bytes(void) { return CRYPTO_secure_malloc_initialized() ? CRYPTO_secure_used() : 0; }

void apus_wipe(void *bytes, size_t count)
{
    if (count != 0) {
        OPENSSL_cleanse(bytes, count);
    }
}
