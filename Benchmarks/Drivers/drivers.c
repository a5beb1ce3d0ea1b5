/* drivers.c: the socket drivers beside one another and beside a bare recv spin, over loopback.
 *
 * An echo of 300 bytes between two threads, each pinned to a core of its own. All ways are run in turn within each
 * round, so that what the machine does meanwhile hits all of them; figures are over all rounds. README.md says how
 * to read them. */
#define _GNU_SOURCE
#include "end.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MOST_ROUNDS 1000
#define MOST_ECHOES 20000
#define WARM_UP 200
#define PARK_WAIT_NS 10000000

/* One row: a condition under which every way is measured. */
typedef struct setting {
    const char *name;
    bool tls, parks;
    uint32_t connections;
} setting;

static const setting settings[] = {
    {"plain, spinning", false, false, 1},
    {"TLS 1.3, spinning", true, false, 1},
    {"plain, parked", false, true, 1},
    {"TLS 1.3, parked", true, true, 1},
    {"plain, spinning, 2 connections", false, false, 2},
    {"plain, spinning, 4 connections", false, false, 4},
    {"plain, spinning, 8 connections", false, false, 8},
    {"plain, spinning, 32 connections", false, false, 32},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

typedef struct result {
    uint32_t *samples; /* ns a round trip, all rounds */
    size_t count;
    double ratios[MOST_ROUNDS]; /* median of a round to that of the bare spin in the same round */
    uint32_t rounds;
    uint64_t calls, echoes;
} result;
static result results[SETTINGS][WAYS];

static struct {
    uint32_t rounds, echoes;
    const char *json;
    int cores[2];
    bool pinned;
} options = {.rounds = 20, .echoes = 2000};

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int compare_u32(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int compare_double(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void pin(int which)
{
    if (options.pinned) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)options.cores[which], &set);
        (void)sched_setaffinity(0, sizeof set, &set);
    }
}

/* ---- the two threads ---- */

/* What the server thread is to do; published by `step`, counted by both sides. */
static struct {
    const setting *setting;
    way way;
    atomic_uint step, server_step;
    uint16_t port;
    uint64_t calls; /* of the server */
    bool quit;
} job;
static apus_tls_context *server_context, *client_context;
static end server_end, client_end;

static void wait_for(atomic_uint *word, unsigned value)
{
    while (atomic_load_explicit(word, memory_order_acquire) < value) {
        sched_yield();
    }
}

static void *serve(void *unused)
{
    (void)unused;
    pin(0);
    uint8_t message[MESSAGE_BYTES];
    for (unsigned step = 1;; step++) {
        wait_for(&job.step, step);
        if (job.quit) {
            return NULL;
        }
        end *e = &server_end;
        end_listen(e, job.way, job.setting->parks ? PARK_WAIT_NS : 0, job.setting->tls ? server_context : NULL);
        job.port = e->port;
        atomic_store_explicit(&job.server_step, 2 * step - 1, memory_order_release);
        end_accept(e, job.setting->connections);
        uint64_t before = 0;
        for (uint32_t i = 0; i < WARM_UP + options.echoes; i++) {
            if (i == WARM_UP) {
                before = end_calls(e);
            }
            const uint32_t connection = end_receive(e, message);
            end_send(e, connection, message);
        }
        job.calls = end_calls(e) - before;
        atomic_store_explicit(&job.server_step, 2 * step, memory_order_release);
        wait_for(&job.step, step + 1); /* the client has read the last answer and is gone */
        end_close(e);
        step++;
        atomic_store_explicit(&job.server_step, 2 * step, memory_order_release);
    }
}

/* One way under one setting in one round. The median, ns. */
static uint32_t run_once(const setting *s, way way, result *r, unsigned *step)
{
    job.setting = s;
    job.way = way;
    const unsigned mine = ++*step;
    atomic_store_explicit(&job.step, mine, memory_order_release);
    wait_for(&job.server_step, 2 * mine - 1);
    end *e = &client_end;
    end_connect(e, way, s->parks ? PARK_WAIT_NS : 0, s->tls ? client_context : NULL, job.port, s->connections);
    uint8_t message[MESSAGE_BYTES], answer[MESSAGE_BYTES];
    for (uint32_t i = 0; i < MESSAGE_BYTES; i++) {
        message[i] = (uint8_t)(i * 7 + way);
    }
    uint64_t before = 0;
    uint32_t *samples = r->samples + r->count;
    for (uint32_t i = 0; i < WARM_UP + options.echoes; i++) {
        if (i == WARM_UP) {
            before = end_calls(e);
        }
        /* Another connection each time, in an order without a pattern. */
        const uint32_t connection = (uint32_t)((i * 2654435761u) >> 8) % s->connections;
        memcpy(message, &i, sizeof i);
        const int64_t start = now_ns();
        end_send(e, connection, message);
        const uint32_t from = end_receive(e, answer);
        const int64_t end = now_ns();
        if (from != connection || memcmp(message, answer, MESSAGE_BYTES) != 0) {
            die("a wrong echo: connection %u asked, %u answered", connection, from);
        }
        if (i >= WARM_UP) {
            samples[i - WARM_UP] = end - start > UINT32_MAX ? UINT32_MAX : (uint32_t)(end - start);
        }
    }
    r->calls += end_calls(e) - before;
    wait_for(&job.server_step, 2 * mine);
    r->calls += job.calls;
    r->echoes += options.echoes;
    r->count += options.echoes;
    end_close(e);
    atomic_store_explicit(&job.step, ++*step, memory_order_release);
    wait_for(&job.server_step, 2 * *step);
    uint32_t sorted[MOST_ECHOES];
    memcpy(sorted, samples, options.echoes * sizeof *sorted);
    qsort(sorted, options.echoes, sizeof *sorted, compare_u32);
    return sorted[options.echoes / 2];
}

