"""CBOR: deterministic out; in, nothing that our protocol has no use for, whatever the library would make of it."""

from __future__ import annotations

import struct
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from becomingone.wire import cbor

from .golden import REASONS, Tag, head, item, refusal, typed

finite = st.floats(allow_nan=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
uint64 = st.integers(0, 2**64 - 1)
scalars = st.one_of(uint64, st.integers(-(2**64), -1), finite, st.booleans(), st.none(), texts, st.binary(max_size=30))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
maps = st.dictionaries(uint64, values, max_size=8)


def reason(payload: bytes) -> str | None:
    return refusal(cbor.decode, payload)


# -- out ---------------------------------------------------------------------------------------------------------------


def within_the_librarys_reach(value: Any) -> bool:
    """cbor2 5 takes a single for the halves from 32,768 on, which is not the shortest form."""
    return not isinstance(value, float) or not 32_768.0 <= abs(value) < 65_520.0


ours = st.one_of(scalars, st.lists(scalars, max_size=4), st.dictionaries(texts, finite, max_size=4))


@given(st.dictionaries(uint64, ours, max_size=8))
def test_encoding_is_deterministic_by_an_independent_encoder(content: dict[int, Any]) -> None:
    encoded = cbor.encode(content)
    assert encoded == item(content)
    assert encoded == cbor.encode(dict(reversed(content.items())))


@given(st.dictionaries(uint64, scalars.filter(within_the_librarys_reach), max_size=8))
def test_encoding_is_the_librarys_canonical_one(content: dict[int, Any]) -> None:
    assert cbor.encode(content) == cbor2.dumps(content, canonical=True)


def test_every_half_stays_a_half() -> None:
    halves = [half for half in range(1 << 16) if half & 0x7C00 != 0x7C00]  # all but infinities and NaN
    for half in halves:
        packed = half.to_bytes(2, "big")
        (value,) = struct.unpack(">e", packed)
        assert cbor.encode({1: value}) == b"\xa1\x01\xf9" + packed


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # RFC 8949, appendix A
        (0.0, "f90000"),
        (-0.0, "f98000"),
        (1.0, "f93c00"),
        (1.5, "f93e00"),
        (65504.0, "f97bff"),
        (100000.0, "fa47c35000"),
        (3.4028234663852886e38, "fa7f7fffff"),
        (1.0e300, "fb7e37e43c8800759c"),
        (5.960464477539063e-8, "f90001"),
        (0.00006103515625, "f90400"),
        (-4.0, "f9c400"),
        (-4.1, "fbc010666666666666"),
        (1.1, "fb3ff199999999999a"),
        # just off what a half or a single holds
        (65504.0 + 16.0, "fa477ff000"),
        (2.0**-25, "fa33000000"),
        (2.0**-149, "fa00000001"),
        (2.0**-150, "fb3690000000000000"),
    ],
)
def test_floats_take_the_shortest_form_that_keeps_them(value: float, expected: str) -> None:
    assert cbor.encode({1: value}).hex() == "a101" + expected


@given(st.floats(width=32, allow_nan=False))
def test_a_single_never_takes_a_double(value: float) -> None:
    encoded = cbor.encode({1: value})
    assert encoded[2:] == item(value)
    assert len(encoded) in (5, 7)


@pytest.mark.parametrize("key", [0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1])
def test_integers_take_the_shortest_form(key: int) -> None:
    assert cbor.encode({key: key}) == b"\xa1" + head(0, key) * 2


# -- in ----------------------------------------------------------------------------------------------------------------


@given(maps)
@settings(max_examples=60)
def test_what_we_encode_we_decode(content: dict[int, Any]) -> None:
    payload = cbor.encode(content)
    decoded = cbor.decode(payload)
    assert decoded == content
    assert cbor.encode(decoded) == payload


@given(maps, st.data())
@settings(max_examples=50)
def test_every_cut_is_refused(content: dict[int, Any], data: st.DataObject) -> None:
    payload = cbor.encode(content)
    cut = data.draw(st.integers(0, len(payload) - 1))
    assert reason(payload[:cut]) == ("truncated" if cut else "type")


@given(maps, st.binary(min_size=1, max_size=4))
@settings(max_examples=40)
def test_whatever_follows_the_map_is_refused(content: dict[int, Any], tail: bytes) -> None:
    assert reason(cbor.encode(content) + tail) == "trailing"


@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, b"", "a", [1], [{}]], ids=repr)
def test_only_a_map_is_taken(value: object) -> None:
    assert reason(item(value)) == "type"


@pytest.mark.parametrize("key", [-1, -(2**64), "", "a"])
def test_the_maps_keys_are_unsigned_integers(key: object) -> None:
    assert reason(head(5, 1) + item(key) + b"\x00") == "type"
    assert reason(head(5, 2) + b"\x01\x00" + item(key) + b"\x00") == "type"


