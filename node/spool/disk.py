"""The few things that a spool asks of a disk, so that a test can pull the plug between any two of them."""

from __future__ import annotations

import fcntl
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from becomingone.errors import ConfigError

FORMAT: Final = 1
"""The version of the format that this module writes."""

FORMAT_FILE: Final = "format"
"""Holds the version as text, and the lock of the process that uses the spool."""

_OPEN_FILES: Final = 16
_ZEROS: Final = bytes(1 << 16)


class Disk(Protocol):
    """One folder of files of a fixed size. Every method may raise OSError, and then has done nothing that counts."""

    def names(self) -> dict[str, int]:
        """Give the files and their sizes, bytes."""
        ...

    def create(self, name: str, size: int) -> None:
        """Make a file of `size` zeros: what is written into it later takes no further room."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file."""
        ...

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Read up to `size` bytes; fewer where the file ends."""
        ...

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Hand all of `data` to the operating system: from then on only the machine can lose it, not the process."""
        ...

    def syncing(self, names: Iterable[str], *, folder: bool) -> Callable[[], None]:
        """Give a call, good in any thread, that puts these files on the disk, and with `folder` their names too."""
        ...

    def close(self) -> None:
        """Let the folder go, and its lock."""
        ...


class FolderDisk:
    """A folder of the file system.

    Parameters
    ----------
    folder : Path
        Made if it is missing.

    Raises
    ------
    OSError
        The folder cannot be made or written.
    ConfigError
        Another process uses it, or it was written by a later version of this software.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: OrderedDict[str, int] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / FORMAT_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take()
        except BaseException:
            os.close(self._lock)
            raise

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{self._folder} is used by another process; stop that one, or give this node a state_dir of its own"
            raise ConfigError(msg) from None
        text = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip()
        if text == str(FORMAT):
            return
        if text.isdecimal() and int(text) > FORMAT:
            msg = (
                f"{self._folder} is in format {text}, written by a later version of this software, and this one knows"
                f" format {FORMAT}: install the later version again, or move the folder away to begin anew"
            )
            raise ConfigError(msg)
        os.pwrite(self._lock, f"{FORMAT}\n".encode("ascii"), 0)  # new, or the power went while it was

    def names(self) -> dict[str, int]:
        """See `Disk.names`."""
        with os.scandir(self._folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.name != FORMAT_FILE}

    def create(self, name: str, size: int) -> None:
        """See `Disk.create`."""
        self._forget(name)
        file = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            for offset in range(0, size, len(_ZEROS)):
                _write_all(file, _ZEROS[: size - offset], offset)
        except OSError:
            os.close(file)
            (self._folder / name).unlink(missing_ok=True)
            raise
        os.close(file)

    def rename(self, old: str, new: str) -> None:
        """See `Disk.rename`."""
        self._forget(old)
        self._forget(new)
        (self._folder / old).rename(self._folder / new)

    def remove(self, name: str) -> None:
        """See `Disk.remove`."""
        self._forget(name)
        (self._folder / name).unlink(missing_ok=True)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """See `Disk.read`."""
        return os.pread(self._file(name), size, offset)

    def write(self, name: str, offset: int, data: bytes) -> None:
        """See `Disk.write`."""
        _write_all(self._file(name), data, offset)

    def syncing(self, names: Iterable[str], *, folder: bool) -> Callable[[], None]:
        """See `Disk.syncing`: the files are held open of their own, so they may be renamed or let go meanwhile."""
        files = [os.dup(self._file(name)) for name in names]
        where = self._folder if folder else None

        def sync() -> None:
            try:
                for file in files:
                    os.fdatasync(file)
                if where is not None:
                    _sync_folder(where)
            finally:
                for file in files:
                    os.close(file)

        return sync

    def close(self) -> None:
        """See `Disk.close`."""
        while self._files:
            os.close(self._files.popitem()[1])
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _file(self, name: str) -> int:
        file = self._files.get(name)
        if file is None:
            file = os.open(self._folder / name, os.O_RDWR | os.O_CLOEXEC)
            if len(self._files) >= _OPEN_FILES:
                os.close(self._files.popitem(last=False)[1])
            self._files[name] = file
        else:
            self._files.move_to_end(name)
        return file

    def _forget(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            os.close(file)


def _write_all(file: int, data: bytes, offset: int) -> None:
    """Write all of it: a full disk takes a part, and says so only when asked to take the rest."""
    done = os.pwrite(file, data, offset)
    while done < len(data):
        done += os.pwrite(file, data[done:], offset + done)


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
