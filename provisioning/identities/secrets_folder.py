"""The folder of a cell's secrets: closed to others, and changed by one command at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

from becomingone.config.atomic import replace_text
from becomingone.errors import ConfigError, ProvisioningError

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_WAIT_S: Final = 10.0
_POLL_S: Final = 0.02


class SecretsFolder:
    """A cell's secrets.

    Parameters
    ----------
    path : Path
        The folder; it is there already.
    wait_s : float, optional
        How long to wait for another command that changes it, in s.

    Raises
    ------
    ConfigError
        It is not there, others may read it, or it is somebody else's.
    """

    def __init__(self, path: Path, *, wait_s: float = _WAIT_S) -> None:
        self.path = path
        self._wait_s = wait_s
        self._threads = threading.RLock()
        self._depth = 0
        check_private(path, folder=True)

    @contextlib.contextmanager
    def locked(self) -> Generator[None, None, None]:
        """Keep every other command and thread out; may be nested.

        Raises
        ------
        ProvisioningError
            Another command held it all the while, or the disk refused the lock.
        """
        with self._threads:
            lock = self._lock() if self._depth == 0 else None
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if lock is not None:
                    os.close(lock)

    def _lock(self) -> int:
        path = self.path / "lock"
        with refusals(path):
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + self._wait_s
        try:
            while not _taken(lock):
                if time.monotonic() >= deadline:
                    holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
                    who = f"process {holder}" if holder.isdecimal() else "another process"
                    raise ProvisioningError(f"{self.path} is being changed by {who}; try again when it has ended")
                time.sleep(_POLL_S)
            with refusals(path):
                os.ftruncate(lock, 0)
                os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
        except BaseException:
            os.close(lock)
            raise
        return lock


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def check_private(path: Path, *, folder: bool = False) -> None:
    """Refuse a file or folder that is not its owner's alone.

    Raises
    ------
    ConfigError
        It is not there, others may use it (the message has the chmod that ends that), or it is somebody else's.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        hint = ": becomingone provision ca makes a cell's secrets" if folder else ""
        raise ConfigError(f"{path}: there is no such {'folder' if folder else 'file'}{hint}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    if folder != stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{path} must be a {'folder' if folder else 'file'}, and is none")
    if found.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to the user {found.st_uid}, not to {os.geteuid()}: run this as its owner")
    if found.st_mode & _OTHERS:
        mode = "700" if folder else "600"
        raise ConfigError(
            f"{path} must be for its owner alone (its mode is {found.st_mode & 0o777:o}): chmod {mode} {path}"
        )


def read_private(path: Path, *, longest: int = 1 << 20) -> bytes:
    """Read a file that only its owner may read; parameters in bytes.

    Raises
    ------
    ConfigError
        As `check_private`, or it is longer than that.
    """
    check_private(path)
    try:
        with path.open("rb") as file:
            data = file.read(longest + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > longest:
        raise ConfigError(f"{path} must be at most {longest} bytes long")
    return data


def write(path: Path, text: str, *, mode: int) -> None:
    """Replace a file's content as a whole, with its mode from the first byte on.

    Raises
    ------
    ProvisioningError
        The disk refuses; what was there still is.
    """
    with refusals(path):
        replace_text(path, text, mode=mode)


@contextlib.contextmanager
def refusals(path: Path) -> Generator[None, None, None]:
    """Turn what a disk refuses into one line that names the file.

    Raises
    ------
    ProvisioningError
        With the system's own words.
    """
    try:
        yield
    except OSError as error:
        raise ProvisioningError(f"{path} cannot be written: {error.strerror or error}") from error
