"""Reading a file that somebody may be writing just now.

Editors truncate and then write, or rename the old file away before the new one is there; deployments swap a symbolic
link. The beginning of a configuration is often a configuration too, and must not be taken for the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from becomingone.config.document import NoFileError, read_bytes
from becomingone.config.tree import DocumentError

PAUSE_S: Final = 0.05
"""Seconds between two looks at a file, which must find the same."""

PATIENCE_S: Final = 0.5
"""Seconds for which a file may be absent or empty before it is taken to be so."""

REST_NS: Final = 1_000_000_000
"""Nanoseconds after the last writing from which on nobody is writing any more."""

LONGEST_S: Final = 2.0
"""Seconds for which a file may keep changing before it is refused."""


def read_settled(path: Path, sleep: Callable[[float], None]) -> bytes:
    """Read a file once it holds the same at two looks.

    Parameters
    ----------
    path : Path
        The file, or a symbolic link to it.
    sleep : callable
        Waits for so many seconds.

    Raises
    ------
    DocumentError
        It cannot be read, is not there, or does not stop changing.
    """
    looks = round(LONGEST_S / PAUSE_S)
    patience = round(PATIENCE_S / PAUSE_S)
    before = _look(path)
    for look in range(1, looks + 1):
        sleep(PAUSE_S)
        now = _look(path)
        if now == before and (now or look >= patience):
            if now is None:
                raise NoFileError("there is no such file")
            return now
        before = now
    raise DocumentError(f"has not been the same for {PAUSE_S:g} s within {LONGEST_S:g} s; is it being written?")


class SettledFile:
    """A file that is read once nobody is writing it any more, and again only when it has been written.

    Parameters
    ----------
    path : Path
        The file, or a symbolic link to it.
    sleep : callable
        Waits for so many seconds.
    now_ns : callable
        The system clock, ns since the Unix epoch: tells whether the last writing is long past. One that has been set
        back costs a pause, and one that has been set forwards may take away the pause, no more.
    """

    def __init__(self, path: Path, sleep: Callable[[float], None], *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._sleep = sleep
        self._now_ns = now_ns
        self._mark: _Mark | None = None
        self._raw = b""

    def read(self) -> bytes:
        """Give what it holds.

        Raises
        ------
        DocumentError
            See `read_settled`.
        """
        mark = _mark(self._path)
        if mark is None or mark != self._mark:
            rested = mark is not None and self._now_ns() - mark.written_ns > REST_NS
            self._raw = read_bytes(self._path) if rested else read_settled(self._path, self._sleep)
            self._mark = mark if mark == _mark(self._path) else None
        return self._raw


class _Mark(NamedTuple):
    """What is another once a file has been written, or replaced by another."""

    device: int
    number: int
    size: int
    written_ns: int


def _mark(path: Path) -> _Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Mark(found.st_dev, found.st_ino, found.st_size, max(found.st_mtime_ns, found.st_ctime_ns))


def _look(path: Path) -> bytes | None:
    try:
        return read_bytes(path)
    except NoFileError:
        return None
