"""The quick way: it takes what our encoder writes, gives what the general way gives, and declines everything else."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from becomingone.errors import FrameError
from becomingone.wire import cbor, frame, layout
from becomingone.wire.compose import compose
from becomingone.wire.frame import MAX_SAMPLES, Flags, PhaseFrame, decode_frame, encode_frame
from becomingone.wire.layout import recognise

from .drawn import phase_frames
from .golden import FRAMES, LENIENT, REFUSED, Tag, fields_of, frame_map, frame_of, item, typed

USUAL = frame_of(FRAMES[0]["fields"])
BLOCK = next(frame_of(vector["fields"]) for vector in FRAMES if len(vector["fields"]["phasors"]) > 2)
NOW_US = 1 << 32
"""A time whose integer takes eight bytes, as all do since 1970-01-01 01:12."""

golden = pytest.mark.parametrize("vector", FRAMES + LENIENT, ids=lambda vector: vector["description"])


def general(payload: bytes) -> PhaseFrame | str:
    """What the general way makes of a payload: a frame, or the reason of its refusal."""
    try:
        return frame._read(cbor.decode(payload))
    except FrameError as error:
        return error.reason


def agree(payload: bytes) -> bool:
    """Hold both ways to each other; True where the quick one took the payload."""
    quick = recognise(payload)
    if quick is None:
        return False
    slow = general(payload)
    assert repr(tuple(quick)) == repr(slow if isinstance(slow, str) else tuple(slow))  # −0.0 is not 0.0 there
    assert [type(value) for value in quick] == [type(value) for value in slow]
    return True


def sealed(payload: bytes, size: int = 16) -> bytes:
    return bytes((payload[0] + 1,)) + payload[1:] + item(23) + item(bytes(range(size)))


# -- what it takes -----------------------------------------------------------------------------------------------------


@given(phase_frames(), st.integers(0, 2**31))
def test_it_takes_all_that_our_encoder_writes(any_frame: PhaseFrame, later_us: int) -> None:
    now = any_frame._replace(time_us=NOW_US + later_us)
    payload = encode_frame(now)
    assert compose(now) == payload == frame._encode(now) == item(frame_map(fields_of(now)))
    assert agree(payload)
    assert agree(sealed(payload))
    assert recognise(sealed(payload)) == recognise(payload) == now


@pytest.mark.parametrize("samples", [1, 2, 3, 31, 32, 8191, 8192, MAX_SAMPLES])
def test_it_takes_blocks_of_every_length(samples: int) -> None:
    rng = np.random.default_rng(samples)
    phasors = np.exp(1j * rng.uniform(-3.0, 3.0, samples)).astype(np.complex64)
    payload = encode_frame(PhaseFrame(**{**fields(USUAL), "phasors": phasors, "spacing_us": spacing(samples)}))
    assert agree(payload)
    assert agree(sealed(payload))


def fields(given_frame: PhaseFrame) -> dict[str, Any]:
    named = given_frame._asdict()
    del named["samples"]
    return {**named, "phasors": given_frame.phasors}


def spacing(samples: int) -> float | None:
    return 100.0 if samples > 1 else None


BOOTS = [0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1]
SEQS = [*BOOTS, 2**32, 2**64 - 1]


@pytest.mark.parametrize("base", [USUAL, BLOCK], ids=["one sample", "block"])
def test_it_takes_integers_of_every_width(base: PhaseFrame) -> None:
    for boot in BOOTS:
        for seq in SEQS:
            for flags in (0, 23, 24, 127):
                assert agree(encode_frame(base._replace(boot=boot, seq=seq, flags=Flags(flags))))


@pytest.mark.parametrize("base", [USUAL, BLOCK], ids=["one sample", "block"])
@pytest.mark.parametrize("resonance", [None, 0.5 + 0.25j])
def test_it_takes_halves_and_singles_in_every_place(base: PhaseFrame, resonance: complex | None) -> None:
    names = ("coherence", "n_eff", "p", "omega", "omega_sigma", "phase_sigma", "clock_sigma_s")
    for halves in range(1 << len(names)):
        values = {name: 1.0 if halves >> place & 1 else 1.0 - 2.0**-20 for place, name in enumerate(names)}
        values["n_eff"] += 1.0
        assert agree(encode_frame(base._replace(resonance=resonance, **values)))


@golden
def test_it_agrees_on_the_vectors(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["hex"])
    agree(payload)
    agree(sealed(payload))


def test_it_takes_the_everyday_vectors() -> None:
    taken = [agree(bytes.fromhex(vector["hex"])) for vector in FRAMES]
    everyday = [v["fields"]["time_us"] >= NOW_US and v["fields"]["flags"] < 128 for v in FRAMES]
    assert taken == everyday
    assert taken.count(True) >= 9


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["description"])
def test_it_takes_nothing_that_is_refused(vector: dict[str, Any]) -> None:
    assert recognise(bytes.fromhex(vector["hex"])) is None


# -- whatever comes ----------------------------------------------------------------------------------------------------


def seeds() -> Iterator[bytes]:
    for vector in FRAMES:
        payload = bytes.fromhex(vector["hex"])
        if len(payload) < 200:
            yield payload
            yield sealed(payload)


SEEDS = list(seeds())


@pytest.mark.parametrize("payload", SEEDS)
def test_with_any_bit_flipped_or_byte_set_both_ways_agree(payload: bytes) -> None:
    changed = bytearray(payload)
    taken = 0
    for place, byte in enumerate(payload):
        for other in {*(byte ^ 1 << bit for bit in range(8)), 0x00, 0x17, 0x18, 0x7F, 0x80, 0xF9, 0xFA, 0xFF}:
            changed[place] = other
            taken += agree(bytes(changed))
        changed[place] = byte
    assert taken or recognise(payload) is None


@given(st.sampled_from(SEEDS), st.data())
@settings(max_examples=200)
def test_with_any_piece_replaced_both_ways_agree(payload: bytes, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(payload)))
    last = data.draw(st.integers(first, min(len(payload), first + 12)))
    agree(payload[:first] + data.draw(st.binary(max_size=12)) + payload[last:])


numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf, 1.5, 65_504.0, 1e9, 3.4e38]),
    st.floats(width=16),
    st.floats(width=32),
)


def as_number(value: float, info: int) -> bytes:
    """A number in one of the three widths, shortest or not; as a half only what a half holds."""
    shape = {25: ">e", 26: ">f", 27: ">d"}[info]
    try:
        return bytes((0xE0 | info,)) + struct.pack(shape, value)
    except OverflowError:
        return as_number(value, info + 1)


@given(
    st.sampled_from([USUAL, BLOCK]),
    st.dictionaries(st.sampled_from([4, 6, 7, 8, 9, 10, 11, 13]), st.tuples(numbers, st.integers(25, 27)), max_size=3),
    st.integers(-1, 1),
)
@settings(max_examples=200)
def test_with_any_numbers_in_any_width_both_ways_agree(
    base: PhaseFrame, others: dict[int, tuple[float, int]], miscount: int
) -> None:
    content = {key: item(value) for key, value in frame_map(fields_of(base)).items()}
    content |= {key: as_number(*number) for key, number in others.items()}
    body = b"".join(item(key) + content[key] for key in sorted(content))
    agree(bytes((0xA0 + len(content) + miscount,)) + body)


@pytest.mark.parametrize("length", ["40", "48", "4f", "50", "51", "57", "5800", "5808", "5810", "5811", "590010"])
@pytest.mark.parametrize("size", [0, 8, 15, 16, 17, 24])
@pytest.mark.parametrize("spaced", [True, False])
def test_with_any_length_of_the_array_both_ways_agree(length: str, size: int, spaced: bool) -> None:
    content = {key: item(value) for key, value in frame_map(fields_of(USUAL)).items()}
    content |= {4: item(100.0)} if spaced else {}
    content[5] = b"\xd8\x55" + bytes.fromhex(length) + bytes(size)
    agree(bytes((0xA0 + len(content),)) + b"".join(item(key) + content[key] for key in sorted(content)))


SAMPLES = [0j, 1, -1j, 1.000004, 1.00001, 1.000011, 2, 3e38 + 3e38j, complex(math.nan, 0), complex(0, -math.inf), 1e-45]


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_with_any_sample_both_ways_agree(sample: complex, place: int) -> None:
    others = [0.6 + 0.8j] * 3
    others[place] = sample
    block = item({**frame_map(fields_of(USUAL)), 4: 100.0, 5: typed(*others)})
    assert agree(block) == (abs(sample) <= 1.000005)
    single = item({**frame_map(fields_of(USUAL)), 5: typed(sample), 12: typed(0.5)})
    assert agree(single) == (abs(sample) <= 1.000005)
    assert agree(item({**frame_map(fields_of(USUAL)), 12: typed(sample)})) == (abs(sample) <= 1.000005)


def test_what_is_too_near_to_the_limit_is_left_to_the_general_way() -> None:
    payload = item({**frame_map(fields_of(USUAL)), 5: typed(1.000009)})
    assert recognise(payload) is None
    assert decode_frame(payload).phasors[0] == np.float32(1.000009)
    assert encode_frame(decode_frame(payload)) == payload


@pytest.mark.parametrize("seal", [15, 17, 64])
def test_an_end_that_is_no_mac_is_left_to_the_general_way(seal: int) -> None:
    payload = sealed(encode_frame(USUAL), seal)
    assert recognise(payload) is None
    assert decode_frame(payload) == USUAL


def test_what_could_overflow_in_numpy_never_gets_there(mocker: MockerFixture) -> None:
    """Whether it warns depends on numpy's version and the processor."""
    mocker.patch.object(layout.np, "abs", side_effect=AssertionError("numpy has seen it"))
    for sample in (2.0, 3e38 + 3e38j, complex(math.nan, 0), complex(0, -math.inf)):
        assert not layout.sound(np.array([0, sample], "<c8").tobytes())


