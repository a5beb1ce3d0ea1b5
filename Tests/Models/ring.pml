/* ring.pml: the ring of CSupport/include/apus_spsc.h and CSupport/apus_spsc.c.
 *
 * One producer hands RECORDS records to one consumer through CAPACITY slots; the producer drops none, it tries
 * again when it is refused. Checked: each record arrives once, whole and in order; no slot is written before its
 * last record has been read (as a data race, so the orders are checked, not only the indexes); a full ring
 * refuses and only a full one does; the high-water mark keeps its promise; both threads come to their end.
 *
 * The words: SEQUENCE(s) is slots[s].sequence, HEAD is head; payload[s] is plain memory. tail, head_seen and
 * look_limit are the producer's own (others read tail for statistics only, and nothing relies on that).
 *
 * Mutations, each of which must fail: see MUTATIONS in tools/models and the #ifdefs here.
 */
#ifndef CAPACITY
#define CAPACITY 2
#endif
#ifndef RECORDS
#define RECORDS 5
#endif
#ifndef FIRST_LIMIT
#define FIRST_LIMIT 1 /* look_limit of apus_spsc_place */
#endif

#define SEQUENCE(s) (s)
#define HEAD CAPACITY
#define WORDS (CAPACITY + 1)
#define PLAIN CAPACITY
#define VALUES (RECORDS + 1)
#define THREADS 2
#include "memory.pml"

#define PRODUCER 0
#define CONSUMER 1

#ifdef PUBLISH_RELAXED
#define PUBLISH_ORDER RELAXED
#else
#define PUBLISH_ORDER RELEASE
#endif
#ifdef FRONT_RELAXED
#define FRONT_ORDER RELAXED
#else
#define FRONT_ORDER ACQUIRE
#endif
#ifdef RELEASE_RELAXED
#define RELEASE_ORDER RELAXED
#else
#define RELEASE_ORDER RELEASE
#endif
#ifdef LOOK_RELAXED
#define LOOK_ORDER RELAXED
#else
#define LOOK_ORDER ACQUIRE
#endif
#ifdef FULL_OFF_BY_ONE
#define IS_FULL(depth) (depth > CAPACITY)
#else
#define IS_FULL(depth) (depth >= CAPACITY)
#endif
#ifdef FRONT_ANY_LAP
#define IS_THERE(sequence, head) (sequence != 0)
#else
#define IS_THERE(sequence, head) (sequence == head + 1)
#endif
#ifdef LIMIT_TOO_HIGH
#define NEXT_LIMIT(depth) (depth + 2)
#else
#define NEXT_LIMIT(depth) (depth + 1)
#endif

/* What has really happened, for the assertions. */
byte published, taken, released;

active proctype producer()
{
    byte tail, head_seen, depth;
    byte look_limit = FIRST_LIMIT;
    byte high_water;
    bool refused; /* the last look found the ring full */
    do
    :: tail < RECORDS ->
        /* apus_spsc_claim: if (tail - head_seen >= look_limit) apus_spsc_look */
        if
        :: tail - head_seen >= look_limit ->
            /* apus_spsc_look: head_seen = load(head, acquire) */
            if
            :: refused -> load_newer(PRODUCER, HEAD, LOOK_ORDER, head_seen)
            :: else -> load(PRODUCER, HEAD, LOOK_ORDER, head_seen)
            fi;
            d_step {
                depth = tail - head_seen;
                if
                :: IS_FULL(depth) ->
                    refused = true;
                    high_water = CAPACITY;
                    assert(depth == CAPACITY) /* only a full ring refuses */
                :: else ->
                    refused = false;
                    if
                    :: depth + 1 > high_water -> high_water = depth + 1
                    :: else
                    fi;
                    if
                    :: depth >= look_limit -> look_limit = NEXT_LIMIT(depth)
                    :: else
                    fi
                fi;
                depth = 0
            }
        :: else -> refused = false
        fi;
        if
        :: refused
        :: else ->
            d_step {
                assert(tail - released < CAPACITY); /* a full ring was not taken for one with room */
                /* high_water: exact above the first limit, a bound below it */
                assert(tail + 1 - released <= high_water || tail + 1 - released <= FIRST_LIMIT)
            }
#ifdef SEQUENCE_FIRST
            published = tail + 1;
            store(PRODUCER, SEQUENCE(tail % CAPACITY), PUBLISH_ORDER, tail + 1);
            plain_write(PRODUCER, tail % CAPACITY, tail + 1);
#else
            /* the caller fills the payload */
            plain_write(PRODUCER, tail % CAPACITY, tail + 1);
            /* apus_spsc_publish: store(slot->sequence, tail + 1, release) */
            atomic {
                published = tail + 1;
                store(PRODUCER, SEQUENCE(tail % CAPACITY), PUBLISH_ORDER, tail + 1)
            }
#endif
            tail++
        fi
    :: else -> break
    od
}

active proctype consumer()
{
    byte head, sequence, record;
    bool tried; /* apus_spsc_front has found nothing yet for this head */
    do
    :: head < RECORDS ->
        /* apus_spsc_front: load(slot->sequence, acquire) != head + 1: empty */
        if
        :: tried -> load_newer(CONSUMER, SEQUENCE(head % CAPACITY), FRONT_ORDER, sequence)
        :: else -> load(CONSUMER, SEQUENCE(head % CAPACITY), FRONT_ORDER, sequence)
        fi;
        if
        :: IS_THERE(sequence, head) ->
            tried = false;
            sequence = 0;
#ifdef RELEASE_BEFORE_READ
            atomic {
                released = head + 1;
                store(CONSUMER, HEAD, RELEASE_ORDER, head + 1)
            }
#endif
            plain_read(CONSUMER, head % CAPACITY, record);
            d_step {
                assert(record == head + 1); /* not lost, repeated, reordered */
                assert(record <= published);
                taken = record;
                record = 0
            }
#ifndef RELEASE_BEFORE_READ
            /* apus_spsc_release: store(head, head + 1, release) */
            atomic {
                released = head + 1;
                store(CONSUMER, HEAD, RELEASE_ORDER, head + 1)
            }
#endif
            head++
        :: else ->
            sequence = 0;
            tried = true
        fi
    :: else -> break
    od;
    assert(taken == RECORDS)
}