def test_a_map_inside_may_have_text_keys_but_no_negative_ones() -> None:
    assert cbor.decode(b"\xa1\x01" + item({"hue": 1})) == {1: {"hue": 1}}
    assert reason(b"\xa1\x01" + item({-1: 1})) == "type"


@pytest.mark.parametrize("content", ["1bffffffffffffffff", "3bffffffffffffffff"])
def test_the_longest_integers_are_taken(content: str) -> None:
    assert cbor.decode(bytes.fromhex("a101" + content)) in ({1: 2**64 - 1}, {1: -(2**64)})


BIGNUM_TAGS = (2, 3)
OTHER_TAGS = (0, 1, 4, 5, 21, 24, 25, 28, 29, 30, 32, 35, 36, 37, 40, 64, 81, 84, 86, 100, 256, 258, 260, 261)
LATER_TAGS = (1000, 1004, 43_000, 55_799, 2**32, 2**64 - 1)


@pytest.mark.parametrize("tag", [*BIGNUM_TAGS, *OTHER_TAGS, *LATER_TAGS])
@pytest.mark.parametrize("content", [b"", b"\0" * 8, [1, 2], 0, "2026-01-01"], ids=repr)
def test_every_tag_but_the_typed_array_is_refused(tag: int, content: object) -> None:
    assert reason(b"\xa1\x01" + item(Tag(tag, content))) == "tag"
    assert reason(b"\xa1\x01\x81" + item(Tag(tag, content))) == "tag"


@pytest.mark.parametrize("content", [[], 1, "text", {}, None, Tag(85, b"")], ids=repr)
def test_the_typed_array_holds_a_byte_string(content: object) -> None:
    assert reason(b"\xa1\x01" + item(Tag(85, content))) == "tag"


def test_a_typed_array_is_given_as_a_tag() -> None:
    decoded = cbor.decode(item({1: typed(1 + 2j)}))[1]
    assert isinstance(decoded, cbor2.CBORTag)
    assert (decoded.tag, decoded.value) == (85, struct.pack("<2f", 1, 2))


@pytest.mark.parametrize("major", range(8))
def test_indefinite_lengths_are_refused(major: int) -> None:
    assert reason(b"\xa1\x01" + bytes([major << 5 | 31])) == "indefinite"


@pytest.mark.parametrize("major", range(8))
@pytest.mark.parametrize("info", [28, 29, 30])
def test_reserved_additional_information_is_refused(major: int, info: int) -> None:
    assert reason(b"\xa1\x01" + bytes([major << 5 | info]) + b"\0" * 16) == "malformed"


@pytest.mark.parametrize("first", [*range(0xE0, 0xF4), 0xF7])
def test_simple_values_but_false_true_and_null_are_refused(first: int) -> None:
    assert reason(bytes([0xA1, 0x01, first])) == "type"


@pytest.mark.parametrize("value", [0, 20, 31, 32, 255])
def test_simple_values_of_two_bytes_are_refused(value: int) -> None:
    assert reason(bytes([0xA1, 0x01, 0xF8, value])) == "type"


