/* The journal reader. The input is a script that builds segments as the format says, with odd headers and records
 * where it asks for them, and then damages bytes. Whatever the reader delivers must lie in the files: where it says,
 * with the CRC that a slow CRC-32C finds, in rising order; and it must come to an end. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apus_journal_files.h"
#include "apus_journal_reader.h"
#include "fuzz.h"

enum { SEGMENTS = 5, SEGMENT_BYTES = 8192 };

typedef struct {
    uint64_t number;
    size_t count; /* bytes of the file */
    uint8_t bytes[SEGMENT_BYTES];
} segment;

static segment segments[SEGMENTS];
static char directory[64];

static void clean(void)
{
    char path[128], name[APUS_JOURNAL_FILE_NAME_CAPACITY];
    for (int i = 0; i < SEGMENTS; i++) {
        if (segments[i].number != 0) {
            apus_journal_format_name(name, segments[i].number, false);
            snprintf(path, sizeof path, "%s/%s", directory, name);
            unlink(path);
        }
    }
}

static void leave(void)
{
    clean();
    rmdir(directory);
}

/* In memory if there is a file system for that. */
static void make_directory(void)
{
    if (directory[0] == 0) {
        struct stat facts;
        const char *const place = stat("/dev/shm", &facts) == 0 && S_ISDIR(facts.st_mode) ? "/dev/shm" : "/tmp";
        snprintf(directory, sizeof directory, "%s/apus-fuzz-XXXXXX", place);
        require(mkdtemp(directory) != NULL, "no directory for segments");
        atexit(leave);
    }
}

/* One bit at a time (RFC 3720, appendix B.4), continued from `crc`. */
static uint32_t slow_crc(uint32_t crc, const uint8_t *bytes, size_t count)
{
    crc = ~crc;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
        }
    }
    return ~crc;
}

static uint64_t word_at(const uint8_t *bytes, int size)
{
    uint64_t word = 0;
    memcpy(&word, bytes, (size_t)size);
    return word;
}

static void seal_header(segment *it)
{
    const uint32_t crc = slow_crc(0, it->bytes, 124);
    memcpy(it->bytes + 124, &crc, 4);
}

static void build_segment(segment *it, uint64_t number, uint64_t *record_number, fuzz_bytes *bytes)
{
    memset(it->bytes, 0, sizeof it->bytes);
    it->number = number;
    it->count = 128;
    const uint8_t shape = fuzz_take(bytes);
    const uint32_t version = shape % 16 == 1 ? fuzz_take(bytes) : 1;
    const uint32_t header_bytes = shape % 16 == 2 ? fuzz_take(bytes) : 128;
    const uint64_t named = shape % 16 == 3 ? fuzz_take(bytes) : number;
    const uint64_t prepared = shape % 16 == 4 ? fuzz_take_word(bytes, 8) : SEGMENT_BYTES;
    const uint64_t epoch = shape >> 6; /* neighbours are often of one boot */
    const int size = shape % 16 == 5 ? 8 : 1;
    const int64_t wall = (int64_t)fuzz_take_word(bytes, size), lane = (int64_t)fuzz_take_word(bytes, size);
    memcpy(it->bytes, "APUSJRNL", 8);
    memcpy(it->bytes + 8, &version, 4);
    memcpy(it->bytes + 12, &header_bytes, 4);
    memcpy(it->bytes + 16, &named, 8);
    memcpy(it->bytes + 24, &prepared, 8);
    memcpy(it->bytes + 32, &epoch, 8);
    memcpy(it->bytes + 40, &wall, 8);
    memcpy(it->bytes + 48, &lane, 8);
    seal_header(it);
    const int records = fuzz_take(bytes) % 12;
    for (int i = 0; i < records && it->count + 512 < SEGMENT_BYTES; i++) {
        const uint8_t verb = fuzz_take(bytes);
        const bool seals = verb % 16 == 15;
        size_t payload_bytes = seals ? 0 : fuzz_take(bytes);
        const uint8_t *const payload = fuzz_take_bytes(bytes, payload_bytes, &payload_bytes);
        uint8_t *const at = it->bytes + it->count;
        const uint32_t size = 32 + (uint32_t)payload_bytes, connection = seals ? verb >> 4 & 1 : verb;
        const uint16_t kind = seals ? 255 : verb;
        const int64_t time = verb % 16 == 14 ? (int64_t)fuzz_take_word(bytes, 8) : verb;
        *record_number += verb % 16 == 13 ? fuzz_take(bytes) : 1;
        if (verb % 16 == 12) {
            *record_number = fuzz_take_word(bytes, 8);
        }
        memcpy(at, &size, 4);
        memcpy(at + 8, record_number, 8);
        memcpy(at + 16, &time, 8);
        memcpy(at + 24, &connection, 4);
        memcpy(at + 28, &kind, 2);
        if (payload_bytes != 0) {
            memcpy(at + 32, payload, payload_bytes);
        }
        const uint32_t crc = slow_crc(size, at + 8, size - 8);
        memcpy(at + 4, &crc, 4);
        it->count = (it->count + size + 7) & ~(size_t)7;
    }
    it->count += fuzz_take(bytes) * 8u; /* zeros behind the records */
    it->count = it->count < SEGMENT_BYTES ? it->count : SEGMENT_BYTES;
}

