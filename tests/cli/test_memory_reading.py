"""`becomingone memory query|reconstruct|recall|export` as a program, on a memory that a hub has written."""

from __future__ import annotations

import cmath
import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.hub.memory.posts import Posts
from tests.hub.memory.remembering import BANDS, START_US, Walk, kept, run

from becomingone.cli import main
from becomingone.hub.memory.recorder import Recorder, RememberSection
from becomingone.hub.memory.section import MemorySection
from becomingone.hub.memory.store import SqliteMemory

from .running import run as program

SECOND = 1_000_000
END_US = START_US + 400 * SECOND

Ask = Callable[..., int]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's folder, with its configuration; 400 s of a mesh, two events, 20 frames."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "hub.yaml").write_text(f"cell: home\nstate_dir: {folder}\n")
    path = folder / "home" / "hub" / "memory.db"
    memory = SqliteMemory(path, Posts(), section=MemorySection(commit_s=0.01))
    walk = Walk(1)
    made = Recorder(RememberSection(), walk.bands, walk.table, memory=memory)
    run(made, walk, START_US, END_US, tick_us=500_000)
    made.event("7-1", "emergence", START_US + 10 * SECOND, {"band": "stride", "p": 0.001})
    made.event("7-2", "lost", START_US + 20 * SECOND, {"node": "kitchen"})
    made.witnessed("meso", START_US + 30 * SECOND, {"nis": 1.0})
    made.close()
    records = [kept(seq, START_US + seq * SECOND, [0.1 * seq]) for seq in range(20)]
    memory.commit(records, {records[0].stream: 19}, lambda _kept: None)
    memory.close()
    return folder


@pytest.fixture
def ask(house: Path) -> Ask:
    def asked(*words: str) -> int:
        return main(["memory", words[0], str(house / "hub.yaml"), *words[1:]])

    return asked


RANGE = ("--from", f"{START_US // SECOND}", "--to", f"{END_US // SECOND}")


