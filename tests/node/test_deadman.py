"""The deadline comes, whatever the rest of the program does; the same in virtual time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from becomingone.devices.contract import Deadman
from becomingone.errors import DeviceUnavailableError
from becomingone.node.deadman import ThreadDeadman
from becomingone.node.ports import NodePorts
from becomingone.scheduling import MeshClock, SystemClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.ports import SimPorts

NEVER_S = 60.0
"""A deadline that no test waits for, and the longest that a test waits for one that comes at once."""


class Expired:
    """Takes note of when a deadline came, and in which thread; may fail the first few times."""

    def __init__(self, failing: int = 0) -> None:
        self.came: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._failing = failing

    def __call__(self) -> None:
        self.came.put((time.monotonic_ns(), threading.get_ident()))
        if self._failing:
            self._failing -= 1
            raise OSError("the pin is stuck")

    def wait(self) -> tuple[int, int]:
        return self.came.get(timeout=NEVER_S)


@pytest.fixture
def make() -> Iterator[Callable[[float, Callable[[], None]], ThreadDeadman]]:
    made: list[ThreadDeadman] = []

    def deadman(timeout_s: float, expire: Callable[[], None]) -> ThreadDeadman:
        made.append(ThreadDeadman(timeout_s, expire, clock=MeshClock(SystemClock())))
        return made[-1]

    yield deadman
    for one in made:
        one.close()
        one._thread.join(NEVER_S)
        assert not one._thread.is_alive()


Make = Callable[[float, Callable[[], None]], ThreadDeadman]


def test_it_expires_once_never_early_and_in_a_thread_of_its_own(make: Make) -> None:
    expired = Expired()
    deadman = make(0.05, expired)
    fed_ns = time.monotonic_ns()
    deadman.feed()
    came_ns, thread = expired.wait()
    assert came_ns - fed_ns >= 50_000_000
    assert thread != threading.get_ident()
    other = make(0.05, marker := Expired())  # a deadline of the same length that begins now
    other.feed()
    marker.wait()
    assert expired.came.empty()


def test_it_expires_while_the_thread_that_feeds_it_hangs(make: Make) -> None:
    """The main thread is the one that hangs: it computes without a pause until the deadline has come."""
    expired = Expired()
    make(0.05, expired).feed()
    end = time.monotonic() + NEVER_S
    while expired.came.empty() and time.monotonic() < end:
        sum(range(1000))
    assert not expired.came.empty()


def test_feeding_puts_it_off(make: Make) -> None:
    expired = Expired()
    deadman = make(0.5, expired)
    longest_ns, last_ns = 0, time.monotonic_ns()
    for _ in range(20):
        deadman.feed()
        now_ns = time.monotonic_ns()
        longest_ns, last_ns = max(longest_ns, now_ns - last_ns), now_ns
        threading.Event().wait(0.05)
    deadman.feed()
    if longest_ns < 400_000_000:  # else this machine was too busy to feed it in time
        assert expired.came.empty()
    expired.wait()


def test_it_is_idle_until_it_is_fed_and_after_it_has_expired(make: Make) -> None:
    expired, marker = Expired(), Expired()
    deadman = make(0.02, expired)
    other = make(0.1, marker)
    other.feed()
    marker.wait()
    assert expired.came.empty()
    deadman.feed()
    expired.wait()
    deadman.feed()
    expired.wait()


def test_what_fails_is_tried_again_until_it_does_not(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    expired = Expired(failing=2)
    make(0.02, expired).feed()
    for _ in range(3):
        expired.wait()
    marker = Expired()
    make(0.1, marker).feed()
    marker.wait()
    assert expired.came.empty()
    assert caplog.text.count("it is tried again") == 2


def test_closed_it_never_expires(make: Make) -> None:
    expired, marker = Expired(), Expired()
    deadman = make(0.05, expired)
    deadman.feed()
    deadman.close()
    deadman.feed()
    make(0.2, marker).feed()
    marker.wait()
    assert expired.came.empty()


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_deadline_has_a_length(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="a deadline is some seconds"):
        ThreadDeadman(timeout_s, lambda: None, clock=MeshClock(SystemClock()))


def test_a_node_s_ports_make_one() -> None:
    deadman: Deadman = NodePorts(MeshClock(SystemClock())).deadman(NEVER_S, lambda: None)
    assert isinstance(deadman, ThreadDeadman)
    deadman.close()


# In virtual time


class Virtual:
    def __init__(self, failing: int = 0) -> None:
        self.scheduler = VirtualScheduler()
        self.came: list[float] = []
        self.deadman: Deadman = SimPorts(MeshClock(self.scheduler), self.scheduler).deadman(0.15, self._expire)
        self._failing = failing

    def _expire(self) -> None:
        self.came.append(self.scheduler.monotonic_ns() / 1e9)
        if self._failing:
            self._failing -= 1
            raise OSError("the pin is stuck")


def test_in_virtual_time_it_comes_to_the_nanosecond() -> None:
    rig = Virtual()
    rig.scheduler.run_for(1.0)
    rig.deadman.feed()
    rig.scheduler.run_for(0.1)
    rig.deadman.feed()
    rig.scheduler.run_for(1.0)
    assert rig.came == [1.25]
    rig.deadman.feed()
    rig.deadman.close()
    rig.scheduler.run_for(1.0)
    rig.deadman.feed()
    rig.scheduler.run_for(1.0)
    assert rig.came == [1.25]


def test_in_virtual_time_too_what_fails_is_tried_again() -> None:
    rig = Virtual(failing=1)
    rig.deadman.feed()
    with pytest.raises(OSError, match="the pin is stuck"):
        rig.scheduler.run_for(1.0)
    rig.scheduler.run_for(1.0)
    assert rig.came == [0.15, 0.3]


def test_ports_without_a_node_have_no_deadlines() -> None:
    ports = SimPorts(MeshClock(VirtualScheduler()))
    with pytest.raises(DeviceUnavailableError, match="belong to no node"):
        ports.deadman(0.15, lambda: None)
