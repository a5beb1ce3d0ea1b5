/* apus_peer.h: how a peer is built into the shared library that the table runner opens.
 *
 * A peer does the same work as one row of the table. It gets the row's input, proves with `check` that it comes to
 * the same result, and is then timed round by round between ours and the other peers. The layout of each row's
 * input and the meaning of its check stand beside the row's piece, in Benchmarks/Pieces.
 */
#ifndef APUS_PEER_H
#define APUS_PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a peer is; printed beside its name. */
enum {
    APUS_PEER_LIBRARY = 0,  /* a public library, used as its documentation says */
    APUS_PEER_SYSTEM = 1,   /* the language's or the system's own means */
    APUS_PEER_TEXTBOOK = 2, /* a minimal piece written for this comparison */
};

typedef struct apus_peer_input {
    const void *bytes; /* stays valid until the peer is destroyed */
    size_t count;
    int32_t core, other_core; /* the caller is pinned to `core`; a second thread goes to `other_core` */
} apus_peer_input;

typedef struct apus_peer {
    const char *row; /* key of the row, "decode.ticker" */
    const char *name;
    int32_t kind;
    /* NULL if it cannot be made. */
    void *(*make)(const apus_peer_input *input);
    void (*destroy)(void *state);
    /* Writes the result to be compared with ours, and returns how many numbers it has; NULL if there is nothing
     * to compare. */
    size_t (*check)(void *state, int64_t *out, size_t capacity);
    /* Runs `count` operations and returns the nanoseconds that they took. */
    int64_t (*run)(void *state, uint64_t count);
} apus_peer;

/* The peer at `index`, or NULL past the end. Exported by the shared library. */
const apus_peer *apus_peer_at(size_t index);
typedef const apus_peer *(*apus_peer_lookup)(size_t index);

#ifdef __cplusplus
}
#endif

#endif
