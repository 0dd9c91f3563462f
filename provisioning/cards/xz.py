"""How large an ``.xz`` file is when unpacked, read from its end instead of by unpacking it.

Source: The .xz File Format, version 1.2.1, sections 2.1 (stream header and footer), 2.2 (stream padding) and 4 (index).
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO, Final

from becomingone.errors import ProvisioningError

MAGIC: Final = b"\xfd7zXZ\x00"
_FOOTER_MAGIC: Final = b"YZ"
_HEADER: Final = 12
_LARGEST_INDEX: Final = 64 << 20
"""Bytes; an image of 32 GB in blocks of 24 MiB has an index of 10 kB."""


def unpacked_size(path: Path, file: BinaryIO) -> int:
    """Give the bytes that all streams of a file unpack to.

    Parameters
    ----------
    path : Path
        Its name, for messages.
    file : binary file
        Open and seekable; its position is lost.

    Raises
    ------
    ProvisioningError
        The file is no whole ``.xz`` file.
    """
    end = file.seek(0, 2)
    total = 0
    while end > 0:
        end = _without_padding(file, end)
        size, start = _stream(path, file, end)
        total += size
        end = start
    return total


def _without_padding(file: BinaryIO, end: int) -> int:
    while end >= 4:
        file.seek(end - 4)
        if file.read(4) != bytes(4):
            break
        end -= 4
    return end


def _stream(path: Path, file: BinaryIO, end: int) -> tuple[int, int]:
    """Give what the stream that ends there unpacks to, and where it begins."""
    if end < 2 * _HEADER:
        raise _broken(path)
    file.seek(end - _HEADER)
    footer = file.read(_HEADER)
    if footer[10:] != _FOOTER_MAGIC or zlib.crc32(footer[4:10]) != int.from_bytes(footer[:4], "little"):
        raise _broken(path)
    length = (int.from_bytes(footer[4:8], "little") + 1) * 4
    if not 8 <= length <= min(_LARGEST_INDEX, end - 2 * _HEADER):
        raise _broken(path)
    file.seek(end - _HEADER - length)
    packed, unpacked = _index(path, file.read(length))
    start = end - _HEADER - length - packed - _HEADER
    if start < 0:
        raise _broken(path)
    file.seek(start)
    if file.read(len(MAGIC)) != MAGIC:
        raise _broken(path)
    return unpacked, start


def _index(path: Path, index: bytes) -> tuple[int, int]:
    """Give the bytes of all blocks, padded and unpacked."""
    if index[0] != 0 or zlib.crc32(index[:-4]) != int.from_bytes(index[-4:], "little"):
        raise _broken(path)
    packed = unpacked = 0
    try:
        count, at = _number(index, 1)
        for _ in range(count):
            padded, at = _number(index, at)
            size, at = _number(index, at)
            packed += (padded + 3) & ~3
            unpacked += size
    except IndexError:
        raise _broken(path) from None
    return packed, unpacked


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte, the least significant first (section 1.2)."""
    value = 0
    for shift in range(0, 63, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise IndexError


def _broken(path: Path) -> ProvisioningError:
    return ProvisioningError(f"{path}: not a whole .xz file: cut off or damaged; fetch it again")
