/* apus_process.h: small process matters whose functions Swift's import of the C library does not offer. */
#ifndef APUS_PROCESS_H
#define APUS_PROCESS_H

#include "apus_base.h"

/* Has the kernel send SIGTERM to this process when its parent ends (prctl(2), PR_SET_PDEATHSIG), so that
 * no child outlives a killed parent. 0 or -errno. Cold. */
int apus_die_with_parent(void);

/* Bytes that malloc has handed out and not got back, mapped blocks included (mallinfo2(3)). Any thread. Cold. */
size_t apus_heap_in_use(void);

/* Leaves no core dump of this process behind (R57): RLIMIT_CORE 0, and not dumpable (prctl(2), PR_SET_DUMPABLE), which
 * also keeps other processes of the same user from attaching to it and from reading its memory and its environment.
 * 0 or -errno. Cold. */
int apus_forbid_core_dumps(void);
/* Whether a core dump of this process could be written. Cold. */
bool apus_may_dump_core(void);

/* How this module was compiled: the compiler's own words, whether with optimisation, and the sanitizers in it. */
const char *APUS_NONNULL apus_build_compiler(void);
bool apus_build_is_optimised(void);
const char *APUS_NONNULL apus_build_sanitizer(void); /* "address", "thread", "realtime"; "" without one */

#endif
