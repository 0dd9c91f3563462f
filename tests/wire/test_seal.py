"""The MAC of a message: what it covers, where it stands, and that nothing else opens."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.wire.cbor import MAX_PAYLOAD
from becomingone.wire.command import decode_command, encode_command
from becomingone.wire.frame import decode_frame, encode_frame
from becomingone.wire.seal import (
    claimed_boot,
    node_key,
    open_json,
    open_sealed,
    seal,
    seal_json,
    with_entry,
)

from .golden import COMMANDS, FRAMES, NODE_COMMANDS, fields_of, frame_of, head, item, refusal

KEY = bytes(range(32))
TOPIC = "becomingone/home/node/kitchen/phase/stride/leg_x"
EPOCH = 7
PLAIN = item({1: EPOCH, 2: 9, 3: 1.5, 5: b"abc"})
SEALED = seal(KEY, TOPIC, PLAIN, EPOCH)
OBJECT = b'{"node":"kitchen","boot":7}'
SEALED_OBJECT = seal_json(KEY, TOPIC, OBJECT, EPOCH)

PAYLOADS = [bytes.fromhex(vector["hex"]) for vector in FRAMES + COMMANDS + NODE_COMMANDS]


def mac(key: bytes, topic: str, epoch: int, covered: bytes) -> bytes:
    """The definition, written out once more."""
    state = hashlib.blake2b(digest_size=16, key=key, person=b"becomingone/1")
    state.update(len(topic.encode()).to_bytes(2, "big") + topic.encode() + epoch.to_bytes(4, "big"))
    state.update(covered)
    return state.digest()


# -- CBOR --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_a_sealed_map_is_the_map_with_its_mac_as_the_last_entry(payload: bytes) -> None:
    sealed = seal(KEY, TOPIC, payload, EPOCH)
    assert sealed[-16:] == mac(KEY, TOPIC, EPOCH, sealed[:-16])
    assert sealed[-18:-16] == b"\x17\x50"
    assert len(sealed) == len(payload) + 18
    content = cbor2.loads(sealed)
    assert content.pop(23) == sealed[-16:]
    assert content == cbor2.loads(payload)
    assert open_sealed(KEY, TOPIC, sealed, EPOCH) == sealed


@pytest.mark.parametrize("vector", FRAMES, ids=lambda vector: vector["description"])
def test_a_sealed_frame_is_read_as_the_frame(vector: dict[str, Any]) -> None:
    sealed = seal(KEY, TOPIC, encode_frame(frame_of(vector["fields"])), vector["fields"]["boot"])
    assert fields_of(decode_frame(sealed)) == vector["fields"]
    assert claimed_boot(sealed) == vector["fields"]["boot"]
    if len(vector["fields"]["phasors"]) == 1:
        assert len(sealed) <= 114


@pytest.mark.parametrize("vector", COMMANDS, ids=lambda vector: vector["description"])
def test_a_sealed_command_is_read_as_the_command(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["hex"])
    command = decode_command(payload, vector["role"])
    assert encode_command(command) == payload
    assert decode_command(seal(KEY, TOPIC, payload, EPOCH), vector["role"]) == command


@pytest.mark.parametrize("entries", [*range(30), 253, 254])
def test_the_head_of_a_map_counts_one_more(entries: int) -> None:
    assert with_entry(head(5, entries) + b"rest") == head(5, entries + 1) + b"rest"


def test_a_sealed_map_is_what_another_encoder_makes_of_it() -> None:
    for entries in range(24):
        content: dict[int, Any] = dict.fromkeys(range(entries - (entries == 23)), 0) | (
            {22: 1} if entries == 23 else {}
        )
        sealed = seal(KEY, TOPIC, item(content), EPOCH)
        assert sealed == item({**content, 23: sealed[-16:]}) == cbor2.dumps(cbor2.loads(sealed), canonical=True)


@pytest.mark.parametrize(
    "payload", [b"", b"\x80", b"{}", b"\xb8", b"\xb8\x17" + bytes(46), head(5, 255), head(5, 256), b"\xbf\xff", b"\xf6"]
)
def test_only_a_deterministic_map_of_not_too_many_entries_is_sealed(payload: bytes) -> None:
    assert refusal(seal, KEY, TOPIC, payload, EPOCH) == "type"


@pytest.mark.parametrize("epoch", [0, 1, (1 << 32) - 1])
def test_every_epoch_of_32_bits(epoch: int) -> None:
    assert refusal(open_sealed, KEY, TOPIC, seal(KEY, TOPIC, PLAIN, epoch), epoch) is None


@pytest.mark.parametrize("epoch", [-1, 1 << 32])
def test_no_other_epoch(epoch: int) -> None:
    with pytest.raises(ValueError, match=r"an epoch is 0\.\.4294967295"):
        seal(KEY, TOPIC, PLAIN, epoch)


def test_another_key_topic_or_epoch_does_not_open_it() -> None:
    assert refusal(open_sealed, KEY, TOPIC, SEALED, EPOCH) is None
    assert refusal(open_sealed, bytes(32), TOPIC, SEALED, EPOCH) == "forged"
    for topic in (TOPIC + "x", TOPIC[:-1], TOPIC.replace("kitchen", "kitchem"), ""):
        assert refusal(open_sealed, KEY, topic, SEALED, EPOCH) == "forged"
    for epoch in (0, EPOCH - 1, EPOCH + 1, EPOCH << 8, EPOCH << 24):
        assert refusal(open_sealed, KEY, TOPIC, SEALED, epoch) == "forged"


def test_what_is_covered_cannot_be_cut_elsewhere() -> None:
    """A topic that ends with what another's epoch begins with: the length that stands first keeps them apart."""
    assert mac(KEY, "t", 0x61626364, b"\xa0") != mac(KEY, "tabcd", 0, b"\xa0")
    sealed = seal(KEY, "t", b"\xa0", 0x61626364)
    assert refusal(open_sealed, KEY, "tabcd", sealed, 0) == "forged"


