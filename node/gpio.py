"""The pins of a Raspberry Pi, through gpiozero."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from typing import Any

from becomingone.errors import DeviceUnavailableError, MissingLibraryError

_FACTORY = "GPIOZERO_PIN_FACTORY"
"""gpiozero's own variable: the name of the pin factory to take."""


def open_pins() -> Any:  # noqa: ANN401 - gpiozero has no types
    """Open the pins.

    gpiozero chooses the library below it: lgpio, RPi.GPIO, pigpio, or the one that `GPIOZERO_PIN_FACTORY` names. Its
    own last resort, ``native``, is refused unless it is named: it is experimental and knows no pulses.

    Returns
    -------
    Factory of gpiozero
        For the parameter ``pin_factory`` of gpiozero's devices.

    Raises
    ------
    DeviceUnavailableError
        This machine has no pins, or they must not be used.
    MissingLibraryError
        gpiozero or a library below it is not installed.
    """
    try:
        zero = import_module("gpiozero")
    except ImportError as error:
        msg = "pins need gpiozero: pip install 'becomingone[node]', and sudo apt install python3-lgpio"
        raise MissingLibraryError(msg) from error
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            zero.Device.ensure_pin_factory()
        except Exception as error:
            raise _explained(error, [str(warning.message) for warning in told]) from error
    factory = zero.Device.pin_factory
    if type(factory).__name__ == "NativeFactory" and not os.environ.get(_FACTORY):
        zero.Device.pin_factory = None  # else it is what everybody gets from now on
        factory.close()
        raise MissingLibraryError(_LGPIO)
    return factory


_LGPIO = "the pins need lgpio: sudo apt install python3-lgpio (in a virtual environment with --system-site-packages)"


def _explained(error: Exception, told: list[str]) -> DeviceUnavailableError | MissingLibraryError:
    """Make one line of an error that names none of the reasons, and the warnings that do."""
    chosen = os.environ.get(_FACTORY)
    if chosen:
        return DeviceUnavailableError(f"the pin factory {chosen} ({_FACTORY}) cannot be had: {error}")
    if any("Pi revision" in line for line in told):
        return DeviceUnavailableError("this machine is no Raspberry Pi, and has no pins that gpiozero knows")
    if any("lgpio" in line and "No module" in line for line in told):
        return MissingLibraryError(_LGPIO)
    reasons = "; ".join(line.removeprefix("Falling back from ") for line in told) or str(error)
    return DeviceUnavailableError(f"the pins cannot be used: {reasons}")
