"""Databases of earlier versions: made into the present one, with what was before kept."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from becomingone.errors import ConfigError
from becomingone.hub.memory import migrate as module
from becomingone.hub.memory.migrate import migrate
from becomingone.hub.memory.verify import verify

from .posts import SIGNER, STREAM, Rig, altered, rows

NOW_US = 1_700_000_000_000_000
OLD = """
CREATE TABLE frames (
    node TEXT NOT NULL, band TEXT NOT NULL, channel TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
    time_us INTEGER NOT NULL, frame BLOB NOT NULL,
    PRIMARY KEY (node, band, channel, boot, seq)
) WITHOUT ROWID;
CREATE INDEX frames_by_time ON frames (time_us);
CREATE TABLE marks (
    node TEXT NOT NULL, band TEXT NOT NULL, channel TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (node, band, channel, boot)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def old(path: Path, *seqs: int) -> None:
    """Make what earlier versions of the hub have made."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(OLD)
        database.execute("BEGIN")
        for seq in seqs:
            database.execute("INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?)", (*STREAM, seq, 1_000 * seq, b"frame"))
        database.execute("INSERT INTO marks VALUES (?, ?, ?, ?, ?)", (*STREAM, max(seqs)))
        database.execute("COMMIT")


def test_kept_frames_of_the_first_version_are_taken_over(tmp_path: Path) -> None:
    old(tmp_path / "frames.db", *range(50))
    rig = Rig(tmp_path / "memory.db")
    assert rig.memory.marks() == {STREAM: 49}
    assert rig.commit(50) == {STREAM: 50}
    rig.close()
    assert rows(rig.path) == [(*STREAM, seq, 1_000 * seq) for seq in range(51)]
    assert verify(rig.path, key=SIGNER.public_key).ok
    assert {file.name for file in tmp_path.iterdir()} >= {"memory.db", "frames.db.version1"}
    assert not (tmp_path / "frames.db").exists()
    with closing(sqlite3.connect(tmp_path / "frames.db.version1")) as database:
        assert database.execute("SELECT count(*) FROM frames").fetchone() == (50,)
    Rig(rig.path).close()


class Killed(BaseException):
    """What a kill looks like from within."""


@pytest.mark.parametrize("at", range(1, 14))
def test_a_kill_at_any_moment_leaves_either(tmp_path: Path, at: int) -> None:
    """Each change of a name, each removal and each sync is such a moment."""
    old(tmp_path / "frames.db", *range(50))
    moments = 0

    def killed(real):  # type: ignore[no-untyped-def]
        def call(*arguments, **options):  # type: ignore[no-untyped-def]
            nonlocal moments
            moments += 1
            if moments == at:
                raise Killed
            return real(*arguments, **options)

        return call

    with (
        mock.patch.object(Path, "rename", killed(Path.rename)),
        mock.patch.object(Path, "unlink", killed(Path.unlink)),
        mock.patch.object(os, "fsync", killed(os.fsync)),
        mock.patch.object(module.Ledger, "add_frames", killed(module.Ledger.add_frames)),
        mock.patch.object(module.Ledger, "set_marks", killed(module.Ledger.set_marks)),
    ):
        try:
            migrate(tmp_path / "memory.db", now_us=NOW_US)
        except Killed:
            pass
        else:
            assert moments < at
    either = [name for name in ("frames.db", "memory.db") if (tmp_path / name).exists()]
    assert either
    rig = Rig(tmp_path / "memory.db")
    assert rig.memory.marks() == {STREAM: 49}
    rig.close()
    assert len(rows(rig.path)) == 50
    assert verify(rig.path).ok
    assert not (tmp_path / "frames.db").exists()


def test_what_an_older_program_has_written_since_is_taken_over_too(tmp_path: Path) -> None:
    old(tmp_path / "frames.db", *range(50))
    rig = Rig(tmp_path / "memory.db")
    rig.commit(50)
    rig.close()
    old(tmp_path / "frames.db", *range(40, 60))
    again = Rig(tmp_path / "memory.db")
    assert again.memory.marks() == {STREAM: 59}
    again.close()
    assert [row[4] for row in rows(rig.path)] == list(range(60))
    assert verify(rig.path, key=SIGNER.public_key).ok
    assert len([file for file in tmp_path.iterdir() if "frames.db.version1" in file.name]) == 2  # both are kept


def test_later_versions_will_go_step_by_step_with_a_backup_of_each(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    rig = Rig(path)
    rig.commit(0)
    rig.close()

    def step(source: Path, fresh: Path, _context: module.Context) -> None:
        fresh.write_bytes(source.read_bytes())
        with closing(sqlite3.connect(fresh)) as database:
            (found,) = database.execute("PRAGMA user_version").fetchone()
            database.execute(f"PRAGMA user_version = {found + 1}")

    with (
        mock.patch.object(module, "VERSION", 4),
        mock.patch.dict(module.STEPS, {2: step, 3: step}),
    ):
        kept = migrate(path, now_us=NOW_US)
    assert [file.name for file in kept] == ["memory.db.version2", "memory.db.version3"]
    assert verify(kept[0]).ok
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (4,)
        assert database.execute("SELECT count(*) FROM frames").fetchone() == (1,)
    with mock.patch.object(module, "VERSION", 5), pytest.raises(ConfigError, match="version 4, which nothing can read"):
        migrate(path, now_us=NOW_US)


def test_a_damaged_first_version_is_left_to_its_owner(tmp_path: Path) -> None:
    (tmp_path / "frames.db").write_bytes(b"garbage" * 1_000)
    with pytest.raises(ConfigError, match=r"frames\.db cannot be migrated: .*move it away to begin anew"):
        Rig(tmp_path / "memory.db")
    assert (tmp_path / "frames.db").read_bytes().startswith(b"garbage")
    assert not (tmp_path / "memory.db").exists()


def test_a_newer_frames_db_is_refused(tmp_path: Path) -> None:
    old(tmp_path / "frames.db", 0)
    altered(tmp_path / "frames.db", "PRAGMA user_version = 7")
    with pytest.raises(ConfigError, match="newer version"):
        Rig(tmp_path / "memory.db")
