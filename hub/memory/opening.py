"""Opening the database: a new one, one that is well, one of an older version, one that is damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from becomingone.config.atomic import replace_text
from becomingone.hub.memory.chain import ID_BYTES
from becomingone.hub.memory.ledger import Ledger
from becomingone.hub.memory.schema import DamagedError, check, connect, is_database, made, make, transaction
from becomingone.wire.signature import Signer

_LOG = logging.getLogger(__name__)

MOST_ASIDE: Final = 3
"""Damaged files that are kept; a disk that spoils more of them is not to be filled with them, too."""

_PARTS: Final = ("-wal", "-shm", "-journal")


class Token(NamedTuple):
    """Which file it is that a name stands for."""

    device: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Token | None:
        """Look; None where there is none."""
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        return cls(found.st_dev, found.st_ino)


class Opener:
    """Opens one memory, again and again where it has to.

    Parameters
    ----------
    path : Path
        The database.
    boot : int
        The hub's boot id.
    signer : Signer, optional
        The hub's identity.
    time_us : callable
        Gives the time, µs since the Unix epoch.
    random_bytes : callable
        Draws a new memory's id.
    """

    def __init__(
        self,
        path: Path,
        *,
        boot: int,
        signer: Signer | None,
        time_us: Callable[[], int],
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.path = path
        self.time_us = time_us
        self._boot = boot
        self._signer = signer
        self._random_bytes = random_bytes

    def open(self) -> Ledger:
        """Open it; where there is none it is made.

        Raises
        ------
        ConfigError
            It is another program's, or of a newer version.
        sqlite3.Error
            It cannot be used now, or is damaged; see `schema.is_damage`.
        """
        try:
            return self._open()
        except UnicodeDecodeError as error:  # SQLite's own message holds what it has found
            raise DamagedError("texts in it are none") from error

    def _open(self) -> Ledger:
        database = connect(self.path)
        try:
            if not made(database):
                with transaction(database):
                    make(database, self._random_bytes(ID_BYTES), self.time_us())
            check(database, self.path)
            return Ledger(database, boot=self._boot, signer=self._signer)
        except BaseException:
            database.close()
            raise

    def token(self) -> Token | None:
        """Give which file the name stands for now."""
        return Token.of(self.path)

    def set_aside(self, why: BaseException) -> Path:
        """Rename a damaged database, and give its new name.

        Raises
        ------
        TooManyError
            Several have been already: it stays.
        OSError
            The folder cannot be written.
        """
        if len(aside_of(self.path, "damaged")) >= MOST_ASIDE:
            msg = (
                f"it is damaged ({why}), as were others before: see to the disk, and move {self.path.name}.damaged-*"
                " away"
            )
            raise TooManyError(msg)
        return set_aside(self.path, "damaged", self.time_us())


class TooManyError(sqlite3.DatabaseError):
    """One database after the other has been damaged."""


def set_aside(path: Path, why: str, now_us: int) -> Path:
    """Give a database, and what belongs to it, a name with the reason and the time.

    Parameters
    ----------
    path : Path
        The database.
    why : str
        A word.
    now_us : int
        The time, µs since the Unix epoch.
    """
    aside = aside_name(path, why, now_us)
    for part in _PARTS:  # its log first: a new database must never find an old one's
        piece = path.with_name(path.name + part)
        if piece.exists():
            piece.rename(aside.with_name(aside.name + part))
    path.rename(aside)
    return aside


def aside_name(path: Path, why: str, now_us: int) -> Path:
    """Give a name that is free, with the reason and the time."""
    stamp = datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.{why}-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{why}-{stamp}-{number}")
    return aside


def aside_of(path: Path, why: str) -> list[Path]:
    """Give the files that were set aside, oldest first."""
    found = path.parent.glob(f"{path.name}.{why}-*")
    return sorted(file for file in found if not file.name.endswith((*_PARTS, ".lock")))


def note_salvage(path: Path, aside: Path | None) -> None:
    """Keep in mind which file is being salvaged, for the next life if need be; None: none any more."""
    note = path.with_name(f"{path.name}.salvage")
    if aside is None:
        note.unlink(missing_ok=True)
    else:
        replace_text(note, f"{aside.name}\n")


def noted_salvage(path: Path) -> Path | None:
    """Give the file that was being salvaged when the last life ended."""
    note = path.with_name(f"{path.name}.salvage")
    try:
        name = note.read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    aside = path.with_name(Path(name).name) if name else path
    return aside if aside != path and aside.is_file() and is_database(aside) else None


def close(database: sqlite3.Connection, path: Path) -> None:
    """Close a database; what that fails with is logged."""
    try:
        database.close()
    except sqlite3.Error as error:
        _LOG.error("%s cannot be closed: %s", path, error)
