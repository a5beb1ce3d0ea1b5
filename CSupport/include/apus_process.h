/* apus_process.h: small process matters that Swift cannot call itself (variadic functions). */
#ifndef APUS_PROCESS_H
#define APUS_PROCESS_H

#include "apus_base.h"

/* Has the kernel send SIGTERM to this process when its parent ends (prctl(2), PR_SET_PDEATHSIG), so that
 * no child outlives a killed parent. 0 or -errno. Cold. */
int apus_die_with_parent(void);

#endif
