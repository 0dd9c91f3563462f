"""What signs for a cell: the authority's certificate, its key while it is needed, and a clock that can be believed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from becomingone.errors import ConfigError
from becomingone.provisioning.identities.certificates import UNREADABLE, begins, ends
from becomingone.provisioning.identities.keys import Passphrase, check_public, key_digest, read_key
from becomingone.provisioning.identities.secrets_folder import SecretsFolder

Now = Callable[[], datetime]

_EARLIEST: Final = datetime(2025, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_LONGEST_REQUEST: Final = 16_384


def utc_now() -> datetime:
    """Tell the time, in UTC."""
    return datetime.now(UTC)


def believable(now: datetime) -> datetime:
    """Give a time in UTC and whole seconds.

    Raises
    ------
    ConfigError
        It is before 2025 or after 2199: the clock was never set.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    if not _EARLIEST <= now < _LATEST:
        raise ConfigError(f"the clock says {now:%Y-%m-%d %H:%M} UTC, which cannot be: set it (timedatectl)")
    return now


class Signing:
    """An authority's means to sign.

    Its key is read when something is signed and not before, so that what is issued can be looked at without it.

    Parameters
    ----------
    folder : SecretsFolder
        Where the key is kept, as ``ca.key``.
    certificate : x509.Certificate
        The authority's own.
    passphrase : bytes, callable or None
        What the key is encrypted with; a callable is asked once, when the key is needed.
    now : callable
        Tells the time, in UTC.
    key : EllipticCurvePrivateKey or None
        The key, where it is at hand.
    """

    def __init__(
        self,
        folder: SecretsFolder,
        certificate: x509.Certificate,
        *,
        passphrase: Passphrase,
        now: Now,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> None:
        self.folder = folder
        self.certificate = certificate
        self._passphrase = passphrase
        self._now = now
        self._key = key

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Give the key.

        Raises
        ------
        ConfigError
            The passphrase is wrong or missing, or the file is damaged, open to others, or another authority's.
        """
        if self._key is None:
            path = self.folder.path / "ca.key"
            key = read_key(path, self._passphrase)
            if key_digest(key.public_key()) != key_digest(check_public(self.certificate.public_key())):
                raise ConfigError(f"{path} is not the key of {path.with_name('ca.crt')}")
            self._key = key
        return self._key

    def time(self) -> datetime:
        """Tell the time, in UTC and whole seconds.

        Raises
        ------
        ConfigError
            The clock was never set.
        """
        return believable(self._now())

    def time_to_sign(self) -> datetime:
        """Tell the time at which something is signed.

        Raises
        ------
        ConfigError
            The authority has not begun by then, or has ended.
        """
        now = self.time()
        if now < begins(self.certificate):
            raise ConfigError(f"the clock says {now:%Y-%m-%d %H:%M} UTC, and the authority is younger: set the clock")
        if now >= ends(self.certificate):
            raise ConfigError(
                f"the authority ended on {ends(self.certificate):%Y-%m-%d}: nothing that it signs is taken any more; "
                "make a new cell folder, with new certificates for everybody"
            )
        return now


class Requested(NamedTuple):
    """What a certificate request asks for.

    Parameters
    ----------
    key : EllipticCurvePublicKey
        The key; whoever asked has proved to have its private half.
    names : tuple of str or bytes
        The common names that it gives itself.
    """

    key: ec.EllipticCurvePublicKey
    names: tuple[str | bytes, ...]


def requested(csr_pem: bytes) -> Requested:
    """Read a certificate request that proves to have its private key (PKCS #10, RFC 2986).

    Raises
    ------
    ConfigError
        The request is damaged, longer than 16 KiB, signed with another key, or its key is not on P-256.
    """
    if len(csr_pem) > _LONGEST_REQUEST:
        raise ConfigError(f"the certificate request must be at most {_LONGEST_REQUEST} bytes long")
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key, proved = request.public_key(), request.is_signature_valid
        names = tuple(name.value for name in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    except UNREADABLE:
        raise ConfigError("the certificate request is damaged: must be PKCS #10 in PEM form") from None
    if not proved:
        raise ConfigError("the certificate request is not signed with the key that it holds")
    return Requested(check_public(key), names)


def ca_certificate(path: Path) -> x509.Certificate:
    """Read an authority's certificate.

    Raises
    ------
    ConfigError
        It is not there, or damaged.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no authority yet: becomingone provision ca makes one") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except UNREADABLE:
        raise ConfigError(f"{path} holds no certificate in PEM form: it is damaged or cut short") from None
