#include "apus_ws_http.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool same_text(apus_ws_slice a, const char *b)
{
    const size_t count = strlen(b);
    if (a.count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (lower(a.text[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

static bool starts_with(apus_ws_slice text, const char *prefix)
{
    const size_t count = strlen(prefix);
    return text.count >= count && memcmp(text.text, prefix, count) == 0;
}

static apus_ws_slice trimmed(apus_ws_slice s)
{
    while (s.count > 0 && (s.text[0] == ' ' || s.text[0] == '\t')) {
        s.text++;
        s.count--;
    }
    while (s.count > 0 && (s.text[s.count - 1] == ' ' || s.text[s.count - 1] == '\t')) {
        s.count--;
    }
    return s;
}

static apus_ws_slice up_to(apus_ws_slice *rest, char end)
{
    const char *found = memchr(rest->text, end, rest->count);
    const size_t count = found != NULL ? (size_t)(found - rest->text) : rest->count;
    const apus_ws_slice piece = {rest->text, count};
    const size_t used = found != NULL ? count + 1 : count;
    rest->text += used;
    rest->count -= used;
    return piece;
}

/* A character of a field name or method (RFC 9110, 5.6.2). */
static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z')
        || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_text_char(char c)
{
    return (uint8_t)c >= 0x20 ? c != 0x7F : c == '\t';
}

/* Takes one line off `rest`; false if it does not end in CRLF or holds a control character. */
static bool take_line(apus_ws_slice *rest, apus_ws_slice *line)
{
    const size_t before = rest->count;
    *line = up_to(rest, '\n');
    const bool has_line_feed = before - rest->count != line->count;
    if (!has_line_feed || line->count == 0 || line->text[line->count - 1] != '\r') {
        return false;
    }
    line->count--;
    for (size_t i = 0; i < line->count; i++) {
        if (!is_text_char(line->text[i])) {
            return false;
        }
    }
    return true;
}

/* Splits a line at its colon; false if what stands before is not a token. */
static bool split_field(apus_ws_slice line, apus_ws_slice *name, apus_ws_slice *value)
{
    const size_t count = line.count;
    *name = up_to(&line, ':');
    if (name->count == 0 || name->count == count) {
        return false;
    }
    for (size_t i = 0; i < name->count; i++) {
        if (!is_token_char(name->text[i])) {
            return false;
        }
    }
    *value = trimmed(line);
    return true;
}

static bool fields_are_well_formed(apus_ws_slice lines)
{
    while (lines.count > 0) {
        apus_ws_slice line, name, value;
        if (!take_line(&lines, &line) || !split_field(line, &name, &value)) {
            return false;
        }
    }
    return true;
}

bool apus_ws_head_parse(const char *text, size_t count, apus_ws_head *out)
{
    apus_ws_slice rest = {text, count};
    if (count < 4 || memcmp(text + count - 4, "\r\n\r\n", 4) != 0) {
        return false;
    }
    rest.count -= 2;
    if (!take_line(&rest, &out->first_line)) {
        return false;
    }
    out->lines = rest;
    return fields_are_well_formed(rest);
}

/* Takes the next field of this name off `rest`. */
static bool next_field(apus_ws_slice *rest, const char *name, apus_ws_slice *value)
{
    while (rest->count > 0) {
        apus_ws_slice line, found;
        if (take_line(rest, &line) && split_field(line, &found, value) && same_text(found, name)) {
            return true;
        }
    }
    return false;
}

size_t apus_ws_head_find(const apus_ws_head *head, const char *name, apus_ws_slice *out)
{
    apus_ws_slice rest = head->lines, value;
    size_t count = 0;
    *out = (apus_ws_slice){"", 0};
    while (next_field(&rest, name, &value)) {
        if (count++ == 0) {
            *out = value;
        }
    }
    return count;
}

bool apus_ws_head_has_token(const apus_ws_head *head, const char *name, const char *token)
{
    apus_ws_slice rest = head->lines, value;
    while (next_field(&rest, name, &value)) {
        while (value.count > 0) {
            if (same_text(trimmed(up_to(&value, ',')), token)) {
                return true;
            }
        }
    }
    return false;
}

bool apus_ws_fields_may_be_added(const char *text, size_t count)
{
    static const char *const own[] = {
        "Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
        "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Content-Length", "Transfer-Encoding",
    };
    const apus_ws_head head = {.first_line = {"", 0}, .lines = {text, count}};
    if (!fields_are_well_formed(head.lines)) {
        return false;
    }
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        apus_ws_slice value;
        if (apus_ws_head_find(&head, own[i], &value) != 0) {
            return false;
        }
    }
    return true;
}

int apus_ws_accept_key(const char key[APUS_WS_KEY_CHARS], char out[APUS_WS_ACCEPT_CHARS + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */
    char joined[APUS_WS_KEY_CHARS + sizeof guid - 1];
    memcpy(joined, key, APUS_WS_KEY_CHARS);
    memcpy(joined + APUS_WS_KEY_CHARS, guid, sizeof guid - 1);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned int digest_bytes = 0;
    if (EVP_Digest(joined, sizeof joined, digest, &digest_bytes, EVP_sha1(), NULL) != 1 || digest_bytes != 20) {
        return -EIO;
    }
    EVP_EncodeBlock((unsigned char *)out, digest, 20);
    return 0;
}

void apus_ws_encode_key(const uint8_t random[16], char out[APUS_WS_KEY_CHARS + 1])
{
    EVP_EncodeBlock((unsigned char *)out, random, 16);
}

apus_ws_failure apus_ws_judge_answer(const apus_ws_head *head, const char *accept, uint16_t *status)
{
    const apus_ws_slice line = head->first_line;
    apus_ws_slice value;
    *status = 0;
    /* "HTTP/1.1 101", and then a space before a reason, or nothing. */
    if (!starts_with(line, "HTTP/1.") || line.count < 12 || line.text[8] != ' ' || (line.count > 12 && line.text[12] != ' ')) {
        return APUS_WS_NOT_HTTP;
    }
    uint16_t code = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line.text[i] < '0' || line.text[i] > '9') {
            return APUS_WS_NOT_HTTP;
        }
        code = (uint16_t)(code * 10 + (line.text[i] - '0'));
    }
    *status = code;
    if (code != 101) {
        return APUS_WS_REFUSED;
    }
    if (line.text[7] != '1') {
        return APUS_WS_NOT_HTTP; /* HTTP/1.0 has no upgrade */
    }
    if (!apus_ws_head_has_token(head, "Upgrade", "websocket")) {
        return APUS_WS_NO_UPGRADE;
    }
    if (!apus_ws_head_has_token(head, "Connection", "upgrade")) {
        return APUS_WS_NO_CONNECTION_UPGRADE;
    }
    if (apus_ws_head_find(head, "Sec-WebSocket-Accept", &value) != 1 || value.count != APUS_WS_ACCEPT_CHARS
        || memcmp(value.text, accept, APUS_WS_ACCEPT_CHARS) != 0) {
        return APUS_WS_WRONG_ACCEPT;
    }
    if (apus_ws_head_find(head, "Sec-WebSocket-Extensions", &value) != 0) {
        return APUS_WS_EXTENSION_NOT_OFFERED;
    }
    if (apus_ws_head_find(head, "Sec-WebSocket-Protocol", &value) != 0) {
        return APUS_WS_SUBPROTOCOL_NOT_OFFERED;
    }
    return APUS_WS_NO_FAILURE;
}

/* Whether `text` has the form of base64 of 16 bytes. */
static bool is_key(apus_ws_slice text)
{
    if (text.count != APUS_WS_KEY_CHARS || text.text[22] != '=' || text.text[23] != '=') {
        return false;
    }
    for (size_t i = 0; i < 22; i++) {
        const char c = text.text[i];
        if (!((c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '+' || c == '/')) {
            return false;
        }
    }
    return true;
}

/* Leaves the path and query of a target in absolute form (RFC 9112, 3.2.2). */
static apus_ws_slice path_and_query(apus_ws_slice target)
{
    if (starts_with(target, "http://") || starts_with(target, "ws://")) {
        up_to(&target, '/');
        up_to(&target, '/');
        const char *slash = memchr(target.text, '/', target.count);
        if (slash == NULL) {
            return (apus_ws_slice){"/", 1};
        }
        target.count -= (size_t)(slash - target.text);
        target.text = slash;
    }
    return target;
}

uint16_t apus_ws_judge_request(const apus_ws_head *head, const char *path, apus_ws_slice *target, apus_ws_slice *key)
{
    apus_ws_slice rest = head->first_line, value;
    const apus_ws_slice method = up_to(&rest, ' ');
    const apus_ws_slice full_target = up_to(&rest, ' ');
    *target = path_and_query(full_target);
    for (size_t i = 0; i < method.count; i++) {
        if (!is_token_char(method.text[i])) {
            return 400;
        }
    }
    if (method.count == 0 || target->count == 0 || !starts_with(rest, "HTTP/1.") || rest.count != 8) {
        return 400;
    }
    if (method.count != 3 || memcmp(method.text, "GET", 3) != 0) {
        return 405;
    }
    apus_ws_slice query = *target;
    const apus_ws_slice asked = up_to(&query, '?');
    if (target->text[0] != '/') {
        return 400;
    }
    if (path[0] != 0 && (asked.count != strlen(path) || memcmp(asked.text, path, asked.count) != 0)) {
        return 404;
    }
    /* A body would be taken for frames. */
    const size_t lengths = apus_ws_head_find(head, "Content-Length", &value);
    if (lengths > 1 || (lengths == 1 && !same_text(value, "0"))
        || apus_ws_head_find(head, "Transfer-Encoding", &value) != 0) {
        return 400;
    }
    if (rest.text[7] != '1' || apus_ws_head_find(head, "Host", &value) != 1) {
        return 400;
    }
    if (!apus_ws_head_has_token(head, "Upgrade", "websocket") || !apus_ws_head_has_token(head, "Connection", "upgrade")) {
        return 426;
    }
    if (apus_ws_head_find(head, "Sec-WebSocket-Version", &value) != 1 || !same_text(value, "13")) {
        return 426;
    }
    if (apus_ws_head_find(head, "Sec-WebSocket-Key", key) != 1 || !is_key(*key)) {
        return 400;
    }
    return 101;
}

size_t apus_ws_refusal(uint16_t status, char *out, size_t capacity)
{
    const char *reason = "Bad Request", *fields = "", *body = "this is not a well-formed WebSocket upgrade\n";
    switch (status) {
    case 404:
        reason = "Not Found";
        body = "there is no WebSocket at this path\n";
        break;
    case 405:
        reason = "Method Not Allowed";
        fields = "Allow: GET\r\n";
        body = "a WebSocket is opened with GET\n";
        break;
    case 426:
        reason = "Upgrade Required";
        fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
        body = "only WebSocket, version 13, is spoken here\n";
        break;
    case 431:
        reason = "Request Header Fields Too Large";
        body = "the head of the request is too long\n";
        break;
    case 500:
        reason = "Internal Server Error";
        body = "SHA-1 is not available here\n";
        break;
    default:
        break;
    }
    const int count = snprintf(out, capacity,
        "HTTP/1.1 %u %s\r\n%sContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
        (unsigned)status, reason, fields, strlen(body), body);
    return count > 0 && (size_t)count < capacity ? (size_t)count : 0;
}
