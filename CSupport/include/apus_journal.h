/* apus_journal.h: the append-only journal of one lane, in preallocated and memory-mapped segment files.
 *
 * Threads:   one writer, the lane: apus_journal_append and the other APUS_HOT operations. One helper:
 *            apus_journal_service. Any thread: apus_journal_status. Open and close have it alone.
 * Hot path:  an append copies into mapped memory; it makes no system call, takes no lock. What was
 *            appended survives the death of the process (kill -9) at once, and the death of the
 *            machine once it is synced.
 * Bounds:    a full segment is left for the next one, which the helper has prepared ahead. If it is
 *            not ready the append is refused, and the refusal leaves a gap in the record numbers.
 * Disk:      a segment's blocks are allocated (posix_fallocate) before the lane may see it: a full disk
 *            is an error of preparation, not a SIGBUS. A copy-on-write file system (btrfs, ZFS)
 *            cannot promise that; put the journal on ext4, XFS or tmpfs.
 * Owner:     one process writes a directory at a time (flock on it); it never changes old segments.
 *
 * ---------------------------------------------------------------------------------------------------
 * Format, version 3. Integers are little-endian. A directory holds segments named
 * journal-<number, 20 decimal digits>.apus; numbers rise by one; the oldest may have been removed.
 * A name with ".new" behind it is a segment in preparation and holds nothing.
 *
 * Segment header, 128 bytes:
 *     0  char[8]  "APUSJRNL"
 *     8  u32      version of the format, 3 (1 and 2 are read as well: see below)
 *    12  u32      bytes of this header, 128
 *    16  u64      number of this segment, as in the name; the first ever is 1
 *    24  u64      bytes of the whole file as prepared
 *    32  u64      boot epoch: which run of the engine wrote it
 *    40  i64      wall clock, nanoseconds since 1970 UTC, at the moment of the next field
 *    48  i64      lane clock, nanoseconds: the clock of the records' times
 *    56  char[48] name of the journal (the lane), padded with zero bytes
 *   104  u8[20]   zero
 *   124  u32      CRC-32C of bytes 0 ..< 124
 *
 * Records follow from byte 128, each at a multiple of 8; between them are zero bytes:
 *     0  u32      bytes of the record: this header of 32 plus the payload; 0 means "none yet"
 *     4  u32      CRC-32C of the bytes 8 ..< (bytes of the record), continued from the value of field 0
 *     8  u64      number of the record, from 1 for each boot epoch; a jump means refused records
 *    16  i64      time on the lane's clock, nanoseconds
 *    24  u32      connection
 *    28  u16      kind (apus_journal_kind)
 *    30  u16      zero
 *    32           payload
 * Field 0 is written last, with release order: a reader, or whoever looks after a crash, sees a whole
 * record or none. A record of kind 255 without payload seals a segment: nothing comes after it there.
 * Its connection is 0 if the journal goes on in the next segment, 1 if it was closed; its number is
 * that of the record that would follow. A segment without a seal is that of a writer still running,
 * or killed.
 *
 * What a lane writes, so that its run can be repeated. Every input of the lane is a record, in the order and with
 * the time in which the lane took it; behind it comes what the lane did about it: outbound, note, fill. The lane
 * counts its connections from 1; field 24 is the connection that a record belongs to. Payloads by kind:
 *   1 inbound    the text of a frame: the first event of a read of the connection
 *   9 more       the text of a frame that came in the same read as the record before it: the lane looks at what
 *                has changed once, behind the last event of a read
 *   2 outbound   the text of a frame, without WebSocket framing and mask
 *   3 timer      nothing; only timers that were due
 *   4 directive  apus_directive_record
 *   5 control    apus_control_record
 *   6 note       UTF-8 text for people; a login frame is a note too, because its token must not be kept
 *   7 fill       apus_booked_fill_record, as booked
 *   8 account    apus_account_record: an account that stands otherwise than by a fill, and now and then
 *  10 run        UTF-8 text, a JSON object: how the lane was set up; first record of a run
 *  11 parameters UTF-8 text, a JSON object: parameters that the lane has taken over while it ran
 * A session may have more connections than one, each with a number of its own (controls 17 and 18). What is asked by HTTP
 * counts as one of them: a question is an outbound text "<tag> <method> <target>" with its body behind a line break, without
 * what signs it; an answer is an inbound text "<tag> <status>" with its body behind a line break, and status 0 for none.
 * Directive record, 48 bytes; 32 before there were fair values, and 16 before there was more than one venue, with no caps and
 * no hedges:
 *     0  u16      instrument: its place in the settings
 *     2  u8       1 if quoting is allowed
 *     3  u8       1 if an order that takes is asked for; 2: no bids, 4: no asks
 *     4  i32      widening, thousandths
 *     8  i64      position to steer towards, lots; of an order what is to be bought, or sold if negative
 *    16  i64      largest worst case long, lots, or INT64_MAX; of an order its slippage from the best price, 10^-2 bps
 *    24  i64      largest worst case short, lots, or INT64_MAX; of an order zero
 *    32  i64      fair value, 10^-8 of the quote currency; 0: none
 *    40  i64      what is to be bought at the best price, or sold if negative, with an order that waits, lots
 * Control record, 40 bytes:
 *     0  u32      apus_control
 *     4  u32      1 if it came in the same read as the record before it, else 0
 *     8  u64[4]   values; see apus_control
 * Version 2 is the same without the kind 8 and the control 16, and its fills are an apus_fill_record alone. Version 1 lacks
 * the kinds 9 and 10 as well, and had no records of the kinds 3 to 5. Runs of both cannot be repeated or continued, but are
 * read.
 * ---------------------------------------------------------------------------------------------------
 */
