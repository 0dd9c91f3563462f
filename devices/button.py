"""A push button or any other contact: 1 while it is closed, 0 while it is open."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from becomingone.devices._gpio import Pin, gpiozero, hardware, opened
from becomingone.devices.contract import Channel, Origin, PinAt, Ports, Wire

_PULL = {"up": (True, None), "down": (False, None), "none": (None, False)}  # pull_up, active_state of gpiozero


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Which pin, how it is wired, and how often it is looked at."""

    pin: Annotated[Pin, Field(description="GPIO number (BCM), 0..27")]
    pull: Annotated[
        Literal["up", "down", "none"],
        Field(description="up: contact to ground; down: contact to 3V3; none: own resistor to 3V3, contact to ground"),
    ] = "up"
    rate_hz: Annotated[float, Field(ge=1, le=200, description="looks a second, Hz; shorter presses are missed")] = 50.0
    debounce_s: Annotated[float, Field(ge=0, le=1, description="a change counts when it has lasted so long, s")] = 0.02

    def wiring(self) -> list[Wire]:
        """Give the connections: the pin, and the other side of the contact."""
        inside = {"up": "pulled to 3V3 inside the chip", "down": "pulled to ground inside the chip", "none": ""}
        wires = [Wire(PinAt(self.pin, "input"), "one side of the contact", inside[self.pull])]
        if self.pull == "none":
            wires.append(Wire("3V3", "10 kΩ, then the same side of the contact"))
        return [*wires, Wire("3V3" if self.pull == "down" else "GND", "the other side of the contact")]


class Device:
    """A sensor of one channel, ``pressed``: 0 or 1.

    A contact bounces for some ms when it closes or opens, so a change counts only when every look for `debounce_s`
    has seen it; the value is therefore late by that.

    ========  ============================
    pull      contact between the pin and
    ========  ============================
    ``up``    ground (nothing else needed)
    ``down``  3V3 (nothing else needed)
    ``none``  ground, 10 kΩ to 3V3
    ========  ============================

    Never connect 5 V to a pin.

    Parameters
    ----------
    options : Options
        Which pin.
    ports : Ports
        Lends the pins and the clock.

    Raises
    ------
    DeviceUnavailableError
        The pin is in use or there is none.

    Examples
    --------
    >>> Options(pin=17).pull
    'up'
    """

    origin: Origin = "live"

    def __init__(self, options: Options, ports: Ports) -> None:
        self.channels = (Channel("pressed", "", options.rate_hz, "contact", 0.1),)
        self._what = f"the button on GPIO {options.pin}"
        pins, zero = ports.pins, gpiozero()
        pull_up, active = _PULL[options.pull]
        (self._contact,) = opened(
            self._what,
            lambda: zero.DigitalInputDevice(options.pin, pull_up=pull_up, active_state=active, pin_factory=pins),
        )
        self._clock = ports.clock
        self._debounce_ns = round(options.debounce_s * 1e9)
        self._state = self._look()
        self._same_ns = self._clock.monotonic_ns()

    def read(self) -> dict[str, float | None]:
        """Give whether it is pressed, without its bouncing."""
        now_ns, seen = self._clock.monotonic_ns(), self._look()
        if seen == self._state:
            self._same_ns = now_ns
        elif now_ns - self._same_ns >= self._debounce_ns:
            self._state, self._same_ns = seen, now_ns
        return {"pressed": float(self._state)}

    def close(self) -> None:
        """Let go of the pin."""
        self._contact.close()

    def _look(self) -> bool:
        with hardware(self._what):
            return bool(self._contact.value)
