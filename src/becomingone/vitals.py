"""The process's own figures, from the operating system, without a library."""

from __future__ import annotations

import os
import resource
from pathlib import Path


def rss_bytes() -> int | None:
    """Resident memory of this process in bytes; None where the system does not tell (proc(5), statm)."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_temperature_c() -> float | None:
    """Give the processor's temperature in °C; None where the kernel has no thermal zone (thermal, sysfs-api)."""
    try:
        return int(Path("/sys/class/thermal/thermal_zone0/temp").read_text("ascii")) / 1000
    except (OSError, ValueError):
        return None


def cpu_s() -> float:
    """Processor seconds that this process has used, in user and system mode."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
