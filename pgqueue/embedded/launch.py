"""Become a server that dies with the process that started it.

    launch.py PARENT UID GID COMMAND…

UID and GID are -1 for this user. It is a script of its own: in a process that has threads, no
Python code runs safely between fork and exec.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, uid, gid = map(int, sys.argv[1:4])
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which would clear it. SIGQUIT is the shutdown that no client can delay.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT))
    if os.getppid() != parent:
        sys.exit("whoever started this server is gone")
    os.execv(sys.argv[4], sys.argv[4:])


if __name__ == "__main__":
    main()
