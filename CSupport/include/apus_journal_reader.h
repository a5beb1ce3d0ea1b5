/* apus_journal_reader.h: reads a journal directory (format: apus_journal.h), record by record, in order.
 *
 * Ownership: the reader maps one segment at a time, read-only. A record's payload belongs to the reader
 *            and is valid until its next call.
 * Threads:   one at a time.
 * Live use:  a journal that is being written may be read: after APUS_JOURNAL_END ask again for what came since.
 * Trust:     every byte that is followed is checked first: no file content makes the reader read
 *            outside of its mapping. Another process that shortens a file under it is not survived (SIGBUS);
 *            the writer never does that.
 */
#ifndef APUS_JOURNAL_READER_H
#define APUS_JOURNAL_READER_H

#include "apus_journal.h"

/* What a call of apus_journal_reader_next found. All but RECORD stop it where it is. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(JournalFinding) apus_journal_finding {
    APUS_JOURNAL_RECORD APUS_NAME(record) = 0,
    APUS_JOURNAL_END APUS_NAME(end),             /* no more records: a closed, running or killed writer's last one was read */
    APUS_JOURNAL_TORN APUS_NAME(torn),           /* a record begun and not finished, or a segment whose end is lost */
    APUS_JOURNAL_BAD_CRC APUS_NAME(badCRC),      /* bytes of a record are not those that were written */
    APUS_JOURNAL_BAD_RECORD APUS_NAME(badRecord), /* a right CRC, but an impossible number or length */
    APUS_JOURNAL_MISSING_SEGMENT APUS_NAME(missingSegment),
    APUS_JOURNAL_BAD_HEADER APUS_NAME(badHeader), /* not a segment, or its header is damaged */
    APUS_JOURNAL_OTHER_VERSION APUS_NAME(otherVersion),
    APUS_JOURNAL_FILE_ERROR APUS_NAME(fileError), /* the system refused to open or map it */
} apus_journal_finding;

typedef struct apus_journal_record {
    const uint8_t *APUS_NULLABLE payload; /* payload_bytes of them */
    uint64_t boot_epoch;
    uint64_t segment_number;
    uint64_t segment_offset;
    uint64_t record_number;
    uint64_t refused_before; /* records that the writer had to refuse between the last record and this one */
    int64_t time_ns;         /* lane clock */
    int64_t wall_ns;         /* the same moment on the wall clock, by the segment's header */
    uint32_t payload_bytes;
    uint32_t connection;
    uint16_t kind; /* apus_journal_kind, or a value of a later writer */
} apus_journal_record;

/* Where and why the reader stands. */
typedef struct APUS_NAME(JournalPosition) apus_journal_position {
    apus_journal_finding finding;
    bool is_tail;            /* of TORN and BAD_CRC: no whole record of the boot epoch comes after, in this segment or a
                              * later one: what a killed machine leaves. Otherwise it is damage */
    bool is_closed;          /* at the end, or before a segment that is missing or cannot be entered: the writer of what
                              * was read said goodbye */
    int32_t error;           /* -errno of a file error */
    /* Records refused after the last one of a boot epoch that was closed: where is_closed, and where the next epoch begins. */
    uint64_t refused_at_end;
    uint32_t version;        /* of another version's segment */
    uint64_t segment_number; /* the missing one, if one is missing */
    uint64_t segment_offset;
    uint64_t boot_epoch;
} apus_journal_position;

typedef struct apus_journal_reader apus_journal_reader;

/* 0, or -ENOENT, -ENOTDIR, -EACCES, -ENOMEM … An empty directory is a journal without records. Cold. */
int apus_journal_reader_open(const char *APUS_NONNULL directory, apus_journal_reader *APUS_NULLABLE *APUS_NONNULL out);
void apus_journal_reader_close(apus_journal_reader *APUS_NULLABLE reader);

/* The next record into `out`; anything but APUS_JOURNAL_RECORD leaves `out` alone and the reader at its
 * place. Segments that a killed writer did not seal are passed without a stop when their last record is
 * whole and the next segment is another boot's. */
apus_journal_finding apus_journal_reader_next(apus_journal_reader *APUS_NONNULL reader,
                                              apus_journal_record *APUS_NONNULL out);

/* After a stop: goes on at the next segment that exists; false if there is none. What lies between
 * is not read; whoever calls this has decided so. */
bool apus_journal_reader_skip_segment(apus_journal_reader *APUS_NONNULL reader);

/* How many segments there were when the reader last looked, and the number of one of them; the oldest has index 0. */
size_t apus_journal_reader_segment_count(const apus_journal_reader *APUS_NONNULL reader);
uint64_t apus_journal_reader_segment_number(const apus_journal_reader *APUS_NONNULL reader, size_t index);

/* Goes to the beginning of a segment, from anywhere; false if it cannot be read: the position says why. */
bool apus_journal_reader_seek(apus_journal_reader *APUS_NONNULL reader, uint64_t segment_number);

apus_journal_position apus_journal_reader_position(const apus_journal_reader *APUS_NONNULL reader);

#endif
