"""Moments on the command line: dates and times, how long ago, seconds since the epoch."""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime
from typing import Final

NOW: Final = "now"

_AGO: Final = re.compile(r"-(\d+(?:\.\d+)?)(s|m|min|h|d|w)")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_LATEST_US: Final = 253_402_300_800_000_000  # the year 10000

NEGATIVE: Final = re.compile(r"-\d.*")
"""What begins with a minus and is no option."""


def moment(text: str) -> int:
    """Read a moment; give µs since the Unix epoch.

    ``now``; ``-90s``, ``-15m``, ``-2h``, ``-3d``, ``-1w``: so long ago; ``2026-11-21T18:30:00Z`` or with ``+01:00``, or
    without either in UTC; ``2026-11-21``: its beginning; a number: seconds since the epoch, from 10¹⁴ on µs.
    """
    value = _parsed(text.strip())
    if value is not None and 0 <= value < _LATEST_US:
        return value
    msg = f"must be now, -2h (s, m, h, d, w), 2026-11-21T18:30:00Z or seconds since 1970, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _parsed(text: str) -> int | None:
    ago = _AGO.fullmatch("-0s" if text == NOW else text)
    if ago is not None:
        return time.time_ns() // 1_000 - round(float(ago[1]) * _SECONDS[ago[2]] * 1e6)
    if re.fullmatch(r"\d+", text) and len(text) != 8:  # eight digits are a date
        return int(text) if len(text) >= 15 else int(text) * 1_000_000
    if re.fullmatch(r"\d+\.\d+", text):
        return round(float(text) * 1e6)
    try:
        read = datetime.fromisoformat(text)
        since = (read if read.tzinfo is not None else read.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
