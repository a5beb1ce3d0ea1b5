#include "apus_process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>

int apus_die_with_parent(void)
{
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 ? 0 : -errno;
}

size_t apus_heap_in_use(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
