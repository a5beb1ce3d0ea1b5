/* F_OFD_SETLK is Linux's own: locks that belong to the open file, not to the process. */
#define _GNU_SOURCE

#include "apus_telemetry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Bytes of the file that stand for locks. */
#define LOCK_WRITER 0    /* the engine, as long as it lives */
#define LOCK_REQUESTER 1 /* whoever changes the control page */

#define READ_ATTEMPTS 1000

static const char magic[8] = {'A', 'P', 'U', 'S', 'T', 'E', 'L', 'E'};

static const struct {
    const char *name, *help;
    char kind;
} counter_facts[] = {
#define COUNTER_FACT(symbol, swift, name, kind, help) {name, help, kind},
    APUS_TELEMETRY_COUNTER_LIST(COUNTER_FACT)
#undef COUNTER_FACT
};
#define COUNTERS_KNOWN (sizeof counter_facts / sizeof counter_facts[0])
static_assert(COUNTERS_KNOWN <= APUS_TELEMETRY_COUNTERS, "one slot each");

static const char *const span_names[APUS_TELEMETRY_SPANS_NAMED] = {
    "tick_to_frame", "submit", "tick_to_order", "acknowledge", "turn",
    "receive",       "decode", "decide",        "risk",        "encode",
};

static int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int lock_byte(int descriptor, int command, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int result;
    do {
        result = fcntl(descriptor, command, &lock);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : -errno;
}

static void copy_text(char *out, size_t capacity, const char *text)
{
    const size_t bytes = strnlen(text, capacity - 1);
    memset(out, 0, capacity);
    memcpy(out, text, bytes);
}

/* ---- Sequence locks. ---- */

static void store_words(_Atomic uint64_t *words, const void *value, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, (const char *)value + i * 8, sizeof word);
        atomic_store_explicit(&words[i], word, memory_order_relaxed);
    }
}

static void load_words(void *value, const _Atomic uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t word = atomic_load_explicit(&words[i], memory_order_relaxed);
        memcpy((char *)value + i * 8, &word, sizeof word);
    }
}

/* The sequence before a read; odd when a write is under way. */
static uint64_t read_begin(const _Atomic uint64_t *sequence)
{
    /* Acquire, pairs with apus_telemetry_end: the words are at least of that write. */
    return atomic_load_explicit(sequence, memory_order_acquire);
}

static bool read_is_whole(const _Atomic uint64_t *sequence, uint64_t begun)
{
    /* Acquire fence, pairs with the release fence in apus_telemetry_begin: if any word was newer, the
     * sequence is newer too. */
    atomic_thread_fence(memory_order_acquire);
    return (begun & 1) == 0 && atomic_load_explicit(sequence, memory_order_relaxed) == begun;
}

static void pause_after(int attempt)
{
    if (attempt % 8 == 7) {
        sched_yield();
    }
}

/* ---- Writer. ---- */

static void fill_header(apus_telemetry_file *file, const char *name, uint32_t mode, uint64_t boot_epoch,
                        int64_t now_ns)
{
    apus_telemetry_header *const header = &file->header;
    memcpy(header->magic, magic, sizeof magic);
    header->version = APUS_TELEMETRY_VERSION;
    header->header_bytes = sizeof *header;
    header->file_bytes = sizeof *file;
    header->lane_capacity = APUS_TELEMETRY_LANES;
    header->lane_bytes = sizeof(apus_telemetry_lane);
    header->instrument_capacity = APUS_TELEMETRY_INSTRUMENTS;
    header->instrument_bytes = sizeof(apus_telemetry_instrument_slot);
    header->counter_capacity = APUS_TELEMETRY_COUNTERS;
    header->counter_entry_bytes = sizeof(apus_telemetry_counter_entry);
    header->span_capacity = APUS_TELEMETRY_SPANS;
    header->span_bytes = APUS_TELEMETRY_SPAN_BYTES;
    header->process_id = getpid();
    header->boot_epoch = boot_epoch;
    header->start_wall_ns = wall_ns();
    header->start_ns = now_ns;
    copy_text(header->name, sizeof header->name, name);
    header->mode = mode;
    atomic_store_explicit(&header->heartbeat_ns, now_ns, memory_order_relaxed);
    for (size_t i = 0; i < COUNTERS_KNOWN; i++) {
        copy_text(file->counters[i].name, sizeof file->counters[i].name, counter_facts[i].name);
        file->counters[i].kind = counter_facts[i].kind;
    }
}

