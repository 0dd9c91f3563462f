"""A damaged memory is set aside, never deleted; what is right in it is taken over while the hub runs."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from becomingone.errors import ConfigError
from becomingone.hub.memory.opening import MOST_ASIDE
from becomingone.hub.memory.verify import verify

from .posts import SIGNER, STREAM, Rig, altered, rows

PAGE = 4_096


def filled(path: Path, frames: int = 5_000) -> None:
    rig = Rig(path)
    for number in range(100):
        rig.remember("event", number, n=number)
    rig.commit(*range(frames))
    rig.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = DELETE")


def asides(path: Path) -> list[Path]:
    return sorted(file for file in path.parent.glob(f"{path.name}.damaged-*") if "-wal" not in file.name)


def spoil(path: Path, table: str, *, pages: int = 1) -> None:
    """Overwrite leaves of a table with noise."""
    with closing(sqlite3.connect(path)) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    data = bytearray(path.read_bytes())
    leaves = [
        number
        for number in range(root + 1, len(data) // PAGE)
        if data[number * PAGE] == 13  # a leaf of a table
    ]
    for number in leaves[len(leaves) // 2 :][:pages]:
        data[number * PAGE : (number + 1) * PAGE] = random.Random(1).randbytes(PAGE)
    path.write_bytes(bytes(data))


def test_what_is_no_database_is_set_aside_and_the_hub_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "memory.db"
    path.write_bytes(b"no database, but somebody's diary" * 100)
    rig = Rig(path)
    assert rig.memory.marks() == {}
    assert rig.commit(0) == {STREAM: 0}
    assert rig.memory.figures()["damaged"] == 1
    (aside,) = asides(path)
    assert aside.read_bytes() == b"no database, but somebody's diary" * 100
    assert "is damaged" in caplog.text
    rig.close()
    assert verify(path).ok


def test_what_is_right_in_a_damaged_memory_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    filled(path)
    data = bytearray(path.read_bytes())
    data[24:100] = bytes(76)  # the header, so that it cannot be opened
    data[18:20] = b"\x09\x09"
    path.write_bytes(bytes(data))
    rig = Rig(path)
    rig.until(lambda: any(told["state"] in ("salvaged", "lost") for told in rig.heard))
    rig.close()
    assert verify(path).ok
    assert len(asides(path)) == 1


def test_frames_of_pages_that_cannot_be_read_are_lost_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    filled(path)
    spoil(path, "frames", pages=2)
    altered(path, "UPDATE root SET hash = zeroblob(32)")  # so that it is noticed at once
    rig = Rig(path, boot=2)
    assert rig.memory.marks() == {STREAM: 4_999}  # nothing that was acknowledged is asked for again
    assert rig.commit(5_000) == {STREAM: 5_000}  # at once, not when all is done
    rig.until(lambda: any(told["state"] == "salvaged" for told in rig.heard))
    figures = rig.memory.figures()
    assert 4_800 < figures["saved"] < 5_100
    assert 10 < figures["lost"] < 200
    rig.close()
    seqs = [row[4] for row in rows(path)]
    assert len(seqs) == len(set(seqs)) == figures["saved"] - 100 + 1
    assert 5_000 in seqs
    findings = verify(path, key=SIGNER.public_key)
    assert findings.ok, findings.damage
    assert findings.records["event"] == 100


def test_an_altered_record_is_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    filled(path, 100)
    altered(path, "UPDATE frames SET frame = x'00' WHERE number = 50")
    altered(path, "UPDATE root SET hash = zeroblob(32)")
    rig = Rig(path)
    rig.until(lambda: any(told["state"] == "salvaged" for told in rig.heard))
    rig.close()
    assert [row[4] for row in rows(path)] == [*range(49), *range(50, 100)]


def test_what_was_begun_is_finished_in_the_next_life(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    filled(path, 9_500)
    altered(path, "UPDATE root SET hash = zeroblob(32)")
    rig = Rig(path)
    rig.until(lambda: rig.memory.figures()["records"] > 3_000)
    rig.close()
    assert not any(told["state"] == "salvaged" for told in rig.heard)
    before = len(rows(path))
    again = Rig(path, boot=2)
    again.until(lambda: any(told["state"] == "salvaged" for told in again.heard))
    again.close()
    assert before < len(rows(path)) == 9_500
    findings = verify(path, key=SIGNER.public_key)
    assert findings.ok, findings.damage
    assert findings.records["event"] == 100  # once each
    assert not path.with_name("memory.db.salvage").exists()


def test_damage_that_is_met_while_it_runs_is_dealt_with_at_once(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    rig = Rig(path)
    rig.commit(*range(2_000))
    ledger = rig.memory._writer._ledger
    assert ledger is not None
    ledger.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // PAGE):  # everything but the first page
        data[page * PAGE : (page + 1) * PAGE] = b"\xff" * PAGE
    with path.open("r+b") as file:
        file.write(data)
    ledger.database.execute("PRAGMA shrink_memory")
    told = [rig.commit(seq, stream=STREAM._replace(boot=seq)) for seq in range(2_000, 2_010)]
    assert told[0] is None  # what met it is not acknowledged
    assert told[-1] is not None
    assert rig.memory.figures()["damaged"] == 1
    assert rig.heard[0]["state"] == "damaged"
    rig.close()
    again = Rig(path)
    assert again.memory.marks()[STREAM] == 1_999
    again.close()


def test_a_disk_that_spoils_everything_is_not_filled_with_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "memory.db"
    for _ in range(MOST_ASIDE):
        path.write_bytes(b"garbage" * 100)
        Rig(path).close()
    path.write_bytes(b"garbage" * 100)
    rig = Rig(path)
    assert rig.commit(0) is None  # nothing is acknowledged
    assert rig.commit(1) is None
    assert len(asides(path)) == MOST_ASIDE
    assert "see to the disk" in rig.memory.figures()["fault"]
    asides(path)[0].unlink()
    assert rig.commit(2) is None  # it is set aside now
    assert rig.commit(3) == {STREAM: 3}
    rig.close()


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_spoilt_the_hub_starts_and_says_so(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "memory.db"
    filled(path, 300)
    rng = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 20, 400))):
        data[rng.randrange(len(data) if seed % 2 else 4_096)] = rng.randrange(256)
    if seed % 3 == 0:
        del data[rng.randrange(1, len(data)) :]
    path.write_bytes(bytes(data))
    before = bytes(data)
    try:
        rig = Rig(path)
    except ConfigError:  # it looks like another program's, or a newer one: that is not ours to rename
        kept = path.read_bytes()
        assert kept[:18] == before[:18]
        assert len(kept) >= len(before) - PAGE
        return
    for seq in range(1_000, 1_004):
        rig.commit(seq)
    worked = rig.told[-1] is not None
    rig.close()
    assert worked or rig.memory.figures()["fault"]
