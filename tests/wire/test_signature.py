"""The hub's signature: everybody may check it, nobody else can make it."""

from __future__ import annotations

import sys

import cbor2
import pytest

from becomingone.errors import FrameError, MissingLibraryError
from becomingone.wire.cbor import MAX_PAYLOAD
from becomingone.wire.signature import Signer, Verifier

from .golden import item, refusal

pytest.importorskip("cryptography", reason="pip install cryptography")

SEED = bytes(range(32))
TOPIC = "becomingone/home/sync/stride"
PLAIN = item({1: 3, 2: 120, 3: 0.5})
SIGNER = Signer(SEED)
VERIFIER = Verifier(SIGNER.public_key)
SIGNED = SIGNER.sign(TOPIC, PLAIN)


def test_a_signed_map_is_the_map_with_its_signature_as_the_last_entry() -> None:
    assert SIGNED[-67:-64] == b"\x17\x58\x40"
    assert len(SIGNED) == len(PLAIN) + 67
    content = cbor2.loads(SIGNED)
    assert content.pop(23) == SIGNED[-64:]
    assert content == cbor2.loads(PLAIN)
    assert item({**content, 23: SIGNED[-64:]}) == SIGNED
    assert VERIFIER.open(TOPIC, SIGNED) == SIGNED


def test_the_signature_is_ed25519_of_what_is_documented() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - not ours

    covered = b"becomingone/1" + len(TOPIC).to_bytes(2, "big") + TOPIC.encode() + SIGNED[:-64]
    assert Ed25519PrivateKey.from_private_bytes(SEED).sign(covered) == SIGNED[-64:]


def test_the_public_key_is_the_one_that_rfc_8032_gives() -> None:
    """RFC 8032, 7.1, test 1."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert Signer(seed).public_key.hex() == public


def test_any_bit_that_is_changed_is_seen() -> None:
    for place in range(len(SIGNED)):
        changed = bytearray(SIGNED)
        changed[place] ^= 1 << place % 8
        where = place - len(SIGNED)
        assert refusal(VERIFIER.open, TOPIC, bytes(changed)) == ("unsealed" if -67 <= where < -64 else "forged")


def test_another_topic_or_another_hub_is_refused() -> None:
    assert refusal(VERIFIER.open, TOPIC + "s", SIGNED) == "forged"
    other = Signer(SEED[::-1])
    assert refusal(VERIFIER.open, TOPIC, other.sign(TOPIC, PLAIN)) == "forged"
    assert refusal(Verifier(other.public_key).open, TOPIC, SIGNED) == "forged"


@pytest.mark.parametrize("payload", [b"", PLAIN, SIGNED[:-1], SIGNED + b"\0", SIGNED[:-67], PLAIN + bytes(67)])
def test_what_is_not_signed_says_so(payload: bytes) -> None:
    assert refusal(VERIFIER.open, TOPIC, payload) == "unsealed"


def test_a_huge_message_is_refused_before_it_is_checked() -> None:
    assert refusal(VERIFIER.open, TOPIC, bytes(MAX_PAYLOAD) + SIGNED) == "oversize"


def test_only_a_map_is_signed() -> None:
    with pytest.raises(FrameError, match="map"):
        SIGNER.sign(TOPIC, b"[]")


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    for make in (Signer, Verifier):
        with pytest.raises(MissingLibraryError, match="apt install python3-cryptography"):
            make(SEED)
