"""``becomingone memory verify|backup|restore|migrate``: whole, copied, put back, brought up."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from becomingone.cli import process
from becomingone.cli.exits import Exit
from becomingone.cli.memory_place import memory_place
from becomingone.errors import BecomingOneError, ConfigError
from becomingone.hub.memory.backup import backup as make_backup
from becomingone.hub.memory.backup import restore as put_back
from becomingone.hub.memory.findings import Findings
from becomingone.hub.memory.lock import FileLock, lock_of
from becomingone.hub.memory.migrate import OLDEST
from becomingone.hub.memory.migrate import migrate as bring_up
from becomingone.hub.memory.verify import verify as look_through
from becomingone.scheduling import SystemClock

_SHOWN: Final = 20
_WIDTH: Final = 30

Progress = Callable[[int, int], None]


class _DiskError(BecomingOneError):
    """A disk that does not do what it is told."""


def verify(arguments: argparse.Namespace) -> int:
    """Read the whole memory; 0 when it is as it was written, 1 when not."""
    place = memory_place(arguments)
    signer = place.signer()
    key = _key(arguments.key) if arguments.key is not None else signer.public_key if signer is not None else None
    with _Bar("verified", arguments.json) as bar:
        findings = look_through(place.database, key=key, expect=arguments.expect or "", progress=bar.show)
    if arguments.json:
        print(json.dumps(findings.as_json()))
    else:
        _tell(findings)
    return Exit.DONE if findings.ok else Exit.FAILED


def backup(arguments: argparse.Namespace) -> int:
    """Copy the memory; 1 when it is damaged, and there is no copy."""
    place = memory_place(arguments)
    try:
        with _Bar("copied", arguments.json) as bar:
            findings = make_backup(place.database, arguments.out, progress=bar.show)
    except (OSError, sqlite3.Error) as error:
        msg = f"{arguments.out}: {error}; there is no backup"
        raise _DiskError(msg) from error
    if arguments.json:
        print(json.dumps(findings.as_json()))
    elif findings.ok:
        print(f"{arguments.out}: {sum(findings.records.values())} records, verified; head {findings.head}")
    else:
        print(f"{place.database} is damaged, and there is no backup:", file=sys.stderr)
        _tell(findings)
    return Exit.DONE if findings.ok else Exit.FAILED


def restore(arguments: argparse.Namespace) -> int:
    """Put a backup in the memory's place."""
    place = memory_place(arguments)
    signer = place.signer()
    try:
        with _Bar("copied", arguments.json) as bar:
            restored = put_back(
                arguments.backup,
                place.database,
                now_us=SystemClock().time_us(),
                key=signer.public_key if signer is not None else None,
                progress=bar.show,
            )
    except (OSError, sqlite3.Error) as error:
        msg = f"{place.database}: {error}; nothing has been changed"
        raise _DiskError(msg) from error
    if arguments.json:
        content = {"aside": str(restored.aside) if restored.aside else None, "newer": restored.newer}
        print(json.dumps({**content, "restored": restored.findings.as_json()}))
        return Exit.DONE
    print(f"{place.database} is what {arguments.backup} was: {sum(restored.findings.records.values())} records")
    if restored.aside is not None:
        print(f"what was there is kept as {restored.aside}")
        print(_left_behind(restored.newer))
    return Exit.DONE


def migrate(arguments: argparse.Namespace) -> int:
    """Bring the memory to the present version."""
    process.set_up_logging("WARNING")
    place = memory_place(arguments)
    if not place.database.exists() and not place.database.with_name(OLDEST).exists():
        msg = f"{place.database}: there is no such file, and no {OLDEST} beside it"
        raise ConfigError(msg)
    try:
        lock = FileLock(lock_of(place.database))
        try:
            with _Bar("migrated", arguments.json) as bar:
                kept = bring_up(
                    place.database,
                    now_us=SystemClock().time_us(),
                    signer=place.signer(),
                    progress=bar.show,
                )
        finally:
            lock.close()
    except (OSError, sqlite3.Error) as error:
        msg = f"{place.database}: {error}; the older database is as it was"
        raise _DiskError(msg) from error
    if arguments.json:
        print(json.dumps({"database": str(place.database), "kept": [str(path) for path in kept]}))
    elif kept:
        print(f"{place.database} is of the present version; what was before is kept: {', '.join(map(str, kept))}")
    else:
        print(f"{place.database} is of the present version already")
    return Exit.DONE


def _left_behind(newer: dict[str, int] | None) -> str:
    if newer is None:
        return "it was another memory, or cannot be read: how much it has that this one has not is not known"
    if not newer:
        return "nothing had been committed since"
    counts = ", ".join(f"{count} of kind {kind}" for kind, count in sorted(newer.items()))
    told = f"committed since, and only there: {counts}"
    if "frame" in newer:
        told += "; its frames were acknowledged, so the nodes have let go of them and do not send them again"
    return told


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        msg = f"--key: {text!r} must be the 32 bytes of a public key, hex, as verify has given it"
        raise ConfigError(msg)
    return key


def _tell(findings: Findings) -> None:
    kinds = sorted({*findings.records, *findings.gone})
    for kind in kinds:
        gone = findings.gone.get(kind, 0)
        given_up = f", {gone} before them given up when room or time was up" if gone else ""
        print(f"{kind:12} {findings.records.get(kind, 0):>10} as written{given_up}")
    if findings.checkpoints:
        when = datetime.fromtimestamp(findings.head_us / 1e6, UTC).isoformat(timespec="seconds")
        print(f"checkpoints  {findings.checkpoints:>10}, {findings.signed} signed; the newest {when}")
        print(f"head         {findings.head}")
    for key in findings.keys:
        print(f"signed by    {key}")
    if findings.unsealed:
        print(f"not sealed   {findings.unsealed:>10} since: nothing says how many there were")
    for damage in findings.damage[:_SHOWN]:
        print(f"damaged      {damage}")
    if len(findings.damage) > _SHOWN:
        print(f"damaged      and more, {findings.damaged} in all: --json gives them")
    speed = sum(findings.records.values()) / findings.seconds if findings.seconds else 0.0
    verdict = "as it was written" if findings.ok else "DAMAGED"
    print(f"{findings.path}: {verdict} ({findings.seconds:.1f} s, {speed:,.0f} records a second)")


class _Bar:
    """A progress bar on a terminal, and nothing elsewhere."""

    def __init__(self, verb: str, quiet: bool) -> None:
        self._verb = verb
        self._on = not quiet and sys.stderr.isatty()
        self._shown = -1

    def show(self, done: int, of: int) -> None:
        """Draw it, where it has moved."""
        filled = _WIDTH * done // of if of else _WIDTH
        if self._on and filled != self._shown:
            self._shown = filled
            bar = "#" * filled + "." * (_WIDTH - filled)
            sys.stderr.write(f"\r[{bar}] {self._verb} {done} of {of}")
            sys.stderr.flush()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_error: Any) -> None:  # noqa: ANN401
        if self._shown >= 0:
            sys.stderr.write("\r\033[K")
