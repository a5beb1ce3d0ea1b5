/* apus_crc32c.h: CRC-32C (Castagnoli), the check of journal records and file headers.
 *
 * Polynomial 0x1EDC6F41, reflected, initial value and final xor 0xFFFFFFFF, as in RFC 3720 section
 * 12.1 (iSCSI), whose appendix B.4 has the check values that the tests use.
 *
 * One result, three ways to it, chosen once when the program is loaded: the SSE4.2 instruction in
 * three interleaved streams that a carry-less multiplication joins; the ARMv8 instruction; tables.
 */
#ifndef APUS_CRC32C_H
#define APUS_CRC32C_H

#include "apus_base.h"

#if defined(__clang__)
#define APUS_NO_LOCKS __attribute__((swift_attr("@_noLocks")))
#else
#define APUS_NO_LOCKS
#endif

/* The CRC of `count` bytes, continued from `crc`, which is the CRC of what came before (0 at the
 * start): crc(crc(0, a), b) == crc(0, ab). Any thread. No allocation, no lock. */
APUS_NO_LOCKS uint32_t apus_crc32c(uint32_t crc, const void *APUS_NONNULL data, size_t count);

/* The same by tables alone, whatever the processor. */
uint32_t apus_crc32c_portable(uint32_t crc, const void *APUS_NONNULL data, size_t count);

/* Whether apus_crc32c uses the processor's instruction. */
bool apus_crc32c_is_hardware(void);

#endif
