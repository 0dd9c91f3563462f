"""An H-bridge on two pins: one motor, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from becomingone.devices._gpio import gpiozero, opened
from becomingone.devices._wiring import PinAt, Wire

MotorPin = Annotated[int, Field(ge=9, le=27, description="GPIO number (BCM), 9..27")]
"""A pin that is pulled low from the moment of power-on, before any program runs; 0..8 are pulled high (Broadcom,
BCM2835 ARM Peripherals, section 6.2), which would start a motor."""


class BridgeOptions(BaseModel, frozen=True, extra="forbid"):
    """Its pins: either `forward` and `backward`, or `speed` and `direction`."""

    forward: Annotated[MotorPin | None, Field(description="GPIO (BCM), 9..27: pulses here turn it forwards")] = None
    backward: Annotated[MotorPin | None, Field(description="GPIO (BCM), 9..27: pulses here turn it backwards")] = None
    speed: Annotated[MotorPin | None, Field(description="GPIO (BCM), 9..27: pulses here turn it")] = None
    direction: Annotated[MotorPin | None, Field(description="GPIO (BCM), 9..27: high is backwards")] = None
    inverted: Annotated[bool, Field(description="forwards and backwards exchanged")] = False

    @property
    def pins(self) -> tuple[int, ...]:
        """The two that are used, that of the speed or of forwards first."""
        return tuple(p for p in (self.forward, self.backward, self.speed, self.direction) if p is not None)

    def wires(self, side: str) -> list[Wire]:
        """Give the connections of its inputs; `side` says which motor it is, empty for the only one."""
        ends = ("IN1", "IN2") if self.speed is None else ("EN (PWM)", "PH (direction)")
        what = f"the {side} motor's H-bridge" if side else "the H-bridge"
        return [Wire(PinAt(pin), f"{end} of {what}") for pin, end in zip(self.pins, ends, strict=True)]

    @model_validator(mode="after")
    def _two(self) -> Self:
        given = {name for name in ("forward", "backward", "speed", "direction") if getattr(self, name) is not None}
        if given not in ({"forward", "backward"}, {"speed", "direction"}):
            msg = "give either forward and backward, or speed and direction"
            raise ValueError(msg)
        return self


class Bridge:
    """One motor.

    Parameters
    ----------
    first, second : PWMOutputDevice of gpiozero
        The pins of forwards and backwards; or of the speed, and a DigitalOutputDevice for the direction.
    directed : bool
        The second one is a direction.
    inverted : bool
        Exchange forwards and backwards.
    """

    def __init__(self, first: Any, second: Any, *, directed: bool, inverted: bool) -> None:  # noqa: ANN401
        self._first = first
        self._second = second
        self._directed = directed
        self._sign = -1.0 if inverted else 1.0

    def drive(self, speed: float) -> None:
        """Turn at a duty cycle of −1..1; never are both pins of a pair at work, not even for a moment."""
        speed *= self._sign
        if not self._directed:
            idle, busy = (self._second, self._first) if speed >= 0 else (self._first, self._second)
            idle.value = 0
            busy.value = abs(speed)
            return
        backwards = speed < 0
        if speed and bool(self._second.value) != backwards:
            self._first.value = 0
            self._second.value = backwards
        self._first.value = abs(speed)

    def off(self) -> None:
        """Both pins low, also where one fails."""
        stop_all([self._first, self._second])

    def close(self) -> None:
        """Let go of the pins."""
        self._first.close()
        self._second.close()


def open_bridges(wanted: Sequence[BridgeOptions], frequency_hz: float, pins: Any) -> list[Bridge]:  # noqa: ANN401
    """Open all of them, or none.

    Parameters
    ----------
    wanted : sequence of BridgeOptions
        Their pins.
    frequency_hz : float
        Of the pulses, Hz.
    pins : Factory of gpiozero
        Gives the pins.

    Raises
    ------
    DeviceUnavailableError
        A pin is in use, or there is none, or it knows no pulses.
    """
    zero = gpiozero()

    def pulses(pin: int) -> Any:  # noqa: ANN401
        return zero.PWMOutputDevice(pin, frequency=frequency_hz, pin_factory=pins)

    def level(pin: int) -> Any:  # noqa: ANN401
        return zero.DigitalOutputDevice(pin, pin_factory=pins)

    makers: list[Callable[[], Any]] = []
    for one in wanted:
        first, second = one.pins
        makers += [partial(pulses, first), partial(pulses if one.speed is None else level, second)]
    made = opened(f"the motor on GPIO {', '.join(str(pin) for one in wanted for pin in one.pins)}", *makers)
    return [
        Bridge(made[2 * number], made[2 * number + 1], directed=one.speed is not None, inverted=one.inverted)
        for number, one in enumerate(wanted)
    ]


def stop_all(devices: Sequence[Any]) -> None:
    """Turn each off; the error of the first that fails is raised when all have been tried."""
    failed: Exception | None = None
    for device in devices:
        try:
            device.off()
        except Exception as error:  # noqa: BLE001 - a pin that fails must not keep the next one on
            failed = failed or error
    if failed is not None:
        raise failed