@pytest.mark.parametrize("text", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
@pytest.mark.parametrize("key", [True, False])
def test_a_text_that_is_not_utf8_is_refused(text: bytes, key: bool) -> None:
    bad = head(3, len(text)) + text
    assert reason(b"\xa1\x01" + (b"\xa1" + bad + b"\x00" if key else bad)) == "malformed"


@pytest.mark.parametrize("again", ["01", "1801", "190001", "1a00000001", "1b0000000000000001"])
def test_a_key_that_stands_there_twice_is_refused_in_any_form(again: str) -> None:
    assert reason(bytes.fromhex("a20100" + again + "00")) == "duplicate_key"
    assert reason(bytes.fromhex("a105a20100" + again + "00")) == "duplicate_key"


def test_a_text_key_that_stands_there_twice_is_refused_in_any_form() -> None:
    assert reason(bytes.fromhex("a101a2" + "616100" + "78016100")) == "duplicate_key"


@pytest.mark.parametrize("opener", [b"\x81", b"\xa1\x00"])
def test_the_eighth_level_is_the_last(opener: bytes) -> None:
    assert cbor.decode(b"\xa1\x01" + opener * 6 + b"\x00")
    assert reason(b"\xa1\x01" + opener * 7 + b"\x00") == "depth"
    assert reason(b"\xa1\x01" + opener * 100_000 + b"\x00") == "depth"


def test_a_typed_array_counts_as_two_levels() -> None:
    array = item(typed(0))
    assert cbor.decode(b"\xa1\x01" + b"\x81" * 5 + array)
    assert reason(b"\xa1\x01" + b"\x81" * 6 + array) == "depth"


# -- what would be slow ------------------------------------------------------------------------------------------------


@pytest.fixture
def heads_read(mocker: MockerFixture) -> Any:
    """Counts the heads that are looked at: a measure of the work that no slow machine can falsify."""
    return mocker.spy(cbor, "_head")


@pytest.fixture
def no_library(mocker: MockerFixture) -> None:
    """Fails when the library sees the payload at all."""
    mocker.patch.object(cbor2, "loads", side_effect=AssertionError("the library has seen the payload"))


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\xa1\x01" + b"\x59\xff\xff" + bytes(cbor.MAX_PAYLOAD), "oversize"),
        (item(dict.fromkeys(range(20000), 0)), "too_long"),
        (item({1: {f"{key}": 0 for key in range(20_000)}}), "too_long"),
        (item({key * (2**61 - 1): 0 for key in range(8)}) + b"\0", "trailing"),
        (head(5, 20_000) + b"".join(item(key * (2**61 - 1) % 2**64) + b"\0" for key in range(20_000)), "too_long"),
        (item({1: [0] * 20_000}), "too_long"),
        (b"\xa1\x01" + head(4, 15) + (head(4, 256) + (head(4, 256) + bytes(256)) * 256) * 15, "too_long"),
        (b"\xa1\x01" + head(5, 2**64 - 1), "too_long"),
        (b"\xa1\x01" + head(4, 2**63), "too_long"),
        (b"\xa1\x01" + head(2, 2**64 - 1), "truncated"),
        (b"\xa1\x01" + head(3, 2**31), "truncated"),
        (b"\xa1\x01\xc4\x82\x1a\x3b\x9a\xca\x00\x01", "tag"),
        (b"\xa1\x01\xc5\x82\x1a\x3b\x9a\xca\x00\x01", "tag"),
        (b"\xa1\x01\xc2" + head(2, 1_000_000) + b"\xff" * 1_000_000, "tag"),
        (b"\xa1\x01\xd8\x1e\x82" + head(0, 1) * 2, "tag"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_would_be_slow_is_refused_before_the_library_sees_it(payload: bytes, expected: str) -> None:
    assert reason(payload) == expected


@pytest.mark.parametrize(
    "payload",
    [
        b"\xa1\x01" + head(4, 15) + (head(4, 256) + (head(4, 256) + bytes(256)) * 256) * 15,
        b"\xa1\x01" + (head(4, 256) + b"\x80" * 255) * 3,
        b"\xa1\x01" + b"\xc1" * 500_000,
        head(5, 256) + b"".join(item(key) + item([0] * 256) for key in range(256)),
    ],
)
def test_the_work_is_bounded_whatever_the_payload(heads_read: Any, payload: bytes) -> None:
    assert reason(payload) in REASONS
    assert heads_read.call_count <= 2 * cbor.MAX_ITEMS


def test_the_limits_themselves_are_taken() -> None:
    assert len(cbor.decode(item(dict.fromkeys(range(cbor.MAX_PAIRS), 0)))) == cbor.MAX_PAIRS
    rest = cbor.MAX_ITEMS - 3 * cbor.MAX_PAIRS - 7  # less the map, its key, the outer array and four inner ones
    full = [[0] * cbor.MAX_PAIRS] * 3 + [[0] * rest]
    assert cbor.decode(item({1: full})) == {1: full}
    full[3].append(0)
    assert reason(item({1: full})) == "too_long"


def test_a_payload_of_a_mebibyte_is_looked_at_and_one_byte_more_is_not() -> None:
    filler = cbor.MAX_PAYLOAD - 7
    payload = b"\xa1\x01\x5a" + struct.pack(">I", filler) + bytes(filler)
    assert len(payload) == cbor.MAX_PAYLOAD
    assert cbor.decode(payload) == {1: bytes(filler)}
    assert reason(payload + b"\0") == "oversize"


@given(st.binary(max_size=200))
def test_random_bytes_are_decoded_or_refused(payload: bytes) -> None:
    assert reason(payload) in {None, *REASONS}


@given(st.binary(max_size=200), st.integers(0, 30))
@settings(max_examples=300)
def test_random_bytes_in_a_map_are_decoded_or_refused(content: bytes, pairs: int) -> None:
    payload = head(5, pairs) + content
    why = reason(payload)
    assert why in {None, *REASONS}
    if why is None:
        assert len(cbor.decode(payload)) == pairs


@given(st.recursive(st.one_of(scalars, st.builds(Tag, st.integers(0, 300), scalars)), st.lists, max_leaves=6))
def test_what_is_not_refused_is_what_the_library_makes_of_it(value: Any) -> None:
    payload = item({1: value})
    why = reason(payload)
    assert why in {None, "tag", "depth"}
    if why is None:
        assert cbor.decode(payload) == cbor2.loads(payload)
