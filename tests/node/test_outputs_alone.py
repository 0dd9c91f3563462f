"""An output without the hub: lights and sound follow the node's own rhythm for a time, motors rest at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from becomingone.errors import FrameError
from becomingone.node.fade import FADE_S
from becomingone.node.outputs import MOTOR_STALE_S

from .fakes import FakeOutput
from .test_outputs import BLUE, RED, Rig

SPIN = {"velocity": 1.0, "rotation": -0.5}
ALONE_S = 600.0


class Own:
    """A rhythm of the node's own, in virtual time: full brightness, and a hue that turns once in two seconds."""

    def __init__(self) -> None:
        self.rig: Rig | None = None
        self.coherent = True
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, role: str, band: str | None) -> Mapping[str, float] | None:
        self.asked.append((role, band))
        if not self.coherent or self.rig is None:
            return None
        return {"hue": 180.0 + 180.0 * math.sin(math.pi * self.rig.now_s), "brightness": 1.0}


class Alone(Rig):
    def __init__(self, role: str = "display", **options: Any) -> None:
        self.own = Own()
        super().__init__(FakeOutput(role), **{"alone": self.own, "alone_s": ALONE_S, **options})
        self.own.rig = self

    def lose(self, why: str = "the hub is lost") -> None:
        self.runner.lose(why)
        self.run(0.0)

    @property
    def last(self) -> Any:
        return self.device.calls[-1]


def test_when_commands_stop_it_follows_the_nodes_own_rhythm_within_a_second() -> None:
    rig = Alone()
    rig.command(0)
    rig.run(1.95)
    assert rig.device.calls == ["rest", RED]
    rig.run(0.05)
    assert rig.runner.state.doing == "alone"
    assert rig.runner.state.why == "no fresh command"
    rig.run(FADE_S + 0.1)
    for _ in range(40):
        rig.run(0.05)
        values = rig.own("display", None)
        assert values is not None
        assert rig.last["hue"] == pytest.approx(values["hue"], abs=30.0)  # one turn of 50 ms is 28 degrees
        assert rig.last["brightness"] == 1.0


@pytest.mark.parametrize("lost_s", [0.0, 1.3])
def test_it_rests_when_its_time_alone_is_over_to_the_turn(lost_s: float) -> None:
    rig = Alone()
    rig.command(0)
    rig.run(lost_s)
    rig.lose()
    rig.run(ALONE_S - 1e-6)
    assert rig.runner.state.doing == "alone"
    rig.run(2e-6)
    assert rig.last == "rest"
    assert rig.runner.state.doing == "rest"
    assert rig.runner.state.why == "alone for 600 s: the hub is lost"
    calls = len(rig.device.calls)
    for why in ("the broker is out of reach", "the hub is lost"):
        rig.lose(why)
        rig.run(100.0)
    assert len(rig.device.calls) == calls


def test_losing_the_hub_again_and_again_prolongs_nothing() -> None:
    rig = Alone()
    rig.command(0)
    rig.lose()
    for _ in range(100):  # the link tries to connect, and fails
        rig.run(ALONE_S / 100)
        rig.lose("the broker is out of reach")
    assert rig.runner.state.doing == "rest"


def test_refused_commands_end_nothing_and_prolong_nothing() -> None:
    rig = Alone()
    rig.command(0)
    rig.lose()
    for _ in range(200):
        rig.run(ALONE_S / 200)
        rig.command(0)  # captured, and sent again
        rig.send(b"garbage")
    assert rig.runner.state.doing == "rest"
    assert rig.runner.refused["expired"] + rig.runner.refused["replayed"] == 200
    assert {state.doing for _, state in rig.told[1:-1]} == {"alone"}


def test_what_is_at_rest_stays_at_rest() -> None:
    rig = Alone()
    rig.lose()
    rig.run(60.0)
    assert rig.device.calls == ["rest"]
    rig.command(0)
    rig.rest("the node stops")
    rig.lose()
    rig.run(60.0)
    assert rig.device.calls == ["rest", RED, "rest"]
    assert rig.own.asked == []


def test_while_nothing_is_coherent_it_rests_and_goes_on_when_something_is() -> None:
    rig = Alone()
    rig.own.coherent = False
    rig.command(0)
    rig.lose()
    rig.run(10.0)
    assert rig.device.calls == ["rest", RED, "rest"]
    assert rig.runner.state.why == "the hub is lost, and nothing here is coherent"
    rig.own.coherent = True
    rig.run(1.0)
    assert rig.runner.state.doing == "alone"
    assert rig.last["brightness"] == 1.0
    rig.run(ALONE_S)
    assert rig.runner.state.doing == "rest"


def test_without_time_alone_it_rests() -> None:
    for options in ({"alone_s": 0.0}, {"alone": None}):
        rig = Alone(**options)
        rig.command(0)
        rig.lose()
        assert rig.device.calls == ["rest", RED, "rest"]
        assert rig.runner.state.why == "the hub is lost"


def test_it_asks_for_its_band() -> None:
    rig = Alone(band="stride")
    rig.command(0)
    rig.lose()
    assert set(rig.own.asked) == {("display", "stride")}


# The handovers


def steps(rig: Alone) -> list[float]:
    hues = [call["hue"] for call in rig.device.calls if isinstance(call, dict)]
    return [abs(after - before) for before, after in pairwise(hues)]


