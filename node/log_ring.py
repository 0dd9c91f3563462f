"""The log: to standard error for journald, and the last lines in memory for whoever asks; nothing on the card."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Final, TextIO, cast

from pydantic import BaseModel, SecretBytes, SecretStr

LONGEST: Final = 500
"""Characters of a line; what is longer is cut, and says so."""

MOST_LINES: Final = 40
"""Lines of one record, of a traceback for instance; the middle is left out."""

HIDDEN: Final = "(secret)"

FIRST_LINES: Final = 256
"""Lines that are kept before the configuration says how many."""

_LEAST_SECRET: Final = 4
"""Characters of a secret that is worth hiding: replacing shorter ones would garble everything else."""

_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Least level of syslog's priorities, see sd-daemon(3); below: 7, debug."""


class LineFormatter(logging.Formatter):
    """Makes lines that may leave the machine: bounded, without control characters, without secrets.

    Parameters
    ----------
    secrets : collection of str
        Texts that must not be seen.
    priority : bool
        Begin each line with its priority for journald, ``<4>``, and leave the time to the journal.
    """

    def __init__(self, secrets: Collection[str] = (), *, priority: bool = False) -> None:
        time = "" if priority else "%(asctime)s "
        super().__init__(f"{time}%(levelname)s %(name)s: %(message)s")
        self._priority = priority
        self._secrets: list[str] = []
        self.hide(secrets)

    def hide(self, secrets: Collection[str]) -> None:
        """Let these texts not be seen either, from now on."""
        found = {text for text in secrets if len(text) >= _LEAST_SECRET} | set(self._secrets)
        self._secrets = sorted(found, key=len, reverse=True)  # a longer one may hold a shorter one

    def lines(self, record: logging.LogRecord) -> list[str]:
        """Give the record's lines."""
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        lines = [_bounded(line) for line in text.splitlines()] or [""]
        if len(lines) > MOST_LINES:
            half = MOST_LINES // 2
            lines = [*lines[:half], f"... {len(lines) - 2 * half} lines ...", *lines[-half:]]
        return lines

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        prefix = f"<{_priority(record.levelno)}>" if self._priority else ""
        return "\n".join(prefix + line for line in self.lines(record))


class LogRing(logging.Handler):
    """Keeps the last lines.

    Parameters
    ----------
    most : int
        How many, at least 1.
    formatter : LineFormatter, optional
        Makes them.
    """

    def __init__(self, most: int, formatter: LineFormatter | None = None) -> None:
        super().__init__()
        self._formatter = formatter or LineFormatter()
        self._lines: deque[str] = deque(maxlen=most)

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        try:
            self._lines.extend(self._formatter.lines(record))
        except Exception:  # noqa: BLE001 - what every handler does: a record that cannot be formatted is told on stderr
            self.handleError(record)

    def lines(self, count: int) -> tuple[str, ...]:
        """Give the last `count` lines, oldest first; fewer where there are not so many."""
        self.acquire()
        try:
            kept = tuple(self._lines)
        finally:
            self.release()
        return kept[-count:] if count > 0 else ()

    def resize(self, most: int) -> None:
        """Keep so many lines from now on, at least 1."""
        self.acquire()
        try:
            self._lines = deque(self._lines, maxlen=most)
        finally:
            self.release()


class Log:
    """All that is logged, from now on: to a stream and to a ring, and to nothing else.

    Parameters
    ----------
    stream : TextIO
        Standard error.
    environ : mapping
        Tells whether journald reads it (``JOURNAL_STREAM``).

    Attributes
    ----------
    ring : LogRing
        The last lines.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        shown = LineFormatter(priority=is_journal(stream, environ))
        kept = LineFormatter()
        self.ring = LogRing(FIRST_LINES, kept)
        self._formatters = (shown, kept)
        plain = logging.StreamHandler(stream)
        plain.setFormatter(shown)
        root = logging.getLogger()
        for handler in [*root.handlers]:
            root.removeHandler(handler)
        root.addHandler(plain)
        root.addHandler(self.ring)
        root.setLevel(logging.INFO)

    def configure(self, *, level: str, lines: int, secrets: Collection[str]) -> None:
        """Become what the configuration says.

        Parameters
        ----------
        level : str
            Least level that is logged, see `level`.
        lines : int
            Lines that the ring keeps.
        secrets : collection of str
            Texts that must not be seen, besides those named before.
        """
        for formatter in self._formatters:
            formatter.hide(secrets)
        self.ring.resize(lines)
        self.level(level)

    def level(self, level: str) -> None:
        """Log ``debug``, ``info``, ``warning`` or ``error`` (in capitals or not) and what is worse."""
        logging.getLogger().setLevel(level.upper())


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream leads to journald: its device and inode are those of ``JOURNAL_STREAM``, see systemd.exec(5)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # not a file, or a closed one
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def secrets_of(model: BaseModel) -> set[str]:
    """Give the texts of all secrets in a configuration."""
    found: set[str] = set()
    todo: list[object] = [getattr(model, name) for name in type(model).model_fields]
    while todo:
        value = todo.pop()
        if isinstance(value, SecretStr):
            found.add(value.get_secret_value())
        elif isinstance(value, SecretBytes):
            found.add(value.get_secret_value().decode("utf-8", "replace"))
        elif isinstance(value, BaseModel):
            todo += [getattr(value, name) for name in type(value).model_fields]
        elif isinstance(value, Mapping):
            todo += cast("Mapping[object, object]", value).values()
        elif isinstance(value, list | tuple):
            todo += cast("Sequence[object]", value)
    return found


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def _bounded(line: str) -> str:
    line = "".join(character if character.isprintable() else " " for character in line)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ... ({len(line) - LONGEST} more)"
