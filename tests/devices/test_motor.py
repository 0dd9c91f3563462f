"""A motor moves while commands come and nothing is wrong, as fast as it may, and is at rest otherwise."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.devices.contract import Output
from becomingone.devices.motor import Device, Options
from becomingone.errors import DeviceUnavailableError

from .fakes import FakePorts

LEFT = {"forward": 17, "backward": 18}
RIGHT = {"forward": 22, "backward": 23}
AHEAD = {"velocity": 1.0, "rotation": 0.0}
EVERY_S = 0.05


class Rig:
    def __init__(self, **options: Any) -> None:
        self.ports = FakePorts()
        self.pins = self.ports.fake_pins
        self.clock = self.ports.fake_clock
        self.device = Device(Options(**{"left": LEFT, "armed": True, "max_speed": 1.0, **options}), self.ports)

    def drive(self, values: Mapping[str, float] = AHEAD, seconds: float = 1.0) -> None:
        for _ in range(round(seconds / EVERY_S)):
            self.clock.advance(EVERY_S)
            self.device.apply(values)

    @property
    def states(self) -> dict[int, float]:
        return {pin: kept for pin, value in self.pins.states.items() if (kept := round(value, 9))}


def test_it_is_a_motor_and_says_so_in_its_class() -> None:
    rig = Rig()
    assert isinstance(rig.device, Output)
    assert Device.role == "motor"


def test_every_pin_is_low_from_the_beginning() -> None:
    rig = Rig(right=RIGHT, enable_pin=24)
    assert rig.states == {}
    for pin in (17, 18, 22, 23, 24):
        assert rig.pins.factory.pin(pin).function == "output"


# Speeds


def test_velocity_and_rotation_of_two_motors() -> None:
    rig = Rig(right=RIGHT)
    rig.drive({"velocity": 0.5, "rotation": 0.25})
    assert rig.states == {17: 0.25, 22: 0.75}
    rig.drive({"velocity": 0.0, "rotation": 0.5})  # to the left, on the spot
    assert rig.states == {18: 0.5, 22: 0.5}
    rig.drive({"velocity": -0.25})
    assert rig.states == {18: 0.25, 23: 0.25}


def test_a_single_motor_takes_the_velocity() -> None:
    rig = Rig()
    rig.drive({"velocity": -0.5, "rotation": 1.0})
    assert rig.states == {18: 0.5}


def test_speed_and_direction_pins() -> None:
    rig = Rig(left={"speed": 17, "direction": 18})
    rig.drive({"velocity": 0.5})
    assert rig.states == {17: 0.5}
    rig.drive({"velocity": -0.5})
    assert rig.states == {17: 0.5, 18: 1.0}
    turned = next(change for change in rig.pins.changes if change.pin == 18 and change.value)
    before = [change for change in rig.pins.changes if change.pin == 17 and change.time_ns <= turned.time_ns]
    at_the_turn = rig.pins.changes[: rig.pins.changes.index(turned)]
    assert [change.value for change in at_the_turn if change.pin == 17][-1] == 0.0
    assert before
    rig.device.rest()
    assert rig.states == {}


def test_an_inverted_motor() -> None:
    rig = Rig(left={**LEFT, "inverted": True})
    rig.drive({"velocity": 0.5})
    assert rig.states == {18: 0.5}


def test_values_are_clipped_and_the_speed_is_limited_and_the_curve_is_kept() -> None:
    rig = Rig(right=RIGHT, max_speed=0.4)
    rig.drive({"velocity": 7.0, "rotation": 0.0})
    assert rig.states == {17: 0.4, 22: 0.4}
    rig.drive({"velocity": 0.2, "rotation": 0.0})
    assert rig.states == {17: 0.2, 22: 0.2}
    rig.drive({"velocity": 0.6, "rotation": 0.2})  # 0.4 and 0.8
    assert rig.states == {17: 0.2, 22: 0.4}


# Slew


def test_the_first_command_moves_nothing_and_the_next_by_the_slew_rate() -> None:
    rig = Rig(slew_per_s=2.0)
    rig.device.apply(AHEAD)
    assert rig.states == {}
    rig.clock.advance(0.05)
    rig.device.apply(AHEAD)
    assert rig.states == {17: 0.1}
    rig.clock.advance(0.1)
    rig.device.apply(AHEAD)
    assert rig.states == {17: 0.3}


def test_slewing_through_zero() -> None:
    rig = Rig(slew_per_s=2.0)
    rig.drive(AHEAD, 2.0)
    rig.drive({"velocity": -1.0}, 0.5)
    assert rig.states == {}
    rig.drive({"velocity": -1.0}, 0.25)
    assert rig.states == {18: 0.5}


COMMANDS = st.lists(
    st.tuples(
        st.floats(0.0, 0.3),
        st.one_of(
            st.fixed_dictionaries({"velocity": st.floats(-2, 2), "rotation": st.floats(-2, 2)}),
            st.just({"velocity": float("nan")}),
            st.just({"hue": 1.0}),
            st.none(),  # rest
        ),
    ),
    max_size=40,
)


@given(COMMANDS, st.floats(0.1, 1.0), st.floats(0.1, 20.0))
def test_whatever_comes_speed_slew_and_deadline_hold(
    commands: list[tuple[float, dict[str, float] | None]], max_speed: float, slew: float
) -> None:
    rig = Rig(right=RIGHT, max_speed=max_speed, slew_per_s=slew, enable_pin=24)
    newest_ns, before = -(10**12), [0.0, 0.0]
    for wait_s, values in commands:
        rig.clock.advance(wait_s)
        late = rig.clock.now_ns - newest_ns >= 150_000_000
        assert not late or rig.states == {}
        if values is None:
            rig.device.rest()
        elif "velocity" in values and "rotation" in values:
            rig.device.apply(values)
        else:
            with pytest.raises(ValueError, match=r"must be|takes"):
                rig.device.apply(values)
        speeds = [rig.states.get(17, 0.0) - rig.states.get(18, 0.0), rig.states.get(22, 0.0) - rig.states.get(23, 0.0)]
        assert max(map(abs, speeds)) <= max_speed + 1e-9
        if values is None or "rotation" not in values:
            assert rig.states == {}
            newest_ns, before = -(10**12), [0.0, 0.0]
            continue
        passed_s = min((rig.clock.now_ns - newest_ns) / 1e9, 0.15)
        start = [0.0, 0.0] if late else before
        for number in (0, 1):
            assert abs(speeds[number] - start[number]) <= (0.0 if late else slew * passed_s) + 1e-6
        newest_ns, before = rig.clock.now_ns, speeds
    both = {17: 18, 18: 17, 22: 23, 23: 22}
    now: dict[int, float] = {}
    for change in rig.pins.changes:  # never both pins of a bridge, not even between two of them
        now[change.pin] = change.value
        assert change.pin not in both or not (change.value and now.get(both[change.pin]))


# Rest


def test_a_rest_is_immediate_and_everything_begins_from_zero_again() -> None:
    rig = Rig(right=RIGHT, enable_pin=24)
    rig.drive()
    assert rig.states[17] == rig.states[22] == 1.0
    at = rig.clock.now_ns
    rig.device.rest()
    assert rig.states == {}
    assert rig.pins.changes[-1].time_ns == at
    rig.clock.advance(EVERY_S)
    rig.device.apply(AHEAD)
    assert not rig.states.keys() & {17, 22}


def test_it_rests_when_commands_stop() -> None:
    rig = Rig(enable_pin=24)
    rig.drive()
    at = rig.clock.now_ns
    rig.clock.advance(0.149)
    assert rig.states[17] == 1.0
    rig.clock.advance(1.0)
    assert rig.states == {}
    assert rig.pins.changes[-1].time_ns - at == 150_000_000
    rig.device.apply(AHEAD)
    assert 17 not in rig.states


def test_a_deadline_that_is_late_is_noticed_by_the_next_command() -> None:
    rig = Rig()
    rig.drive()
    rig.clock.now_ns += 200_000_000  # the deadman's thread has not come to its turn
    rig.device.apply(AHEAD)
    assert rig.states == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "takes velocity and rotation, not nothing"),
        ({"velocity": 1.0, "hue": 1.0}, "not hue"),
        ({"velocity": float("nan")}, "velocity must be"),
        ({"rotation": float("inf")}, "rotation must be"),
    ],
)
def test_bad_values_stop_it(values: dict[str, float], message: str) -> None:
    rig = Rig()
    rig.drive()
    with pytest.raises(ValueError, match=message):
        rig.device.apply(values)
    assert rig.states == {}


def test_the_heartbeat_changes_with_every_command_and_is_low_at_rest() -> None:
    rig = Rig(enable_pin=24)
    rig.drive(seconds=0.25)
    assert rig.pins.of(24) == [1.0, 0.0, 1.0, 0.0, 1.0]
    rig.device.rest()
    rig.clock.advance(1.0)
    assert rig.pins.of(24) == [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]


# Pins that fail


def test_a_pin_that_fails_stops_the_other_motor() -> None:
    rig = Rig(right=RIGHT, enable_pin=24)
    rig.drive()
    rig.pins.break_pin(17)
    with pytest.raises(DeviceUnavailableError, match=r"the motor.*GPIO 17 does not answer"):
        rig.device.apply({"velocity": 0.5})
    assert rig.states == {17: 1.0}
    rig.pins.mend_pin(17)
    rig.device.rest()
    assert rig.states == {}


def test_a_command_that_hangs_in_a_pin_does_not_keep_the_deadline_from_stopping() -> None:
    rig = Rig()
    rig.drive()
    pin, entered, go_on = rig.pins.factory.pin(17), threading.Event(), threading.Event()
    original = pin._change_state

    def hang(value: float) -> bool:
        if value and threading.current_thread() is worker:
            entered.set()
            assert go_on.wait(30)
        return bool(original(value))

    pin._change_state = hang
    worker = threading.Thread(target=lambda: rig.device.apply({"velocity": 0.9}))
    worker.start()
    try:
        assert entered.wait(30)
        rig.clock.advance(0.2)
        assert rig.states == {}
    finally:
        go_on.set()
        worker.join(30)
    assert rig.states == {}  # what the hanging write has set afterwards is taken back


def test_a_pin_that_is_in_use_is_named_and_the_others_are_let_go() -> None:
    ports = FakePorts()
    first = Device(Options(left=LEFT), ports)
    with pytest.raises(DeviceUnavailableError, match="the motor on GPIO 19, 17: GPIOPinInUse"):
        Device(Options(left={"forward": 19, "backward": 17}), ports)
    Device(Options(left={"forward": 19, "backward": 20}), ports).close()
    first.close()


def test_closing_stops_and_frees_the_pins() -> None:
    rig = Rig(enable_pin=24, arm_pin=5)
    rig.pins.close_contact(5)
    rig.drive()
    rig.device.close()
    assert rig.states.keys() <= {5}
    assert rig.clock.deadmen[0].closed
    again = Device(Options(left=LEFT, enable_pin=24, arm_pin=5), rig.ports)
    again.close()
