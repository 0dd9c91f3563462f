"""Becomes another program that is ended by the kernel when the process that started it ends, however that comes about.

Run as a script, with the parent's number and the command as arguments; it imports nothing of ours. Doing this in a
``preexec_fn`` would run Python between fork and exec, which is not safe in a process with threads (subprocess's own
documentation). After the exec nothing of it is left.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Ask for the signal, then become the command (prctl(2), PR_SET_PDEATHSIG; it outlives execve)."""
    parent, *command = arguments
    if sys.platform == "linux":
        # Not SIGTERM: between its last start-up line and its main loop Mosquitto forgets one (seen), and would live on.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != int(parent):  # it has gone already: no signal would come
            sys.exit(1)
    try:
        os.execv(command[0], command)  # noqa: S606 - that is what this program is for
    except OSError as error:
        sys.exit(f"Error: {command[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
