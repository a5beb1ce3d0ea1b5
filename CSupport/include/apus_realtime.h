/* apus_realtime.h: tells RealtimeSanitizer where a lane runs. Empty functions in every other build.
 *
 * In a build with -fsanitize=realtime the first allocation, lock or blocking call between enter and exit ends
 * the process with its stack. Depths are counted, per thread: pairs may be nested. In the .c file, so that C
 * and Swift share one definition whatever flags compile the caller.
 */
#ifndef APUS_REALTIME_H
#define APUS_REALTIME_H

#include "apus_base.h"

#if defined(__clang__)
/* May be called from Swift's @_noLocks functions. */
#define APUS_REALTIME_CALL __attribute__((swift_attr("@_noLocks")))
#else
#define APUS_REALTIME_CALL
#endif

/* True in a build that checks. */
APUS_REALTIME_CALL bool apus_realtime_is_checked(void);

/* From here to the matching exit this thread must not allocate, lock or block. */
APUS_REALTIME_CALL void apus_realtime_enter(void);
APUS_REALTIME_CALL void apus_realtime_exit(void);

/* What follows, up to the matching end, is let through: a system call that does not block, or the cold work
 * of a connection that is made or lost. */
APUS_REALTIME_CALL void apus_realtime_allow_begin(void);
APUS_REALTIME_CALL void apus_realtime_allow_end(void);

#endif
