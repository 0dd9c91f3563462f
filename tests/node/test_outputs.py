"""An output obeys fresh commands of the hub and nothing else; without them it goes on alone, or rests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from becomingone.broker.link import Message
from becomingone.errors import DeviceError, DeviceUnavailableError
from becomingone.node.outputs import OutputRunner
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire import cbor
from becomingone.wire.announce import OutputState
from becomingone.wire.command import OutputCommand, encode_command

from .fakes import FakeOutput, HeldRunner

RED = {"hue": 0.0, "brightness": 0.5}
BLUE = {"hue": 240.0, "brightness": 0.25}


class Rig:
    """One output in virtual time with a stale time of 2 s, and every state that it told."""

    def __init__(self, device: FakeOutput | None = None, *, held: bool = False, **options: Any) -> None:
        self.scheduler = VirtualScheduler()
        self.clock = MeshClock(self.scheduler)
        self.device = device or FakeOutput()
        self.held = HeldRunner(self.scheduler)
        self.told: list[tuple[float, OutputState]] = []
        if held:
            options["runner"] = self.held
        self.runner = OutputRunner(
            "light",
            self.device,
            clock=self.clock,
            scheduler=self.scheduler,
            report=self._report,
            **{"stale_s": 2.0, **options},
        )

    @property
    def now_s(self) -> float:
        return self.scheduler.monotonic_ns() / 1e9

    def run(self, seconds: float) -> None:
        self.scheduler.run_for(seconds)

    def _report(self, name: str, state: OutputState) -> None:
        assert name == "light"
        self.told.append((self.scheduler.monotonic_ns() / 1e9, state))

    @property
    def doings(self) -> list[tuple[str, str]]:
        return [(state.doing, state.why) for _, state in self.told]

    def command(
        self, number: int = 0, values: Mapping[str, float] = RED, *, boot: int = 1, valid_s: float = 1.0
    ) -> None:
        expires_us = self.clock.now_us() + round(valid_s * 1e6)
        self.send(encode_command(OutputCommand(boot=boot, id=number, expires_us=expires_us, values=values)))

    def rest(self, why: str) -> None:
        self.runner.rest(why)
        self.scheduler.run_for(0.0)

    def send(self, payload: bytes) -> None:
        self.runner.command(Message("any", payload))
        self.scheduler.run_for(0.0)  # the device's answer


def test_it_is_at_rest_from_the_beginning() -> None:
    rig = Rig()
    assert rig.device.calls == ["rest"]
    assert rig.runner.state == OutputState(doing="rest", why="started", values={})
    rig.scheduler.run_for(60.0)
    assert rig.device.calls == ["rest"]


def test_it_obeys() -> None:
    rig = Rig()
    rig.command(0, RED)
    rig.command(1, BLUE)
    assert rig.device.calls == ["rest", RED, BLUE]
    assert rig.runner.state == OutputState(doing="command", why="the hub's command", values=BLUE, hub_boot=1, id=1)
    assert rig.runner.refused == Counter()


def test_expired_commands_are_refused() -> None:
    rig = Rig()
    rig.command(0, valid_s=-1e-6)
    rig.command(0, valid_s=0.0)  # to the microsecond
    assert rig.device.calls == ["rest", RED]
    assert rig.runner.refused == {"expired": 1}


def test_an_expired_command_does_not_use_its_number_up() -> None:
    rig = Rig()
    rig.command(1000, valid_s=-1.0)
    rig.command(0)
    assert rig.runner.refused == {"expired": 1}
    assert rig.device.calls == ["rest", RED]


def test_replayed_and_older_commands_are_refused() -> None:
    rig = Rig()
    for boot, number in ((5, 3), (5, 3), (5, 2), (4, 900), (5, 4), (6, 0)):
        rig.command(number, boot=boot)
    assert rig.device.calls == ["rest", RED, RED, RED]
    assert rig.runner.refused == {"replayed": 3}


MALFORMED = [
    (b"", "type"),
    (b"\xff", "type"),
    (b"{}", "type"),
    (cbor.encode({1: 1, 2: 0, 3: 10**18})[:-1], "truncated"),
    (cbor.encode({1: 1, 2: 0, 3: 10**18}), "missing"),
    (cbor.encode({1: 1, 2: 0, 4: RED}), "missing"),
    (cbor.encode({1: 1, 2: 0, 3: 10**18, 4: RED}) + b"\0", "trailing"),
    (cbor.encode({1: -1, 2: 0, 3: 10**18, 4: RED}), "range"),
    (cbor.encode({1: 1, 2: "0", 3: 10**18, 4: RED}), "type"),
    (cbor.encode({1: 1, 2: 0, 3: 10**18, 4: {}}), "type"),
    (cbor.encode({1: 1, 2: 0, 3: 10**18, 4: {"hue": "red"}}), "type"),
    (cbor.encode({1: 1, 2: 0, 3: 10**18, 4: {"hue": 361.0}}), "range"),
    (cbor.encode({1: 1, 2: 0, 3: 10**18, 4: {"hue": float("nan")}}), "not_finite"),
    (cbor.encode({1: 1, 2: 0, 3: 10**18, 4: {"velocity": 1.0}}), "range"),
]


@pytest.mark.parametrize(
    ("payload", "reason"), MALFORMED, ids=[f"{reason}-{n}" for n, (_, reason) in enumerate(MALFORMED)]
)
def test_malformed_commands_are_refused_and_counted(payload: bytes, reason: str) -> None:
    rig = Rig()
    rig.send(payload)
    assert rig.device.calls == ["rest"]
    assert rig.runner.refused == {reason: 1}
    assert rig.told == []


def test_values_of_another_role_are_refused() -> None:
    rig = Rig(FakeOutput("motor"))
    rig.command(0, RED)
    rig.command(1, {"velocity": 1.0, "rotation": -1.0})
    assert rig.device.calls == ["rest", {"velocity": 1.0, "rotation": -1.0}]
    assert rig.runner.refused == {"range": 1}


def test_a_device_that_cannot_rest_at_the_start_is_refused() -> None:
    device = FakeOutput()
    device.failing = {"rest"}
    with pytest.raises(DeviceUnavailableError, match="light cannot be put to rest: the switch is stuck"):
        Rig(device)


def test_a_role_that_nobody_drives_is_refused_at_the_start() -> None:
    with pytest.raises(DeviceError, match="light: the role must be one of display, speaker, motor, not 'heater'"):
        Rig(FakeOutput("heater"))


# Rest


def test_it_rests_when_commands_stop() -> None:
    rig = Rig()
    rig.command(0)
    rig.scheduler.run_for(1.9)
    rig.command(1, BLUE)
    rig.scheduler.run_for(1.9)
    assert rig.device.calls == ["rest", RED, BLUE]
    rig.scheduler.run_for(0.2)
    assert rig.device.calls == ["rest", RED, BLUE, "rest"]
    assert rig.told[-1] == (3.9, OutputState(doing="rest", why="no fresh command", values={}))
    rig.scheduler.run_for(60.0)
    assert len(rig.device.calls) == 4
    rig.command(2)
    assert rig.device.calls[-1] == RED


def test_refused_commands_keep_nothing_going() -> None:
    rig = Rig()
    rig.command(0)
    for _ in range(20):
        rig.scheduler.run_for(0.15)
        rig.command(0)
    assert rig.device.calls == ["rest", RED, "rest"]


def test_rest_is_called_and_told_with_its_reason() -> None:
    rig = Rig()
    rig.command(0)
    rig.rest("the node stops")
    assert rig.device.calls == ["rest", RED, "rest"]
    assert rig.doings[-1] == ("rest", "the node stops")
    rig.scheduler.run_for(60.0)
    assert len(rig.device.calls) == 3  # the watch over freshness has ended too


# Devices that fail


def test_a_device_that_fails_rests_and_says_why() -> None:
    rig = Rig()
    rig.device.failing = {"apply"}
    rig.command(0)
    assert rig.device.calls == ["rest", RED, "rest"]
    assert rig.doings == [("rest", "the device failed: the lamp is broken")]
    assert rig.runner.refused == {"device": 1}
    rig.device.failing = set()
    rig.run(1.0)
    rig.command(1, BLUE)
    assert rig.doings[-1] == ("command", "the hub's command")


def test_a_device_that_fails_is_left_alone_for_a_second() -> None:
    rig = Rig()
    rig.device.failing = {"apply"}
    for number in range(100):
        rig.command(number)
        rig.run(0.1)
    assert rig.device.calls == ["rest", *[RED, "rest"] * 10]
    assert set(rig.doings) == {("rest", "the device failed: the lamp is broken")}
    assert len(rig.told) == 10
    assert rig.runner.refused == {"device": 100}  # not one of them has been obeyed


def test_a_device_that_cannot_rest_is_tried_again_and_not_said_to_rest() -> None:
    rig = Rig()
    rig.command(0)
    rig.device.failing = {"rest"}
    rig.rest("the broker is out of reach")
    assert rig.runner.state.doing == "command"
    assert rig.runner.state.why == "cannot rest (the broker is out of reach): the switch is stuck"
    assert rig.runner.state.values == RED
    rig.scheduler.run_for(3.5)
    assert rig.device.calls == ["rest", RED, "rest", "rest", "rest", "rest"]
    assert rig.runner.refused == {"device": 4}
    assert len(set(rig.doings)) == 2
    rig.device.failing = set()
    rig.scheduler.run_for(1.0)
    assert rig.doings[-1] == ("rest", "the broker is out of reach")
    rig.scheduler.run_for(60.0)
    assert rig.device.calls.count("rest") == 6


def test_a_device_that_cannot_rest_still_obeys_and_then_rests() -> None:
    rig = Rig()
    rig.device.failing = {"rest"}
    rig.rest("the broker is out of reach")
    rig.device.failing = set()
    rig.run(0.5)
    rig.command(0)
    rig.scheduler.run_for(1.5)  # a fresh command holds: the attempt to rest is over
    assert rig.device.calls[-1] == RED
    rig.scheduler.run_for(1.0)
    assert rig.doings[-1] == ("rest", "no fresh command")


def test_a_device_that_fails_in_every_way_raises_nothing() -> None:
    rig = Rig()
    rig.device.failing = {"apply", "rest"}
    rig.command(0)
    assert rig.runner.state.why == "cannot rest (the device failed: the lamp is broken): the switch is stuck"
    assert rig.runner.refused == {"device": 2}


# Telling


def test_values_that_change_are_told_once_a_second() -> None:
    rig = Rig()
    for number in range(101):
        rig.command(number, {"hue": float(number)})
        rig.scheduler.run_for(0.1)
    assert [round(at_s, 3) for at_s, _ in rig.told] == list(range(11))
    assert [state.values["hue"] for _, state in rig.told] == [10.0 * n for n in range(11)]
    assert rig.runner.state.values == {"hue": 100.0}  # what is told on request is the latest


def test_a_change_of_what_it_does_is_told_at_once() -> None:
    rig = Rig()
    rig.command(0)
    rig.rest("one")
    rig.rest("two")
    rig.command(1)
    assert rig.doings == [
        ("command", "the hub's command"),
        ("rest", "one"),
        ("rest", "two"),
        ("command", "the hub's command"),
    ]
    assert {at_s for at_s, _ in rig.told} == {0.0}
