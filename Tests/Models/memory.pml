/* memory.pml: the memory of C11 as Spin can see it; included by the models beside it.
 *
 * Plain Promela has one memory in which every store is seen by everybody at once. Real ones do not, so here
 * nothing is overwritten. Each atomic word keeps all values that were ever stored to it, in their order, and each
 * thread has a view: for each word the oldest value that it may still read.
 *
 *   a load           takes any value that is not older than the view, also an old one; the view moves up to it
 *   a relaxed store  adds a value; others may come to see it late, and in any order with stores to other words
 *   release          the value carries the view that its writer had
 *   acquire          who reads the value joins the view that it carries to its own
 *   release fence    later relaxed stores carry the view that the thread has at the fence
 *   acquire fence    joins the views of what was loaded relaxed before it
 *   read-modify-write reads the newest value, and passes on the view that this carries (release sequence)
 *
 * That is the view semantics of release, acquire and relaxed accesses: C11 as repaired by RC11 (Lahav et al.,
 * 2017), without sequentially consistent accesses, of which the code has none. What it leaves out: a store that
 * is seen before a load that precedes it in the program (load buffering). Stores to a word are added at its end,
 * which is all there is while a word has one writer at a time or is changed by read-modify-writes.
 *
 * Plain (not atomic) memory: its reads and writes are counted, and the counts are part of every view. An access
 * that does not know of all conflicting accesses before it is a data race, and a failed assertion.
 *
 * A model defines, before it includes this file: WORDS (atomic), PLAIN (words that are not), VALUES (stored to
 * one word at most, the first included), THREADS. All words hold 0 at first.
 */

#define RELAXED 0
#define ACQUIRE 1
#define RELEASE 1

#define ENTRIES (WORDS + 2 * PLAIN)
#define WRITES_OF(p) (WORDS + 2 * (p))
#define READS_OF(p) (WORDS + 2 * (p) + 1)

typedef View { byte at[ENTRIES] }
typedef Value { byte is; View carries }
typedef Word { byte newest; Value nth[VALUES] }
/* now: may be relied on; loaded: what an acquire fence would add; fenced: what a relaxed store carries. */
typedef Thread { View now; View loaded; View fenced }

Word word[WORDS];
Thread thread[THREADS];
byte plain_value[PLAIN + 1];
byte plain_count[ENTRIES + 1]; /* of the accesses, by their entry in the views */
byte picked;
hidden byte entry;

inline join(into, from)
{
    entry = 0;
    do
    :: entry < ENTRIES ->
        if
        :: into.at[entry] < from.at[entry] -> into.at[entry] = from.at[entry]
        :: else
        fi;
        entry++
    :: else -> break
    od;
    entry = 0
}

/* Reads value number `number` of a word. */
inline see(me, w, number, order)
{
    thread[me].now.at[w] = number;
    join(thread[me].loaded, word[w].nth[number].carries);
    if
    :: order == ACQUIRE -> join(thread[me].now, word[w].nth[number].carries)
    :: else
    fi
}

/* out = any value that the thread may see. */
inline load(me, w, order, out)
{
    atomic {
        picked = thread[me].now.at[w];
        do
        :: picked < word[w].newest -> picked++
        :: break
        od;
        d_step {
            see(me, w, picked, order);
            out = word[w].nth[picked].is;
            picked = 0
        }
    }
}

/* Not older than what is newest now: for a thread that has just tried with an older one. Real memory shows
 * a store after a finite time; waiting for it here also makes a lost one a deadlock that Spin reports. */
inline wait_for_newer(me, w)
{
    thread[me].now.at[w] < word[w].newest
}

/* A load after wait_for_newer: any value but the one that was seen before. */
inline load_newer(me, w, order, out)
{
    atomic {
        wait_for_newer(me, w);
        picked = thread[me].now.at[w] + 1;
        do
        :: picked < word[w].newest -> picked++
        :: break
        od;
        d_step {
            see(me, w, picked, order);
            out = word[w].nth[picked].is;
            picked = 0
        }
    }
}

inline add(me, w, order, what)
{
    assert(word[w].newest + 1 < VALUES); /* else the model needs more VALUES */
    word[w].newest++;
    thread[me].now.at[w] = word[w].newest;
    word[w].nth[word[w].newest].is = what;
    if
    :: order == RELEASE -> join(word[w].nth[word[w].newest].carries, thread[me].now)
    :: else -> join(word[w].nth[word[w].newest].carries, thread[me].fenced)
    fi;
    word[w].nth[word[w].newest].carries.at[w] = word[w].newest
}

inline store(me, w, order, what)
{
    d_step { add(me, w, order, what) }
}

/* The two halves of a read-modify-write; use both within one atomic or d_step. */
inline see_newest(me, w, order)
{
    see(me, w, word[w].newest, order)
}

inline replace(me, w, order, what)
{
    join(word[w].nth[word[w].newest + 1].carries, word[w].nth[word[w].newest].carries);
    add(me, w, order, what)
}
#define NEWEST(w) word[w].nth[word[w].newest].is

inline release_fence(me)
{
    d_step { join(thread[me].fenced, thread[me].now) }
}

inline acquire_fence(me)
{
    d_step { join(thread[me].now, thread[me].loaded) }
}

inline plain_write(me, p, what)
{
    d_step {
        assert(thread[me].now.at[WRITES_OF(p)] == plain_count[WRITES_OF(p)]); /* race: write beside a write */
        assert(thread[me].now.at[READS_OF(p)] == plain_count[READS_OF(p)]);   /* race: write beside a read */
        plain_count[WRITES_OF(p)]++;
        thread[me].now.at[WRITES_OF(p)] = plain_count[WRITES_OF(p)];
        plain_value[p] = what
    }
}

/* One reading thread for each plain word: the count does not tell two of them apart. */
inline plain_read(me, p, out)
{
    d_step {
        assert(thread[me].now.at[WRITES_OF(p)] == plain_count[WRITES_OF(p)]); /* race: read beside a write */
        plain_count[READS_OF(p)]++;
        thread[me].now.at[READS_OF(p)] = plain_count[READS_OF(p)];
        out = plain_value[p]
    }
}
