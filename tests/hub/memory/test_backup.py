"""Copies that are made while the hub writes, and put back."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from becomingone.errors import ConfigError
from becomingone.hub.memory.backup import backup, restore
from becomingone.hub.memory.verify import verify

from .posts import SIGNER, STREAM, Rig, altered, rows

NOW_US = 1_700_000_000_000_000


def test_a_backup_is_a_memory_of_its_own(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    rig.remember("event", 1)
    rig.commit(*range(100))
    copy = tmp_path / "copy.db"
    seen: list[tuple[int, int]] = []
    findings = backup(rig.path, copy, progress=lambda done, of: seen.append((done, of)))
    assert findings.ok
    assert findings.records == {"checkpoint": 1, "event": 1, "frame": 100}
    assert seen[-1][0] == seen[-1][1] > 0
    assert {file.name for file in tmp_path.iterdir() if "copy" in file.name} == {"copy.db"}  # and nothing beside it
    rig.commit(100)
    rig.close()
    assert len(rows(copy)) == 100


def test_a_backup_is_of_one_instant_while_the_hub_writes(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db", max_mb=100.0)
    for first in range(0, 20_000, 5_000):
        rig.commit(*range(first, first + 5_000))
    done, commits = threading.Event(), 0
    found = []

    def copy() -> None:
        try:
            found.append(backup(rig.path, tmp_path / "copy.db"))
        finally:
            done.set()

    thread = threading.Thread(target=copy)
    thread.start()
    seq = 20_000
    while not done.is_set() or commits < 3:
        rig.commit(*range(seq, seq + 50))
        seq += 50
        commits += 1
    thread.join()
    rig.close()
    assert found[0].ok
    assert 20_000 <= found[0].records["frame"] <= seq
    assert verify(rig.path).records["frame"] == seq


def test_nothing_is_overwritten_and_nothing_half_done_is_left(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    rig.commit(0)
    rig.close()
    (tmp_path / "copy.db").write_text("somebody's")
    with pytest.raises(ConfigError, match=r"copy\.db exists"):
        backup(rig.path, tmp_path / "copy.db")
    with pytest.raises(ConfigError, match="there is no such file"):
        backup(tmp_path / "none.db", tmp_path / "other.db")
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        backup(rig.path, tmp_path / "no" / "folder.db")
    altered(rig.path, "UPDATE frames SET frame = x'00'")
    assert not backup(rig.path, tmp_path / "other.db").ok
    assert {file.name for file in tmp_path.iterdir()} <= {
        "memory.db", "memory.db-wal", "memory.db-shm", "memory.db.lock", "copy.db",
    }  # fmt: skip


def test_what_is_restored_goes_on_where_it_was(tmp_path: Path) -> None:
    path, copy = tmp_path / "memory.db", tmp_path / "copy.db"
    rig = Rig(path)
    rig.commit(*range(10))
    backup(path, copy)
    rig.remember("event", 1)
    rig.commit(*range(10, 15))
    with pytest.raises(ConfigError, match="is used by process"):
        restore(copy, path, now_us=NOW_US)
    rig.close()
    head = verify(path).head
    restored = restore(copy, path, now_us=NOW_US, key=SIGNER.public_key)
    assert restored.aside == tmp_path / "memory.db.replaced-20231114T221320Z"
    assert restored.newer == {"frame": 5, "event": 1}
    assert len(rows(restored.aside)) == 15
    assert verify(restored.aside).ok
    again = Rig(path, boot=2)
    assert again.memory.marks() == {STREAM: 9}
    again.commit(10)
    again.close()
    assert verify(path, key=SIGNER.public_key).ok
    assert not verify(path, expect=head).ok  # whoever kept the head sees that it has gone back


def test_a_first_memory_can_be_restored_where_there_is_none(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    rig.commit(0)
    backup(rig.path, tmp_path / "copy.db")
    rig.close()
    restored = restore(tmp_path / "copy.db", tmp_path / "new" / "memory.db", now_us=NOW_US)
    assert (restored.aside, restored.newer) == (None, {})
    assert len(rows(tmp_path / "new" / "memory.db")) == 1


def test_a_damaged_backup_replaces_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    rig.commit(*range(100))
    backup(rig.path, tmp_path / "copy.db")
    rig.close()
    altered(tmp_path / "copy.db", "UPDATE frames SET time_us = 1 WHERE number = 50")
    before = rig.path.read_bytes()
    with pytest.raises(ConfigError, match=r"copy\.db is damaged, and nothing has been changed: frame 50: altered"):
        restore(tmp_path / "copy.db", rig.path, now_us=NOW_US)
    (tmp_path / "garbage.db").write_bytes(b"garbage" * 1_000)
    with pytest.raises(ConfigError, match="does not begin as a database"):
        restore(tmp_path / "garbage.db", rig.path, now_us=NOW_US)
    assert rig.path.read_bytes() == before


def test_a_damaged_memory_can_be_replaced(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    rig.commit(0)
    backup(rig.path, tmp_path / "copy.db")
    rig.close()
    rig.path.write_bytes(b"garbage" * 1_000)
    restored = restore(tmp_path / "copy.db", rig.path, now_us=NOW_US)
    assert restored.newer is None
    assert restored.aside is not None
    assert restored.aside.read_bytes().startswith(b"garbage")
    assert verify(rig.path).ok


def test_a_backup_on_a_medium_that_may_not_be_written_can_be_verified(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "memory.db")
    rig.commit(0)
    rig.close()
    folder = tmp_path / "medium"
    folder.mkdir()
    shutil.copy(rig.path, folder / "memory.db")  # as it was written: with the mark of a write-ahead log
    folder.chmod(0o500)
    assert verify(folder / "memory.db").ok