static void take_over_stop(apus_telemetry_file *file, int old_descriptor)
{
    /* Only the control page is looked at: the rest of an older version's file may be shorter. */
    apus_telemetry_file *const old = mmap(NULL, sizeof *old, PROT_READ, MAP_SHARED, old_descriptor, 0);
    if (old == MAP_FAILED) {
        return;
    }
    const apus_telemetry_stop_view stop = apus_telemetry_read_stop(old);
    apus_telemetry_control *const control = &file->control;
    store_words(control->cause, stop.cause, APUS_TELEMETRY_TEXT_WORDS);
    atomic_store_explicit(&control->rearm_count, stop.rearm_count, memory_order_relaxed);
    atomic_store_explicit(&control->request_count, stop.request_count, memory_order_relaxed);
    atomic_store_explicit(&control->requested_wall_ns, stop.requested_wall_ns, memory_order_relaxed);
    atomic_store_explicit(&control->requester_process_id, stop.requester_process_id, memory_order_relaxed);
    atomic_store_explicit(&control->stop_level, stop.level, memory_order_release);
    munmap(old, sizeof *old);
}

static int check_layout(int descriptor, uint32_t *version_found);

int apus_telemetry_create(const char *path, const char *name, uint32_t mode, uint64_t boot_epoch, int64_t now_ns,
                          bool keep_stop, apus_telemetry_file **out)
{
    *out = NULL;
    char temporary[PATH_MAX];
    const int length = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return -ENAMETOOLONG;
    }
    /* The file that is there now: its writer must be gone. The lock is held until the new one is in place. */
    const int old = open(path, O_RDWR | O_CLOEXEC);
    if (old < 0 && errno != ENOENT) {
        return -errno;
    }
    int result = 0;
    if (old >= 0 && lock_byte(old, F_OFD_SETLK, LOCK_WRITER) != 0) {
        close(old);
        return -EBUSY;
    }
    const int descriptor = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *base = MAP_FAILED;
    if (descriptor < 0) {
        result = -errno;
    } else if (lock_byte(descriptor, F_OFD_SETLK, LOCK_WRITER) != 0) {
        /* Another process is at this very point. Its file is not ours to remove. */
        close(descriptor);
        if (old >= 0) {
            close(old);
        }
        return -EBUSY;
    }
    if (result == 0 && ftruncate(descriptor, 0) != 0) {
        result = -errno;
    }
    while (result == 0) {
        const int error = posix_fallocate(descriptor, 0, sizeof(apus_telemetry_file));
        if (error != EINTR) {
            result = -error;
            break;
        }
    }
    if (result == 0) {
        base = mmap(NULL, sizeof(apus_telemetry_file), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, 0);
        result = base == MAP_FAILED ? -errno : 0;
    }
    if (result == 0) {
        fill_header(base, name, mode, boot_epoch, now_ns);
        uint32_t version = 0;
        const int found = old >= 0 ? check_layout(old, &version) : -ENOENT;
        /* The control page is where it was in version 1. */
        if (keep_stop && (found == 0 || (found == -EPROTO && version == 1))) {
            /* A request made from here on finds the file replaced, and is repeated on the new one. */
            (void)lock_byte(old, F_OFD_SETLKW, LOCK_REQUESTER);
            take_over_stop(base, old);
        }
        result = rename(temporary, path) != 0 ? -errno : 0;
    }
    if (old >= 0) {
        close(old);
    }
    if (result != 0) {
        if (base != MAP_FAILED) {
            munmap(base, sizeof(apus_telemetry_file));
        }
        if (descriptor >= 0) {
            unlink(temporary);
            close(descriptor);
        }
        return result;
    }
    *out = base;
    return descriptor;
}

