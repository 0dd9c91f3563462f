"""``devices try``: open a device on this machine, outside any mesh, and see what it gives or does."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from typing import Any, TextIO, cast

import numpy as np

from becomingone.cli.device_options import options_of
from becomingone.cli.exits import Exit
from becomingone.devices.contract import Block, Output, Sensor
from becomingone.devices.registry import load
from becomingone.errors import BecomingOneError, DeviceUnavailableError
from becomingone.node.ports import NodePorts
from becomingone.scheduling import MeshClock, SystemClock
from becomingone.wire.command import RANGES

Tell = Callable[[dict[str, Any]], None]

IMPORT_S = 5.0
PATIENCE_S = 5.0
"""A device that has not returned so long after the end is left behind."""

_LINES_HZ = 5.0
_COMMANDS_HZ = 20.0


def try_kind(arguments: argparse.Namespace) -> int:
    """Read a sensor, or drive an output gently, for some seconds; SIGINT and SIGTERM end it in order.

    Raises
    ------
    DeviceUnavailableError
        The device is not there, has failed or hangs, or is a motor that nobody has allowed to move.
    """
    with redirect_stdout(sys.stderr):
        module = load(arguments.kind, drop_in=arguments.drop_in, patience_s=IMPORT_S)
    motor = not hasattr(module.device, "read") and getattr(module.device, "role", "motor") == "motor"
    if motor and not arguments.armed:
        msg = f"{arguments.kind} is, or may be, a motor: give --armed when nothing and nobody is in its way"
        raise DeviceUnavailableError(msg)
    fixed = {"armed": True} if motor and "armed" in module.options.model_fields else {}
    options = options_of(module, arguments.options, **fixed)
    session = _Session(arguments.seconds, _as_json if arguments.json else _as_text)
    before = signal.signal(signal.SIGTERM, session.told)
    ports = (_QuietPorts if arguments.json else NodePorts)(MeshClock(SystemClock()))
    try:
        session.run(lambda: module.device(options, ports))
    finally:
        signal.signal(signal.SIGTERM, before)
    return Exit.DONE


class _QuietPorts(NodePorts):
    """The real hardware; but standard output is for JSON only."""

    @property
    def terminal(self) -> TextIO:
        """Standard error."""
        return sys.stderr


class _Session:
    """One device, used in a thread of its own, because it may hang.

    Parameters
    ----------
    seconds : float
        For so long.
    tell : callable
        Prints what there is to see.
    """

    def __init__(self, seconds: float, tell: Tell) -> None:
        self.stop = threading.Event()
        self._clock = SystemClock()
        self._seconds = seconds
        self._tell = tell
        self._error: Exception | SystemExit | None = None

    def told(self, _number: int, _frame: object) -> None:
        """End soon: a signal has come."""
        self.stop.set()

    def run(self, make: Callable[[], Any]) -> None:
        """Open, use and close it.

        Raises
        ------
        BecomingOneError
            See `try_kind`.
        """
        thread = threading.Thread(target=self._guarded, args=(make,), daemon=True)
        thread.start()
        with suppress(KeyboardInterrupt):
            thread.join(self._seconds + PATIENCE_S)
        self.stop.set()
        thread.join(PATIENCE_S)
        if thread.is_alive():
            msg = f"the device has not returned within {PATIENCE_S:g} s"
            raise DeviceUnavailableError(msg)
        if isinstance(self._error, BecomingOneError):
            raise self._error
        if self._error is not None:
            msg = f"the device has failed: {type(self._error).__name__}: {self._error}"
            raise DeviceUnavailableError(msg) from self._error

    def _guarded(self, make: Callable[[], Any]) -> None:
        try:
            device = make()
            if isinstance(device, Sensor):
                self._read(device)
            else:
                self._drive(device)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - raised again where the thread is waited for
            self._error = error

    def _turns(self, period_s: float) -> Any:  # noqa: ANN401 - a generator of seconds since the start
        start_ns = self._clock.monotonic_ns()
        turn = 0
        while (passed_s := (self._clock.monotonic_ns() - start_ns) / 1e9) < self._seconds and not self.stop.is_set():
            yield passed_s
            turn = max(turn + 1, int(passed_s / period_s))
            self.stop.wait(max(0.0, min(turn * period_s, self._seconds) - passed_s))

    def _read(self, device: Sensor) -> None:
        try:
            rate_hz = max(channel.rate_hz for channel in device.channels)
            next_s = 0.0
            blocks: list[Block] = []
            for passed_s in self._turns(max(0.001, 1.0 / min(rate_hz, 1_000.0))):
                reading = device.read()
                if not isinstance(reading, Mapping):
                    blocks += reading
                if passed_s >= next_s and (isinstance(reading, Mapping) or blocks):
                    seen = dict(reading) if isinstance(reading, Mapping) else _summary(blocks)
                    self._tell({"seconds": round(passed_s, 3), **seen})
                    next_s, blocks = passed_s + 1.0 / _LINES_HZ, []
        finally:
            device.close()

    def _drive(self, device: Output) -> None:
        if device.role not in RANGES:
            msg = f"the role must be one of {', '.join(RANGES)}, not {device.role!r}"
            raise DeviceUnavailableError(msg)
        next_s = 0.0
        try:
            device.rest()
            for passed_s in self._turns(1.0 / _COMMANDS_HZ):
                values = gentle(device.role, passed_s)
                device.apply(values)
                if passed_s >= next_s:
                    remark = getattr(device, "remark", "")
                    shown = {name: round(value, 3) for name, value in values.items()}
                    self._tell({"seconds": round(passed_s, 3), **shown, **({"remark": remark} if remark else {})})
                    next_s = passed_s + 1.0 / _LINES_HZ
        finally:
            device.rest()
            close = getattr(device, "close", None)
            if close is not None:
                close()


def gentle(role: str, seconds: float) -> dict[str, float]:
    """Give values for an output of a role, `seconds` after the beginning.

    A slow round of hues at a third of the brightness; a quiet tone that rises and falls; a motor that turns forwards
    and back, at a fifth of its speed at most.
    """
    turn = 2.0 * math.pi * seconds
    if role == "display":
        return {"hue": 60.0 * seconds % 360.0, "brightness": 0.3}
    if role == "speaker":
        return {"frequency": 660.0 + 220.0 * math.sin(turn / 4.0), "volume": 0.1}
    return {"velocity": 0.2 * math.sin(turn / 4.0), "rotation": 0.0}


def _summary(blocks: list[Block]) -> dict[str, Any]:
    """Tell how many samples have come of each channel, their mean and their largest deviation from it."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(block.channel for block in blocks):
        samples = np.concatenate([block.samples for block in blocks if block.channel == name])
        known = samples[np.isfinite(samples)]
        mean = float(known.mean()) if len(known) else None
        swing = float(np.abs(known - mean).max()) if mean is not None else None
        found[name] = {"samples": len(samples), "mean": mean, "swing": swing}
    return found


def _as_json(content: dict[str, Any]) -> None:
    print(json.dumps(content), flush=True)


def _as_text(content: dict[str, Any]) -> None:
    print("  ".join(f"{name} {_short(value)}" for name, value in content.items()), flush=True)


def _short(value: object) -> str:
    if isinstance(value, dict):
        inside = cast("dict[str, object]", value)
        return ", ".join(f"{name} {_short(inner)}" for name, inner in inside.items())
    return f"{value:.6g}" if isinstance(value, float) else "missing" if value is None else str(value)
