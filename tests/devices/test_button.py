"""A button is 1 while it is pressed, without its bouncing."""

from __future__ import annotations

from typing import Any

import pytest

from becomingone.devices.button import Device, Options
from becomingone.devices.contract import Sensor
from becomingone.errors import DeviceUnavailableError

from .fakes import FakePorts


class Rig:
    def __init__(self, **options: Any) -> None:
        self.ports = FakePorts()
        self.pins = self.ports.fake_pins
        self.device = Device(Options(**{"pin": 17, **options}), self.ports)

    def look(self, after_s: float = 0.01) -> float | None:
        self.ports.fake_clock.advance(after_s)
        return self.device.read()["pressed"]


def test_it_is_a_sensor_of_one_channel() -> None:
    rig = Rig(rate_hz=20)
    assert isinstance(rig.device, Sensor)
    (channel,) = rig.device.channels
    assert (channel.name, channel.rate_hz, channel.unit) == ("pressed", 20.0, "")
    assert channel.floor < 0.5
    assert rig.look() == 0.0


@pytest.mark.parametrize(("pull", "pressed", "released"), [("up", False, True), ("down", True, False)])
def test_the_pull_decides_what_is_pressed(pull: str, pressed: bool, released: bool) -> None:
    rig = Rig(pull=pull, debounce_s=0)
    assert rig.pins.factory.pin(17).pull == pull
    for level, value in ((pressed, 1.0), (released, 0.0)):
        (rig.pins.open_contact if level else rig.pins.close_contact)(17)
        assert rig.look() == value


def test_with_a_resistor_of_its_own_low_is_pressed() -> None:
    rig = Rig(pull="none", debounce_s=0)
    assert rig.pins.factory.pin(17).pull == "floating"
    rig.pins.open_contact(17)
    assert rig.look() == 0.0
    rig.pins.close_contact(17)
    assert rig.look() == 1.0


def test_a_bouncing_contact_counts_once_it_is_still() -> None:
    rig = Rig(debounce_s=0.03)
    seen = []
    for level in "10100100000":
        (rig.pins.open_contact if level == "1" else rig.pins.close_contact)(17)
        seen.append(rig.look(0.01))
    assert seen == [0.0] * 8 + [1.0] * 3  # low from the seventh look on, the newest high 0.03 s before the ninth


def test_a_change_that_was_too_short_does_not_count() -> None:
    rig = Rig(debounce_s=0.03)
    for level in "001001":
        (rig.pins.open_contact if level == "1" else rig.pins.close_contact)(17)
        assert rig.look(0.01) == 0.0


@pytest.mark.parametrize(("held", "pressed"), [(True, 1.0), (False, 0.0)])
def test_a_button_that_is_held_from_the_beginning_is_pressed(held: bool, pressed: float) -> None:
    ports = FakePorts()
    (ports.fake_pins.close_contact if held else ports.fake_pins.open_contact)(17)
    assert Device(Options(pin=17, pull="none"), ports).read() == {"pressed": pressed}


def test_a_pin_that_is_in_use_is_named() -> None:
    rig = Rig()
    with pytest.raises(DeviceUnavailableError, match="the button on GPIO 17: GPIOPinInUse"):
        Device(Options(pin=17), rig.ports)
    rig.device.close()
    Device(Options(pin=17), rig.ports).close()


def test_a_pin_that_cannot_be_read_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    def fail() -> bool:
        raise RuntimeError("the chip is gone")

    monkeypatch.setattr(rig.pins.factory.pin(17), "_get_state", fail)
    with pytest.raises(DeviceUnavailableError, match="the button on GPIO 17: RuntimeError: the chip is gone"):
        rig.look()
