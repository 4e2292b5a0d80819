"""Becomes the program it is given, after the preparations that must happen in the new process.

Run as `python -I -S launch.py PARENT DEATH_SIGNAL UID GID PROGRAM ARGUMENTS…` by `ops.local.processes`. It
is a program of its own and not a `preexec_fn`, because that runs Python between fork and exec, which can
deadlock where the parent has threads and warns there from Python 3.12 on. All imports come first: the user it
becomes may not reach our Python.

PR_SET_PDEATHSIG is asked for last, since a change of user clears it (prctl(2)).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
# An ignored signal survives exec. Python ignores SIGPIPE and SIGXFSZ, a shell's background job SIGINT.
TO_RESET = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)


def main(arguments: list[str]) -> None:
    """Prepare this process and become the program; a uid of -1 keeps ours, a signal of 0 outlives us."""
    parent, death_signal, uid, gid = (int(argument) for argument in arguments[:4])
    command = arguments[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    for number in TO_RESET:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if death_signal:
        _die_with(parent, death_signal)
    try:
        os.execv(command[0], command)  # noqa: S606  that is its purpose
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error.strerror}")


def _die_with(parent: int, death_signal: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        sys.exit("cannot ask to die with the parent: prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before we asked
        sys.exit("the parent is gone")


if __name__ == "__main__":
    main(sys.argv[1:])
