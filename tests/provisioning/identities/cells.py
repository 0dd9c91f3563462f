"""Cells for tests: a clock that is set by hand, and what OpenSSL says about what was made."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


class Clock:
    """Tells what it was set to."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, days: float) -> None:
        self.now += timedelta(days=days)


def openssl(*words: str | Path, stdin: bytes = b"") -> str:
    """Run it; what it says, whether it likes it or not."""
    done = subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=False, timeout=30)
    return (done.stdout + done.stderr).decode()


def verified(secrets: Path, certificate: Path, purpose: str, at: datetime) -> str:
    """Have OpenSSL check a certificate against authority and revocation list as strictly as it can."""
    when = str(int(at.timestamp()))
    strict = ("-x509_strict", "-crl_check", "-purpose", purpose, "-attime", when)
    files = ("-CAfile", secrets / "ca.crt", "-CRLfile", secrets / "crl.pem", certificate)
    return openssl("verify", *strict, *files)


def request(common_name: str = "somebody else", key: object = None, *, curve: ec.EllipticCurve | None = None) -> bytes:
    """Make a certificate request, as PEM."""
    signer = key or ec.generate_private_key(curve or ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    return made.public_bytes(serialization.Encoding.PEM)


def content(folder: Path) -> dict[str, bytes]:
    """Give every file below a folder but the lock, which holds a process's number."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def open_to_others(folder: Path) -> list[str]:
    """Name what others may do anything with."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.stat().st_mode & 0o077)
