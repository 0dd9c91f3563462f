"""A machine becomes a node: makes a key, finds the server, asks until it is let in or refused, installs, forgets."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.authority import Now
from becomingone.provisioning.identities.certificates import UNREADABLE
from becomingone.provisioning.identities.keys import key_digest
from becomingone.provisioning.join.client import Endpoint, EnrolmentClient, UnreachableError
from becomingone.provisioning.join.machine import Machine, public_key_der
from becomingone.provisioning.join.messages import Admission, Refusal, Refused, Waiting
from becomingone.provisioning.join.tls import not_yet
from becomingone.provisioning.join.token import JoinToken, key_code

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0

_AGAIN: Final = "; trying again"

_REFUSALS: Final[dict[Refusal, str]] = {
    "unknown": "the server knows no such token for {node}: it is mistyped, another was made for {node} since, "
    "or it expired more than a week ago: becomingone provision token {node} makes a new one",
    "expired": "the token for {node} has expired: becomingone provision token {node} makes a new one",
    "used": "the token for {node} was used already, with another key: if not by this machine before its card was "
    "written anew, somebody else has it: becomingone provision revoke {node}, then becomingone provision token {node}",
    "denied": "an operator has denied the token for {node}, or has revoked what it was used for",
    "malformed": "the server takes this request for none of its protocol: is its version another one?",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a join goes on.

    Parameters
    ----------
    sleep : callable
        Waits for so many seconds.
    monotonic : callable
        Seconds on a clock that only moves forwards.
    longest_s : float
        Seconds after which it gives up, to be begun again.
    random : callable
        Gives a number in [0, 1), for pauses that thirty machines do not all make alike.
    """

    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    longest_s: float
    random: Callable[[], float] = random.random


class Join:
    """One machine's way into a cell.

    Parameters
    ----------
    machine : Machine
        Where its files are.
    token : JoinToken
        What it has.
    find : callable
        Gives where the server may be, best first; asked anew at each attempt. Raises `UnreachableError` where there
        is none in sight.
    now : callable
        Tells the time by this machine's clock, in UTC.
    patience : Patience
        For how long.
    tell : callable
        Is given each line that is worth telling, and each of them once while it stays true.
    check : callable, optional
        Refuses a configuration that this machine could not use, by `ConfigError`; nothing has been written then.
    """

    def __init__(
        self,
        machine: Machine,
        token: JoinToken,
        find: Callable[[], Sequence[Endpoint]],
        *,
        now: Now,
        patience: Patience,
        tell: Callable[[str], None],
        check: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._machine = machine
        self._token = token
        self._find = find
        self._now = now
        self._patience = patience
        self._tell = tell
        self._check = check
        self._told = ""
        self._authority: x509.Certificate | None = None

    def run(self) -> x509.Certificate:
        """Join; gives the node's certificate when its files are on the disk.

        Raises
        ------
        ProvisioningError
            It was refused, or has waited for as long as it may. The key is kept: beginning again goes on from here.
        """
        key = self._machine.pending_key(self._token)
        csr = _request(self._token.node, key)
        self._say(f"the key of this machine: {key_code(key_digest(key.public_key()))}")
        end = self._patience.monotonic() + self._patience.longest_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                answer, client, wanted_s = self._ask(csr)
            except UnreachableError as error:
                answer, client, wanted_s = None, None, 0.0
                self._say(f"{error}{_AGAIN}")
            if isinstance(answer, Admission) and client is not None:
                return self._install(answer, client.authority, key)
            if isinstance(answer, Refused) and answer.refused not in ("busy", "unavailable"):
                raise ProvisioningError(_REFUSALS[answer.refused].format(node=self._token.node))
            if isinstance(answer, Waiting):
                self._say(f"waiting for an operator: becomingone provision approve {self._token.node}")
            elif answer is not None:
                self._say(f"the server has no answer yet{_AGAIN}")
            pause = max(wanted_s, pause_s * (0.5 + 0.5 * self._patience.random()))
            if self._patience.monotonic() + pause > end:
                last = self._told.removesuffix(_AGAIN)
                msg = f"not joined within {self._patience.longest_s:g} s: {last}; done again, it goes on from here"
                raise ProvisioningError(msg)
            self._patience.sleep(pause)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _ask(self, csr: bytes) -> tuple[Admission | Waiting | Refused, EnrolmentClient, float]:
        failed: ProvisioningError | None = None
        for endpoint in self._find():
            client = EnrolmentClient(endpoint, self._token, now=self._now, authority=self._authority)
            try:
                answer, retry_s = client.ask(csr)
            except ProvisioningError as error:
                # Another address of the same server, or the true one beside somebody who only says that he is.
                if failed is None or isinstance(failed, UnreachableError):
                    failed = error
                continue
            self._authority = client.authority
            return answer, client, max(retry_s, answer.retry_s if isinstance(answer, Waiting) else 0.0)
        raise failed or UnreachableError("no enrolment server is in sight")

    def _install(
        self, admission: Admission, authority: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> x509.Certificate:
        certificate = _checked(admission, authority, self._token.node, key)
        self._check(admission.config)
        self._machine.install(
            self._token,
            config=admission.config,
            certificate=admission.certificate,
            authority=authority.public_bytes(serialization.Encoding.PEM).decode("ascii"),
            node_key=admission.node_key.get_secret_value(),
            key=key,
        )
        if behind := not_yet(certificate, self._now()):
            self._say(behind)
        return certificate

    def _say(self, line: str) -> None:
        if line != self._told:
            self._told = line
            self._tell(line)


def joined(machine: Machine) -> str | None:
    """Tell as which node a machine has joined; None where it has not, or not to the end.

    Raises
    ------
    ProvisioningError
        Its files cannot be read.
    """
    try:
        certificate = x509.load_pem_x509_certificate(machine.certificate.read_bytes())
        public = certificate.public_key()
        names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        key = serialization.load_pem_private_key(machine.key.read_bytes(), None)
        there = machine.config.exists() and machine.node_key.exists() and machine.authority.exists()
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"{error.filename} cannot be read: {error.strerror or error}"
        raise ProvisioningError(msg) from error
    except UNREADABLE:
        return None
    if not there or not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    same = isinstance(public, ec.EllipticCurvePublicKey) and public_key_der(public) == public_key_der(key)
    return names[0] if same and names else None


def _request(node: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def _checked(
    admission: Admission, authority: x509.Certificate, node: str, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Take the certificate for this node's where it is one."""
    try:
        certificate = x509.load_pem_x509_certificate(admission.certificate.encode("ascii"))
        public, signer = certificate.public_key(), authority.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(signer, ec.EllipticCurvePublicKey):
            raise ConfigError("is of another kind")
        names = [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        signer.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    except (*UNREADABLE, InvalidSignature) as error:
        raise ProvisioningError("the server gave a certificate that its own authority has not signed") from error
    if names != [node] or public_key_der(public) != public_key_der(key):
        raise ProvisioningError(f"the server gave a certificate that is not {node}'s, or not this machine's")
    return certificate
