"""The memory on a disk: within its room, honest when the disk fails, one writer at a time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from becomingone.errors import ConfigError
from becomingone.hub.memory.protocol import Record
from becomingone.hub.memory.verify import verify

from .posts import STREAM, Rig, altered, rows

BREAK = "CREATE TRIGGER worn BEFORE UPDATE ON streams BEGIN SELECT RAISE(ABORT, 'worn out'); END"
MEND = "DROP TRIGGER worn"


def test_what_was_committed_can_be_read_by_a_stranger(tmp_path: Path) -> None:
    path = tmp_path / "state" / "memory.db"
    rig = Rig(path)
    rig.remember("event", 5, b=1, a="ö")
    assert rig.commit(0, 1, 2) == {STREAM: 2}
    rig.close()
    assert rows(path) == [(*STREAM, seq, 1_000 * seq) for seq in range(3)]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT body FROM entries WHERE kind = 'event'").fetchall() == [('{"a":"ö","b":1}',)]


def test_what_cannot_be_written_is_not_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    rig = Rig(path)
    rig.commit(0)
    altered(path, BREAK)
    rig.remember("event", 1)
    assert rig.commit(1) is None
    assert "worn out" in rig.memory.figures()["fault"]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM frames").fetchone() == (1,)
    altered(path, MEND)
    assert rig.commit(1) == {STREAM: 1}
    assert [(told["state"], told["kind"]) for told in rig.heard] == [("failed", "memory"), ("works", "memory")]
    assert rig.memory.figures()["fault"] == ""
    reader = rig.memory.reader()
    assert reader.last("event") is not None  # what waited meanwhile was not lost
    reader.close()
    rig.close()
    assert verify(path).ok


def test_a_loop_that_has_ended_waits_for_nobody(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    rig.posts.ended = True
    rig.memory.commit([Record(STREAM, 0, 0, b"x")], {STREAM: 0}, rig.told.append)
    rig.memory.close()
    assert rig.told == []


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    altered(path, "CREATE TABLE diary (day TEXT)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"memory\.db is a database of another program"):
        Rig(path)
    assert path.read_bytes()[100:] == before[100:]  # but for the header's note of how it is written


def test_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    Rig(path).close()
    altered(path, "PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match=r"newer version \(99, this one knows 2\)"):
        Rig(path)
    altered(path, "PRAGMA user_version = 2")
    Rig(path).close()


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigError, match="state_dir"):
        Rig(tmp_path / "file" / "memory.db")


def test_a_number_that_no_table_holds_ends_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    assert rig.commit(1 << 63) is None
    assert rig.commit(0) == {STREAM: 0}
    rig.close()
    assert verify(rig.path).ok


def test_a_database_that_is_deleted_while_it_is_open_is_made_anew_with_its_marks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state" / "memory.db"
    rig = Rig(path)
    rig.commit(0)
    other = STREAM._replace(boot=4)
    rig.commit(7, stream=other)
    for file in path.parent.iterdir():
        file.unlink()
    assert rig.commit(6) == {STREAM: 6}
    assert rows(path) == [(*STREAM, 6, 6_000)]
    assert "no longer the file that was opened" in caplog.text
    rig.close()
    again = Rig(path)
    assert again.memory.marks() == {STREAM: 6, other: 7}  # what was acknowledged is not asked for again
    again.close()
    assert verify(path).ok


def test_a_fault_is_told_once_and_so_is_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path / "memory.db")
    rig.commit(0)
    altered(rig.path, BREAK)
    for seq in range(1, 6):
        assert rig.commit(seq) is None
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    assert rig.memory.figures()["failures"] == 5
    altered(rig.path, MEND)
    assert rig.commit(6) == {STREAM: 6}
    assert caplog.records[-1].getMessage() == f"{rig.path} can be written again"
    rig.close()


def test_a_full_disk_acknowledges_nothing_until_there_is_room(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    rig.commit(0)
    ledger = rig.memory._writer._ledger
    assert ledger is not None
    pages = ledger.database.execute("PRAGMA page_count").fetchone()[0]
    ledger.database.execute(f"PRAGMA max_page_count = {pages}")
    assert rig.commit(*range(1, 500), size=1_000) is None
    assert "full" in rig.memory.figures()["fault"]
    assert rig.commit(*range(1, 500), size=1_000) == {STREAM: 499}  # it was opened anew, and there is room
    rig.close()
    assert len(rows(rig.path)) == 500
    assert verify(rig.path).ok


def test_the_end_does_not_wait_for_a_disk_that_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path / "memory.db")
    with closing(sqlite3.connect(rig.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        rig.memory.commit([Record(STREAM, 0, 0, b"x")], {STREAM: 0}, rig.told.append)
        began = time.monotonic()
        rig.memory.close()
        assert time.monotonic() - began < 4.0  # SQLite itself would wait for 5 s
        other.execute("ROLLBACK")
    assert "has not returned" in caplog.text
    rig.memory._thread.join(20.0)


def test_two_processes_do_not_write_one_memory(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    with pytest.raises(ConfigError, match=r"memory\.db is used by process \d+: stop that one"):
        Rig(tmp_path / "memory.db")
    code = "import pathlib, sys; from becomingone.hub.memory import lock; lock.FileLock(pathlib.Path(sys.argv[1]))"
    tried = subprocess.run(
        [sys.executable, "-c", code, f"{rig.path}.lock"], check=False, capture_output=True, text=True, timeout=60
    )
    assert "is used by process" in tried.stderr
    rig.close()
    Rig(rig.path).close()


def test_a_reader_does_not_hold_up_the_writer_nor_grow_its_log(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db", max_mb=100.0)
    rig.commit(*range(5_000))
    reader = rig.memory.reader()
    reading = reader.frames(0, 1 << 62)
    assert next(reading).seq == 0
    for first in range(5_000, 45_000, 1_000):
        assert rig.commit(*range(first, first + 1_000)) is not None
    log = rig.path.with_name("memory.db-wal")
    assert log.stat().st_size < 8e6  # it was begun anew although somebody is reading
    assert sum(1 for _ in reading) == 44_999
    reader.close()
    rig.close()


def test_it_is_ready_within_a_moment_whatever_it_holds(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db", max_mb=100.0)
    for first in range(0, 60_000, 20_000):
        rig.commit(*range(first, first + 20_000))
    rig.close()
    began = time.perf_counter()
    again = Rig(rig.path)
    took = time.perf_counter() - began
    again.close()
    assert took < 2.0


def test_what_happens_before_anybody_listens_is_told_later(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    path.write_bytes(b"no database, but somebody's diary" * 100)
    rig = Rig(path)
    rig.posts.look()
    assert [told["state"] for told in rig.heard] == ["damaged", "lost"]
    assert rig.commit(0) == {STREAM: 0}
    rig.close()
