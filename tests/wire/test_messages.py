"""What holds of every CBOR message: one list of them drives round trip, cuts, flipped bits and other encoders."""

from __future__ import annotations

import math
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.wire import cbor

from .golden import REASONS, REFUSED_OTHERS, Tag, item, refusal
from .messages import BY_NAME, MESSAGES, Message

every = pytest.mark.parametrize("message", MESSAGES, ids=str)
golden = pytest.mark.parametrize(
    ("message", "vector"),
    [
        pytest.param(message, vector, id=f"{message}: {vector['description']}")
        for message in MESSAGES
        for vector in message.vectors
    ],
)


def tagged(value: Any) -> Any:
    """The same for the library, which has a class of its own for tags."""
    if isinstance(value, Tag):
        return cbor2.CBORTag(value.number, value.content)
    if isinstance(value, dict):
        return {key: tagged(content) for key, content in value.items()}
    return value


def within_the_librarys_reach(value: Any) -> bool:
    """cbor2 5 takes a single for the halves from 32,768 on, which is not the shortest form."""
    if isinstance(value, dict | list):
        return all(map(within_the_librarys_reach, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or not 32_768.0 <= abs(value) < 65_520.0


def check_hostile(message: Message, payload: bytes) -> None:
    """Refused with a word of ours, or a message that we could have sent."""
    why = refusal(message.decode, payload)
    assert why in {None, *REASONS}
    if why is None:
        ours = message.encode(message.decode(payload))
        assert message.encode(message.decode(ours)) == ours


# -- the golden lists --------------------------------------------------------------------------------------------------


@every
def test_each_message_has_vectors(message: Message) -> None:
    assert message.vectors


@golden
def test_a_golden_message_survives_the_wire(message: Message, vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["hex"])
    assert message.fields(message.decode(payload)) == vector["fields"]
    assert message.encode(message.value(vector["fields"])) == payload


@golden
def test_a_golden_message_is_what_other_encoders_make(message: Message, vector: dict[str, Any]) -> None:
    content = message.content(vector["fields"])
    assert item(content).hex() == cbor2.dumps(tagged(content), canonical=True).hex() == vector["hex"]


@golden
def test_a_golden_message_cut_at_any_byte_is_refused(message: Message, vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["hex"])
    reasons = [refusal(message.decode, payload[:cut]) for cut in range(len(payload))]
    assert reasons == ["type"] + ["truncated"] * (len(payload) - 1)


@golden
def test_a_golden_message_with_a_bit_flipped_is_a_message_or_refused(message: Message, vector: dict[str, Any]) -> None:
    payload = bytearray.fromhex(vector["hex"])
    for place in range(8 * len(payload)):
        payload[place >> 3] ^= 1 << (place & 7)
        check_hostile(message, bytes(payload))
        payload[place >> 3] ^= 1 << (place & 7)


@pytest.mark.parametrize("vector", REFUSED_OTHERS, ids=lambda vector: f"{vector['message']}: {vector['description']}")
def test_what_must_be_refused_is_refused_with_the_right_word(vector: dict[str, Any]) -> None:
    name = f"{vector['message']}-{vector['verb']}" if "verb" in vector else vector["message"]
    assert refusal(BY_NAME[name].decode, bytes.fromhex(vector["hex"])) == vector["reason"]


# -- any message -------------------------------------------------------------------------------------------------------


@every
@given(data=st.data())
@settings(max_examples=15)
def test_every_message_survives_the_wire(message: Message, data: st.DataObject) -> None:
    fields = data.draw(message.any)
    payload = message.encode(message.value(fields))
    assert payload == item(message.content(fields))
    assert message.fields(message.decode(payload)) == fields
    assert payload == message.encode(message.value(fields))


@every
@given(data=st.data())
@settings(max_examples=8)
def test_the_encoding_is_the_librarys_canonical_one(message: Message, data: st.DataObject) -> None:
    fields = data.draw(message.any.filter(within_the_librarys_reach))
    payload = message.encode(message.value(fields))
    assert payload == cbor2.dumps(tagged(message.content(fields)), canonical=True)


@every
@given(data=st.data())
@settings(max_examples=8)
def test_any_cut_and_any_tail_are_refused(message: Message, data: st.DataObject) -> None:
    payload = message.encode(message.value(data.draw(message.any)))
    cut = data.draw(st.integers(1, len(payload) - 1))
    assert refusal(message.decode, payload[:cut]) == "truncated"
    assert refusal(message.decode, payload + data.draw(st.binary(min_size=1, max_size=3))) == "trailing"


@every
def test_unknown_keys_are_ignored(message: Message) -> None:
    fields = message.vectors[0]["fields"]
    for extra in (0, 22, 23, 24, 2**64 - 1):
        for content in (b"\0" * 16, None, 1.5, {"x": [1]}):
            payload = item({**message.content(fields), extra: content})
            assert message.fields(message.decode(payload)) == fields


@every
def test_a_mac_or_signature_at_the_end_is_let_through(message: Message) -> None:
    for vector in message.vectors:
        plain = bytes.fromhex(vector["hex"])
        for size in (16, 64):
            sealed = item({**message.content(vector["fields"]), 23: bytes(size)})
            assert sealed[1 : len(plain)] == plain[1:]
            assert message.fields(message.decode(sealed)) == vector["fields"]


@every
def test_every_key_is_required(message: Message) -> None:
    content = message.content(message.vectors[0]["fields"])
    for key in range(1, message.required + 1):
        if key in content and not (message.name == "phase-frame" and key in (4, 12)):
            assert refusal(message.decode, item({k: v for k, v in content.items() if k != key})) == "missing"


@every
@given(payload=st.binary(max_size=120))
@settings(max_examples=15)
def test_random_bytes_are_refused(message: Message, payload: bytes) -> None:
    assert refusal(message.decode, payload) in REASONS


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**64), 2**64 - 1),
        st.floats(),
        st.text(max_size=3),
        st.binary(max_size=24).map(lambda data: Tag(85, data)),
    ),
    lambda inner: (
        st.lists(inner, max_size=10) | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=12,
)


