/* clock.pml: the clock of CSupport/include/apus_clock.h and CSupport/apus_clock.c, from a refit's publication to a
 * reading.
 *
 * One thread (fit_lock) publishes fits 2 ... FITS, each with its changeover LEAD ticks ahead; a reader takes readings.
 * Ticks go on by themselves.
 *
 * Checked: a reading uses the words of one fit, never of two; the fit it uses is the one in force at its tick: not an
 * older one after the changeover of a newer, and none before the changeover of the fit before it, so that all
 * readers draw the same line, and with it time that never runs backwards, also from thread to thread; readers never
 * wait for the writer: an attempt is repeated only because a fit was published.
 *
 * One assumption about the machine, next to the memory model: a store is seen by all within the lead (5 ms). Hence
 * a tick at or past the changeover is read only by a thread that sees the fit's version. apus_clock_refit keeps its
 * side: it chooses anew if it was off its core for half of the lead (the `do ... while` round prepare).
 * With ORDERS_ONLY the assumption is dropped: a reading must then still use one fit's words, by the fences alone.
 *
 * The words: VERSION; BASE(f) and SLOPE(f) stand for the four words of fits[f]. Each round of prepare writes a
 * number of its own into them.
 */
#ifndef FITS
#define FITS 3
#endif
#ifndef READINGS
#define READINGS 2
#endif
#ifndef LEAD
#define LEAD 1
#endif
#ifndef SLOTS
#define SLOTS 2 /* APUS_CLOCK_FITS */
#endif
#ifndef LATE
#define LATE 1 /* how often in all the writer loses its core for the lead */
#endif
#define LAST_TICK (FITS * (LEAD + 1) + 1)

#define VERSION 0
#define BASE(f) (1 + 2 * (f))
#define SLOPE(f) (2 + 2 * (f))
#define WORDS (1 + 2 * SLOTS)
#define PLAIN 0
#define VALUES (FITS + LATE + 1)
#define THREADS 2
#include "memory.pml"

#define WRITER 0
#define READER 1

#ifdef PUBLISH_RELAXED
#define PUBLISH_ORDER RELAXED
#else
#define PUBLISH_ORDER RELEASE
#endif
#ifdef VERSION_RELAXED
#define VERSION_ORDER RELAXED
#else
#define VERSION_ORDER ACQUIRE
#endif

byte ticks;
byte changeover[FITS + 2]; /* the base of each fit, in ticks */
byte published = 0;        /* fits; the version is the number of the newest */
byte words_of[FITS + 1];   /* what is in the words of each fit */
byte rounds;               /* of prepare */

/* prepare */
inline prepare(fit)
{
#ifndef NO_RELEASE_FENCE
    release_fence(WRITER);
#endif
    d_step { rounds++; words_of[fit] = rounds }
    store(WRITER, BASE(fit % SLOTS), RELAXED, rounds);
    store(WRITER, SLOPE(fit % SLOTS), RELAXED, rounds)
}

/* publish */
inline publish(fit)
{
    d_step {
        published = fit;
        add(WRITER, VERSION, PUBLISH_ORDER, fit)
    }
}

active proctype writer()
{
    byte fit, late;
    /* apus_clock_start: the first line holds at once */
    fit = 1;
    prepare(fit);
    publish(fit);
    do
    :: fit < FITS ->
        /* refit_locked: not before the previous changeover lies behind */
#ifdef REFIT_TOO_EARLY
        fit++;
#else
end_of_time:
        atomic { ticks > changeover[fit]; fit++ }
#endif
#ifdef PUBLISH_FIRST
        atomic { changeover[fit] = ticks + LEAD; publish(fit) }
        prepare(fit);
#else
        do
        :: true ->
            changeover[fit] = ticks + LEAD;
            prepare(fit);
            /* while (base_ticks - ticks < ahead / 2): off the core for too long, choose anew */
end_late:   atomic {
                if
#ifndef NO_SECOND_CHOICE
                :: ticks >= changeover[fit] && late < LATE -> late++
                :: ticks < changeover[fit] -> publish(fit); goto done
#else
                :: true -> publish(fit); goto done
#endif
                fi
            }
        od;
done:   skip
#endif
    :: else -> break
    od
}

/* apus_clock_now_ns */
active proctype reader()
{
    byte reading, version, base, slope, tick, again;
    do
    :: reading < READINGS ->
        reading++;
        do
        :: true ->
            load(READER, VERSION, VERSION_ORDER, version);
            if
            :: version == 0 -> break /* the system's clock */
            :: else
            fi;
            load(READER, BASE(version % SLOTS), RELAXED, base);
            load(READER, SLOPE(version % SLOTS), RELAXED, slope);
            /* apus_clock_ticks; see the assumption above */
            d_step {
                tick = ticks;
                again = published;
                do
                :: again > 0 && changeover[again] > tick -> again--
                :: else -> break
                od;
                if
#ifndef ORDERS_ONLY
                :: thread[READER].now.at[VERSION] < again -> thread[READER].now.at[VERSION] = again
#endif
                :: else
                fi;
                again = 0
            }
#ifndef NO_ACQUIRE_FENCE
            acquire_fence(READER);
#endif
            load(READER, VERSION, RELAXED, again);
#ifdef NO_SECOND_LOOK
            again = version;
#endif
            if
            :: again == version ->
                d_step {
                    assert(base == words_of[version] && slope == base); /* one fit's words */
#ifndef ORDERS_ONLY
                    /* no newer fit is in force at this tick */
                    assert(version == FITS || published == version || tick < changeover[version + 1]);
                    /* and not before the line from which this fit departs begins */
                    assert(version < 2 || tick >= changeover[version - 1])
#endif
                }
progress_read:  break
            :: else
            fi
        od;
        atomic { version = 0; base = 0; slope = 0; tick = 0; again = 0 }
    :: else -> break
    od
}

active proctype time()
{
    do
    :: ticks < LAST_TICK -> ticks++
    :: else -> break
    od
}
