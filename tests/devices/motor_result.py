"""How long a motor went on after failures: from its pins, and in numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from becomingone.sim.pins import PinChange

LIMIT_S = 0.2
ROS_DEFAULT_S = 0.5
"""After so long without a command ROS 2's diff_drive_controller stops (its parameter cmd_vel_timeout)."""

MOVING_PINS = (17, 18, 22, 23)


@dataclass
class Result:
    """Seconds that the motor went on after each failure, by what failed; infinity where it never rested."""

    rest_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def all(self) -> list[float]:
        return sorted(value for values in self.rest_s.values() for value in values)

    @property
    def maximum_s(self) -> float:
        return self.all[-1]

    def report(self) -> dict[str, Any]:
        values = self.all
        return {
            "trials": len(values),
            "max_s": round(values[-1], 6),
            "p99_s": round(values[int(0.99 * (len(values) - 1))], 6),
            "p50_s": round(values[len(values) // 2], 6),
            "limit_s": LIMIT_S,
            "ok": values[-1] <= LIMIT_S,
            "max_s_by_failure": {name: round(max(some), 6) for name, some in sorted(self.rest_s.items())},
            "trials_by_failure": {name: len(some) for name, some in sorted(self.rest_s.items())},
        }


def rest_after(changes: Sequence[PinChange], failed_ns: int) -> float:
    """Give the seconds from a failure until the last of the moving pins went low, and all stayed so."""
    states: dict[int, float] = {}
    last_ns = failed_ns
    for change in changes:
        if change.pin in MOVING_PINS:
            if change.time_ns >= failed_ns and any(states.values()):
                last_ns = change.time_ns
            states[change.pin] = change.value
    return float("inf") if any(states.values()) else (last_ns - failed_ns) / 1e9
