"""A device that is slow, stuck or failing: it holds up nobody, the newest wish counts, and rest comes first."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping

import pytest

from becomingone.broker.link import Message
from becomingone.errors import DeviceError, DeviceUnavailableError
from becomingone.node.driver import put_to_rest
from becomingone.node.outputs import MAX_COMMAND, OutputRunner
from becomingone.node.trust import Trust
from becomingone.runner import ThreadRunner
from becomingone.scheduling import LoopScheduler, MeshClock
from becomingone.wire.announce import OutputState
from becomingone.wire.command import OutputCommand, encode_command

from .fakes import FakeOutput
from .test_outputs import BLUE, RED, Rig

GREEN = {"hue": 120.0, "brightness": 0.75}


def test_while_the_device_is_busy_only_the_newest_values_wait() -> None:
    rig = Rig(held=True)
    for number, values in enumerate((RED, BLUE, RED, GREEN)):
        rig.command(number, values)
    assert len(rig.held.held) == 1
    assert rig.told == []  # nothing has been done yet
    rig.held.answer()
    assert rig.doings == [("command", "the hub's command")]
    rig.held.answer()
    assert rig.device.calls == ["rest", RED, GREEN]
    assert rig.runner.refused == {"busy": 2}
    assert rig.runner.state.values == GREEN
    assert rig.held.held == []


def test_a_rest_is_the_next_call_and_values_that_waited_are_forgotten() -> None:
    rig = Rig(held=True)
    rig.command(0, RED)
    rig.command(1, BLUE)
    rig.rest("the node stops")
    assert len(rig.held.held) == 2  # handed over already, behind the call that is under way
    rig.held.answer()
    rig.held.answer()
    assert rig.device.calls == ["rest", RED, "rest"]
    assert rig.doings[-1] == ("rest", "the node stops")
    assert rig.runner.refused == {"busy": 1}


def test_two_rests_are_one_call() -> None:
    rig = Rig(held=True)
    rig.command(0, RED)
    rig.rest("one")
    rig.rest("two")
    rig.held.answer()
    rig.held.answer()
    assert rig.held.held == []
    assert rig.doings[-1] == ("rest", "two")


def test_a_command_after_a_rest_that_has_not_returned_is_done_after_it() -> None:
    rig = Rig(held=True)
    rig.command(0, RED)
    rig.rest("one")
    rig.command(1, BLUE)
    for _ in range(3):
        rig.held.answer()
    assert rig.device.calls == ["rest", RED, "rest", BLUE]


def test_a_command_after_a_rest_that_failed_is_done() -> None:
    rig = Rig(held=True)
    rig.command(0, RED)
    rig.held.answer()
    rig.device.failing = {"rest"}
    rig.rest("one")
    rig.command(1, BLUE)
    rig.held.answer()
    assert rig.runner.state.why == "cannot rest (one): the switch is stuck"
    rig.held.answer()
    assert rig.device.calls == ["rest", RED, "rest", BLUE]
    rig.run(0.5)
    assert rig.held.held == []


def test_a_call_that_does_not_return_is_told_of() -> None:
    rig = Rig(held=True, stale_s=5.0)
    rig.command(0, RED)
    rig.held.answer()
    rig.command(1, BLUE)
    rig.run(1.1)
    assert rig.runner.state == OutputState(doing="command", why="the device's apply has not returned", values=RED)
    assert rig.runner.refused == {"device": 1}
    rig.held.answer()
    assert rig.runner.state.values == BLUE
    rig.rest("the node stops")
    rig.run(1.1)
    assert rig.runner.state.why == "the device's rest has not returned"
    assert rig.runner.state.doing == "command"


def test_a_failure_while_a_rest_waits_does_not_hide_its_reason() -> None:
    rig = Rig(held=True)
    rig.device.failing = {"apply"}
    rig.command(0, RED)
    rig.rest("the node stops")
    rig.held.answer()
    rig.held.answer()
    assert rig.doings == [("rest", "the node stops")]
    assert rig.held.held == []


# The end


def test_closing_waits_for_the_rest_and_is_silent_then() -> None:
    rig = Rig(held=True)
    done: list[float] = []
    rig.command(0, RED)
    rig.held.answer()
    rig.runner.close("the node stops", lambda: done.append(rig.now_s))
    assert done == []
    rig.held.answer()
    assert done == [0.0]
    assert rig.doings[-1] == ("rest", "the node stops")
    told = len(rig.told)
    rig.run(60.0)
    assert (len(rig.told), len(done)) == (told, 1)


def test_closing_waits_no_longer_than_a_second_and_says_so() -> None:
    rig = Rig(held=True)
    done: list[float] = []
    rig.command(0, RED)
    rig.runner.close("the node stops", lambda: done.append(rig.now_s))
    rig.run(60.0)
    assert done == [1.0]
    assert rig.runner.state.why == "the device's apply has not returned"


def test_closing_does_not_wait_for_what_cannot_rest() -> None:
    rig = Rig()
    done: list[float] = []
    rig.command(0, RED)
    rig.device.failing = {"rest"}
    rig.runner.close("the node stops", lambda: done.append(rig.now_s))
    rig.run(60.0)
    assert done == [0.0]
    assert rig.device.calls == ["rest", RED, "rest"]
    assert rig.doings[-1] == ("command", "cannot rest (the node stops): the switch is stuck")


def test_what_has_been_put_to_rest_is_not_again() -> None:
    device = FakeOutput()
    put_to_rest("light", device)
    Rig(device, rested=True)
    assert device.calls == ["rest"]
    device.failing = {"rest"}
    with pytest.raises(DeviceUnavailableError, match="light cannot be put to rest: the switch is stuck"):
        put_to_rest("light", device)
    with pytest.raises(DeviceError, match="light: the role must be one of"):
        put_to_rest("light", FakeOutput("heater"))


# In real time


class Slow:
    """A lamp on a slow bus."""

    role = "display"

    def __init__(self) -> None:
        self.free = threading.Event()
        self.calls: list[str] = []

    def apply(self, _values: Mapping[str, float]) -> None:
        self.calls.append("apply")
        self.free.wait(20.0)

    def rest(self) -> None:
        self.calls.append("rest")


def test_a_device_that_blocks_does_not_stop_the_loop() -> None:
    device = Slow()
    told: list[OutputState] = []
    turns = 0

    async def live() -> None:
        nonlocal turns
        scheduler = LoopScheduler(asyncio.get_running_loop())
        clock = MeshClock(scheduler)
        runner = ThreadRunner(scheduler, "slow")
        output = OutputRunner(
            "light",
            device,
            stale_s=60.0,
            clock=clock,
            scheduler=scheduler,
            report=lambda _name, state: told.append(state),
            runner=runner,
        )
        for number in range(50):
            command = OutputCommand(boot=1, id=number, expires_us=clock.now_us() + 60_000_000, values=RED)
            output.command(Message("any", encode_command(command)))
            await asyncio.sleep(0)
            turns += 1
        # All of these turns were had while the first call was under way; on a slow machine they may take its second.
        assert {state.why for state in told} <= {"the device's apply has not returned"}
        output.rest("the node stops")
        device.free.set()
        deadline = time.monotonic() + 20.0
        while not (told and told[-1].doing == "rest") and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        runner.close()

    try:
        asyncio.run(live())
    finally:
        device.free.set()
    assert turns == 50
    assert device.calls == ["rest", "apply", "rest"]
    assert told[-1] == OutputState(doing="rest", why="the node stops", values={})


# Garbage


@pytest.mark.parametrize("key", [None, bytes(range(32))], ids=["open", "sealed"])
@pytest.mark.parametrize("size", [1, 100, MAX_COMMAND, MAX_COMMAND + 1, 1 << 20])
def test_garbage_costs_little_whatever_its_size(key: bytes | None, size: int, caplog: pytest.LogCaptureFixture) -> None:
    """The worst of these is five MACs over `MAX_COMMAND` bytes; what is longer is not even looked at."""
    trust = Trust(key, 100)
    rig = Rig(trust=trust)
    # As much as fits of a map, and what looks like a MAC at its end.
    garbage = b"\xa5" * max(0, size - 18) + b"\x17\x50" + b"\0" * 16 if size >= 100 else b"\xa5" * size
    message = Message("becomingone/home/node/n/output/light/set", garbage)
    count = 2000
    began = time.process_time()
    for _ in range(count):
        rig.runner.command(message)
    each_us = (time.process_time() - began) / count * 1e6
    print(f"{size} bytes of garbage, {'sealed' if key else 'open'} cell: {each_us:.0f} µs a message")
    assert each_us < 2000.0
    assert rig.runner.refused.total() == count
    assert rig.device.calls == ["rest"]
    assert rig.told == []
    assert len(caplog.records) <= 2
    if size > MAX_COMMAND:
        assert rig.runner.refused == {"oversize": count}
    elif key is not None and size >= 100:
        assert rig.runner.refused == {"forged": count}
