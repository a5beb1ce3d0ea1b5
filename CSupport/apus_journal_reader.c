#define _GNU_SOURCE

#include "apus_journal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apus_journal_files.h"

#define RECORD_HEADER_BYTES sizeof(apus_journal_record_header)

struct apus_journal_reader {
    const uint8_t *base; /* NULL: no segment is open */
    uint64_t file_bytes;
    uint64_t offset;
    uint64_t segment_bytes;
    uint64_t segment_number; /* of the open segment, or of the last one that was */
    uint64_t boot_epoch;
    int64_t base_wall_ns, base_lane_ns;
    uint64_t last_record_number; /* of this boot epoch; 0: none seen */
    uint64_t refused_at_end;     /* by the seal */
    uint64_t refused_before_boot; /* at the end of the boot epoch before, by its seal; until a record has been read */
    bool was_closed;              /* that boot epoch ended with the segment before this one */
    bool has_number;             /* segment_number means something */
    bool starts_boot;            /* the records of this boot epoch were read from the first one on */
    bool is_sealed;              /* the seal has been read */
    bool is_closed;              /* and it said that nothing follows */
    int directory;
    uint64_t *numbers;
    size_t number_count;
    apus_journal_position position;
};

static bool is_zero(const uint8_t *bytes, uint64_t count)
{
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        if (word != 0) {
            return false;
        }
        bytes += 8;
        count -= 8;
    }
    while (count > 0) {
        if (*bytes != 0) {
            return false;
        }
        bytes += 1;
        count -= 1;
    }
    return true;
}

static apus_journal_finding stop(apus_journal_reader *reader, apus_journal_finding finding)
{
    /* Behind the last segment that was entered, or within it. */
    const bool is_behind = finding == APUS_JOURNAL_END || finding == APUS_JOURNAL_MISSING_SEGMENT;
    const bool is_before = finding == APUS_JOURNAL_BAD_HEADER || finding == APUS_JOURNAL_OTHER_VERSION ||
                           finding == APUS_JOURNAL_FILE_ERROR;
    const bool is_closed_here = is_behind && reader->is_closed;
    reader->position = (apus_journal_position){
        .finding = finding,
        .is_closed = is_closed_here || (is_before && reader->was_closed),
        .refused_at_end = is_closed_here ? reader->refused_at_end : is_behind ? 0 : reader->refused_before_boot,
        .segment_number = reader->segment_number,
        .segment_offset = reader->offset,
        .boot_epoch = reader->boot_epoch,
    };
    return finding;
}

static void leave_segment(apus_journal_reader *reader)
{
    if (reader->base != NULL) {
        munmap((void *)(uintptr_t)reader->base, reader->file_bytes);
        reader->base = NULL;
    }
}

static int list_again(apus_journal_reader *reader)
{
    uint64_t *numbers;
    size_t count;
    const int result = apus_journal_list(reader->directory, &numbers, &count);
    if (result == 0) {
        free(reader->numbers);
        reader->numbers = numbers;
        reader->number_count = count;
    }
    return result;
}

/* The first segment after the one where the reader is; 0 if there is none. */
static uint64_t following_number(const apus_journal_reader *reader)
{
    for (size_t i = 0; i < reader->number_count; i++) {
        if (!reader->has_number || reader->numbers[i] > reader->segment_number) {
            return reader->numbers[i];
        }
    }
    return 0;
}

