/* The telemetry reader on a file that anyone may have written. The input patches a good file, or cuts it; everything
 * that a reader may ask for is asked for, and must stay inside the file and end its texts. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apus_histogram.h"
#include "apus_telemetry.h"
#include "fuzz.h"

enum { PATCHES = 24, PATCH_BYTES = 64 };

static char path[64];
static uint8_t *image; /* the file under test, mapped for writing */
static uint8_t *good;  /* what was there before the patches */

static void leave(void)
{
    unlink(path);
}

static void make_file(void)
{
    struct stat facts;
    const char *const place = stat("/dev/shm", &facts) == 0 && S_ISDIR(facts.st_mode) ? "/dev/shm" : "/tmp";
    snprintf(path, sizeof path, "%s/apus-fuzz-%ld.telemetry", place, (long)getpid());
    apus_telemetry_file *file = NULL;
    const int descriptor = apus_telemetry_create(path, "fuzz", 1, 7, 1000, false, &file);
    require(descriptor >= 0, "no telemetry file");
    atexit(leave);
    for (uint32_t i = 0; i < 2; i++) {
        apus_telemetry_lane *const lane = apus_telemetry_open_lane(file, i, i == 0 ? "thalex" : "other", 1000);
        require(lane != NULL, "no lane");
        const apus_telemetry_instrument instrument = {.name = "BTC-PERPETUAL", .tick_e8 = 100000000, .lot_e8 = 100000};
        apus_telemetry_show_instrument(lane, 0, &instrument);
        apus_telemetry_show_state(lane, APUS_TELEMETRY_QUOTING, "all is well", 11, 1000);
        apus_histogram_record((apus_histogram *)apus_telemetry_span(lane, 0), 250);
    }
    good = fuzz_copy(file, sizeof *file);
    apus_telemetry_close(file, descriptor);
    const int again = open(path, O_RDWR | O_CLOEXEC);
    require(again >= 0, "the file does not open again");
    image = mmap(NULL, sizeof(apus_telemetry_file), PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
    require(image != MAP_FAILED, "the file is not mapped");
    close(again);
}

/* Places where something stands, and any place. */
static size_t take_place(fuzz_bytes *bytes)
{
    static const size_t places[] = {
        0,
        offsetof(apus_telemetry_file, control),
        offsetof(apus_telemetry_file, counters),
        offsetof(apus_telemetry_file, lanes),
        offsetof(apus_telemetry_file, lanes) + offsetof(apus_telemetry_lane, state_sequence),
        offsetof(apus_telemetry_file, lanes) + offsetof(apus_telemetry_lane, counters),
        offsetof(apus_telemetry_file, lanes) + offsetof(apus_telemetry_lane, spans),
        offsetof(apus_telemetry_file, lanes) + offsetof(apus_telemetry_lane, instruments),
    };
    const uint8_t shape = fuzz_take(bytes);
    const size_t within = fuzz_take_word(bytes, 2);
    if (shape >= 240) {
        return (within << 8 | fuzz_take(bytes)) % sizeof(apus_telemetry_file);
    }
    const size_t lane = shape >> 3 & 3;
    const size_t start = places[shape & 7] + ((shape & 7) >= 3 ? lane * sizeof(apus_telemetry_lane) : 0);
    return (start + within % 512) % sizeof(apus_telemetry_file);
}

static uint64_t seen;

/* Readers of a word that is being written yield between attempts. Nobody writes here, and on a busy machine a
 * thousand yields take seconds. */
int sched_yield(void)
{
    return 0;
}

/* Touches a text, which has to end. */
static void read_text(const char *text, size_t capacity)
{
    const size_t count = strnlen(text, capacity);
    require(count < capacity, "a text without an end");
    seen += count;
}

static void read_lane(const apus_telemetry_lane *lane)
{
    char name[APUS_TELEMETRY_NAME_BYTES];
    apus_telemetry_lane_name(lane, name);
    read_text(name, sizeof name);
    seen += (uint64_t)apus_telemetry_lane_heartbeat(lane);
    const uint32_t count = apus_telemetry_instrument_count(lane);
    require(count <= APUS_TELEMETRY_INSTRUMENTS, "more instruments than slots");
    apus_telemetry_state_view state;
    if (apus_telemetry_read_state(lane, &state)) {
        read_text(state.cause, sizeof state.cause);
        seen += state.state;
    }
    apus_telemetry_halt_answer answer;
    if (apus_telemetry_read_halt(lane, &answer)) {
        read_text(answer.cause, sizeof answer.cause);
        seen += answer.level + answer.outcome;
    }
    apus_telemetry_watchdog_view watchdog;
    if (apus_telemetry_read_watchdog(lane, &watchdog)) {
        seen += watchdog.state + watchdog.trip_count;
    }
    for (uint32_t i = 0; i < count + 2; i++) {
        apus_telemetry_instrument instrument;
        if (apus_telemetry_read_instrument(lane, i, &instrument)) {
            require(i < APUS_TELEMETRY_INSTRUMENTS, "an instrument beyond the table");
            read_text(instrument.name, sizeof instrument.name);
        }
    }
    for (uint32_t i = 0; i < APUS_TELEMETRY_SPANS + 2; i++) {
        const apus_histogram *const histogram = apus_telemetry_span_of(lane, i);
        require((histogram != NULL) == (i < APUS_TELEMETRY_SPANS), "a span was misjudged");
        if (histogram != NULL && i < 2) {
            seen += apus_histogram_count(histogram) + apus_histogram_max(histogram);
            seen += apus_histogram_percentile(histogram, 0) + apus_histogram_percentile(histogram, 990000)
                + apus_histogram_percentile(histogram, 1000000);
            seen += apus_histogram_count_up_to(histogram, 1000) + apus_histogram_count_up_to(histogram, UINT64_MAX);
            static apus_histogram copy, earlier;
            apus_histogram_copy(&copy, histogram);
            apus_histogram_subtract(&copy, &earlier);
            apus_histogram_merge(&copy, histogram);
            apus_histogram_copy(&earlier, histogram);
        }
    }
    for (uint32_t i = 0; i < APUS_TELEMETRY_COUNTERS + 2; i++) {
        seen += apus_telemetry_count(lane, i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (image == NULL) {
        make_file();
    }
    fuzz_bytes bytes = fuzz_begin(data, size);
    size_t touched[PATCHES], counts[PATCHES];
    int patches = 0;
    const uint8_t mode = fuzz_take(&bytes);
    while (patches < PATCHES && !fuzz_is_empty(&bytes)) {
        const size_t place = take_place(&bytes);
        size_t found;
        const uint8_t *const piece = fuzz_take_bytes(&bytes, 1 + fuzz_take(&bytes) % PATCH_BYTES, &found);
        found = found < sizeof(apus_telemetry_file) - place ? found : sizeof(apus_telemetry_file) - place;
        memcpy(image + place, piece, found);
        touched[patches] = place;
        counts[patches++] = found;
    }
    if (mode >= 250) {
        /* Shorter than it says; nobody may have it mapped for that. */
        require(truncate(path, (off_t)(fuzz_take_word(&bytes, 2) * 4)) == 0, "not cut");
    }
    const apus_telemetry_file *file = NULL;
    uint32_t version = 0;
    const int descriptor = apus_telemetry_open(path, &file, &version);
    if (descriptor >= 0) {
        require(mode < 250, "a file that is too short was opened");
        const apus_telemetry_facts facts = apus_telemetry_read_facts(file);
        read_text(facts.name, sizeof facts.name);
        const apus_telemetry_stop_view stop = apus_telemetry_read_stop(file);
        read_text(stop.cause, sizeof stop.cause);
        require(apus_telemetry_requested_stop(file) <= APUS_TELEMETRY_STOP_DISCONNECT, "an unknown level");
        for (uint32_t i = 0; i < APUS_TELEMETRY_COUNTERS + 2; i++) {
            bool is_level;
            const char *const name = apus_telemetry_counter_name(file, i, &is_level);
            if (name != NULL) {
                read_text(name, sizeof file->counters[0].name);
            }
        }
        for (uint32_t i = 0; i < APUS_TELEMETRY_LANES + 2; i++) {
            const apus_telemetry_lane *const lane = apus_telemetry_lane_at(file, i);
            require(lane == NULL || i < APUS_TELEMETRY_LANES, "a lane beyond the table");
            if (lane != NULL) {
                read_lane(lane);
            }
        }
        require(!apus_telemetry_writer_lives(descriptor), "a writer that is not there lives");
        require(!apus_telemetry_is_replaced(descriptor, path), "nobody replaced the file");
        apus_telemetry_close((apus_telemetry_file *)(uintptr_t)file, descriptor);
    } else {
        require(descriptor == -EBADMSG || descriptor == -EPROTO, "another error than documented");
        require(descriptor != -EPROTO || version != APUS_TELEMETRY_VERSION, "our own version is another one");
    }
    if (mode >= 250) {
        require(truncate(path, (off_t)sizeof(apus_telemetry_file)) == 0, "not lengthened");
        memcpy(image, good, sizeof(apus_telemetry_file));
    }
    for (int i = 0; i < patches; i++) {
        memcpy(image + touched[i], good + touched[i], counts[i]);
    }
    return 0;
}
