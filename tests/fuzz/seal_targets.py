"""What stands around a message: its seal, its signature."""

from __future__ import annotations

from collections.abc import Callable

from becomingone.errors import FrameError
from becomingone.wire import cbor, seal
from becomingone.wire.signature import Signer, Verifier

from .seeds import HEALTH, texts, vectors
from .targets import equal, outcome, target

KEY = bytes(range(32))
TOPIC = "becomingone/home/node/leg/phase/stride/x"
EPOCH = 7
SIGNER = Signer(KEY)
VERIFIER = Verifier(SIGNER.public_key)


def messages() -> list[bytes]:
    """Messages without and with a seal."""
    plain = vectors("frames", "node-commands")[:20]
    return [*plain, *(seal.seal(KEY, TOPIC, payload, EPOCH) for payload in plain[::4])]


def signed() -> list[bytes]:
    """Messages without and with a signature."""
    plain = vectors("syncs")
    return [*plain, *(SIGNER.sign(TOPIC, payload) for payload in plain)]


def objects() -> list[bytes]:
    """JSON without and with a seal."""
    plain = [*texts(HEALTH), b"{}", b'{"mac":"00"}']
    return [*plain, seal.seal_json(KEY, TOPIC, plain[0], EPOCH), seal.seal_json(KEY, TOPIC, b"{}", EPOCH)]


def sealed_and_opened(
    data: bytes, close: Callable[[bytes], bytes], check: Callable[[bytes], bytes], changed: Callable[[bytes], bytes]
) -> str:
    """What has no code of ours is refused; what gets one is opened as it is, and refused with any bit changed."""
    try:
        opened = check(data)
    except FrameError as error:
        refusal = error
    else:
        equal(opened, data)
        return
    closed = close(data)
    equal(check(closed), closed)
    equal(outcome(check, changed(closed)) in ("forged", "unsealed"), True)
    raise refusal


def one_bit_changed(data: bytes) -> bytes:
    """The data with one bit changed, which depends on the data."""
    at = sum(data) % (8 * len(data))
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@target("cbor", messages, open_sealed=lambda data: seal.open_sealed(KEY, TOPIC, data, EPOCH))
def seals(data: bytes) -> None:
    """The MAC of a map, which decoders then skip."""

    def close(payload: bytes) -> bytes:
        closed = seal.seal(KEY, TOPIC, payload, EPOCH)
        try:
            before = cbor.decode(payload)
        except FrameError:
            return closed
        if max(before, default=0) < seal.SEAL_KEY and len(before) < cbor.MAX_PAIRS:
            equal(
                repr(cbor.decode(closed)), repr({**before, seal.SEAL_KEY: closed[-seal.MAC_BYTES :]})
            )  # of NaN as well
        return closed

    sealed_and_opened(data, close, lambda payload: seal.open_sealed(KEY, TOPIC, payload, EPOCH), one_bit_changed)


@target("json", objects, open_json=lambda data: seal.open_json(KEY, TOPIC, data, EPOCH))
def json_seals(data: bytes) -> None:
    """The MAC of a JSON object."""
    sealed_and_opened(
        data,
        lambda payload: seal.seal_json(KEY, TOPIC, payload, EPOCH),
        lambda payload: seal.open_json(KEY, TOPIC, payload, EPOCH),
        one_bit_changed,
    )


@target("cbor", signed, 1, open=lambda data: VERIFIER.open(TOPIC, data))
def signatures(data: bytes) -> None:
    """The hub's signature under what goes to all."""
    sealed_and_opened(
        data,
        lambda payload: SIGNER.sign(TOPIC, payload),
        lambda payload: VERIFIER.open(TOPIC, payload),
        one_bit_changed,
    )


@target("cbor", messages, 1, claimed_boot=seal.claimed_boot)
def claimed_boots(data: bytes) -> None:
    """The boot id that a message begins with is the one that is decoded."""
    claimed = seal.claimed_boot(data)
    try:
        found = cbor.decode(data)
    except FrameError:
        return
    equal(claimed, found[1])
