/* bucket.pml: the shared token bucket of CSupport/include/apus_bucket.h and CSupport/apus_bucket.c.
 *
 * TAKERS threads take one or two tokens at a time, TAKES times each, at any times that their callers may pass,
 * also such as step back. One more thread makes CHANGES changes of the rate or calls of apus_shared_bucket_lower,
 * and LOWERS says how many further threads only lower, once each. Times and rates are small integers; that is
 * enough, since the code compares and adds only.
 *
 * Checked: the bucket is linearizable. Beside it runs a bucket that takes, lowers and changes in one step (the
 * `true_` variables and apus_bucket_try_take_keeping of the one-writer form); at each exchange that succeeds the
 * two agree, the judgement included: nothing is granted that it would not grant, under the rate that is in force.
 * With one rate also the promise itself: in any window of T at most capacity + T / interval tokens; and no refusal
 * without cause. An attempt is repeated only because another one succeeded: the state space has no cycle
 * without a success (pan -l).
 *
 * The words: FULL_AT, RATE and AHEAD are the members of apus_shared_bucket. A weak exchange that fails
 * without a cause leads back to the load with nothing changed, so it adds no behaviour and is left out.
 */
#ifndef TAKERS
#define TAKERS 2
#endif
#ifndef TAKES
#define TAKES 2
#endif
#ifndef CHANGES
#define CHANGES 0
#endif
#ifndef LOWERS
#define LOWERS 0
#endif
#ifndef LATEST
#define LATEST 3 /* times are 0 ... LATEST */
#endif
#ifndef RATES
#define RATES 3
#endif

#define FULL_AT 0
#define RATE 1
#define AHEAD 2
#define WORDS 3
#define PLAIN 0
#define VALUES (1 + TAKERS * TAKES + LOWERS + 2 * CHANGES)
#define THREADS (TAKERS + LOWERS + 1)
#include "memory.pml"

#define CHANGER (TAKERS + LOWERS)
#define CHANGING 255

/* Rate r: tokens and the time for one. */
#define CAPACITY(r) ((r) == 0 -> 2 : ((r) == 1 -> 3 : 1))
#define INTERVAL(r) ((r) == 0 -> 2 : ((r) == 1 -> 1 : 3))

#ifdef TAKE_STATE_RELAXED
#define TAKE_ORDER RELAXED
#else
#define TAKE_ORDER ACQUIRE
#endif
#ifdef CHANGE_STATE_RELAXED
#define CHANGE_ORDER RELAXED
#else
#define CHANGE_ORDER RELEASE
#endif
#ifdef LIMIT_OFF_BY_ONE
#define LIMIT(r, wanted) ((CAPACITY(r) + 1 - wanted) * INTERVAL(r))
#else
#define LIMIT(r, wanted) ((CAPACITY(r) - wanted) * INTERVAL(r))
#endif

/* The bucket that does everything in one step. */
short true_full_at;
byte true_rate, true_ahead;
bool true_changing;
byte admitted[LATEST + 1]; /* tokens by the time that was passed, for one rate */
byte changes_begun;

hidden byte from, to, sum;
inline check_windows()
{
    from = 0;
    do
    :: from <= LATEST ->
        to = from;
        sum = 0;
        do
        :: to <= LATEST ->
            sum = sum + admitted[to];
            assert(sum <= CAPACITY(0) + (to - from) / INTERVAL(0));
            to++
        :: else -> break
        od;
        from++
    :: else -> break
    od;
    from = 0;
    to = 0;
    sum = 0
}

inline any_time(now)
{
    now = 0;
    do
    :: now < LATEST -> now++
    :: break
    od
}

#define LATER(a, b) ((a) > (b) -> (a) : (b))

/* apus_shared_bucket_try_take_keeping */
proctype taker(byte me)
{
    byte take, n, now, rate, ahead;
    short full_at, base;
    do
    :: take < TAKES ->
        atomic {
            any_time(now);
            if
            :: n = 1
            :: n = 2
            fi;
            take++
        }
        do
        :: true ->
            load(me, FULL_AT, TAKE_ORDER, full_at);
            load(me, RATE, ACQUIRE, rate);
            load(me, AHEAD, ACQUIRE, ahead);
            if
            :: n > CAPACITY(rate) -> break /* NEVER */
            :: else
            fi;
            base = LATER(full_at, now + ahead);
            if
            :: base - now - ahead > LIMIT(rate, n) ->
                /* NOT_YET; with one rate and no lowering ahead of time it is so for everybody */
                assert(changes_begun > 0 || LATER(true_full_at, now) - now > (CAPACITY(0) - n) * INTERVAL(0));
                break
            :: else
            fi;
            /* compare_exchange(full_at, base + n * interval, relaxed) */
#ifdef EXCHANGE_AS_STORE
            if
            :: atomic { NEWEST(FULL_AT) == full_at -> skip }
            :: atomic { NEWEST(FULL_AT) != full_at -> goto again }
            fi;
#endif
            atomic {
                if
#ifdef EXCHANGE_AS_STORE
                :: true ->
#else
                :: NEWEST(FULL_AT) == full_at ->
#endif
                    d_step {
                        see_newest(me, FULL_AT, RELAXED);
                        replace(me, FULL_AT, RELAXED, base + n * INTERVAL(rate));
                        /* The same in one step, under the rate in force. */
                        assert(!true_changing);
                        assert(rate == true_rate && ahead == true_ahead);
                        true_full_at = LATER(true_full_at, now);
                        assert(true_full_at - now <= (CAPACITY(true_rate) - n) * INTERVAL(true_rate));
                        true_full_at = true_full_at + n * INTERVAL(true_rate);
                        assert(true_full_at + true_ahead == base + n * INTERVAL(rate));
#if CHANGES == 0
                        admitted[now] = admitted[now] + n;
                        check_windows()
#endif
                    }
progress_taken:     break
                :: else -> see_newest(me, FULL_AT, RELAXED)
                fi
            }
again:      skip
        od;
        atomic { rate = 0; ahead = 0; full_at = 0; base = 0; n = 0; now = 0 }
    :: else -> break
    od
}

