"""A stock image: checked first, then unpacked as a stream, never as a whole in memory."""

from __future__ import annotations

import hashlib
import lzma
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.cards.xz import MAGIC, unpacked_size

CHUNK: Final = 1 << 20
SECTOR: Final = 512
_MEMORY: Final = 256 << 20
"""Bytes that unpacking may take; xz -9 needs 65 MiB."""

_OTHERS: Final = {b"PK\x03\x04": ".zip", b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst"}

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many bytes are done, and how many there are."""


def no_progress(_what: str, _done: int, _of: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Source:
    """An image on the operator's disk.

    Parameters
    ----------
    path : Path
        The file.
    packed : bool
        It is an ``.xz`` file.
    size : int
        Bytes of the image, unpacked.
    file_size : int
        Bytes of the file.
    identity : tuple of int
        Device and inode: the same file under another name has the same.
    """

    path: Path
    packed: bool
    size: int
    file_size: int
    identity: tuple[int, int]


def look_at(path: Path) -> Source:
    """See what an image is, without trusting its content.

    Raises
    ------
    ConfigError
        It cannot be read, or is no image.
    ProvisioningError
        It is cut off.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            head = file.read(SECTOR)
            for magic, name in _OTHERS.items():
                if head.startswith(magic):
                    raise ConfigError(f"{path}: a {name} file: unpack it first; .img and .img.xz can be written")
            packed = head.startswith(MAGIC)
            size = unpacked_size(path, file) if packed else status.st_size
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    if size == 0 or size % SECTOR:
        raise ConfigError(
            f"{path}: {size} bytes are not an image of a disk: it must have whole sectors of {SECTOR} bytes"
        )
    return Source(path, packed, size, status.st_size, (status.st_dev, status.st_ino))


def verify(
    source: Source, sha256: str | None, *, unpacked_sha256: str | None = None, progress: Progress = no_progress
) -> str:
    """Read the whole file and compare, before anything of it is believed.

    Parameters
    ----------
    source : Source
        The image.
    sha256 : str or None
        What the file must have; None: the file is only read, and unpacked to see that it is whole.
    unpacked_sha256 : str, optional
        What the unpacked image must have.
    progress : callable, optional
        See `Progress`.

    Returns
    -------
    str
        The SHA-256 of the file.

    Raises
    ------
    ProvisioningError
        The file is another, or cut off.
    """
    inner = hashlib.sha256()
    if not source.packed and sha256 is None:
        sha256 = unpacked_sha256
    if source.packed and (unpacked_sha256 is not None or sha256 is None):
        stream = Stream(source)
        for chunk in stream.chunks():
            inner.update(chunk)
            progress("checked", stream.read, source.file_size)
        found = stream.sha256
    else:
        found = _hash(source, progress)
    if sha256 is not None and found != sha256:
        msg = f"{source.path}: its SHA-256 is {found}, and not {sha256}: damaged, or another file; fetch it again"
        raise ProvisioningError(msg)
    if source.packed and unpacked_sha256 not in (None, inner.hexdigest()):
        msg = f"{source.path}: unpacked, its SHA-256 is {inner.hexdigest()}, and not {unpacked_sha256}"
        raise ProvisioningError(msg)
    return found


def _hash(source: Source, progress: Progress) -> str:
    digest, done = hashlib.sha256(), 0
    try:
        with source.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                done += len(chunk)
                progress("checked", done, source.file_size)
    except OSError as error:
        raise ProvisioningError(f"{source.path}: {error.strerror or error}") from error
    return digest.hexdigest()


class Stream:
    """One pass through an image, unpacked.

    Parameters
    ----------
    source : Source
        The image.

    Attributes
    ----------
    read : int
        Bytes of the file that are read.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.read = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 of what has been read of the file: of all of it at the end of `chunks`."""
        return self._digest.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Give the image in pieces of 1 MiB, the last one shorter.

        Raises
        ------
        ProvisioningError
            The file cannot be read, is damaged, or is longer or shorter than it was.
        """
        path, total, rest = self._source.path, 0, b""
        try:
            with path.open("rb") as file:
                for piece in self._unpacked(file):
                    rest = rest + piece if rest else piece
                    if total + len(rest) > self._source.size:
                        break
                    while len(rest) >= CHUNK:
                        yield rest[:CHUNK]
                        total, rest = total + CHUNK, rest[CHUNK:]
        except OSError as error:
            raise ProvisioningError(f"{path}: {error.strerror or error}") from error
        except (lzma.LZMAError, EOFError) as error:
            raise ProvisioningError(f"{path}: cannot be unpacked: {error}; fetch it again") from error
        if total + len(rest) != self._source.size:
            msg = f"{path}: unpacks to other than the {self._source.size} bytes that it says: damaged, or just changed"
            raise ProvisioningError(msg)
        if rest:
            yield rest

    def _unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        unpacker = _Unpacker() if self._source.packed else None
        while raw := file.read(CHUNK):
            self._digest.update(raw)
            self.read += len(raw)
            if unpacker is None:
                yield raw
            else:
                yield from unpacker.feed(raw)
        if unpacker is not None:
            unpacker.finish()


class _Unpacker:
    """Unpacks the streams of an ``.xz`` file one after the other, with bounded memory."""

    def __init__(self) -> None:
        self._inner = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        self._begun = False

    def feed(self, raw: bytes) -> Iterator[bytes]:
        """Give what some bytes unpack to, a MiB at a time."""
        while raw:
            if self._inner.eof:
                raw = raw.lstrip(b"\0")  # the padding between streams
                if not raw:
                    return
                self._inner = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
            self._begun = True
            yield self._inner.decompress(raw, CHUNK)
            while not self._inner.eof and not self._inner.needs_input:
                yield self._inner.decompress(b"", CHUNK)
            raw = self._inner.unused_data if self._inner.eof else b""

    def finish(self) -> None:
        """Refuse a stream that has begun and not ended."""
        if not self._begun or not self._inner.eof:
            raise EOFError("it is cut off")
