"""An LED shows the brightness, three of them the hue as well, and what is out of range changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from becomingone.devices.contract import Output
from becomingone.devices.led import Device, Options
from becomingone.errors import DeviceUnavailableError

from .fakes import FakePorts

RGB = {"red": 17, "green": 27, "blue": 22}


def made(**options: Any) -> tuple[Device, FakePorts]:
    ports = FakePorts()
    return Device(Options(**options), ports), ports


def test_it_is_a_display_and_dark_at_first() -> None:
    device, ports = made(pin=17)
    assert isinstance(device, Output)
    assert device.role == "display"
    assert ports.fake_pins.states == {}


def test_a_single_one_shows_the_brightness_whatever_the_hue() -> None:
    device, ports = made(pin=17)
    device.apply({"hue": 120.0, "brightness": 0.25})
    device.apply({"hue": 0.0, "brightness": 1.0})
    device.rest()
    assert ports.fake_pins.of(17) == [0.25, 1.0, 0.0]


@pytest.mark.parametrize(
    ("hue", "colour"), [(0, (1, 0, 0)), (60, (1, 1, 0)), (120, (0, 1, 0)), (240, (0, 0, 1)), (360, (1, 0, 0))]
)
def test_three_mix_the_hue(hue: float, colour: tuple[float, ...]) -> None:
    device, ports = made(**RGB)
    device.apply({"hue": hue, "brightness": 0.5})
    states = ports.fake_pins.states
    assert tuple(states.get(pin, 0.0) for pin in (17, 27, 22)) == pytest.approx([part / 2 for part in colour])
    device.rest()
    assert set(ports.fake_pins.states.values()) == {0.0}


def test_a_common_anode_is_the_other_way_round() -> None:
    device, ports = made(pin=17, common_anode=True)
    assert ports.fake_pins.states == {17: 1.0}  # dark
    device.apply({"hue": 0.0, "brightness": 0.75})
    assert ports.fake_pins.states == {17: 0.25}
    device.rest()
    assert ports.fake_pins.states == {17: 1.0}


def test_the_brightness_may_be_limited() -> None:
    device, ports = made(pin=17, max_brightness=0.5)
    device.apply({"hue": 0.0, "brightness": 0.5})
    assert ports.fake_pins.states == {17: 0.25}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"hue": 0.0},
        {"hue": 0.0, "brightness": 0.5, "volume": 1.0},
        {"hue": 361.0, "brightness": 0.5},
        {"hue": 0.0, "brightness": -0.1},
        {"hue": 0.0, "brightness": float("nan")},
    ],
)
def test_what_is_no_colour_is_refused_and_what_is_shown_stays(values: dict[str, float]) -> None:
    device, ports = made(pin=17)
    device.apply({"hue": 0.0, "brightness": 0.5})
    with pytest.raises(ValueError, match=r"a display takes hue and brightness|must be 0\.\."):
        device.apply(values)
    assert ports.fake_pins.states == {17: 0.5}


def test_a_pin_that_fails_is_unavailable() -> None:
    device, ports = made(pin=17)
    ports.fake_pins.break_pin(17)
    with pytest.raises(DeviceUnavailableError, match="the LED on GPIO 17: OSError: GPIO 17 does not answer"):
        device.apply({"hue": 0.0, "brightness": 0.5})
    ports.fake_pins.mend_pin(17)
    device.close()


def test_pins_are_taken_all_or_none_and_let_go() -> None:
    device, ports = made(pin=22)
    with pytest.raises(DeviceUnavailableError, match="the LED on GPIO 17, 27, 22: GPIOPinInUse"):
        Device(Options(**RGB), ports)
    device.close()
    Device(Options(**RGB), ports).close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either pin, or red, green and blue"),
        ({"red": 17, "green": 27}, "give either pin, or red, green and blue"),
        ({"pin": 4, **RGB}, "give either pin, or red, green and blue"),
        ({**RGB, "blue": 17}, "different pins"),
        ({"pin": 28}, "less than or equal to 27"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Options(**options)
