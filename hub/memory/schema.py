"""The tables of a memory in SQLite, and how such a database is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from becomingone.errors import ConfigError
from becomingone.hub.memory.chain import root_hash

VERSION: Final = 2
"""Of the tables; 1 is the older ``frames.db``, which had frames and marks only."""

APPLICATION_ID: Final = int.from_bytes(b"b1me")
"""In bytes 68..71 of the file, by which one knows whose database it is."""

WAL_BYTES: Final = 16 << 20
"""To so much the write-ahead log is cut after it has grown."""

_WAIT_S: Final = 5.0

TABLES: Final = {
    "root": """CREATE TABLE root (
    id BLOB NOT NULL, made_us INTEGER NOT NULL, hash BLOB NOT NULL
) STRICT""",
    "streams": """CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    node TEXT NOT NULL, band TEXT NOT NULL, channel TEXT NOT NULL, boot INTEGER NOT NULL,
    mark INTEGER, hash BLOB NOT NULL
) STRICT""",
    "streams_once": "CREATE UNIQUE INDEX streams_once ON streams (node, band, channel, boot)",
    "frames": """CREATE TABLE frames (
    number INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL, seq INTEGER NOT NULL, time_us INTEGER NOT NULL, frame BLOB NOT NULL, hash BLOB NOT NULL
) STRICT""",
    "frames_once": "CREATE UNIQUE INDEX frames_once ON frames (stream, seq)",
    "frames_by_time": "CREATE INDEX frames_by_time ON frames (time_us)",
    "entries": """CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL, number INTEGER NOT NULL, time_us INTEGER NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL
) STRICT""",
    "entries_once": "CREATE UNIQUE INDEX entries_once ON entries (kind, number)",
    "entries_by_time": "CREATE INDEX entries_by_time ON entries (kind, time_us)",
    "chains": """CREATE TABLE chains (
    kind TEXT PRIMARY KEY, first INTEGER NOT NULL, anchor BLOB NOT NULL, bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
    "kept": """CREATE VIEW kept AS
    SELECT node, band, channel, boot, seq, time_us, frame, number FROM frames JOIN streams ON streams.id = stream""",
}
"""By name, each with the SQL that SQLite keeps of it."""


class DamagedError(sqlite3.DatabaseError):
    """A database of ours that is not whole."""


def is_damage(error: BaseException) -> bool:
    """Tell whether an error means that the file itself is not whole, and no mending of the disk will help."""
    if isinstance(error, DamagedError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def connect(path: Path) -> sqlite3.Connection:
    """Open a database for its one writer; it may be used in another thread afterwards."""
    database = sqlite3.connect(path, isolation_level=None, timeout=_WAIT_S, check_same_thread=False)
    try:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts only before the first table
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # an acknowledgement promises that a power cut loses nothing
        database.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    except BaseException:
        database.close()
        raise
    return database


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a database that another process may be writing.

    Raises
    ------
    ConfigError
        There is no such file.
    sqlite3.Error
        It cannot be read, or is no database.
    """
    if not path.is_file():
        msg = f"{path}: there is no such file; a hub makes it in state_dir/<cell>/hub/memory.db"
        raise ConfigError(msg)
    name = path.absolute().as_uri()
    database = _connect_to_read(f"{name}?mode=ro")
    try:
        database.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError:  # on a medium that may not be written there is no place for the shared index
        database.close()
        if path.with_name(f"{path.name}-wal").exists():
            raise
        return _connect_to_read(f"{name}?immutable=1")
    except BaseException:
        database.close()
        raise
    return database


def _connect_to_read(name: str) -> sqlite3.Connection:
    return sqlite3.connect(name, uri=True, isolation_level=None, timeout=_WAIT_S, check_same_thread=False)


def made(database: sqlite3.Connection) -> bool:
    """Tell whether the tables are there."""
    return bool(version(database)) or bool(database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


def version(database: sqlite3.Connection) -> int:
    """Give the version of the tables; 0 before they are made."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def make(database: sqlite3.Connection, identity: bytes, now_us: int) -> None:
    """Make the tables; call it within a transaction."""
    for sql in TABLES.values():
        database.execute(sql)
    database.execute("INSERT INTO root VALUES (?, ?, ?)", (identity, now_us, root_hash(identity, now_us)))
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {VERSION}")


def check(database: sqlite3.Connection, path: Path) -> None:
    """See that a database is a memory of this version.

    Raises
    ------
    ConfigError
        It is somebody else's, or of a newer version.
    DamagedError
        It should be one, and is not.
    """
    found = version(database)
    if found > VERSION:
        msg = (
            f"{path} was written by a newer version ({found}, this one knows {VERSION}): install that version again, or"
            " move the file away to begin anew"
        )
        raise ConfigError(msg)
    application = database.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        there = _made_as(database).keys()
        if there and not {"frames", "entries", "chains"} <= there:
            msg = f"{path} is a database of another program: move it away, or give another state_dir"
            raise ConfigError(msg)
        msg = f"application id {application}, not {APPLICATION_ID}" if there else "there is nothing in it"
        raise DamagedError(msg)
    if found != VERSION:
        msg = f"version {found} of the tables, not {VERSION}"
        raise DamagedError(msg)
    if faults := faults_of_schema(database, strict=False):
        raise DamagedError("; ".join(faults))


def faults_of_schema(database: sqlite3.Connection, *, strict: bool) -> list[str]:
    """Say which tables are missing; when `strict`, also which have been changed, and what is there besides."""
    found = _made_as(database)
    faults = [f"{name} is missing" for name in TABLES if name not in found]
    if strict:
        faults += [f"{name} has been changed" for name, sql in TABLES.items() if found.get(name, sql) != sql]
        faults += [f"{name} is none of ours" for name in found if name not in TABLES]
    return faults


def _made_as(database: sqlite3.Connection) -> dict[str, str]:
    """Give what SQLite keeps of tables, indexes and views: by name, how each was made; whatever bytes these are."""
    rows = database.execute("SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_schema WHERE sql IS NOT NULL")
    return {(name or b"").decode(errors="replace"): sql.decode(errors="replace") for name, sql in rows}


def used_bytes(database: sqlite3.Connection) -> int:
    """Give the bytes of the pages that are in use."""
    pages, free, size = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def is_database(path: Path) -> bool:
    """Tell whether a file begins as every SQLite database does."""
    with closing(path.open("rb")) as file:
        return file.read(16) == b"SQLite format 3\x00"


@contextmanager
def transaction(database: sqlite3.Connection) -> Generator[None]:
    """Begin a transaction; what is raised within undoes it all."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
