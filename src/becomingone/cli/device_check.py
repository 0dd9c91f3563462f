"""``devices check``: everything that is wrong with a device file, each with its line."""

from __future__ import annotations

import argparse
import io
import json
import math
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple, cast

from becomingone.cli.device_options import options_of
from becomingone.cli.exits import Exit
from becomingone.devices._check import advice, defects, lines
from becomingone.devices.contract import Block, Module
from becomingone.devices.registry import import_file, is_kind, load
from becomingone.errors import (
    ConfigError,
    DeviceBrokenError,
    DeviceUnavailableError,
    MissingLibraryError,
    TopicError,
)
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.ports import SimPorts
from becomingone.wire.command import RANGES
from becomingone.wire.topics import check_name

PATIENCE_S = 5.0
"""Seconds that an import, or a device's call, may take."""


class Finding(NamedTuple):
    """Something that is to be said; `line` is 0 where it is about the whole file."""

    line: int
    text: str


def check(arguments: argparse.Namespace) -> int:
    """Read, import and try a file; 2 when something is wrong with it."""
    file: Path = arguments.file
    wrong, notes = examine(file, arguments.options)
    if arguments.json:
        content = {"file": str(file), "wrong": [f._asdict() for f in wrong], "notes": notes, "ok": not wrong}
        print(json.dumps(content))
    else:
        for line, text in wrong:
            print(f"{file}:{line}: {text}" if line else f"{file}: {text}")
        for note in notes:
            print(f"note: {note}")
        if not wrong:
            print(f"{file}: a device module without a fault")
    return Exit.BAD_INPUT if wrong else Exit.DONE


def examine(file: Path, given: list[str]) -> tuple[list[Finding], list[str]]:
    """Find what is wrong with a device file, and what could not be found out.

    Parameters
    ----------
    file : Path
        ``<kind>.py``.
    given : list of str
        Options for the device that is made on trial, ``option=value``.
    """
    wrong: list[Finding] = []
    if file.suffix != ".py" or not is_kind(file.stem):
        wrong.append(Finding(0, "must be named KIND.py: lower-case letters, digits and _, beginning with a letter"))
    try:
        where = lines(file)
    except SyntaxError as error:
        return [*wrong, Finding(error.lineno or 0, f"SyntaxError: {error.msg}")], []
    except (OSError, ValueError) as error:
        return [*wrong, Finding(0, f"cannot be read: {error}")], []
    if wrong:
        return wrong, []
    said = io.StringIO()
    with redirect_stdout(said):
        module, failure = _import(file)
    if said.getvalue():
        wrong.append(Finding(0, "prints to standard output when it is imported: use the module logging"))
    if failure is not None:
        return [*wrong, _located(file, str(failure))], []
    wrong += [
        Finding(where.get(name, where.get(name.partition(".")[0], 0)), text)
        for name, text in [*defects(module), *advice(module)]
    ]
    notes: list[str] = []
    if not defects(module):
        try:
            with redirect_stdout(io.StringIO()):
                wrong += _trial(file, given, where, notes)
        except (ConfigError, DeviceBrokenError, MissingLibraryError) as refused:
            notes.append(f"it has not been tried: {' '.join(str(refused).splitlines())}")
    return sorted(wrong), notes


def _import(file: Path) -> tuple[object, Exception | None]:
    try:
        return import_file(file, PATIENCE_S), None
    except (DeviceBrokenError, MissingLibraryError) as error:
        return None, error


def _located(file: Path, message: str) -> Finding:
    """Take the line out of a message such as ``FILE, line 3: ZeroDivisionError: ...``."""
    head, _, rest = message.removeprefix(f"{file}, line ").partition(": ")
    return Finding(int(head), rest) if head.isdecimal() else Finding(0, message)


def _trial(file: Path, given: list[str], where: Mapping[str, int], notes: list[str]) -> list[Finding]:
    """Make a device with simulated hardware, and use it as a node does."""
    module = load(file.stem, drop_in=file.parent, patience_s=PATIENCE_S)
    options = options_of(module, given)
    scheduler = VirtualScheduler()
    ports = SimPorts(MeshClock(scheduler), scheduler)
    found: list[Finding] = []

    def use() -> None:
        steps = _sensor(module, options, ports) if hasattr(module.device, "read") else _output(module, options, ports)
        for name, text in steps:
            found.append(Finding(where.get(f"Device.{name}", where.get("Device", 0)), text))

    error = _patiently(use)
    if isinstance(error, DeviceUnavailableError | MissingLibraryError):
        notes.append(f"it has not been tried with hardware: {error}")
    elif error is not None:
        own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        what = " ".join(str(error).split())
        found.append(Finding((own[-1] if own else None) or where.get("Device", 0), f"{type(error).__name__}: {what}"))
    return found


def _patiently(work: Callable[[], None]) -> BaseException | None:
    came: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
            came.append(None)
        except BaseException as error:  # noqa: BLE001 - a device may raise anything, SystemExit too
            came.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return came[0] if came else TimeoutError(f"a device must return soon; it has not within {PATIENCE_S:g} s")


def _sensor(module: Module, options: Any, ports: SimPorts) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    device = module.device(options, ports)
    names: set[str] = set()
    for channel in device.channels:
        try:
            check_name(channel.name, "channel")
        except TopicError as error:
            yield "channels", str(error)
        if channel.name in names:
            yield "channels", f"two channels are named {channel.name}"
        names.add(channel.name)
        if not (math.isfinite(channel.rate_hz) and channel.rate_hz > 0):
            yield "channels", f"channel {channel.name}: rate_hz must be above 0, not {channel.rate_hz}"
        if not (math.isfinite(channel.floor) and channel.floor >= 0):
            yield "channels", f"channel {channel.name}: floor must be at least 0, not {channel.floor}"
    if not names:
        yield "channels", "a sensor needs at least one channel"
    if getattr(device, "origin", None) not in {"live", "replayed", "simulated"}:
        yield "origin", 'origin must be "live", "replayed" or "simulated"'
    yield from _reading(device.read(), names)
    device.close()


def _reading(reading: object, names: set[str]) -> Iterator[tuple[str, str]]:
    if isinstance(reading, Mapping):
        for name, value in cast("Mapping[object, object]", reading).items():
            if name not in names:
                yield "read", f"read() gives {name!r}, which is none of its channels"
            if value is not None and not isinstance(value, int | float):
                yield "read", f"read() gives {value!r} for {name}: it must be a number or None"
    elif isinstance(reading, list | tuple):
        for block in cast("Sequence[object]", reading):
            if not isinstance(block, Block):
                yield "read", f"read() must give a mapping or Blocks, not a {type(block).__name__}"
            elif block.channel not in names:
                yield "read", f"read() gives a block of {block.channel!r}, which is none of its channels"
            elif block.spacing_ns <= 0 or getattr(block.samples, "ndim", 0) != 1:
                yield "read", "a block needs a spacing above 0 and one row of samples"
    else:
        yield "read", f"read() must give a mapping or a list of Blocks, not a {type(reading).__name__}"


def _output(module: Module, options: Any, ports: SimPorts) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    device = module.device(options, ports)
    if device.role not in RANGES:
        yield "role", f"the role must be one of {', '.join(RANGES)}, not {device.role!r}"
        return
    device.rest()
    for part in (0.0, 0.5, 1.0):
        device.apply({name: least + part * (most - least) for name, (least, most) in RANGES[device.role].items()})
    device.rest()
    device.rest()
    close = getattr(device, "close", None)
    if close is not None:
        close()