void apus_telemetry_close(apus_telemetry_file *file, int descriptor)
{
    if (file != NULL) {
        munmap(file, sizeof *file);
        close(descriptor);
    }
}

apus_telemetry_lane *apus_telemetry_open_lane(apus_telemetry_file *file, uint32_t index, const char *name,
                                              int64_t now_ns)
{
    if (index >= APUS_TELEMETRY_LANES) {
        return NULL;
    }
    apus_telemetry_lane *const lane = &file->lanes[index];
    copy_text(lane->name, sizeof lane->name, name);
    apus_telemetry_lane_beat(lane, now_ns);
    apus_telemetry_show_state(lane, APUS_TELEMETRY_CONNECTING, NULL, 0, now_ns);
    /* Release, pairs with apus_telemetry_lane_at: the name is complete. */
    atomic_store_explicit(&lane->is_present, 1, memory_order_release);
    return lane;
}

/* ---- Opening, by readers and requesters. ---- */

/* 0 if this is a file of our layout; otherwise nothing in it may be touched. */
static int check_layout(int descriptor, uint32_t *version_found)
{
    struct stat facts;
    apus_telemetry_header header;
    *version_found = 0;
    if (fstat(descriptor, &facts) != 0) {
        return -errno;
    }
    const ssize_t got = pread(descriptor, &header, sizeof header, 0);
    if (got < 0) {
        return -errno;
    }
    if (got != (ssize_t)sizeof header || memcmp(header.magic, magic, sizeof magic) != 0) {
        return -EBADMSG;
    }
    *version_found = header.version;
    if (header.version != APUS_TELEMETRY_VERSION) {
        return -EPROTO;
    }
    const bool same = header.header_bytes == sizeof header && header.file_bytes == sizeof(apus_telemetry_file) &&
                      facts.st_size >= 0 && (uint64_t)facts.st_size >= sizeof(apus_telemetry_file) &&
                      header.lane_capacity == APUS_TELEMETRY_LANES && header.lane_bytes == sizeof(apus_telemetry_lane) &&
                      header.instrument_capacity == APUS_TELEMETRY_INSTRUMENTS &&
                      header.instrument_bytes == sizeof(apus_telemetry_instrument_slot) &&
                      header.counter_capacity == APUS_TELEMETRY_COUNTERS &&
                      header.counter_entry_bytes == sizeof(apus_telemetry_counter_entry) &&
                      header.span_capacity == APUS_TELEMETRY_SPANS && header.span_bytes == APUS_TELEMETRY_SPAN_BYTES;
    return same ? 0 : -EBADMSG;
}

static int open_checked(const char *path, int flags, int protection, uint64_t bytes, void **out, uint32_t *version_found)
{
    *out = NULL;
    *version_found = 0;
    const int descriptor = open(path, flags | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    int result = check_layout(descriptor, version_found);
    if (result == 0) {
        void *const base = mmap(NULL, bytes, protection, MAP_SHARED, descriptor, 0);
        if (base != MAP_FAILED) {
            *out = base;
            return descriptor;
        }
        result = -errno;
    }
    close(descriptor);
    return result;
}

int apus_telemetry_open(const char *path, const apus_telemetry_file **out, uint32_t *version_found)
{
    void *base;
    const int descriptor =
        open_checked(path, O_RDONLY, PROT_READ, sizeof(apus_telemetry_file), &base, version_found);
    *out = base;
    return descriptor;
}

bool apus_telemetry_writer_lives(int descriptor)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_WRITER, .l_len = 1};
    return fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool apus_telemetry_is_replaced(int descriptor, const char *path)
{
    struct stat ours, theirs;
    return fstat(descriptor, &ours) != 0 || stat(path, &theirs) != 0 || ours.st_ino != theirs.st_ino ||
           ours.st_dev != theirs.st_dev;
}