#ifndef APUS_JOURNAL_H
#define APUS_JOURNAL_H

#include <stdalign.h>
#include <stdatomic.h>

#include "apus_base.h"
#include "apus_crc32c.h"

#define APUS_JOURNAL_VERSION 3
#define APUS_JOURNAL_VERSION_OLDEST 1
#define APUS_JOURNAL_NAME_BYTES 48
#define APUS_JOURNAL_SEGMENT_BYTES_MIN 4096u
#define APUS_JOURNAL_SEGMENT_BYTES_MAX (1u << 31)

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the files are little-endian, as memory is");

typedef enum APUS_CLOSED_ENUM APUS_NAME(JournalKind) apus_journal_kind {
    APUS_JOURNAL_INBOUND APUS_NAME(inbound) = 1,   /* a frame from the venue */
    APUS_JOURNAL_OUTBOUND APUS_NAME(outbound) = 2, /* a frame to the venue */
    APUS_JOURNAL_TIMER APUS_NAME(timer) = 3,
    APUS_JOURNAL_DIRECTIVE APUS_NAME(directive) = 4,
    APUS_JOURNAL_CONTROL APUS_NAME(control) = 5, /* apus_control */
    APUS_JOURNAL_NOTE APUS_NAME(note) = 6,       /* UTF-8 text for people */
    APUS_JOURNAL_FILL APUS_NAME(fill) = 7,
    APUS_JOURNAL_ACCOUNT APUS_NAME(account) = 8,
    APUS_JOURNAL_MORE APUS_NAME(more) = 9, /* a further frame of the same read */
    APUS_JOURNAL_RUN APUS_NAME(run) = 10,
    APUS_JOURNAL_PARAMETERS APUS_NAME(parameters) = 11,
} apus_journal_kind;
#define APUS_JOURNAL_KIND_SEAL 255u

/* What a control record says, and its values. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(ControlKind) apus_control {
    /* A connection is up: 16 bytes of the WebSocket's key, and the seed of its masks. */
    APUS_CONTROL_CONNECTED APUS_NAME(connected) = 1,
    APUS_CONTROL_DISCONNECTED APUS_NAME(disconnected) = 2,
    APUS_CONTROL_OPENED APUS_NAME(opened) = 3,           /* the WebSocket is open */
    APUS_CONTROL_CLOSED APUS_NAME(closed) = 4,           /* by the venue: the close code */
    APUS_CONTROL_FAILED APUS_NAME(failed) = 5,           /* the WebSocket: apus_ws_failure, and its code */
    APUS_CONTROL_HEARD APUS_NAME(heard) = 6,             /* a read that completed no frame of text */
    APUS_CONTROL_HALT APUS_NAME(halt) = 7,               /* the cause, and the level */
    APUS_CONTROL_REARM APUS_NAME(rearm) = 8,
    APUS_CONTROL_STOP APUS_NAME(stop) = 9,               /* requested */
    APUS_CONTROL_STOP_STEP APUS_NAME(stopStep) = 10,     /* looked at before the venue was ever reached */
    APUS_CONTROL_WALL_CLOCK APUS_NAME(wallClock) = 11,   /* wall clock less lane clock, nanoseconds, i64 */
    APUS_CONTROL_NO_ROOM APUS_NAME(noRoom) = 12,         /* no input: a frame could not be begun */
    APUS_CONTROL_SPARE_UP APUS_NAME(spareUp) = 13,       /* the second connection: as CONNECTED */
    APUS_CONTROL_SPARE_LOST APUS_NAME(spareLost) = 14,
    APUS_CONTROL_MOVED_OVER APUS_NAME(movedOver) = 15,   /* the second connection has taken the first one's place */
    APUS_CONTROL_STOPPED APUS_NAME(stopped) = 16,        /* no input: the lane has ended; 1 if the venue confirmed that nothing is left */
    /* Another connection of the same session is up: as CONNECTED, and its place. */
    APUS_CONTROL_COMPANION_UP APUS_NAME(companionUp) = 17,
    APUS_CONTROL_COMPANION_LOST APUS_NAME(companionLost) = 18, /* its place */
} apus_control;