@every
@given(data=st.data())
@settings(max_examples=20)
def test_a_message_with_a_field_replaced_is_a_message_or_refused(message: Message, data: st.DataObject) -> None:
    vector = data.draw(st.sampled_from(message.vectors))
    content = message.content(vector["fields"])
    key = data.draw(st.sampled_from(sorted(content)))
    entries = [(item(k), item(v)) for k, v in content.items() if k != key]
    entries.append((item(key), cbor_of(data.draw(anything))))
    payload = bytes((0xA0 + len(entries),)) + b"".join(k + v for k, v in sorted(entries))
    check_hostile(message, payload)


def cbor_of(value: Any) -> bytes:
    """As `item`, NaN included, at any depth."""
    if isinstance(value, float) and math.isnan(value):
        return b"\xf9\x7e\x00"
    if isinstance(value, list):
        return bytes((0x80 + len(value),)) + b"".join(map(cbor_of, value))
    if isinstance(value, dict):
        return bytes((0xA0 + len(value),)) + b"".join(item(key) + cbor_of(content) for key, content in value.items())
    return item(value)


@every
@given(data=st.data())
@settings(max_examples=20)
def test_a_message_with_a_piece_replaced_is_a_message_or_refused(message: Message, data: st.DataObject) -> None:
    payload = bytes.fromhex(data.draw(st.sampled_from(message.vectors))["hex"])
    first = data.draw(st.integers(0, len(payload)))
    last = data.draw(st.integers(first, min(len(payload), first + 24)))
    check_hostile(message, payload[:first] + data.draw(st.binary(max_size=24)) + payload[last:])


@every
def test_what_is_too_long_is_refused_unread(message: Message) -> None:
    filler = item({**message.content(message.vectors[0]["fields"]), 24: bytes(cbor.MAX_PAYLOAD)})
    assert refusal(message.decode, filler) == "oversize"
