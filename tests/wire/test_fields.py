"""Fields: present, of the right type, finite, in range, or refused with the right word."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.errors import BecomingOneError, FrameError
from becomingone.wire.fields import FLOAT32, INT63, UINT32, UINT64, bounded, integer, number, required, single


def test_a_refusal_says_its_reason_and_what_would_be_right() -> None:
    error = FrameError("range", "p must be 0..1, not 2")
    assert (error.reason, error.detail) == ("range", "p must be 0..1, not 2")
    assert str(error) == "range: p must be 0..1, not 2"
    assert isinstance(error, BecomingOneError)
    assert isinstance(error, ValueError)


def test_a_field_that_is_there_is_given() -> None:
    assert required({3: None}, 3, "time_us") is None


def test_a_missing_field_is_named() -> None:
    with pytest.raises(FrameError, match=r"^missing: key 3 \(time_us\) is required$"):
        required({2: 0}, 3, "time_us")


@pytest.mark.parametrize(("value", "most"), [(0, UINT32), (UINT32, UINT32), (UINT64, UINT64), (INT63, INT63), (0, 0)])
def test_integers_in_range_are_given(value: int, most: int) -> None:
    assert integer({1: value}, 1, "boot", most=most) == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, "range"),
        (UINT32 + 1, "range"),
        (1.0, "type"),
        (True, "type"),
        (None, "type"),
        ("1", "type"),
        (b"\1", "type"),
        ([1], "type"),
    ],
)
def test_other_integers_are_refused(value: Any, reason: str) -> None:
    with pytest.raises(FrameError, match="boot") as refusal:
        integer({1: value}, 1, "boot", most=UINT32)
    assert refusal.value.reason == reason


def test_an_integer_is_required() -> None:
    with pytest.raises(FrameError, match="missing"):
        integer({}, 1, "boot")


@pytest.mark.parametrize(("value", "least", "most"), [(0, 0, 1), (1, 0, 1), (0.5, 0, 1), (-2.5, -math.inf, math.inf)])
def test_numbers_in_range_become_floats(value: float, least: float, most: float) -> None:
    result = number(value, "p", least=least, most=most)
    assert result == value
    assert type(result) is float


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nextafter(1.0, 2.0), "range"),
        (-5e-324, "range"),
        (2, "range"),
        (math.nan, "not_finite"),
        (math.inf, "not_finite"),
        (-math.inf, "not_finite"),
        (True, "type"),
        (None, "type"),
        ("0.5", "type"),
        (1j, "type"),
    ],
)
def test_other_numbers_are_refused(value: object, reason: str) -> None:
    with pytest.raises(FrameError, match="p must be") as refusal:
        number(value, "p", least=0.0, most=1.0)
    assert refusal.value.reason == reason


def test_a_number_within_bounds_is_required() -> None:
    assert bounded({6: 1}, 6, "p", 0.0, 1.0) == 1.0
    with pytest.raises(FrameError, match=r"^missing: key 6 \(p\) is required$"):
        bounded({}, 6, "p", 0.0, 1.0)
    with pytest.raises(FrameError, match=r"^range: p must be"):
        bounded({6: 1.5}, 6, "p", 0.0, 1.0)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_passes_unchanged(value: float) -> None:
    assert struct.pack("<d", single(value, "p")) == struct.pack("<d", value)


@given(st.floats(-FLOAT32, FLOAT32))
def test_any_other_is_rounded_to_the_nearest(value: float) -> None:
    rounded = single(value, "p")
    assert single(rounded, "p") == rounded
    assert abs(rounded - value) <= max(abs(value) * 2.0**-24, 2.0**-150)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3.5e38, -1e300])
def test_what_is_not_finite_as_a_float32_is_refused(value: float) -> None:
    with pytest.raises(FrameError, match="not_finite: omega must be finite as a float32"):
        single(value, "omega")


def test_the_largest_float32_is_the_largest() -> None:
    assert struct.pack(">f", FLOAT32).hex() == "7f7fffff"
