"""Copies of a memory: made while the hub writes, proved before they count; and put back."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from becomingone.errors import ConfigError
from becomingone.hub.memory.findings import Findings
from becomingone.hub.memory.lock import FileLock, lock_of
from becomingone.hub.memory.opening import aside_name, note_salvage, set_aside
from becomingone.hub.memory.protocol import CHECKPOINT
from becomingone.hub.memory.reader import MemoryReader
from becomingone.hub.memory.scan import UNREADABLE
from becomingone.hub.memory.schema import connect_to_read
from becomingone.hub.memory.verify import verify

PAGES: Final = 512
"""Pages that are copied at once."""

Progress = Callable[[int, int], None]


class Restored(NamedTuple):
    """What restoring has done.

    Parameters
    ----------
    findings : Findings
        How the backup was.
    aside : Path or None
        What was there before, under its new name.
    newer : dict of str to int or None
        By kind, records that were committed after the backup, and are in `aside` only; None where that is not known,
        because what was there is another memory, or cannot be read.
    """

    findings: Findings
    aside: Path | None
    newer: dict[str, int] | None


def backup(path: Path, to: Path, *, progress: Progress = lambda _done, _of: None) -> Findings:
    """Copy a memory into a new file; its hub may go on writing, and is not held up.

    Parameters
    ----------
    path : Path
        The memory.
    to : Path
        The new file. It appears once it is complete, on the disk, and verified.
    progress : callable
        Hears how many pages are done, of how many.

    Returns
    -------
    Findings
        How the copy is; where it is not `ok`, neither is the memory, and there is no copy.

    Raises
    ------
    ConfigError
        There is no memory, or there is something where the copy is to be.
    OSError, sqlite3.Error
        It cannot be read or written.
    """
    if to.exists():
        msg = f"{to} exists: give another name, or remove it"
        raise ConfigError(msg)
    fresh = to.with_name(f"{to.name}.part")
    fresh.unlink(missing_ok=True)
    try:
        with closing(connect_to_read(path)) as source:
            # One view of everything: without it, each commit of the hub would have the copy begin again.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            _copy(source, fresh, progress)
        findings = verify(fresh)
        findings.path = str(to)
        if findings.ok:
            fresh.rename(to)
            _sync(to.parent)
    finally:
        fresh.unlink(missing_ok=True)
    return findings


def restore(
    copy: Path, path: Path, *, now_us: int, key: bytes | None = None, progress: Progress = lambda _done, _of: None
) -> Restored:
    """Put a backup in a memory's place; what was there is kept under another name.

    Parameters
    ----------
    copy : Path
        The backup; it stays.
    path : Path
        The memory; no hub may be using it.
    now_us : int
        The time, µs since the Unix epoch.
    key : bytes, optional
        The hub's public key, by which the backup must be signed.
    progress : callable
        Hears how many pages are done, of how many.

    Raises
    ------
    ConfigError
        There is no backup, it is no memory or not whole, or a hub uses the memory.
    OSError, sqlite3.Error
        It cannot be read or written; nothing has been changed.
    """
    findings = verify(copy, key=key)
    if not findings.ok:
        msg = f"{copy} is damaged, and nothing has been changed: {findings.damage[0]}"
        raise ConfigError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_of(path))
    try:
        fresh = path.with_name(f"{path.name}.restoring")
        fresh.unlink(missing_ok=True)
        try:
            with closing(connect_to_read(copy)) as source:
                _copy(source, fresh, progress)
            newer = _newer(path, copy)
            aside = _keep(path, now_us)
            fresh.rename(path)
            _sync(path.parent)
        finally:
            fresh.unlink(missing_ok=True)
        note_salvage(path, None)
    finally:
        lock.close()
    return Restored(findings, aside, newer)


def _copy(source: sqlite3.Connection, fresh: Path, progress: Progress) -> None:
    def told(_status: int, left: int, total: int) -> None:
        progress(total - left, total)

    with closing(sqlite3.connect(fresh, isolation_level=None)) as database:
        source.backup(database, pages=PAGES, progress=told, sleep=0.0)
        database.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, and nothing beside it
    with fresh.open("rb") as file:
        os.fsync(file.fileno())


def _newer(path: Path, copy: Path) -> dict[str, int] | None:
    """Count by kind what a memory has got since a copy of it was made."""
    if not path.exists():
        return {}
    try:
        with closing(MemoryReader(path)) as here, closing(MemoryReader(copy)) as there:
            if here.identity != there.identity:
                return None
            before, after = there.summary(), here.summary()
    except ConfigError:
        return None
    grown = {kind: found["last"] - before.get(kind, {"last": 0})["last"] for kind, found in after.items()}
    return {kind: count for kind, count in grown.items() if count > 0 and kind != CHECKPOINT}


def _keep(path: Path, now_us: int) -> Path | None:
    """Give what is there a second name, so that the new one can take the first in one instant."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = DELETE").fetchall()  # its log goes into it
    except UNREADABLE:
        return set_aside(path, "replaced", now_us)
    aside = aside_name(path, "replaced", now_us)
    try:
        os.link(path, aside)
    except OSError:  # a file system without second names
        return set_aside(path, "replaced", now_us)
    return aside


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
