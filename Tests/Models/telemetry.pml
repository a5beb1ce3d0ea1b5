/* telemetry.pml: the sequence lock of CSupport/include/apus_telemetry.h and CSupport/apus_telemetry.c, in its
 * hardest use, the control page: requesters write the text one after the other (a file lock makes them take turns),
 * any of them may be killed half-way, the engine polls the stop word and then reads the text, and a monitor reads
 * at any time. An instrument or a state of a lane is the same with one writer that goes on living.
 *
 * Checked: what a read accepts is the text of one request, whole; accepted texts never go back to an older one; who
 * sees a stop word finds its text, or a later one; a requester that died costs nobody more than a refused read; the
 * writers never wait for readers.
 *
 * At the end the requests are taken back, which re-arms: who sees the re-arming sees no level from before it.
 *
 * The words: SEQUENCE, TEXT(0) and TEXT(1) (a text of two words; request k writes k into both), LEVEL is stop_level,
 * REARM rearm_count. The text of the taking back is as that of any request, and is left out.
 */
#ifndef REQUESTS
#define REQUESTS 3
#endif
#ifndef READS
#define READS 2 /* attempts of each reader */
#endif

#define SEQUENCE 0
#define TEXT(i) (1 + i)
#define LEVEL 3
#define REARM 4
#define WORDS 5
#define PLAIN 0
#define VALUES (2 * REQUESTS + 1)
#define THREADS 3
#include "memory.pml"

/* Requesters take turns by fcntl: each sees all that the one before did, so they are one thread here. */
#define REQUESTER 0
#define ENGINE 1
#define MONITOR 2

#ifdef END_RELAXED
#define END_ORDER RELAXED
#else
#define END_ORDER RELEASE
#endif
#ifdef BEGIN_READ_RELAXED
#define BEGIN_READ_ORDER RELAXED
#else
#define BEGIN_READ_ORDER ACQUIRE
#endif
#ifdef LEVEL_RELAXED
#define LEVEL_ORDER RELAXED
#else
#define LEVEL_ORDER RELEASE
#endif

#ifdef REARM_RELAXED
#define REARM_ORDER RELAXED
#else
#define REARM_ORDER RELEASE
#endif
#ifdef REARM_READ_RELAXED
#define REARM_READ_ORDER RELAXED
#else
#define REARM_READ_ORDER ACQUIRE
#endif

byte whole[2 * REQUESTS + 2]; /* the request that the even sequence stands for */
byte finished[REQUESTS + 1];  /* the sequence at which the text of a request was complete */

/* write_request */
active proctype requester()
{
    byte request, sequence;
    do
    :: request < REQUESTS ->
        request++;
#ifdef DEAD_REQUESTER_PASSED_OVER
        /* As it was once: the odd sequence of a dead requester made even before the new text is there. */
        if
        :: sequence % 2 == 1 ->
            sequence++;
            store(REQUESTER, SEQUENCE, RELAXED, sequence)
        :: else
        fi;
#endif
        /* apus_telemetry_begin, or the odd sequence that a dead requester left */
        if
        :: sequence % 2 == 0 ->
            sequence++;
#ifndef NO_ODD_SEQUENCE
            store(REQUESTER, SEQUENCE, RELAXED, sequence)
#endif
        :: else
        fi;
#ifndef NO_RELEASE_FENCE
        release_fence(REQUESTER);
#endif
        /* store_words */
        store(REQUESTER, TEXT(0), RELAXED, request);
        if
        :: request < REQUESTS -> goto killed
        :: true
        fi;
        store(REQUESTER, TEXT(1), RELAXED, request);
        /* apus_telemetry_end */
        d_step {
            sequence++;
            whole[sequence] = request;
            finished[request] = sequence;
            add(REQUESTER, SEQUENCE, END_ORDER, sequence)
        }
        /* store(stop_level, level, release) */
        store(REQUESTER, LEVEL, LEVEL_ORDER, request);
killed: skip
    :: else -> break
    od;
    /* apus_telemetry_clear_stop */
#ifdef REARM_FIRST
    store(REQUESTER, REARM, REARM_ORDER, 1);
    store(REQUESTER, LEVEL, LEVEL_ORDER, 0)
#else
    store(REQUESTER, LEVEL, LEVEL_ORDER, 0);
    store(REQUESTER, REARM, REARM_ORDER, 1)
#endif
}

/* apus_telemetry_read_stop, one attempt; `accepted` is the newest text that this reader has accepted. */
inline read_text(me, begun, first, second, again, accepted, ok, least)
{
    ok = false;
    load(me, SEQUENCE, BEGIN_READ_ORDER, begun);
    assert(begun >= least); /* a stop word never comes before the end of its text */
    load(me, TEXT(0), RELAXED, first);
    load(me, TEXT(1), RELAXED, second);
#ifndef NO_ACQUIRE_FENCE
    acquire_fence(me);
#endif
    load(me, SEQUENCE, RELAXED, again);
#ifdef ODD_ACCEPTED
    if
    :: begun == again ->
#else
    if
    :: begun == again && begun % 2 == 0 ->
#endif
        d_step {
            assert(first == second);        /* of one request */
            assert(first == whole[begun]);  /* and of the one that the sequence stands for */
            assert(first >= accepted);      /* not back to an older one */
            accepted = first;
            ok = true
        }
    :: else
    fi;
    atomic { begun = 0; again = 0; second = 0; first = 0 }
}

active proctype monitor()
{
    byte read, begun, first, second, again, accepted;
    bool ok;
    do
    :: read < READS ->
        read++;
        read_text(MONITOR, begun, first, second, again, accepted, ok, 0);
        ok = false
    :: else -> break
    od
}

/* apus_telemetry_control_word in each turn; once it says something, apus_telemetry_read_stop. */
active proctype engine()
{
    byte read, begun, first, second, again, accepted, level, rearmed;
    bool ok;
#ifdef LEVEL_READ_FIRST
    load(ENGINE, LEVEL, ACQUIRE, level);
    load(ENGINE, REARM, REARM_READ_ORDER, rearmed);
#else
    load(ENGINE, REARM, REARM_READ_ORDER, rearmed);
    load(ENGINE, LEVEL, ACQUIRE, level);
#endif
    assert(rearmed == 0 || level == 0); /* a re-arming never comes with the level that it has ended */
    do
    :: level > 0 && read < READS ->
        read++;
        read_text(ENGINE, begun, first, second, again, accepted, ok, finished[level]);
        assert(!ok || accepted >= level)
    :: else -> break
    od
}
