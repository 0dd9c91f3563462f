"""One or two motors on H-bridges: they move only while commands come, and only when they are armed."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from becomingone.devices._bridge import Bridge, BridgeOptions, MotorPin, open_bridges, stop_all
from becomingone.devices._gpio import Pin, gpiozero, hardware, opened
from becomingone.devices.contract import PinAt, Ports, Wire

_LOG = logging.getLogger(__name__)

_NAMES = frozenset({"velocity", "rotation"})
_PATIENCE_S = 0.01
"""A stop waits no longer than this for a command that is being carried out: a pin that blocks must not keep it up."""


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """How it is wired, and how fast it may go."""

    left: Annotated[BridgeOptions, Field(description="the motor, or the left one of two: its pins")]
    right: Annotated[BridgeOptions | None, Field(description="the right one of a differential drive: its pins")] = None
    armed: Annotated[bool, Field(description="unless it is true, nothing moves")] = False
    arm_pin: Annotated[
        Pin | None, Field(description="GPIO (BCM), 0..27, of a switch to ground; nothing moves while it is open")
    ] = None
    enable_pin: Annotated[
        MotorPin | None, Field(description="GPIO (BCM), 9..27, of the heartbeat for an external watchdog circuit")
    ] = None
    max_speed: Annotated[float, Field(gt=0, le=1, description="largest duty cycle, 0..1")] = 0.5
    slew_per_s: Annotated[float, Field(gt=0, le=100, description="largest change of the duty cycle a second")] = 2.0
    deadman_s: Annotated[float, Field(ge=0.05, le=0.5, description="rest when no command has come for so long, s")] = (
        0.15
    )
    frequency_hz: Annotated[float, Field(ge=50, le=10_000, description="of the pulses that set the speed, Hz")] = 100.0

    @property
    def bridges(self) -> tuple[BridgeOptions, ...]:
        """One or two."""
        return (self.left,) if self.right is None else (self.left, self.right)

    def wiring(self) -> list[Wire]:
        """Give the connections; the motors' supply is none of them, for it must not be the Raspberry Pi's."""
        wires = self.left.wires("" if self.right is None else "left")
        if self.right is not None:
            wires += self.right.wires("right")
        if self.enable_pin is not None:
            wires.append(Wire(PinAt(self.enable_pin), "the input of the watchdog circuit", "docs/motors.md"))
        if self.arm_pin is not None:
            pulled = "pulled to 3V3 inside the chip"
            wires += [Wire(PinAt(self.arm_pin, "input"), "one side of the arming switch", pulled)]
            wires += [Wire("GND", "the other side of the arming switch")]
        supply = (
            "the motor has a supply of its own, never 3V3 or 5V of the Raspberry Pi; an H-bridge that has no flyback "
            "diodes inside needs four for each motor"
        )
        return [*wires, Wire("GND", "ground of H-bridge and motor supply, joined", supply)]

    @model_validator(mode="after")
    def _pins_differ(self) -> Self:
        pins = [pin for bridge in self.bridges for pin in bridge.pins]
        pins += [pin for pin in (self.arm_pin, self.enable_pin) if pin is not None]
        if len(set(pins)) != len(pins):
            msg = f"every pin must be another one, not {', '.join(map(str, sorted(pins)))}"
            raise ValueError(msg)
        return self


class Device:
    """An output with the role ``motor``.

    A command's ``velocity`` and ``rotation`` (−1..1; left out: 0) set the duty cycles: of two motors, left velocity −
    rotation and right velocity + rotation, so that a positive rotation turns to the left (counter-clockwise, REP 103);
    of one, velocity. Beyond `max_speed` both are reduced by one factor, which keeps the curve. Then the slew rate
    limits them: a command changes a duty cycle by at most `slew_per_s` × the time since the command before, also
    through zero, so the first command after a rest moves nothing yet, and a single stray one never does.

    It stands still

    - unless it is armed, by `armed` and, where there is one, by the closed switch at `arm_pin`, which is looked at with
      every command; commands are taken and `remark` says why nothing moves;
    - when no command has come for `deadman_s`, by a deadline in a thread of its own (`Ports.deadman`);
    - at `rest`, and when a pin fails: at once, without slewing, every pin low. It then begins from 0.

    `enable_pin` changes its level with every command and is low at rest: a square wave at half the rate of the
    commands, for a circuit that cuts the motor's power when it stops, see docs/motors.md.

    ==========================  ===========================================  ================================
    H-bridge                    ``left``, ``right``                          its other inputs
    ==========================  ===========================================  ================================
    DRV8833, L9110S, MX1508     ``forward`` to IN1, ``backward`` to IN2      nSLEEP to the watchdog circuit
    L298N                       ``forward`` to IN1, ``backward`` to IN2      ENA, ENB to the watchdog circuit
    DRV8838, MD10C, DRV8835     ``speed`` to EN or PWM, ``direction`` to PH  nSLEEP to the watchdog circuit
    ==========================  ===========================================  ================================

    The grounds of motor supply, H-bridge and Raspberry Pi are joined; the motor supply is not the Raspberry Pi's.

    Parameters
    ----------
    options : Options
        How it is wired.
    ports : Ports
        Lends the pins, the clock and the deadline.

    Attributes
    ----------
    remark : str
        Why the last command has moved nothing, where it must not; else empty.

    Raises
    ------
    DeviceUnavailableError
        A pin is in use or there is none.

    Examples
    --------
    >>> Options(left={"forward": 17, "backward": 18}).deadman_s
    0.15
    """

    role = "motor"

    def __init__(self, options: Options, ports: Ports) -> None:
        pins, zero = ports.pins, gpiozero()
        self.remark = ""
        self._options = options
        self._clock = ports.clock
        self._lock = threading.Lock()
        self._stops = 0
        self._last_ns: int | None = None
        self._bridges: list[Bridge] = open_bridges(options.bridges, options.frequency_hz, pins)
        self._speeds = [0.0] * len(self._bridges)
        self._switch: Any = None
        self._enable: Any = None
        try:
            if options.arm_pin is not None:
                what = f"the arming switch on GPIO {options.arm_pin}"
                (self._switch,) = opened(
                    what, lambda: zero.DigitalInputDevice(options.arm_pin, pull_up=True, pin_factory=pins)
                )
            if options.enable_pin is not None:
                what = f"the enable line on GPIO {options.enable_pin}"
                (self._enable,) = opened(what, lambda: zero.DigitalOutputDevice(options.enable_pin, pin_factory=pins))
            self._deadman = ports.deadman(options.deadman_s, self._expire)
        except BaseException:
            self._let_go()
            raise

    def apply(self, values: Mapping[str, float]) -> None:
        """Go on towards these speeds until the next command, for `deadman_s` at most.

        Parameters
        ----------
        values : mapping
            ``velocity`` and ``rotation``; clipped to −1..1.

        Raises
        ------
        DeviceUnavailableError
            A pin fails; everything has been put to rest, as far as the pins let it.
        ValueError
            A value is unknown or not finite, or there is none; it is at rest.
        """
        try:
            wanted = self._wanted(values)
            self.remark = self._hindrance()
            if self.remark:
                self.rest()
                return
            stops = self._stops
            self._deadman.feed()
            with self._lock:
                self._drive(wanted)
            if self._stops != stops:  # somebody has stopped it while a pin blocked, which may have come after that
                self.rest()
        except BaseException:
            self.rest()
            raise

    def rest(self) -> None:
        """Stop at once: all speeds 0, the enable line low.

        Raises
        ------
        DeviceUnavailableError
            A pin fails; all others have been put to rest.
        """
        with self._stopping(), hardware("the motor cannot be stopped"):
            self._speeds = [0.0] * len(self._bridges)
            self._last_ns = None
            stop_all([*([] if self._enable is None else [self._enable]), *self._bridges])

    def close(self) -> None:
        """Stop, and let go of the pins, which are inputs from then on."""
        try:
            self.rest()
        finally:
            self._deadman.close()
            self._let_go()

    def _drive(self, wanted: list[float]) -> None:
        now_ns = self._clock.monotonic_ns()
        passed_s = 0.0 if self._last_ns is None else (now_ns - self._last_ns) / 1e9
        if passed_s > self._options.deadman_s:  # the deadline is late: the same as if it had come in time
            self._speeds = [0.0] * len(self._speeds)
            passed_s = 0.0
        self._last_ns = now_ns
        most = self._options.slew_per_s * passed_s
        with hardware("the motor"):
            if self._enable is not None:
                self._enable.toggle()
            for number, (bridge, speed) in enumerate(zip(self._bridges, wanted, strict=True)):
                before = self._speeds[number]
                self._speeds[number] = min(before + most, max(before - most, speed))
                bridge.drive(self._speeds[number])

    def _wanted(self, values: Mapping[str, float]) -> list[float]:
        unknown = sorted(set(values) - _NAMES)
        if unknown or not values:
            msg = f"a motor takes velocity and rotation, not {', '.join(unknown) or 'nothing'}"
            raise ValueError(msg)
        for name, value in values.items():
            if not math.isfinite(value):
                msg = f"{name} must be -1..1, not {value}"
                raise ValueError(msg)
        velocity, rotation = (min(1.0, max(-1.0, values.get(name, 0.0))) for name in ("velocity", "rotation"))
        speeds = [velocity] if len(self._bridges) == 1 else [velocity - rotation, velocity + rotation]
        factor = min(1.0, self._options.max_speed / max(1e-9, *map(abs, speeds)))
        return [factor * speed for speed in speeds]

    def _hindrance(self) -> str:
        """Say why it must not move; empty where it may."""
        if not self._options.armed:
            return "not armed: nothing moves without armed: true"
        try:
            closed = self._switch is None or bool(self._switch.value)
        except Exception as error:  # noqa: BLE001 - whatever a pin raises, nothing may move
            return f"not armed: the arming switch cannot be read: {error}"
        return "" if closed else "not armed: the arming switch is open"

    def _expire(self) -> None:
        moved = any(self._speeds)
        self.rest()
        if moved:
            _LOG.warning("no command for %g ms: the motor is at rest", 1e3 * self._options.deadman_s)

    @contextmanager
    def _stopping(self) -> Generator[None]:
        """Keep commands out, but never wait for one that hangs."""
        self._stops += 1
        held = self._lock.acquire(timeout=_PATIENCE_S)
        try:
            yield
        finally:
            if held:
                self._lock.release()

    def _let_go(self) -> None:
        for device in (self._enable, self._switch, *self._bridges):
            if device is not None:
                device.close()
