"""What a device is connected to: how its options say it, so that clashes are found and a sheet can be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

Rail = Literal["3V3", "5V", "GND"]
"""A supply on the header."""


@dataclass(frozen=True, slots=True)
class PinAt:
    """A general-purpose pin, which one device has to itself.

    Parameters
    ----------
    gpio : int
        Its GPIO number (BCM).
    use : str
        ``"input"``, ``"output"``, or ``"pwm"``: pulses from the chip's own generator (GPIO 12, 13, 18, 19), which the
        analogue sound output uses too. Pulses that a program makes are an output.
    """

    gpio: int
    use: Literal["input", "output", "pwm"] = "output"


@dataclass(frozen=True, slots=True)
class I2cAt:
    """A place on an I²C bus, which has its pins, shared by all on it.

    Parameters
    ----------
    address : int
        7 bits, 0x08..0x77 (UM10204, section 3.1.12).
    bus : int
        Linux's number; 1 is the one on the header.
    """

    address: int
    bus: int = 1


@dataclass(frozen=True, slots=True)
class SpiAt:
    """A place on an SPI bus: its chip select.

    Parameters
    ----------
    chip : int
        0 or 1: CE0 or CE1.
    bus : int
        0 is the one on the header.
    """

    chip: int = 0
    bus: int = 0


@dataclass(frozen=True, slots=True)
class OneWireAt:
    """A device on a 1-Wire bus.

    Parameters
    ----------
    id : str
        Such as ``28-0123456789ab``; empty where the module takes whichever there is.
    gpio : int
        The pin of the bus.
    """

    id: str
    gpio: int = 4


@dataclass(frozen=True, slots=True)
class SerialAt:
    """A serial port.

    Parameters
    ----------
    device : str
        Linux's name of it; ``/dev/serial0`` and ``/dev/ttyAMA0`` are on the header.
    """

    device: str = "/dev/serial0"


@dataclass(frozen=True, slots=True)
class SoundAt:
    """One direction of a sound card, which one device has to itself.

    Parameters
    ----------
    direction : str
        ``"in"`` or ``"out"``.
    device : str or None
        Its name; None: the system's default.
    """

    direction: Literal["in", "out"]
    device: str | None = None


@dataclass(frozen=True, slots=True)
class CameraAt:
    """A camera, which one device has to itself.

    Parameters
    ----------
    number : int
        From 0.
    """

    number: int = 0


Place: TypeAlias = PinAt | I2cAt | SpiAt | OneWireAt | SerialAt | SoundAt | CameraAt | Rail
"""Where on the computer something is connected."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One connection.

    Parameters
    ----------
    at : Place
        Where on the computer.
    to : str
        What is connected there, beginning with what is nearest to the pin: ``"330 Ω, then the LED's anode"``.
    note : str
        What else there is to know: a supply of its own, a pull-up.
    """

    at: Place
    to: str
    note: str = ""


@runtime_checkable
class Wired(Protocol):
    """Options that say what their device is connected to.

    A module whose ``Options`` have this method has its clashes found before anything is connected, and its lines on
    the wiring sheet. It may be left out where nothing is connected.
    """

    def wiring(self) -> Sequence[Wire]:
        """Give every connection, supplies included; nothing is opened."""
        ...