def test_more_than_65536_samples_are_left_to_the_general_way() -> None:
    content = {**frame_map(fields_of(USUAL)), 4: 100.0}
    assert recognise(item({**content, 5: Tag(85, bytes(8 * MAX_SAMPLES))})) is not None
    assert recognise(item({**content, 5: Tag(85, bytes(8 * MAX_SAMPLES + 8))})) is None


def test_no_sender_can_make_it_remember_without_bound() -> None:
    shapes = layout._Shapes()
    widths = itertools.product(
        [None, b"\x18", b"\x19", b"\x1a"], [None, b"\x18"], *[[None, b"\xf9"]] * 7, [None, b"\x18"]
    )
    for boot, seq, *figures, clock_sigma, flags in widths:
        assert shapes[b"\xac", boot, seq, *figures, None, clock_sigma, flags, None] is not None
        assert len(shapes) <= 1024


# -- the value ---------------------------------------------------------------------------------------------------------


def test_a_frame_is_equal_to_one_of_equal_fields_and_to_its_copies() -> None:
    assert frame_of(FRAMES[0]["fields"]) == USUAL
    assert BLOCK != USUAL
    for copied in (copy.copy(BLOCK), copy.deepcopy(BLOCK), pickle.loads(pickle.dumps(BLOCK))):
        assert copied == BLOCK
        assert type(copied) is PhaseFrame


def test_a_frame_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        USUAL.boot = 8  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        USUAL.phasors[0] = 0


def test_the_last_phasor_is_that_of_the_last_sample() -> None:
    assert BLOCK.last_phasor == BLOCK.phasors[-1]
    assert USUAL.last_phasor == USUAL.phasors[0]
