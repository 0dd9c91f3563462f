"""Private keys of the cell's certificates: ECDSA on P-256, as PEM.

P-256 and not Ed25519, because Mosquitto and the TLS libraries of microcontrollers take it everywhere; a handshake costs
a Pi Zero a few milliseconds with it, and an RSA key of 3072 bits tens of them.

References
----------
.. [1] RFC 5480, "Elliptic Curve Cryptography Subject Public Key Information".
.. [2] RFC 5958, "Asymmetric Key Packages" (PKCS #8); RFC 8018 for its encryption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from becomingone.errors import ConfigError
from becomingone.provisioning.identities.secrets_folder import read_private

Passphrase = bytes | Callable[[], bytes] | None
"""A passphrase, or what asks for it when it is needed."""

LEAST_PASSPHRASE: Final = 12
"""Characters: the format's derivation is quick (PBKDF2 of 2,048 rounds), so the passphrase alone must be hard."""


def new_key() -> ec.EllipticCurvePrivateKey:
    """Draw a key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> str:
    """Write a key as PKCS #8, encrypted where there is a passphrase.

    Raises
    ------
    ConfigError
        The passphrase is shorter than `LEAST_PASSPHRASE`.
    """
    if passphrase is None:
        how: serialization.KeySerializationEncryption = serialization.NoEncryption()
    else:
        if len(passphrase) < LEAST_PASSPHRASE:
            raise ConfigError(f"the passphrase must have at least {LEAST_PASSPHRASE} characters")
        how = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how).decode("ascii")


def is_encrypted(pem: bytes) -> bool:
    """Tell whether a key needs a passphrase."""
    return b"ENCRYPTED" in pem


def read_key(path: Path, passphrase: Passphrase = None) -> ec.EllipticCurvePrivateKey:
    """Read a key that only its owner may read.

    Parameters
    ----------
    path : Path
        The file.
    passphrase : bytes, callable or None
        What it is encrypted with, or what gives it; used only where the key is.

    Raises
    ------
    ConfigError
        The file is not there, open to others or damaged, it holds another kind of key, or the passphrase is wrong.
    """
    pem = read_private(path)
    if not is_encrypted(pem):
        passphrase = None
    elif passphrase is None:
        raise ConfigError(f"{path} has a passphrase, and none was given: --passphrase-file FILE")
    word = passphrase() if callable(passphrase) else passphrase
    try:
        key = serialization.load_pem_private_key(pem, word)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if is_encrypted(pem) and b"-----END ENCRYPTED PRIVATE KEY-----" in pem:
            raise ConfigError(f"{path}: the passphrase is wrong, or the file is damaged") from None
        raise ConfigError(f"{path} holds no private key in PEM form: it is damaged or cut short") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError(f"{path} must hold a key on the curve P-256, and holds another kind")
    return key


def check_public(key: object) -> ec.EllipticCurvePublicKey:
    """Give a public key back when it is of the kind that is signed here.

    Raises
    ------
    ConfigError
        It is of another kind.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError("the key must be on the curve P-256: openssl ecparam -name prime256v1 -genkey")
    return key


def key_digest(key: ec.EllipticCurvePublicKey) -> str:
    """Name a public key: the SHA-256 of its SubjectPublicKeyInfo, 64 hexadecimal digits."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()
