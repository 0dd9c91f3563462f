"""Kill -9 at any moment: what was acknowledged is there, and the memory verifies."""

from __future__ import annotations

from pathlib import Path

from .killing import kill_writers


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """The campaign does this 200 times."""
    figures = kill_writers(tmp_path / "memory.db", 6, max_mb=1000.0)
    assert figures["acknowledged"] > 100
    faults = ("lost", "altered", "twice", "entries_lost", "damaged", "marks_lost")
    assert {name: figures[name] for name in faults} == dict.fromkeys(faults, 0)


def test_killed_while_the_oldest_are_given_up_the_rest_verifies(tmp_path: Path) -> None:
    figures = kill_writers(tmp_path / "memory.db", 5, seed=2, max_mb=0.2)
    assert figures["given_up"] > 0
    faults = ("altered", "twice", "damaged", "marks_lost")
    assert {name: figures[name] for name in faults} == dict.fromkeys(faults, 0)
