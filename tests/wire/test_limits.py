"""The ends of what each message may hold: what is just taken, and what is neither sent nor taken."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.kairos.mesh.coupling import ControlOscillator
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.wire.ack import MAX_STREAMS, Ack, Stream, decode_ack, encode_ack
from becomingone.wire.aggregate import MAX_BANDS, MAX_CELLS, AggregateFrame, decode_aggregate, encode_aggregate
from becomingone.wire.fields import PHASE
from becomingone.wire.oscillator import OscillatorFrame, decode_oscillator, encode_oscillator
from becomingone.wire.sync import decode_sync

from .golden import item, refusal
from .messages import BY_NAME

CELLS = frozenset({bytes(8)})
OF_STRIDE: Any = {"omega": {"stride": 1.0}, "cells": CELLS}

NEVER_SENT: list[tuple[str, dict[str, Any], str]] = [
    ("clock-ping", {"boot": -1}, "range"),
    ("clock-ping", {"boot": True}, "type"),
    ("clock-ping", {"seq": 1 << 64}, "range"),
    ("clock-ping", {"t1_ns": -1}, "range"),
    ("clock-ping", {"t1_ns": 1.0}, "type"),
    ("clock-pong", {"t2_ns": 1 << 63}, "range"),
    ("clock-pong", {"t3_ns": 0}, "range"),
    ("clock-pong", {"hub_boot": 1 << 32}, "range"),
    ("clock-pong", {"sigma_s": math.nan}, "not_finite"),
    ("clock-pong", {"sigma_s": -1e-9}, "range"),
    ("ack", {"committed": []}, "range"),
    ("ack", {"committed": [[-1, "a", "b", 0]]}, "range"),
    ("ack", {"committed": [[1, "A", "b", 0]]}, "type"),
    ("ack", {"committed": [[1, "a", "", 0]]}, "type"),
    ("ack", {"committed": [[1, "a", "b", 1 << 64]]}, "range"),
    ("ack", {"committed": [[1, "a", f"c{n}", n] for n in range(MAX_STREAMS + 1)]}, "too_long"),
    ("kept", {"oldest": []}, "range"),
    ("kept", {"oldest": [[1, "a", "b", -1]]}, "range"),
    ("kept", {"oldest": [[1, "a", f"c{n}", n] for n in range(MAX_STREAMS + 1)]}, "too_long"),
    ("sync", {"field": [0.8, 0.8]}, "range"),
    ("sync", {"field": [math.inf, 0.0]}, "not_finite"),
    ("sync", {"omega": 1e10}, "range"),
    ("sync", {"cell_size": 1 << 32}, "range"),
    ("oscillator", {"phase": 3.15}, "range"),
    ("oscillator", {"natural_omega": math.inf}, "not_finite"),
    ("oscillator", {"effective_omega": -1e10}, "range"),
    ("oscillator", {"entrained": 1}, "type"),
    ("node-command-realign", {"arguments": {}}, "missing"),
    ("node-command-realign", {"arguments": {"band": "stride"}}, "missing"),
    ("node-command-rebirth", {"arguments": {"seconds": 1.0}}, "range"),
    ("node-command-identify", {"arguments": {"seconds": 0.5}}, "range"),
    ("node-command-identify", {"arguments": {"seconds": math.nan}}, "not_finite"),
    ("node-command-loglevel", {"arguments": {"level": "WARNING"}}, "range"),
    ("node-command-log", {"arguments": {"lines": 257}}, "range"),
    ("node-command-log", {"arguments": {"lines": 1.0}}, "type"),
    ("node-command-reload", {"expires_us": -1}, "range"),
]


@pytest.mark.parametrize(("name", "changes", "reason"), NEVER_SENT, ids=str)
def test_a_message_that_would_be_refused_is_never_sent(name: str, changes: dict[str, Any], reason: str) -> None:
    message = BY_NAME[name]
    value = message.value({**message.vectors[0]["fields"], **changes})
    assert refusal(message.encode, value) == reason


# -- acknowledgements --------------------------------------------------------------------------------------------------


def test_as_many_streams_as_there_may_be_fit_however_they_nest() -> None:
    for streams in (
        {Stream(1, "stride", f"c{n}"): n for n in range(MAX_STREAMS)},
        {Stream(n, f"b{n}", f"c{n}"): 2**64 - 1 for n in range(MAX_STREAMS)},
        {Stream(2**32 - 1 - n, "b" * 63, f"{n:063}"): 2**64 - 1 for n in range(MAX_STREAMS)},
    ):
        ack = Ack(boot=1, seq=2, committed=streams)
        payload = encode_ack(ack)
        assert decode_ack(payload) == ack
        assert len(payload) < 24_000


# -- the field and the oscillator --------------------------------------------------------------------------------------


def test_pi_as_a_float32_is_the_greatest_phase() -> None:
    assert float(np.float32(math.pi)) == PHASE
    assert math.pi < PHASE < math.nextafter(PHASE, 4.0)
    frame = BY_NAME["oscillator"].vectors[0]["fields"]
    for phase in (math.pi, -math.pi, PHASE, -PHASE):
        sent = encode_oscillator(OscillatorFrame(**{**frame, "phase": phase}))
        assert decode_oscillator(sent).phase == math.copysign(PHASE, phase)


def test_an_oscillator_follows_what_a_sync_frame_says() -> None:
    """What crosses the wire is what the kernel takes: field, rate and time suffice to lock to the mesh."""
    content = BY_NAME["sync"].content(BY_NAME["sync"].vectors[0]["fields"])
    sync = decode_sync(item(content))
    oscillator = ControlOscillator(sync.omega * 0.97, gain=5.0)
    field, step_s = sync.field, 0.05
    for _ in range(400):
        oscillator.step(step_s, field, field_omega=sync.omega)
        field *= complex(math.cos(sync.omega * step_s), math.sin(sync.omega * step_s))
    frame = OscillatorFrame(
        boot=1,
        seq=0,
        time_us=sync.time_us,
        phase=oscillator.phase,
        natural_omega=sync.omega * 0.97,
        effective_omega=oscillator.rate,
        entrained=True,
    )
    decoded = decode_oscillator(encode_oscillator(frame))
    assert decoded.effective_omega == pytest.approx(sync.omega, rel=1e-6)
    assert decoded.phase == pytest.approx(math.atan2(field.imag, field.real), abs=1e-5)


# -- sums --------------------------------------------------------------------------------------------------------------


def channels(rng: np.random.Generator, n: int) -> dict[str, Any]:
    return {
        "weight": rng.uniform(1e-6, 1e3, n),
        "phasor": np.exp(1j * rng.uniform(-3.0, 3.0, n)),
        "coherence": rng.uniform(0.0, 1.0, n),
        "time_us": rng.integers(0, 2**62, n),
    }


def passed_on(total: PartialSum) -> PartialSum:
    frame = AggregateFrame(boot=1, seq=0, time_us=0, bands={"stride": total}, **OF_STRIDE)
    return decode_aggregate(encode_aggregate(frame)).bands["stride"]


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 40), min_size=1, max_size=6))
@settings(max_examples=50)
def test_sums_that_cross_the_wire_are_those_that_did_not(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    parts = [PartialSum.of(**channels(rng, size)) for size in sizes]
    for part in parts:
        assert passed_on(part) == part
    direct = sum(parts, PartialSum.empty())
    passed = sum(map(passed_on, parts), PartialSum.empty())
    assert passed == direct


def test_a_tree_of_cells_has_the_sums_of_a_flat_mesh() -> None:
    rng = np.random.default_rng(7)
    everybody = channels(rng, 900)
    leaves = [{name: values[part::30] for name, values in everybody.items()} for part in range(30)]
    rooms = [passed_on(PartialSum.of(**leaf)) for leaf in leaves]
    houses = [passed_on(sum(rooms[first::5], PartialSum.empty())) for first in range(5)]
    nested, flat = sum(houses, PartialSum.empty()), PartialSum.of(**everybody)
    assert (nested.count, nested.oldest_time_us) == (flat.count, flat.oldest_time_us)
    for name in ("weight", "resonance", "order", "coherence", "weight_squared"):
        assert getattr(nested, name) == pytest.approx(getattr(flat, name), rel=1e-12)


def test_as_many_bands_as_a_cell_may_have_fit() -> None:
    total = PartialSum.of(**channels(np.random.default_rng(1), 3))
    bands = {f"b{n}": total for n in range(MAX_BANDS)}
    frame = AggregateFrame(boot=1, seq=0, time_us=0, bands=bands, omega=dict.fromkeys(bands, 0.0), cells=CELLS)
    assert decode_aggregate(encode_aggregate(frame)) == frame
    more = replace(frame, bands={**bands, "b": total}, omega={**frame.omega, "b": 0.0})
    assert refusal(encode_aggregate, more) == "too_long"


def test_a_band_without_channels_is_left_out() -> None:
    empty = AggregateFrame(boot=1, seq=0, time_us=0, bands={"stride": PartialSum.empty()}, **OF_STRIDE)
    assert refusal(encode_aggregate, empty) == "type"
    nothing = AggregateFrame(boot=1, seq=0, time_us=0, bands={}, omega={}, cells=CELLS)
    assert decode_aggregate(encode_aggregate(nothing)).bands == {}


def test_so_many_cells_and_no_more() -> None:
    cells = frozenset(n.to_bytes(8, "big") for n in range(MAX_CELLS))
    frame = AggregateFrame(boot=1, seq=0, time_us=0, bands={}, omega={}, cells=cells)
    assert decode_aggregate(encode_aggregate(frame)) == frame
    assert refusal(encode_aggregate, replace(frame, cells=cells | {b"\xff" * 8})) == "too_long"


@pytest.mark.parametrize("weight", [1e-300, 1e-160, 1.0, 1e12])
def test_sums_of_any_size_are_taken(weight: float) -> None:
    one = {"phasor": np.array([1j]), "coherence": np.array([1.0]), "time_us": 0}
    total = PartialSum.of(weight=np.array([weight]), **one)
    assert passed_on(total) == total
