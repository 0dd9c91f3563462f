"""A machine's clocks drift and are set; a process that is killed does nothing more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.scheduling import MeshClock, Repeating
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.host import HostClock, Process

START_US = 1_700_000_000_000_000


def test_a_clock_that_is_right():
    scheduler = VirtualScheduler()
    scheduler.run_for(3.0)
    clock = HostClock(scheduler)
    assert (clock.monotonic_ns(), clock.time_us()) == (3_000_000_000, START_US + 3_000_000)


def test_offset_and_drift():
    scheduler = VirtualScheduler()
    clock = HostClock(scheduler, offset_s=-1.5, drift_ppm=50)
    scheduler.run_for(1000.0)
    assert clock.monotonic_ns() == 1_000_050_000_000
    assert clock.time_us() == START_US - 1_500_000 + 1_000_050_000


def test_a_step_moves_the_calendar_alone():
    scheduler = VirtualScheduler()
    clock = HostClock(scheduler)
    mesh = MeshClock(clock)
    scheduler.run_for(1.0)
    clock.step(3600.0)
    assert clock.monotonic_ns() == 1_000_000_000
    assert clock.time_us() == START_US + 3_601_000_000
    assert mesh.now_us() == START_US + 1_000_000  # what has begun is not disturbed
    assert MeshClock(clock).now_us() == START_US + 3_601_000_000  # and what begins now is


@settings(deadline=None)
@given(st.floats(-1e5, 1e5), st.integers(0, 10**15))
def test_a_timer_is_due_at_the_first_instant_at_which_the_local_clock_has_reached_it(drift_ppm, local_ns):
    class At:
        now = 0

        def monotonic_ns(self):
            return self.now

        def time_us(self):
            return 0

    true = At()
    clock = HostClock(true, drift_ppm=drift_ppm)
    due = clock.true_ns(local_ns)
    true.now = due
    assert clock.monotonic_ns() >= local_ns
    if due:
        true.now = due - 1
        assert clock.monotonic_ns() < local_ns


@pytest.mark.parametrize("drift_ppm", [-100_000.0, -50.0, 0.0, 50.0, 100_000.0])
def test_turns_follow_the_local_clock(drift_ppm):
    scheduler = VirtualScheduler()
    process = Process(scheduler, HostClock(scheduler, drift_ppm=drift_ppm))
    turns = []
    Repeating(process, 10_000_000, lambda: turns.append(scheduler.monotonic_ns()))
    scheduler.run_for(100.0)
    assert len(turns) == pytest.approx(10_000 * (1 + drift_ppm * 1e-6), abs=1)
    assert turns == sorted(set(turns))


def test_a_killed_process_does_nothing_more():
    scheduler = VirtualScheduler()
    process = Process(scheduler, HostClock(scheduler))
    done = []
    process.post(lambda: done.append("posted before"))
    scheduler.run_for(0.1)
    process.post(lambda: done.append("posted"))
    process.call_at(200_000_000, lambda: done.append("arranged"))
    cancelled = process.call_at(0, lambda: done.append("called off"))
    cancelled.cancel()
    process.end()
    process.post(lambda: done.append("after"))
    scheduler.run_for(1.0)
    assert done == ["posted before"]
