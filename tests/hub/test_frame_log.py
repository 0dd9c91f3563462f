"""Where kept frames are committed: on a disk, once each, within its room."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from becomingone.errors import ConfigError
from becomingone.hub.frame_log import LIVES, MemoryFrameLog, Record, SqliteFrameLog, StreamKey
from becomingone.sim.clock import VirtualScheduler

WAIT_S = 20.0
STREAM = StreamKey("kitchen", "stride", "leg", 3)


class Posts(VirtualScheduler):
    """A scheduler that hands over what a thread posts; `ended` refuses it, as a loop that has ended does."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = False
        self._posted = threading.Event()

    def post(self, callback: Callable[[], None]) -> None:
        if self.ended:
            raise RuntimeError("Event loop is closed")
        super().post(callback)
        self._posted.set()

    def turn(self) -> None:
        assert self._posted.wait(WAIT_S)
        self._posted.clear()
        self.run_for(0.0)


class Rig:
    def __init__(self, path: Path, *, max_mb: float = 10.0) -> None:
        self.posts = Posts()
        self.log = SqliteFrameLog(path, self.posts, max_mb=max_mb)
        self.told: list[Mapping[StreamKey, int] | None] = []

    def commit(self, *seqs: int, stream: StreamKey = STREAM, size: int = 90) -> Mapping[StreamKey, int] | None:
        records = [Record(stream, seq, 1_000 * seq, bytes(size)) for seq in seqs]
        self.log.commit(records, {stream: seqs[-1]}, self.told.append)
        self.posts.turn()
        return self.told[-1]


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.execute("SELECT node, band, channel, boot, seq, time_us FROM frames ORDER BY seq"))


def test_what_was_committed_is_there_for_the_next_life(tmp_path: Path) -> None:
    path = tmp_path / "state" / "frames.db"
    rig = Rig(path)
    assert rig.log.marks() == {}
    assert rig.commit(0, 1, 2) == {STREAM: 2}
    rig.log.close()
    assert rows(path) == [(*STREAM, seq, 1_000 * seq) for seq in range(3)]
    again = Rig(path)
    assert again.log.marks() == {STREAM: 2}
    again.log.close()


def test_nothing_is_there_twice_and_no_mark_goes_back(tmp_path: Path) -> None:
    path = tmp_path / "frames.db"
    rig = Rig(path)
    rig.commit(0, 1, 2)
    rig.commit(0, 1)
    rig.log.close()
    assert len(rows(path)) == 3
    assert Rig(path).log.marks() == {STREAM: 2}


def test_what_cannot_be_written_is_not_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "frames.db"
    rig = Rig(path)
    rig.commit(0)
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE marks RENAME TO elsewhere")
    assert rig.commit(1) is None
    assert len(rows(path)) == 1  # the frame has not been kept without its mark
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE elsewhere RENAME TO marks")
    assert rig.commit(1) == {STREAM: 1}
    rig.log.close()


def test_when_it_is_full_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "frames.db"
    rig = Rig(path, max_mb=1.0)
    for first in range(0, 4_000, 500):
        assert rig.commit(*range(first, first + 500), size=1_000) == {STREAM: first + 499}
    rig.log.close()
    kept = [row[4] for row in rows(path)]
    assert 0 < len(kept) < 4_000
    assert kept == list(range(4_000 - len(kept), 4_000))
    assert Rig(path).log.marks() == {STREAM: 3_999}


def test_a_loop_that_has_ended_waits_for_nobody(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "frames.db")
    rig.posts.ended = True
    rig.log.commit([Record(STREAM, 0, 0, b"x")], {STREAM: 0}, rig.told.append)
    rig.log.close()
    assert rig.told == []


def test_what_is_no_such_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "frames.db"
    path.write_bytes(b"no database, but somebody's diary" * 100)
    with pytest.raises(ConfigError, match=r"frames\.db cannot be used"):
        Rig(path)
    assert path.read_bytes().startswith(b"no database")


def test_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "frames.db"
    Rig(path).log.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match=r"newer version \(99, this one knows 1\)"):
        Rig(path)


def test_the_one_in_memory_is_the_same_to_its_user() -> None:
    log = MemoryFrameLog()
    told: list[Mapping[StreamKey, int] | None] = []
    for _ in range(2):
        log.commit([Record(STREAM, 0, 0, b"x")], {STREAM: 0}, told.append)
    assert told == [{STREAM: 0}, {STREAM: 0}]
    assert log.marks() == {STREAM: 0}
    assert (len(log.records), log.writes) == (1, 2)


def test_a_number_that_no_table_holds_ends_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "frames.db")
    assert rig.commit(1 << 63) is None
    assert rig.commit(0) == {STREAM: 0}
    rig.log.close()


def test_a_database_that_is_destroyed_while_it_is_open_is_told_of_once_and_used_again_when_it_is_well(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state" / "frames.db"
    rig = Rig(path)
    rig.commit(0)
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE marks RENAME TO elsewhere")
    for seq in range(1, 6):
        assert rig.commit(seq) is None
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    for file in path.parent.iterdir():
        file.unlink()
    assert rig.commit(6) == {STREAM: 6}
    assert rows(path) == [(*STREAM, 6, 6_000)]
    assert caplog.records[-1].getMessage() == f"{path} can be written again"
    rig.log.close()


def test_the_end_does_not_wait_for_a_disk_that_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "frames.db"
    rig = Rig(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        rig.log.commit([Record(STREAM, 0, 0, b"x")], {STREAM: 0}, rig.told.append)
        began = time.monotonic()
        rig.log.close()
        assert time.monotonic() - began < 4.0  # SQLite itself would wait for 5 s
        other.execute("ROLLBACK")
    assert "has not returned" in caplog.text


def test_marks_of_lives_long_past_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "frames.db"
    rig = Rig(path)
    streams = [STREAM._replace(boot=boot) for boot in range(1, 41)]
    for stream in streams:
        rig.commit(0, stream=stream)
    rig.log.close()
    again = Rig(path)
    assert again.log.marks() == dict.fromkeys(streams[-LIVES:], 0)
    assert len(rows(path)) == 40  # the frames themselves stay
    again.log.close()
