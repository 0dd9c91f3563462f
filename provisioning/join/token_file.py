"""``tokens.yaml``: which tokens there are, what has become of each, and which key each is bound to.

Server, ``token`` and ``approve`` are processes of their own that meet in this one file. Whoever changes it holds the
lock beside it and replaces it as a whole, so that at any instant, whatever is killed, it is the old one or the new.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from becomingone.config.sections import Name
from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.secrets_folder import write

LOCK_S: Final = 10.0
"""Seconds for which the lock is waited for; who holds it has a file to write and nothing else to do."""

_LOCK_PAUSE_S: Final = 0.01
_KEPT: Final = timedelta(days=7)
"""So long a token that has expired is still named as expired; then it is unknown."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, and not in every PyYAML
_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_HEAD: Final = "# Join tokens, hashed. Written by `becomingone provision token`, `serve` and `approve`.\n"
_NONE: Final = "0" * 64

State = Literal["open", "waiting", "granted", "used", "denied"]
"""open: nobody has come with it. waiting: a key has, and an operator is to decide. granted: a certificate may be
issued for that key, and no other. used: it has been, and is given again to that key. denied: an operator said no."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TokenRecord(BaseModel):
    """One token; times are aware and in UTC.

    A token that is bound (waiting, granted, used) serves the key that it is bound to, and no other, for ever.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    node: Name
    digest: Digest
    made: AwareDatetime
    expires: AwareDatetime
    approve: bool = False
    state: State = "open"
    key: Digest | None = None
    address: str | None = None
    asked: AwareDatetime | None = None

    def expired(self, now: datetime) -> bool:
        """Tell whether its time is over."""
        return now >= self.expires


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tokens: tuple[TokenRecord, ...] = ()


class Tokens:
    """The tokens while the lock is held: at most one a node.

    Parameters
    ----------
    records : iterable of TokenRecord
        What the file holds.
    save : callable
        Writes all of them.
    """

    def __init__(self, records: Iterable[TokenRecord], save: Callable[[Iterable[TokenRecord]], None]) -> None:
        self._records = {record.node: record for record in records}
        self._save = save

    def all(self) -> list[TokenRecord]:
        """Give all, by node."""
        return [self._records[node] for node in sorted(self._records)]

    def of(self, node: str) -> TokenRecord | None:
        """Give a node's."""
        return self._records.get(node)

    def match(self, node: str, digest: str) -> TokenRecord | None:
        """Give a node's token where `digest` is its; takes as long where there is none."""
        record = self._records.get(node)
        same = hmac.compare_digest(digest, record.digest if record is not None else _NONE)
        return record if same else None

    def put(self, record: TokenRecord, *, now: datetime | None = None) -> None:
        """Write a record, on the disk when this returns; the node's earlier token is no more.

        With `now`, those that expired a week ago go.

        Raises
        ------
        ProvisioningError
            The disk refuses; the old content is still there.
        """
        records = {**self._records, record.node: record}
        if now is not None:
            records = {node: one for node, one in records.items() if now < one.expires + _KEPT or node == record.node}
        self._save(records[node] for node in sorted(records))
        self._records = records


class TokenFile:
    """The file, and the lock beside it.

    Parameters
    ----------
    path : Path
        ``secrets/tokens.yaml``; need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path.with_name("tokens.lock")
        self._read: tuple[tuple[int, int, int], tuple[TokenRecord, ...]] | None = None

    @contextmanager
    def locked(self) -> Generator[Tokens]:
        """Hold the lock; whatever is `put` meanwhile is written at once.

        Raises
        ------
        ProvisioningError
            Another process keeps the lock, or the file cannot be read or written.
        ConfigError
            The file is not what one of ours has written.
        """
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            msg = f"{self._lock} cannot be made: {error.strerror or error}"
            raise ProvisioningError(msg) from error
        try:
            self._wait(descriptor)
            yield Tokens(self._load(), self._store)
        finally:
            os.close(descriptor)

    def _wait(self, descriptor: int) -> None:
        end = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    msg = f"{self._lock} has been held by another process for {LOCK_S:g} s: is one stopped half-way?"
                    raise ProvisioningError(msg) from None
                time.sleep(_LOCK_PAUSE_S)
            else:
                return

    def _load(self) -> tuple[TokenRecord, ...]:
        try:
            with self.path.open("rb") as file:
                facts = os.fstat(file.fileno())
                stamp = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
                if self._read is not None and self._read[0] == stamp:
                    return self._read[1]
                raw = file.read()
        except FileNotFoundError:
            return ()
        except OSError as error:
            msg = f"{self.path} cannot be read: {error.strerror or error}"
            raise ProvisioningError(msg) from error
        records = self._parsed(raw)
        self._read = (stamp, records)
        return records

    def _parsed(self, raw: bytes) -> tuple[TokenRecord, ...]:
        try:
            data = yaml.load(raw, Loader=_LOADER)  # noqa: S506 - it is a safe one
            return _Content.model_validate(data or {}).tokens
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
            msg = f"{self.path}:{line}: is no YAML: {error.problem}"
            raise ConfigError(msg) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            msg = f"{self.path}:1: is no YAML"
            raise ConfigError(msg) from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"]))
            msg = f"{self.path}: {field}: {first['msg']}; it is written by `becomingone provision` alone"
            raise ConfigError(msg) from None

    def _store(self, records: Iterable[TokenRecord]) -> None:
        content = [record.model_dump(mode="json", exclude_none=True) for record in records]
        text = yaml.dump({"tokens": content}, Dumper=_DUMPER, sort_keys=False, allow_unicode=False, width=120)
        write(self.path, _HEAD + text, mode=0o600)
