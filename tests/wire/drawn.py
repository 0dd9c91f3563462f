"""Any message, as hypothesis draws it: the fields of each kind as its vectors say them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.wire.command import RANGES
from becomingone.wire.fields import FLOAT32
from becomingone.wire.frame import Flags, PhaseFrame
from becomingone.wire.topics import NAME

Fields = dict[str, Any]
"""A message as its vector says it."""

uint32 = st.integers(0, 2**32 - 1)
uint63 = st.integers(0, 2**63 - 1)
uint64 = st.integers(0, 2**64 - 1)
names = st.from_regex(NAME, fullmatch=True)


def singles(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most, width=32)


def phasor(modulus: float, phase: float) -> complex:
    return complex(np.complex64(modulus * np.exp(1j * phase)))


spread = singles(0.0, FLOAT32)
rates = singles(-1e9, 1e9)
phases = singles(-float(np.float32(np.pi)), float(np.float32(np.pi)))
phasors = st.builds(phasor, st.sampled_from([0.0, 0.25, 1.0]), singles(-3.0, 3.0))
pairs = phasors.map(lambda sample: [sample.real, sample.imag])


@st.composite
def phase_frames(draw: st.DrawFn, *, least: int = 1, most: int = 40) -> PhaseFrame:
    samples = draw(st.lists(phasors, min_size=least, max_size=most))
    return PhaseFrame(
        boot=draw(uint32),
        seq=draw(uint64),
        time_us=draw(uint63),
        phasors=np.array(samples, np.complex64),
        spacing_us=draw(singles(2.0**-9, 1e9)) if len(samples) > 1 else None,
        coherence=draw(singles(0.0, 1.0)),
        n_eff=draw(singles(1.0, FLOAT32)),
        p=draw(singles(0.0, 1.0)),
        omega=draw(rates),
        omega_sigma=draw(spread),
        phase_sigma=draw(spread),
        clock_sigma_s=draw(spread),
        flags=Flags(draw(st.integers(0, 127))),
        resonance=draw(st.none() | phasors),
    )


def records(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Fields]:
    return st.fixed_dictionaries(fields)


pongs = records(boot=uint32, seq=uint64, t1_ns=uint63, t2_ns=uint63, t3_ns=uint63, hub_boot=uint32, sigma_s=spread).map(
    lambda pong: {**pong, "t2_ns": min(pong["t2_ns"], pong["t3_ns"]), "t3_ns": max(pong["t2_ns"], pong["t3_ns"])}
)

committed = st.dictionaries(st.tuples(uint32, names, names), uint64, min_size=1, max_size=6).map(
    lambda streams: sorted([*stream, seq] for stream, seq in streams.items())
)


@st.composite
def sums(draw: st.DrawFn) -> Fields:
    n = draw(st.integers(1, 5))
    weight = np.array(draw(st.lists(st.floats(1e-3, 1e3), min_size=n, max_size=n)))
    coherence = np.array(draw(st.lists(st.floats(0.0, 1.0), min_size=n, max_size=n)))
    phase = np.array(draw(st.lists(st.floats(-3.0, 3.0), min_size=n, max_size=n)))
    time_us = draw(uint63)
    return sum_fields(PartialSum.of(weight=weight, phasor=np.exp(1j * phase), coherence=coherence, time_us=time_us))


@st.composite
def aggregates(draw: st.DrawFn) -> Fields:
    """The fields of an aggregate: sums and a rate of each band, and whose they are."""
    bands = draw(st.dictionaries(names, sums(), max_size=3))
    return {
        "boot": draw(uint32),
        "seq": draw(uint64),
        "time_us": draw(uint63),
        "bands": bands,
        "omega": {band: draw(st.floats(-1e9, 1e9)) for band in bands},
        "cells": sorted(draw(st.sets(st.binary(min_size=8, max_size=8).map(bytes.hex), min_size=1, max_size=3))),
    }


def sum_fields(total: PartialSum) -> Fields:
    """A sum by the names of the page, in the order of the array."""
    return {
        "weight": total.weight,
        "resonance_re": total.resonance.real,
        "resonance_im": total.resonance.imag,
        "order_re": total.order.real,
        "order_im": total.order.imag,
        "coherence": total.coherence,
        "weight_squared": total.weight_squared,
        "count": total.count,
        "oldest_time_us": total.oldest_time_us,
    }


def sum_of(fields: Fields) -> PartialSum:
    return PartialSum(
        weight=fields["weight"],
        resonance=complex(fields["resonance_re"], fields["resonance_im"]),
        order=complex(fields["order_re"], fields["order_im"]),
        coherence=fields["coherence"],
        weight_squared=fields["weight_squared"],
        count=fields["count"],
        oldest_time_us=fields["oldest_time_us"],
    )


def values_of(role: str) -> st.SearchStrategy[dict[str, float]]:
    ranges = {name: singles(least, most) for name, (least, most) in RANGES[role].items()}
    return st.fixed_dictionaries({}, optional=ranges).filter(bool)


start = {"boot": uint32, "id": uint64, "expires_us": uint63}
realign = records(band=names, phase=phases, omega=rates, time_us=uint63)
