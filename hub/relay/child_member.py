"""How a cell within this one looks as a member of the mesh: one channel a band, its mean field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from becomingone.hub.relay.section import ChildSection
from becomingone.kairos.bands import Band
from becomingone.kairos.rayleigh import rayleigh_p
from becomingone.wire.aggregate import AggregateFrame
from becomingone.wire.announce import About
from becomingone.wire.frame import PROTOCOL, Flags
from becomingone.wire.layout import Live

CHANNEL: Final = "mean_field"
"""The one channel of a child."""

_UNIFORM: Final = math.pi / math.sqrt(3.0)
"""Standard deviation of a phase about which nothing is known, rad."""

_LEAST: Final = 1e-6
"""A mean field that is shorter has no phase."""

_MOST_RATIO: Final = 2.0
"""A mean field that turns at more than so many times its band's rate is none of that band."""


def as_member(frame: AggregateFrame, band: Band, clock_sigma_s: float) -> Live:
    """Give a child's mean field in a band as a node's frame would: of as many samples as its weights stand for.

    Parameters
    ----------
    frame : AggregateFrame
        Holds the band.
    band : Band
        As this cell's plan has it.
    clock_sigma_s : float
        Standard deviation of the child's clock, s.

    Notes
    -----
    The variance of a mean direction is about (1 − R²)/(2nR²) [1]_; the rate is as sure as the band's window allows.

    References
    ----------
    .. [1] K. V. Mardia and P. E. Jupp, "Directional Statistics", 2000, 4.8.
    """
    total = frame.bands[band.name]
    field = total.resonance / total.weight
    coherence = min(1.0, abs(field))
    # Of a weight so small that its square underflows, nobody knows of how many it is.
    n = max(1.0, total.weight * total.weight / total.weight_squared) if total.weight_squared > 0.0 else 1.0
    spread = math.sqrt((1.0 - coherence**2) / (2.0 * n)) / max(coherence, _LEAST)
    unit = field / abs(field) if coherence > _LEAST else 0j
    omega = frame.omega[band.name]
    turns = coherence > _LEAST and 0.0 <= omega <= _MOST_RATIO * band.omega
    # fmt: off
    return (
        float(frame.time_us), unit.real, unit.imag, coherence, n, rayleigh_p(coherence, n), omega,
        1.0 / (2.0 * band.coherence_tau_s), min(_UNIFORM, spread), math.nan, math.nan, clock_sigma_s,
        int(Flags.VALID if turns else Flags.NONE),
    )
    # fmt: on


def about(name: str, section: ChildSection, boot: int, bands: Sequence[Band]) -> About:
    """Describe a child as a node describes itself.

    Parameters
    ----------
    name : str
        Its id as a member.
    section : ChildSection
        How it is taken.
    boot : int
        The boot id of its hub.
    bands : sequence of Band
        Those of this cell's plan that it has.
    """
    interval_s = section.max_age_s / 3.0
    plan = {
        band.name: {
            "frequency_hz": band.frequency_hz,
            "tau_s": band.tau_s,
            "lag_s": band.lag_s,
            "coherence_tau_s": band.coherence_tau_s,
        }
        for band in bands
    }
    channel = {
        "name": CHANNEL,
        "device": "cell",
        "kind": "aggregate",
        "unit": "",
        "quantity": "mean field",
        "rate_hz": 1.0 / interval_s,
        "floor": 0.0,
        "origin": "live",
        "bands": tuple(plan),
        "interval_s": interval_s,
    }
    return About.model_validate(
        {
            "protocol": PROTOCOL,
            "node": name,
            "hardware": "cell",
            "tau_s": (1e-6, 1e6),
            "capability": section.weight,
            "interval_s": interval_s,
            "bands": plan,
            "channels": (channel,),
            "devices": (),
            "outputs": (),
            "software": "",
            "config_sha256": "",
            "boot": boot,
            "pid": 0,
        }
    )
