#include "apus_process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int apus_die_with_parent(void)
{
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 ? 0 : -errno;
}

size_t apus_heap_in_use(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* The Swift runtime's crash handler stops all threads and has another program read and print the memory of this one:
 * half a minute was seen, in which the sockets stay open and nobody pulls a quote. A crash is to end the process at once.
 * A sanitizer's own handlers stay. */
static void end_at_once_on_a_crash(void)
{
    static const int numbers[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGTRAP};
    if (apus_build_sanitizer()[0] != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        signal(numbers[i], SIG_DFL);
    }
}

int apus_forbid_core_dumps(void)
{
    end_at_once_on_a_crash();
    /* The hard limit stays: who starts another program from here may want dumps of that. */
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) != 0) {
        return -errno;
    }
    limit.rlim_cur = 0;
    if (setrlimit(RLIMIT_CORE, &limit) != 0) {
        return -errno;
    }
    return prctl(PR_SET_DUMPABLE, 0) == 0 ? 0 : -errno;
}

bool apus_may_dump_core(void)
{
    struct rlimit limit;
    return prctl(PR_GET_DUMPABLE) == 1 && (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur != 0);
}

const char *apus_build_compiler(void) { return __VERSION__; }

bool apus_build_is_optimised(void)
{
#if defined(__OPTIMIZE__)
    return true;
#else
    return false;
#endif
}

#if !defined(__has_feature)
#define __has_feature(feature) 0
#endif

const char *apus_build_sanitizer(void)
{
#if __has_feature(address_sanitizer)
    return "address";
#elif __has_feature(thread_sanitizer)
    return "thread";
#elif __has_feature(realtime_sanitizer)
    return "realtime";
#else
    return "";
#endif
}
