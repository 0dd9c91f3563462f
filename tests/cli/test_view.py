"""What `up` shows, and to whom."""

from __future__ import annotations

import io
import sys

import pytest

from becomingone.cli.view import LiveView, PlainView, make_view, status_line
from becomingone.wire.announce import OutputState


@pytest.mark.parametrize(
    ("terminal", "rich", "json_wanted", "kind"),
    [
        (True, True, False, LiveView),
        (True, False, False, PlainView),  # a 32-bit Pi's base install has no rich
        (False, True, False, PlainView),
        (True, True, True, PlainView),
    ],
)
def test_the_view_fits_the_reader(mocker, terminal: bool, rich: bool, json_wanted: bool, kind: type) -> None:
    mocker.patch.object(sys, "stdout", mocker.Mock(spec=io.StringIO, isatty=lambda: terminal))
    mocker.patch("becomingone.cli.view.find_spec", return_value=object() if rich else None)
    view = make_view(json_wanted=json_wanted)
    view.close()
    assert isinstance(view, kind)


def channel(phase: float) -> dict:
    return {"origin": "replayed", "bands": {"stride": {"valid": True, "phase": phase}}}


SNAPSHOT = {
    "frames": 12,
    "dominant_band": "stride",
    "bands": {
        "stride": {"coherence": 0.98, "p": 0.05, "order": 0.93, "locking": 1.0, "collapsed": False, "decidable": False}
    },
    "nodes": {
        "thigh": {"state": "ready", "channels": {"gyr_z": channel(3.0)}},
        "shank": {"state": "lost", "channels": {"gyr_z": channel(-2.53)}},
    },
}


def test_the_line_of_state_says_what_there_is() -> None:
    line = status_line(SNAPSHOT, {"kitchen/light": OutputState(doing="rest", why="no fresh command", values={})})
    assert "1/2 nodes ready · 12 frames" in line
    assert "coherence 0.98 (undecided, p 0.05), order 0.93, locking 1.00, thigh and shank 43° apart" in line
    assert "inputs: 2 replayed" in line
    assert "kitchen/light rests (no fresh command)" in line


def test_the_line_of_state_before_there_is_anything() -> None:
    assert status_line(None, {}) == "waiting for the hub's first snapshot"
    empty = {"frames": 0, "dominant_band": None, "bands": {}, "nodes": {}}
    assert "no rhythm above its floor yet" in status_line(empty, {})


def test_plain_lines_come_at_their_pace() -> None:
    stream = io.StringIO()
    view = PlainView(stream, every_s=5.0)
    for second in range(11):
        view.state(f"at {second}", float(second))
    assert stream.getvalue() == "at 0\nat 5\nat 10\n"
