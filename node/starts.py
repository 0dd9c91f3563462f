"""Counts the starts that failed, over lives: after too many in a row the next one is in safe mode."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from becomingone.config.atomic import replace_text

_LOG = logging.getLogger(__name__)

FILE: Final = "starts.json"

MOST_STRIKES: Final = 3
"""Lives in a row that a hung part ended, after which a restart is no longer expected to cure it."""

_LONGEST = 300
"""Characters of a reason."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept between lives.

    Parameters
    ----------
    fingerprint : str
        Of what the last start depended on.
    failed : int
        Starts in a row that have failed.
    strikes : int
        Lives in a row that ended because a part of the work hung, before they had been calm for long.
    why : str
        Why the last one failed, as far as it could tell.
    """

    fingerprint: str
    failed: int = 0
    strikes: int = 0
    why: str = ""


class Starts:
    """The starts of one node, kept in a small file.

    A start has failed unless its life was stable, or came to an orderly end. Where all goes well the file is written
    once when a life begins and once when it has proved stable, or has ended before that: cards wear.

    Where the file cannot be read, the count begins anew; where it cannot be written, nothing is counted. Both are
    logged and neither keeps the node from starting.

    Parameters
    ----------
    folder : Path
        The node's state folder.
    most : int
        So many failed starts in a row lead to safe mode.
    fingerprint : str
        Of all that a start depends on; when it changes, the count begins anew.
    """

    def __init__(self, folder: Path, *, most: int, fingerprint: str) -> None:
        self._path = folder / FILE
        self._most = most
        self._before = Record(fingerprint)
        self._now = self._before
        self._written: Record | None = None
        self._calm = False
        self._lock = threading.Lock()

    @property
    def failed(self) -> int:
        """How many starts in a row have failed before this one."""
        return self._before.failed

    @property
    def safe(self) -> bool:
        """Whether this start has to be in safe mode."""
        return self._before.failed >= self._most

    @property
    def why(self) -> str:
        """Why the start before this one failed; empty where it did not, or could not tell."""
        return self._before.why

    @property
    def resigned(self) -> bool:
        """Whether restarts have been tried in vain against a part that hangs: then the node lives on without it."""
        return self._before.strikes >= MOST_STRIKES

    def begin(self) -> None:
        """Count this start as one that has failed, until it proves otherwise."""
        for left in self._path.parent.glob(f"{FILE}.*"):  # by a life that was killed while it wrote
            with suppress(OSError):  # it takes no more than its room
                left.unlink()
        self._before = self._now = self._read()
        # In safe mode nobody counts further: it is left by a restart or another configuration.
        if not self.safe:
            self._write(failed=self.failed + 1, why="")

    def succeeded(self) -> None:
        """Take note that this life is stable, or ends in an orderly way; safe mode stays."""
        if not self.safe:
            self._write(failed=0)

    def failing(self, why: str) -> None:
        """Keep the reason of a start that is about to fail."""
        if not self.safe:
            self._write(why=" ".join(why.split())[:_LONGEST])

    def struck(self, why: str) -> None:
        """Count this life as one that a hung part ends."""
        self._write(strikes=1 if self._calm else self._before.strikes + 1, why=" ".join(why.split())[:_LONGEST])

    def calm(self) -> None:
        """Take note that nothing has hung for long."""
        self._calm = True
        self._write(strikes=0)

    def clear(self) -> None:
        """Forget everything: the next start is an ordinary one."""
        self._write(failed=0, strikes=0, why="")

    def once_more(self) -> None:
        """Let the next start be an ordinary one; when it fails too, safe mode is back."""
        self._write(failed=min(self._before.failed, self._most - 1))

    def _read(self) -> Record:
        fresh = self._before
        try:
            kept = _record(json.loads(self._path.read_text("ascii")))
        except FileNotFoundError:
            return fresh
        except OSError as error:
            _LOG.warning("%s cannot be read, failed starts are counted anew: %s", self._path, error)
            return fresh
        except (ValueError, TypeError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
            _LOG.warning("%s makes no sense, failed starts are counted anew: %s", self._path, error)
            return fresh
        if kept.fingerprint != fresh.fingerprint:
            return fresh
        self._written = kept
        return kept

    def _write(self, **changes: Any) -> None:  # noqa: ANN401 - fields of `Record`
        with self._lock:
            self._now = replace(self._now, **changes)
            if self._now == self._written:
                return
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_text(self._path, json.dumps(asdict(self._now)) + "\n")
            except OSError as error:
                _LOG.warning("%s cannot be written, failed starts are not counted: %s", self._path, error)
            else:
                self._written = self._now


def _record(kept: Any) -> Record:  # noqa: ANN401 - whatever the file holds
    """Check what was read.

    Raises
    ------
    TypeError, ValueError
        It is not a record.
    """
    record = Record(**kept)
    for name, kind in (("fingerprint", str), ("failed", int), ("strikes", int), ("why", str)):
        if type(getattr(record, name)) is not kind:
            raise TypeError(f"{name} must be of type {kind.__name__}")
    if min(record.failed, record.strikes) < 0:
        raise ValueError("failed and strikes must be at least 0")
    return record


def fingerprint(*words: str, drop_in: Path | None) -> str:
    """Name all that a start depends on without importing or even understanding any of it.

    Parameters
    ----------
    words : str
        Names of the configuration and of the software.
    drop_in : Path or None
        The folder of further device modules, whose files count by their content.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    parts = [word.encode() for word in words]
    if drop_in is not None:
        parts += [part for file in sorted(drop_in.glob("*.py")) for part in (file.name.encode(), _content(file))]
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        return f"unreadable: {error.errno}".encode()
