"""Recall: the moment that was like this one is found, and what is like everything is told to be."""

from __future__ import annotations

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.hub.memory.patterns import NAMED_US, PatternMaker
from becomingone.hub.memory.recollect import patterns_of, recollect

from .remembering import START_US, STRIDE, Listed, Walk

STEP_US = 10_000_000
CHANNELS = 12


def written(seed: int, moments: int, *, planted: dict[int, int] | None = None, noise: float = 0.2) -> Listed:
    """Give a memory of unrelated patterns, but for those planted: by moment, the one that it is like."""
    rng = np.random.default_rng(seed)
    memory, walk = Listed(), Walk(seed, [STRIDE], channels=CHANNELS)
    made = PatternMaker([STRIDE], walk.table, 10.0)
    phases: list[np.ndarray] = []
    for moment in range(moments):
        source = (planted or {}).get(moment)
        fresh = rng.uniform(-np.pi, np.pi, CHANNELS)
        phases.append(fresh if source is None else phases[source] + 1.0 + noise * rng.standard_normal(CHANNELS))
        state = walk.tick(START_US + moment * STEP_US)
        walk.table.phasors("tick_phasor")[:] = np.exp(1j * phases[-1])
        for time_us, body in made.take(state):
            memory.append("pattern", time_us, body)
    return memory


def test_the_planted_moment_is_found_among_thousands() -> None:
    memory = written(1, 3000, planted={2999: 1234})
    found = recollect(memory, "stride", START_US + 2999 * STEP_US + 5_000_000).found
    assert found.time_us[0] == START_US + 1234 * STEP_US
    assert found.similarity[0] > 0.95
    assert found.p_any[0] < 1e-4
    assert found.typical < 0.5
    assert found.p_any[1] > 0.01
    assert found.searched == 2993  # but for those that are closer than a minute


def test_what_is_always_alike_is_told_to_be_nothing_special() -> None:
    memory = written(2, 400, planted=dict.fromkeys(range(1, 400), 0), noise=0.1)
    found = recollect(memory, "stride", START_US + 399 * STEP_US).found
    assert found.p_any[0] < 1e-4
    assert found.typical > 0.95


def test_channels_that_come_and_go_have_columns_of_their_own() -> None:
    memory, walk = Listed(), Walk(3, [STRIDE], channels=4)
    made = PatternMaker([STRIDE], walk.table, 10.0)
    first = made.take(walk.tick(START_US))
    walk.table.row(type(walk.table.keys[0])("late", "stride", "arm"), node=9, band=0, max_age_s=10.0, capability=1.0)
    walk.channels = 5
    walk.offsets = np.zeros((1, 5))
    second = made.take(walk.tick(START_US + STEP_US))
    for time_us, body in first + second:
        memory.append("pattern", time_us, body)
    known = patterns_of(memory.entries("pattern", 0, 2 * START_US), "stride")
    assert known.channels == ("n0/leg", "n1/leg", "n2/leg", "n3/leg", "late/arm")
    assert known.moments.shape == (2, 5)
    assert known.moments[0, 4] == 0
    assert abs(known.moments[1, 4]) > 0


def test_names_are_written_again_each_hour_and_patterns_without_them_are_counted() -> None:
    memory = written(4, 2 * NAMED_US // STEP_US + 10)
    named = [entry for entry in memory.of("pattern") if "channels" in entry.body]
    assert len(named) == 3
    memory.told = memory.told[5:]  # the first names have gone
    known = patterns_of(memory.entries("pattern", 0, 2 * START_US), "stride")
    assert known.unnamed == NAMED_US // STEP_US - 5
    assert len(known.time_us) == len(memory.told) - known.unnamed


def test_a_time_without_a_pattern_is_refused() -> None:
    memory = written(5, 10)
    with pytest.raises(KernelError, match="no pattern within 60 s"):
        recollect(memory, "stride", START_US + 3600 * 1_000_000)
    with pytest.raises(KernelError, match="there is none before it"):
        recollect(memory, "stride", START_US - 1)
    with pytest.raises(KernelError, match="there is none"):
        recollect(memory, "breath", START_US)


def test_entries_that_are_no_patterns_are_passed_over() -> None:
    memory = written(6, 20)
    for body in (
        {"band": "stride"},
        {"band": "stride", "layout": "x", "phase": ["a"], "weight": [1], "channels": ["n/a"]},
        {"band": "stride", "layout": "y", "phase": [1, 2], "weight": [1], "channels": ["n/a"]},
    ):
        memory.append("pattern", START_US + 1, body)
    known = patterns_of(memory.entries("pattern", 0, 2 * START_US), "stride")
    assert len(known.time_us) == 20
    assert known.unnamed == 3
