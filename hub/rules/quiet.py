"""Quiet hours: spans of the local day, also over midnight.

Daylight saving moves them with the clock on the wall: an hour that comes twice in autumn is quiet twice, and one that
does not come in spring is not.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Annotated, Final, NamedTuple, cast

from pydantic import AfterValidator, BeforeValidator

_SPAN: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")

MINUTES: Final = 24 * 60


class Span(NamedTuple):
    """Minutes of the day from `start` on and before `end`; over midnight where it ends before it starts."""

    start: int
    end: int

    def holds(self, minute: int) -> bool:
        """Tell whether a minute of the day is within."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


@lru_cache(maxsize=256)
def span(text: str) -> Span:
    """Read ``22:00-07:00``.

    Raises
    ------
    ValueError
        It is none, or empty.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        msg = f"quiet hours are written 22:00-07:00, from 00:00 to 24:00, not {text!r:.40}"
        raise ValueError(msg)
    start, end = int(found[1]) * 60 + int(found[2]), MINUTES
    if found[3] is not None:
        end = int(found[3]) * 60 + int(found[4])
    if start == end:
        msg = f"{text!r:.40} is empty; for the whole day write 00:00-24:00"
        raise ValueError(msg)
    return Span(start, end)


def is_quiet(spans: tuple[str, ...], local: datetime) -> bool:
    """Tell whether a local time is within any of the spans."""
    minute = local.hour * 60 + local.minute
    return any(span(text).holds(minute) for text in spans)


def zone(name: str) -> tzinfo:
    """Give a time zone by its name in the IANA database.

    Raises
    ------
    ValueError
        There is none of that name on this machine.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        msg = f"no time zone {name!r:.80} is known here; write one such as Europe/Berlin (Debian: apt install tzdata)"
        raise ValueError(msg) from error


def _checked(text: str) -> str:
    span(text)
    return text


def _several(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


QuietHours = Annotated[tuple[Annotated[str, AfterValidator(_checked)], ...], BeforeValidator(_several)]
"""Spans, or one, as a field."""
