"""The record of every certificate that was ever issued: lines of JSON that are only ever added.

A line is on the disk before what it tells of leaves: a crash can leave a recorded certificate that nobody has, and
never one that somebody has and nobody knows of.
"""

from __future__ import annotations

import base64
import json
import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.secrets_folder import check_private, refusals

State = Literal["valid", "due", "expired", "revoked"]
"""``due``: less than a third of its life is left, and it is to be renewed."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was issued.

    Parameters
    ----------
    serial : int
        Its serial number, of 159 bits.
    identity : str
        Whom it names: ``kitchen``, ``hub``, ``operator:anna``, ``broker``.
    role : str
        What that is.
    not_before, not_after : datetime
        When it holds, in UTC.
    sha256 : str
        Of its DER, 64 hexadecimal digits.
    key_sha256 : str
        Of its public key, see `becomingone.provisioning.identities.keys.key_digest`.
    requested : bool
        Whether its key was made elsewhere, so that only a request was seen here.
    der : bytes
        The certificate itself.
    revoked : datetime or None
        Since when it is void, in UTC.
    reason : str
        Why; empty where it is not.
    """

    serial: int
    identity: str
    role: str
    not_before: datetime
    not_after: datetime
    sha256: str
    key_sha256: str
    requested: bool
    der: bytes
    revoked: datetime | None = None
    reason: str = ""

    @property
    def pem(self) -> bytes:
        """The certificate as PEM (RFC 7468)."""
        lines = textwrap.wrap(base64.b64encode(self.der).decode("ascii"), 64)
        text = "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))
        return text.encode("ascii")

    @property
    def due(self) -> datetime:
        """From when on it is to be renewed: a third of its life is left then."""
        return self.not_after - (self.not_after - self.not_before) / 3

    def state(self, now: datetime) -> State:
        """Tell how it stands with it."""
        if self.revoked is not None:
            return "revoked"
        if now >= self.not_after:
            return "expired"
        return "due" if now >= self.due else "valid"


@dataclass(frozen=True, slots=True)
class Record:
    """All that a ledger tells.

    Parameters
    ----------
    issued : tuple of Issued
        In the order in which they were.
    crl : int
        The number of the last revocation list; 0 where there was none.
    """

    issued: tuple[Issued, ...]
    crl: int

    @property
    def void(self) -> tuple[Issued, ...]:
        """Those that are revoked."""
        return tuple(one for one in self.issued if one.revoked is not None)

    def find(self, serial: int) -> Issued | None:
        """Find a certificate by its serial number."""
        return next((one for one in self.issued if one.serial == serial), None)

    def of(self, identity: str) -> tuple[Issued, ...]:
        """Give those that name somebody, in the order in which they were issued."""
        return tuple(one for one in self.issued if one.identity == identity)


class Ledger:
    """The file; who adds to it holds the folder's lock.

    Parameters
    ----------
    path : Path
        Where it is, or will be.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path

    def create(self) -> None:
        """Begin an empty one.

        Raises
        ------
        ProvisioningError
            The disk refuses, or there is one.
        """
        with refusals(self._path):
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def read(self) -> Record:
        """Read it; a last line without its end was never finished, and does not count.

        Raises
        ------
        ConfigError
            It is not there, or a line of it is damaged.
        """
        check_private(self._path)
        try:
            text = self._path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be read: {error.strerror or error}") from error
        issued: dict[int, Issued] = {}
        crl = 0
        for number, line in enumerate(text[: text.rfind(b"\n") + 1].splitlines(), 1):
            try:
                entry = json.loads(line)
                if "crl" in entry:
                    crl = int(entry["crl"])
                elif "revoked" in entry:
                    serial = int(entry["revoked"], 16)
                    at = _time(entry["at"])
                    issued[serial] = replace(issued[serial], revoked=at, reason=str(entry["reason"]))
                else:
                    one = _issued(entry)
                    issued[one.serial] = one
            except (ValueError, KeyError, TypeError, AttributeError):
                msg = f"{self._path}:{number}: is damaged: must be as it was written; take the file from a backup"
                raise ConfigError(msg) from None
        return Record(tuple(issued.values()), crl)

    def add_issued(self, one: Issued) -> None:
        """Record a certificate; it is on the disk when this returns."""
        self._add(
            {
                "serial": f"{one.serial:040x}",
                "identity": one.identity,
                "role": one.role,
                "not_before": one.not_before.isoformat(),
                "not_after": one.not_after.isoformat(),
                "sha256": one.sha256,
                "key_sha256": one.key_sha256,
                "requested": one.requested,
                "certificate": base64.b64encode(one.der).decode("ascii"),
            }
        )

    def add_revoked(self, serial: int, at: datetime, reason: str) -> None:
        """Record that a certificate is void."""
        self._add({"revoked": f"{serial:040x}", "at": at.isoformat(), "reason": reason})

    def add_crl(self, number: int, at: datetime) -> None:
        """Record that a number is given to a revocation list."""
        self._add({"crl": number, "at": at.isoformat()})

    def _add(self, entry: Mapping[str, Any]) -> None:
        """Append a line and wait for the disk; one that it takes only half of is taken back.

        Raises
        ------
        ProvisioningError
            The disk refuses; nothing is recorded.
        """
        line = json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n"
        with refusals(self._path):
            file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            try:
                end = _whole(file)
                try:
                    written = os.pwrite(file, line, end)
                    os.fsync(file)
                except OSError:
                    os.ftruncate(file, end)
                    raise
                if written != len(line):
                    os.ftruncate(file, end)
                    raise ProvisioningError(f"{self._path} cannot be written: the disk is full")
            finally:
                os.close(file)


def _whole(file: int) -> int:
    """Cut a file after its last whole line, and give its length."""
    size = os.fstat(file).st_size
    end = os.pread(file, size, 0).rfind(b"\n") + 1
    if end != size:
        os.ftruncate(file, end)
    return end


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError
    return at


def _issued(entry: Mapping[str, Any]) -> Issued:
    return Issued(
        serial=int(entry["serial"], 16),
        identity=str(entry["identity"]),
        role=str(entry["role"]),
        not_before=_time(entry["not_before"]),
        not_after=_time(entry["not_after"]),
        sha256=str(entry["sha256"]),
        key_sha256=str(entry["key_sha256"]),
        requested=bool(entry["requested"]),
        der=base64.b64decode(entry["certificate"], validate=True),
    )
