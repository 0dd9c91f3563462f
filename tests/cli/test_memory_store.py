"""`memory verify`, `backup`, `restore` and `migrate`, as their users run them."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from becomingone.cli import main
from becomingone.hub.memory.protocol import Record, StreamKey
from becomingone.hub.memory.section import MemorySection
from becomingone.hub.memory.store import SqliteMemory
from becomingone.scheduling import SystemClock, Timer
from becomingone.wire.signature import Signer

from .running import run

STREAM = StreamKey("kitchen", "stride", "leg", 3)
SEED = bytes(range(32))


class Loop(SystemClock):
    """Hears of one commit after the other."""

    def __init__(self) -> None:
        self.heard = threading.Semaphore(0)

    def post(self, callback: object) -> None:
        self.heard.release()

    def call_at(self, when_ns: int, callback: object) -> Timer:
        raise NotImplementedError


def memory(path: Path, frames: int = 20) -> SqliteMemory:
    loop = Loop()
    it = SqliteMemory(path, loop, section=MemorySection(), signer=Signer(SEED), boot=1)
    it.append("event", 1, {"kind": "emergence"})
    it.commit([Record(STREAM, seq, seq, b"frame") for seq in range(frames)], {STREAM: frames - 1}, lambda _: None)
    assert loop.heard.acquire(timeout=20.0)
    return it


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the memory of a cell whose hub has been stopped."""
    place = tmp_path / "state" / "home" / "hub" / "memory.db"
    memory(place).close()
    return place


def config(tmp_path: Path, **secure: str) -> Path:
    file = tmp_path / "hub.yaml"
    text = f"cell: home\nstate_dir: {tmp_path / 'state'}\n"
    if secure:
        text += "security:\n" + "".join(f"  {name}: {value}\n" for name, value in secure.items())
    file.write_text(text)
    return file


def alter(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE frames SET frame = x'00' WHERE number = 7")


def test_verify_says_that_all_is_well_and_what_there_is(path: Path) -> None:
    told = run("memory", "verify", "--database", str(path))
    assert told.returncode == 0, told.stderr
    assert "frame                20 as written" in told.stdout
    assert f"signed by    {Signer(SEED).public_key.hex()}" in told.stdout
    assert "memory.db: as it was written" in told.stdout
    assert told.stderr == ""  # no progress bar where nobody looks


def test_verify_says_which_record_is_wrong_and_fails(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alter(path)
    assert main(["memory", "verify", "--database", str(path)]) == 1
    told = capsys.readouterr().out
    assert "damaged      frame 7: altered" in told
    assert "DAMAGED" in told
    assert main(["memory", "verify", "--database", str(path), "--json"]) == 1
    told = capsys.readouterr().out
    assert json.loads(told)["damage"] == [{"where": "frame", "first": 7, "last": 7, "what": "altered"}]


def test_verify_knows_the_hub_s_key_by_its_configuration(path: Path, tmp_path: Path) -> None:
    own = config(tmp_path, secret=SEED.hex(), signing_key=SEED.hex())
    assert main(["memory", "verify", str(own), "--json"]) == 0
    other = config(tmp_path, secret=SEED.hex(), signing_key=bytes(range(1, 33)).hex())
    assert main(["memory", "verify", str(other), "--json"]) == 1
    assert main(["memory", "verify", "--database", str(path), "--key", Signer(SEED).public_key.hex(), "--json"]) == 0


def test_an_earlier_head_is_expected(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "verify", "--database", str(path), "--json"]) == 0
    head = json.loads(capsys.readouterr().out)["head"]
    assert main(["memory", "verify", "--database", str(path), "--expect", head]) == 0
    assert main(["memory", "verify", "--database", str(path), "--expect", f"1:{'0' * 64}"]) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["verify"], "give CONFIG, the hub's hub.yaml, or --database FILE"),
        (["verify", "--database", "/nonexistent.db"], "/nonexistent.db: there is no such file"),
        (["verify", "--database", "PATH", "--key", "abc"], "--key: 'abc' must be the 32 bytes of a public key"),
        (["verify", "--database", "PATH", "--expect", "abc"], "expect: 'abc' is no NUMBER:HASH"),
        (["backup", "--database", "PATH", "--out", "PATH"], "exists: give another name"),
        (["restore", "/nonexistent.db", "--database", "PATH"], "/nonexistent.db: there is no such file"),
        (["migrate", "--database", "/nonexistent.db"], "there is no such file, and no frames.db beside it"),
    ],
)
def test_a_wrong_question_has_one_clear_line(
    path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["memory", *(str(path) if word == "PATH" else word for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_backup_is_made_while_the_hub_runs_and_put_back_when_it_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "state" / "home" / "hub" / "memory.db"
    file = str(config(tmp_path))
    it = memory(place)
    copy = tmp_path / "copy.db"
    made = run("memory", "backup", file, "--out", str(copy))  # from another process, as it will be
    assert made.returncode == 0, made.stderr
    assert "verified; head 1:" in made.stdout
    refused = run("memory", "restore", str(copy), file)
    assert refused.returncode == 2
    assert "is used by process" in refused.stderr
    it.commit([Record(STREAM, 20, 20, b"frame")], {STREAM: 20}, lambda _: None)
    it.close()
    assert main(["memory", "restore", str(copy), file]) == 0
    told = capsys.readouterr().out
    assert "what was there is kept as" in told
    assert "committed since, and only there: 1 of kind frame" in told
    assert "the nodes have let go of them" in told
    assert main(["memory", "verify", file]) == 0


def test_there_is_no_backup_of_a_damaged_memory(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alter(path)
    assert main(["memory", "backup", "--database", str(path), "--out", str(tmp_path / "copy.db")]) == 1
    assert "frame 7: altered" in capsys.readouterr().out
    assert not (tmp_path / "copy.db").exists()
    assert main(["memory", "backup", "--database", str(path), "--out", str(tmp_path / "no" / "copy.db")]) == 1
    assert "there is no backup" in capsys.readouterr().err


def test_migrate_says_what_it_has_done(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "migrate", "--database", str(path)]) == 0
    assert "of the present version already" in capsys.readouterr().out
