"""Slow bands are evaluated slowly, bands come and go, and none of it is lost on whoever acts on them."""

from __future__ import annotations

import cmath
import math
from itertools import pairwise

import numpy as np
import pytest

from becomingone.hub.mesh.evaluator import interval_s, least_us
from becomingone.hub.mesh.section import MeshSection
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.kairos.bands import DEFAULT_BANDS, Band

from .mesh_world import MeshWorld, config_of, content
from .parts import MOTION, NOW_US, STRIDE

BREATH = Band.of("breath", 0.25, 4.0)
DAY = Band.of("day", 1 / 86_400, 600.0)
PLAN = (STRIDE, BREATH, DAY)
TICK_US = 50_000


def mesh(count: int = 3, plan: tuple[Band, ...] = PLAN) -> MeshWorld:
    return MeshWorld([(f"n{number}", band.name) for band in plan for number in range(count)], plan)


def run(world: MeshWorld, ticks: int, *, first: int = 0) -> list[MeshState]:
    """Tick; every channel has a new phase of its band's rhythm at each."""
    omega = world.table.floats("omega")
    states = []
    for tick in range(first, first + ticks):
        now_us = NOW_US + tick * TICK_US
        world.say(omega * (tick * TICK_US / 1e6), now_us)
        states.append(world.at(now_us))
    return states


def evaluations(states: list[MeshState], number: int) -> list[int]:
    """When a band was evaluated, mesh time in µs."""
    return sorted({state.bands[number].time_us for state in states})


def test_the_pace_is_sixteen_a_period_within_the_ticks_and_five_seconds() -> None:
    pace = {band.name: interval_s(band, MeshSection(), 0.05) for band in (*DEFAULT_BANDS, BREATH, DAY)}
    assert pace == {
        "fast": 0.05,
        "motion": 0.05,
        "stride": 0.05,
        "breath": 0.25,
        "minute": pytest.approx(3.75),
        "replayed_day": 1.5,
        "day": 5.0,
    }
    assert interval_s(DAY, MeshSection(slowest_s=1.0), 0.05) == 1.0
    assert interval_s(BREATH, MeshSection(per_period=80), 0.05) == 0.05
    assert interval_s(Band.of("f", 40.0, 0.1), MeshSection(), 1.0) == 1.0
    assert least_us(0.05, 0.05) == 0


def test_a_slow_band_keeps_its_state_between_its_evaluations() -> None:
    states = run(mesh(), 400)
    assert len(evaluations(states, 0)) == 400
    for number, every in ((1, 5), (2, 100)):
        assert evaluations(states, number) == [NOW_US + tick * TICK_US for tick in range(0, 400, every)]
    for before, after in pairwise(states):
        if after.bands[2].time_us != after.time_us:
            assert after.bands[2] is before.bands[2]


def test_ticks_that_come_late_or_early_shift_no_band() -> None:
    random = np.random.default_rng(1)
    world = mesh()
    times = NOW_US + TICK_US * np.arange(2000) + random.integers(-9_000, 9_000, 2000)
    states = [world.at(time) for time in times.tolist()]
    gaps = np.diff(evaluations(states, 1))
    assert np.mean(gaps) == pytest.approx(250_000, rel=0.01)
    assert gaps.max() < 250_000 + TICK_US


def test_the_field_is_carried_on_between_evaluations() -> None:
    for state in run(mesh(), 100):
        for band, plan in zip(state.bands, PLAN, strict=True):
            elapsed_s = (state.time_us - NOW_US) / 1e6
            assert band.field_at(state.time_us) == pytest.approx(cmath.rect(1.0, plan.omega * elapsed_s), abs=1e-6)
            assert band.phase_at(state.time_us) == pytest.approx(math.remainder(plan.omega * elapsed_s, math.tau))
            assert band.field_at(band.time_us) == band.mean_field
            assert band.phase_at(band.time_us) == band.phase


def test_no_field_has_no_phase_at_any_time() -> None:
    band = BandState(name="a", valid=True, mean_field=0j, omega=3.0)
    assert (band.phase_at(10), band.field_at(10)) == (None, 0j)
    assert BandState(name="a", valid=False, mean_field=1 + 0j, omega=3.0).phase_at(10) is None


def test_a_channel_that_joins_a_slow_band_is_seen_at_once() -> None:
    world = mesh()
    run(world, 12)
    world.add("late", "day", DAY, time_us=NOW_US + 11 * TICK_US)
    state = world.at(NOW_US + 12 * TICK_US)
    assert [band.channels for band in state.bands] == [3, 3, 4]
    assert [band.time_us == state.time_us for band in state.bands] == [True, False, True]


