"""One process writes a memory: a lock on a file beside it, which the kernel lets go when that process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from becomingone.errors import ConfigError


class FileLock:
    """A lock, held from the beginning to `close`.

    Parameters
    ----------
    path : Path
        The file; it is made, and stays.

    Raises
    ------
    ConfigError
        Another process holds it.
    OSError
        The file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            who = f"process {holder}" if holder.isdecimal() else "another process"
            msg = f"{path.with_suffix('')} is used by {who}: stop that one, or give this hub a state_dir of its own"
            raise ConfigError(msg) from None
        except BaseException:
            os.close(self._file)
            raise
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._file)


def lock_of(path: Path) -> Path:
    """Give the file by which a database is locked."""
    return path.with_name(f"{path.name}.lock")


def in_use(path: Path) -> bool:
    """Tell whether a process writes a database now."""
    try:
        file = os.open(lock_of(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
