"""Reads which clusters of a FAT32 file system are whose, to tell what a change has touched.

Source: Microsoft, FAT32 File System Specification 1.03.
"""

from __future__ import annotations

import struct


class Fat32:
    """A file system as bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        (self.sector,) = struct.unpack_from("<H", content, 11)
        reserved, copies = struct.unpack_from("<HB", content, 14)
        (self.fat_sectors, _flags, _version, self.root) = struct.unpack_from("<IHHI", content, 36)
        self.cluster = content[13] * self.sector
        self.fats = [
            content[(reserved + copy * self.fat_sectors) * self.sector :][: self.fat_sectors * self.sector]
            for copy in range(copies)
        ]
        self.reserved = content[: reserved * self.sector]
        self.start = (reserved + copies * self.fat_sectors) * self.sector
        self.next = [entry & 0x0FFFFFFF for (entry,) in struct.iter_unpack("<I", self.fats[0])]

    def chain(self, first: int) -> list[int]:
        """Give a file's clusters."""
        found = []
        while 2 <= first < 0x0FFFFFF8:
            found.append(first)
            first = self.next[first]
        return found

    def read(self, cluster: int) -> bytes:
        """Give a cluster's bytes."""
        begin = self.start + (cluster - 2) * self.cluster
        return self.content[begin : begin + self.cluster]

    def used(self) -> set[int]:
        """Give every cluster that is somebody's."""
        last = (len(self.content) - self.start) // self.cluster + 2
        return {number for number, entry in enumerate(self.next[:last]) if number >= 2 and entry}

    def files(self, first: int | None = None, folder: str = "") -> dict[str, list[int]]:
        """Give the clusters of every file and, under a name that ends in /, of every folder; short names."""
        chain = self.chain(self.root if first is None else first)
        found = {folder + "/": chain}
        raw = b"".join(self.read(cluster) for cluster in chain)
        for begin in range(0, len(raw), 32):
            entry = raw[begin : begin + 32]
            if entry[0] == 0:
                break
            if entry[0] in (0xE5, 0x2E) or entry[11] & 0x08:  # deleted, . or .., a label or a part of a long name
                continue
            ending = entry[8:11].decode("ascii").strip()
            name = entry[:8].decode("ascii").strip() + (f".{ending}" if ending else "")
            begins = struct.unpack_from("<H", entry, 20)[0] << 16 | struct.unpack_from("<H", entry, 26)[0]
            if entry[11] & 0x10:
                found |= self.files(begins, f"{folder}/{name}")
            else:
                found[f"{folder}/{name}"] = self.chain(begins)
        return found