def test_any_bit_that_is_changed_is_seen() -> None:
    for place in range(len(SEALED)):
        for bit in range(8):
            changed = bytearray(SEALED)
            changed[place] ^= 1 << bit
            expected = "unsealed" if place in (len(SEALED) - 18, len(SEALED) - 17) else "forged"
            assert refusal(open_sealed, KEY, TOPIC, bytes(changed), EPOCH) == expected


def test_a_message_that_is_cut_or_lengthened_anywhere_is_refused() -> None:
    for cut in range(len(SEALED)):
        assert refusal(open_sealed, KEY, TOPIC, SEALED[:cut], EPOCH) in ("unsealed", "forged")
        assert refusal(open_sealed, KEY, TOPIC, SEALED[cut + 1 :], EPOCH) in ("unsealed", "forged")
    assert refusal(open_sealed, KEY, TOPIC, SEALED + b"\0", EPOCH) == "unsealed"
    assert refusal(open_sealed, KEY, TOPIC, SEALED + SEALED[-18:], EPOCH) == "forged"


def test_what_is_not_sealed_says_so() -> None:
    for payload in (b"", b"\x17\x50", PLAIN, SEALED[:-18], SEALED_OBJECT, PLAIN + bytes(18)):
        assert refusal(open_sealed, KEY, TOPIC, payload, EPOCH) == "unsealed"


def test_a_huge_message_is_refused_before_it_is_hashed() -> None:
    huge = bytes(MAX_PAYLOAD - 17) + SEALED[-18:]
    assert refusal(open_sealed, KEY, TOPIC, huge, EPOCH) == "oversize"
    assert refusal(open_json, KEY, TOPIC, huge, EPOCH) == "oversize"
    assert refusal(open_sealed, KEY, TOPIC, huge[1:], EPOCH) == "forged"


@given(payload=st.binary(max_size=80) | st.binary(max_size=40).map(lambda data: data + SEALED[-18:]))
def test_whatever_comes_is_refused_with_a_reason(payload: bytes) -> None:
    assert refusal(open_sealed, KEY, TOPIC, payload, EPOCH) in ("unsealed", "forged")
    assert refusal(open_json, KEY, TOPIC, payload, EPOCH) == "unsealed"


# -- the boot id that is claimed ---------------------------------------------------------------------------------------