static void damage(fuzz_bytes *bytes, int made)
{
    segment *const it = &segments[fuzz_take(bytes) % made];
    const uint8_t verb = fuzz_take(bytes);
    const size_t place = fuzz_take_word(bytes, 2) % SEGMENT_BYTES;
    switch (verb % 5) {
    case 0: it->count = place; break;
    case 1: it->bytes[place] ^= (uint8_t)(1 << (verb >> 5)); break;
    case 2: {
        const uint64_t word = fuzz_take_word(bytes, 4);
        memcpy(it->bytes + (place < SEGMENT_BYTES - 4 ? place & ~(size_t)7 : 0), &word, 4);
        break;
    }
    case 3: memset(it->bytes + place, 0, SEGMENT_BYTES - place < 64 ? SEGMENT_BYTES - place : 64); break;
    default: {
        size_t found;
        const uint8_t *const piece = fuzz_take_bytes(bytes, fuzz_take(bytes), &found);
        found = found < SEGMENT_BYTES - place ? found : SEGMENT_BYTES - place;
        memcpy(it->bytes + place, piece, found);
        break;
    }
    }
    if (verb & 16) {
        seal_header(it);
    }
}

static const segment *find(uint64_t number, int made)
{
    for (int i = 0; i < made; i++) {
        if (segments[i].number == number) {
            return &segments[i];
        }
    }
    return NULL;
}

static void check_record(const apus_journal_record *record, int made)
{
    const segment *const it = find(record->segment_number, made);
    require(it != NULL, "a record of a segment that does not exist");
    const uint64_t offset = record->segment_offset;
    require(offset >= 128 && offset % 8 == 0 && offset + 32 + record->payload_bytes <= it->count,
            "a record outside of its file");
    const uint8_t *const at = it->bytes + offset;
    const uint32_t size = (uint32_t)word_at(at, 4);
    require(size == 32 + record->payload_bytes, "another length than the file says");
    require(word_at(at + 4, 4) == slow_crc(size, at + 8, size - 8), "a record with a wrong CRC was delivered");
    require(word_at(at + 8, 8) == record->record_number && word_at(at + 16, 8) == (uint64_t)record->time_ns
                && word_at(at + 24, 4) == record->connection && word_at(at + 28, 2) == record->kind,
            "other fields than the file's");
    require(record->payload_bytes == 0 || memcmp(record->payload, at + 32, record->payload_bytes) == 0,
            "another payload than the file's");
    require(word_at(it->bytes + 32, 8) == record->boot_epoch, "another boot epoch than the header's");
    const uint64_t wall = word_at(it->bytes + 40, 8) + (uint64_t)record->time_ns - word_at(it->bytes + 48, 8);
    require((uint64_t)record->wall_ns == wall,
            "another wall time than the header gives");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = fuzz_begin(data, size);
    make_directory();
    const int made = 1 + fuzz_take(&bytes) % SEGMENTS;
    uint64_t number = 0, record_number = 0;
    memset(segments, 0, sizeof segments);
    for (int i = 0; i < made; i++) {
        const uint8_t gap = fuzz_take(&bytes);
        number += gap >= 240 ? gap - 238u : 1; /* now and then one is missing */
        if (gap % 8 == 7) {
            record_number = 0;
        }
        build_segment(&segments[i], number, &record_number, &bytes);
    }
    for (int i = 0; i < 8 && !fuzz_is_empty(&bytes); i++) {
        damage(&bytes, made);
    }
    char path[128], name[APUS_JOURNAL_FILE_NAME_CAPACITY];
    for (int i = 0; i < made; i++) {
        apus_journal_format_name(name, segments[i].number, false);
        snprintf(path, sizeof path, "%s/%s", directory, name);
        const int file = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
        require(file >= 0 && write(file, segments[i].bytes, segments[i].count) == (ssize_t)segments[i].count,
                "a segment was not written");
        close(file);
    }

    apus_journal_reader *reader = NULL;
    require(apus_journal_reader_open(directory, &reader) == 0, "the reader did not open");
    apus_journal_record record, last = {0};
    const int most = 64 + made * SEGMENT_BYTES / 32;
    int records = 0, stops = 0;
    for (;;) {
        const apus_journal_finding finding = apus_journal_reader_next(reader, &record);
        const apus_journal_position position = apus_journal_reader_position(reader);
        require(position.finding == finding, "the position tells of another finding");
        require(finding != APUS_JOURNAL_FILE_ERROR, "a file that is there was not read");
        if (finding == APUS_JOURNAL_RECORD) {
            check_record(&record, made);
            require(++records < most, "more records than there is room for");
            if (records > 1 && record.segment_number == last.segment_number) {
                require(record.record_number > last.record_number, "record numbers do not rise");
                require(record.segment_offset >= last.segment_offset + 32 + last.payload_bytes, "records overlap");
            }
            require(record.segment_number >= last.segment_number, "segments do not rise");
            last = record;
            continue;
        }
        /* Asked again it says the same. */
        require(apus_journal_reader_next(reader, &record) == finding, "a stop does not last");
        if (!apus_journal_reader_skip_segment(reader)) {
            break;
        }
        require(++stops <= made, "more stops than segments");
    }
    apus_journal_reader_close(reader);
    clean();
    return 0;
}