/* ---- Control. ---- */

/* Maps header and control page of the file at `path` for writing, alone among requesters. */
static int open_control(const char *path, apus_telemetry_file **out, uint32_t *version_found)
{
    void *base;
    const int descriptor = open_checked(path, O_RDWR, PROT_READ | PROT_WRITE,
                                        offsetof(apus_telemetry_file, counters), &base, version_found);
    if (descriptor < 0) {
        return descriptor;
    }
    const int locked = lock_byte(descriptor, F_OFD_SETLKW, LOCK_REQUESTER);
    if (locked != 0) {
        munmap(base, offsetof(apus_telemetry_file, counters));
        close(descriptor);
        return locked;
    }
    *out = base;
    return descriptor;
}

static void close_control(apus_telemetry_file *file, int descriptor)
{
    munmap(file, offsetof(apus_telemetry_file, counters));
    close(descriptor); /* and with it the lock */
}

static void write_request(apus_telemetry_control *control, uint32_t level, const char *cause)
{
    char text[APUS_TELEMETRY_TEXT_BYTES];
    copy_text(text, sizeof text, cause);
    /* A requester that was killed in the middle left it odd. It stays odd: an even number, for however short a
     * time, would vouch for the half of a text that is there. */
    uint64_t odd = atomic_load_explicit(&control->sequence, memory_order_relaxed);
    if ((odd & 1) == 0) {
        odd = apus_telemetry_begin(&control->sequence);
    } else {
        /* Release fence, as in apus_telemetry_begin. */
        atomic_thread_fence(memory_order_release);
    }
    store_words(control->cause, text, APUS_TELEMETRY_TEXT_WORDS);
    atomic_store_explicit(&control->requested_wall_ns, wall_ns(), memory_order_relaxed);
    atomic_store_explicit(&control->requester_process_id, getpid(), memory_order_relaxed);
    atomic_fetch_add_explicit(&control->request_count, 1, memory_order_relaxed);
    apus_telemetry_end(&control->sequence, odd);
    /* Release, pairs with apus_telemetry_requested_stop: who sees the level finds the cause. */
    atomic_store_explicit(&control->stop_level, level, memory_order_release);
}

int apus_telemetry_request_stop(const char *path, apus_telemetry_stop_level level, const char *cause,
                                uint32_t *version_found)
{
    for (;;) {
        apus_telemetry_file *file;
        const int descriptor = open_control(path, &file, version_found);
        if (descriptor < 0) {
            return descriptor;
        }
        const uint32_t now = atomic_load_explicit(&file->control.stop_level, memory_order_relaxed);
        write_request(&file->control, now > (uint32_t)level ? now : (uint32_t)level, cause);
        /* An engine may have started meanwhile and put a new file in place: it must hear of it too. */
        const bool is_replaced = apus_telemetry_is_replaced(descriptor, path);
        close_control(file, descriptor);
        if (!is_replaced) {
            return 0;
        }
    }
}

int apus_telemetry_keep_latch(const char *path, apus_telemetry_stop_level level, const char *cause,
                              uint32_t rearm_count, uint32_t *version_found)
{
    apus_telemetry_file *file;
    const int descriptor = open_control(path, &file, version_found);
    if (descriptor < 0) {
        return descriptor;
    }
    /* Relaxed: requesters and re-armings take turns by the lock that is held here. */
    const uint32_t now = atomic_load_explicit(&file->control.stop_level, memory_order_relaxed);
    if (atomic_load_explicit(&file->control.rearm_count, memory_order_relaxed) == rearm_count && now < (uint32_t)level) {
        write_request(&file->control, level, cause);
    }
    close_control(file, descriptor);
    return 0;
}