/* apus_shared_bucket_lower: at most `tokens` at `now`. */
inline lower(me, tokens, now, full_at, rate, ahead)
{
    do
    :: true ->
        load(me, FULL_AT, ACQUIRE, full_at);
        if
        :: full_at == CHANGING -> wait_for_newer(me, FULL_AT) /* sched_yield, again */
        :: else ->
            load(me, RATE, ACQUIRE, rate);
            load(me, AHEAD, ACQUIRE, ahead);
            atomic {
                if
#ifdef LOWER_AS_STORE
                :: true ->
#else
                :: NEWEST(FULL_AT) == full_at ->
#endif
                    d_step {
                        see_newest(me, FULL_AT, RELAXED);
                        if
                        :: tokens < CAPACITY(rate) ->
                            full_at = LATER(full_at, now + ahead + (CAPACITY(rate) - tokens) * INTERVAL(rate))
                        :: else
                        fi;
                        replace(me, FULL_AT, RELAXED, full_at);
                        assert(!true_changing && rate == true_rate && ahead == true_ahead);
                        if
                        :: tokens < CAPACITY(true_rate) ->
                            true_full_at =
                                LATER(true_full_at, now + (CAPACITY(true_rate) - tokens) * INTERVAL(true_rate))
                        :: else
                        fi;
                        assert(true_full_at + true_ahead == full_at)
                    }
progress_lowered:   break
                :: else -> see_newest(me, FULL_AT, RELAXED)
                fi
            }
        fi
    od;
    atomic { full_at = 0; rate = 0; ahead = 0 }
}

proctype lowerer(byte me)
{
    byte now, rate, ahead, tokens;
    short full_at;
    atomic {
        any_time(now);
        if
        :: tokens = 0
        :: tokens = 1
        fi
    }
    lower(me, tokens, now, full_at, rate, ahead)
}

hidden short owed;
/* out = apus_bucket_carried(full_at_ns, rate, next, now_ns) */
inline carried(old_full, old_rate, new_rate, at, out)
{
    owed = old_full - at;
    if
    :: owed <= 0 -> owed = 0
    :: owed >= CAPACITY(old_rate) * INTERVAL(old_rate) -> owed = CAPACITY(old_rate)
    :: else -> owed = (owed + INTERVAL(old_rate) - 1) / INTERVAL(old_rate)
    fi;
    if
    :: owed > CAPACITY(new_rate) -> owed = CAPACITY(new_rate)
    :: else
    fi;
    out = at + owed * INTERVAL(new_rate);
    owed = 0
}

/* apus_shared_bucket_reconfigure, one thread */
proctype changer()
{
    byte change, now, rate, ahead, next;
    short stored, full_at;
    do
    :: change < CHANGES ->
        atomic {
            any_time(now);
            next = 0;
            do
            :: next < RATES - 1 -> next++
            :: break
            od;
            change++;
            changes_begun = change
        }
#ifdef RATE_FIRST
        store(CHANGER, RATE, RELEASE, next);
#endif
        /* exchange(full_at, CHANGING, acq_rel) */
#ifdef NO_CHANGING
        d_step { see_newest(CHANGER, FULL_AT, ACQUIRE); stored = NEWEST(FULL_AT) }
#else
        d_step {
            see_newest(CHANGER, FULL_AT, ACQUIRE);
            stored = NEWEST(FULL_AT);
            replace(CHANGER, FULL_AT, RELEASE, CHANGING);
            assert(stored - ahead == true_full_at);
            true_changing = true
        }
#endif
        d_step {
            carried(stored - ahead, rate, next, now, full_at);
            rate = next;
            next = 0;
            now = 0;
            /* ahead_ns: the stored state never returns to a value that it has had */
#ifdef STATE_MAY_RETURN
            ahead = 0;
#else
            ahead = LATER(0, stored + 1 - full_at);
#endif
            stored = 0
        }
#ifndef RATE_FIRST
        store(CHANGER, RATE, RELEASE, rate);
#endif
        store(CHANGER, AHEAD, RELEASE, ahead);
        d_step {
            add(CHANGER, FULL_AT, CHANGE_ORDER, full_at + ahead);
            true_changing = false;
            true_full_at = full_at; /* carried() from the true one: the exchange was its moment */
            true_rate = rate;
            true_ahead = ahead;
            full_at = 0
        }
progress_changed: skip
    :: else -> break
    od
}

init {
    byte i;
    atomic {
        do
        :: i < TAKERS -> run taker(i); i++
        :: i >= TAKERS && i < TAKERS + LOWERS -> run lowerer(i); i++
        :: else -> break
        od;
        i = 0;
#if CHANGES > 0
        run changer()
#endif
    }
}
