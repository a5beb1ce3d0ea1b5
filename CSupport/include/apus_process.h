/* apus_process.h: small process matters whose functions Swift's import of the C library does not offer. */
#ifndef APUS_PROCESS_H
#define APUS_PROCESS_H

#include "apus_base.h"

/* Has the kernel send SIGTERM to this process when its parent ends (prctl(2), PR_SET_PDEATHSIG), so that
 * no child outlives a killed parent. 0 or -errno. Cold. */
int apus_die_with_parent(void);

/* Bytes that malloc has handed out and not got back, mapped blocks included (mallinfo2(3)). Any thread. Cold. */
size_t apus_heap_in_use(void);

#endif
