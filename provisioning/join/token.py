"""The join token: what a person types, or a card holds, that lets one machine become one node once.

It is one text, ``<node>.<token>.<fingerprint>``: who the machine is to be, 160 random bits that prove it may, and the
fingerprint of the cell's authority, by which the machine knows the cell when it meets it for the first time (as
kubeadm's discovery token and its CA certificate hash do together). Token and fingerprint are written in base32
(RFC 4648, 6), in groups of four, because both may have to be typed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from becomingone.errors import ConfigError, TopicError
from becomingone.wire.topics import check_name

TOKEN_BYTES: Final = 20
"""160 bits: beyond guessing, and whole groups of base32."""

FINGERPRINT_BYTES: Final = 20
"""So much of the SHA-256 of the authority's certificate stands in a token: who forges it has 2¹⁶⁰ tries to make."""

_GROUP: Final = 4
_MISREAD: Final = str.maketrans("018", "OLB", "- \t")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")
_CODE_GROUPS: Final = 5
_CODE_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A token in its parts.

    Parameters
    ----------
    node : str
        The id that its holder may become.
    secret : bytes
        The proof, `TOKEN_BYTES`; never shown by ``repr``.
    fingerprint : bytes
        The first 20 bytes, or all 32, of the SHA-256 of the authority's certificate (DER).
    """

    node: str
    secret: bytes = field(repr=False)
    fingerprint: bytes

    @classmethod
    def make(cls, node: str, fingerprint: str, random_bytes: Callable[[int], bytes]) -> JoinToken:
        """Make a new one.

        Parameters
        ----------
        node : str
            The node's id.
        fingerprint : str
            The authority's, SHA-256, 64 hexadecimal digits.
        random_bytes : callable
            Such as `secrets.token_bytes`.

        Raises
        ------
        ConfigError
            `node` cannot be a node's id.
        """
        return cls(_node(node), random_bytes(TOKEN_BYTES), bytes.fromhex(fingerprint)[:FINGERPRINT_BYTES])

    @classmethod
    def read(cls, text: str, *, fingerprint: str = "") -> JoinToken:
        """Read one, as typed: capitals or not, with or without hyphens.

        Parameters
        ----------
        text : str
            ``<node>.<token>.<fingerprint>``, or ``<node>.<token>`` where the fingerprint is given by itself.
        fingerprint : str, optional
            In base32, or all of the SHA-256 as 64 hexadecimal digits.

        Raises
        ------
        ConfigError
            It is not one. The message does not show it.
        """
        parts = text.strip().split(".")
        if len(parts) == 2 and fingerprint:
            parts.append(fingerprint)
        if len(parts) != 3:
            msg = "the token must have three parts with full stops between them: NODE.TOKEN.FINGERPRINT"
            raise ConfigError(msg)
        node, secret, printed = parts
        read = cls(_node(node.strip()), _base32(secret, TOKEN_BYTES, "second part"), _fingerprint(printed))
        if fingerprint and not read.trusts(_fingerprint(fingerprint)):
            msg = "the token's fingerprint and the one given beside it are those of two authorities"
            raise ConfigError(msg)
        return read

    @property
    def text(self) -> str:
        """The token as one text."""
        return f"{self.node}.{grouped(self.secret)}.{grouped(self.fingerprint[:FINGERPRINT_BYTES])}"

    @property
    def digest(self) -> str:
        """What is stored of it; see `digest_of`."""
        return digest_of(self.secret)

    def trusts(self, fingerprint: bytes) -> bool:
        """Tell whether a SHA-256, or the beginning of one, is that of the authority that this token names."""
        length = min(len(self.fingerprint), len(fingerprint))
        return length >= FINGERPRINT_BYTES and hmac.compare_digest(self.fingerprint[:length], fingerprint[:length])


def digest_of(secret: bytes) -> str:
    """Hash a token's proof, for storing: SHA-256, hexadecimal. A slow hash has no use for 160 random bits."""
    return hashlib.sha256(b"becomingone/join\0" + secret).hexdigest()


def grouped(raw: bytes) -> str:
    """Write bytes in base32, in lower case and groups of four."""
    text = base64.b32encode(raw).decode("ascii").rstrip("=").lower()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def key_code(digest: str) -> str:
    """Give the digits by which two people compare a key: the node prints them, and who approves it sees the same.

    Parameters
    ----------
    digest : str
        See `becomingone.provisioning.identities.keys.key_digest`.

    Returns
    -------
    str
        25 digits in 5 groups, 83 bits: a second key with the same digits takes 2⁸³ tries.
    """
    number = int(digest, 16) % 10 ** (_CODE_GROUPS * _CODE_DIGITS)
    digits = f"{number:0{_CODE_GROUPS * _CODE_DIGITS}d}"
    return " ".join(digits[start : start + _CODE_DIGITS] for start in range(0, len(digits), _CODE_DIGITS))


def _node(text: str) -> str:
    try:
        name = check_name(text, "the token's first part, the node's id,")
    except TopicError as error:
        raise ConfigError(str(error)) from error
    if name == "hub":
        msg = "the hub cannot join by a token: its identity is made on the operator's machine"
        raise ConfigError(msg)
    return name


def _fingerprint(text: str) -> bytes:
    plain = text.strip().replace(":", "")
    return (
        bytes.fromhex(plain) if _HEX.fullmatch(plain) else _base32(text, FINGERPRINT_BYTES, "third part (fingerprint)")
    )


def _base32(text: str, length: int, part: str) -> bytes:
    plain = text.strip().upper().translate(_MISREAD)
    try:
        raw = base64.b32decode(plain)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != length:
        msg = f"the token's {part} must be {length * 8 // 5} of a-z and 2-7, in groups of four; {len(plain)} were given"
        raise ConfigError(msg)
    return raw
