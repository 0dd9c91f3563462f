"""What psutil knows of this machine, as plain numbers. Importing this file needs psutil."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import psutil

from becomingone.devices.contract import ClockPort

FAILURES = (psutil.Error, OSError, NotImplementedError, RuntimeError)
"""What psutil raises where a figure is not to be had."""

_CPU_CHIPS = ("cpu_thermal", "cpu-thermal", "coretemp", "k10temp", "zenpower", "soc_thermal", "soc-thermal")
_LOOPBACK = re.compile(r"lo\d*|loopback.*", re.IGNORECASE)
_IDLE = ("idle", "iowait")
_COUNTED_TWICE = ("guest", "guest_nice")  # Linux has them in user and nice already


def processor_s() -> dict[str, float]:
    """Count the seconds that all processors together have been busy and idle."""
    times: dict[str, float] = psutil.cpu_times()._asdict()
    idle = sum(times.get(name, 0.0) for name in _IDLE)
    return {"busy": sum(times.values()) - idle - sum(times.get(name, 0.0) for name in _COUNTED_TWICE), "idle": idle}


def memory_percent() -> float:
    """Give the part of the memory that is in use, in %."""
    return float(psutil.virtual_memory().percent)


def network_bytes() -> dict[str, float]:
    """Count the bytes in and out of every network interface but the loopback."""
    counters = psutil.net_io_counters(pernic=True)
    return {name: nic.bytes_recv + nic.bytes_sent for name, nic in counters.items() if not _LOOPBACK.fullmatch(name)}


def disk_bytes() -> dict[str, float]:
    """Count the bytes read from and written to all disks; empty where the machine does not count them."""
    counters = psutil.disk_io_counters()
    return {} if counters is None else {"all": counters.read_bytes + counters.write_bytes}


def cpu_temperature_c() -> float | None:
    """Give the processor's temperature, in °C; None where there is no sensor of it."""
    if not hasattr(psutil, "sensors_temperatures"):  # Windows, macOS
        return None
    chips = psutil.sensors_temperatures()
    for name in _CPU_CHIPS:
        if chips.get(name):
            return float(chips[name][0].current)
    return None


class Growth:
    """How much counters have grown between one look and the next.

    Parameters
    ----------
    count : callable
        Gives the counters by name. Names that come or go (a network adapter) do not count in that interval.
    clock : ClockPort
        Tells how long the interval was.
    """

    def __init__(self, count: Callable[[], Mapping[str, float]], clock: ClockPort) -> None:
        self._count = count
        self._clock = clock
        self._before: Mapping[str, float] = {}
        self._before_ns = 0

    def look(self) -> tuple[dict[str, float], float] | None:
        """Give the growth by name and the seconds it took; None at first, or where a counter went backwards."""
        counts, now_ns = self._count(), self._clock.monotonic_ns()
        grown = {name: value - self._before[name] for name, value in counts.items() if name in self._before}
        seconds = (now_ns - self._before_ns) / 1e9
        self._before, self._before_ns = counts, now_ns
        if not grown or min(grown.values()) < 0 or seconds <= 0:
            return None
        return grown, seconds

    def kilobytes_per_second(self) -> float | None:
        """Give the growth of all counters together, as kB/s of bytes."""
        found = self.look()
        return None if found is None else sum(found[0].values()) / 1_000 / found[1]

    def busy_percent(self) -> float | None:
        """Give ``busy`` as a part of all counters together, in %."""
        found = self.look()
        total = 0.0 if found is None else sum(found[0].values())
        return None if found is None or total <= 0 else 100 * found[0]["busy"] / total