int apus_telemetry_clear_stop(const char *path, uint32_t *version_found)
{
    apus_telemetry_file *file;
    const int descriptor = open_control(path, &file, version_found);
    if (descriptor < 0) {
        return descriptor;
    }
    write_request(&file->control, APUS_TELEMETRY_STOP_NONE, "");
    /* Release, pairs with apus_telemetry_control_word: who sees the re-arming sees the level gone, or a newer one. */
    atomic_fetch_add_explicit(&file->control.rearm_count, 1, memory_order_release);
    close_control(file, descriptor);
    return 0;
}

/* ---- Reading. ---- */

apus_telemetry_facts apus_telemetry_read_facts(const apus_telemetry_file *file)
{
    apus_telemetry_facts facts = {
        .mode = file->header.mode,
        .process_id = file->header.process_id,
        .boot_epoch = file->header.boot_epoch,
        .start_wall_ns = file->header.start_wall_ns,
        .start_ns = file->header.start_ns,
        .heartbeat_ns = atomic_load_explicit(&file->header.heartbeat_ns, memory_order_relaxed),
    };
    copy_text(facts.name, sizeof facts.name, file->header.name);
    return facts;
}

const apus_telemetry_lane *apus_telemetry_lane_at(const apus_telemetry_file *file, uint32_t index)
{
    if (index >= APUS_TELEMETRY_LANES) {
        return NULL;
    }
    const apus_telemetry_lane *const lane = &file->lanes[index];
    return atomic_load_explicit(&lane->is_present, memory_order_acquire) != 0 ? lane : NULL;
}

void apus_telemetry_lane_name(const apus_telemetry_lane *lane, char *out)
{
    copy_text(out, APUS_TELEMETRY_NAME_BYTES, lane->name);
}

int64_t apus_telemetry_lane_heartbeat(const apus_telemetry_lane *lane)
{
    return atomic_load_explicit(&lane->heartbeat_ns, memory_order_relaxed);
}

uint32_t apus_telemetry_instrument_count(const apus_telemetry_lane *lane)
{
    const uint32_t count = atomic_load_explicit(&lane->instrument_count, memory_order_acquire);
    return count < APUS_TELEMETRY_INSTRUMENTS ? count : APUS_TELEMETRY_INSTRUMENTS;
}

const void *apus_telemetry_span_of(const apus_telemetry_lane *lane, uint32_t span)
{
    return span < APUS_TELEMETRY_SPANS ? lane->spans[span] : NULL;
}

bool apus_telemetry_read_state(const apus_telemetry_lane *lane, apus_telemetry_state_view *out)
{
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        const uint64_t begun = read_begin(&lane->state_sequence);
        out->state = (uint32_t)atomic_load_explicit(&lane->state, memory_order_relaxed);
        out->since_ns = atomic_load_explicit(&lane->state_since_ns, memory_order_relaxed);
        load_words(out->cause, lane->cause, APUS_TELEMETRY_TEXT_WORDS);
        if (read_is_whole(&lane->state_sequence, begun)) {
            out->cause[sizeof out->cause - 1] = 0;
            return begun != 0;
        }
        pause_after(attempt);
    }
    return false;
}

/* Copies what a sequence lock guards; false as apus_telemetry_read_state says. */
static bool read_locked(const _Atomic uint64_t *sequence, const _Atomic uint64_t *words, void *out, size_t count)
{
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        const uint64_t begun = read_begin(sequence);
        load_words(out, words, count);
        if (read_is_whole(sequence, begun)) {
            return begun != 0;
        }
        pause_after(attempt);
    }
    return false;
}

bool apus_telemetry_read_instrument(const apus_telemetry_lane *lane, uint32_t index, apus_telemetry_instrument *out)
{
    if (index >= APUS_TELEMETRY_INSTRUMENTS) {
        return false;
    }
    const apus_telemetry_instrument_slot *const slot = &lane->instruments[index];
    const bool is_whole = read_locked(&slot->sequence, slot->words, out, APUS_TELEMETRY_INSTRUMENT_WORDS);
    out->name[sizeof out->name - 1] = 0;
    out->block[sizeof out->block - 1] = 0;
    return is_whole;
}

