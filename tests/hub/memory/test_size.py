"""How large the memory becomes: in a day, and in a year."""

from __future__ import annotations

import json

import numpy as np

from becomingone.hub.memory.beats import pace_us
from becomingone.hub.memory.packed import pack, unpack_pyramid
from becomingone.hub.memory.recorder import RememberSection
from becomingone.hub.memory.tiers import log_time
from becomingone.kairos.bands import DEFAULT_BANDS
from becomingone.kairos.memory.pyramid import Pyramid

from .remembering import START_US, Listed, Walk, recorder, run

SECOND = 1_000_000
DAY_S = 86_400


def test_a_day_of_thirty_nodes_in_six_bands_is_what_the_manual_says() -> None:
    memory, walk = Listed(), Walk(1, DEFAULT_BANDS, channels=30)
    made = recorder(memory, walk)
    span_s = 600
    run(made, walk, START_US, START_US + span_s * SECOND, tick_us=SECOND)
    made.close()

    def mb_a_day(kind: str) -> float:
        return sum(len(json.dumps(entry.body)) for entry in memory.of(kind)) * DAY_S / span_s / 1e6

    assert len(memory.of("mesh")) * DAY_S / span_s <= 1.02 * DAY_S
    assert 50.0 < mb_a_day("mesh") < 110.0
    assert 5.0 < mb_a_day("pattern") < 15.0


def test_a_year_is_remembered_in_tiers_of_a_bounded_size() -> None:
    """A simulation: one beat in 30 s for a year, and one a second in the last hours, so that all levels are full."""
    section = RememberSection()
    rng = np.random.default_rng(1)
    pace = pace_us(DEFAULT_BANDS[0], section.every_s)
    pyramid = Pyramid(pace, keep=section.keep)
    year = np.arange(START_US, START_US + 365 * DAY_S * SECOND, 30 * SECOND)
    last = np.arange(year[-1] + SECOND, year[-1] + 6 * 3600 * SECOND, SECOND)
    for times in (*np.array_split(year, 50), last):
        pyramid.insert_block(times, np.exp(1j * rng.normal(size=len(times))), rng.uniform(1.0, 30.0, len(times)))
    text = pack(pyramid.state())
    levels = pyramid.levels
    assert levels <= 21
    assert len(text) < 110_000
    # three a band and its bank, six bands, eight times a day
    entry = 6 * (3 * len(text) + 64 * len(log_time(pace).tau_us))
    assert entry < 2_000_000
    assert unpack_pyramid(text).state()["levels"] == levels
    # ten years more add a level or so for each doubling
    pyramid.insert_block(year + 10 * 365 * DAY_S * SECOND, np.ones(len(year), complex), np.ones(len(year)))
    assert len(pack(pyramid.state())) < 1.3 * len(text)
    print(f"a pyramid of a year: {levels} levels, {len(text)} characters; an entry of six bands: {entry / 1e6:.2f} MB")
