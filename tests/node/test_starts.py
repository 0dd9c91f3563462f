"""Failed starts are counted over lives, and lead to safe mode and out of it."""

import json
from pathlib import Path

import pytest

from becomingone.node import starts as module
from becomingone.node.starts import FILE, MOST_STRIKES, Starts, fingerprint


def start(folder: Path, name: str = "a", most: int = 3) -> Starts:
    made = Starts(folder, most=most, fingerprint=name)
    made.begin()
    return made


def test_starts_that_end_early_lead_to_safe_mode(tmp_path: Path) -> None:
    lives = [start(tmp_path) for _ in range(5)]
    assert [life.failed for life in lives] == [0, 1, 2, 3, 3]
    assert [life.safe for life in lives] == [False, False, False, True, True]


@pytest.mark.parametrize("life_before", range(3))
def test_a_life_that_was_stable_or_ended_well_has_not_failed(tmp_path: Path, life_before: int) -> None:
    for _ in range(life_before):
        start(tmp_path)
    start(tmp_path).succeeded()
    assert start(tmp_path).failed == 0


def test_safe_mode_stays_however_its_lives_end(tmp_path: Path) -> None:
    for _ in range(3):
        start(tmp_path)
    safe = start(tmp_path)
    safe.succeeded()
    safe.failing("not counted")
    assert start(tmp_path).safe


def test_a_restart_clears_the_count(tmp_path: Path) -> None:
    for _ in range(4):
        life = start(tmp_path)
    assert life.safe
    life.clear()
    life.succeeded()
    assert start(tmp_path).failed == 0


def test_another_configuration_clears_the_count(tmp_path: Path) -> None:
    for _ in range(4):
        start(tmp_path)
    mended = start(tmp_path, "b")
    assert not mended.safe
    assert start(tmp_path, "b").failed == 1


def test_one_more_try_from_safe_mode_is_one_only(tmp_path: Path) -> None:
    for _ in range(3):
        start(tmp_path)
    safe = start(tmp_path)
    safe.once_more()
    safe.succeeded()
    again = start(tmp_path)
    assert not again.safe
    assert start(tmp_path).safe


def test_the_reason_is_kept_for_the_next_life(tmp_path: Path) -> None:
    for _ in range(3):
        start(tmp_path).failing("node.yaml:3: rate_hz:\n must be at most 20" + "!" * 1000)
    life = start(tmp_path)
    assert life.safe
    assert life.why.startswith("node.yaml:3: rate_hz: must be at most 20!!")
    assert len(life.why) == 300


def test_what_a_restart_does_not_cure_is_lived_with(tmp_path: Path) -> None:
    for _ in range(MOST_STRIKES):
        life = start(tmp_path)
        assert not life.resigned
        life.succeeded()  # it was stable before it hung
        life.struck("leg hangs")
    life = start(tmp_path)
    assert life.resigned
    assert life.why == "leg hangs"
    life.calm()
    assert not start(tmp_path).resigned


def test_a_calm_life_forgets_strikes(tmp_path: Path) -> None:
    for _ in range(5):
        life = start(tmp_path)
        life.succeeded()
        life.calm()
        life.struck("leg hangs")
    assert not start(tmp_path).resigned


def test_a_good_life_writes_twice_and_no_more(tmp_path: Path, mocker) -> None:
    write = mocker.spy(module, "replace_text")
    life = start(tmp_path)
    assert write.call_count == 1
    for _ in range(10):
        life.succeeded()
        life.calm()
    assert write.call_count == 2


def test_lives_in_safe_mode_write_nothing(tmp_path: Path, mocker) -> None:
    for _ in range(3):
        start(tmp_path)
    write = mocker.spy(module, "replace_text")
    for _ in range(10):
        start(tmp_path).succeeded()
    assert write.call_count == 0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        "7",
        '{"fingerprint": "a", "failed": -1}',
        '{"fingerprint": "a", "failed": true}',
        '{"fingerprint": "a", "failed": "9"}',
        '{"fingerprint": 7, "failed": 9}',
        '{"fingerprint": "a", "failed": 9, "more": 1}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_a_file_that_makes_no_sense_is_told_and_counted_anew(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(content.encode("latin-1"))
    assert start(tmp_path).failed == 0
    assert "counted anew" in caplog.text
    assert start(tmp_path).failed == 1


def test_what_a_killed_life_was_writing_is_swept_away(tmp_path: Path) -> None:
    start(tmp_path)
    (tmp_path / f"{FILE}.123").write_text("{")
    assert start(tmp_path).failed == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_folder_that_cannot_be_written_keeps_no_node_from_starting(
    tmp_path: Path, mocker, caplog: pytest.LogCaptureFixture
) -> None:
    mocker.patch.object(module, "replace_text", side_effect=OSError(30, "Read-only file system"))
    for _ in range(5):
        assert start(tmp_path).failed == 0
    assert "Read-only file system" in caplog.text


def test_a_cut_at_any_byte_leaves_a_node_that_starts(tmp_path: Path) -> None:
    start(tmp_path).failing("why")
    whole = (tmp_path / FILE).read_bytes()
    assert json.loads(whole)["failed"] == 1
    for length in range(len(whole)):
        (tmp_path / FILE).write_bytes(whole[:length])
        assert start(tmp_path).failed in (0, 1)


def test_the_fingerprint_tells_what_a_start_depends_on(tmp_path: Path) -> None:
    folder = tmp_path / "devices"
    seen = {fingerprint("a", "1", drop_in=None), fingerprint("a", "1", drop_in=folder)}
    assert len(seen) == 1  # a folder need not exist
    folder.mkdir()
    (folder / "x.py").write_text("a = 1")
    (folder / "x.txt").write_text("not a module")
    first = fingerprint("a", "1", drop_in=folder)
    assert first == fingerprint("a", "1", drop_in=folder)
    seen |= {first, fingerprint("b", "1", drop_in=folder), fingerprint("a", "2", drop_in=folder)}
    (folder / "x.py").write_text("a = 2")
    seen.add(fingerprint("a", "1", drop_in=folder))
    (folder / "x.py").rename(folder / "y.py")
    seen.add(fingerprint("a", "1", drop_in=folder))
    (folder / "z.py").mkdir()
    seen.add(fingerprint("a", "1", drop_in=folder))
    assert len(seen) == 7
