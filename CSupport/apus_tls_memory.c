/* apus_tls_memory.c: keeps OpenSSL from allocating on a lane.
 *
 * OpenSSL 3.0 allocates and frees a block of some 40 bytes for each record that it reads and three for each that
 * it writes (seen with RealtimeSanitizer: CRYPTO_zalloc below SSL_read and SSL_write). Its small blocks are
 * therefore kept by the thread that frees them and given out again there: after the handshake no call of
 * malloc is left, and no lock. Larger blocks go straight to malloc, and are wiped when they are freed: OpenSSL's readers of
 * keys let go of buffers that hold a whole key as they are (3.0: pem2der and der2key).
 */
#define _GNU_SOURCE
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_BYTES 64
/* Blocks that a thread keeps at most. A record needs up to three at once. */
#define KEPT_BLOCKS 32

/* Before each block. 16 bytes, so that what follows is aligned as malloc's memory is. */
typedef struct header {
    size_t size;
    struct header *next;
} header;
_Static_assert(sizeof(header) == 16, "keeps the alignment of malloc");

typedef struct {
    header *first;
    unsigned count;
    int is_known; /* the thread's end will be told */
} kept_blocks;

static _Thread_local kept_blocks kept;
static pthread_key_t at_thread_end;

static void let_go(void *argument)
{
    kept_blocks *blocks = argument;
    while (blocks->first != NULL) {
        header *block = blocks->first;
        blocks->first = block->next;
        free(block);
    }
    blocks->count = 0;
    blocks->is_known = 0;
}

static void *tls_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size == 0 || size > SIZE_MAX / 2) {
        return NULL;
    }
    header *block;
    if (size <= SMALL_BYTES) {
        size = SMALL_BYTES;
        block = kept.first;
        if (block != NULL) {
            kept.first = block->next;
            kept.count--;
            return block + 1;
        }
    }
    block = malloc(sizeof *block + size);
    if (block == NULL) {
        return NULL;
    }
    block->size = size;
    return block + 1;
}

static void tls_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    if (memory == NULL) {
        return;
    }
    header *block = (header *)memory - 1;
    if (block->size != SMALL_BYTES) {
        explicit_bzero(memory, block->size);
        free(block);
        return;
    }
    if (kept.count == KEPT_BLOCKS) {
        free(block);
        return;
    }
    if (!kept.is_known) {
        if (pthread_setspecific(at_thread_end, &kept) != 0) {
            free(block);
            return;
        }
        kept.is_known = 1;
    }
    block->next = kept.first;
    kept.first = block;
    kept.count++;
}

static void *tls_realloc(void *memory, size_t size, const char *file, int line)
{
    if (memory == NULL) {
        return tls_malloc(size, file, line);
    }
    if (size == 0) {
        tls_free(memory, file, line);
        return NULL;
    }
    header *block = (header *)memory - 1;
    if (size <= block->size) {
        return memory;
    }
    void *larger = tls_malloc(size, file, line);
    if (larger != NULL) {
        memcpy(larger, memory, block->size);
        tls_free(memory, file, line);
    }
    return larger;
}

/* Before main: OpenSSL takes other functions only as long as it has allocated nothing. If the program that Apus
 * is part of has been faster, it keeps its own, and TLS allocates as it does without us. */
__attribute__((constructor)) static void install(void)
{
    if (pthread_key_create(&at_thread_end, let_go) == 0) {
        (void)CRYPTO_set_mem_functions(tls_malloc, tls_realloc, tls_free);
    }
}
