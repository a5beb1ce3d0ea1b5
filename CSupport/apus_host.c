/* apus_host.c: what a host cannot tell through files. */
#define _GNU_SOURCE
#include "include/apus_host.h"

#include "include/apus_clock.h"
#include "include/apus_cpu.h"
#include "include/apus_crypto.h"
#include "include/apus_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

/* ---- io_uring ---- */

int apus_host_try_io_uring(void)
{
    const apus_driver_config config = {
        .max_connections = 1,
        .receive_buffer_bytes = 4096,
        .receive_buffer_count = 2,
        .send_buffer_bytes = 4096,
        .kind = APUS_DRIVER_IO_URING,
    };
    apus_driver *driver = NULL;
    const int result = apus_driver_create(&config, &driver);
    apus_driver_destroy(driver);
    return result;
}

/* ---- the kernel's clock ---- */

void apus_host_read_clock(apus_host_clock *out)
{
    struct timex time = {.modes = 0};
    const int state = adjtimex(&time);
    *out = (apus_host_clock){.error = state < 0 ? -errno : 0};
    if (state < 0) {
        return;
    }
    out->state = state;
    out->offset_ns = (time.status & STA_NANO) != 0 ? time.offset : 1000 * (int64_t)time.offset;
    out->max_error_us = time.maxerror;
    out->estimated_error_us = time.esterror;
}

/* ---- jitter ---- */

static unsigned bucket_of(uint64_t ticks)
{
    if (ticks < 8) {
        return (unsigned)ticks;
    }
    const unsigned octave = 63 - (unsigned)__builtin_clzll(ticks);
    return 8 * (octave - 2) + (unsigned)(ticks >> (octave - 3) & 7);
}

/* The largest gap that falls into a bucket. */
static uint64_t top_of(unsigned bucket)
{
    if (bucket < 8) {
        return bucket;
    }
    const unsigned octave = bucket / 8 + 2;
    return ((uint64_t)(bucket % 8 + 9) << (octave - 3)) - 1;
}

static uint64_t percentile(const uint64_t *counts, uint64_t rounds, double share)
{
    const uint64_t rank = (uint64_t)((double)rounds * share);
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < APUS_JITTER_BUCKETS; bucket++) {
        seen += counts[bucket];
        if (seen > rank) {
            return top_of(bucket);
        }
    }
    return 0;
}