typedef struct APUS_NAME(ControlRecord) apus_control_record {
    uint32_t control;
    uint32_t is_continued;
    uint64_t first;
    uint64_t second;
    uint64_t third;
    uint64_t fourth;
} apus_control_record;
static_assert(sizeof(apus_control_record) == 40, "as the format says");

typedef struct APUS_NAME(DirectiveRecord) apus_directive_record {
    uint16_t instrument_index;
    uint8_t is_quoting_allowed;
    uint8_t flags; /* APUS_DIRECTIVE_… */
    int32_t widen_permille;
    int64_t target_lots;
    int64_t long_cap_lots;
    int64_t short_cap_lots;
    int64_t fair_value_e8;
    int64_t passive_lots;
} apus_directive_record;
static_assert(sizeof(apus_directive_record) == 48, "as the format says");
#define APUS_DIRECTIVE_HEDGE 1u
#define APUS_DIRECTIVE_NO_BIDS 2u
#define APUS_DIRECTIVE_NO_ASKS 4u

typedef struct apus_journal_file_header {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes;
    uint64_t segment_number;
    uint64_t segment_bytes;
    uint64_t boot_epoch;
    int64_t base_wall_ns;
    int64_t base_lane_ns;
    char name[APUS_JOURNAL_NAME_BYTES];
    uint8_t reserved[20];
    uint32_t header_crc;
} apus_journal_file_header;
static_assert(sizeof(apus_journal_file_header) == 128, "as the format says");
static_assert(offsetof(apus_journal_file_header, header_crc) == 124, "as the format says");

typedef struct apus_journal_record_header {
    _Atomic uint32_t record_bytes;
    uint32_t crc;
    uint64_t record_number;
    int64_t time_ns;
    uint32_t connection;
    uint16_t kind;
    uint16_t reserved;
} apus_journal_record_header;
static_assert(sizeof(apus_journal_record_header) == 32, "as the format says");

/* When what was appended is forced to the disk. The process may die at any time under each of them;
 * they differ when the machine dies. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(JournalSync) apus_journal_sync {
    APUS_JOURNAL_SYNC_NONE APUS_NAME(none) = 0,         /* when the kernel thinks fit (about 30 s) */
    APUS_JOURNAL_SYNC_INTERVAL APUS_NAME(interval) = 1, /* at the first service after each interval */
    APUS_JOURNAL_SYNC_EACH APUS_NAME(each) = 2,         /* at each service */
} apus_journal_sync;

typedef struct APUS_NAME(JournalConfiguration) apus_journal_config {
    uint64_t segment_bytes; /* a multiple of 4096, APUS_JOURNAL_SEGMENT_BYTES_MIN … _MAX */
    uint64_t window_bytes;  /* how far ahead of the lane pages are kept writable; 0: the whole segment */
    uint64_t boot_epoch;
    int64_t sync_interval_ns; /* for APUS_JOURNAL_SYNC_INTERVAL, > 0 */
    apus_journal_sync sync;
} apus_journal_config;

typedef struct APUS_NAME(JournalStatus) apus_journal_status_t {
    uint64_t appended_count;  /* records appended since open */
    uint64_t refused_count;   /* appends refused since open */
    uint64_t synced_number;   /* records up to this number are on the disk; 0: none yet, or policy none */
    uint64_t segment_number;  /* where the lane writes */
    uint64_t segment_used_bytes;
    int32_t service_error;    /* -errno of the last service, 0 if it succeeded */
    bool next_is_ready;
} apus_journal_status_t;

/* What of the past is kept; see apus_journal_retain. */
typedef struct APUS_NAME(JournalRetention) apus_journal_retention {
    int64_t keep_ns;     /* segments of earlier runs that were last written longer ago go; 0: no limit */
    uint64_t keep_bytes; /* the oldest segments go until all together take no more; 0: no limit */
} apus_journal_retention;