def test_after_a_clock_that_steps_back_nothing_waits_for_it() -> None:
    world = mesh()
    run(world, 100)
    earlier = world.at(NOW_US - 3_600_000_000)
    assert {band.time_us for band in earlier.bands} == {earlier.time_us}
    assert all(band.valid for band in earlier.bands)


def test_a_slow_band_costs_nothing_while_it_waits() -> None:
    world = mesh()
    run(world, 3)
    day = world.table.of_band(2).rows
    before = content(world.table)
    world.set(trust=0.5)
    state = world.at(NOW_US + 3 * TICK_US)
    assert [band.weight for band in state.bands] == [1.5, 3.0, 3.0]
    assert world.table["weight"][day].tolist() == [1.0] * 3
    assert content(world.table) != before


def test_a_band_that_becomes_empty_and_fills_again() -> None:
    world = mesh(plan=(STRIDE, MOTION))
    states = run(world, 400)
    assert states[-1].bands[0].collapsed
    assert states[-1].bands[0].locking == pytest.approx(1.0)
    offsets = world.table["offset"].copy()
    stride = world.table.of_band(0).rows
    world.table["alive"][stride] = False
    emptied = [world.at(NOW_US + tick * TICK_US) for tick in range(400, 440)]
    for state in emptied:
        assert (state.bands[0].valid, state.bands[0].channels, state.bands[0].rows.tolist()) == (False, 0, [])
        assert (state.bands[0].weight, state.bands[0].total.count, state.bands[0].simple) == (0.0, 0, None)
        assert world.table["weight"][stride].tolist() == [0.0] * 3
        assert state.bands[1].valid
    assert emptied[0].bands[0].collapsed
    assert not emptied[-1].bands[0].collapsed  # the dwell is over
    world.table["alive"][stride] = True
    again = run(world, 2, first=440)[-1].bands[0]
    assert (again.valid, again.channels) == (True, 3)
    assert again.locking == pytest.approx(1.0)
    assert world.table["offset"] == pytest.approx(offsets, abs=1e-6)


def test_bands_at_different_tau_have_their_own_windows() -> None:
    states = run(mesh(), 600)
    n_eff = [band.locking_n_eff for band in states[-1].bands]
    # 30 s of correlation times of 4, 16 and 2400 s.
    assert n_eff[0] == pytest.approx(7.3, rel=0.1)
    assert n_eff[0] / n_eff[1] == pytest.approx(4.0, rel=0.1)
    assert n_eff[2] < 0.02
    assert [band.locking is None for band in states[-1].bands] == [False, n_eff[1] < 2.0, True]


def test_as_many_rows_as_a_cell_may_have() -> None:
    plan = (STRIDE, MOTION)
    world = MeshWorld([(f"n{number % 4096}", plan[number // 8192 % 2].name) for number in range(65_536)], plan)
    random = np.random.default_rng(3)
    phases = random.normal(0.0, 0.5, 65_536)
    for tick in range(3):
        now_us = NOW_US + tick * TICK_US
        world.say(phases + world.table.floats("omega") * (tick * TICK_US / 1e6), now_us)
        state = world.at(now_us)
    for number, band in enumerate(state.bands):
        assert (band.channels, band.nodes) == (32_768, 4096)
        assert band.rows.tolist() == np.flatnonzero(world.table["band"] == number).tolist()
        assert band.order == pytest.approx(math.exp(-0.125), abs=0.01)
        assert band.phase == pytest.approx(plan[number].omega * 0.1, abs=0.02)
        assert len(band.leave_one_out(world.table)) == 4096


def test_a_configuration_that_makes_no_sense_is_refused() -> None:
    for wrong in ({"mode": "clever"}, {"max_share": 0.0}, {"max_share": 1.1}, {"slowest_s": 0}, {"per_period": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            config_of(PLAN, **wrong)


def test_a_node_that_goes_leaves_a_slow_band_at_the_next_tick() -> None:
    world = mesh(2)
    run(world, 3)
    world.table.set_alive(0, alive=False)
    (one,) = run(world, 1, first=3)
    assert (one.bands[2].time_us, one.bands[2].nodes) == (one.time_us, 1)
    world.table.set_alive(1, alive=False)
    (none,) = run(world, 1, first=4)
    assert (none.bands[2].time_us, none.bands[2].valid) == (none.time_us, False)
    after = run(world, 3, first=5)
    assert {state.bands[2].time_us for state in after} == {none.time_us}  # once is enough
