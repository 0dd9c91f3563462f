"""Reading a whole memory and saying whether it is as it was written; where it is not, which records are not."""

from __future__ import annotations

import json
import re
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from becomingone.errors import ConfigError
from becomingone.hub.memory.chain import genesis, marks_hash, root_hash
from becomingone.hub.memory.checkpoint import Chain, Signatures, claims
from becomingone.hub.memory.findings import MOST_TOLD, Findings
from becomingone.hub.memory.ledger import RECORD_BYTES
from becomingone.hub.memory.lock import in_use
from becomingone.hub.memory.protocol import CHECKPOINT, FRAME
from becomingone.hub.memory.scan import (
    ENTRIES,
    FRAMES,
    UNREADABLE,
    Damage,
    Row,
    entry_digest,
    frame_digest,
    links,
    rows_after,
    streams_of,
)
from becomingone.hub.memory.schema import DamagedError, check, connect_to_read, faults_of_schema, is_database
from becomingone.hub.memory.wal import lost_commits

_EACH: Final = 20_000
_NEVER: Final = 1 << 63
_HEAD: Final = re.compile(r"[1-9][0-9]{0,17}:[0-9a-f]{64}")

Progress = Callable[[int, int], None]


def verify(
    path: Path, *, key: bytes | None = None, expect: str = "", progress: Progress = lambda _done, _of: None
) -> Findings:
    """Read all of a memory; the hub may go on writing.

    Parameters
    ----------
    path : Path
        The database.
    key : bytes, optional
        The hub's public key: signatures by another count as damage, and the newest checkpoint must have one.
    expect : str
        `Findings.head` of an earlier time: it must be one of the links, or have been given up since.
    progress : callable
        Hears how many records are done, of how many.

    Raises
    ------
    ConfigError
        There is no such file, it is no memory, or of another version; or `expect` is none.
    """
    number, digest = _expected(expect)
    findings = Findings(str(path))
    began = time.perf_counter()
    if path.is_file() and not in_use(path) and (lost := lost_commits(path)):
        what = f"of its log the last {lost} commits cannot be read: altered, or, if it is one, never finished"
        findings.add(Damage("log", 0, 0, what))
    try:
        with closing(connect_to_read(path)) as database:
            _Verifier(database, path, findings, key, progress).run(number, digest)
    except ConfigError:
        raise
    except UNREADABLE as error:
        odd = not is_database(path) and not isinstance(error, sqlite3.OperationalError)
        what = "it does not begin as a database does; " if odd else ""
        findings.add(Damage("file", 0, 0, f"{what}it cannot be read: {error}"))
    except (TypeError, ValueError, AttributeError, struct.error) as error:  # what no column of ours holds
        findings.add(Damage("file", 0, 0, f"something is of another type than it can be: {error}"))
    findings.seconds = time.perf_counter() - began
    return findings


def _expected(text: str) -> tuple[int, bytes]:
    if not text:
        return 0, b""
    if not _HEAD.fullmatch(text):
        msg = f"expect: {text!r} is no NUMBER:HASH, as an earlier verify has given it as head"
        raise ConfigError(msg)
    number, _, digest = text.partition(":")
    return int(number), bytes.fromhex(digest)