static int64_t system_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int64_t switches_so_far(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

static void spin(int64_t duration_ns, apus_host_jitter *out)
{
    uint64_t counts[APUS_JITTER_BUCKETS] = {0};
    /* The counter's rate, to know the thresholds in ticks: 5 ms are enough for one in a thousand. */
    const int64_t calibration_ns = system_ns(CLOCK_MONOTONIC);
    const uint64_t calibration_ticks = apus_clock_ticks();
    int64_t begin_ns;
    do {
        begin_ns = system_ns(CLOCK_MONOTONIC);
    } while (begin_ns - calibration_ns < 5000000);
    const double rate = (double)(apus_clock_ticks() - calibration_ticks) / (double)(begin_ns - calibration_ns);
    const uint64_t one_us = (uint64_t)(1000 * rate);
    const int64_t switches = switches_so_far();

    uint64_t rounds = 0, max = 0, min = UINT64_MAX, lost = 0, above_1 = 0, above_10 = 0, above_100 = 0;
    const uint64_t first = apus_clock_ticks();
    const uint64_t wanted = (uint64_t)((double)duration_ns * rate);
    uint64_t last = first;
    while (last - first < wanted) {
        const uint64_t now = apus_clock_ticks();
        /* A counter that is not quite in order between two readings gives a gap of 0, not a huge one. */
        const uint64_t gap = now > last ? now - last : 0;
        last = now > last ? now : last;
        rounds++;
        counts[bucket_of(gap)]++;
        min = gap < min ? gap : min;
        if (__builtin_expect(gap > one_us, 0)) {
            max = gap > max ? gap : max;
            lost += gap;
            above_1++;
            above_10 += gap > 10 * one_us;
            above_100 += gap > 100 * one_us;
        }
    }
    if (max == 0) {
        max = percentile(counts, rounds, 1 - 0.5 / (double)rounds);
    }
    *out = (apus_host_jitter){
        .duration_ns = (int64_t)((double)(last - first) / rate),
        .rounds = rounds,
        .resolution_ns_e3 = (int64_t)(1000 * (double)min / rate),
        .p50_ns_e3 = (int64_t)(1000 * (double)percentile(counts, rounds, 0.5) / rate),
        .p9999_ns_e3 = (int64_t)(1000 * (double)percentile(counts, rounds, 0.9999) / rate),
        .max_ns = (int64_t)((double)max / rate),
        .above_1us = above_1,
        .above_10us = above_10,
        .above_100us = above_100,
        .lost_ns = (int64_t)((double)lost / rate),
        .switches = switches_so_far() - switches,
    };
}

int apus_host_measure_jitter(uint32_t core, int64_t duration_ns, apus_host_jitter *out)
{
    *out = (apus_host_jitter){0};
    if (duration_ns < 1000000 || duration_ns > 600 * (int64_t)1000000000) {
        return -EINVAL;
    }
    if (apus_clock_ticks() == apus_clock_ticks() && apus_clock_ticks() == 0) {
        return -ENOTSUP;
    }
    const size_t size = CPU_ALLOC_SIZE(8192);
    cpu_set_t *before = CPU_ALLOC(8192);
    if (before == NULL) {
        return -ENOMEM;
    }
    int result = sched_getaffinity(0, size, before) == 0 ? 0 : -errno;
    if (result == 0) {
        result = apus_cpu_pin(core);
    }
    if (result == 0) {
        spin(duration_ns, out);
        sched_setaffinity(0, size, before);
    }
    CPU_FREE(before);
    return result;
}

/* ---- a venue's time ---- */

/* Waits until `fd` can be read or written. 0 or -errno. */
static int wait_for(int fd, short events, int64_t timeout_ns)
{
    struct pollfd entry = {.fd = fd, .events = events};
    int count;
    do {
        count = poll(&entry, 1, (int)(timeout_ns / 1000000));
    } while (count < 0 && errno == EINTR);
    return count > 0 ? 0 : count == 0 ? -ETIMEDOUT : -errno;
}

static int connect_one(const struct addrinfo *address, int64_t timeout_ns)
{
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    int result = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : -errno;
    if (result == -EINPROGRESS) {
        result = wait_for(fd, POLLOUT, timeout_ns);
        int error = 0;
        socklen_t size = sizeof error;
        if (result == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0) {
            result = -error;
        }
    }
    if (result == 0) {
        /* From here on blocking, with a limit. */
        const struct timeval limit = {.tv_sec = timeout_ns / 1000000000, .tv_usec = timeout_ns % 1000000000 / 1000};
        if (fcntl(fd, F_SETFL, 0) != 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
            result = -errno;
        }
    }
    if (result != 0) {
        close(fd);
        return result;
    }
    return fd;
}

static int connect_to(const char *host, uint16_t port, int64_t timeout_ns)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    const int found = getaddrinfo(host, service, &hints, &list);
    if (found != 0) {
        return found == EAI_AGAIN ? -EAGAIN : -ENOENT;
    }
    int fd = -ENOENT;
    for (const struct addrinfo *address = list; address != NULL && fd < 0; address = address->ai_next) {
        fd = connect_one(address, timeout_ns);
    }
    freeaddrinfo(list);
    return fd;
}

static SSL *start_tls(SSL_CTX *context, int fd, const char *host, int *result)
{
    SSL *tls = SSL_new(context);
    if (tls == NULL || SSL_set_fd(tls, fd) != 1 || SSL_set1_host(tls, host) != 1 ||
        SSL_set_tlsext_host_name(tls, host) != 1) {
        *result = -ENOMEM;
        ERR_clear_error();
        return tls;
    }
    int outcome;
    do {
        errno = 0;
        outcome = SSL_connect(tls);
    } while (outcome != 1 && errno == EINTR);
    if (outcome != 1) {
        *result = SSL_get_verify_result(tls) != X509_V_OK ? -EKEYREJECTED : errno == EAGAIN ? -ETIMEDOUT : -EPROTO;
    }
    ERR_clear_error();
    return tls;
}

