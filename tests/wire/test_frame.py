"""Phase frames: what is theirs alone; what holds of every message is in test_messages.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import FrameError
from becomingone.wire import cbor
from becomingone.wire.frame import MAX_SAMPLES, Flags, PhaseFrame, decode_frame, encode_frame

from .drawn import phase_frames
from .golden import (
    FRAMES,
    LENIENT,
    REASONS,
    REFUSED,
    Tag,
    fields_of,
    frame_map,
    frame_of,
    head,
    item,
    refusal,
    typed,
)

golden = pytest.mark.parametrize("vector", FRAMES, ids=lambda vector: vector["description"])

USUAL = frame_of(FRAMES[0]["fields"])


def changed(frame: PhaseFrame, **changes: Any) -> PhaseFrame:
    fields = frame._asdict()
    del fields["samples"]
    return PhaseFrame(**{**fields, "phasors": frame.phasors, **changes})


def reason(payload: bytes) -> str | None:
    return refusal(decode_frame, payload)


# -- the golden list ---------------------------------------------------------------------------------------------------


@golden
def test_a_golden_frame_decodes_to_its_fields(vector: dict[str, Any]) -> None:
    frame = decode_frame(bytes.fromhex(vector["hex"]))
    assert fields_of(frame) == vector["fields"]
    assert frame.phasors.dtype == np.complex64


@golden
def test_a_golden_frame_is_encoded_to_its_bytes(vector: dict[str, Any]) -> None:
    frame = frame_of(vector["fields"])
    assert encode_frame(frame).hex() == vector["hex"]
    assert encode_frame(frame_of(vector["fields"])) == encode_frame(frame)


def check_hostile(payload: bytes) -> None:
    """Refused with a word of ours, or a frame that we could have sent."""
    why = reason(payload)
    assert why in {None, *REASONS}
    if why is None:
        ours = encode_frame(decode_frame(payload))
        assert encode_frame(decode_frame(ours)) == ours


@pytest.mark.parametrize("vector", LENIENT, ids=lambda vector: vector["description"])
def test_a_frame_that_we_would_write_differently_is_taken(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["hex"])
    frame = decode_frame(payload)
    assert fields_of(frame) == vector["fields"]
    assert encode_frame(frame) != payload
    check_hostile(payload)


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["description"])
def test_what_must_be_refused_is_refused_with_the_right_word(vector: dict[str, Any]) -> None:
    assert reason(bytes.fromhex(vector["hex"])) == vector["reason"]


def test_the_vectors_name_every_reason_that_small_payloads_can_have() -> None:
    assert {vector["reason"] for vector in REFUSED} == REASONS - {"oversize"}


# -- any frame ---------------------------------------------------------------------------------------------------------


@given(phase_frames(most=1))
@settings(max_examples=50)
def test_one_sample_takes_at_most_96_bytes(frame: PhaseFrame) -> None:
    assert len(encode_frame(frame)) <= 96


def test_the_longest_frame_of_one_sample_takes_96_bytes() -> None:
    assert max(len(vector["hex"]) // 2 for vector in FRAMES if len(vector["fields"]["phasors"]) == 1) == 96


@pytest.mark.parametrize("samples", [2, 3, 31, 32, 8191, 8192, MAX_SAMPLES])
def test_each_further_sample_takes_8_bytes(samples: int) -> None:
    def length(count: int) -> int:
        block = changed(USUAL, phasors=np.ones(count, np.complex64), spacing_us=100.0)
        return len(encode_frame(block)) - len(head(2, 8 * count))

    assert length(samples) - length(2) == 8 * (samples - 2)


def test_a_block_costs_the_spacing_more_than_a_single_sample() -> None:
    block = changed(USUAL, phasors=np.ones(2, np.complex64), spacing_us=22.5)
    assert len(encode_frame(block)) - len(encode_frame(USUAL)) == 8 + 1 + len(item(22.5))


later = st.dictionaries(
    st.integers(15, 2**64 - 1), st.one_of(st.none(), st.text(max_size=5), st.integers(0, 2**64 - 1)), max_size=4
)


@given(phase_frames(), later)
@settings(max_examples=50)
def test_keys_of_a_later_version_are_ignored(frame: PhaseFrame, more: dict[int, Any]) -> None:
    payload = item({**frame_map(fields_of(frame)), **more})
    assert fields_of(decode_frame(payload)) == fields_of(frame)


def test_key_0_is_ignored_too() -> None:
    assert encode_frame(decode_frame(item({**frame_map(FRAMES[0]["fields"]), 0: None}))).hex() == FRAMES[0]["hex"]


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.binary(max_size=24).map(lambda data: Tag(85, data)),
    st.lists(st.integers(0, 3), max_size=2),
)


@given(st.sampled_from(FRAMES), st.dictionaries(st.integers(1, 15), anything, max_size=3))
@settings(max_examples=200)
def test_a_frame_with_fields_replaced_is_a_frame_or_refused(vector: dict[str, Any], others: dict[int, Any]) -> None:
    check_hostile(item({**frame_map(vector["fields"]), **others}))


# -- samples and spacing -----------------------------------------------------------------------------------------------


def test_65536_samples_are_taken_and_one_more_is_not() -> None:
    content = {**frame_map(FRAMES[0]["fields"]), 4: 100.0}
    full = item({**content, 5: Tag(85, bytes(8 * MAX_SAMPLES))})
    assert len(full) < cbor.MAX_PAYLOAD
    assert len(decode_frame(full).phasors) == MAX_SAMPLES == 65_536
    assert reason(item({**content, 5: Tag(85, bytes(8 * MAX_SAMPLES + 8))})) == "too_long"


@pytest.mark.parametrize("modulus", [0.0, 0.5, 1.0, 1.000009])
def test_a_modulus_of_at_most_1_and_its_rounding_is_taken(modulus: float) -> None:
    payload = item({**frame_map(FRAMES[0]["fields"]), 5: typed(modulus), 12: typed(-1j * modulus)})
    assert decode_frame(payload).phasors[0] == np.float32(modulus)


def test_the_array_is_little_endian_with_the_real_part_first() -> None:
    payload = item({**frame_map(FRAMES[0]["fields"]), 5: Tag(85, bytes.fromhex("0000003f000000bf"))})
    assert decode_frame(payload).phasors[0] == 0.5 - 0.5j


@pytest.mark.parametrize("count", [1, 9, 1000])
def test_huge_samples_raise_no_warning(count: int) -> None:
    content = {**frame_map(FRAMES[0]["fields"]), 5: typed(*[3e38 + 3e38j] * count)}
    assert reason(item(content)) == "range"
    not_a_number = np.frombuffer(b"\x01\x00\xa0\x7f" * 2 * count, "<c8")  # signalling
    assert reason(item({**content, 5: typed(*not_a_number)})) == "not_finite"


def test_the_time_of_the_last_sample_follows_from_the_spacing() -> None:
    assert USUAL.last_time_us == USUAL.time_us
    block = changed(USUAL, phasors=np.ones(5, np.complex64), spacing_us=2500.0)
    assert block.last_time_us == USUAL.time_us + 10_000.0


@pytest.mark.parametrize("spacing", [1e-3, 1e15])
def test_the_ends_of_the_spacing_are_taken(spacing: float) -> None:
    content = {**frame_map(FRAMES[0]["fields"]), 4: spacing, 5: typed(1, 1)}
    assert decode_frame(item(content)).spacing_us == spacing
    check_hostile(item(content))


# -- what is never sent ------------------------------------------------------------------------------------------------

NEVER_SENT: list[tuple[dict[str, Any], str]] = [
    ({"boot": -1}, "range"),
    ({"boot": 1 << 32}, "range"),
    ({"boot": 1.0}, "type"),
    ({"seq": -1}, "range"),
    ({"seq": 1 << 64}, "range"),
    ({"time_us": 1 << 63}, "range"),
    ({"coherence": math.nan}, "not_finite"),
    ({"coherence": 1.01}, "range"),
    ({"coherence": -0.01}, "range"),
    ({"n_eff": 0.99}, "range"),
    ({"n_eff": math.inf}, "not_finite"),
    ({"p": 1.01}, "range"),
    ({"omega": 1.01e9}, "range"),
    ({"omega": -math.inf}, "not_finite"),
    ({"omega_sigma": -1e-6}, "range"),
    ({"omega_sigma": 1e39}, "not_finite"),
    ({"phase_sigma": -1e-6}, "range"),
    ({"clock_sigma_s": math.nan}, "not_finite"),
    ({"resonance": 1.1j}, "range"),
    ({"resonance": complex(math.nan, 0)}, "not_finite"),
    ({"phasors": np.zeros(0, np.complex64)}, "range"),
    ({"phasors": np.full(1, 1.1, np.complex64)}, "range"),
    ({"phasors": np.full(1, np.nan, np.complex64)}, "not_finite"),
    ({"phasors": np.ones(2, np.complex64)}, "missing"),
    ({"spacing_us": 1.0}, "missing"),
    ({"phasors": np.ones(2, np.complex64), "spacing_us": 0.0}, "range"),
    ({"phasors": np.ones(2, np.complex64), "spacing_us": math.inf}, "not_finite"),
    ({"phasors": np.ones(MAX_SAMPLES + 1, np.complex64), "spacing_us": 1.0}, "too_long"),
]


@pytest.mark.parametrize(("changes", "expected"), NEVER_SENT, ids=lambda value: str(value)[:40])
def test_a_frame_that_would_be_refused_is_never_sent(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(FrameError) as never:
        encode_frame(changed(USUAL, **changes))
    assert never.value.reason == expected


def test_rounding_to_float32_is_the_encoders() -> None:
    frame = changed(USUAL, p=0.1, phasors=np.array([0.6 + 0.8j], np.complex128))
    decoded = decode_frame(encode_frame(frame))
    assert decoded.p == float(np.float32(0.1))
    assert decoded.phasors[0] == np.complex64(0.6 + 0.8j)


def test_the_flags_have_the_documented_bits() -> None:
    assert {flag.name: int(flag) for flag in Flags} == {
        "VALID": 1,
        "HISTORICAL": 2,
        "REPLAYED": 4,
        "SIMULATED": 8,
        "GAP": 16,
        "SATURATED": 32,
        "UNDECIDABLE": 64,
    }