class _Verifier:
    def __init__(
        self, database: sqlite3.Connection, path: Path, findings: Findings, key: bytes | None, progress: Progress
    ) -> None:
        self._database = database
        self._path = path
        self._findings = findings
        self._key = key
        self._progress = progress
        self._done = 0
        self._total = 0
        self._claims: dict[str, list[tuple[int, bytes]]] = {}
        self._newest: dict[str, Any] = {}
        self._chains: dict[str, Chain] = {}
        self._root = b""

    def run(self, number: int, digest: bytes) -> None:
        database, add = self._database, self._findings.add
        database.execute("BEGIN")  # one view of everything, whatever is written meanwhile
        try:
            database.text_factory = str
            check(database, self._path)
        except DamagedError as error:
            add(Damage("tables", 0, 0, f"{error}"))
        for fault in faults_of_schema(database, strict=True):
            add(Damage("tables", 0, 0, fault))
        database.text_factory = bytes
        for (text,) in database.execute(f"PRAGMA integrity_check({MOST_TOLD})"):
            if text != b"ok":
                add(Damage("pages", 0, 0, text.decode(errors="replace")))
        self._read_root()
        self._read_chains()
        self._total = database.execute(
            "SELECT (SELECT count(*) FROM frames) + (SELECT count(*) FROM entries)"
        ).fetchone()[0]
        self._checkpoints(number, digest)
        self._compare_beginnings()
        for kind in sorted(self._chains):
            if kind not in (CHECKPOINT, FRAME):
                self._read(kind, rows_after(database, ENTRIES, (kind.encode(),), 0), entry_digest(kind.encode()))
        streams, digests = streams_of(database, add)
        self._read(FRAME, rows_after(database, FRAMES, (), 0), frame_digest(streams))
        self._check_marks(digests)

    # -- where the chains begin ------------------------------------------------------------------------------------

    def _read_root(self) -> None:
        rows = self._database.execute("SELECT id, made_us, hash FROM root").fetchall()
        try:
            ((identity, made_us, root),) = rows
            if root_hash(identity, made_us) == root:
                self._root = root
        except (TypeError, ValueError, struct.error):
            pass  # no more a root than one whose hash is another
        if not self._root:
            self._findings.add(Damage("root", 0, 0, "altered"))

    def _read_chains(self) -> None:
        for kind, first, anchor, size in self._database.execute("SELECT kind, first, anchor, bytes FROM chains"):
            try:
                chain = Chain(int(first), bytes(anchor), first - 1, anchor, int(size))
                self._chains[kind.decode()] = chain
            except (TypeError, ValueError, AttributeError):
                self._findings.add(Damage("chains", 0, 0, "altered"))
        counted = self._database.execute("SELECT kind, count(*) FROM entries GROUP BY kind").fetchall()
        counted.append((FRAME.encode(), self._database.execute("SELECT count(*) FROM frames").fetchone()[0]))
        for kind, count in counted:
            name = kind.decode(errors="replace") if isinstance(kind, bytes) else repr(kind)
            if count and name not in self._chains:
                self._findings.add(Damage("chains", 0, 0, f"nothing is said of {count} records of kind {name}"))

    def _compare_beginnings(self) -> None:
        """See that each chain begins where the newest checkpoint says, or at the very beginning."""
        told = claims(self._newest) if self._newest else {}
        for kind, chain in self._chains.items():
            said = told.get(kind)
            first, anchor = (said.first, said.anchor) if said is not None else (1, b"")
            anchor = anchor or (genesis(self._root, kind.encode()) if self._root else chain.anchor)
            if (chain.first, chain.anchor) != (first, anchor):
                self._findings.add(
                    Damage("chains", 0, 0, f"{kind} begins at {chain.first}, and no checkpoint says that it should")
                )
            elif chain.first > 1:
                self._findings.gone[kind] = chain.first - 1
        for kind, said in told.items():
            if kind not in self._chains and said.last >= said.first:  # one that has no records has no row
                self._findings.add(Damage(kind, said.first, said.last, "missing"))

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def _checkpoints(self, number: int, digest: bytes) -> None:
        """Check the checkpoints, and keep what they claim; one of them must have this number and hash, 0 for none."""
        findings, signatures = self._findings, Signatures(self._key)
        seen = not number
        rows = rows_after(self._database, ENTRIES, (CHECKPOINT.encode(),), 0)
        first = self._chains[CHECKPOINT].first if CHECKPOINT in self._chains else number
        for row in self._walk(CHECKPOINT, rows, entry_digest(CHECKPOINT.encode())):
            try:
                body = json.loads(row[3])
                told = claims(body)
            except ValueError as error:
                findings.add(Damage(CHECKPOINT, row[0], row[0], f"{error}"))
                continue
            findings.checkpoints += 1
            if fault := signatures.fault(body):
                findings.add(Damage(CHECKPOINT, row[0], row[0], fault))
            for kind, chain in told.items():
                known = self._claims.setdefault(kind, [])
                if not known or known[-1] != (chain.last, chain.head):
                    known.append((chain.last, chain.head))
            seen = seen or (row[0] == number and row[-1] == digest)
            self._newest = body
            findings.head, findings.head_us = f"{row[0]}:{row[-1].hex()}", row[2]
        if findings.checkpoints and (fault := signatures.missing()):
            findings.add(Damage(CHECKPOINT, 0, 0, fault))
        if not seen and number >= first:
            findings.add(Damage(CHECKPOINT, number, number, "the one that is expected is not there"))
        findings.signed, findings.keys = signatures.right, signatures.keys

    # -- records ---------------------------------------------------------------------------------------------------

    def _read(self, kind: str, rows: Iterator[Row], digest: Callable[[bytes, Row], bytes]) -> None:
        for _ in self._walk(kind, rows, digest):
            pass

    def _walk(self, kind: str, rows: Iterator[Row], digest: Callable[[bytes, Row], bytes]) -> Iterator[Row]:
        return self._checked(kind, rows, digest) if kind in self._chains else iter(())

    def _checked(self, kind: str, rows: Iterator[Row], digest: Callable[[bytes, Row], bytes]) -> Iterator[Row]:
        """Give the right rows of a chain, compared with what checkpoints say of it."""
        chain, findings = self._chains[kind], self._findings
        claimed = [claim for claim in self._claims.get(kind, ()) if claim[0] >= chain.first]
        at, wanted = 0, claimed[0][0] if claimed else _NEVER
        size = count = 0
        reached = chain.first - 1
        column = 4 if kind == FRAME else 3

        def report(damage: Damage) -> None:
            nonlocal reached
            reached = max(reached, damage.last)
            findings.add(damage)

        for row in links(rows, digest, kind=kind, first=chain.first, anchor=chain.anchor, report=report):
            number = row[0]
            size += len(row[column]) + RECORD_BYTES
            count += 1
            if number >= wanted:
                while at < len(claimed) and claimed[at][0] <= number:
                    if claimed[at][0] == number and claimed[at][1] != row[-1]:
                        report(Damage(kind, number, number, "not the one that a checkpoint names"))
                    at += 1
                wanted = claimed[at][0] if at < len(claimed) else _NEVER
            yield row
            self._done += 1
            if not self._done % _EACH:
                self._progress(self._done, self._total)
            reached = number
        findings.records[kind] = count
        if kind != CHECKPOINT:
            sealed = claimed[-1][0] if claimed else chain.first - 1
            findings.unsealed += max(0, reached - sealed)
            if sealed > reached:
                findings.add(Damage(kind, reached + 1, sealed, "missing: a checkpoint has them"))
        if not findings.damaged and size != chain.size:
            findings.add(Damage("chains", 0, 0, f"{size} bytes of kind {kind}, and {chain.size} should be there"))

    def _check_marks(self, digests: list[bytes]) -> None:
        """Compare the marks with the newest checkpoint's, where no frame has come since."""
        told = claims(self._newest).get(FRAME) if self._newest else None
        last = self._findings.records.get(FRAME, 0) + self._findings.gone.get(FRAME, 0)
        if self._newest and not self._findings.damaged and (told.last if told is not None else 0) == last:
            try:
                right = marks_hash(digests).hex() == self._newest["marks"]
            except TypeError:
                right = False
            if not right:
                self._findings.add(Damage("streams", 0, 0, "the marks are not those that the newest checkpoint names"))
