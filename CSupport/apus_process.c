#include "apus_process.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

int apus_die_with_parent(void)
{
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 ? 0 : -errno;
}
