/* apus_repeat_internal.h: what apus_repeat.c and the kernels share. */
#ifndef APUS_REPEAT_INTERNAL_H
#define APUS_REPEAT_INTERNAL_H

#include "apus_repeat.h"
#include "apus_scan_kernels.h"

APUS_HOT uint32_t apus_repeat_offset(const apus_repeat *APUS_NONNULL repeat, uint32_t block)
{
    return block + 1 == repeat->blocks ? repeat->count - 64 : block * 64;
}

apus_repeat_matcher apus_repeat_avx2;
apus_repeat_matcher apus_repeat_avx512;
apus_repeat_matcher apus_repeat_neon;

#endif
