/* apus_host.h: what a host cannot tell through files: whether io_uring works, how good the clock is, how often a core
 * is taken away from a spinning thread, and what time a venue has. All cold: for `apus doctor` and the run's manifest.
 */
#ifndef APUS_HOST_H
#define APUS_HOST_H

#include "apus_base.h"

/* ---- io_uring ---- */

/* 0 if a socket driver over io_uring can be made here, else its -errno (see apus_driver_create). */
int apus_host_try_io_uring(void);

/* ---- the kernel's clock (adjtimex(2)) ---- */

typedef struct APUS_NAME(HostClock) apus_host_clock {
    int error;                 /* 0, or -errno: then nothing below is known */
    int state;                 /* TIME_OK 0 ... TIME_ERROR 5: not synchronised */
    int64_t offset_ns;         /* still to be worked off */
    int64_t max_error_us;      /* the kernel's bound; grows by 500 us a second without a correction */
    int64_t estimated_error_us;
} apus_host_clock;

void apus_host_read_clock(apus_host_clock *APUS_NONNULL out);

/* ---- jitter of a core ---- */

/* Eight buckets an octave of counter ticks, exact below eight. */
#define APUS_JITTER_BUCKETS 512

/* A gap is the time between two readings of the processor's counter in a loop that does nothing else. */
typedef struct APUS_NAME(HostJitter) apus_host_jitter {
    int64_t duration_ns;       /* that was measured */
    uint64_t rounds;           /* readings */
    int64_t resolution_ns_e3;  /* the smallest gap, 10^-3 ns */
    int64_t p50_ns_e3, p9999_ns_e3; /* of all rounds, 10^-3 ns */
    int64_t max_ns;
    uint64_t above_1us, above_10us, above_100us; /* gaps longer than that */
    int64_t lost_ns;           /* sum of the gaps above 1 us */
    int64_t switches;          /* times that the kernel gave the core to another thread meanwhile */
} apus_host_jitter;

/* Pins the calling thread to `core`, spins for `duration_ns` (1 ms ... 600 s), and gives it its cores back. 0, -EINVAL
 * (duration or core out of range), -ENOTSUP (no counter that user space can read), or the -errno of pinning. */
int apus_host_measure_jitter(uint32_t core, int64_t duration_ns, apus_host_jitter *APUS_NONNULL out);

/* ---- a venue's time ---- */

#define APUS_HOST_DATE 64

typedef struct APUS_NAME(VenueDate) apus_host_date {
    char text[APUS_HOST_DATE]; /* the field Date of the answer */
    int64_t sent_ns;           /* CLOCK_REALTIME before the request left */
    int64_t received_ns;       /* and when the answer's head was complete */
} apus_host_date;

/* Connects, asks for a WebSocket upgrade of `path`, keeps the answer's field Date, and hangs up. Blocks for at most
 * `timeout_ns` in each of its steps.
 * 0, or -ENODATA (an answer without Date), -EKEYREJECTED (the certificate is not trusted), -EPROTO (TLS or HTTP
 * failed), -ENOENT (no such host), -ETIMEDOUT, or another -errno of the connection. */
int apus_host_ask_date(const char *APUS_NONNULL host, uint16_t port, const char *APUS_NONNULL path, bool tls,
                       int64_t timeout_ns, apus_host_date *APUS_NONNULL out);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7) as seconds of Unix time; -1 for anything else. */
int64_t apus_host_parse_date(const char *APUS_NONNULL text);

#endif
