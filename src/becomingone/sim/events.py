"""The log of a run: one line for everything that happened, and a digest by which two runs are compared."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Protocol

_LINES_AT_ONCE: Final = 256

_quoted = json.encoder.encode_basestring_ascii


class Note(Protocol):
    """Takes note of something that has happened now."""

    def __call__(self, kind: str, client: str, topic: str = "", payload: bytes | None = None, why: str = "") -> None:
        """Take note."""
        ...


class Log(Protocol):
    """Whoever is told what happens: an `EventLog`, or a test's own."""

    def note(self, kind: str, client: str, topic: str = "", payload: bytes | None = None, why: str = "") -> None:
        """Take note of something that has happened now."""
        ...


class Lines(Protocol):
    """Where lines go: a text file, or whoever compares them."""

    def write(self, line: str, /) -> object:
        """Take a line."""
        ...


def ignore(kind: str, client: str, topic: str = "", payload: bytes | None = None, why: str = "") -> None:
    """Take note of nothing."""


class EventLog:
    """Everything that happens in a run, in order.

    A line is a JSON object: ``t`` (ns of virtual time), ``kind``, ``client``, and where they apply ``topic``, ``bytes``
    and ``hash`` (BLAKE2b-64 of the payload) or the whole ``payload`` in hexadecimal, and ``why``.

    Parameters
    ----------
    now_ns : callable
        Tells the virtual time.
    file : Lines, optional
        Where the lines go; without one there is only the digest.
    payloads : bool
        Write whole payloads instead of their size and hash.
    """

    def __init__(self, now_ns: Callable[[], int], file: Lines | None = None, *, payloads: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._now_ns = now_ns
        self._file = file
        self._payloads = payloads
        self._hash = hashlib.blake2b(digest_size=16)
        self._unhashed: list[str] = []

    @property
    def digest(self) -> str:
        """32 hexadecimal digits that stand for all lines so far."""
        self._digest_lines()
        return self._hash.hexdigest()

    def head(self, content: dict[str, Any]) -> None:
        """Write what the run is made of, before anything happens; it is part of the digest.

        In its own order: that of the bands is the plan's.
        """
        self._write(json.dumps(content, separators=(",", ":")))

    def note(self, kind: str, client: str, topic: str = "", payload: bytes | None = None, why: str = "") -> None:
        """Take note of something that has happened now."""
        self.counts[kind] += 1
        # By hand, as json.dumps writes it: there are millions of them.
        line = f'{{"t":{self._now_ns()},"kind":{_quoted(kind)},"client":{_quoted(client)}'
        if topic:
            line += f',"topic":{_quoted(topic)}'
        if payload is not None and self._payloads:
            line += f',"payload":"{payload.hex()}"'
        elif payload is not None:
            line += f',"bytes":{len(payload)},"hash":"{hashlib.blake2b(payload, digest_size=8).hexdigest()}"'
        if why:
            line += f',"why":{_quoted(why)}'
        self._write(line + "}")

    def _write(self, line: str) -> None:
        line += "\n"
        self._unhashed.append(line)
        if len(self._unhashed) == _LINES_AT_ONCE:
            self._digest_lines()
        if self._file is not None:
            self._file.write(line)

    def _digest_lines(self) -> None:
        self._hash.update("".join(self._unhashed).encode())
        self._unhashed.clear()