@given(boot=st.integers(0, (1 << 32) - 1), entries=st.integers(1, 30))
def test_the_claimed_boot_is_the_one_that_is_read_later(boot: int, entries: int) -> None:
    content = {1: boot, **dict.fromkeys(range(2, entries + 1), "x")}
    assert claimed_boot(item(content)) == boot


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xa1",
        b"\xa1\x01",
        item({}),
        item({2: 1}),
        item({1: 1 << 32}),
        item({1: -1}),
        item({1: "7"}),
        item({0: 1, 1: 7}),
        b"\xa1\x01\x18",
        b"\xa1\x01\x1a\x00\x00\x00",
        b"\xbf\x01\x07\xff",
        b"\x81\x01",
    ],
)
def test_a_message_without_a_boot_id_at_its_beginning_is_not_sealed(payload: bytes) -> None:
    assert refusal(claimed_boot, payload) == "unsealed"


@given(payload=st.binary(max_size=12))
def test_a_claimed_boot_has_32_bits_whatever_comes(payload: bytes) -> None:
    reason = refusal(claimed_boot, payload)
    assert reason == "unsealed" if reason else claimed_boot(payload) < 1 << 32


# -- JSON --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['{"node":"kitchen","boot":7}', "{}", '{"a":{"mac":"0"}}', '{"µ":"\\"}"}'])
def test_a_sealed_object_is_the_object_with_its_mac_as_the_last_field(text: str) -> None:
    sealed = seal_json(KEY, TOPIC, text.encode(), EPOCH)
    code = mac(KEY, TOPIC, EPOCH, sealed[:-34])
    assert json.loads(sealed) == {**json.loads(text), "mac": code.hex()}
    assert sealed.endswith(f'"mac":"{code.hex()}"}}'.encode())
    assert open_json(KEY, TOPIC, sealed, EPOCH) == sealed


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b"}", b'{"a":1} ', b" {}", b"null"])
def test_only_an_object_is_sealed(payload: bytes) -> None:
    assert refusal(seal_json, KEY, TOPIC, payload, EPOCH) == "type"


def test_any_bit_of_an_object_that_is_changed_is_seen() -> None:
    assert refusal(open_json, KEY, TOPIC, SEALED_OBJECT, EPOCH) is None
    for place in range(len(SEALED_OBJECT)):
        for bit in range(8):
            changed = bytearray(SEALED_OBJECT)
            changed[place] ^= 1 << bit
            assert refusal(open_json, KEY, TOPIC, bytes(changed), EPOCH) in ("unsealed", "forged")
    for cut in range(len(SEALED_OBJECT)):
        assert refusal(open_json, KEY, TOPIC, SEALED_OBJECT[:cut], EPOCH) == "unsealed"


def test_an_object_opens_under_its_own_topic_epoch_and_key_only() -> None:
    assert refusal(open_json, bytes(32), TOPIC, SEALED_OBJECT, EPOCH) == "forged"
    assert refusal(open_json, KEY, TOPIC + "/x", SEALED_OBJECT, EPOCH) == "forged"
    assert refusal(open_json, KEY, TOPIC, SEALED_OBJECT, EPOCH + 1) == "forged"


@pytest.mark.parametrize(
    "payload",
    [
        OBJECT,
        SEALED_OBJECT + b"\n",
        SEALED_OBJECT[:-2] + b'" }',
        SEALED_OBJECT[:-34] + SEALED_OBJECT[-34:].upper(),
        SEALED_OBJECT.replace(b',"mac"', b', "mac"'),
        SEALED_OBJECT.replace(b'"mac":', b'"mac": '),
    ],
)
def test_an_object_in_another_writing_is_not_sealed(payload: bytes) -> None:
    """One writing only, so that two programs never differ about what is covered."""
    assert payload != SEALED_OBJECT
    assert refusal(open_json, KEY, TOPIC, payload, EPOCH) in ("unsealed", "forged")


# -- keys --------------------------------------------------------------------------------------------------------------


def test_each_node_of_each_cell_has_a_key_of_its_own() -> None:
    names = [(root, cell, node) for root in ("a", "a/b", "b") for cell in ("b", "c") for node in ("b", "c", "bc")]
    keys = {node_key(KEY, *name) for name in names}
    assert len(keys) == len(names)
    assert {len(key) for key in keys} == {32}
    assert KEY not in keys
    assert node_key(KEY, "a", "b", "c") == node_key(KEY, "a", "b", "c") != node_key(bytes(32), "a", "b", "c")


def test_a_key_is_as_documented() -> None:
    expected = hashlib.blake2b(b"becomingone\0home\0kitchen", digest_size=32, key=KEY, person=b"becomingone/key")
    assert node_key(KEY, "becomingone", "home", "kitchen") == expected.digest()
