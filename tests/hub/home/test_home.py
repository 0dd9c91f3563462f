"""Ten minutes of a home of thirty nodes: what was planted is found, and nothing else; the same seed is the same run."""

from __future__ import annotations

from typing import Any

import pytest

from becomingone.sim.home import MACHINE, TEN_MINUTES, Day, home
from becomingone.sim.run import Setting, simulate


def lived(seed: int, day: Day, duration_s: float) -> dict[str, Any]:
    hub, nodes, faults = home(seed, day)
    return simulate(Setting(seed, duration_s, hub, nodes, faults))


def check(came: dict[str, Any], day: Day, *, ticks_s: float) -> None:
    """The coupled group became one while it was coupled; the rest is as it was planted."""
    start_s = day.start_us / 1e6
    (one,) = came["emergences"]
    assert one["band"] == "breath"
    assert day.washing[0] < one["from_s"] - start_s < day.washing[1]
    assert one["from_s"] - start_s < day.washing[0] + 300
    assert one["until_s"] is not None
    assert -120 < one["until_s"] - start_s - day.washing[1] < 120 + ticks_s
    told = came["told"]
    assert (told["slept"], told["lost"]) == (1, 1)
    assert told["joined"] == 30 + 2 + 30  # at the start; who slept and who was lost; after the hub's restart
    assert not set(told) & {"distrusted", "twin", "witness", "we", "drifted", "second_hub"}, told
    assert (came["nodes"], came["nodes_configured"]) == (30, 30)
    assert came["refused_reasons"].keys() <= {"before_start"}
    assert len(MACHINE) == 4


def test_ten_minutes_of_a_home() -> None:
    check(lived(1, TEN_MINUTES, 600.0), TEN_MINUTES, ticks_s=10.0)


def test_the_same_seed_is_the_same_life_and_another_is_another() -> None:
    first, again, other = (lived(seed, TEN_MINUTES, 40.0) for seed in (5, 5, 6))
    assert first == again
    assert first["digest"] != other["digest"]
    assert first["memory"] != other["memory"]
    assert first["told"] == {"joined": 30, "slept": 1}


@pytest.mark.slow
def test_ten_minutes_twice_are_the_same_ten_minutes() -> None:
    assert lived(3, TEN_MINUTES, 600.0) == lived(3, TEN_MINUTES, 600.0)
