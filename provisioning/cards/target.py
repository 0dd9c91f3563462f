"""Where an image goes: a file that is there only when it is finished, or a disk that boots only when it is."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from becomingone.errors import ConfigError, ProvisioningError

HEAD: Final = 1 << 20
"""Bytes at the start of a disk that are written last: the partition table is in them."""

UNFINISHED: Final = b"becomingone: this card was being written, and that was not finished\n"


class Target(Protocol):
    """What an image is written to."""

    path: Path

    def write(self, offset: int, data: bytes) -> None:
        """Write somewhere."""
        ...

    def settle(self) -> None:
        """Have everything on the medium, and nothing in memory, so that `read` reads the medium."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Read what is there."""
        ...

    def finish(self) -> None:
        """Make it valid."""
        ...


def part_of(path: Path) -> Path:
    """Give the name that a file has until it is finished: always the same, so that kills leave one file behind."""
    return path.with_name(f"{path.name}.part")


class FileTarget:
    """An image file, under another name until it is finished. It has secrets, so only its owner may read it.

    Parameters
    ----------
    path : Path
        Its name in the end.
    size : int
        Bytes.
    replace : bool
        It may take the place of another.

    Raises
    ------
    ConfigError
        It cannot be there.
    ProvisioningError
        There is no room.
    """

    def __init__(self, path: Path, size: int, *, replace: bool = False) -> None:
        self.path = path
        if path.exists() and not replace:
            raise ConfigError(f"--out: {path} is there already: --yes writes over it")
        if path.exists() and not path.is_file():
            raise ConfigError(f"--out: {path} is not a file: --device writes to a disk")
        self._part = part_of(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._file = os.open(self._part, flags, 0o600)
        except OSError as error:
            raise ConfigError(f"--out: {self._part}: {error.strerror or error}") from error
        try:
            self._claim(size)
        except BaseException:
            os.close(self._file)
            raise

    def _claim(self, size: int) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"--out: {self._part} is being written by another process") from None
        if not self._part.exists() or not os.path.samestat(self._part.stat(), os.fstat(self._file)):
            raise ConfigError(f"--out: {self.path} has just been written by another process")
        try:
            os.fchmod(self._file, 0o600)
            os.ftruncate(self._file, 0)
            os.ftruncate(self._file, size)
        except OSError as error:
            raise _no_room(self.path, error) from error

    def write(self, offset: int, data: bytes) -> None:
        """Write, but leave holes where nothing but zeros would be."""
        if data.count(0) != len(data):
            _write(self.path, self._file, offset, data)

    def settle(self) -> None:
        """Have it on the disk, and out of memory."""
        _settle(self.path, self._file)

    def read(self, offset: int, length: int) -> bytes:
        """Read it back."""
        return _read(self.path, self._file, offset, length)

    def finish(self) -> None:
        """Give it its name."""
        try:
            os.fsync(self._file)
            self._part.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise ProvisioningError(f"{self.path}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with contextlib.suppress(FileNotFoundError):  # finished, and something failed after that
                self._part.unlink()
        os.close(self._file)


class DiskTarget:
    """A whole disk, opened so that nothing of it can be mounted meanwhile.

    Its first MiB is written last, and says until then that it is not finished: a card that was pulled out, or whose
    writer was killed, has no partition table and boots nowhere.

    Parameters
    ----------
    path : Path
        The device node.
    size : int
        Bytes of the image.

    Raises
    ------
    ConfigError
        It is in use, or may not be opened.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._head = bytearray(min(HEAD, size))
        try:
            # Without O_CREAT, O_EXCL refuses a disk that is mounted or held, and keeps it from that (open(2)).
            self._file = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        except PermissionError:
            raise ConfigError(f"{path}: you may not write to it: sudo, or be in the group that may (disk)") from None
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise ConfigError(f"{path}: is in use: something of it is mounted or held") from error
            raise ConfigError(f"{path}: {error.strerror or error}") from error
        self._done = False

    @property
    def number(self) -> int:
        """The device number of what is open."""
        return os.fstat(self._file).st_rdev

    @property
    def is_block_device(self) -> bool:
        """Whether it is one; tests use files."""
        return stat.S_ISBLK(os.fstat(self._file).st_mode)

    def begin(self) -> None:
        """Take the old partition table away."""
        _write(self.path, self._file, 0, UNFINISHED.ljust(len(self._head), b"\0"))
        _settle(self.path, self._file)

    def write(self, offset: int, data: bytes) -> None:
        """Write, but keep the beginning back."""
        kept = max(0, min(len(self._head) - offset, len(data)))
        self._head[offset : offset + kept] = data[:kept]
        if kept < len(data):
            _write(self.path, self._file, offset + kept, data[kept:])

    def settle(self) -> None:
        """Have it on the card, and out of memory."""
        _settle(self.path, self._file)

    def read(self, offset: int, length: int) -> bytes:
        """Read it back; the beginning comes from memory until it is finished."""
        kept = max(0, min(len(self._head) - offset, length)) if not self._done else 0
        rest = _read(self.path, self._file, offset + kept, length - kept) if kept < length else b""
        return bytes(self._head[offset : offset + kept]) + rest

    def finish(self) -> None:
        """Write the beginning, and read that back, too."""
        _write(self.path, self._file, 0, bytes(self._head))
        _settle(self.path, self._file)
        if _read(self.path, self._file, 0, len(self._head)) != bytes(self._head):
            raise ProvisioningError(
                f"{self.path}: does not read back as it was written: the card is worn out or a fake"
            )
        self._done = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._file)  # udev looks at the partitions anew now


def _write(path: Path, file: int, offset: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            written = os.pwrite(file, view, offset)
            offset, view = offset + written, view[written:]
    except OSError as error:
        raise _no_room(path, error) from error


def _settle(path: Path, file: int) -> None:
    try:
        os.fsync(file)
        # Clean pages are dropped, so what is read next comes from the medium (posix_fadvise(2)).
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        raise ProvisioningError(f"{path}: {error.strerror or error}: it could not be written to the end") from error


def _read(path: Path, file: int, offset: int, length: int) -> bytes:
    try:
        return os.pread(file, length, offset)
    except OSError as error:
        raise ProvisioningError(
            f"{path}: {error.strerror or error}: it cannot be read back at byte {offset}"
        ) from error


def _no_room(path: Path, error: OSError) -> ProvisioningError:
    why = (
        "there is no room for it"
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        else error.strerror or error
    )
    return ProvisioningError(f"{path}: {why}")
