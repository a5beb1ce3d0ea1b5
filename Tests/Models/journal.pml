/* journal.pml: lane and helper of the journal, CSupport/include/apus_journal.h and CSupport/apus_journal.c.
 *
 * The lane appends RECORDS records to segments of PER records; the helper is called SERVICES times under policy "each",
 * prepares the next segment, syncs, and lets go of the one that is full. Where the C code refuses a record, the
 * lane here waits for the segment.
 *
 * Checked: what is reported as synced has been synced, each record complete; the lane never writes to a segment
 * that was let go, nor to one that is not yet prepared; no retired segment is lost.
 *
 * The words: NUMBER is record_number, USED used_bytes (in records), and CURRENT, NEXT and RETIRED are the members
 * of these names, as segment numbers, 0 being NULL. Plain memory: each record; what prepare fills in; and
 * last_record_number of each segment.
 */
#ifndef PER
#define PER 2
#endif
#ifndef RECORDS
#define RECORDS 5
#endif
#ifndef SERVICES
#define SERVICES 2
#endif
#define SEGMENTS (2 + SERVICES)

#define NUMBER 0
#define USED 1
#define CURRENT 2
#define NEXT 3
#define RETIRED 4
#define RECORD(n) (n - 1)
#define PREPARED(s) (RECORDS + s - 1)
#define LAST_NUMBER(s) (RECORDS + SEGMENTS + s - 1)
#define WORDS 5
#define PLAIN (RECORDS + 2 * SEGMENTS)
#define VALUES (2 * RECORDS + 1)
#define THREADS 2
#include "memory.pml"

#define LANE 0
#define HELPER 1

#ifdef NUMBER_RELAXED
#define NUMBER_ORDER RELAXED
#else
#define NUMBER_ORDER RELEASE
#endif
#ifdef NEW_COUNT_RELAXED
#define NEW_COUNT_ORDER RELAXED
#else
#define NEW_COUNT_ORDER RELEASE
#endif
#ifdef CLEAR_RELAXED
#define CLEAR_ORDER RELAXED
#else
#define CLEAR_ORDER RELEASE
#endif
#ifdef PREPARED_RELAXED
#define PREPARED_ORDER RELAXED
#else
#define PREPARED_ORDER RELEASE
#endif

byte segment_of[RECORDS + 1];
byte place_of[RECORDS + 1];
byte synced[SEGMENTS + 1]; /* how many records of each segment are on the disk */
bool is_gone[SEGMENTS + 1];

proctype lane()
{
    byte number, used, next;
    byte segment = 1;
    bool tried;
    do
    :: number < RECORDS ->
        if
        :: used == PER ->
            /* apus_journal_switch: next = load(next, acquire) */
            if
            :: tried ->
end_waiting:    load_newer(LANE, NEXT, ACQUIRE, next)
            :: else -> load(LANE, NEXT, ACQUIRE, next)
            fi;
            if
            :: next == 0 -> tried = true; goto again
            :: else -> tried = false
            fi;
            plain_write(LANE, LAST_NUMBER(segment), number);
            d_step {
                assert(NEWEST(RETIRED) == 0); /* no retired segment is lost */
#ifndef RETIRED_LAST
                add(LANE, RETIRED, RELAXED, segment)
#endif
            }
            /* enter */
            plain_read(LANE, PREPARED(next), used);
            used = 0;
            store(LANE, USED, NEW_COUNT_ORDER, 0);
            store(LANE, CURRENT, RELEASE, next);
            store(LANE, NEXT, CLEAR_ORDER, 0);
#ifdef RETIRED_LAST
            store(LANE, RETIRED, RELAXED, segment);
#endif
            atomic { segment = next; next = 0 }
        :: else
        fi;
        /* apus_journal_append: the record, used_bytes, record_number */
        d_step {
            number++;
            used++;
            assert(!is_gone[segment]);
            segment_of[number] = segment;
            place_of[number] = used
        }
        plain_write(LANE, RECORD(number), number);
#ifdef NUMBER_FIRST
        store(LANE, NUMBER, NUMBER_ORDER, number);
        store(LANE, USED, RELEASE, used);
#else
        store(LANE, USED, RELEASE, used);
        store(LANE, NUMBER, NUMBER_ORDER, number);
#endif
again:  skip
    :: else -> break
    od
}

hidden byte one;
/* report_synced */
inline report(upto)
{
    d_step {
        one = 1;
        do
        :: one <= upto ->
            assert(synced[segment_of[one]] >= place_of[one]);         /* on the disk */
            assert(thread[HELPER].now.at[WRITES_OF(RECORD(one))] > 0); /* and complete when it went there */
            one++
        :: else -> break
        od;
        one = 0
    }
}

/* apus_journal_service */
proctype helper()
{
    byte service, number, segment, used, retired;
    byte prepared = 2;
    do
    :: service < SERVICES ->
        service++;
        load(HELPER, NEXT, ACQUIRE, segment);
        if
        :: segment == 0 ->
            load(HELPER, RETIRED, RELAXED, retired);
            assert(retired != 0); /* next cleared implies retired seen */
            store(HELPER, RETIRED, RELAXED, 0);
            prepared++;
            plain_write(HELPER, PREPARED(prepared), 1);
            store(HELPER, NEXT, PREPARED_ORDER, prepared);
            /* sync_range of all, report_synced(last_record_number), segment_release */
            synced[retired] = PER;
            plain_read(HELPER, LAST_NUMBER(retired), number);
            report(number);
            atomic { is_gone[retired] = true; retired = 0; number = 0 }
        :: else -> segment = 0
        fi;
        /* sync_current */
        load(HELPER, NUMBER, ACQUIRE, number);
        load(HELPER, CURRENT, ACQUIRE, segment);
        load(HELPER, RETIRED, RELAXED, retired);
        if
        :: retired == 0 ->
            load(HELPER, USED, ACQUIRE, used);
            d_step {
                if
                :: synced[segment] < used -> synced[segment] = used
                :: else
                fi
            }
#ifdef CURRENT_IS_ENOUGH
            /* As it was once: is `current` still the same? */
            load(HELPER, CURRENT, ACQUIRE, retired);
            if
            :: retired == segment -> report(number)
            :: else
            fi
#else
            load(HELPER, RETIRED, RELAXED, retired);
            if
            :: retired == 0 -> report(number)
            :: else
            fi
#endif
        :: else
        fi;
        atomic { number = 0; segment = 0; used = 0; retired = 0 }
    :: else -> break
    od;
}

init {
    /* apus_journal_open prepares two segments; both threads start after it. */
    atomic {
        word[CURRENT].nth[0].is = 1;
        word[NEXT].nth[0].is = 2;
        run lane();
        run helper()
    }
}
