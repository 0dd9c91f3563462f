"""The lines of Mosquitto's configuration file: a name, a space, the rest of the line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from becomingone.errors import ConfigError

Line = tuple[str, str | int | bool | Path | None] | None
"""An option and its value; None where there is none to be set."""


def text_of(head: str, lines: Iterable[Line]) -> str:
    """Write a configuration; an empty line before each listener and bridge.

    Raises
    ------
    ConfigError
        A value holds a line break or another control character, and would be read as something else.
    """
    written = [head]
    for line in lines:
        if line is None:
            continue
        name, value = line
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not text or text != text.strip() or not text.isprintable():
            msg = f"{text!r} cannot stand in Mosquitto's configuration ({name}): choose a path without such characters"
            raise ConfigError(msg)
        if name in ("listener", "connection"):
            written.append("")
        written.append(f"{name} {text}")
    return "\n".join(written) + "\n"
