"""Kept frames enter the past where they belong, whenever they come."""

from __future__ import annotations

import numpy as np

from becomingone.hub.memory.channel_history import reconstruct_channel
from becomingone.hub.memory.channel_tiers import FULL, MOST_WAITING, ChannelKey, ChannelTiers
from becomingone.hub.memory.packed import pack
from becomingone.hub.memory.protocol import Record, StreamKey

from .remembering import BANDS, START_US, Listed, Walk, kept, recorder

SECOND = 1_000_000
KEY = ChannelKey("n0", "stride", "leg")
NOW = START_US + 100_000 * SECOND


def stream(seed: int, frames: int) -> list[Record]:
    rng = np.random.default_rng(seed)
    return [
        kept(seq, START_US + seq * SECOND, 4.9 * (seq + np.arange(10) / 10) + 0.3 * rng.standard_normal(10))
        for seq in range(frames)
    ]


def fed(batches: list[list[Record]]) -> ChannelTiers:
    tiers = ChannelTiers(BANDS, most=8, every_s=1.0)
    for batch in batches:
        tiers.put(batch)
        for _ in range(len(batch)):
            tiers.work(NOW, 2)
    tiers.settle(NOW)
    return tiers


def test_late_frames_are_as_good_as_timely_ones() -> None:
    frames = stream(1, 2000)
    timely = fed([frames])
    late = fed([frames[:500], frames[1500:], frames[900:1500], frames[500:900]])
    one, other = timely.pyramid(KEY), late.pyramid(KEY)
    assert one is not None
    assert other is not None
    assert one.count == other.count == 20_000
    rng = np.random.default_rng(2)
    for _ in range(200):
        at = int(START_US + rng.integers(10, 2000) * SECOND)
        window = int(10 ** rng.uniform(6.5, 9.2))
        first, second = one.reconstruct_coherence(at, window), other.reconstruct_coherence(at, window)
        assert abs(first.phasor - second.phasor) <= 1e-12
        assert abs(first.bound - second.bound) <= 1e-9


def test_what_cannot_be_is_refused_and_counted() -> None:
    tiers = ChannelTiers(BANDS, most=1, every_s=1.0)
    tiers.put(
        [
            kept(0, NOW + 60 * SECOND, [0.0]),
            kept(1, 5 * SECOND, [0.0]),
            kept(2, START_US, [0.0]),
            kept(3, START_US, [0.0], channel="arm"),
            Record(StreamKey("n0", "none", "leg", 3), 4, START_US, b""),
            Record(StreamKey("n0", "stride", "leg", 3), 5, START_US, b"\xff"),
        ]
    )
    tiers.settle(NOW)
    assert tiers.refused.pop("future") == 1
    assert tiers.refused.pop("before_epoch") == 1
    assert tiers.refused.pop("too_many_channels") == 1
    assert tiers.refused.pop("unknown_band") == 1
    assert tiers.refused.total() == 1
    pyramid = tiers.pyramid(KEY)
    assert pyramid is not None
    assert pyramid.count == 1


def test_what_waits_is_bounded_and_a_tick_reads_a_few() -> None:
    tiers = ChannelTiers(BANDS, most=4, every_s=1.0)
    one = kept(0, START_US, [0.0])
    tiers.put([one] * (MOST_WAITING + 7))
    assert tiers.refused["waiting"] == 7
    for _ in range(FULL // 8):
        tiers.work(NOW, 8)
    pyramid = tiers.pyramid(KEY)
    assert pyramid is not None
    assert pyramid.count == FULL


def test_packed_and_restored_they_are_the_same_bits() -> None:
    first = fed([stream(3, 700)])
    pieces = {name: pack(state) for name, state in first.pieces()}
    again = ChannelTiers(BANDS, most=8, every_s=1.0)
    assert again.restore(pieces) == []
    assert {name: pack(state) for name, state in again.pieces()} == pieces
    other = ChannelTiers(BANDS, most=8, every_s=2.0)
    assert "begins anew" in other.restore(pieces)[0]
    assert "left out" in ChannelTiers(BANDS, most=0, every_s=1.0).restore(pieces)[0]


def test_a_channel_is_known_exactly_from_its_frames_and_within_the_bound_from_its_tier() -> None:
    memory = Listed()
    walk = Walk(5)
    made = recorder(memory, walk)
    memory.kept = stream(5, 2000)
    made.take(walk.tick(START_US + 3000 * SECOND))
    made.frames(memory.kept)
    made.close()
    at, window = START_US + 900 * SECOND, 333 * SECOND
    exact = reconstruct_channel(memory, BANDS[0], KEY, at, window)
    memory.kept = []
    rough = reconstruct_channel(memory, BANDS[0], KEY, at, window)
    assert exact.bound == 0.0
    assert exact.valid
    assert 0.0 < rough.bound < 0.2
    assert abs(rough.phasor - exact.phasor) <= rough.bound
    assert not reconstruct_channel(memory, BANDS[0], KEY._replace(channel="arm"), at, window).valid


def test_none_are_kept_where_none_are_asked_for() -> None:
    tiers = ChannelTiers(BANDS, most=0, every_s=1.0)
    tiers.put(stream(4, 3))
    tiers.settle(NOW)
    assert len(tiers) == 0
    assert not tiers.refused
