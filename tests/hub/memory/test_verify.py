"""Any altered byte is found, and it is said which records are not as they were written."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from becomingone.errors import ConfigError
from becomingone.hub.memory import chain
from becomingone.hub.memory.checkpoint import signed, text_of
from becomingone.hub.memory.protocol import StreamKey
from becomingone.hub.memory.verify import Findings, verify
from becomingone.wire.signature import Signer

from .flipping import content, flip_bytes, small
from .posts import SIGNER, STREAM, Rig, altered

FORGER = Signer(bytes(range(1, 33)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a memory with 40 frames, 8 events and checkpoints after the 20th, the 30th and the last frame."""
    return small(tmp_path / "memory.db")


def told(findings: Findings) -> list[tuple[str, int, int]]:
    return [(damage.where, damage.first, damage.last) for damage in findings.damage]


def test_a_memory_that_is_well_is_found_to_be(path: Path) -> None:
    findings = verify(path, key=SIGNER.public_key)
    assert findings.ok, findings.damage
    assert findings.records == {"checkpoint": 3, "event": 8, "frame": 40}
    assert (findings.checkpoints, findings.signed, findings.unsealed) == (3, 3, 0)
    assert findings.keys == [SIGNER.public_key.hex()]


def test_a_memory_without_frames_is_found_to_be_well(tmp_path: Path) -> None:
    """What most hubs have: no node keeps any."""
    for life in range(3):
        rig = Rig(tmp_path / "memory.db", boot=1 + life)
        for number in range(5):
            rig.remember("event", 10 * life + number, n=number)
        rig.until(lambda rig=rig: rig.memory.figures()["commits"])
        rig.close()
        findings = verify(tmp_path / "memory.db", key=SIGNER.public_key)
        assert findings.damage == []
    assert findings.records["event"] == 15


def test_flipped_bytes_are_found_or_change_nothing(path: Path, tmp_path: Path) -> None:
    """A sample of what the campaign does with every byte."""
    outcome = flip_bytes(path, tmp_path / "flipped.db", every=31, rng=random.Random(1))
    assert outcome.tried > 400
    assert outcome.missed == []
    assert outcome.found > 0.5 * outcome.tried


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE frames SET frame = x'00' WHERE number = 7", [("frame", 7, 7)]),
        ("UPDATE frames SET time_us = time_us + 1 WHERE number = 40", [("frame", 40, 40)]),
        ("UPDATE frames SET seq = 99 WHERE number = 7", [("frame", 7, 7)]),
        ("UPDATE frames SET hash = x'11' WHERE number = 7", [("frame", 7, 7)]),
        ("UPDATE frames SET hash = zeroblob(32) WHERE number = 7", [("frame", 7, 7)]),
        ("UPDATE entries SET body = '{}' WHERE kind = 'event' AND number = 3", [("event", 3, 3)]),
        ("UPDATE entries SET time_us = 0 WHERE kind = 'event' AND number IN (3, 4)", [("event", 3, 4)]),
        ("UPDATE entries SET id = 1000 WHERE kind = 'event' AND number = 3", [("event", 3, 3)]),
        ("DELETE FROM frames WHERE number IN (5, 6)", [("frame", 5, 6), ("frame", 7, 7)]),
        ("DELETE FROM frames WHERE number = 1", [("frame", 1, 1), ("frame", 2, 2)]),
        ("DELETE FROM frames WHERE number > 37", [("frame", 38, 40)]),
        ("DELETE FROM frames", [("frame", 1, 40)]),
        ("DELETE FROM entries WHERE kind = 'event'", [("event", 1, 8)]),
        ("UPDATE streams SET mark = mark + 1", [("streams", 1, 1), ("frame", 1, 40)]),
        ("UPDATE streams SET node = 'hall'", [("streams", 1, 1), ("frame", 1, 40)]),
        ("UPDATE root SET made_us = 1", [("root", 0, 0)]),
        ("UPDATE chains SET bytes = bytes + 1 WHERE kind = 'event'", [("chains", 0, 0)]),
        ("CREATE TABLE more (a INTEGER)", [("tables", 0, 0)]),
        ("DROP INDEX frames_by_time", [("tables", 0, 0), ("tables", 0, 0)]),
        ("PRAGMA application_id = 1", [("tables", 0, 0)]),
    ],
)
def test_it_is_said_which_records_are_wrong(path: Path, sql: str, expected: list[tuple[str, int, int]]) -> None:
    altered(path, sql)
    assert told(verify(path)) == expected


