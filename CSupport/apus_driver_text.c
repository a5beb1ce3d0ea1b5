/* apus_driver_text.c: socket driver failures as sentences for an operator. */
#include "include/apus_driver.h"

#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>

/* Completes `what`; `way_out` is what else one may do about a missing io_uring. */
static void explain(const char *what, int error, const char *way_out, char *out, size_t capacity)
{
    struct utsname kernel;
    const char *release = uname(&kernel) == 0 ? kernel.release : "unknown";
    switch (-error) {
    case EINVAL:
        snprintf(out, capacity, "%sconfiguration out of range (connections 1 to 8192; receive buffers 64 B to 1 MiB each, "
                 "a power of two of them from 2 to 32768; send buffer 1 B to 16 MiB a connection; close timeout > 0; "
                 "at most 4 GiB of each kind)", what);
        break;
    case ENOSYS:
        snprintf(out, capacity, "%sthis kernel (%s) has no io_uring, or a container's seccomp profile hides it; use Linux 6.1 "
                 "or later and allow io_uring_setup, io_uring_enter and io_uring_register in the profile%s", what, release,
                 way_out);
        break;
    case EPERM: case EACCES:
        snprintf(out, capacity, "%sio_uring is forbidden here; set kernel.io_uring_disabled=0 (sysctl), and in a container "
                 "allow io_uring_setup, io_uring_enter and io_uring_register in its seccomp profile%s", what, way_out);
        break;
    case EOPNOTSUPP:
        snprintf(out, capacity, "%skernel %s lacks an io_uring feature it needs; use Linux 6.1 or later%s", what, release, way_out);
        break;
    case ENOMEM:
        snprintf(out, capacity, "%snot enough memory, or the locked-memory limit is reached; raise it (ulimit -l, "
                 "LimitMEMLOCK= in a systemd unit) or ask for fewer or smaller buffers", what);
        break;
    case EMFILE: case ENFILE:
        snprintf(out, capacity, "%stoo many open files, or fewer allowed than connections asked for; raise the limit "
                 "(ulimit -n, LimitNOFILE= in a systemd unit)", what);
        break;
    default:
        snprintf(out, capacity, "%s%s (error %d, kernel %s)", what, strerror(-error), -error, release);
    }
}

void apus_driver_explain_create(int error, char *out, size_t capacity)
{
    explain("could not create the socket driver: ", error, "; or set the driver to auto or epoll", out, capacity);
}

void apus_driver_explain_refusal(int error, char *out, size_t capacity)
{
    explain("using epoll: ", error, " (or set the driver to epoll, and this is not said again)", out, capacity);
}

static const char *open_bracket(const char *host) { return strchr(host, ':') != NULL ? "[" : ""; }
static const char *close_bracket(const char *host) { return strchr(host, ':') != NULL ? "]" : ""; }

void apus_driver_explain_listen(int error, const char *host, uint16_t port, char *out, size_t capacity)
{
    const int code = error < 0 ? -error : error;
    const char *reason = strerror(code);
    switch (code) {
    case EINVAL:
        reason = "the address must be numeric (for example 127.0.0.1, 0.0.0.0 or ::1), not a name";
        break;
    case ENOSPC:
        reason = "all 8 listeners of this driver are in use";
        break;
    case EADDRINUSE:
        reason = "the port is in use (is another instance running?)";
        break;
    case EADDRNOTAVAIL:
        reason = "this machine has no such address";
        break;
    case EACCES: case EPERM:
        reason = "not permitted (ports below 1024 need CAP_NET_BIND_SERVICE)";
        break;
    case EMFILE: case ENFILE:
        reason = "too many open files (raise ulimit -n)";
        break;
    default:
        break;
    }
    snprintf(out, capacity, "could not listen on %s%s%s:%u: %s", open_bracket(host), host, close_bracket(host),
             (unsigned)port, reason);
}

void apus_driver_explain_connect(int error, const char *host, uint16_t port, char *out, size_t capacity)
{
    const int code = error < 0 ? -error : error;
    const char *reason = strerror(code);
    switch (code) {
    case ECONNREFUSED:
        reason = "connection refused (is the venue running?)";
        break;
    case ETIMEDOUT:
        reason = "no answer in time (is a firewall in between?)";
        break;
    case ENOENT:
        reason = "no such host name (check the spelling and the resolver)";
        break;
    case EAGAIN:
        reason = "the host name could not be resolved now (check the resolver and try again)";
        break;
    case EINVAL:
        reason = "needs a port from 1 to 65535, a time limit above 0 and, if given, a numeric local address";
        break;
    case ENOSPC:
        reason = "all connections of this driver are in use";
        break;
    case EADDRNOTAVAIL:
        reason = "the local address does not belong to this machine, or no local port is free";
        break;
    case ENETUNREACH: case EHOSTUNREACH:
        reason = "no route to the host (check the network)";
        break;
    case ECANCELED:
        reason = "given up before it was connected";
        break;
    case EMFILE: case ENFILE:
        reason = "too many open files (raise ulimit -n)";
        break;
    case ECONNRESET:
        reason = "connection reset by the peer";
        break;
    default:
        break;
    }
    snprintf(out, capacity, "could not connect to %s%s%s:%u: %s", open_bracket(host), host, close_bracket(host),
             (unsigned)port, reason);
}