bool apus_telemetry_read_halt(const apus_telemetry_lane *lane, apus_telemetry_halt_answer *out)
{
    const bool is_whole = read_locked(&lane->halt_sequence, lane->halt, out, APUS_TELEMETRY_HALT_WORDS);
    out->cause[sizeof out->cause - 1] = 0;
    return is_whole;
}

size_t apus_telemetry_read_events(const apus_telemetry_lane *lane, apus_telemetry_event *out)
{
    apus_telemetry_event ring[APUS_TELEMETRY_EVENTS];
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        const uint64_t begun = read_begin(&lane->event_sequence);
        const uint64_t count = atomic_load_explicit(&lane->event_count, memory_order_relaxed);
        load_words(ring, lane->events, APUS_TELEMETRY_EVENT_WORDS);
        if (read_is_whole(&lane->event_sequence, begun)) {
            const size_t kept = count < APUS_TELEMETRY_EVENTS ? (size_t)count : APUS_TELEMETRY_EVENTS;
            for (size_t i = 0; i < kept; i++) {
                out[i] = ring[(count - kept + i) % APUS_TELEMETRY_EVENTS];
                out[i].text[sizeof out[i].text - 1] = 0;
            }
            return kept;
        }
        pause_after(attempt);
    }
    return 0;
}

uint64_t apus_telemetry_event_count(const apus_telemetry_lane *lane)
{
    return atomic_load_explicit(&lane->event_count, memory_order_relaxed);
}

bool apus_telemetry_read_watchdog(const apus_telemetry_lane *lane, apus_telemetry_watchdog_view *out)
{
    return read_locked(&lane->watchdog_sequence, lane->watchdog, out, APUS_TELEMETRY_WATCHDOG_WORDS);
}

apus_telemetry_stop_view apus_telemetry_read_stop(const apus_telemetry_file *file)
{
    apus_telemetry_stop_view view = {0}, *const out = &view;
    const apus_telemetry_control *const control = &file->control;
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        const uint64_t begun = read_begin(&control->sequence);
        load_words(out->cause, control->cause, APUS_TELEMETRY_TEXT_WORDS);
        out->request_count = atomic_load_explicit(&control->request_count, memory_order_relaxed);
        out->requested_wall_ns = atomic_load_explicit(&control->requested_wall_ns, memory_order_relaxed);
        out->requester_process_id = atomic_load_explicit(&control->requester_process_id, memory_order_relaxed);
        if (read_is_whole(&control->sequence, begun)) {
            break;
        }
        /* The level counts even if the text was lost with its requester. */
        memset(out->cause, 0, sizeof out->cause);
        pause_after(attempt);
    }
    out->cause[sizeof out->cause - 1] = 0;
    out->rearm_count = atomic_load_explicit(&control->rearm_count, memory_order_relaxed);
    out->level = (uint32_t)apus_telemetry_requested_stop(file);
    return view;
}

const char *apus_telemetry_counter_name(const apus_telemetry_file *file, uint32_t counter, bool *is_level)
{
    *is_level = false;
    if (counter >= APUS_TELEMETRY_COUNTERS) {
        return NULL;
    }
    const apus_telemetry_counter_entry *const entry = &file->counters[counter];
    if (entry->name[0] == 0 || entry->name[sizeof entry->name - 1] != 0) {
        return NULL;
    }
    *is_level = entry->kind == 'g';
    return entry->name;
}

const char *apus_telemetry_counter_help(uint32_t counter)
{
    return counter < COUNTERS_KNOWN ? counter_facts[counter].help : NULL;
}

const char *apus_telemetry_span_name(uint32_t span)
{
    return span < APUS_TELEMETRY_SPANS_NAMED ? span_names[span] : NULL;
}
