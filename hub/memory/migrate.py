"""Databases of earlier versions, made into the present one: step by step, each into a new file beside."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from becomingone.errors import ConfigError
from becomingone.hub.memory.chain import ID_BYTES
from becomingone.hub.memory.ledger import Ledger
from becomingone.hub.memory.opening import set_aside
from becomingone.hub.memory.protocol import Record, StreamKey
from becomingone.hub.memory.scan import UNREADABLE
from becomingone.hub.memory.schema import VERSION, check, connect, is_damage, make, transaction, version
from becomingone.wire.signature import Signer

_LOG = logging.getLogger(__name__)

OLDEST: Final = "frames.db"
"""The file of version 1."""

BATCH: Final = 10_000

Progress = Callable[[int, int], None]
"""Hears how many records are done, of how many."""


class Context(NamedTuple):
    """What a migration needs besides its files: the time, µs, who signs, in which life, and whom to tell."""

    now_us: int
    boot: int
    signer: Signer | None
    progress: Progress


Step = Callable[[Path, Path, Context], None]
"""Makes a database of one version, a new file, out of one of the version before."""


def _nobody(_done: int, _of: int) -> None:
    """Stand for whoever would look on."""


def migrate(
    path: Path, *, now_us: int, boot: int = 0, signer: Signer | None = None, progress: Progress = _nobody
) -> list[Path]:
    """Bring a memory to the present version, and keep what it was.

    The new file takes the old one's place in one instant, so a kill at any other leaves either. Call it with the lock
    held.

    Parameters
    ----------
    path : Path
        The database; or where it is to be, with one of version 1 beside it.
    now_us : int
        The time, µs since the Unix epoch.
    boot : int
        The hub's boot id.
    signer : Signer, optional
        The hub's identity.
    progress : callable
        Hears of it.

    Returns
    -------
    list of Path
        The older databases, under the names that they are kept under.

    Raises
    ------
    ConfigError
        The older database is damaged: what is to become of it is not for a program to decide.
    """
    kept: list[Path] = []
    context = Context(now_us, boot, signer, progress)
    fresh = path.with_name(f"{path.name}.migrating")
    for left in (fresh, *(fresh.with_name(fresh.name + part) for part in ("-wal", "-shm", "-journal"))):
        left.unlink(missing_ok=True)
    oldest = path.with_name(OLDEST)
    if oldest.exists() and path != oldest:
        if not path.exists():
            _make(oldest, fresh, 1, context)
            _settle(fresh, path)
        else:  # killed between these two; or an older program has been at work since
            try:
                _merge(oldest, path, context)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                return kept  # others see to what is damaged; the next start takes it over
        kept.append(_aside(oldest, now_us))
    while path.exists() and 1 < (found := _version(path)) < VERSION:
        _make(path, fresh, found, context)
        backup = path.with_name(f"{path.name}.version{found}")
        backup.unlink(missing_ok=True)
        os.link(path, backup)
        _settle(fresh, path)
        kept.append(backup)
    return kept


def _make(old: Path, fresh: Path, found: int, context: Context) -> None:
    step = STEPS.get(found)
    if step is None:
        msg = f"{old} is of version {found}, which nothing can read any more: install an earlier version first"
        raise ConfigError(msg)
    _LOG.warning("%s is of version %d and is migrated; do not switch off", old, found)
    try:
        step(old, fresh, context)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        msg = f"{old} cannot be migrated: {error}; move it away to begin anew, nodes send what was not acknowledged"
        raise ConfigError(msg) from error


def _aside(oldest: Path, now_us: int) -> Path:
    kept = oldest.with_name(f"{oldest.name}.version1")
    if kept.exists():
        return set_aside(oldest, "version1", now_us)
    for part in ("-wal", "-shm"):
        oldest.with_name(oldest.name + part).unlink(missing_ok=True)
    oldest.rename(kept)
    return kept


def _settle(fresh: Path, path: Path) -> None:
    """Put the new file in its place, for good."""
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _version(path: Path) -> int:
    """Give the version of a database; the present one where that cannot be told, for others see to what is damaged.

    Its log is written into it, so that the file is all there is of it.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            found = version(database)
            if 1 < found < VERSION:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return found
    except UNREADABLE as error:
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise
        return VERSION


def _from_frames(old: Path, fresh: Path, context: Context) -> None:
    """Make version 2 out of version 1: frames and marks, in the order of the frames' times."""
    with closing(connect(fresh)) as database:
        with transaction(database):
            make(database, os.urandom(ID_BYTES), context.now_us)
        database.execute("PRAGMA synchronous = OFF")  # the whole file is synced before it counts
        _copy(old, Ledger(database, boot=context.boot, signer=context.signer), context)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _merge(old: Path, path: Path, context: Context) -> None:
    """Take what a memory does not have yet from a database of version 1; what it has is left as it is."""
    with closing(connect(path)) as database:
        check(database, path)
        _copy(old, Ledger(database, boot=context.boot, signer=context.signer), context)


def _copy(old: Path, ledger: Ledger, context: Context) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as source:
        found = version(source)
        if found > 1:
            msg = f"{old} was written by a newer version ({found}, 1 was expected here): move it away"
            raise ConfigError(msg)
        source.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if not found:  # made, and killed before it had tables
            return
        (total,) = source.execute("SELECT count(*) FROM frames").fetchone()
        rows = source.execute(
            "SELECT node, band, channel, boot, seq, time_us, frame FROM frames ORDER BY time_us, boot, seq"
        )
        done = new = 0
        while batch := rows.fetchmany(BATCH):
            with ledger.transaction():
                new += ledger.add_frames(
                    Record(StreamKey(*key), seq, time_us, frame) for *key, seq, time_us, frame in batch
                )
            done += len(batch)
            context.progress(done, total)
        marks = source.execute("SELECT node, band, channel, boot, seq FROM marks")
        with ledger.transaction():
            ledger.set_marks({StreamKey(*key): seq for *key, seq in marks})
            ledger.checkpoint("migrated", context.now_us, migrated={"version": 1, "frames": new})


STEPS: Final[dict[int, Step]] = {1: _from_frames}
"""By version, what makes the next one of it."""
