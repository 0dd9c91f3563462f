"""TLS between a node that knows nothing but a fingerprint and the enrolment server of its cell.

The node's clock is not asked whether a certificate has begun: a Raspberry Pi has no clock that runs on without power,
and starts in the year of its image or in 1970. What it trusts is the authority, by its fingerprint, which has no time
in it. A certificate that has *ended* by the node's clock is refused all the same: a clock that is behind never says
so wrongly, and clocks that are ahead are rare and can be set.
"""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.authority import Now
from becomingone.provisioning.identities.certificates import UNREADABLE, begins, ends, hosts_of
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.identities.subject import Server
from becomingone.provisioning.join.messages import SERVER_NAME
from becomingone.provisioning.join.token import JoinToken

_NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""``X509_V_FLAG_NO_CHECK_TIME`` of OpenSSL (X509_VERIFY_PARAM_set_flags(3)), which the ssl module has no name for."""

_SERVER: Final = Server("join")


class ServerIdentity:
    """The enrolment server's own key and certificate: made when there is none, renewed in time.

    Parameters
    ----------
    members : Members
        Where it is kept, and who makes it.
    now : callable
        Tells the time, in UTC.
    """

    def __init__(self, members: Members, now: Now) -> None:
        self._members = members
        self._now = now
        self._due: datetime | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Give the server's TLS, of a certificate that holds.

        Raises
        ------
        ConfigError, ProvisioningError
            It can be neither read nor made.
        """
        if self._context is None or self._due is None or self._now() >= self._due:
            self._renew()
            self._context = _server_context(self._members.folder(_SERVER))
        return self._context

    def _renew(self) -> None:
        members, now = self._members, self._now()
        found = members.current(_SERVER)
        if found is None or found.state(now) in ("revoked", "expired") or not members.has(found, _SERVER):
            members.make(_SERVER, hosts=[SERVER_NAME])
        elif found.state(now) == "due" or SERVER_NAME not in hosts_of(x509.load_der_x509_certificate(found.der)):
            members.renew(_SERVER, hosts=[SERVER_NAME])
        made = members.current(_SERVER)
        self._due = made.due if made is not None else None


def _server_context(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    except (OSError, ssl.SSLError) as error:
        msg = f"{folder} has no usable tls.crt and tls.key: becomingone provision revoke join, and start again"
        raise ConfigError(msg) from error
    return context


def unverified_context() -> ssl.SSLContext:
    """Make the TLS in which the authority's certificate, and nothing else, is asked for: it trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def trusted_context(authority: x509.Certificate) -> ssl.SSLContext:
    """Make the TLS in which a token may be sent: to a server that this authority has signed, whatever the time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificate, purpose and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= _NO_CHECK_TIME
    context.load_verify_locations(cadata=authority.public_bytes(Encoding.DER))
    return context


def authority_of(pem: bytes, token: JoinToken, where: str) -> x509.Certificate:
    """Take a certificate for the cell's authority where it has the fingerprint that the token names.

    Raises
    ------
    ProvisioningError
        It has another.
    """
    try:
        authority = x509.load_pem_x509_certificate(pem)
    except UNREADABLE:
        msg = f"{where} is no enrolment server: it gives no certificate in PEM form"
        raise ProvisioningError(msg) from None
    if not token.trusts(authority.fingerprint(hashes.SHA256())):
        msg = (
            f"{where} has another fingerprint than the token: this is not your cell, or somebody is in between, "
            "or the token's third part is mistyped; nothing was sent"
        )
        raise ProvisioningError(msg)
    return authority


def check_ends(der: bytes, now: datetime, where: str) -> None:
    """Refuse a server's certificate that has ended.

    Raises
    ------
    ProvisioningError
        It has, by the clock of this machine.
    """
    end = ends(x509.load_der_x509_certificate(der))
    if now >= end:
        msg = (
            f"the certificate of {where} ended on {end:%Y-%m-%d}, if the clock of this machine, "
            f"{now:%Y-%m-%d %H:%M} UTC, is right; else set it (timedatectl); nothing was sent"
        )
        raise ProvisioningError(msg)


def not_yet(certificate: x509.Certificate, now: datetime) -> str:
    """Tell what a clock that is behind means for a certificate; empty where it is not."""
    begin = begins(certificate)
    if now >= begin:
        return ""
    return (
        f"the clock of this machine says {now:%Y-%m-%d %H:%M} UTC and its certificate begins on {begin:%Y-%m-%d}: "
        "it connects once the clock is set, which chrony or timesyncd does by the network"
    )
