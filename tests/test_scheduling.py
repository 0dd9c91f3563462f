"""Turns and time: a steady pace without drift, a mesh time that no step of the wall clock disturbs, ordered calls."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass

import pytest

from becomingone.scheduling import (
    NANOSECONDS,
    SLEW,
    STEP_NS,
    LoopScheduler,
    MeshClock,
    Repeating,
    Scheduler,
    SystemClock,
)
from becomingone.sim.clock import VirtualScheduler

START_US = 1_700_000_000_000_000


class LateScheduler(VirtualScheduler):
    """Virtual time in which a turn takes as long as the test says."""

    def work(self, ns: int) -> None:
        self._now += ns


# Repeating


def test_every_turn_is_due_at_a_multiple_of_the_period() -> None:
    scheduler = LateScheduler()
    scheduler.run_for(0.123)
    at: list[int] = []

    def turn() -> None:
        at.append(scheduler.monotonic_ns())
        scheduler.work(random.Random(len(at)).randrange(7_000_000))  # shorter than the period

    repeating = Repeating(scheduler, 10_000_000, turn)
    scheduler.run_for(10.0)
    assert at == [123_000_000 + n * 10_000_000 for n in range(1, len(at) + 1)]
    assert len(at) == 1000
    assert repeating.missed == 0


def test_a_turn_that_takes_too_long_is_not_made_up_for() -> None:
    scheduler = LateScheduler()
    at: list[int] = []

    def turn() -> None:
        at.append(scheduler.monotonic_ns())
        if len(at) == 2:
            scheduler.work(35)

    repeating = Repeating(scheduler, 10, turn)
    scheduler.run_for(100e-9)
    assert at == [10, 20, 60, 70, 80, 90, 100]
    assert repeating.missed == 3  # 30, 40 and 50


def test_a_turn_that_takes_a_whole_number_of_periods() -> None:
    scheduler = LateScheduler()
    at: list[int] = []

    def turn() -> None:
        at.append(scheduler.monotonic_ns())
        if len(at) == 1:
            scheduler.work(20)

    repeating = Repeating(scheduler, 10, turn)
    scheduler.run_for(60e-9)
    assert at == [10, 40, 50, 60]
    assert repeating.missed == 2
    assert len(at) + repeating.missed == 6


def test_cancelling() -> None:
    scheduler = VirtualScheduler()
    at: list[int] = []
    repeating = Repeating(scheduler, NANOSECONDS, lambda: at.append(scheduler.monotonic_ns()))
    scheduler.run_for(2.5)
    repeating.cancel()
    repeating.cancel()
    scheduler.run_for(10.0)
    assert at == [NANOSECONDS, 2 * NANOSECONDS]


def test_cancelling_from_within_the_callback() -> None:
    scheduler = VirtualScheduler()
    turns: list[int] = []

    def turn() -> None:
        turns.append(1)
        if len(turns) == 3:
            repeating.cancel()

    repeating = Repeating(scheduler, NANOSECONDS, turn)
    scheduler.run_for(10.0)
    assert len(turns) == 3


def test_cancelling_in_the_same_instant() -> None:
    scheduler = VirtualScheduler()
    turns: list[int] = []

    def cancel() -> None:
        repeating.cancel()

    scheduler.call_at(NANOSECONDS, cancel)
    repeating = Repeating(scheduler, NANOSECONDS, lambda: turns.append(1))
    scheduler.run_for(10.0)
    assert turns == []


def test_an_error_reaches_the_scheduler_and_the_turns_go_on() -> None:
    scheduler = VirtualScheduler()
    turns: list[int] = []

    def turn() -> None:
        turns.append(1)
        raise ZeroDivisionError

    Repeating(scheduler, NANOSECONDS, turn)
    with pytest.raises(ZeroDivisionError):
        scheduler.run_for(1.0)
    assert len(turns) == 1
    with pytest.raises(ZeroDivisionError):
        scheduler.run_for(1.0)
    assert len(turns) == 2


@pytest.mark.parametrize("period_ns", [0, -1])
def test_a_period_that_cannot_be(period_ns: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 ns, not {period_ns}"):
        Repeating(VirtualScheduler(), period_ns, lambda: None)


# MeshClock


class SteppingClock:
    """A machine whose two clocks move apart, and whose looks at a clock take time."""

    def __init__(self, look_ns: int = 0) -> None:
        self.ns = 5 * NANOSECONDS
        self.us = START_US
        self._look_ns = look_ns

    def monotonic_ns(self) -> int:
        self.pass_ns(self._look_ns)
        return self.ns

    def time_us(self) -> int:
        self.pass_ns(self._look_ns)
        return self.us

    def pass_ns(self, ns: int) -> None:
        self.ns += ns
        self.us += ns // 1_000


def test_mesh_time_follows_the_monotonic_clock_from_the_start_s_calendar() -> None:
    machine = SteppingClock()
    clock = MeshClock(machine)
    assert clock.now_us() == START_US
    machine.pass_ns(1_500_000_000)
    assert clock.now_us() == START_US + 1_500_000
    assert clock.mesh_us(5 * NANOSECONDS) == START_US
    assert clock.mesh_us(4 * NANOSECONDS) == START_US - 1_000_000  # before the start
    assert clock.monotonic_ns() == machine.ns


@pytest.mark.parametrize("step_us", [3_600_000_000, -3_600_000_000, 1])
def test_a_step_of_the_system_clock_disturbs_nothing(step_us: int) -> None:
    machine = SteppingClock()
    clock = MeshClock(machine)
    machine.us += step_us
    machine.pass_ns(NANOSECONDS)
    assert clock.now_us() == START_US + 1_000_000


def test_mesh_time_never_goes_back() -> None:
    clock = MeshClock(SteppingClock())
    instants = [clock.mesh_us(ns) for ns in range(4_999_990_000, 5_000_010_000, 7)]
    assert instants == sorted(instants)


def test_the_uncertainty_includes_how_long_the_look_at_the_clocks_took() -> None:
    assert MeshClock(SteppingClock(), 0.01).sigma_s == 0.01
    assert MeshClock(SteppingClock(look_ns=2_000_000), 0.0).sigma_s == pytest.approx(0.002)
    assert MeshClock(SteppingClock(look_ns=3_000_000), 0.004).sigma_s == pytest.approx(0.005)


@dataclass(frozen=True)
class Known:
    """Mesh time as it has been measured."""

    at_ns: int
    mesh_ns: int
    skew: float = 0.0
    sigma: float = 1e-5

    def sigma_s(self, now_ns: int) -> float:
        return self.sigma + 1e-6 * (now_ns - self.at_ns) / NANOSECONDS


def steered(ahead_ns: int = 0, skew: float = 0.0) -> tuple[SteppingClock, MeshClock]:
    """A clock that has been told once where mesh time is."""
    machine = SteppingClock()
    clock = MeshClock(machine, 0.01)
    clock.steer(Known(machine.ns, START_US * 1_000 + ahead_ns, skew))
    return machine, clock


@pytest.mark.parametrize("hours", [-2, 0, 3])
def test_the_first_measurement_steps_mesh_time(hours: int) -> None:
    machine, clock = steered(hours * 3600 * NANOSECONDS, skew=1e-5)
    assert (clock.steered, clock.steps) == (True, 0)
    assert clock.now_us() == START_US + hours * 3_600_000_000
    assert clock.mesh_us(machine.ns - NANOSECONDS) == clock.now_us() - 1_000_010  # what was sampled before it, too
    machine.pass_ns(100 * NANOSECONDS)
    assert clock.now_us() == START_US + hours * 3_600_000_000 + 100_001_000


@pytest.mark.parametrize("away_ns", [-5_000_000, -40_000, -1, 0, 1, 40_000, 5_000_000])
def test_a_later_measurement_slews_it_and_it_neither_jumps_nor_goes_back(away_ns: int) -> None:
    machine, clock = steered()
    machine.pass_ns(NANOSECONDS)
    said = [clock.mesh_ns(machine.ns - behind) for behind in range(0, 100_000_000, 1_000_000)]
    clock.steer(Known(machine.ns, clock.mesh_ns(machine.ns) + away_ns), may_step=True)
    assert [clock.mesh_ns(machine.ns - behind) for behind in range(0, 100_000_000, 1_000_000)] == said
    before, last = clock.mesh_ns(machine.ns), machine.ns
    for _ in range(1200):
        machine.pass_ns(10_000_000)
        now = clock.mesh_ns(machine.ns)
        assert now > before
        assert abs((now - before) - (machine.ns - last)) <= SLEW * 10_000_000 + 1
        before, last = now, machine.ns
    assert abs(clock.mesh_ns(machine.ns) - (START_US * 1_000 + machine.ns - 5 * NANOSECONDS) - away_ns) <= 2
    assert clock.steps == 0


def test_a_correction_that_is_corrected_has_no_corner_of_its_own() -> None:
    machine, clock = steered()
    rng = random.Random(1)
    instants: list[int] = []
    for _ in range(200):
        machine.pass_ns(rng.randrange(1, 3 * NANOSECONDS))
        here = clock.mesh_ns(machine.ns)
        clock.steer(Known(machine.ns, here + rng.randrange(-2_000_000, 2_000_000), rng.uniform(-1e-4, 1e-4)))
        assert clock.mesh_ns(machine.ns) == here
        instants += [clock.mesh_ns(machine.ns + ahead) for ahead in range(-1_000_000, 1, 250_000)]
    assert instants == sorted(instants)
    assert len(clock._pieces) <= 64


def test_it_steps_only_where_it_may_and_only_far() -> None:
    machine, clock = steered()
    far = Known(machine.ns, START_US * 1_000 + 3600 * NANOSECONDS)
    assert clock.steer(far) == 0
    assert clock.now_us() == START_US
    assert clock.sigma_s == pytest.approx(3600.0)  # it is that far from what is known
    assert clock.steer(far, may_step=True) == 3600 * NANOSECONDS
    assert clock.now_us() == START_US + 3_600_000_000
    assert clock.steps == 1
    assert clock.steer(Known(machine.ns, far.mesh_ns - STEP_NS), may_step=True) == 0
    assert clock.steps == 1


def test_the_uncertainty_is_the_measurement_s_and_grows_with_its_age_and_the_correction_that_is_left() -> None:
    machine, clock = steered()
    assert clock.sigma_s == pytest.approx(1e-5)
    machine.pass_ns(100 * NANOSECONDS)
    assert clock.sigma_s == pytest.approx(1.1e-4)
    clock.steer(Known(machine.ns, clock.mesh_ns(machine.ns) + 500_000, sigma=3e-4))
    assert clock.sigma_s == pytest.approx(math.hypot(3e-4, 5e-4))
    machine.pass_ns(2 * NANOSECONDS)
    assert clock.sigma_s == pytest.approx(3.02e-4)


@pytest.mark.parametrize("step_us", [3_600_000_000, -3_600_000_000])
def test_a_step_of_the_system_clock_does_not_disturb_what_has_been_measured(step_us: int) -> None:
    machine, clock = steered(skew=2e-5)
    machine.us += step_us
    machine.pass_ns(10 * NANOSECONDS)
    assert clock.now_us() == START_US + 10_000_200


@pytest.mark.parametrize("skew", [0.03, -0.03, math.nan])
def test_a_line_that_no_oscillator_follows_is_refused(skew: float) -> None:
    with pytest.raises(ValueError, match="a skew is within"):
        steered(skew=skew)


# Schedulers


def test_calls_run_by_time_and_then_in_the_order_in_which_they_were_arranged() -> None:
    scheduler = VirtualScheduler(START_US)
    ran: list[tuple[str, int]] = []

    def call(name: str, when_ns: int) -> None:
        scheduler.call_at(when_ns, lambda: ran.append((name, scheduler.monotonic_ns())))

    for name, when_ns in (("late", 20), ("b", 10), ("c", 10), ("past", -5), ("now", 0)):
        call(name, when_ns)
    scheduler.post(lambda: call("nested", 10))
    scheduler.post(lambda: call("nested past", 0))
    scheduler.run_for(15e-9)
    assert ran == [("past", 0), ("now", 0), ("nested past", 0), ("b", 10), ("c", 10), ("nested", 10)]
    assert scheduler.monotonic_ns() == 15
    scheduler.run_for(5e-9)
    assert ran[-1] == ("late", 20)


def test_a_call_that_is_arranged_now_is_not_made_now() -> None:
    scheduler = VirtualScheduler()
    ran: list[int] = []
    scheduler.call_at(0, lambda: ran.append(1))
    scheduler.post(lambda: ran.append(2))
    assert ran == []
    scheduler.run_for(0.0)
    assert ran == [1, 2]


def test_a_call_that_is_called_off_is_not_made() -> None:
    scheduler = VirtualScheduler()
    ran: list[int] = []

    def cancel() -> None:
        second.cancel()

    first = scheduler.call_at(10, cancel)
    second = scheduler.call_at(10, lambda: ran.append(2))
    third = scheduler.call_at(5, lambda: ran.append(3))
    third.cancel()
    scheduler.run_for(1.0)
    first.cancel()  # it has happened already: harmless
    assert ran == []


def test_virtual_time_is_the_calendar_s_too() -> None:
    scheduler = VirtualScheduler(START_US)
    scheduler.run_for(0.1)
    scheduler.run_for(0.2)
    assert (scheduler.monotonic_ns(), scheduler.time_us()) == (300_000_000, START_US + 300_000)


def test_both_schedulers_are_schedulers() -> None:
    async def main() -> bool:
        return isinstance(LoopScheduler(asyncio.get_running_loop()), Scheduler)

    assert asyncio.run(main())
    assert isinstance(VirtualScheduler(), Scheduler)


def test_on_an_event_loop() -> None:
    async def main() -> list[str]:
        scheduler = LoopScheduler(asyncio.get_running_loop())
        ran: list[str] = []
        done = asyncio.Event()
        scheduler.call_at(scheduler.monotonic_ns() - NANOSECONDS, lambda: ran.append("past"))
        scheduler.call_at(scheduler.monotonic_ns(), lambda: ran.append("off")).cancel()
        due_ns = scheduler.monotonic_ns() + 20_000_000
        scheduler.call_at(due_ns, lambda: (ran.append("later"), done.set()))
        await asyncio.to_thread(scheduler.post, lambda: ran.append("posted"))
        assert "past" in ran
        await done.wait()
        # asyncio may call early by its clock's resolution, and by what a float rounds off
        assert scheduler.monotonic_ns() >= due_ns - 1_000_000
        return ran

    assert sorted(asyncio.run(main())) == ["later", "past", "posted"]


def test_the_system_s_clocks() -> None:
    clock = SystemClock()
    assert clock.monotonic_ns() <= clock.monotonic_ns()
    assert clock.time_us() > START_US
