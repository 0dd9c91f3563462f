"""Reading what is left of a file when the disk has bad places."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from becomingone.node.spool.disk import Disk
from becomingone.node.spool.record import PAGE, page_end


class Salvage:
    """A disk that, once it is told to be forgiving, gives zeros for the pages that cannot be read.

    Parameters
    ----------
    disk : Disk
        The real one.

    Attributes
    ----------
    forgiving : bool
        Whether a page that cannot be read is given up; else it raises OSError, for it may be readable later.
    """

    def __init__(self, disk: Disk) -> None:
        self.forgiving = False
        self._disk = disk

    def names(self) -> dict[str, int]:
        """See `Disk.names`."""
        return self._disk.names()

    def create(self, name: str, size: int) -> None:
        """See `Disk.create`."""
        self._disk.create(name, size)

    def rename(self, old: str, new: str) -> None:
        """See `Disk.rename`."""
        self._disk.rename(old, new)

    def remove(self, name: str) -> None:
        """See `Disk.remove`."""
        self._disk.remove(name)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """See `Disk.read`."""
        try:
            return self._disk.read(name, offset, size)
        except OSError:
            if not self.forgiving:
                raise
        end = offset + size
        edges = [offset, *range(page_end(offset + 1), end, PAGE), end]
        return b"".join(self._page(name, start, stop - start) for start, stop in pairwise(edges))

    def _page(self, name: str, offset: int, size: int) -> bytes:
        try:
            return self._disk.read(name, offset, size)
        except OSError:
            return bytes(size)  # no record: whoever reads it counts the damage

    def write(self, name: str, offset: int, data: bytes) -> None:
        """See `Disk.write`."""
        self._disk.write(name, offset, data)

    def syncing(self, names: Iterable[str], *, folder: bool) -> Callable[[], None]:
        """See `Disk.syncing`."""
        return self._disk.syncing(names, folder=folder)

    def close(self) -> None:
        """See `Disk.close`."""
        self._disk.close()
