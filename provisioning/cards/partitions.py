"""Where the partitions of an image are: MBR and GPT, read only.

Sources: UEFI specification 2.10, section 5 (GPT) and 5.2.1 (MBR).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from uuid import UUID

from becomingone.errors import ProvisioningError

SECTOR: Final = 512
HEAD: Final = 1 << 20
"""Bytes at an image's start that hold its tables; nothing is ever partitioned below 1 MiB."""

_FAT_TYPES: Final = frozenset({0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E, 0xEF})
_EXTENDED: Final = frozenset({0x05, 0x0F, 0x85})
_PROTECTIVE: Final = 0xEE
_FAT_GUIDS: Final = frozenset(
    {
        UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),  # EFI system
        UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"),  # Microsoft basic data
    }
)


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition.

    Parameters
    ----------
    number : int
        As the kernel counts, from 1.
    start, size : int
        Bytes.
    fat : bool
        Its type says that it has a FAT file system.
    """

    number: int
    start: int
    size: int
    fat: bool

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.start + self.size


def partitions(head: bytes, path: Path, image_size: int) -> list[Partition]:
    """Read the partition table.

    Parameters
    ----------
    head : bytes
        The first `HEAD` bytes of the image, or all of it.
    path : Path
        Its name, for messages.
    image_size : int
        Bytes of the image.

    Raises
    ------
    ProvisioningError
        There is no table, or one that does not fit the image.
    """
    if len(head) < SECTOR or head[510:512] != b"\x55\xaa":
        raise ProvisioningError(f"{path}: has no partition table: it is no image of a whole card")
    entries = [head[446 + 16 * number : 462 + 16 * number] for number in range(4)]
    protected = any(entry[4] == _PROTECTIVE for entry in entries)
    found = _guid_table(head, path) if protected else _master_boot_record(entries)
    if not found:
        raise ProvisioningError(f"{path}: its partition table is empty")
    ordered = sorted(found, key=lambda partition: partition.start)
    for before, after in pairwise(ordered):
        if after.start < before.end:
            raise ProvisioningError(f"{path}: partitions {before.number} and {after.number} overlap: damaged")
    for partition in found:
        if partition.start < SECTOR or partition.end > image_size:
            msg = f"{path}: partition {partition.number} goes beyond the image of {image_size} bytes: it is cut off"
            raise ProvisioningError(msg)
    return found


def boot_partition(found: list[Partition], path: Path) -> Partition:
    """Give the first FAT partition, which is the one that a Raspberry Pi boots from.

    Raises
    ------
    ProvisioningError
        There is none.
    """
    for partition in found:
        if partition.fat:
            return partition
    raise ProvisioningError(f"{path}: has no FAT partition: it is no image for a Raspberry Pi")


def _master_boot_record(entries: list[bytes]) -> list[Partition]:
    found: list[Partition] = []
    for number, entry in enumerate(entries, start=1):
        start, sectors = struct.unpack("<II", entry[8:16])
        if entry[4] and entry[4] not in _EXTENDED and sectors:
            found.append(Partition(number, start * SECTOR, sectors * SECTOR, entry[4] in _FAT_TYPES))
    return found


def _guid_table(head: bytes, path: Path) -> list[Partition]:
    header = head[SECTOR : 2 * SECTOR]
    broken = ProvisioningError(f"{path}: its partition table (GPT) is damaged")
    if len(header) < SECTOR or header[:8] != b"EFI PART":
        raise broken
    size, crc = struct.unpack("<II", header[12:20])
    if not 92 <= size <= SECTOR or zlib.crc32(header[:16] + bytes(4) + header[20:size]) != crc:
        raise broken
    block, count, width, table_crc = struct.unpack("<QIII", header[72:92])
    table = head[block * SECTOR : block * SECTOR + count * width]
    if width < 128 or count > 1024 or len(table) != count * width or zlib.crc32(table) != table_crc:
        raise broken
    found: list[Partition] = []
    for number in range(count):
        entry = table[number * width : (number + 1) * width]
        kind = UUID(bytes_le=entry[:16])
        first, last = struct.unpack("<QQ", entry[32:48])
        if kind.int and last >= first:
            found.append(Partition(number + 1, first * SECTOR, (last - first + 1) * SECTOR, kind in _FAT_GUIDS))
    return found