/* ---- the machine ---- */

/* Gaps above 10 us that this core's own thread sees in 0.2 s: what no code can avoid, and what p99.9 is made of. */
static double gaps_a_second(void)
{
    const int64_t start = now_ns();
    int64_t last = start;
    unsigned gaps = 0;
    while (last - start < 200000000) {
        const int64_t time = now_ns();
        gaps += time - last > 10000;
        last = time;
    }
    return gaps / 0.2;
}

/* An idle poll, ns: the best of some batches. */
static double idle_poll_ns(way way, uint32_t connections)
{
    end_listen(&server_end, way, 0, NULL);
    /* Both ends on this thread: the driver makes the connections by itself. */
    const apus_driver_config config = {
        .max_connections = MOST_CONNECTIONS, .send_buffer_bytes = 16384,
        .kind = way == EPOLL ? APUS_DRIVER_EPOLL : APUS_DRIVER_IO_URING};
    apus_driver *client;
    if (apus_driver_create(&config, &client) != 0) {
        die("could not make a second driver");
    }
    apus_driver_event events[16];
    uint32_t up = 0;
    for (uint32_t i = 0; i < connections; i++) {
        apus_connection connection;
        if (apus_driver_connect(client, "127.0.0.1", server_end.port, NULL, 5000000000, &connection) != 0) {
            die("could not connect to 127.0.0.1");
        }
    }
    for (int i = 0; i < 10000 && up < 2 * connections; i++) {
        up += (uint32_t)apus_driver_poll(client, events, 16, 100000);
        up += (uint32_t)apus_driver_poll(server_end.driver, events, 16, 100000);
    }
    double best = 1e9;
    int found = 0;
    for (int batch = 0; batch < 50; batch++) {
        const int polls = 4000;
        const int64_t start = now_ns();
        for (int i = 0; i < polls; i++) {
            found += apus_driver_poll(client, events, 16, 0);
            __asm__ volatile("" ::: "memory");
        }
        const double each = (double)(now_ns() - start) / polls;
        best = each < best ? each : best;
    }
    if (up != 2 * connections || found != 0) {
        die("an idle poll found something");
    }
    apus_driver_destroy(client);
    end_close(&server_end);
    return best;
}

/* ---- output ---- */

static double percentile_us(const result *r, double share)
{
    size_t place = (size_t)((double)r->count * share);
    return r->samples[place < r->count ? place : r->count - 1] / 1000.0;
}

static double median(double *values, uint32_t count)
{
    qsort(values, count, sizeof *values, compare_double);
    return values[count / 2];
}

static char conditions[512];
static FILE *json;
static bool json_first = true;

/* `values` by way, the first of them the bare spin; below 0: not measured. Ours is io_uring's. */
static void write_row(const char *row, const char *unit, const double values[WAYS])
{
    if (json == NULL) {
        return;
    }
    fprintf(json, "%s\n  {\"row\": \"driver: %s\", \"unit\": \"%s\", \"ours\": %.3f, \"target\": null, \"met\": null, "
            "\"peers\": [", json_first ? "" : ",", row, unit, values[IO_URING]);
    fprintf(json, "{\"name\": \"%s\", \"value\": %.3f}", way_names[EPOLL], values[EPOLL]);
    if (values[BARE] >= 0) {
        fprintf(json, ", {\"name\": \"%s\", \"value\": %.3f}", way_names[BARE], values[BARE]);
    }
    fprintf(json, "], \"conditions\": \"%s\"}", conditions);
    json_first = false;
}

static void print_setting(int s)
{
    static const struct {
        const char *name;
        double share;
    } percentiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}};
    double values[WAYS];
    char row[128];
    printf("%s\n", settings[s].name);
    for (way w = BARE; w < WAYS; w++) {
        result *r = &results[s][w];
        qsort(r->samples, r->count, sizeof *r->samples, compare_u32);
        printf("  %-16s p50 %7.2f  p99 %7.2f  p99.9 %8.2f us   %6.2f system calls a message   %.3f x bare\n",
               way_names[w], percentile_us(r, 0.5), percentile_us(r, 0.99), percentile_us(r, 0.999),
               (double)r->calls / (double)(2 * r->echoes), median(r->ratios, r->rounds));
    }
    for (int p = 0; p < 3; p++) {
        for (way w = BARE; w < WAYS; w++) {
            values[w] = percentile_us(&results[s][w], percentiles[p].share);
        }
        snprintf(row, sizeof row, "echo of 300 B, %s, %s", settings[s].name, percentiles[p].name);
        write_row(row, "us", values);
    }
    for (way w = BARE; w < WAYS; w++) {
        values[w] = (double)results[s][w].calls / (double)(2 * results[s][w].echoes);
    }
    snprintf(row, sizeof row, "system calls a message, %s", settings[s].name);
    write_row(row, "calls", values);
}

