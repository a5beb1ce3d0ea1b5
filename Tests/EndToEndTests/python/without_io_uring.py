#!/usr/bin/env python3
"""Runs a program to which io_uring is forbidden, as a container's seccomp profile does it.

Usage: without_io_uring.py [--error EPERM|ENOSYS] [--only-enter] PROGRAM [ARGUMENT ...]

  --error       what the kernel shall answer: EPERM (a profile, or kernel.io_uring_disabled; the default) or ENOSYS
                (a profile that hides it)
  --only-enter  the program may make a ring, but not enter it

The filter looks at system call numbers only: those of io_uring are the same on x86-64 and arm64.
Exit code: that of the program; 71 if the filter cannot be installed or the program not be started; 64 for wrong use.
"""
import ctypes
import errno
import os
import struct
import sys

SETUP, ENTER, REGISTER = 425, 426, 427
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_NUMBER, JUMP_IF_AT_LEAST, JUMP_IF_ABOVE, RETURN = 0x20, 0x35, 0x25, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000


def fail(code, text):
    print(f"without_io_uring.py: {text}", file=sys.stderr)
    sys.exit(code)


def forbid(first, last, error):
    program = b"".join(
        struct.pack("=HBBI", *step)
        for step in [
            (LOAD_NUMBER, 0, 0, 0),
            (JUMP_IF_AT_LEAST, 0, 2, first),
            (JUMP_IF_ABOVE, 1, 0, last),
            (RETURN, 0, 0, FAIL | error),
            (RETURN, 0, 0, ALLOW),
        ]
    )
    steps = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(steps)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        fail(71, f"could not set no_new_privs: {os.strerror(ctypes.get_errno())}")
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) != 0:
        fail(71, f"could not install the filter: {os.strerror(ctypes.get_errno())}")


def main(arguments):
    error, first = errno.EPERM, SETUP
    while arguments and arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option == "--help":
            print(__doc__.strip())
            return
        if option == "--only-enter":
            first = ENTER
        elif option == "--error" and arguments and arguments[0] in ("EPERM", "ENOSYS"):
            error = getattr(errno, arguments.pop(0))
        else:
            fail(64, f"{option} is not an option, or lacks its value; see --help")
    if not arguments:
        fail(64, "give a program to run; see --help")
    forbid(first, ENTER if first == ENTER else REGISTER, error)
    try:
        os.execvp(arguments[0], arguments)
    except OSError as problem:
        fail(71, f"could not run {arguments[0]}: {problem.strerror}")


main(sys.argv[1:])
