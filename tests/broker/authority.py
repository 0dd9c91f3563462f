"""A certificate authority for tests: whatever identity a test needs, good or bad, made on the spot."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs identities; `ca` is its own certificate."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name(name)
        self.ca = folder / "ca.crt"
        certificate = (
            self._builder(self._name, self._key, datetime.timedelta(0), 30 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, *names: str) -> Identity:
        """Make a broker's identity, for localhost and 127.0.0.1 unless other names are given."""
        return self._issue("broker", names or ("localhost", "127.0.0.1"), ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, common_name: str, *, since_days: float = 0.0, for_days: float = 7.0) -> Identity:
        """Make a client's identity; one that began 10 days ago and is valid for 1 has expired."""
        start = datetime.timedelta(days=-since_days)
        life = datetime.timedelta(days=for_days)
        return self._issue(common_name, (), ExtendedKeyUsageOID.CLIENT_AUTH, start=start, life=life)

    def _issue(
        self,
        common_name: str,
        names: tuple[str, ...],
        purpose: x509.ObjectIdentifier,
        *,
        start: datetime.timedelta = datetime.timedelta(0),
        life: datetime.timedelta = 7 * _DAY,
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(_common_name(common_name), key, start, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        file = quote(common_name, safe="")
        made = Identity(self._folder / f"{file}.crt", self._folder / f"{file}.key")
        certificate = builder.sign(self._key, hashes.SHA256())
        made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        made.key.touch(mode=0o600)
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return made

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime.timedelta, life: datetime.timedelta
    ) -> x509.CertificateBuilder:
        begin = datetime.datetime.now(datetime.UTC) + start - datetime.timedelta(minutes=5)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + life)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
