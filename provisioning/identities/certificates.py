"""The certificates and the revocation list of a cell, as RFC 5280 wants them; nothing here is kept or read.

References
----------
.. [1] RFC 5280, "Internet X.509 Public Key Infrastructure Certificate and CRL Profile".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from becomingone.provisioning.identities.subject import Server, Subject

AUTHORITY: Final = "BecomingONE"
"""The common name of every cell's authority; its organisation is the cell."""

EARLY: Final = timedelta(days=1)
"""How long before now a certificate begins: a clock that takes local time for UTC is wrong by up to 14 hours."""

UNREADABLE: Final = (ValueError, TypeError, KeyError, UnsupportedAlgorithm, InternalError, x509.InvalidVersion)
"""What `cryptography` raises where it cannot read a certificate, a request or a list, its key, names or signature.

Version 38 lets a key error of its own out, and calls what OpenSSL says of some damage an internal error.
"""

REASONS: Final = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key-compromise": x509.ReasonFlags.key_compromise,
    "affiliation-changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation-of-operation": x509.ReasonFlags.cessation_of_operation,
    "privilege-withdrawn": x509.ReasonFlags.privilege_withdrawn,
}
"""Why a certificate is void (RFC 5280, 5.3.1), as people write it."""


@dataclass(frozen=True, slots=True)
class Void:
    """A certificate that is void.

    Parameters
    ----------
    serial : int
        Its serial number.
    at : datetime
        Since when, in UTC.
    reason : str
        A key of `REASONS`.
    """

    serial: int
    at: datetime
    reason: str


def authority_certificate(
    cell: str, key: ec.EllipticCurvePrivateKey, serial: int, since: datetime, until: datetime
) -> x509.Certificate:
    """Make an authority's own certificate; it signs members and no further authority (path length 0)."""
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, cell), x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY)]
    )
    return (
        _builder(name, name, key.public_key(), serial, since, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def member_certificate(
    subject: Subject,
    public_key: ec.EllipticCurvePublicKey,
    hosts: Sequence[str],
    serial: int,
    since: datetime,
    until: datetime,
    authority: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """Make the certificate of a member (to connect with) or of a server (to be connected to).

    Parameters
    ----------
    subject : Subject
        Whom it names; the role is the organisational unit.
    public_key : EllipticCurvePublicKey
        Whose holder it is for.
    hosts : sequence of str
        Names and addresses of a server, in their usual form; none for a member.
    serial : int
        Its serial number.
    since, until : datetime
        When it holds, in UTC.
    authority, key : x509.Certificate, EllipticCurvePrivateKey
        Who signs.
    """
    serves = isinstance(subject, Server)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, subject.role),
            x509.NameAttribute(NameOID.COMMON_NAME, hosts[0] if serves else subject.id),
        ]
    )
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(authority.subject, name, public_key, serial, since, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_signed_by(authority), critical=False)
    )
    if serves:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(_general, hosts)), critical=False)
    return builder.sign(key, hashes.SHA256())


def revocation_list(
    voids: Iterable[Void],
    number: int,
    now: datetime,
    until: datetime,
    authority: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
) -> x509.CertificateRevocationList:
    """Make the list of what is void.

    Parameters
    ----------
    voids : iterable of Void
        What is.
    number : int
        Greater than that of every list before (RFC 5280, 5.2.3).
    now, until : datetime
        From when to when it is to be believed, in UTC; a broker that has only an older one refuses everybody.
    authority, key : x509.Certificate, EllipticCurvePrivateKey
        Who signs.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now - EARLY)
        .next_update(until)
        .add_extension(_signed_by(authority), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for void in voids:
        entry = x509.RevokedCertificateBuilder().serial_number(void.serial).revocation_date(void.at)
        if void.reason != "unspecified":  # which is not to be written (RFC 5280, 5.3.1)
            entry = entry.add_extension(x509.CRLReason(REASONS[void.reason]), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA256())


def ends(certificate: x509.Certificate) -> datetime:
    """Tell until when a certificate holds, in UTC."""
    return _in_utc(certificate, "not_valid_after")


def begins(certificate: x509.Certificate) -> datetime:
    """Tell from when on a certificate holds, in UTC."""
    return _in_utc(certificate, "not_valid_before")


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Give the names and addresses of a server's certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names)


def _in_utc(certificate: x509.Certificate, field: str) -> datetime:
    """Read a time: cryptography 42 gives it with its zone, 38 without."""
    aware = getattr(certificate, f"{field}_utc", None)
    found = aware if aware is not None else getattr(certificate, field)
    assert isinstance(found, datetime)  # noqa: S101 - for the type checkers
    return found.replace(tzinfo=UTC)


def _builder(
    issuer: x509.Name,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    serial: int,
    since: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(since)
        .not_valid_after(until)
    )


def _signed_by(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