typedef struct APUS_NAME(JournalRetained) apus_journal_retained {
    uint64_t removed_count;  /* segments removed by this call */
    uint64_t removed_bytes;  /* their blocks on the disk */
    uint64_t removed_of_run; /* how many of them were of this very run */
    uint64_t kept_bytes;     /* of what is left */
    int32_t error;           /* -errno of what failed; what could be done is done */
} apus_journal_retained;

/* One mapped segment. */
typedef struct apus_journal_segment {
    uint8_t *APUS_NULLABLE base; /* NULL: this slot is free */
    uint64_t bytes;
    uint64_t number;
    uint64_t last_record_number; /* once it is retired */
    int descriptor;
} apus_journal_segment;

typedef struct apus_journal {
    /* The lane's line; the helper looks at it once per service. */
    alignas(APUS_CACHE_LINE) uint8_t *APUS_NONNULL base; /* of the current segment */
    uint64_t limit_bytes;                                /* records end here; the seal fits behind */
    _Atomic uint64_t used_bytes;
    _Atomic uint64_t record_number; /* of the last record, refused ones included */
    _Atomic uint64_t refused_count;
    _Atomic(apus_journal_segment *) current;
    _Atomic uint64_t segment_number; /* of the current segment, for the status */

    /* Handed over between lane and helper. */
    alignas(APUS_CACHE_LINE) _Atomic(apus_journal_segment *) next; /* helper sets, lane clears */
    _Atomic(apus_journal_segment *) retired;                       /* lane sets, helper clears */

    /* The helper's. */
    alignas(APUS_CACHE_LINE) _Atomic uint64_t synced_number;
    _Atomic int32_t service_error;
    apus_journal_segment segments[3]; /* current, next, retired */
    uint64_t next_number;
    uint64_t first_number;    /* of this run */
    uint64_t synced_bytes;    /* of the segment below */
    uint64_t synced_segment;  /* number */
    uint64_t populated_bytes; /* of the segment below */
    uint64_t populated_segment;
    int64_t synced_at_ns;
    int64_t populated_at_ns;
    apus_journal_config config;
    int directory;
    bool sync_failed; /* once: synced_number stays where it is */
    char name[APUS_JOURNAL_NAME_BYTES];
} apus_journal;

/* Opens `directory` for writing (its last component is made if it is missing) and prepares two
 * segments behind those that are there. `name` is cut at 47 bytes. `now_ns` is the lane clock.
 * A spare segment that a killed writer left without a single record is removed.
 *
 * 0, or -EINVAL: the configuration; -ENOTDIR, -ENOENT, -EACCES, -EPERM, -EROFS: the directory;
 * -EBUSY: another process writes it; -ENOSPC, -EDQUOT, -EFBIG: no room for two segments; -ENOMEM. Cold. */
int apus_journal_open(const char *APUS_NONNULL directory, const char *APUS_NONNULL name,
                      const apus_journal_config *APUS_NONNULL config, int64_t now_ns,
                      apus_journal *APUS_NULLABLE *APUS_NONNULL out);

/* Seals, syncs unless the policy is none, gives unused blocks back, frees. After both threads let go. */
void apus_journal_close(apus_journal *APUS_NULLABLE journal);

/* Lets go of the files as they are, as a killed process does: nothing is sealed, synced or given back. After both
 * threads let go. For simulations and tests. */
void apus_journal_abandon(apus_journal *APUS_NULLABLE journal);

/* Helper: prepares the next segment if there is none, keeps the pages ahead of the lane writable,
 * syncs by policy, lets go of the segment that the lane left. Call it every millisecond or so, at least
 * once in the time in which the lane fills a segment. 0 or -errno of what failed (-ENOSPC …); the
 * journal stays usable, and the next call tries again. */
int apus_journal_service(apus_journal *APUS_NONNULL journal, int64_t now_ns);

/* Helper, every few seconds: removes the oldest segments that `keep` lets go of. The segments of this run
 * stay, unless the size limit cannot be held without its oldest ones: it can then no longer be
 * repeated from its beginning. The segments that the lane writes, and the ones prepared, always stay.
 * `wall_ns`: since 1970 UTC. May take milliseconds a segment. */
apus_journal_retained apus_journal_retain(apus_journal *APUS_NONNULL journal,
                                          const apus_journal_retention *APUS_NONNULL keep, int64_t wall_ns);

/* Helper: bytes that this process may still write where the journal is, or -errno. */
int64_t apus_journal_free_bytes(const apus_journal *APUS_NONNULL journal);