def test_neither_losing_nor_finding_the_hub_is_a_jump() -> None:
    """A turn of 50 ms goes a twentieth of the way to the other source, and as far as that goes itself: 28 degrees."""
    rig = Alone()
    for number in range(20):
        rig.command(number, {"hue": 360.0, "brightness": 0.1})
        rig.run(0.05)
    rig.run(4.0)
    assert rig.runner.state.doing == "alone"
    for number in range(20, 80):
        rig.command(number, {"hue": 0.0, "brightness": 0.1})
        rig.run(0.05)
    assert max(steps(rig)) <= 360.0 / 20 + 180.0 * math.pi * 0.05 + 1e-6
    assert rig.runner.state.doing == "command"
    assert rig.last == {"hue": 0.0, "brightness": pytest.approx(0.1)}


def test_one_command_is_enough_to_end_at_its_values() -> None:
    rig = Alone()
    rig.command(0)
    rig.lose()
    rig.run(5.0)
    rig.command(1, BLUE)
    rig.run(FADE_S + 0.1)
    assert rig.last == BLUE
    assert rig.runner.state.doing == "command"
    calls = len(rig.device.calls)
    rig.run(0.5)
    assert len(rig.device.calls) == calls


def test_from_rest_there_is_nothing_to_fade_from() -> None:
    rig = Alone()
    rig.own.coherent = False
    rig.command(0)
    rig.lose()
    rig.command(1, BLUE)
    assert rig.last == BLUE


# Motors


def test_a_motor_rests_at_once_whatever_is_configured() -> None:
    rig = Alone("motor", stale_s=60.0)
    rig.command(0, SPIN)
    rig.lose()
    assert rig.device.calls == ["rest", SPIN, "rest"]
    assert rig.runner.state.doing == "rest"
    assert rig.own.asked == []
    rig.run(60.0)
    assert len(rig.device.calls) == 3


def test_a_motor_rests_when_commands_stop_for_its_deadline() -> None:
    rig = Alone("motor", stale_s=60.0)
    for number in range(20):
        rig.command(number, SPIN)
        rig.run(0.05)
    rig.run(MOTOR_STALE_S - 0.05 - 1e-6)
    assert rig.last == SPIN
    rig.run(2e-6)
    assert rig.last == "rest"
    assert rig.now_s - 0.95 == pytest.approx(MOTOR_STALE_S, abs=1e-5)


def test_a_motor_does_not_outlive_its_command() -> None:
    rig = Alone("motor", stale_s=60.0)
    rig.command(0, SPIN, valid_s=0.04)  # it was long on its way
    rig.run(0.04)
    assert rig.last == "rest"


def test_a_motor_shows_nothing() -> None:
    rig = Alone("motor")
    assert rig.runner.show(SPIN, "identify", 1.0) is False
    rig.run(2.0)
    assert rig.device.calls == ["rest"]


def test_a_motor_that_cannot_rest_is_tried_again_ten_times_a_second() -> None:
    rig = Alone("motor")
    rig.command(0, SPIN)
    rig.device.failing = {"rest"}
    rig.lose()
    rig.run(1.05)
    assert rig.device.calls.count("rest") == 12
    rig.device.failing = set()
    rig.run(0.1)
    assert rig.runner.state.doing == "rest"


# Showing something else for a while


def test_it_shows_something_and_goes_back_to_rest() -> None:
    rig = Rig()
    assert rig.runner.show(BLUE, "identify", 2.0)
    rig.run(1.9)
    assert rig.doings == [("command", "identify")]
    rig.run(0.2)
    assert rig.device.calls == ["rest", BLUE, "rest"]
    assert rig.doings[-1] == ("rest", "started")


def test_it_goes_back_to_the_hubs_latest_command() -> None:
    rig = Rig()
    rig.command(0, RED)
    rig.runner.show({"hue": 120.0, "brightness": 1.0}, "identify", 1.0)
    rig.run(0.5)
    rig.command(1, BLUE)
    assert rig.runner.state.why == "identify"
    rig.run(0.6)
    assert rig.device.calls[-1] == BLUE
    assert rig.runner.state.why == "the hub's command"
    assert rig.runner.refused == {}


def test_it_goes_back_to_being_alone() -> None:
    rig = Alone()
    rig.command(0)
    rig.lose()
    rig.runner.show(BLUE, "identify", 3.0)
    rig.run(2.9)
    assert rig.last == BLUE
    rig.run(0.2)
    assert rig.runner.state.doing == "alone"
    rig.run(ALONE_S)
    assert rig.runner.state.why == "alone for 600 s: the hub is lost"


def test_what_is_shown_later_takes_its_place() -> None:
    rig = Rig()
    rig.runner.show(RED, "identify", 1.0)
    rig.run(0.9)
    rig.runner.show(BLUE, "identify", 1.0)
    rig.run(0.9)
    assert rig.device.calls == ["rest", RED, BLUE]
    rig.run(0.2)
    assert rig.device.calls[-1] == "rest"


def test_a_rest_ends_it_at_once() -> None:
    rig = Rig()
    rig.runner.show(BLUE, "identify", 10.0)
    rig.rest("the node stops")
    rig.run(20.0)
    assert rig.device.calls == ["rest", BLUE, "rest"]


def test_values_of_another_role_are_not_shown() -> None:
    rig = Rig()
    with pytest.raises(FrameError, match="a display takes hue, brightness, not velocity"):
        rig.runner.show({"velocity": 1.0}, "identify", 1.0)
    rig.run(2.0)
    assert rig.device.calls == ["rest"]
