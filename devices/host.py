"""The sensors of the machine itself: processor load, memory, network, disk and processor temperature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from becomingone.devices.contract import Channel, Origin, Ports
from becomingone.errors import DeviceUnavailableError, MissingLibraryError

Measure = Literal["load", "memory", "network", "disk", "temperature"]

_CHANNELS: dict[Measure, tuple[str, str, float]] = {  # unit, quantity, floor
    "load": ("%", "processor_load", 0.5),
    "memory": ("%", "memory_use", 0.02),
    "network": ("kB/s", "data_rate", 1.0),
    "disk": ("kB/s", "data_rate", 4.0),
    "temperature": ("°C", "temperature", 0.2),
}


def _unique(measures: tuple[Measure, ...]) -> tuple[Measure, ...]:
    if len(set(measures)) != len(measures):
        msg = "a measure is named twice"
        raise ValueError(msg)
    return measures


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What to measure, and how often."""

    measures: Annotated[
        tuple[Measure, ...],
        Field(min_length=1, description="load %, memory %, network kB/s, disk kB/s, temperature °C; each once"),
        AfterValidator(_unique),
    ] = ("load", "memory", "network")
    rate_hz: Annotated[float, Field(ge=0.1, le=20, description="readings a second, Hz")] = 4.0


class Device:
    """A sensor with a channel for each measure; a temperature that the machine does not have is left out.

    Parameters
    ----------
    options : Options
        What to measure.
    ports : Ports
        Lends the clock.

    Raises
    ------
    DeviceUnavailableError
        Only the temperature was asked for, and there is none.
    MissingLibraryError
        psutil is not installed.

    Examples
    --------
    >>> Options(measures=("load", "temperature")).rate_hz
    4.0
    """

    origin: Origin = "live"

    def __init__(self, options: Options, ports: Ports) -> None:
        try:
            from becomingone.devices import _machine as machine  # noqa: PLC0415  # psutil is optional on a node
        except ImportError as error:
            msg = "the machine's own sensors need psutil: pip install 'becomingone[node]'"
            raise MissingLibraryError(msg) from error
        probes: dict[Measure, Callable[[], float | None]] = {
            "load": machine.Growth(machine.processor_s, ports.clock).busy_percent,
            "memory": machine.memory_percent,
            "network": machine.Growth(machine.network_bytes, ports.clock).kilobytes_per_second,
            "disk": machine.Growth(machine.disk_bytes, ports.clock).kilobytes_per_second,
            "temperature": machine.cpu_temperature_c,
        }
        self._failures = machine.FAILURES
        first = {measure: self._value(probes[measure]) for measure in options.measures}  # what grows needs a start
        self._probes: dict[Measure, Callable[[], float | None]] = {
            m: probes[m] for m in options.measures if m != "temperature" or first[m] is not None
        }
        if not self._probes:
            msg = "this machine has no CPU temperature sensor"
            raise DeviceUnavailableError(msg)
        self.channels = tuple(Channel(m, u, options.rate_hz, q, f) for m in self._probes for u, q, f in [_CHANNELS[m]])

    def read(self) -> dict[str, float | None]:
        """Give each measure now: load, network and disk as their mean since the last call."""
        return {measure: self._value(probe) for measure, probe in self._probes.items()}

    def close(self) -> None:
        """Nothing to let go of."""

    def _value(self, probe: Callable[[], float | None]) -> float | None:
        try:
            return probe()
        except self._failures:
            return None