def test_records_in_another_order_are_found(path: Path) -> None:
    altered(path, "UPDATE frames SET number = -5 WHERE number = 5")
    altered(path, "UPDATE frames SET number = 5 WHERE number = 6")
    altered(path, "UPDATE frames SET number = 6 WHERE number = -5")
    assert told(verify(path)) == [("frame", 5, 7)]  # and the one after them, which follows neither


def test_an_inserted_record_is_found(path: Path) -> None:
    altered(path, "INSERT INTO frames SELECT 41, stream, 900, time_us, frame, hash FROM frames WHERE number = 40")
    assert ("frame", 41, 41) in told(verify(path))


def rechained(path: Path) -> None:
    """Alter a frame and mend all hashes that follow, as somebody could who knows how, but has no key."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE frames SET frame = x'1234' WHERE number = 35")
        previous = database.execute("SELECT hash FROM frames WHERE number = 34").fetchone()[0]
        key = StreamKey(*database.execute("SELECT node, band, channel, boot FROM streams").fetchone())
        size = 0
        for number, seq, time_us, frame in database.execute(
            "SELECT number, seq, time_us, frame FROM frames WHERE number >= 35 ORDER BY number"
        ).fetchall():
            previous = chain.frame_hash(previous, number, seq, time_us, chain.stream_name(key), frame)
            database.execute("UPDATE frames SET hash = ? WHERE number = ?", (previous, number))
        size = database.execute("SELECT sum(length(frame) + 64) FROM frames").fetchone()[0]
        database.execute("UPDATE chains SET bytes = ? WHERE kind = 'frame'", (size,))


def test_what_was_chained_anew_is_betrayed_by_the_checkpoint(path: Path) -> None:
    rechained(path)
    findings = verify(path)
    assert told(findings) == [("frame", 40, 40)]
    assert "a checkpoint names" in findings.damage[0].what


def forged(path: Path, signer: Signer | None) -> None:
    """Do the same, and make the last checkpoint fit, signed by somebody else or by nobody."""
    rechained(path)
    with closing(sqlite3.connect(path)) as database, database:
        head = database.execute("SELECT hash FROM frames WHERE number = 40").fetchone()[0]
        number, row, time_us, text = database.execute(
            "SELECT number, id, time_us, body FROM entries WHERE kind = 'checkpoint' ORDER BY number DESC LIMIT 1"
        ).fetchone()
        body = json.loads(text)
        body["chains"]["frame"][2] = head.hex()
        if signer is not None:
            del body["signature"]
            body = signed({**body, "key": signer.public_key.hex()}, signer)
        previous = database.execute(
            "SELECT hash FROM entries WHERE kind = 'checkpoint' AND number = ?", (number - 1,)
        ).fetchone()[0]
        fresh = text_of(body)
        digest = chain.entry_hash(previous, number, row, time_us, b"checkpoint", fresh.encode())
        database.execute("UPDATE entries SET body = ?, hash = ? WHERE id = ?", (fresh, digest, row))
        database.execute(
            "UPDATE chains SET bytes = (SELECT sum(length(CAST(body AS BLOB)) + 64) FROM entries"
            " WHERE kind = 'checkpoint') WHERE kind = 'checkpoint'"
        )


def test_a_forged_checkpoint_is_found_by_its_signature(path: Path) -> None:
    forged(path, None)
    findings = verify(path)
    assert [(damage.where, damage.what) for damage in findings.damage] == [
        ("checkpoint", "a checkpoint whose signature is forged")
    ]


def test_one_that_somebody_else_has_signed_is_found_by_who_knows_the_key(path: Path) -> None:
    forged(path, FORGER)
    assert verify(path).keys == [SIGNER.public_key.hex(), FORGER.public_key.hex()]  # nothing else can be said
    assert "signed by another" in verify(path, key=SIGNER.public_key).damage[0].what


def test_without_an_identity_checkpoints_hold_all_the_same(tmp_path: Path) -> None:
    path = small(tmp_path / "memory.db", signer=None)
    findings = verify(path)
    assert (findings.ok, findings.signed, findings.checkpoints) == (True, 0, 3)
    assert not verify(path, key=SIGNER.public_key).ok  # but whoever expects this hub's is told
    rechained(path)
    assert told(verify(path)) == [("frame", 40, 40)]


def test_a_replaced_database_is_found_by_an_earlier_head(path: Path, tmp_path: Path) -> None:
    head = verify(path).head
    assert verify(path, expect=head).ok
    other = small(tmp_path / "other.db")
    assert [damage.what for damage in verify(other, expect=head).damage] == ["the one that is expected is not there"]
    Rig(path).close()
    assert verify(path, expect=head).ok  # what has grown since is the same


def test_a_removed_end_is_found_where_a_head_was_kept(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "earlier.db")
    rig = Rig(path)
    rig.commit(40)
    rig.close()
    head = verify(path).head
    findings = verify(tmp_path / "earlier.db")
    assert findings.ok  # nothing in it says that there was more
    assert not verify(tmp_path / "earlier.db", expect=head).ok


def test_what_came_after_the_newest_checkpoint_is_counted(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    rig.commit(0)
    rig.commit(1, 2)
    findings = verify(rig.path)  # while it is in use
    assert (findings.ok, findings.unsealed) == (True, 2)
    rig.close()
    assert verify(rig.path).unsealed == 0


def test_an_altered_log_takes_back_commits_and_that_is_found(tmp_path: Path) -> None:
    """As a kill leaves it: the newest commits are only in SQLite's log, which it reads up to the first fault."""
    rig = Rig(tmp_path / "memory.db")
    for seq in range(6):
        rig.commit(seq)
    place = tmp_path / "killed"
    place.mkdir()
    killed = place / "memory.db"
    shutil.copy(rig.path, killed)
    log = rig.path.with_name("memory.db-wal").read_bytes()
    rig.close()

    def found(spoilt: bytes) -> tuple[Findings, list[tuple[object, ...]]]:
        for part in ("-wal", "-shm"):
            killed.with_name(killed.name + part).unlink(missing_ok=True)
        killed.with_name("memory.db-wal").write_bytes(spoilt)
        findings = verify(killed)
        return findings, content(killed) if findings.ok else []

    findings, before = found(log)
    assert findings.ok
    assert findings.records["frame"] == 6
    rng = random.Random(1)
    for place_of in range(0, len(log), 997):
        spoilt = log[:place_of] + bytes((log[place_of] ^ (1 << rng.randrange(8)),)) + log[place_of + 1 :]
        findings, after = found(spoilt)
        assert not findings.ok or after == before, place_of
    assert not found(log[: len(log) // 2])[0].ok or found(log[: len(log) // 2])[0].records["frame"] < 6


@pytest.mark.parametrize("head", ["1", "x:00", "1:zz"])
def test_a_head_that_is_none_is_named(path: Path, head: str) -> None:
    with pytest.raises(ConfigError, match="NUMBER:HASH"):
        verify(path, expect=head)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        verify(tmp_path / "memory.db")


def garbage() -> Iterable[bytes]:
    rng = random.Random(1)
    yield b""
    yield b"SQLite format 3\x00"
    for size in (1, 99, 100, 512, 4_096, 20_000):
        yield rng.randbytes(size)
        yield b"SQLite format 3\x00" + rng.randbytes(size)
        yield b"SQLite format 3\x00\x10\x00\x01\x01\x00\x40\x20\x20" + rng.randbytes(size)


def test_garbage_is_never_a_memory_and_never_an_exception(tmp_path: Path) -> None:
    for number, given in enumerate(garbage()):
        path = tmp_path / f"{number}.db"
        path.write_bytes(given)
        with suppress(ConfigError):  # one of another program, or of a newer version
            assert not verify(path).ok


def test_a_cut_off_file_is_damaged(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    cut = tmp_path / "cut.db"
    for length in range(100, len(whole), 1_531):
        cut.write_bytes(whole[:length])
        assert not verify(cut).ok


def test_the_content_is_what_is_compared(path: Path, tmp_path: Path) -> None:
    before = content(path)
    altered(path, "UPDATE frames SET frame = x'00' WHERE number = 1")
    assert content(path) != before
    assert STREAM.node in repr(before)
