"""``node calibrate``: how late a microphone or a camera is, from clicks or flashes that an output makes."""

from __future__ import annotations

import argparse
import json
import os
import random
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from becomingone.cli.exits import Exit
from becomingone.config.loader import load
from becomingone.devices.contract import Module, Ports
from becomingone.errors import ConfigError, DeviceUnavailableError
from becomingone.node.calibrate import CLICK_S, Latency, longest_run_s, measure
from becomingone.node.config import DeviceSection, NodeConfig, device_of
from becomingone.node.ports import NodePorts
from becomingone.scheduling import MeshClock, SystemClock

S = TypeVar("S", bound=DeviceSection)

_PATIENCE_S: Final = 15.0
"""Seconds that opening and closing devices may take, beyond the measurement itself."""


def calibrate(arguments: argparse.Namespace) -> int:
    """Measure, and print the line for the configuration."""
    config = load(NodeConfig, arguments.config, overrides=arguments.overrides, environ=os.environ)
    entry = _named(config.inputs, arguments.input, "input", arguments.config)
    target = _named(config.outputs, arguments.output, "output", arguments.config)
    run = _Run(arguments, _device(entry, config, arguments.config), _device(target, config, arguments.config))
    latency = run.result()
    if arguments.json:
        print(json.dumps({"input": entry.name, "output": target.name} | _figures(latency)))
    else:
        print("\n".join(_lines(latency, entry.name, target.name)))
    return Exit.DONE


class _Run:
    """The measurement, in a thread of its own: a device that never returns must not keep the program.

    Parameters
    ----------
    arguments : argparse.Namespace
        The command line's.
    sensor, output : tuple
        The modules with their options.
    """

    def __init__(
        self, arguments: argparse.Namespace, sensor: tuple[Module, BaseModel], output: tuple[Module, BaseModel]
    ) -> None:
        self._arguments = arguments
        self._sensor = sensor
        self._output = output
        self._doing = "opening the devices"
        self._until_s = time.monotonic() + _PATIENCE_S
        self._latency: Latency | None = None
        self._error: BaseException | None = None

    def result(self) -> Latency:
        """Wait for it.

        Raises
        ------
        BecomingOneError
            What the measurement raises, or that a device does not return.
        """
        thread = threading.Thread(target=self._attempt, name="calibration", daemon=True)
        thread.start()
        while thread.is_alive() and time.monotonic() < self._until_s:
            thread.join(0.1)
        if self._error is not None:
            raise self._error
        if self._latency is None:
            raise DeviceUnavailableError(f"{self._doing} has not returned: a device hangs")
        return self._latency

    def _attempt(self) -> None:
        try:
            self._latency = self._measure()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error

    def _measure(self) -> Latency:
        clock = MeshClock(SystemClock())
        ports: Ports = NodePorts(clock)
        module, options = self._output
        # A glide would blur the very instant that is looked for.
        ramp_s = CLICK_S if "glide_s" in type(options).model_fields else 0.0
        options = options.model_copy(update={"glide_s": CLICK_S} if ramp_s else {})
        with _closing(module.device(options, ports)) as output:
            module, options = self._sensor
            with _closing(module.device(options, ports)) as sensor:
                self._doing = "the measurement"
                self._until_s += longest_run_s(sensor, self._arguments.count)
                return measure(
                    sensor,
                    output,
                    clock=clock,
                    wait=time.sleep,
                    rng=random.Random(self._arguments.seed),  # noqa: S311 - draws intervals
                    count=self._arguments.count,
                    channel=self._arguments.channel,
                    ramp_s=ramp_s,
                )


@contextmanager
def _closing(device: Any) -> Generator[Any]:  # noqa: ANN401 - a sensor, or an output, which need not have a close
    try:
        yield device
    finally:
        close: Callable[[], None] = getattr(device, "close", lambda: None)
        close()


def _named(sections: Sequence[S], name: str, part: str, config: Path) -> S:
    for section in sections:
        if section.name == name:
            return section
    names = ", ".join(section.name for section in sections) or "none"
    raise ConfigError(f"{config}: there is no {part} {name!r}; the {part}s are {names}")


def _device(section: DeviceSection, config: NodeConfig, path: Path) -> tuple[Module, BaseModel]:
    try:
        return device_of(section, config.drop_in)
    except ValueError as error:
        raise ConfigError(f"{path}: {section.name}: {error}") from error


def _figures(latency: Latency) -> dict[str, object]:
    response = latency.response
    return {
        "channel": latency.channel,
        "latency_s": round(latency.input_s, 6),
        "total_s": round(response.latency_s, 6),
        "output_s": None if latency.output_s is None else round(latency.output_s, 6),
        "sigma_s": round(response.sigma_s, 6),
        "error_s": round(response.error_s, 6),
        "pulses": response.pulses,
        "found": response.found,
        "chance": response.chance,
        "snr_db": round(response.snr_db, 1),
        "saturated": latency.saturated,
    }


def _lines(latency: Latency, entry: str, target: str) -> list[str]:
    response = latency.response
    lines = [
        (
            f"{entry} ({latency.channel}) has seen {response.found} of {response.pulses} pulses of {target}; "
            f"chance does as well with p = {response.chance:.3f}"
        ),
        (
            f"from command to response  {response.latency_s:.4f} s, standard error {response.error_s:.4f} s, "
            f"spread of one pulse {response.sigma_s:.4f} s"
        ),
    ]
    if latency.output_s is None:
        lines.append(
            "of which the output        unknown: this is both together; take off the output's part if you know it"
        )
    else:
        lines.append(f"of which the output       {latency.output_s:.4f} s, as its driver tells")
        if response.latency_s < latency.output_s - 3 * response.error_s:
            lines.append("  which is more than both together: the driver is wrong by as much")
    if latency.saturated:
        lines.append("the input reached the end of its range: lower the volume and measure again")
    return [*lines, f"into the configuration, to the input {entry}:", f"    latency_s: {latency.input_s:.4f}"]
