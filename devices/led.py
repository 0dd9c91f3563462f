"""A lamp on the pins: one LED that shows the brightness, or three that mix the hue as well."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from becomingone.devices._display import display_values
from becomingone.devices._gpio import Pin, gpiozero, hardware, opened
from becomingone.devices.contract import PinAt, Ports, Wire


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Which pins, and how they are wired: either `pin`, or `red`, `green` and `blue`."""

    pin: Annotated[Pin | None, Field(description="GPIO (BCM) of a single LED, 0..27")] = None
    red: Annotated[Pin | None, Field(description="GPIO (BCM) of the red one, 0..27")] = None
    green: Annotated[Pin | None, Field(description="GPIO (BCM) of the green one, 0..27")] = None
    blue: Annotated[Pin | None, Field(description="GPIO (BCM) of the blue one, 0..27")] = None
    common_anode: Annotated[bool, Field(description="LEDs between 3V3 and the pins instead of pins and ground")] = False
    max_brightness: Annotated[float, Field(gt=0, le=1, description="duty cycle at brightness 1, 0..1")] = 1.0
    frequency_hz: Annotated[float, Field(ge=50, le=10_000, description="of the pulses that dim it, Hz")] = 100.0

    @property
    def pins(self) -> tuple[int, ...]:
        """The pins that are used: one, or red, green and blue."""
        return tuple(pin for pin in (self.pin, self.red, self.green, self.blue) if pin is not None)

    def wiring(self) -> list[Wire]:
        """Give the connections: each pin, and the side that the LEDs share."""
        names = {"LED's": self.pin, "red LED's": self.red, "green LED's": self.green, "blue LED's": self.blue}
        leg, shared = ("cathode", "anode") if self.common_anode else ("anode", "cathode")
        limit = "at most 16 mA a pin, 50 mA all together"
        wires = [
            Wire(PinAt(pin), f"330 Ω, then the {name} {leg}", limit) for name, pin in names.items() if pin is not None
        ]
        what = f"the LED's {shared}" if len(wires) == 1 else f"the common {shared}"
        return [*wires, Wire("3V3" if self.common_anode else "GND", what)]

    @model_validator(mode="after")
    def _one_or_three(self) -> Self:
        if len(self.pins) != (3 if self.pin is None else 1):
            msg = "give either pin, or red, green and blue"
            raise ValueError(msg)
        if len(set(self.pins)) != len(self.pins):
            msg = "red, green and blue must be different pins"
            raise ValueError(msg)
        return self


class Device:
    """An output with the role ``display``.

    A single LED shows the brightness; of three together the hue shows too, at full saturation.

    ==============  ==================================================
    wiring          each LED with a resistor of its own (330 Ω)
    ==============  ==================================================
    common cathode  pin, resistor, LED, ground
    common anode    3V3, LED, resistor, pin; set ``common_anode: true``
    ==============  ==================================================

    A pin gives at most 16 mA, all of them together 50 mA; more takes a transistor.

    Parameters
    ----------
    options : Options
        Which pins.
    ports : Ports
        Lends the pins.

    Raises
    ------
    DeviceUnavailableError
        A pin is in use or there is none.

    Examples
    --------
    >>> Options(red=17, green=27, blue=22).pins
    (17, 27, 22)
    """

    role = "display"

    def __init__(self, options: Options, ports: Ports) -> None:
        self._what = f"the LED on GPIO {', '.join(map(str, options.pins))}"
        self._most = options.max_brightness
        pins, zero = ports.pins, gpiozero()
        make = partial(
            zero.PWMOutputDevice,
            active_high=not options.common_anode,
            frequency=options.frequency_hz,
            pin_factory=pins,
        )
        self._lamps = opened(self._what, *(partial(make, pin) for pin in options.pins))

    def apply(self, values: Mapping[str, float]) -> None:
        """Shine.

        Parameters
        ----------
        values : mapping
            ``hue``, 0..360 degrees, and ``brightness``, 0..1.

        Raises
        ------
        DeviceUnavailableError
            A pin fails.
        ValueError
            A value is missing, unknown, not finite or out of range; what is shown stays.
        """
        hue, brightness = display_values(values)
        duty = brightness * self._most
        self._shine(colorsys.hsv_to_rgb(hue / 360, 1.0, duty) if len(self._lamps) > 1 else (duty,))

    def rest(self) -> None:
        """Go dark."""
        self._shine((0.0,) * len(self._lamps))

    def close(self) -> None:
        """Let go of the pins."""
        for lamp in self._lamps:
            lamp.close()

    def _shine(self, duties: tuple[float, ...]) -> None:
        with hardware(self._what):
            for lamp, duty in zip(self._lamps, duties, strict=True):
                lamp.value = min(1.0, max(0.0, duty))
