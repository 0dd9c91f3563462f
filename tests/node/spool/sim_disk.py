"""A disk that forgets what was not synced, in every way in which one may; it owes nothing to the code under test."""

from __future__ import annotations

import copy
import errno
from dataclasses import dataclass, field
from random import Random

PAGE = 4096


@dataclass
class File:
    """What the operating system has of a file, and what is on the disk."""

    cached: bytearray
    stored: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)


class SimDisk:
    """A `Disk`. `journal` records what is done to it; `failing` names the methods that fail, and with which error."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.stored_names: dict[str, File] = {}
        self.names_since: list[tuple] = []
        self.journal: list[tuple] = []
        self.failing: dict[str, int] = {}
        self.room: int | None = None
        self.synced_pages = 0
        self.synced_folders = 0
        self.closed = False

    # -- what a spool asks -------------------------------------------------------------------------------------------

    def names(self):
        self._may("names")
        return {name: len(file.cached) for name, file in self.files.items()}

    def create(self, name, size):
        self._may("create")
        if self.room is not None and size + sum(len(file.cached) for file in self.files.values()) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.journal.append(("create", name, size))
        self.do_create(name, size)

    def rename(self, old, new):
        self._may("rename")
        assert new not in self.files
        self.journal.append(("rename", old, new))
        self.do_rename(old, new)

    def remove(self, name):
        self._may("remove")
        self.journal.append(("remove", name))
        self.do_remove(name)

    def read(self, name, offset, size):
        self._may("read")
        return bytes(self.files[name].cached[offset : offset + size])

    def write(self, name, offset, data):
        self._may("write")
        assert offset + len(data) <= len(self.files[name].cached), "a write beyond the end takes room"
        self.journal.append(("write", name, offset, bytes(data)))
        self.do_write(name, offset, data)

    def syncing(self, names, *, folder):
        self._may("syncing")
        files = [(name, self.files[name]) for name in names]

        def sync():
            self._may("sync")
            self.journal.append(("sync", [name for name, _ in files], folder))
            for _, file in files:
                self.do_sync(file)
            if folder:
                self.do_sync_names()

        return sync

    def close(self):
        self.closed = True

    def _may(self, method):
        if method in self.failing:
            raise OSError(self.failing[method], f"{method} fails")

    # -- what happens ------------------------------------------------------------------------------------------------

    def do(self, operation):
        """Do once more what a journal says."""
        kind, *rest = operation
        if kind == "sync":
            for name in rest[0]:
                if name in self.files:
                    self.do_sync(self.files[name])
            if rest[1]:
                self.do_sync_names()
        elif kind != "note":
            getattr(self, f"do_{kind}")(*rest)

    def do_create(self, name, size):
        self.files[name] = File(bytearray(size), dirty=set(range(-(-size // PAGE))))
        self.names_since.append(("create", name, self.files[name]))

    def do_rename(self, old, new):
        self.files[new] = self.files.pop(old)
        self.names_since.append(("rename", old, new))

    def do_remove(self, name):
        del self.files[name]
        self.names_since.append(("remove", name))

    def do_write(self, name, offset, data):
        file = self.files[name]
        file.cached[offset : offset + len(data)] = data
        if data:
            file.dirty.update(range(offset // PAGE, (offset + len(data) - 1) // PAGE + 1))

    def do_sync(self, file):
        file.stored += bytes(len(file.cached) - len(file.stored))
        for page in file.dirty:
            file.stored[page * PAGE : (page + 1) * PAGE] = file.cached[page * PAGE : (page + 1) * PAGE]
        self.synced_pages += len(file.dirty)
        file.dirty.clear()

    def do_sync_names(self):
        self.synced_folders += 1
        self._store_names(len(self.names_since))

    def _store_names(self, count):
        for kind, name, *other in self.names_since[:count]:
            if kind == "create":
                self.stored_names[name] = other[0]
            elif kind == "rename":
                file = self.stored_names.pop(name, None)
                if file is not None:
                    self.stored_names[other[0]] = file
            else:
                self.stored_names.pop(name, None)
        del self.names_since[:count]

    # -- what is left ------------------------------------------------------------------------------------------------

    def after_kill(self):
        """The process has ended; the operating system goes on."""
        left = SimDisk()
        left.__dict__.update(copy.deepcopy({**self.__dict__, "journal": [], "failing": {}}))
        left.closed = False
        return left

    def after_power_cut(self, how, rng=None):
        """The machine has ended.

        ``none``: nothing of what was not synced is on the disk; ``all``: everything is; ``some``: of each page the old
        content, the new one, or the new one up to some byte; ``garbage``: of each page the old content, or anything
        from the first byte on that was to change. Of names, the first few changes are, as in a file system's journal.
        """
        rng = rng or Random(0)
        copied = self.after_kill()
        names = {"none": 0, "all": len(copied.names_since)}.get(how)
        copied._store_names(rng.randint(0, len(copied.names_since)) if names is None else names)
        left = SimDisk()
        for name, file in copied.stored_names.items():
            stored = file.stored + bytes(len(file.cached) - len(file.stored)) if how != "none" else file.stored
            for page in sorted(file.dirty):
                span = slice(page * PAGE, (page + 1) * PAGE)
                stored[span] = self._page(how, rng, bytes(stored[span]), bytes(file.cached[span]))
            left.files[name] = left.stored_names[name] = File(bytearray(stored), bytearray(stored))
        return left

    @staticmethod
    def _page(how, rng, old, new):
        choice = rng.random()
        if how == "none" or (how != "all" and choice < 0.4):
            return old
        if how == "all" or (how == "some" and choice < 0.8):
            return new
        if how == "some":
            cut = rng.randrange(len(new) + 1)
            return new[:cut] + old[cut:]
        first = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(old))
        return new[:first] + rng.randbytes(len(new) - first)