/* The value of the field Date in an answer's head. */
static int find_date(char *head, char *out, size_t capacity)
{
    if (strncmp(head, "HTTP/1.", 7) != 0) {
        return -EPROTO;
    }
    char *rest = head;
    for (char *line = strtok_r(head, "\r\n", &rest); line != NULL; line = strtok_r(NULL, "\r\n", &rest)) {
        if (strncasecmp(line, "date:", 5) == 0) {
            const char *value = line + 5 + strspn(line + 5, " \t");
            snprintf(out, capacity, "%s", value);
            return 0;
        }
    }
    return -ENODATA;
}

static int exchange(int fd, SSL *tls, const char *request, int length, apus_host_date *out)
{
    char head[8192];
    size_t count = 0;
    out->sent_ns = system_ns(CLOCK_REALTIME);
    const ssize_t sent = tls != NULL ? SSL_write(tls, request, length) : send(fd, request, (size_t)length, MSG_NOSIGNAL);
    if (sent != length) {
        return tls != NULL || sent >= 0 ? -EPROTO : -errno;
    }
    for (;;) {
        const size_t room = sizeof head - 1 - count;
        const ssize_t got = tls != NULL ? SSL_read(tls, head + count, (int)room) : recv(fd, head + count, room, 0);
        if (got <= 0) {
            const int error = errno;
            ERR_clear_error();
            /* The runtime's own signals do interrupt a read that has a limit. */
            if (got < 0 && error == EINTR) {
                continue;
            }
            if (got == 0 || (tls != NULL && error != EAGAIN)) {
                return -EPROTO;
            }
            return error == EAGAIN ? -ETIMEDOUT : -error;
        }
        count += (size_t)got;
        head[count] = 0;
        if (strstr(head, "\r\n\r\n") != NULL) {
            out->received_ns = system_ns(CLOCK_REALTIME);
            return find_date(head, out->text, sizeof out->text);
        }
        if (count == sizeof head - 1) {
            return -EPROTO;
        }
    }
}

int apus_host_ask_date(const char *host, uint16_t port, const char *path, bool tls, int64_t timeout_ns,
                       apus_host_date *out)
{
    *out = (apus_host_date){0};
    uint8_t nonce[16];
    char key[32] = {0};
    int result = apus_random(nonce, sizeof nonce);
    if (result < 0) {
        return result;
    }
    EVP_EncodeBlock((unsigned char *)key, nonce, sizeof nonce);
    char request[1024];
    const bool bare = strchr(host, ':') == NULL;
    const int length = snprintf(request, sizeof request,
                                "GET %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
                                path, bare ? "" : "[", host, bare ? "" : "]", (unsigned)port, key);
    if (length < 0 || (size_t)length >= sizeof request) {
        return -EINVAL;
    }
    SSL_CTX *context = NULL;
    if (tls) {
        context = SSL_CTX_new(TLS_client_method());
        if (context == NULL || SSL_CTX_set_default_verify_paths(context) != 1) {
            SSL_CTX_free(context);
            ERR_clear_error();
            return -ENOMEM;
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    const int fd = connect_to(host, port, timeout_ns);
    result = fd < 0 ? fd : 0;
    if (result == 0) {
        SSL *session = tls ? start_tls(context, fd, host, &result) : NULL;
        if (result == 0) {
            result = exchange(fd, session, request, length, out);
        }
        SSL_free(session);
        close(fd);
    }
    SSL_CTX_free(context);
    return result;
}

int64_t apus_host_parse_date(const char *text)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    /* By hand: strptime(3) knows the names of the current locale alone. */
    char name[4] = {0}, end = 0;
    int day, year, hour, minute, second;
    const char *comma = strchr(text, ',');
    if (comma == NULL || sscanf(comma + 1, " %2d %3s %4d %2d:%2d:%2d GMT%c", &day, name, &year, &hour, &minute, &second,
                                &end) != 6 ||
        strstr(text, " GMT") == NULL) {
        return -1;
    }
    for (int month = 0; month < 12; month++) {
        if (strcmp(name, months[month]) == 0 && day >= 1 && day <= 31 && hour <= 23 && minute <= 59 && second <= 60) {
            struct tm time = {.tm_mday = day, .tm_mon = month, .tm_year = year - 1900, .tm_hour = hour,
                              .tm_min = minute, .tm_sec = second};
            return timegm(&time);
        }
    }
    return -1;
}
