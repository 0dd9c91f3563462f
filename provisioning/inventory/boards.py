"""The computers a node may be, and what each of their headers gives.

References
----------
.. [1] Raspberry Pi hardware, "GPIO and the 40-pin header",
   https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#gpio
.. [2] The same page, "Schematics and mechanical drawings", and the product briefs: camera connectors and audio jacks.
.. [3] Raspberry Pi hardware, "Processors": BCM2835 is ARMv6, BCM2836 ARMv7, all later ones 64-bit,
   https://www.raspberrypi.com/documentation/computers/processors.html
.. [4] HAT specification, "ID EEPROM": GPIO 0 and 1 are for the EEPROM alone,
   https://github.com/raspberrypi/hats
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Arch = Literal["armv6", "armv7", "arm64", "amd64"]
"""What its programs are built for: the processor's architecture, or that of a 32-bit system on a 64-bit processor."""

Rail = Literal["3V3", "5V", "GND"]

HEADER: Final[tuple[int | Rail, ...]] = (
    *("3V3", "5V", 2, "5V", 3, "GND", 4, 14, "GND", 15),
    *(17, 18, 27, "GND", 22, 23, "3V3", 24, 10, "GND"),
    *(9, 25, 11, 8, "GND", 7, 0, 1, 5, "GND"),
    *(6, 12, 13, "GND", 19, 16, 26, 20, "GND", 21),
)
"""What is on pin 1, 2, ... 40 of the header: a GPIO number (BCM), or a supply [1]_."""

SHORT: Final = 26
"""Pins of the header of the first models A and B; of what a 40-pin header has there, they have the same."""


@dataclass(frozen=True, slots=True)
class Board:
    """One model of computer.

    Parameters
    ----------
    title : str
        What it is called.
    arch : Arch
        What its processor runs.
    pins : int
        Pins of its header: 40, 26 or none.
    jack : bool
        Whether it has an analogue sound output, which takes the chip's pulse generators (PWM).
    camera : bool
        Whether it has a camera connector.
    generators : int
        Pulse generators (PWM) of its chip that reach the header: with 2, GPIO 12 and 18 share one, and 13 and 19.
    """

    title: str
    arch: Arch
    pins: int = 40
    jack: bool = False
    camera: bool = True
    generators: int = 2

    @property
    def gpios(self) -> frozenset[int]:
        """The GPIO numbers on its header, those of the ID EEPROM included."""
        return frozenset(pin for pin in HEADER[: self.pins] if isinstance(pin, int))

    @property
    def archs(self) -> tuple[Arch, ...]:
        """Every architecture whose programs it runs, its own first."""
        return ("arm64", "armv7") if self.arch == "arm64" and self.pins else (self.arch,)


BOARDS: Final[dict[str, Board]] = {
    "pi_1_b": Board("Raspberry Pi 1 Model A or B (26 pins)", "armv6", pins=SHORT, jack=True),
    "pi_1": Board("Raspberry Pi 1 Model A+ or B+", "armv6", jack=True),
    "zero": Board("Raspberry Pi Zero", "armv6"),
    "zero_w": Board("Raspberry Pi Zero W", "armv6"),
    "zero_2_w": Board("Raspberry Pi Zero 2 W", "arm64"),
    "pi_2": Board("Raspberry Pi 2 Model B", "armv7", jack=True),
    "pi_3": Board("Raspberry Pi 3", "arm64", jack=True),
    "pi_4": Board("Raspberry Pi 4 Model B", "arm64", jack=True),
    "pi_400": Board("Raspberry Pi 400", "arm64", camera=False),
    "pi_5": Board("Raspberry Pi 5", "arm64", generators=4),
    "pi_500": Board("Raspberry Pi 500", "arm64", camera=False, generators=4),
    "pc": Board("PC or virtual machine", "amd64", pins=0, camera=False, generators=0),
    "pc_arm64": Board("64-bit ARM computer without a header", "arm64", pins=0, camera=False, generators=0),
}
"""By the name that ``model:`` gives."""


def header_pin(gpio: int) -> int:
    """Give the header's pin of a GPIO, 1..40.

    Raises
    ------
    ValueError
        The header has no such GPIO.
    """
    return HEADER.index(gpio) + 1


def header_pins(rail: Rail, count: int) -> list[int]:
    """Give the header's pins of a supply, of the first `count` pins of the header."""
    return [number for number, there in enumerate(HEADER[:count], start=1) if there == rail]
