"""The files of a spool: those that wait to be used again, and those that have been written to since the last sync."""

from __future__ import annotations

from collections.abc import Callable

from becomingone.node.spool.disk import Disk


class Files:
    """Gives files out and takes them back.

    A file that has been written to from end to end once can be written to again without any change to the file
    system's own records, which would cost more than the data.

    Parameters
    ----------
    disk : Disk
        Where they are.
    free : dict
        Files that can be used again, and their sizes.
    """

    def __init__(self, disk: Disk, free: dict[str, int]) -> None:
        self._disk = disk
        self._free = free
        self._written: dict[str, None] = {}
        self._renamed = True
        self._released = False

    def take(self, name: str, size: int, room: int) -> bool:
        """Make a file of a name: one that waits, or a new one where it and those that wait fit into the room.

        Raises
        ------
        OSError
            It cannot be made.
        """
        fitting = next((free for free, free_size in self._free.items() if free_size == size), None)
        if fitting is not None:
            self._disk.rename(fitting, name)
            del self._free[fitting]
        else:
            while self._free and sum(self._free.values()) + size > room:
                other = next(iter(self._free))
                self._disk.remove(other)
                del self._free[other]
            if size > room:
                return False
            self._disk.create(name, size)
        self._renamed = True
        return True

    def give_back(self, name: str, size: int, free_name: str) -> None:
        """Keep a file for another use.

        Raises
        ------
        OSError
            It cannot be renamed; it is used again all the same.
        """
        self._written.pop(name, None)
        self._free[name] = size
        self._disk.rename(name, free_name)
        self._free[free_name] = self._free.pop(name)
        self._released = True

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Hand data to the operating system.

        Raises
        ------
        OSError
            It does not take them.
        """
        self._disk.write(name, offset, data)
        self.touch(name)

    def touch(self, name: str) -> None:
        """Take note that a file may hold what is not on the disk yet."""
        self._written[name] = None

    def forget(self) -> None:
        """Take note that nothing of what was written counts."""
        self._written.clear()
        self._renamed = True

    def syncing(self, *, last: bool) -> Callable[[], None] | None:
        """Give a call, good in any thread, that puts everything on the disk; None where there is nothing.

        Which files are free is put there with the next new name, or with the `last` call: it can be found out.

        Raises
        ------
        OSError
            A file cannot be opened.
        """
        if last and self._released:
            self._renamed = True
        if not self._written and not self._renamed:
            return None
        sync = self._disk.syncing(self._written, folder=self._renamed)
        self._written = {}
        self._released = self._released and not self._renamed
        self._renamed = False
        return sync
