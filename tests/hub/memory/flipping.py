"""Altering a memory byte by byte."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from becomingone.errors import ConfigError
from becomingone.hub.memory import opening, schema
from becomingone.hub.memory.verify import verify
from becomingone.wire.signature import Signer

from .posts import SIGNER, Rig

PAGE = 512
"""Bytes of a page: the smallest, so that there are many of every sort in a small file."""


class Outcome(NamedTuple):
    """What became of a number of flips: `missed` are places where one changed the content and was not found."""

    tried: int
    found: int
    harmless: int
    missed: list[int]


def small(path: Path, *, signer: Signer | None = SIGNER) -> Path:
    """Make a small memory in one file: 40 frames, 8 events, three checkpoints."""

    def connect(name: Path) -> sqlite3.Connection:
        with closing(sqlite3.connect(name)) as database:
            database.execute(f"PRAGMA page_size = {PAGE}")
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            database.execute("VACUUM")
        return schema.connect(name)

    with mock.patch.object(opening, "connect", connect):
        rig = Rig(path, signer=signer, checkpoint_s=86_400.0)
    for number in range(4):
        rig.remember("event", number, n=number, text="something that happened")
    rig.commit(*range(20))
    rig.memory._writer._sealed_us = -1 << 60  # the next commit is to be sealed
    rig.commit(*range(20, 30))
    for number in range(4):
        rig.remember("event", 10 + number, n=number, text="something else, a little longer")
    rig.commit(*range(30, 40))
    rig.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
    assert not path.with_name(f"{path.name}-wal").exists()
    return path


def content(path: Path) -> list[tuple[object, ...]]:
    """Give everything that can be asked of a memory, with types."""
    found: list[tuple[object, ...]] = []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        database.text_factory = bytes
        for table in ("root", "streams", "chains", "frames", "entries"):
            columns = [row[1].decode() for row in database.execute(f"PRAGMA table_info({table})")]
            wanted = ", ".join(f"typeof({column}), {column}" for column in columns)
            found += database.execute(f"SELECT {wanted} FROM {table} NOT INDEXED").fetchall()
        found += database.execute("SELECT name, sql FROM sqlite_schema").fetchall()
        found += database.execute("SELECT kind, number, time_us FROM entries INDEXED BY entries_by_time").fetchall()
        found += database.execute("SELECT number FROM frames INDEXED BY frames_by_time").fetchall()
        found += database.execute("SELECT stream, seq FROM frames INDEXED BY frames_once").fetchall()
        found += database.execute("SELECT kind, number FROM entries INDEXED BY entries_once").fetchall()
        found += (
            database.execute("PRAGMA user_version").fetchall() + database.execute("PRAGMA application_id").fetchall()
        )
    return found


def flip_bytes(path: Path, spoilt: Path, *, every: int, rng: random.Random) -> Outcome:
    """Alter one byte after the other, each by itself, and verify.

    What a flip leaves unfound must be without effect: all that can be asked of the memory has the same answer.
    """
    whole = path.read_bytes()
    before = content(path)
    tried = found = 0
    missed: list[int] = []
    for place in range(rng.randrange(every), len(whole), every):
        tried += 1
        mask = rng.choice((0xFF, 1 << rng.randrange(8)))
        spoilt.write_bytes(whole[:place] + bytes((whole[place] ^ mask,)) + whole[place + 1 :])
        try:
            ok = verify(spoilt).ok
        except ConfigError:  # the version, say: also a word
            ok = False
        if not ok:
            found += 1
        elif content(spoilt) != before:
            missed.append(place)
        for part in ("-wal", "-shm", "-journal"):
            spoilt.with_name(spoilt.name + part).unlink(missing_ok=True)
    return Outcome(tried, found, tried - found - len(missed), missed)
