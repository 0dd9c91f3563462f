"""The hub's signature under what goes to all nodes: Ed25519 over topic and payload.

What many must be able to check, and only one may make, cannot be sealed with a shared key. The last 67 bytes of a
signed CBOR map are its entry 23, a byte string of 64 bytes: the signature of

    ``becomingone/1`` ‖ length of the topic (2 bytes, big endian) ‖ topic (UTF-8) ‖ payload without its last 64 bytes

It says nothing about when: the receiver lets the hub's boot id and sequence number only grow, see
`becomingone.wire.replay`.

References
----------
.. [1] RFC 8032, "Edwards-Curve Digital Signature Algorithm (EdDSA)", 5.1 (Ed25519).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from becomingone.errors import FrameError, MissingLibraryError
from becomingone.wire.cbor import MAX_PAYLOAD
from becomingone.wire.seal import PERSON, SEAL_KEY, with_entry

if TYPE_CHECKING:
    from types import ModuleType

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES: Final = 64

_ENTRY: Final = bytes((SEAL_KEY, 0x58, SIGNATURE_BYTES))  # key 23, byte string whose length takes a byte


class Signer:
    """Signs for one hub.

    Parameters
    ----------
    private_key : bytes
        Ed25519 seed, 32 random bytes.

    Raises
    ------
    MissingLibraryError
        The package ``cryptography`` is not installed.
    """

    def __init__(self, private_key: bytes) -> None:
        self._key: Ed25519PrivateKey = _ed25519().Ed25519PrivateKey.from_private_bytes(private_key)

    @property
    def public_key(self) -> bytes:
        """The 32 bytes with which nodes check the signatures."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - see `_ed25519`

        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, topic: str, payload: bytes) -> bytes:
        """Add the signature to a deterministic CBOR map without the key 23 or a greater one.

        Raises
        ------
        FrameError
            ``type``: it is no map of at most 254 entries.
        """
        covered = with_entry(payload) + _ENTRY
        return covered + self._key.sign(_covered(topic, covered))


class Verifier:
    """Checks what one hub has signed.

    Parameters
    ----------
    public_key : bytes
        See `Signer.public_key`.

    Raises
    ------
    MissingLibraryError
        The package ``cryptography`` is not installed.
    """

    def __init__(self, public_key: bytes) -> None:
        self._key: Ed25519PublicKey = _ed25519().Ed25519PublicKey.from_public_bytes(public_key)

    def open(self, topic: str, payload: bytes) -> bytes:
        """Check the signature of a CBOR map before anything else is read of it, and give the payload as it came.

        Raises
        ------
        FrameError
            ``oversize``, ``unsealed`` (there is no signature where it belongs) or ``forged`` (it is not the right one).
        """
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see `_ed25519`

        if len(payload) > MAX_PAYLOAD:
            raise FrameError("oversize", f"{len(payload)} bytes, at most {MAX_PAYLOAD} are taken")
        if payload[-SIGNATURE_BYTES - len(_ENTRY) : -SIGNATURE_BYTES] != _ENTRY:
            raise FrameError("unsealed", f"a signed map ends with key {SEAL_KEY} and {SIGNATURE_BYTES} bytes")
        try:
            self._key.verify(payload[-SIGNATURE_BYTES:], _covered(topic, payload[:-SIGNATURE_BYTES]))
        except InvalidSignature:
            raise FrameError("forged", "the signature is not the hub's under this topic and payload") from None
        return payload


def _covered(topic: str, payload: bytes) -> bytes:
    name = topic.encode()
    return PERSON + len(name).to_bytes(2, "big") + name + payload


def _ed25519() -> ModuleType:
    """Import late: a node that checks no signatures needs no ``cryptography``, which a small Pi has from apt only."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        msg = "signatures need the package cryptography: pip install cryptography, or apt install python3-cryptography"
        raise MissingLibraryError(msg) from error
    return ed25519
