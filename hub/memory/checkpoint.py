"""Checkpoints: entries in which a memory states where its chains begin and end, signed where the hub has an identity.

A checkpoint is a link of a chain itself, that of its own kind; so one of them vouches for all that went before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from becomingone.errors import FrameError
from becomingone.hub.memory.chain import HASH_BYTES, statement_hash
from becomingone.wire.cbor import encode
from becomingone.wire.signature import SIGNATURE_BYTES, Signer, Verifier

TOPIC: Final = "memory/checkpoint"
"""What stands for the topic under the signature; no topic of a cell has so few levels."""

_SIGNED_BY_US: Final = 1  # the form of what is signed: a CBOR map of 0: this number, 1: hash of the statement


@dataclass(slots=True)
class Chain:
    """Where a chain begins and ends.

    Parameters
    ----------
    first : int
        Number of the first record that is there; those before have been given up.
    anchor : bytes
        Hash of the record before.
    last : int
        Number of the last record, ``first - 1`` where there is none.
    head : bytes
        Its hash.
    size : int
        Bytes of all records, with a lump for what goes with each.
    """

    first: int
    anchor: bytes
    last: int
    head: bytes
    size: int


def text_of(body: Mapping[str, Any]) -> str:
    """Write JSON in the one form that is stored and hashed: keys sorted, no spaces, no NaN."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def statement(
    reason: str, chains: Mapping[str, Chain], *, memory: bytes, boot: int, marks: bytes, signer: Signer | None
) -> dict[str, Any]:
    """Put together what a checkpoint says, without its signature."""
    body: dict[str, Any] = {
        "reason": reason,
        "memory": memory.hex(),
        "boot": boot,
        "marks": marks.hex(),
        "chains": {
            kind: [chain.first, chain.last, chain.head.hex(), *([chain.anchor.hex()] if chain.first > 1 else [])]
            for kind, chain in chains.items()
        },
    }
    if signer is not None:
        body["key"] = signer.public_key.hex()
    return body


def signed(body: dict[str, Any], signer: Signer | None) -> dict[str, Any]:
    """Add the signature, where there is somebody to sign."""
    if signer is None:
        return body
    return {**body, "signature": signer.sign(TOPIC, _covered(body))[-SIGNATURE_BYTES:].hex()}


def _covered(body: Mapping[str, Any]) -> bytes:
    return encode({0: _SIGNED_BY_US, 1: statement_hash(text_of(body).encode())})


class Signatures:
    """Checks the checkpoints' signatures, one checkpoint after the other.

    Parameters
    ----------
    expected : bytes, optional
        The hub's public key. From the first checkpoint on that it has signed, all must be; earlier ones may have been
        signed by an earlier key, or, without an identity, by nobody.

    Attributes
    ----------
    right : int
        Signatures that are right.
    keys : list of str
        By which keys, hex, in the order in which they came.
    """

    def __init__(self, expected: bytes | None = None) -> None:
        self.right = 0
        self.keys: list[str] = []
        self._expected = expected
        self._own = False
        self._verifiers: dict[bytes, Verifier] = {}

    def fault(self, body: Mapping[str, Any]) -> str:
        """Say what is wrong with the next checkpoint's; empty where nothing is."""
        if "signature" not in body and "key" not in body:
            self._own, before = False, self._own
            return "a checkpoint without a signature, after some with one" if before or self.right else ""
        rest = dict(body)
        try:
            signature = bytes.fromhex(rest.pop("signature"))
            key = bytes.fromhex(rest["key"])
            verifier = self._verifiers.setdefault(key, Verifier(key))
            verifier.open(TOPIC, self._mark(_covered(rest)) + signature)
        except (FrameError, KeyError, TypeError, ValueError):
            return "a checkpoint whose signature is forged"
        self.right += 1
        if key.hex() not in self.keys:
            self.keys.append(key.hex())
        self._own, before = key == self._expected, self._own
        return f"a checkpoint signed by another, {key.hex()}" if before and not self._own else ""

    def missing(self) -> str:
        """Say, after the newest checkpoint, whether it should have been the hub's own, and is not."""
        return "" if self._expected is None or self._own else "the newest is not signed by this hub"

    @staticmethod
    def _mark(covered: bytes) -> bytes:
        """Give a map of two entries the head of three, and the beginning of the third, the signature."""
        return bytes((covered[0] + 1,)) + covered[1:] + bytes((23, 0x58, SIGNATURE_BYTES))


def claims(body: Mapping[str, Any]) -> dict[str, Chain]:
    """Read where the chains begin and end by a checkpoint.

    Raises
    ------
    ValueError
        It says nothing of the kind.
    """
    found: dict[str, Chain] = {}
    try:
        for kind, (first, last, head, *anchor) in body["chains"].items():
            before = bytes.fromhex(anchor[0]) if anchor else b""
            found[kind] = Chain(int(first), before, int(last), _hash(head), 0)
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"no checkpoint: {error!r}"
        raise ValueError(msg) from error
    return found


def _hash(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != HASH_BYTES:
        msg = f"a hash has {HASH_BYTES} bytes, not {len(found)}"
        raise ValueError(msg)
    return found


def total(chains: Iterable[Chain]) -> int:
    """Count the records of chains."""
    return sum(chain.last - chain.first + 1 for chain in chains)
