#include "apus_crc32c.h"

#define POLYNOMIAL 0x82F63B78u /* 0x1EDC6F41 with its bits reversed */

/* tables[k][b]: what byte b does to the register when k zero bytes follow it. */
static uint32_t tables[8][256];

static uint32_t shift_bit(uint32_t value)
{
    return (value >> 1) ^ ((value & 1u) != 0 ? POLYNOMIAL : 0u);
}

/* Works before the tables exist, that is, from another module's constructor. */
static uint32_t update_bitwise(uint32_t state, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        state ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            state = shift_bit(state);
        }
    }
    return state;
}

static uint32_t update_tables(uint32_t state, const uint8_t *bytes, size_t count)
{
    while (count >= 8) {
        uint32_t low = state ^ ((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                                (uint32_t)bytes[3] << 24);
        state = tables[7][low & 0xFF] ^ tables[6][(low >> 8) & 0xFF] ^ tables[5][(low >> 16) & 0xFF] ^
                tables[4][low >> 24] ^ tables[3][bytes[4]] ^ tables[2][bytes[5]] ^ tables[1][bytes[6]] ^
                tables[0][bytes[7]];
        bytes += 8;
        count -= 8;
    }
    while (count > 0) {
        state = (state >> 8) ^ tables[0][(state ^ *bytes) & 0xFF];
        bytes += 1;
        count -= 1;
    }
    return state;
}

#if defined(__x86_64__)

#include <nmmintrin.h>
#include <wmmintrin.h>

#define STREAM_WORDS_MAX 256 /* one round takes three streams of at most this many words */

/* shifts[n]: x^(64 n - 33) mod P. The product with a register, run through the instruction,
 * advances that register over n zero words: the instruction adds x^32, the reflected product x. */
static uint32_t shifts[2 * STREAM_WORDS_MAX + 1];

static inline uint64_t load_word(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* The instruction takes a result every cycle but needs three to make one: a single chain would
 * leave two thirds of it idle. */
__attribute__((target("sse4.2,pclmul"))) static uint32_t update_hardware(uint32_t state, const uint8_t *bytes,
                                                                         size_t count)
{
    while (count >= 192) {
        size_t words = count / 24;
        if (words > STREAM_WORDS_MAX) {
            words = STREAM_WORDS_MAX;
        }
        const uint8_t *second = bytes + words * 8, *third = second + words * 8;
        uint64_t a = state, b = 0, c = 0;
        for (size_t i = 0; i < words; i++) {
            a = _mm_crc32_u64(a, load_word(bytes + i * 8));
            b = _mm_crc32_u64(b, load_word(second + i * 8));
            c = _mm_crc32_u64(c, load_word(third + i * 8));
        }
        const __m128i a_moved =
            _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)a), _mm_cvtsi32_si128((int)shifts[2 * words]), 0);
        const __m128i b_moved =
            _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)b), _mm_cvtsi32_si128((int)shifts[words]), 0);
        const uint64_t joined = (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(a_moved, b_moved));
        state = (uint32_t)(_mm_crc32_u64(0, joined) ^ c);
        bytes = third + words * 8;
        count -= words * 24;
    }
    uint64_t chain = state;
    while (count >= 8) {
        chain = _mm_crc32_u64(chain, load_word(bytes));
        bytes += 8;
        count -= 8;
    }
    state = (uint32_t)chain;
    if ((count & 4) != 0) {
        uint32_t word;
        memcpy(&word, bytes, sizeof word);
        state = _mm_crc32_u32(state, word);
        bytes += 4;
    }
    if ((count & 2) != 0) {
        uint16_t word;
        memcpy(&word, bytes, sizeof word);
        state = _mm_crc32_u16(state, word);
        bytes += 2;
    }
    return (count & 1) != 0 ? _mm_crc32_u8(state, *bytes) : state;
}

static void prepare_shifts(void)
{
    shifts[1] = 1; /* x^31: the register's lowest bit */
    for (size_t n = 2; n <= 2 * STREAM_WORDS_MAX; n++) {
        const uint8_t zeros[8] = {0};
        shifts[n] = update_tables(shifts[n - 1], zeros, sizeof zeros);
    }
}

static bool has_hardware(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

#elif defined(__aarch64__) && defined(__linux__)

#include <arm_acle.h>
#include <sys/auxv.h>

#define HWCAP_BIT_CRC32 (1ul << 7) /* HWCAP_CRC32 of asm/hwcap.h */

__attribute__((target("crc"))) static uint32_t update_hardware(uint32_t state, const uint8_t *bytes, size_t count)
{
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        state = __crc32cd(state, word);
        bytes += 8;
        count -= 8;
    }
    while (count > 0) {
        state = __crc32cb(state, *bytes);
        bytes += 1;
        count -= 1;
    }
    return state;
}

static void prepare_shifts(void)
{
}

static bool has_hardware(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_BIT_CRC32) != 0;
}

#else

#define update_hardware update_tables

static void prepare_shifts(void)
{
}

static bool has_hardware(void)
{
    return false;
}

#endif

typedef uint32_t (*update_function)(uint32_t state, const uint8_t *bytes, size_t count);

/* Written before main, read by every thread after. */
static update_function update = update_bitwise;
static update_function update_without_hardware = update_bitwise;

__attribute__((constructor)) static void choose(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        const uint8_t one = (uint8_t)byte;
        tables[0][byte] = update_bitwise(0, &one, 1);
    }
    for (int k = 1; k < 8; k++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            const uint32_t before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
        }
    }
    prepare_shifts();
    update_without_hardware = update_tables;
    update = has_hardware() ? update_hardware : update_tables;
}

uint32_t apus_crc32c(uint32_t crc, const void *data, size_t count)
{
    return ~update(~crc, data, count);
}

uint32_t apus_crc32c_portable(uint32_t crc, const void *data, size_t count)
{
    return ~update_without_hardware(~crc, data, count);
}

bool apus_crc32c_is_hardware(void)
{
    return update != update_tables && update != update_bitwise;
}
