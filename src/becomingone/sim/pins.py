"""Simulated pins: gpiozero's own mock, with every change and its virtual time kept."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from becomingone.devices.contract import ClockPort
from becomingone.errors import MissingLibraryError


class PinChange(NamedTuple):
    """A pin has another level, or another duty cycle (0..1), since `time_ns` of the monotonic clock."""

    time_ns: int
    pin: int
    value: float


def mock_pins(clock: ClockPort, changes: list[PinChange]) -> Any:  # noqa: ANN401 - gpiozero has no types
    """Make the pins of a simulated Raspberry Pi.

    Parameters
    ----------
    clock : ClockPort
        Tells when a pin changes.
    changes : list of PinChange
        Receives every change.

    Returns
    -------
    MockFactory of gpiozero
        Its ``pin(17).drive_low()`` is what happens outside: somebody presses the button.

    Raises
    ------
    MissingLibraryError
        gpiozero is not installed.
    """
    try:
        mock: Any = import_module("gpiozero.pins.mock")
    except ImportError as error:
        msg = "simulated pins need gpiozero: pip install 'becomingone[node]'"
        raise MissingLibraryError(msg) from error

    class RecordingPin(mock.MockPWMPin):  # type: ignore[misc]
        def _change_state(self, value: float) -> bool:
            changed = bool(super()._change_state(value))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            if changed:
                number = int(self.info.name.removeprefix("GPIO"))
                changes.append(PinChange(clock.monotonic_ns(), number, float(value)))
            return changed

    return mock.MockFactory(pin_class=RecordingPin)
