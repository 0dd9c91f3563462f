"""A sampler opens, reads, times, retries and closes a device, whatever the device does."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from becomingone.devices.contract import Block, Reading, Sensor
from becomingone.errors import DeviceError, DeviceUnavailableError, KernelError, TopicError
from becomingone.node.sampler import STALL_S, Sampler, Status
from becomingone.runner import InlineRunner, Runner
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler

from .fakes import SECOND_NS, FakeSensor, HeldRunner, SlowClock, block, channel

FINE = Status(available=True)


class Rig:
    """One sampler in virtual time, and a list of everything that it said."""

    def __init__(
        self,
        make: Callable[[], Sensor],
        *,
        frames_per_s: float = 10.0,
        make_runner: Callable[[VirtualScheduler], Runner] = InlineRunner,
        on_open: Callable[[Sensor], None] = lambda _device: None,
    ) -> None:
        self.scheduler = VirtualScheduler()
        self.clock = SlowClock(self.scheduler)
        self.statuses: list[Status] = []
        self.changed_s: list[float] = []
        self.blocks: list[Block] = []
        self.takes = 0
        self._started = False
        self.refusal: Exception | None = None
        self.runner = make_runner(self.scheduler)
        self.sampler = Sampler(
            "device",
            make,
            clock=MeshClock(self.clock),
            scheduler=self.scheduler,
            runner=self.runner,
            rng=random.Random(1),
            frames_per_s=frames_per_s,
            on_open=on_open,
            on_blocks=self._take,
            on_status=self._status,
        )

    def _take(self, blocks: Sequence[Block]) -> None:
        self.takes += 1
        self.blocks += blocks
        if self.refusal is not None:
            raise self.refusal

    def _status(self, status: Status) -> None:
        self.statuses.append(status)
        self.changed_s.append(self.scheduler.monotonic_ns() / SECOND_NS)

    def run(self, seconds: float = 0.0) -> Rig:
        if not self._started:
            self._started = True
            self.sampler.start()
        self.scheduler.run_for(seconds)
        return self


def failing(message: str = "it is not there") -> Callable[[], Reading]:
    def read() -> Reading:
        raise DeviceUnavailableError(message)

    return read


# Values


def test_a_value_is_timed_at_the_middle_of_its_read() -> None:
    def read() -> Reading:
        rig.clock.taken_ns += 4_000_000
        return {"a": 2.5}

    rig = Rig(lambda: FakeSensor(channel(rate_hz=10.0), reading=read))
    rig.run()
    (taken,) = rig.blocks
    assert (taken.start_ns, taken.spacing_ns, taken.samples.tolist()) == (2_000_000, 1e8, [2.5])
    assert rig.statuses == [FINE]


def test_values_are_read_at_the_rate_of_the_fastest_channel() -> None:
    sensor = FakeSensor(channel("slow", 1.0), channel("a", 10.0))
    rig = Rig(lambda: sensor, frames_per_s=1.0).run(1.0)
    assert sensor.reads == 11
    assert [b.start_ns for b in rig.blocks if b.channel == "a"] == [n * 100_000_000 for n in range(11)]


def test_a_value_that_is_missing_is_nan() -> None:
    sensor = FakeSensor(channel("a"), channel("b"), channel("c"), reading=lambda: {"a": None, "c": 3.0, "d": 4.0})
    rig = Rig(lambda: sensor).run()
    assert [b.channel for b in rig.blocks] == ["a", "b", "c"]
    assert np.isnan(rig.blocks[0].samples[0])
    assert np.isnan(rig.blocks[1].samples[0])
    assert rig.blocks[2].samples[0] == 3.0


def test_a_value_that_is_no_number_makes_the_device_unavailable() -> None:
    rig = Rig(lambda: FakeSensor(channel(), reading=lambda: {"a": "warm"})).run()  # type: ignore[dict-item,return-value]
    assert [status.available for status in rig.statuses] == [False]
    assert "warm" in rig.statuses[0].reason


# Bulk sources


def test_a_bulk_source_is_emptied_at_frames_per_s() -> None:
    sensor = FakeSensor(channel(rate_hz=1000.0), reading=lambda: [block(7, [1, 2, 3])])
    rig = Rig(lambda: sensor, frames_per_s=5.0).run(1.0)
    assert sensor.reads == 6
    assert rig.blocks[0].start_ns == 7  # its own time


def test_a_slow_bulk_source_is_read_at_its_own_rate() -> None:
    sensor = FakeSensor(channel(rate_hz=0.5), reading=lambda: [block(7, [1.0])])
    Rig(lambda: sensor, frames_per_s=5.0).run(10.0)
    assert sensor.reads == 6


def test_nothing_new_is_no_failure() -> None:
    sensor = FakeSensor(channel(), reading=list)
    rig = Rig(lambda: sensor).run(1.0)
    assert rig.statuses == [FINE]
    assert rig.takes == 0
    assert sensor.reads == 11


# Failures


def test_a_device_that_cannot_be_opened_is_tried_again_with_backoff() -> None:
    tried_s: list[float] = []

    def make() -> Sensor:
        tried_s.append(rig.scheduler.monotonic_ns() / SECOND_NS)
        msg = "there is no microphone"
        raise DeviceUnavailableError(msg)

    rig = Rig(make)
    rig.run(600.0)
    assert rig.statuses == [Status(available=False, reason="there is no microphone")]  # told once
    waits = np.diff(tried_s)
    assert all(wait <= min(30.0, 0.5 * 2**n) for n, wait in enumerate(waits))
    assert 600 / 30 < len(tried_s) < 80  # mean wait 15 s: neither a tight loop nor for ever


def test_a_device_that_fails_comes_back_and_is_closed_once_per_opening() -> None:
    opened: list[FakeSensor] = []
    told: list[Sensor] = []

    def make() -> Sensor:
        good = len(opened) == 2
        opened.append(FakeSensor(channel(), reading=(lambda: {"a": 1.0}) if good else failing("the wire is loose")))
        return opened[-1]

    rig = Rig(make, on_open=told.append).run(10.0)
    assert rig.statuses == [Status(available=False, reason="the wire is loose"), FINE]
    assert [sensor.closed for sensor in opened] == [1, 1, 0]
    assert [sensor.reads for sensor in opened[:2]] == [1, 1]
    assert told == opened
    assert opened[2].reads > 50
    rig.sampler.close()
    rig.run(10.0)
    assert [sensor.closed for sensor in opened] == [1, 1, 1]


def test_a_device_that_fails_while_it_works_is_opened_again() -> None:
    opened: list[FakeSensor] = []

    def read() -> Reading:
        if len(opened) == 1 and opened[0].reads == 5:
            msg = "bus error"
            raise OSError(msg)
        return {"a": 1.0}

    def make() -> Sensor:
        opened.append(FakeSensor(channel(), reading=read))
        return opened[-1]

    rig = Rig(make).run(5.0)
    assert rig.statuses == [FINE, Status(available=False, reason="bus error"), FINE]
    assert opened[0].reads == 5  # and never again
    assert opened[0].closed == 1


def test_the_backoff_starts_over_only_once_something_was_read() -> None:
    opened: list[float] = []

    def make() -> Sensor:
        opened.append(rig.scheduler.monotonic_ns() / SECOND_NS)
        return FakeSensor(channel(), reading=failing())

    rig = Rig(make)
    rig.run(600.0)
    assert len(opened) < 80


def test_a_device_that_has_worked_is_tried_again_soon() -> None:
    tried_s: list[float] = []
    working = False

    def read() -> Reading:
        if working:
            return {"a": 1.0}
        raise OSError

    def make() -> Sensor:
        tried_s.append(rig.scheduler.monotonic_ns() / SECOND_NS)
        return FakeSensor(channel(), reading=read)

    rig = Rig(make)
    rig.run(300.0)  # by now the window is 30 s wide
    working = True
    rig.run(60.0)
    assert rig.statuses[-1] == FINE
    working = False
    failed_s = rig.scheduler.monotonic_ns() / SECOND_NS + 0.1
    before = len(tried_s)
    rig.run(5.0)
    assert tried_s[before] - failed_s <= 0.5


def test_a_device_that_works_for_a_moment_only_is_tried_ever_more_seldom() -> None:
    """Every other read fails: it must not be opened, logged and announced several times a second for ever."""
    reads = 0
    opened = 0

    def read() -> Reading:
        nonlocal reads
        reads += 1
        if reads % 2 == 0:
            raise DeviceUnavailableError(f"bus error {reads}")
        return {"a": 1.0}

    def make() -> Sensor:
        nonlocal opened
        opened += 1
        return FakeSensor(channel(rate_hz=1000.0), reading=read)

    rig = Rig(make).run(600.0)
    assert 20 < opened < 80
    assert len(rig.statuses) <= 2 * opened


def test_an_error_without_words_tells_its_kind() -> None:
    def read() -> Reading:
        raise TimeoutError

    assert Rig(lambda: FakeSensor(channel(), reading=read)).run().statuses[0].reason == "TimeoutError"


def test_a_device_whose_close_fails_is_opened_again() -> None:
    opened: list[FakeSensor] = []

    def stuck() -> None:
        msg = "cannot close"
        raise OSError(msg)

    def make() -> Sensor:
        opened.append(FakeSensor(channel(), reading=failing(), closing=stuck))
        return opened[-1]

    rig = Rig(make).run(5.0)
    assert len(opened) > 1
    assert rig.statuses == [Status(available=False, reason="it is not there")]


@pytest.mark.parametrize(
    "error", [DeviceError("two channels have one name"), TopicError("bad name"), KernelError("no such floor")]
)
def test_a_device_that_is_refused_is_closed_and_unavailable(error: Exception) -> None:
    opened: list[FakeSensor] = []

    def make() -> Sensor:
        opened.append(FakeSensor(channel()))
        return opened[-1]

    def refuse(_device: Sensor) -> None:
        raise error

    rig = Rig(make, on_open=refuse).run(5.0)
    assert rig.statuses == [Status(available=False, reason=str(error))]
    assert len(opened) > 1  # its configuration may be mended by then, or another device gone
    assert all(sensor.closed == 1 and sensor.reads == 0 for sensor in opened)


def test_a_device_without_channels_is_unavailable() -> None:
    rig = Rig(FakeSensor).run(1.0)
    assert rig.statuses == [Status(available=False, reason="it has no channels")]


def test_blocks_that_break_the_contract_make_the_device_unavailable() -> None:
    rig = Rig(lambda: FakeSensor(channel(), reading=lambda: [block(0, [1.0])]))
    rig.refusal = KernelError("a spacing of 0 s")
    rig.run(0.0)
    assert rig.statuses[-1] == Status(available=False, reason="a spacing of 0 s")
    rig.refusal = None
    rig.run(5.0)
    assert rig.statuses[-1] == FINE


# What never answers


def stalled() -> tuple[Rig, HeldRunner]:
    rig = Rig(lambda: FakeSensor(channel(rate_hz=10.0)), make_runner=HeldRunner)
    assert isinstance(rig.runner, HeldRunner)
    return rig.run(), rig.runner


def test_an_opening_that_does_not_return_makes_the_device_unavailable() -> None:
    rig, runner = stalled()
    rig.run(STALL_S - 0.01)
    assert rig.statuses == []
    rig.run(0.02)
    assert rig.statuses == [Status(available=False, reason="its opening has not returned")]
    runner.answer()
    runner.answer()
    assert rig.statuses[-1] == FINE


def test_a_first_read_that_does_not_return_makes_the_device_unavailable() -> None:
    rig, runner = stalled()
    runner.answer()
    rig.run(STALL_S + 0.01)
    assert rig.statuses == [Status(available=False, reason="its read has not returned")]
    runner.answer()
    assert rig.statuses[-1] == FINE


def test_a_read_that_does_not_return_makes_the_device_unavailable_until_it_does() -> None:
    rig, runner = stalled()
    runner.answer()
    runner.answer()
    assert rig.statuses == [FINE]
    rig.run(STALL_S)  # the read begins 0.1 s later
    assert rig.statuses == [FINE]
    assert len(runner.held) == 1  # one read at a time
    rig.run(0.3)
    assert rig.statuses == [FINE, Status(available=False, reason="its read has not returned")]
    assert rig.sampler.missed == 52
    runner.answer()
    assert rig.statuses[-1] == FINE
    rig.run(0.1)
    assert len(runner.held) == 1  # and it goes on


def test_a_slow_device_has_three_periods() -> None:
    rig = Rig(lambda: FakeSensor(channel(rate_hz=0.1)), make_runner=HeldRunner).run()
    assert isinstance(rig.runner, HeldRunner)
    rig.runner.answer()
    rig.runner.answer()
    rig.run(10.0 + 30.0)
    assert rig.statuses == [FINE]
    rig.run(10.0)
    assert not rig.statuses[-1].available


def test_a_read_that_takes_long_is_not_made_up_for() -> None:
    rig, runner = stalled()
    runner.answer()
    runner.answer()
    rig.run(1.05)  # due at 0.1 s, and nine turns since
    assert rig.sampler.missed == 9
    runner.answer()
    assert len(runner.held) == 0
    rig.run(0.1)
    assert len(runner.held) == 1


# Closing


def test_close_lets_the_device_go() -> None:
    sensor = FakeSensor(channel())
    rig = Rig(lambda: sensor).run(1.0)
    rig.sampler.close()
    rig.sampler.close()
    rig.run(10.0)
    assert (sensor.reads, sensor.closed) == (11, 1)
    assert rig.statuses == [FINE]


def test_close_during_a_read_waits_for_it_and_then_closes_the_device() -> None:
    sensor = FakeSensor(channel())
    rig = Rig(lambda: sensor, make_runner=HeldRunner).run()
    runner = rig.runner
    assert isinstance(runner, HeldRunner)
    runner.answer()
    rig.sampler.close()
    runner.answer()
    assert (sensor.reads, sensor.closed) == (1, 0)
    runner.answer()
    assert sensor.closed == 1
    assert runner.held == [None]
    assert (rig.statuses, rig.takes) == ([], 0)


def test_close_during_the_opening_closes_the_device_where_it_was_opened() -> None:
    """Closing may block or fail as any call of a device may: it belongs to the runner."""

    def stuck() -> None:
        msg = "cannot close"
        raise OSError(msg)

    sensor = FakeSensor(channel(), closing=stuck)
    rig = Rig(lambda: sensor, make_runner=HeldRunner).run()
    runner = rig.runner
    assert isinstance(runner, HeldRunner)
    rig.sampler.close()
    runner.answer()
    assert sensor.closed == 0
    runner.answer()
    assert (sensor.reads, sensor.closed) == (0, 1)
    assert runner.held == [None]
    assert rig.run(60.0).statuses == []


def test_close_while_a_retry_waits_ends_it() -> None:
    tried: list[int] = []

    def make() -> Sensor:
        tried.append(1)
        raise OSError

    rig = Rig(make).run()
    rig.sampler.close()
    rig.run(60.0)
    assert len(tried) == 1