/* Any thread; the fields are read one after the other. */
apus_journal_status_t apus_journal_status(const apus_journal *APUS_NONNULL journal);

/* Writer, cold part of a claim: moves to the next segment. Makes no system call either. */
APUS_NO_LOCKS bool apus_journal_switch(apus_journal *APUS_NONNULL journal, uint64_t need_bytes);

/* Bytes of a record with its padding. */
APUS_HOT uint64_t apus_journal_need(uint32_t payload_bytes)
{
    return (sizeof(apus_journal_record_header) + (uint64_t)payload_bytes + 7u) & ~(uint64_t)7u;
}

/* Writer: whether an append of so many bytes would succeed now. For callers that rather wait than lose. */
APUS_HOT bool apus_journal_has_room(apus_journal *APUS_NONNULL journal, uint32_t payload_bytes)
{
    const uint64_t used = atomic_load_explicit(&journal->used_bytes, memory_order_relaxed);
    const uint64_t need = apus_journal_need(payload_bytes);
    return need <= journal->limit_bytes - used ||
           /* Relaxed: only asks whether it is there; the switch acquires. */
           (need <= journal->config.segment_bytes - sizeof(apus_journal_file_header) -
                        sizeof(apus_journal_record_header) &&
            atomic_load_explicit(&journal->next, memory_order_relaxed) != NULL);
}

/* Writer: where the payload of the next record goes, so that it can be built in place; NULL if it is
 * refused: the next segment is not ready, or no segment could hold it. A refusal is counted and takes
 * a record number. A claim that is not committed leaves nothing. */
APUS_HOT uint8_t *APUS_NULLABLE apus_journal_claim(apus_journal *APUS_NONNULL journal, uint32_t payload_bytes)
{
    /* Relaxed: only this thread writes it. */
    uint64_t used = atomic_load_explicit(&journal->used_bytes, memory_order_relaxed);
    const uint64_t need = apus_journal_need(payload_bytes);
    if (APUS_UNLIKELY(need > journal->limit_bytes - used)) {
        if (!apus_journal_switch(journal, need)) {
            return NULL;
        }
        used = atomic_load_explicit(&journal->used_bytes, memory_order_relaxed);
    }
    return journal->base + used + sizeof(apus_journal_record_header);
}

/* Writer: completes the record whose payload was written to the last claim of at least `payload_bytes`. */
APUS_HOT void apus_journal_commit(apus_journal *APUS_NONNULL journal, apus_journal_kind kind, uint32_t connection,
                                  int64_t time_ns, uint32_t payload_bytes)
{
    const uint64_t used = atomic_load_explicit(&journal->used_bytes, memory_order_relaxed);
    const uint64_t number = atomic_load_explicit(&journal->record_number, memory_order_relaxed) + 1;
    const uint32_t record_bytes = (uint32_t)sizeof(apus_journal_record_header) + payload_bytes;
    uint8_t *const start = journal->base + used;
    apus_journal_record_header *const header = (apus_journal_record_header *)(void *)start;
    header->record_number = number;
    header->time_ns = time_ns;
    header->connection = connection;
    header->kind = (uint16_t)kind;
    header->reserved = 0;
    header->crc = apus_crc32c(record_bytes, start + 8, record_bytes - 8);
    /* Release, pairs with the acquire in apus_journal_reader_next: the length comes last. */
    atomic_store_explicit(&header->record_bytes, record_bytes, memory_order_release);
    /* Release, pairs with apus_journal_service: what it syncs up to here is complete. The number
     * comes after the bytes, so that a number seen implies its bytes seen. */
    atomic_store_explicit(&journal->used_bytes, used + apus_journal_need(payload_bytes), memory_order_release);
    atomic_store_explicit(&journal->record_number, number, memory_order_release);
}

/* Writer: appends a copy of `payload`; false if it was refused (see apus_journal_claim). */
APUS_HOT bool apus_journal_append(apus_journal *APUS_NONNULL journal, apus_journal_kind kind, uint32_t connection,
                                  int64_t time_ns, const void *APUS_NULLABLE payload, uint32_t payload_bytes)
{
    uint8_t *const destination = apus_journal_claim(journal, payload_bytes);
    if (APUS_UNLIKELY(destination == NULL)) {
        return false;
    }
    if (payload_bytes != 0) {
        memcpy(destination, payload, payload_bytes);
    }
    apus_journal_commit(journal, kind, connection, time_ns, payload_bytes);
    return true;
}

#endif
