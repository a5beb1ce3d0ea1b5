/* apus_crypto.h: RSA signatures for login tokens, base64url, random bytes. Cold: none of it belongs on a hot path.
 *
 * Ownership: keys are made by _from_… or _generate and freed by _destroy; immutable in between.
 * Threads:   a key may be used by several threads at once (each call has its own context).
 * Secrets:   key text that passes through this module is wiped from its buffers; no error carries any of it (R57).
 */
#ifndef APUS_CRYPTO_H
#define APUS_CRYPTO_H

#include "apus_base.h"

typedef struct apus_signing_key apus_signing_key;     /* an RSA private key, 2048 to 16384 bits */
typedef struct apus_verifying_key apus_verifying_key; /* an RSA public key */

/* RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2) with this hash. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(SignatureHash) apus_hash {
    APUS_SHA256 APUS_NAME(sha256) = 0,
    APUS_SHA384 APUS_NAME(sha384),
    APUS_SHA512 APUS_NAME(sha512),
} apus_hash;

/* A PEM private key, PKCS#1 or PKCS#8, from a regular file of mode 0600 or stricter. 0, or -ENOENT, -EACCES,
 * -EISDIR (a directory), -EINVAL (another thing than a regular file), -EPERM (mode too open), -EFBIG (over 64 KiB), or as _from_pem. */
int apus_signing_key_from_file(const char *APUS_NONNULL path, apus_signing_key *APUS_NULLABLE *APUS_NONNULL out);
/* 0, or -EBADMSG (not an RSA private key in PEM), -EKEYREJECTED (a bad or too short key), -EOPNOTSUPP (protected by a passphrase). */
int apus_signing_key_from_pem(const uint8_t *APUS_NONNULL pem, size_t count,
                              apus_signing_key *APUS_NULLABLE *APUS_NONNULL out);
/* A new key, for demonstrations and tests; bits 2048 ... 16384. 0, -EINVAL or -EIO. */
int apus_signing_key_generate(uint32_t bits, apus_signing_key *APUS_NULLABLE *APUS_NONNULL out);
void apus_signing_key_destroy(apus_signing_key *APUS_NULLABLE key);
/* Length of its signatures in bytes, 256 ... 2048. */
size_t apus_signing_key_signature_bytes(const apus_signing_key *APUS_NONNULL key);
/* Writes the private key as PEM, for a demonstration's key file. Length, or -ENOBUFS or -EIO. */
int apus_signing_key_write_private_pem(const apus_signing_key *APUS_NONNULL key, bool pkcs8, uint8_t *APUS_NONNULL out,
                                       size_t capacity);
/* Writes the public half as PEM (SPKI). Length, or -ENOBUFS or -EIO. */
int apus_signing_key_write_public_pem(const apus_signing_key *APUS_NONNULL key, uint8_t *APUS_NONNULL out, size_t capacity);
/* The signature's length, or -ENOBUFS or -EIO. */
int apus_signing_key_sign(const apus_signing_key *APUS_NONNULL key, apus_hash hash, const uint8_t *APUS_NULLABLE bytes,
                          size_t count, uint8_t *APUS_NONNULL out, size_t capacity);

/* A PEM public key, SPKI or PKCS#1. 0, -EBADMSG or -EKEYREJECTED. */
int apus_verifying_key_from_pem(const uint8_t *APUS_NONNULL pem, size_t count,
                                apus_verifying_key *APUS_NULLABLE *APUS_NONNULL out);
/* The public half of a private key. 0 or -ENOMEM. */
int apus_verifying_key_of(const apus_signing_key *APUS_NONNULL key, apus_verifying_key *APUS_NULLABLE *APUS_NONNULL out);
void apus_verifying_key_destroy(apus_verifying_key *APUS_NULLABLE key);
bool apus_verifying_key_accepts(const apus_verifying_key *APUS_NONNULL key, apus_hash hash,
                                const uint8_t *APUS_NULLABLE bytes, size_t count, const uint8_t *APUS_NULLABLE signature,
                                size_t signature_bytes);

/* base64url without padding (RFC 4648, section 5). The encoded length of n bytes is (4 n + 2) / 3, rounded down.
 * Encode: length or -ENOBUFS. Decode: length, -EINVAL (a character or length that no encoder makes,
 * padding, or non-zero spare bits), or -ENOBUFS. */
int apus_base64url_encode(const uint8_t *APUS_NULLABLE bytes, size_t count, uint8_t *APUS_NONNULL out, size_t capacity);
int apus_base64url_decode(const uint8_t *APUS_NULLABLE text, size_t count, uint8_t *APUS_NONNULL out, size_t capacity);

/* HMAC (RFC 2104) with SHA-256. 0, or -EIO if the library failed, or -EINVAL for a key of more than INT_MAX bytes. */
#define APUS_HMAC_SHA256_BYTES 32
int apus_hmac_sha256(const uint8_t *APUS_NONNULL key, size_t key_count, const uint8_t *APUS_NONNULL bytes,
                     size_t count, uint8_t *APUS_NONNULL out);

/* Cryptographically secure. 0, or -EIO if the system has no entropy. */
int apus_random(uint8_t *APUS_NONNULL out, size_t count);

/* SHA-256 (FIPS 180-4) of `bytes` as 64 hexadecimal digits and a NUL. 0 or -EIO. */
int apus_sha256_text(const uint8_t *APUS_NULLABLE bytes, size_t count, char *APUS_NONNULL out /* 65 */);

/* From here on the numbers of private keys that are read lie in pages of their own: locked, left out of core dumps,
 * between guard pages, wiped when freed (OPENSSL_secure_malloc(3)). What else OpenSSL frees, but for the
 * smallest blocks, is wiped by apus_tls_memory.c. Once in a process; later calls only report.
 * 1: locked; 0: the limit on locked memory does not allow it, all else holds; or -ENOMEM: as without this call. */
int apus_crypto_guard_keys(void);
/* Bytes of private keys in those pages now. */
size_t apus_crypto_guarded_bytes(void);

/* Overwrites secrets; not optimised away. */
void apus_wipe(void *APUS_NULLABLE bytes, size_t count);

#endif
