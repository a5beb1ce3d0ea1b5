/* apus_ws_http.h: the two HTTP messages of the opening handshake (RFC 6455, section 4), as text.
 *
 * Private to CSupport. Pure functions over one complete head, "first line CRLF fields CRLF CRLF".
 * Cold: a connection comes through here once.
 */
#ifndef APUS_WS_HTTP_H
#define APUS_WS_HTTP_H

#include "apus_ws_endpoint.h"

#define APUS_WS_ACCEPT_CHARS 28 /* base64 of 20 bytes of SHA-1 */
#define APUS_WS_KEY_CHARS 24    /* base64 of 16 random bytes */

typedef struct apus_ws_slice {
    const char *text;
    size_t count;
} apus_ws_slice;

/* A head taken apart. `lines` are the fields, each ended by CRLF, without the empty line. */
typedef struct apus_ws_head {
    apus_ws_slice first_line;
    apus_ws_slice lines;
} apus_ws_head;

/* Whether the head is well formed: visible text, every field "token: value", nothing folded. */
bool apus_ws_head_parse(const char *text, size_t count, apus_ws_head *out);

/* How many fields have this name, in any case; `out` is the value of the first, trimmed. */
size_t apus_ws_head_find(const apus_ws_head *head, const char *name, apus_ws_slice *out);

/* Whether the comma-separated values of all fields of this name contain `token`, in any case. */
bool apus_ws_head_has_token(const apus_ws_head *head, const char *name, const char *token);

/* Whether `text` is fit to follow the request line of a client as fields: well formed, and none of
 * the fields that the handshake itself sets or that would announce a body. */
bool apus_ws_fields_may_be_added(const char *text, size_t count);

/* base64(SHA-1(key + the GUID of 1.3)) and a terminating zero, or -EIO if libcrypto refuses. */
int apus_ws_accept_key(const char key[APUS_WS_KEY_CHARS], char out[APUS_WS_ACCEPT_CHARS + 1]);

/* base64 of 16 bytes and a terminating zero. */
void apus_ws_encode_key(const uint8_t random[16], char out[APUS_WS_KEY_CHARS + 1]);

/* Client: judges the answer. `status` is the HTTP status, 0 if there is none to be read. */
apus_ws_failure apus_ws_judge_answer(const apus_ws_head *head, const char *accept, uint16_t *status);

/* Server: the status that this request deserves, 101 if it is a good upgrade; then `key` is its
 * Sec-WebSocket-Key. `target` is the request's path and query whenever there is one. An empty `path` takes any. */
uint16_t apus_ws_judge_request(const apus_ws_head *head, const char *path, apus_ws_slice *target, apus_ws_slice *key);

/* Server: writes the whole answer with this status, 400, 404, 405, 426, 431 or 500; its size, below 512,
 * or 0 if `capacity` is too small. */
size_t apus_ws_refusal(uint16_t status, char *out, size_t capacity);

#endif
