"""A file is taken only once nobody is writing it any more."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from becomingone.config.document import MAX_BYTES
from becomingone.config.settled import LONGEST_S, PATIENCE_S, PAUSE_S, REST_NS, SettledFile, read_settled
from becomingone.config.tree import DocumentError

Step = Callable[[], object]


class Steps:
    """In the place of sleep: does what somebody else does in the meantime, one step a look."""

    def __init__(self, *steps: Step | None) -> None:
        self._steps = list(steps)
        self.slept_s = 0.0

    def __call__(self, seconds: float) -> None:
        self.slept_s += seconds
        if self._steps and (step := self._steps.pop(0)) is not None:
            step()


def test_a_file_at_rest_takes_one_pause(tmp_path: Path) -> None:
    path, steps = tmp_path / "node.yaml", Steps()
    path.write_bytes(b"node: n\n")
    assert read_settled(path, steps) == b"node: n\n"
    assert steps.slept_s == PAUSE_S


def test_an_editor_that_truncates_first_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_bytes(b"node: old\n")
    steps = Steps(
        lambda: path.write_bytes(b""),
        None,  # as long as it likes, up to a point
        lambda: path.write_bytes(b"node: n\n"),
        lambda: path.write_bytes(b"node: n\ninputs: []\n"),
    )
    assert read_settled(path, steps) == b"node: n\ninputs: []\n"


def test_an_editor_that_moves_the_old_file_away_is_waited_for(tmp_path: Path) -> None:
    path, backup = tmp_path / "node.yaml", tmp_path / "node.yaml~"
    path.write_bytes(b"node: old\n")
    steps = Steps(lambda: path.rename(backup), None, lambda: path.write_bytes(b"node: new\n"))
    assert read_settled(path, steps) == b"node: new\n"


def test_a_file_that_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path, fresh = tmp_path / "node.yaml", tmp_path / "fresh"
    path.write_bytes(b"node: old\n")
    fresh.write_bytes(b"node: new\n")
    assert read_settled(path, Steps(lambda: fresh.replace(path))) == b"node: new\n"


def test_a_deployment_that_swaps_a_link(tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "node.yaml").write_text(f"node: r{release}\n")
    current, path = tmp_path / "current", tmp_path / "current" / "node.yaml"
    current.symlink_to("1")

    def swap() -> None:
        fresh = tmp_path / "fresh"
        fresh.symlink_to("2")
        os.replace(fresh, current)  # noqa: PTH105 - as a deployment does

    assert read_settled(path, Steps(swap)) == b"node: r2\n"
    current.unlink()
    current.symlink_to("gone")
    with pytest.raises(DocumentError, match="no such file"):
        read_settled(path, Steps())


def test_a_file_that_is_not_there_is_soon_given_up(tmp_path: Path) -> None:
    steps = Steps()
    with pytest.raises(DocumentError, match="there is no such file"):
        read_settled(tmp_path / "none", steps)
    assert steps.slept_s == pytest.approx(PATIENCE_S)


def test_an_empty_file_is_soon_taken_for_one(tmp_path: Path) -> None:
    path, steps = tmp_path / "node.yaml", Steps()
    path.touch()
    assert read_settled(path, steps) == b""
    assert steps.slept_s == pytest.approx(PATIENCE_S)


def test_a_file_that_never_rests_is_refused(tmp_path: Path) -> None:
    path, count = tmp_path / "node.yaml", 0

    def again() -> None:
        nonlocal count
        count += 1
        path.write_text(f"node: n{count}\n")

    again()
    steps = Steps(*[again] * 1000)
    with pytest.raises(DocumentError, match="is it being written"):
        read_settled(path, steps)
    assert steps.slept_s == pytest.approx(LONGEST_S)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="is a directory"):
        read_settled(tmp_path, Steps())
    big = tmp_path / "big"
    big.write_bytes(b"#" * (MAX_BYTES + 10))
    assert len(read_settled(big, Steps())) == MAX_BYTES + 1  # enough to be refused for


# Read again only when it has been written


def test_a_file_that_was_written_long_ago_takes_no_pause(tmp_path: Path) -> None:
    path, steps = tmp_path / "node.yaml", Steps()
    path.write_bytes(b"node: n\n")
    written_ns = path.stat().st_ctime_ns
    assert SettledFile(path, steps, now_ns=lambda: written_ns + REST_NS + 1).read() == b"node: n\n"
    assert steps.slept_s == 0.0
    assert SettledFile(path, steps, now_ns=lambda: written_ns + REST_NS - 1).read() == b"node: n\n"
    assert steps.slept_s == PAUSE_S


def test_a_file_that_nobody_has_written_is_not_read_again_and_every_writing_is_seen(tmp_path: Path) -> None:
    path, steps = tmp_path / "node.yaml", Steps()
    path.write_bytes(b"node: n\n")
    file = SettledFile(path, steps, now_ns=lambda: 0)
    for _ in range(3):
        assert file.read() == b"node: n\n"
    assert steps.slept_s == PAUSE_S
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"node: m\n")  # as long as before
    fresh.replace(path)
    assert file.read() == b"node: m\n"
    path.unlink()
    with pytest.raises(DocumentError, match="no such file"):
        file.read()
    path.write_bytes(b"node: back\n")
    assert file.read() == b"node: back\n"


def test_what_is_written_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_bytes(b"a: 1\n")
    file = SettledFile(path, Steps(lambda: path.write_bytes(b"a: 22\n")), now_ns=lambda: 0)
    assert file.read() == b"a: 22\n"
    path.write_bytes(b"a: 333\n")
    assert file.read() == b"a: 333\n"
