#include "apus_realtime.h"

#if defined(__has_feature)
#if __has_feature(realtime_sanitizer)
#define APUS_REALTIME_CHECKED 1
#endif
#endif

#if defined(APUS_REALTIME_CHECKED)

/* As the compiler's run-time library exports them (clang's RealtimeSanitizer manual). */
extern void __rtsan_realtime_enter(void);
extern void __rtsan_realtime_exit(void);
extern void __rtsan_disable(void);
extern void __rtsan_enable(void);

bool apus_realtime_is_checked(void) { return true; }
void apus_realtime_enter(void) { __rtsan_realtime_enter(); }
void apus_realtime_exit(void) { __rtsan_realtime_exit(); }
void apus_realtime_allow_begin(void) { __rtsan_disable(); }
void apus_realtime_allow_end(void) { __rtsan_enable(); }

#else

bool apus_realtime_is_checked(void) { return false; }
void apus_realtime_enter(void) {}
void apus_realtime_exit(void) {}
void apus_realtime_allow_begin(void) {}
void apus_realtime_allow_end(void) {}

#endif
