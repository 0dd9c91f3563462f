"""The pins are opened when they are asked for, and what is missing is said with the command that mends it."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from becomingone.errors import DeviceUnavailableError, MissingLibraryError
from becomingone.node.gpio import open_pins
from becomingone.node.ports import NodePorts
from becomingone.scheduling import MeshClock, SystemClock


@pytest.fixture(autouse=True)
def _untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """gpiozero keeps the factory that it has found; here it has found none."""
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)


def finding(monkeypatch: pytest.MonkeyPatch, *, factory: Any = None, warned: tuple[str, ...] = ()) -> None:
    """Let gpiozero find this factory, or none, and warn of these on its way."""

    def find() -> Any:
        for text in warned:
            warnings.warn(text, gpiozero.PinFactoryFallback, stacklevel=2)
        if factory is None:
            raise gpiozero.BadPinFactory("Unable to load any default pin factory!")
        return factory

    monkeypatch.setattr(gpiozero.Device, "_default_pin_factory", staticmethod(find))


def test_ports_open_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = MockFactory()
    finding(monkeypatch, factory=made, warned=("Falling back from lgpio: busy",))
    ports = NodePorts(MeshClock(SystemClock()))
    assert gpiozero.Device.pin_factory is None
    assert ports.pins is ports.pins is made


@pytest.mark.parametrize(
    ("warned", "error", "message"),
    [
        (
            (
                "Falling back from lgpio: No module named 'lgpio'",
                "Falling back from native: unable to locate Pi revision in /proc",
            ),
            DeviceUnavailableError,
            "this machine is no Raspberry Pi",
        ),
        (("Falling back from lgpio: No module named 'lgpio'",), MissingLibraryError, "sudo apt install python3-lgpio"),
        (
            ("Falling back from lgpio: 'can not open gpiochip'", "Falling back from native: no permission"),
            DeviceUnavailableError,
            "the pins cannot be used: lgpio: 'can not open gpiochip'; native: no permission",
        ),
        ((), DeviceUnavailableError, "Unable to load any default pin factory!"),
    ],
)
def test_why_there_are_none(
    warned: tuple[str, ...], error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding(monkeypatch, warned=warned)
    with pytest.raises(error, match=message):
        open_pins()


def test_a_factory_that_was_asked_for_and_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "telepathy")
    with pytest.raises(DeviceUnavailableError, match=r"the pin factory telepathy .* cannot be had: .*'telepathy'"):
        open_pins()


def test_the_experimental_factory_is_taken_only_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class NativeFactory(MockFactory):
        pass

    finding(monkeypatch, factory=(native := NativeFactory()))
    with pytest.raises(MissingLibraryError, match="the pins need lgpio"):
        open_pins()
    assert gpiozero.Device.pin_factory is None
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    assert open_pins() is native


def test_without_gpiozero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'becomingone\[node\]'"):
        open_pins()