/* Maps a segment; RECORD if that went well. Otherwise the reader stands before it. */
static apus_journal_finding enter_segment(apus_journal_reader *reader, uint64_t number)
{
    const bool follows = reader->base != NULL && number == reader->segment_number + 1;
    leave_segment(reader);
    reader->was_closed = follows && reader->is_closed;
    reader->refused_before_boot = reader->was_closed ? reader->refused_at_end : 0;
    reader->segment_number = number;
    reader->has_number = true;
    reader->offset = 0;
    reader->is_sealed = false;
    reader->is_closed = false;
    char name[APUS_JOURNAL_FILE_NAME_CAPACITY];
    apus_journal_format_name(name, number, false);
    const int descriptor = openat(reader->directory, name, O_RDONLY | O_CLOEXEC);
    int error = descriptor < 0 ? errno : 0;
    struct stat facts = {0};
    if (error == 0 && fstat(descriptor, &facts) != 0) {
        error = errno;
    }
    const uint64_t file_bytes = facts.st_size > 0 ? (uint64_t)facts.st_size : 0;
    void *base = NULL;
    if (error == 0 && file_bytes > 0) {
        base = mmap(NULL, file_bytes, PROT_READ, MAP_SHARED, descriptor, 0);
        if (base == MAP_FAILED) {
            error = errno;
        }
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
    if (error != 0) {
        stop(reader, APUS_JOURNAL_FILE_ERROR);
        reader->position.error = -error;
        return APUS_JOURNAL_FILE_ERROR;
    }
    if (base == NULL) {
        return stop(reader, APUS_JOURNAL_BAD_HEADER);
    }
    reader->base = base;
    reader->file_bytes = file_bytes;
    apus_journal_file_header header = {0};
    memcpy(&header, base, file_bytes < sizeof header ? file_bytes : sizeof header);
    switch (apus_journal_check_header(&header, file_bytes, number)) {
    case APUS_JOURNAL_HEADER_BAD:
        leave_segment(reader);
        return stop(reader, APUS_JOURNAL_BAD_HEADER);
    case APUS_JOURNAL_HEADER_OTHER_VERSION:
        leave_segment(reader);
        stop(reader, APUS_JOURNAL_OTHER_VERSION);
        reader->position.version = header.version;
        return APUS_JOURNAL_OTHER_VERSION;
    case APUS_JOURNAL_HEADER_GOOD:
        break;
    }
    if (!follows || header.boot_epoch != reader->boot_epoch) {
        reader->last_record_number = 0;
        reader->starts_boot = follows || number == 1;
    }
    reader->boot_epoch = header.boot_epoch;
    reader->segment_bytes = header.segment_bytes;
    reader->base_wall_ns = header.base_wall_ns;
    reader->base_lane_ns = header.base_lane_ns;
    reader->offset = sizeof header;
    return APUS_JOURNAL_RECORD;
}

/* A writer refuses fewer records in a row. Other bytes that are taken for a number are seldom as near. */
#define MOST_REFUSED (UINT64_C(1) << 32)

/* Whether a whole record of the run stands anywhere in `bytes[from ..< count]`; `after` is the number of one before.
 * Looks at each place where a record may begin, and is asked only after a finding. */
static bool holds_record(const uint8_t *bytes, uint64_t from, uint64_t count, uint64_t after)
{
    for (uint64_t offset = from; offset + RECORD_HEADER_BYTES <= count; offset += 8) {
        const uint8_t *const start = bytes + offset;
        uint32_t record_bytes, crc;
        uint64_t number;
        memcpy(&record_bytes, start + offsetof(apus_journal_record_header, record_bytes), sizeof record_bytes);
        if (record_bytes < RECORD_HEADER_BYTES || record_bytes > count - offset) {
            continue;
        }
        memcpy(&crc, start + offsetof(apus_journal_record_header, crc), sizeof crc);
        memcpy(&number, start + offsetof(apus_journal_record_header, record_number), sizeof number);
        if (number > after && number - after <= MOST_REFUSED &&
            crc == apus_crc32c(record_bytes, start + 8, record_bytes - 8)) {
            return true;
        }
    }
    return false;
}

typedef struct peeked {
    bool is_good; /* its header can be trusted, and the rest is known */
    bool has_records;
    uint64_t boot_epoch;
} peeked;

/* What a segment that is not open holds. `looks_further`: for a record anywhere, not only at its beginning. */
static peeked peek(const apus_journal_reader *reader, uint64_t number, bool looks_further)
{
    peeked result = {0};
    char name[APUS_JOURNAL_FILE_NAME_CAPACITY];
    apus_journal_format_name(name, number, false);
    const int descriptor = openat(reader->directory, name, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return result;
    }
    apus_journal_file_header header;
    struct stat facts;
    result.is_good = fstat(descriptor, &facts) == 0 && facts.st_size > 0 &&
                     pread(descriptor, &header, sizeof header, 0) == (ssize_t)sizeof header &&
                     apus_journal_check_header(&header, (uint64_t)facts.st_size, number) == APUS_JOURNAL_HEADER_GOOD;
    if (result.is_good) {
        uint32_t first = 0;
        result.has_records = pread(descriptor, &first, sizeof first, sizeof header) == (ssize_t)sizeof first && first != 0;
        result.boot_epoch = header.boot_epoch;
    }
    if (result.is_good && !result.has_records && looks_further) {
        const uint64_t file_bytes = (uint64_t)facts.st_size;
        void *const base = mmap(NULL, file_bytes, PROT_READ, MAP_SHARED, descriptor, 0);
        if (base != MAP_FAILED) {
            result.has_records = holds_record(base, sizeof header, file_bytes, reader->last_record_number);
            munmap(base, file_bytes);
        }
    }
    close(descriptor);
    return result;
}

/* Whether a later segment of the boot epoch that is read has records. One that cannot be judged is passed. */
static bool goes_on_later(const apus_journal_reader *reader, bool looks_further)
{
    for (size_t i = 0; i < reader->number_count; i++) {
        if (reader->numbers[i] <= reader->segment_number) {
            continue;
        }
        const peeked later = peek(reader, reader->numbers[i], looks_further);
        if (later.is_good && later.boot_epoch != reader->boot_epoch) {
            return false;
        }
        if (later.is_good && later.has_records) {
            return true;
        }
    }
    return false;
}

/* The length word at the reader's place, 0 beyond the file. The mapping starts on a page and records
 * on multiples of 8: the word is aligned. Acquire, pairs with apus_journal_commit: a length seen
 * means a whole record. */
static uint32_t load_record_bytes(const apus_journal_reader *reader)
{
    if (reader->offset + sizeof(uint32_t) > reader->file_bytes) {
        return 0;
    }
    return atomic_load_explicit((const _Atomic uint32_t *)(const void *)(reader->base + reader->offset),
                                memory_order_acquire);
}

/* At the end of what the open segment holds: RECORD if there is more to look at. */
static apus_journal_finding advance(apus_journal_reader *reader)
{
    const int listed = list_again(reader);
    if (listed != 0) {
        stop(reader, APUS_JOURNAL_FILE_ERROR);
        reader->position.error = listed;
        return APUS_JOURNAL_FILE_ERROR;
    }
    const uint64_t next = following_number(reader);
    if (next == 0) {
        if (reader->is_sealed && !reader->is_closed) {
            stop(reader, APUS_JOURNAL_MISSING_SEGMENT);
            reader->position.segment_number = reader->segment_number + 1;
            return APUS_JOURNAL_MISSING_SEGMENT;
        }
        return stop(reader, APUS_JOURNAL_END);
    }
    if (reader->has_number && next != reader->segment_number + 1) {
        stop(reader, APUS_JOURNAL_MISSING_SEGMENT);
        reader->position.segment_number = reader->segment_number + 1;
        return APUS_JOURNAL_MISSING_SEGMENT;
    }
    if (reader->base != NULL && !reader->is_sealed) {
        /* The successor may be the spare of the writer that is, or was, at work here. */
        const peeked successor = peek(reader, next, false);
        if (successor.is_good && successor.boot_epoch == reader->boot_epoch) {
            if (!goes_on_later(reader, false)) {
                return stop(reader, APUS_JOURNAL_END);
            }
            /* The seal comes before the successor's first record: either it came while we looked, or
             * the end of this segment never reached the disk. */
            return load_record_bytes(reader) != 0 ? APUS_JOURNAL_RECORD : stop(reader, APUS_JOURNAL_TORN);
        }
    }
    return enter_segment(reader, next);
}

/* Stops at a record that is not whole. It is a tail if nothing that this boot epoch has written comes after it. */
static apus_journal_finding refuse(apus_journal_reader *reader, apus_journal_finding finding)
{
    const bool is_listed = list_again(reader) == 0;
    stop(reader, finding);
    reader->position.is_tail =
        is_listed && !holds_record(reader->base, reader->offset + 8, reader->file_bytes, reader->last_record_number) &&
        !goes_on_later(reader, true);
    return finding;
}

apus_journal_finding apus_journal_reader_next(apus_journal_reader *reader, apus_journal_record *out)
{
    for (;;) {
        if (reader->base == NULL || reader->is_sealed) {
            /* A segment that was refused is not tried again: that is for skip_segment. */
            if (reader->base == NULL && reader->has_number) {
                return reader->position.finding;
            }
            const apus_journal_finding entered = advance(reader);
            if (entered != APUS_JOURNAL_RECORD) {
                return entered;
            }
        }
        const uint64_t left = reader->offset < reader->file_bytes ? reader->file_bytes - reader->offset : 0;
        const uint8_t *const start = reader->base + reader->offset;
        const uint32_t record_bytes = load_record_bytes(reader);
        if (record_bytes == 0) {
            if (left > 0 && !is_zero(start, left)) {
                if (load_record_bytes(reader) != 0) {
                    continue; /* it was finished while we looked */
                }
                return refuse(reader, APUS_JOURNAL_TORN);
            }
            const apus_journal_finding entered = advance(reader);
            if (entered != APUS_JOURNAL_RECORD) {
                return entered;
            }
            continue;
        }
        if (record_bytes > left) {
            const bool fits_segment = record_bytes <= reader->segment_bytes - reader->offset;
            if (fits_segment && reader->file_bytes < reader->segment_bytes) {
                return refuse(reader, APUS_JOURNAL_TORN);
            }
            return refuse(reader, APUS_JOURNAL_BAD_CRC);
        }
        if (record_bytes < RECORD_HEADER_BYTES) {
            return refuse(reader, APUS_JOURNAL_BAD_CRC);
        }
        const uint64_t record_end = reader->offset + (((uint64_t)record_bytes + 7u) & ~(uint64_t)7u);
        uint32_t crc;
        memcpy(&crc, start + offsetof(apus_journal_record_header, crc), sizeof crc);
        if (crc != apus_crc32c(record_bytes, start + 8, record_bytes - 8)) {
            return refuse(reader, APUS_JOURNAL_BAD_CRC);
        }
        apus_journal_record record = {
            .boot_epoch = reader->boot_epoch,
            .segment_number = reader->segment_number,
            .segment_offset = reader->offset,
            .payload = start + RECORD_HEADER_BYTES,
            .payload_bytes = record_bytes - (uint32_t)RECORD_HEADER_BYTES,
        };
        memcpy(&record.record_number, start + offsetof(apus_journal_record_header, record_number), 8);
        memcpy(&record.time_ns, start + offsetof(apus_journal_record_header, time_ns), 8);
        memcpy(&record.connection, start + offsetof(apus_journal_record_header, connection), 4);
        memcpy(&record.kind, start + offsetof(apus_journal_record_header, kind), 2);
        if (record.record_number <= reader->last_record_number) {
            return stop(reader, APUS_JOURNAL_BAD_RECORD); /* a whole record, and no machine's death makes its number */
        }
        if (record.kind == APUS_JOURNAL_KIND_SEAL && record.payload_bytes == 0) {
            reader->refused_at_end = record.record_number - reader->last_record_number - 1;
            reader->is_sealed = true;
            reader->is_closed = record.connection == APUS_JOURNAL_SEAL_CLOSED;
            reader->offset = record_end;
            continue;
        }
        if (reader->last_record_number != 0) {
            record.refused_before = record.record_number - reader->last_record_number - 1;
        } else if (reader->starts_boot) {
            record.refused_before = record.record_number - 1;
        }
        record.wall_ns = (int64_t)((uint64_t)reader->base_wall_ns + (uint64_t)record.time_ns -
                                   (uint64_t)reader->base_lane_ns);
        reader->last_record_number = record.record_number;
        reader->offset = record_end;
        stop(reader, APUS_JOURNAL_RECORD);
        reader->refused_before_boot = 0;
        *out = record;
        return APUS_JOURNAL_RECORD;
    }
}

bool apus_journal_reader_skip_segment(apus_journal_reader *reader)
{
    if (list_again(reader) != 0) {
        return false;
    }
    const uint64_t next = following_number(reader);
    if (next == 0) {
        return false;
    }
    /* A segment that cannot be entered is found again by the next call of next. */
    (void)enter_segment(reader, next);
    return true;
}

size_t apus_journal_reader_segment_count(const apus_journal_reader *reader)
{
    return reader->number_count;
}

uint64_t apus_journal_reader_segment_number(const apus_journal_reader *reader, size_t index)
{
    return index < reader->number_count ? reader->numbers[index] : 0;
}

bool apus_journal_reader_seek(apus_journal_reader *reader, uint64_t segment_number)
{
    /* What comes next follows nothing that was read. */
    leave_segment(reader);
    return enter_segment(reader, segment_number) == APUS_JOURNAL_RECORD;
}

apus_journal_position apus_journal_reader_position(const apus_journal_reader *reader)
{
    return reader->position;
}

int apus_journal_reader_open(const char *directory, apus_journal_reader **out)
{
    *out = NULL;
    const int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    apus_journal_reader *const reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        close(descriptor);
        return -ENOMEM;
    }
    reader->directory = descriptor;
    const int result = list_again(reader);
    if (result != 0) {
        apus_journal_reader_close(reader);
        return result;
    }
    stop(reader, APUS_JOURNAL_END);
    *out = reader;
    return 0;
}

void apus_journal_reader_close(apus_journal_reader *reader)
{
    if (reader != NULL) {
        leave_segment(reader);
        close(reader->directory);
        free(reader->numbers);
        free(reader);
    }
}
