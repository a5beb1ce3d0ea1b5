/* madvise's MADV_POPULATE_WRITE and fallocate are Linux's own. */
#define _GNU_SOURCE

#include "apus_journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "apus_journal_files.h"

#define PAGE_BYTES 4096u
#define SEAL_BYTES sizeof(apus_journal_record_header)
/* Pages are made writable again at least this often: the kernel cleans dirty pages after about 30 s
 * (vm.dirty_expire_centisecs), and the next store to a clean page traps. */
#define POPULATE_EVERY_NS 1000000000

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const char magic[8] = {'A', 'P', 'U', 'S', 'J', 'R', 'N', 'L'};

static uint64_t page_floor(uint64_t bytes)
{
    return bytes & ~(uint64_t)(PAGE_BYTES - 1);
}

/* ---- Names and headers, shared with the reader. ---- */

bool apus_journal_parse_name(const char *name, uint64_t *number)
{
    static const char prefix[] = "journal-", suffix[] = ".apus";
    const size_t length = strlen(name);
    if (length != APUS_JOURNAL_FILE_NAME_LENGTH || memcmp(name, prefix, sizeof prefix - 1) != 0 ||
        strcmp(name + length - (sizeof suffix - 1), suffix) != 0) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = sizeof prefix - 1; i < length - (sizeof suffix - 1); i++) {
        if (name[i] < '0' || name[i] > '9' || value > (UINT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(name[i] - '0');
    }
    *number = value;
    return value != 0;
}

void apus_journal_format_name(char out[APUS_JOURNAL_FILE_NAME_CAPACITY], uint64_t number, bool in_preparation)
{
    snprintf(out, APUS_JOURNAL_FILE_NAME_CAPACITY, "journal-%020" PRIu64 ".apus%s", number,
             in_preparation ? ".new" : "");
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int apus_journal_list(int directory, uint64_t **numbers, size_t *count)
{
    *numbers = NULL;
    *count = 0;
    /* A descriptor of its own: the directory's position belongs to it. */
    const int descriptor = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    DIR *const stream = fdopendir(descriptor);
    if (stream == NULL) {
        const int error = errno;
        close(descriptor);
        return -error;
    }
    size_t capacity = 0;
    int result = 0;
    for (;;) {
        errno = 0;
        const struct dirent *const entry = readdir(stream);
        if (entry == NULL) {
            result = -errno;
            break;
        }
        uint64_t number;
        if (!apus_journal_parse_name(entry->d_name, &number)) {
            continue;
        }
        if (*count == capacity) {
            const size_t larger_capacity = capacity == 0 ? 64 : capacity * 2;
            uint64_t *const larger = realloc(*numbers, larger_capacity * sizeof *larger);
            if (larger == NULL) {
                result = -ENOMEM;
                break;
            }
            *numbers = larger;
            capacity = larger_capacity;
        }
        (*numbers)[(*count)++] = number;
    }
    closedir(stream);
    if (result != 0) {
        free(*numbers);
        *numbers = NULL;
        *count = 0;
        return result;
    }
    if (*count > 1) {
        qsort(*numbers, *count, sizeof **numbers, compare_numbers);
    }
    return 0;
}

apus_journal_header_verdict apus_journal_check_header(const apus_journal_file_header *header, uint64_t file_bytes,
                                                      uint64_t number)
{
    if (file_bytes < sizeof *header || memcmp(header->magic, magic, sizeof magic) != 0) {
        return APUS_JOURNAL_HEADER_BAD;
    }
    /* Before the CRC: another version may keep its CRC elsewhere. */
    if (header->version < APUS_JOURNAL_VERSION_OLDEST || header->version > APUS_JOURNAL_VERSION) {
        return APUS_JOURNAL_HEADER_OTHER_VERSION;
    }
    if (header->header_bytes != sizeof *header ||
        header->header_crc != apus_crc32c(0, header, offsetof(apus_journal_file_header, header_crc)) ||
        header->segment_number != number || header->segment_bytes < file_bytes) {
        return APUS_JOURNAL_HEADER_BAD;
    }
    return APUS_JOURNAL_HEADER_GOOD;
}

/* ---- Segments. ---- */

static void segment_release(apus_journal_segment *segment)
{
    if (segment->base != NULL) {
        munmap(segment->base, segment->bytes);
        close(segment->descriptor);
        segment->base = NULL;
    }
}

/* Makes the pages writable without a trap for the lane. A kernel before 5.14 refuses, and the lane
 * takes the traps: slower, not wrong. */
static void populate(const apus_journal_segment *segment, uint64_t from, uint64_t to)
{
    const uint64_t start = page_floor(from), end = to < segment->bytes ? to : segment->bytes;
    if (start < end) {
        (void)madvise(segment->base + start, end - start, MADV_POPULATE_WRITE);
    }
}

static uint64_t window_bytes(const apus_journal *journal)
{
    return journal->config.window_bytes == 0 ? journal->config.segment_bytes : journal->config.window_bytes;
}

static int fill_file(const apus_journal *journal, int descriptor, uint64_t number, int64_t now_ns)
{
    int error;
    do {
        error = posix_fallocate(descriptor, 0, (off_t)journal->config.segment_bytes);
    } while (error == EINTR);
    if (error != 0) {
        return -error;
    }
    apus_journal_file_header header = {
        .version = APUS_JOURNAL_VERSION,
        .header_bytes = sizeof header,
        .segment_number = number,
        .segment_bytes = journal->config.segment_bytes,
        .boot_epoch = journal->config.boot_epoch,
        .base_lane_ns = now_ns,
    };
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    header.base_wall_ns = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec;
    memcpy(header.magic, magic, sizeof magic);
    memcpy(header.name, journal->name, sizeof header.name);
    header.header_crc = apus_crc32c(0, &header, offsetof(apus_journal_file_header, header_crc));
    const ssize_t written = pwrite(descriptor, &header, sizeof header, 0);
    if (written != (ssize_t)sizeof header) {
        return written < 0 ? -errno : -ENOSPC;
    }
    if (journal->config.sync != APUS_JOURNAL_SYNC_NONE && fsync(descriptor) != 0) {
        return -errno;
    }
    return 0;
}

/* A segment in a free slot, ready to be written; 0 or -errno, and then no file is left behind. */
static int prepare(apus_journal *journal, int64_t now_ns, apus_journal_segment **out)
{
    apus_journal_segment *segment = NULL;
    for (int i = 0; i < 3; i++) {
        if (journal->segments[i].base == NULL) {
            segment = &journal->segments[i];
        }
    }
    APUS_ASSERT(segment != NULL);

    const uint64_t number = journal->next_number;
    char temporary[APUS_JOURNAL_FILE_NAME_CAPACITY], final[APUS_JOURNAL_FILE_NAME_CAPACITY];
    apus_journal_format_name(temporary, number, true);
    apus_journal_format_name(final, number, false);
    const int descriptor = openat(journal->directory, temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return -errno;
    }
    int result = fill_file(journal, descriptor, number, now_ns);
    void *base = MAP_FAILED;
    if (result == 0) {
        base = mmap(NULL, journal->config.segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
        result = base == MAP_FAILED ? -errno : 0;
    }
    if (result == 0 && renameat(journal->directory, temporary, journal->directory, final) != 0) {
        result = -errno;
    }
    if (result != 0) {
        if (base != MAP_FAILED) {
            munmap(base, journal->config.segment_bytes);
        }
        close(descriptor);
        unlinkat(journal->directory, temporary, 0);
        return result;
    }
    /* The name is on the disk before the first record that relies on it can be called synced. */
    if (journal->config.sync != APUS_JOURNAL_SYNC_NONE && fsync(journal->directory) != 0) {
        result = -errno;
        munmap(base, journal->config.segment_bytes);
        close(descriptor);
        unlinkat(journal->directory, final, 0);
        return result;
    }
    *segment = (apus_journal_segment){
        .base = base, .bytes = journal->config.segment_bytes, .number = number, .descriptor = descriptor};
    populate(segment, 0, window_bytes(journal));
    journal->next_number = number + 1;
    *out = segment;
    return 0;
}

/* ---- The lane. ---- */

static void seal(apus_journal *journal, uint32_t what_follows)
{
    const uint64_t used = atomic_load_explicit(&journal->used_bytes, memory_order_relaxed);
    apus_journal_record_header *const header = (apus_journal_record_header *)(void *)(journal->base + used);
    header->record_number = atomic_load_explicit(&journal->record_number, memory_order_relaxed) + 1;
    header->time_ns = 0;
    header->connection = what_follows;
    header->kind = APUS_JOURNAL_KIND_SEAL;
    header->reserved = 0;
    header->crc = apus_crc32c(SEAL_BYTES, journal->base + used + 8, SEAL_BYTES - 8);
    atomic_store_explicit(&header->record_bytes, (uint32_t)SEAL_BYTES, memory_order_release);
    atomic_store_explicit(&journal->used_bytes, used + SEAL_BYTES, memory_order_release);
}

static void enter(apus_journal *journal, apus_journal_segment *segment)
{
    journal->base = segment->base;
    journal->limit_bytes = segment->bytes - SEAL_BYTES;
    atomic_store_explicit(&journal->segment_number, segment->number, memory_order_relaxed);
    /* Release, pairs with sync_current: who sees the new segment's count sees that the old one is retired. */
    atomic_store_explicit(&journal->used_bytes, sizeof(apus_journal_file_header), memory_order_release);
    /* Release, pairs with the helper's acquire: whoever sees this segment sees its used_bytes, and
     * the segment that was retired before it. */
    atomic_store_explicit(&journal->current, segment, memory_order_release);
}

bool apus_journal_switch(apus_journal *journal, uint64_t need_bytes)
{
    const uint64_t room = journal->config.segment_bytes - sizeof(apus_journal_file_header) - SEAL_BYTES;
    /* Acquire, pairs with apus_journal_service: the prepared segment is complete. */
    apus_journal_segment *const next =
        need_bytes <= room ? atomic_load_explicit(&journal->next, memory_order_acquire) : NULL;
    if (next == NULL) {
        /* Only this thread writes them. The number is spent, so the gap shows in the file. */
        const uint64_t refused = atomic_load_explicit(&journal->refused_count, memory_order_relaxed);
        atomic_store_explicit(&journal->refused_count, refused + 1, memory_order_relaxed);
        const uint64_t number = atomic_load_explicit(&journal->record_number, memory_order_relaxed);
        atomic_store_explicit(&journal->record_number, number + 1, memory_order_release);
        return false;
    }
    seal(journal, APUS_JOURNAL_SEAL_CONTINUED);
    apus_journal_segment *const full = atomic_load_explicit(&journal->current, memory_order_relaxed);
    full->last_record_number = atomic_load_explicit(&journal->record_number, memory_order_relaxed);
    atomic_store_explicit(&journal->retired, full, memory_order_relaxed);
    enter(journal, next);
    /* Clearing `next` comes last, with release: the helper prepares another only after it has seen
     * that, and then it also sees the retired segment. So `retired` is never overwritten. */
    atomic_store_explicit(&journal->next, NULL, memory_order_release);
    return true;
}

/* ---- The helper. ---- */

static bool sync_is_due(const apus_journal *journal, int64_t now_ns)
{
    switch (journal->config.sync) {
    case APUS_JOURNAL_SYNC_NONE:
        return false;
    case APUS_JOURNAL_SYNC_INTERVAL:
        return now_ns - journal->synced_at_ns >= journal->config.sync_interval_ns;
    case APUS_JOURNAL_SYNC_EACH:
        return true;
    }
    return false;
}

static int sync_range(apus_journal *journal, const apus_journal_segment *segment, uint64_t to)
{
    const uint64_t from = journal->synced_segment == segment->number ? page_floor(journal->synced_bytes) : 0;
    if (to > from && msync(segment->base + from, to - from, MS_SYNC) != 0) {
        /* The kernel reports a failed write once, then forgets the pages: no later sync proves anything. */
        journal->sync_failed = true;
        return -errno;
    }
    return 0;
}

/* Everything up to this record is on the disk, if no sync ever failed. */
static void report_synced(apus_journal *journal, uint64_t record_number)
{
    if (!journal->sync_failed) {
        /* Release: for whoever acts on its being on the disk. */
        atomic_store_explicit(&journal->synced_number, record_number, memory_order_release);
    }
}

/* Syncs the segment in use up to where the lane is, and says so if the lane has not left it since. */
static int sync_current(apus_journal *journal, int64_t now_ns)
{
    /* Acquire, pairs with apus_journal_commit: every record up to this number is in memory. */
    const uint64_t number = atomic_load_explicit(&journal->record_number, memory_order_acquire);
    const apus_journal_segment *const current = atomic_load_explicit(&journal->current, memory_order_acquire);
    if (atomic_load_explicit(&journal->retired, memory_order_relaxed) != NULL) {
        return 0; /* the lane has just switched; the full one comes first, at the next service */
    }
    uint64_t used = atomic_load_explicit(&journal->used_bytes, memory_order_acquire);
    if (used > current->bytes) {
        used = current->bytes;
    }
    const int result = sync_range(journal, current, used);
    /* What was written is clean now, and the next store to it would trap: the page that the lane writes is made writable
     * again at once. It stays mapped meanwhile: only this thread unmaps. */
    populate(current, used, used + 1);
    if (result != 0) {
        return result;
    }
    /* `used` may have been that of the next segment. Of the three stores of a switch, `retired`, `used_bytes` and
     * `current`, the first is what tells: the lane may be held up between the other two, and then `current` is
     * still the old one while `used` is the new one's 128 bytes. */
    if (atomic_load_explicit(&journal->retired, memory_order_relaxed) != NULL) {
        return 0;
    }
    journal->synced_segment = current->number;
    journal->synced_bytes = used;
    journal->synced_at_ns = now_ns;
    report_synced(journal, number);
    return 0;
}

static void populate_ahead(apus_journal *journal, int64_t now_ns)
{
    /* This segment stays mapped meanwhile: only this thread unmaps, and only what the lane has left. */
    apus_journal_segment *const current = atomic_load_explicit(&journal->current, memory_order_acquire);
    const uint64_t used = atomic_load_explicit(&journal->used_bytes, memory_order_relaxed);
    const uint64_t window = window_bytes(journal);
    if (journal->populated_segment != current->number) {
        journal->populated_segment = current->number;
        journal->populated_bytes = window; /* by prepare */
    }
    const bool is_old = now_ns - journal->populated_at_ns >= POPULATE_EVERY_NS;
    const bool is_short = journal->populated_bytes < current->bytes && used + window / 2 > journal->populated_bytes;
    if (!is_old && !is_short) {
        return;
    }
    populate(current, used, used + window);
    journal->populated_bytes = used + window;
    if (is_old) {
        journal->populated_at_ns = now_ns;
        apus_journal_segment *const next = atomic_load_explicit(&journal->next, memory_order_acquire);
        if (next != NULL) {
            populate(next, 0, window);
        }
    }
}

int apus_journal_service(apus_journal *journal, int64_t now_ns)
{
    int result = 0;
    /* Acquire, pairs with apus_journal_switch: `next` cleared implies `retired` seen. */
    if (atomic_load_explicit(&journal->next, memory_order_acquire) == NULL) {
        apus_journal_segment *const full = atomic_load_explicit(&journal->retired, memory_order_relaxed);
        atomic_store_explicit(&journal->retired, NULL, memory_order_relaxed);
        /* The lane first: it needs the next segment sooner than anyone needs the old one synced. */
        apus_journal_segment *next = NULL;
        result = prepare(journal, now_ns, &next);
        if (result == 0) {
            /* Release, pairs with apus_journal_switch: its pages and its slot are complete. */
            atomic_store_explicit(&journal->next, next, memory_order_release);
        }
        if (full != NULL) {
            if (journal->config.sync != APUS_JOURNAL_SYNC_NONE) {
                const int synced = sync_range(journal, full, full->bytes);
                report_synced(journal, full->last_record_number);
                result = result != 0 ? result : synced;
            }
            segment_release(full);
        }
    }
    if (sync_is_due(journal, now_ns)) {
        const int synced = sync_current(journal, now_ns);
        result = result != 0 ? result : synced;
    }
    populate_ahead(journal, now_ns);
    atomic_store_explicit(&journal->service_error, result, memory_order_relaxed);
    return result;
}

/* Where a segment stands, for apus_journal_retain; false if it cannot be looked at. */
static bool look_at(int directory, uint64_t number, uint64_t *bytes, int64_t *written_ns)
{
    char name[APUS_JOURNAL_FILE_NAME_CAPACITY];
    apus_journal_format_name(name, number, false);
    struct stat facts;
    if (fstatat(directory, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) {
        return false;
    }
    *bytes = (uint64_t)facts.st_blocks * 512;
    *written_ns = (int64_t)facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec;
    return true;
}

apus_journal_retained apus_journal_retain(apus_journal *journal, const apus_journal_retention *keep, int64_t wall_ns)
{
    apus_journal_retained result = {0};
    uint64_t *numbers;
    size_t count;
    result.error = apus_journal_list(journal->directory, &numbers, &count);
    if (result.error != 0) {
        return result;
    }
    uint64_t bytes;
    int64_t written_ns;
    for (size_t i = 0; i < count; i++) {
        if (look_at(journal->directory, numbers[i], &bytes, &written_ns)) {
            result.kept_bytes += bytes;
        }
    }
    /* Relaxed: it only grows, so what lies before the value read stays behind the lane. */
    const uint64_t current = atomic_load_explicit(&journal->segment_number, memory_order_relaxed);
    for (size_t i = 0; i < count && numbers[i] < current; i++) {
        if (!look_at(journal->directory, numbers[i], &bytes, &written_ns)) {
            continue;
        }
        const bool is_of_run = numbers[i] >= journal->first_number;
        const bool is_old = keep->keep_ns > 0 && wall_ns - written_ns > keep->keep_ns && !is_of_run;
        const bool is_too_much = keep->keep_bytes > 0 && result.kept_bytes > keep->keep_bytes;
        if (!is_old && !is_too_much) {
            break; /* what comes after it is newer; a gap in the middle would read as a missing segment */
        }
        char name[APUS_JOURNAL_FILE_NAME_CAPACITY];
        apus_journal_format_name(name, numbers[i], false);
        if (unlinkat(journal->directory, name, 0) != 0) {
            result.error = -errno;
            break;
        }
        result.removed_count++;
        result.removed_bytes += bytes;
        result.removed_of_run += is_of_run ? 1 : 0;
        result.kept_bytes -= bytes;
    }
    free(numbers);
    return result;
}

int64_t apus_journal_free_bytes(const apus_journal *journal)
{
    struct statvfs facts;
    int result;
    do {
        result = fstatvfs(journal->directory, &facts);
    } while (result != 0 && errno == EINTR);
    return result != 0 ? -(int64_t)errno : (int64_t)((uint64_t)facts.f_bavail * (uint64_t)facts.f_frsize);
}

apus_journal_status_t apus_journal_status(const apus_journal *journal)
{
    /* Relaxed: each figure stands for itself. */
    apus_journal_status_t status = {0};
    status.refused_count = atomic_load_explicit(&journal->refused_count, memory_order_relaxed);
    const uint64_t number = atomic_load_explicit(&journal->record_number, memory_order_relaxed);
    status.appended_count = number > status.refused_count ? number - status.refused_count : 0;
    status.synced_number = atomic_load_explicit(&journal->synced_number, memory_order_acquire);
    status.segment_number = atomic_load_explicit(&journal->segment_number, memory_order_relaxed);
    status.segment_used_bytes = atomic_load_explicit(&journal->used_bytes, memory_order_relaxed);
    status.service_error = atomic_load_explicit(&journal->service_error, memory_order_relaxed);
    status.next_is_ready = atomic_load_explicit(&journal->next, memory_order_relaxed) != NULL;
    return status;
}

/* ---- Open and close. ---- */

static bool is_valid(const apus_journal_config *config)
{
    return config->segment_bytes >= APUS_JOURNAL_SEGMENT_BYTES_MIN &&
           config->segment_bytes <= APUS_JOURNAL_SEGMENT_BYTES_MAX && config->segment_bytes % PAGE_BYTES == 0 &&
           (config->sync == APUS_JOURNAL_SYNC_NONE || config->sync == APUS_JOURNAL_SYNC_EACH ||
            (config->sync == APUS_JOURNAL_SYNC_INTERVAL && config->sync_interval_ns > 0));
}

static int open_directory(const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return -errno;
    }
    const int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        const int error = errno == EWOULDBLOCK ? EBUSY : errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

/* Whether this is a segment of ours that was prepared and never written. */
static bool is_unused(int directory, uint64_t number)
{
    char name[APUS_JOURNAL_FILE_NAME_CAPACITY];
    apus_journal_format_name(name, number, false);
    const int descriptor = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    bool unused = false;
    struct stat facts;
    apus_journal_file_header header;
    if (fstat(descriptor, &facts) == 0 && pread(descriptor, &header, sizeof header, 0) == (ssize_t)sizeof header &&
        apus_journal_check_header(&header, (uint64_t)facts.st_size, number) == APUS_JOURNAL_HEADER_GOOD) {
        static const uint8_t zeros[16384];
        uint8_t buffer[sizeof zeros];
        off_t offset = sizeof header;
        unused = true;
        while (unused && offset < facts.st_size) {
            const ssize_t got = pread(descriptor, buffer, sizeof buffer, offset);
            unused = got > 0 && memcmp(buffer, zeros, (size_t)got) == 0;
            offset += got;
        }
    }
    close(descriptor);
    return unused;
}

/* Takes away spare segments and halves of preparations that a killed writer left, and finds the
 * number to go on with. */
static int tidy(apus_journal *journal)
{
    uint64_t *numbers;
    size_t count;
    const int result = apus_journal_list(journal->directory, &numbers, &count);
    if (result != 0) {
        return result;
    }
    char name[APUS_JOURNAL_FILE_NAME_CAPACITY];
    while (count > 0 && is_unused(journal->directory, numbers[count - 1])) {
        apus_journal_format_name(name, numbers[count - 1], false);
        if (unlinkat(journal->directory, name, 0) != 0) {
            break;
        }
        count -= 1;
    }
    journal->next_number = count > 0 ? numbers[count - 1] + 1 : 1;
    journal->first_number = journal->next_number;
    free(numbers);
    for (uint64_t ahead = 0; ahead < 3; ahead++) {
        apus_journal_format_name(name, journal->next_number + ahead, true);
        unlinkat(journal->directory, name, 0);
    }
    return 0;
}

static void release_all(apus_journal *journal)
{
    for (int i = 0; i < 3; i++) {
        segment_release(&journal->segments[i]);
    }
    close(journal->directory);
    free(journal);
}

static void discard(const apus_journal *journal, const apus_journal_segment *segment)
{
    char name[APUS_JOURNAL_FILE_NAME_CAPACITY];
    apus_journal_format_name(name, segment->number, false);
    unlinkat(journal->directory, name, 0);
}

int apus_journal_open(const char *directory, const char *name, const apus_journal_config *config, int64_t now_ns,
                      apus_journal **out)
{
    *out = NULL;
    if (!is_valid(config)) {
        return -EINVAL;
    }
    const int descriptor = open_directory(directory);
    if (descriptor < 0) {
        return descriptor;
    }
    apus_journal *const journal = aligned_alloc(APUS_CACHE_LINE, sizeof *journal);
    if (journal == NULL) {
        close(descriptor);
        return -ENOMEM;
    }
    memset(journal, 0, sizeof *journal);
    journal->config = *config;
    journal->directory = descriptor;
    journal->synced_at_ns = now_ns;
    journal->populated_at_ns = now_ns;
    const size_t name_bytes = strlen(name);
    memcpy(journal->name, name, name_bytes < sizeof journal->name ? name_bytes : sizeof journal->name - 1);

    int result = tidy(journal);
    apus_journal_segment *first = NULL, *second = NULL;
    if (result == 0) {
        result = prepare(journal, now_ns, &first);
    }
    if (result == 0) {
        result = prepare(journal, now_ns, &second);
        if (result != 0) {
            discard(journal, first);
        }
    }
    if (result != 0) {
        release_all(journal);
        return result;
    }
    enter(journal, first);
    atomic_store_explicit(&journal->next, second, memory_order_relaxed);
    *out = journal;
    return 0;
}

void apus_journal_close(apus_journal *journal)
{
    if (journal == NULL) {
        return;
    }
    const bool wants_sync = journal->config.sync != APUS_JOURNAL_SYNC_NONE;
    const apus_journal_segment *const full = atomic_load_explicit(&journal->retired, memory_order_acquire);
    const apus_journal_segment *const current = atomic_load_explicit(&journal->current, memory_order_acquire);
    const apus_journal_segment *const next = atomic_load_explicit(&journal->next, memory_order_acquire);
    seal(journal, APUS_JOURNAL_SEAL_CLOSED);
    if (full != NULL && wants_sync) {
        (void)sync_range(journal, full, full->bytes);
    }
    const uint64_t used = atomic_load_explicit(&journal->used_bytes, memory_order_relaxed);
    if (wants_sync) {
        (void)sync_range(journal, current, used);
    }
    /* A hole rather than a shorter file: a reader may have all of it mapped, and would die of SIGBUS. */
    const uint64_t unused_from = page_floor(used + PAGE_BYTES - 1);
    if (unused_from < current->bytes) {
        (void)fallocate(current->descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)unused_from,
                        (off_t)(current->bytes - unused_from));
    }
    if (next != NULL) {
        discard(journal, next);
    }
    release_all(journal);
}

void apus_journal_abandon(apus_journal *journal)
{
    if (journal != NULL) {
        release_all(journal);
    }
}
