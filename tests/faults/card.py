"""The memory card: how much is written to it, and its power cut at every byte."""

from __future__ import annotations

from tests.node.spool import campaign
from tests.node.spool.wear import amplification

from .outcome import Outcome, at_most, exactly, told

PACED = ("spool, every 50, 20 a second",)
"""Then the file system's own timers write as well; not asked for where there is little time."""


def _number(found: campaign.Figures, name: str) -> int:
    value = found[name]
    assert isinstance(value, int)
    return value


def wear(quick: bool) -> Outcome:
    frames = 4_000 if quick else 20_000
    found = amplification(frames, slow=not quick)
    return Outcome(
        frames,
        [
            at_most(
                "written a kept frame of 100 bytes, synced every 50", _number(found, "spool, every 50"), 250, "bytes"
            ),
            *(told("the same at 20 frames a second", _number(found, name), "bytes") for name in PACED if name in found),
            told("the first time", _number(found, "spool, every 50, its first files"), "bytes"),
            told("a log that grows, synced every 50", _number(found, "growing log, every 50"), "bytes"),
            told("SQLite, committed every 50", _number(found, "SQLite (WAL), every 50"), "bytes"),
            told("SQLite, committed each", _number(found, "SQLite (WAL), each frame"), "bytes"),
        ],
    )


def power_cut(quick: bool) -> Outcome:
    found = campaign.power_cut_everywhere(every=10 if quick else 1)
    return Outcome(
        _number(found, "cuts"),
        [
            exactly("corrupt", _number(found, "corrupt"), 0),
            exactly("lost although synced", _number(found, "synced_lost"), 0),
            exactly("lost although accepted (kill)", _number(found, "accepted_lost"), 0),
        ],
        simulation=True,
    )