def test_query_prints_what_was_told(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("query", *RANGE, "--json") == 0
    bodies = [json.loads(line)["body"] for line in capsys.readouterr().out.splitlines()]
    assert [body["id"] for body in bodies] == ["7-1", "7-2"]
    assert ask("query", *RANGE, "--band", "stride") == 0
    assert capsys.readouterr().out.startswith("2023-11-14T22:13:30.000000Z  7-1  emergence  ")
    assert ask("query", *RANGE, "--kind", "mesh", "--band", "breath", "--limit", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "breath: C 0." in lines[0]
    assert "stride" not in lines[0]
    for kind in ("signature", "witness", "pattern"):
        assert ask("query", *RANGE, "--kind", kind, "--limit", "1") == 0
        assert capsys.readouterr().out.count("\n") == 1
    assert ask("query", "--from", "2020-01-01", "--to", "2020-01-02T12:00:00+01:00") == 0
    assert "nothing of kind event from 2020-01-01T00:00:00.000000Z to 2020-01-02T11:00:00" in capsys.readouterr().err


def test_reconstruct_tells_value_and_bound(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    at = f"{START_US // SECOND + 200}"
    assert ask("reconstruct", "--at", at, "--json") == 0
    state = json.loads(capsys.readouterr().out)
    assert [(band["band"], band["source"]) for band in state["bands"]] == [("stride", "entry"), ("breath", "entry")]
    assert 0.7 <= state["coherence"] <= 0.9
    assert state["bound"] <= 1e-4
    assert ask("reconstruct", "--at", at, "--band", "stride", "--window", "60") == 0
    text = capsys.readouterr().out
    assert "(exact)" in text
    assert "breath" not in text
    assert ask("reconstruct", "--at", "2020-01-01") == 1
    assert "nobody measured anything" in capsys.readouterr().out


def test_reconstruct_tells_of_one_channel(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    at = f"{START_US // SECOND + 15}"
    assert ask("reconstruct", "--at", at, "--channel", "n0/stride/leg", "--window", "10", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    phases = [0.1 * seq - 2 * math.pi * 0.78 * seq for seq in range(6, 16)]
    assert told["coherence"] == pytest.approx(abs(sum(cmath.rect(1, phase) for phase in phases)) / 10, abs=1e-5)
    assert told["bound"] == 0.0
    assert ask("reconstruct", "--at", at, "--channel", "n0/stride/arm", "--window", "10") == 1
    assert "nothing is known" in capsys.readouterr().out
    assert ask("reconstruct", "--at", at, "--channel", "n0", "--window", "10") == 2
    assert "--channel 'n0': must be node/band/channel" in capsys.readouterr().err
    assert ask("reconstruct", "--at", at, "--channel", "n0/stride/leg") == 2
    assert "needs --window" in capsys.readouterr().err


def test_recall_finds_moments(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    at = f"{END_US // SECOND}"
    assert ask("recall", "--at", at, "--band", "stride", "--top", "3", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["moments"]) == 3
    assert found["searched"] == 33
    assert found["typical"] > 0.9
    assert ask("recall", "--at", at, "--band", "stride", "--top", "1") == 0
    assert "typical score" in capsys.readouterr().out


def test_export_writes_csv_and_xdf(ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures.csv"
    assert ask("export", *RANGE, "--format", "csv", "--out", str(out)) == 0
    with out.open(newline="") as file:
        assert len(list(csv.reader(file))) > 400
    assert "rows of figures" in capsys.readouterr().out
    out = tmp_path / "all.xdf"
    assert ask("export", *RANGE, "--format", "xdf", "--out", str(out), "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert done["samples"] == 20
    assert done["events"] == 2
    pyxdf = pytest.importorskip("pyxdf")
    streams, _ = pyxdf.load_xdf(out)
    about = next(stream["info"]["desc"][0] for stream in streams if stream["info"]["name"] == ["n0/stride/leg"])
    assert about["frequency_hz"] == [repr(BANDS[0].frequency_hz)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("query", *RANGE[2:], "--from", "2099-01-01"), "--from 2099-01-01T00:00:00.000000Z: must be before --to"),
        (("reconstruct", "--at", "now", "--band", "gamma"), "--band gamma: the memory has stride, breath"),
        (("recall", "--at", "now", "--band", "stride"), "has no pattern within 60 s before that time"),
        (("export", "--format", "csv", "--out", "none/x.csv"), "--out none/x.csv: must be a file in a folder"),
        (
            ("export", "--format", "csv", "--out", "x", "--what", "all"),
            "--what all: must be of frames, figures, events",
        ),
        (("export", "--format", "csv", "--out", "x", "--what", "frames,events"), "a CSV file holds one of"),
        (("query", "--database", "x.db"), "give either CONFIG"),
        (("export", "--format", "csv", "--out", "/"), "--out /: must be a file in a folder that is there"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    ask: Ask, words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(*words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("text", ["yesterday", "-2y", "2026-13-01", "-1", "1e9", "99999-01-01", "-999999w"])
def test_a_time_that_is_none_is_refused(ask: Ask, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        ask("query", "--from", text)
    assert ended.value.code == 2
    assert "argument --from: must be now, -2h" in capsys.readouterr().err


def test_without_a_memory_it_says_where_one_would_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "query", "--database", str(tmp_path / "no.db")]) == 2
    assert "no.db: there is no such file" in capsys.readouterr().err
    assert main(["memory", "query"]) == 2
    assert "give either CONFIG" in capsys.readouterr().err


def test_it_runs_as_a_program_while_a_hub_writes(house: Path) -> None:
    path = house / "home" / "hub" / "memory.db"
    memory = SqliteMemory(path, Posts(), section=MemorySection(commit_s=0.01))
    try:
        asked = program("memory", "query", "--database", str(path), "--from", "-520w", "--json", "--limit", "1")
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)["body"]["id"] == "7-1"
    finally:
        memory.close()
