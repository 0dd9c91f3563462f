"""What Mosquitto says, passed on to our log with a level, and no more of the same than anybody would read."""

from __future__ import annotations

import logging
import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from becomingone.scheduling import NANOSECONDS, Clock

AGAIN_NS: Final = 60 * NANOSECONDS
"""The same warning is told once a minute, with how often it came meanwhile."""

MOST_KINDS: Final = 256
"""Different warnings that are remembered; the oldest gives way."""

_KEPT: Final = 20
_STAMP: Final = re.compile(r"^\d{9,11}: ")
_VARYING: Final = re.compile(r"(?<=:)\d{2,5}\b|\b[0-9a-fA-F]{8,}\b|(?<=\[)\d+(?=\])")
_RUNNING: Final = re.compile(r"^mosquitto version \S+ running$")
_LEVELS: Final = (
    (re.compile(r"^Error\b|^Out of memory"), logging.ERROR),
    (
        re.compile(
            r"^Warning\b|deprecated|OpenSSL Error|not authorised|rotocol error|ad socket|exceeded timeout|dropped"
            r"|already connected|oversize|too large|[Mm]alformed|identifier rejected"
        ),
        logging.WARNING,
    ),
    (
        re.compile(r"^Saving in-memory database|^New connection from|^Plugin |support available|^[Ss]qlite"),
        logging.DEBUG,
    ),
)
_LOG: Final = logging.getLogger("becomingone.mosquitto")


def level_of(line: str) -> int:
    """Give the level of one of Mosquitto's lines: on standard error it does not say it itself."""
    return next((level for pattern, level in _LEVELS if pattern.search(line)), logging.INFO)


@dataclass(slots=True)
class _Told:
    at_ns: int
    unsaid: int = 0


class BrokerLog:
    """Takes a broker's lines.

    Parameters
    ----------
    clock : Clock
        Tells when a warning may be repeated.

    Attributes
    ----------
    running : bool
        Whether it has said that it is up since `begin`.
    warnings : int
        Lines at level warning or above, told or not.
    """

    def __init__(self, clock: Clock) -> None:
        self.running = False
        self.warnings = 0
        self._clock = clock
        self._told: dict[str, _Told] = {}
        self._faults: deque[str] = deque(maxlen=_KEPT)
        self._last: deque[str] = deque(maxlen=3)

    def begin(self) -> None:
        """Take note that a new process is being started."""
        self.running = False
        self._faults.clear()
        self._last.clear()

    def take(self, line: str) -> None:
        """Take one line and pass it on, unless the same warning has just been told."""
        line = _STAMP.sub("", " ".join(line.split()))
        if not line:
            return
        self.running = self.running or _RUNNING.match(line) is not None
        self._last.append(line)
        level = level_of(line)
        if level >= logging.ERROR:
            self._faults.append(line.removeprefix("Error: "))
        if level >= logging.WARNING:
            self.warnings += 1
            self._warn(level, line)
        else:
            _LOG.log(level, "%s", line)

    def why(self) -> str:
        """Say in one line why it ended: its errors, or else its last words."""
        return "; ".join(dict.fromkeys(self._faults or self._last)) or "it said nothing"

    def _warn(self, level: int, line: str) -> None:
        kind = _VARYING.sub("", line)
        now_ns = self._clock.monotonic_ns()
        told = self._told.get(kind)
        if told is not None and now_ns - told.at_ns < AGAIN_NS:
            told.unsaid += 1
            return
        _LOG.log(
            level, "%s%s", line, f" ({told.unsaid} more like it since)" if told is not None and told.unsaid else ""
        )
        self._told.pop(kind, None)
        self._told[kind] = _Told(now_ns)
        if len(self._told) > MOST_KINDS:
            del self._told[next(iter(self._told))]