static void print_idle(void)
{
    static const uint32_t connections[] = {1, 8};
    for (int i = 0; i < 2; i++) {
        const double values[WAYS] = {-1, idle_poll_ns(IO_URING, connections[i]), idle_poll_ns(EPOLL, connections[i])};
        printf("idle poll, %u connection%s: io_uring %.2f ns, epoll %.0f ns\n", connections[i], i == 0 ? "" : "s",
               values[IO_URING], values[EPOLL]);
        char row[64];
        snprintf(row, sizeof row, "idle poll, %u connection%s", connections[i], i == 0 ? "" : "s");
        write_row(row, "ns", values);
    }
}

/* ---- start ---- */

static uint32_t number(const char *name, const char *text, uint32_t most)
{
    char *rest;
    const unsigned long value = text == NULL ? 0 : strtoul(text, &rest, 10);
    if (text == NULL || *rest != 0 || value < 1 || value > most) {
        die("%s takes a number from 1 to %u", name, most);
    }
    return (uint32_t)value;
}

static void parse(int count, char **arguments)
{
    for (int i = 1; i < count; i += 2) {
        const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
        if (strcmp(name, "--help") == 0) {
            puts("usage: drivers [--rounds N] [--echoes N] [--json FILE]\n"
                 "Compares the io_uring and the epoll driver with a bare recv spin: an echo of 300 B over loopback, both\n"
                 "ends pinned. --rounds [20]: how often each is run; --echoes [2000]: in each; --json: the table for programs.");
            exit(0);
        } else if (strcmp(name, "--rounds") == 0) {
            options.rounds = number(name, value, MOST_ROUNDS);
        } else if (strcmp(name, "--echoes") == 0) {
            options.echoes = number(name, value, MOST_ECHOES);
        } else if (strcmp(name, "--json") == 0 && value != NULL) {
            options.json = value;
        } else {
            die("%s is not an option, or lacks its value; see --help", name);
        }
    }
}

static void choose_cores(void)
{
    cpu_set_t allowed;
    int found = 0;
    (void)sched_getaffinity(0, sizeof allowed, &allowed);
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET((size_t)core, &allowed)) {
            options.cores[found++ % 2] = core;
        }
    }
    options.pinned = found >= 2;
}

static void make_contexts(void)
{
    uint8_t pem[4096];
    size_t count = 0;
    char error[512];
    if (apus_tls_server_context_self_signed("127.0.0.1", -3600, 86400, false, &server_context, pem, sizeof pem, &count,
                                            error, sizeof error) != 0
        || apus_tls_client_context(pem, count, false, &client_context, error, sizeof error) != 0) {
        die("%s", error);
    }
}

int main(int count, char **arguments)
{
    parse(count, arguments);
    choose_cores();
    make_contexts();
    for (int s = 0; s < SETTINGS; s++) {
        for (way w = BARE; w < WAYS; w++) {
            results[s][w].samples = calloc((size_t)options.rounds * options.echoes, sizeof(uint32_t));
        }
    }
    pin(1);
    const double gaps = gaps_a_second();
    pthread_t server;
    if (pthread_create(&server, NULL, serve, NULL) != 0) {
        die("could not start a thread");
    }
    unsigned step = 0;
    for (uint32_t round = 0; round < options.rounds; round++) {
        for (int s = 0; s < SETTINGS; s++) {
            double bare = 0;
            for (way w = BARE; w < WAYS; w++) {
                result *r = &results[s][w];
                const double middle = run_once(&settings[s], w, r, &step);
                bare = w == BARE ? middle : bare;
                r->ratios[r->rounds++] = middle / bare;
            }
        }
    }
    job.quit = true;
    atomic_store_explicit(&job.step, step + 1, memory_order_release);
    pthread_join(server, NULL);

    snprintf(conditions, sizeof conditions,
             "loopback, %u rounds of %u echoes, interleaved, %s; gaps of this core above 10 us: %.0f a second",
             options.rounds, options.echoes, options.pinned ? "both ends pinned" : "one core only, not pinned", gaps);
    if (options.json != NULL && (json = fopen(options.json, "w")) == NULL) {
        die("could not write %s: %s", options.json, strerror(errno));
    }
    if (json != NULL) {
        fputc('[', json);
    }
    printf("%s\n", conditions);
    for (int s = 0; s < SETTINGS; s++) {
        print_setting(s);
    }
    print_idle();
    if (json != NULL) {
        fputs("\n]\n", json);
        if (fclose(json) != 0) {
            die("could not write %s: %s", options.json, strerror(errno));
        }
    }
    return 0;
}
