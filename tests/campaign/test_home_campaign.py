"""A day and a night of a home of thirty nodes, twice: pytest -m campaign -s tests/campaign/test_home_campaign.py."""

from __future__ import annotations

import time

import pytest

from becomingone.sim.home import DAY_S, Day, home
from becomingone.sim.run import Setting, simulate

pytestmark = pytest.mark.campaign


def test_a_day_of_a_home_twice() -> None:
    """Prints the minutes of each: the target is 10 on a machine that does nothing else."""
    day, lives = Day(), []
    for _ in range(2):
        hub, nodes, faults = home(1, day)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        lives.append(simulate(Setting(1, float(DAY_S), hub, nodes, faults)))
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        print(f"a simulated day took {wall_s / 60:.1f} minutes, {cpu_s / 60:.1f} of processor time")
    came, again = lives
    assert came == again
    print(came["told"], came["emergences"])
    (one,) = came["emergences"]
    begun_s, ended_s = (at_s + day.start_us / 1e6 for at_s in day.washing)
    assert one["band"] == "breath"
    assert begun_s < one["from_s"] < begun_s + 600
    assert one["until_s"] is not None
    assert abs(one["until_s"] - ended_s) < 300
    assert (came["told"]["slept"], came["told"]["lost"]) == (1, 1)
    assert came["nodes"] == 30
