"""Decides who is let in: holds a token against the file, binds it to a key, has the authority sign.

In this order, each step on the disk before the next: the token is bound to the key, and serves no other from then on;
the authority records the certificate; the token is used. Whatever is killed in between, the same key may ask again
while the token is valid and gets one certificate, the recorded one where there is one already; another key never does.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from becomingone.broker.access import Identity
from becomingone.errors import BecomingOneError, ConfigError
from becomingone.provisioning.identities.authority import YEAR, Authority, requested
from becomingone.provisioning.identities.keys import key_digest
from becomingone.provisioning.identities.ledger import Issued
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.join.messages import Admission, Refused, Request, Waiting
from becomingone.provisioning.join.node_files import NodeFiles
from becomingone.provisioning.join.token import JoinToken, digest_of, key_code
from becomingone.provisioning.join.token_file import TokenFile, TokenRecord, Tokens

RETRY_S: Final = 10.0
"""Seconds after which a node whose key waits for an operator is to ask again."""

Outcome = Admission | Waiting | Refused

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a request.

    Parameters
    ----------
    outcome : Admission, Waiting or Refused
        What the node is told.
    reason : str
        What the operator is told, and the node is not.
    """

    outcome: Outcome
    reason: str


class Enrolment:
    """Lets nodes in; may be called from several threads and, on one folder, from several processes.

    Parameters
    ----------
    tokens : TokenFile
        Which tokens there are.
    authority : Authority
        Signs.
    node_files : callable
        Gives what a node is given besides its certificate; raises `ConfigError` where that is not there.
    audit : Path
        A file that gets one line of JSON for each certificate that is given out.
    now : callable
        Tells the time, in UTC.
    days : int, optional
        How long a certificate holds.
    """

    def __init__(
        self,
        tokens: TokenFile,
        authority: Authority,
        node_files: Callable[[str], NodeFiles],
        audit: Path,
        *,
        now: Callable[[], datetime],
        days: int = YEAR,
    ) -> None:
        self._tokens = tokens
        self._authority = authority
        self._node_files = node_files
        self._audit = audit
        self._now = now
        self._days = days

    def ask(self, request: Request, address: str) -> Attempt:
        """Decide about a request.

        Parameters
        ----------
        request : Request
            What a machine asks for.
        address : str
            From where, for the record.
        """
        digest = _digest(request)
        try:
            with self._tokens.locked() as tokens:
                return self._ask(tokens, request, digest, address)
        except (BecomingOneError, OSError) as error:
            # Nothing that the node could mend, and no business of whoever it is that asks.
            return Attempt(Refused(refused="unavailable"), str(error))

    def _ask(self, tokens: Tokens, request: Request, digest: str, address: str) -> Attempt:
        now = self._now()
        record = tokens.match(request.node, digest)
        if record is None:
            return Attempt(Refused(refused="unknown"), "no such token for that node")
        if record.state == "denied" or record.expired(now):
            return _closed(record)
        try:
            key = _requested(request)
        except ConfigError as error:
            return Attempt(Refused(refused="malformed"), str(error))
        if record.key is None:
            self._node_files(record.node)  # a node that could not be given its share is not to use its token up
            state = "waiting" if record.approve else "granted"
            record = record.model_copy(update={"state": state, "key": key, "address": address, "asked": now})
            tokens.put(record)
        if key != record.key:
            return Attempt(Refused(refused="used"), f"the token is bound to the key {key_code(record.key or '0')}")
        if record.state == "waiting":
            return Attempt(Waiting(retry_s=RETRY_S), f"key {key_code(key)} waits for becomingone provision approve")
        return self._admit(tokens, record, key, request, address)

    def _admit(self, tokens: Tokens, record: TokenRecord, key: str, request: Request, address: str) -> Attempt:
        share = self._node_files(record.node)
        found = self._issued(record, key)
        if found is not None and found.revoked is not None:
            return Attempt(Refused(refused="denied"), "its certificate is revoked")
        again = found is not None
        if found is None:
            self._authority.sign_request(request.csr.encode("ascii"), Identity("node", record.node), days=self._days)
            found = self._issued(record, key)
        if found is None:
            return Attempt(Refused(refused="unavailable"), "the certificate is not in the authority's record")
        if record.state != "used":
            Members(self._authority).remove_old(Identity("node", record.node))  # or Ansible would bring it back
            self._write_audit(record, found, address)
            tokens.put(record.model_copy(update={"state": "used"}))
        admission = Admission(
            certificate=found.pem.decode("ascii"),
            authority=self._authority.certificate_pem.decode("ascii"),
            node_key=SecretStr(share.node_key.hex()),
            hub_public_key=share.hub_public_key.hex(),
            config=share.config,
        )
        what = "given again" if again else "issued"
        return Attempt(admission, f"certificate {found.serial:x} {what} for the key {key_code(key)}")

    def _issued(self, record: TokenRecord, key: str) -> Issued | None:
        """Find the certificate of a key; a key is made for one token, so there is one at most."""
        own = [one for one in self._authority.issued() if one.identity == record.node and one.key_sha256 == key]
        return own[-1] if own else None

    def _write_audit(self, record: TokenRecord, issued: Issued, address: str) -> None:
        """Add the line of a certificate; after a crash in just this place there may be two of one serial."""
        line = {
            "at": self._now().astimezone(UTC).isoformat(timespec="seconds"),
            "node": record.node,
            "serial": f"{issued.serial:040x}",
            "key": key_code(issued.key_sha256),
            "address": address,
            "approved": record.approve,
            "token_made": record.made.isoformat(timespec="seconds"),
        }
        descriptor = os.open(self._audit, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, json.dumps(line).encode("ascii") + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _closed(record: TokenRecord) -> Attempt:
    if record.state == "denied":
        return Attempt(Refused(refused="denied"), "an operator has denied it")
    return Attempt(Refused(refused="expired"), f"the token expired at {record.expires:%Y-%m-%d %H:%M} UTC")


def _digest(request: Request) -> str:
    """Hash what came as a token; what cannot be one has a digest all the same, and takes as long to refuse."""
    text = request.token.get_secret_value()
    try:
        return JoinToken.read(f"{request.node}.{text}", fingerprint="0" * 64).digest
    except ConfigError:
        return digest_of(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())


def _requested(request: Request) -> str:
    """Check a certificate request and give the digest of its key.

    Raises
    ------
    ConfigError
        It is damaged, is not signed with its key, or names another than the token does.
    """
    try:
        raw = request.csr.encode("ascii")
    except UnicodeEncodeError:
        raise ConfigError("the certificate request is damaged: must be PKCS #10 in PEM form") from None
    asked = requested(raw)
    if asked.names != (request.node,):
        msg = f"the certificate request names another than {request.node}, whose token it is"
        raise ConfigError(msg)
    return key_digest(asked.key)
