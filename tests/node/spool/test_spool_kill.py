"""kill -9 of a real process that writes a real spool."""

from .killing import kill_writers


def test_kills_at_random_points_lose_nothing_that_was_accepted(tmp_path):
    figures = kill_writers(tmp_path / "spool", 25)
    assert figures["kills"] == 25
    assert figures["accepted"] > 300
    assert (figures["lost"], figures["corrupt"], figures["damaged"]) == (0, 0, 0), figures
