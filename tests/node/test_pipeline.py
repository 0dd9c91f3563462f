"""Samples in, phase frames out: their times, their numbers, their flags, and above all their phases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.devices.contract import Block, Origin
from becomingone.kairos.bands import Band
from becomingone.node.pipeline import PER_TAU, ChannelId, ChannelPipeline, DevicePipeline, Stream
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.frame import MAX_SAMPLES, Flags, PhaseFrame, decode_frame, encode_frame

from .fakes import SECOND_NS, block, channel

STRIDE = Band.of("stride", 0.78, 1.0)
START_US = 1_700_000_000_000_000
ID = ChannelId("stride", "tone")


class Line:
    """One channel's pipeline; its frames, which all go through the codec, stand in `frames`."""

    def __init__(self, rate_hz: float = 50.0, *, floor: float = 0.05, frame_s: float = 0.1, origin: Origin = "live"):
        self.pipeline = ChannelPipeline(
            ID,
            Stream(STRIDE, channel("a", rate_hz, floor), origin, frame_s),
            boot=7,
            clock=MeshClock(VirtualScheduler(START_US), 0.01),
            p_false=0.01,
        )
        self.rate_hz = rate_hz
        self.frames: list[PhaseFrame] = []

    def emit(self, identity: ChannelId, frame: PhaseFrame) -> None:
        assert identity == ID
        self.frames.append(decode_frame(encode_frame(frame)))

    def give(self, *blocks: Block) -> list[PhaseFrame]:
        before = len(self.frames)
        for each in blocks:
            self.pipeline.take(each, self.emit)
        return self.frames[before:]

    def tone(self, start_s: float, seconds: float, **flags: bool) -> list[PhaseFrame]:
        """Give a tone in one block."""
        spacing_s = 1.0 / self.rate_hz
        times = start_s + spacing_s * np.arange(round(seconds * self.rate_hz))
        return self.give(block(round(start_s * 1e9), tone(times), spacing_s=spacing_s, **flags))

    def value(self, at_s: float, value: float | None = None, **flags: bool) -> list[PhaseFrame]:
        given_value = float(tone(np.array([at_s]))[0]) if value is None else value
        return self.give(block(round(at_s * 1e9), [given_value], spacing_s=1.0 / self.rate_hz, **flags))


FREQUENCY_HZ = 0.79
PHASE = 0.6


def tone(times_s: np.ndarray) -> np.ndarray:
    return 3.0 + 2.0 * np.cos(2 * np.pi * FREQUENCY_HZ * times_s + PHASE)


def errors(frame: PhaseFrame) -> np.ndarray:
    """Difference between a frame's phases and those of the tone at the frame's own times, rad."""
    times_s = ((frame.time_us - START_US) + (frame.spacing_us or 0.0) * np.arange(len(frame.phasors))) / 1e6
    expected = 2 * np.pi * FREQUENCY_HZ * times_s + PHASE
    return np.angle(frame.phasors.astype(complex) * np.exp(-1j * expected))


# Blocks


def test_a_block_is_one_frame_with_the_time_of_its_first_sample() -> None:
    line = Line()
    frames = [frame for n in range(30) for frame in line.tone(n * 0.5, 0.5)]
    assert len(frames) == 30
    assert [frame.seq for frame in frames] == list(range(30))
    assert [frame.time_us for frame in frames] == [START_US + 500_000 * n for n in range(30)]
    assert all(frame.spacing_us == pytest.approx(20_000) and len(frame.phasors) == 25 for frame in frames)
    assert {frame.boot for frame in frames} == {7}
    assert frames[0].clock_sigma_s == pytest.approx(0.01)
    assert frames[0].flags == Flags.UNDECIDABLE  # the filter has not settled: no phase yet
    assert not frames[0].phasors.any()
    assert frames[0].coherence == 0.0
    assert frames[0].p == 1.0
    assert frames[-1].flags & Flags.VALID


def test_the_phase_of_a_tone_is_right_at_its_own_time() -> None:
    line = Line()
    for n in range(120):
        line.tone(n * 0.5, 0.5)
    for frame in line.frames[-20:]:
        assert np.abs(errors(frame)).max() < 0.01
        assert frame.omega == pytest.approx(2 * math.pi * FREQUENCY_HZ, rel=1e-3)
        assert frame.coherence > 0.99
        assert frame.resonance is not None


def test_the_phase_does_not_depend_on_how_the_stream_is_cut() -> None:
    whole, cut = Line(), Line()
    whole.tone(0.0, 40.0)
    for n in range(80):
        cut.tone(n * 0.5, 0.5)
    one = whole.frames[-1].phasors
    many = np.concatenate([frame.phasors for frame in cut.frames])
    assert np.abs(one - many).max() < 1e-5


@pytest.mark.parametrize(
    ("origin", "flag"), [("live", Flags.NONE), ("replayed", Flags.REPLAYED), ("simulated", Flags.SIMULATED)]
)
def test_every_frame_says_where_its_samples_come_from(origin: Origin, flag: Flags) -> None:
    line = Line(origin=origin)
    line.tone(0.0, 10.0)
    line.value(10.0)
    assert [frame.flags & (Flags.REPLAYED | Flags.SIMULATED) for frame in line.frames] == [flag, flag]


def test_saturation_is_told_once() -> None:
    line = Line()
    line.tone(0.0, 1.0)
    line.tone(1.0, 1.0, saturated=True)
    line.tone(2.0, 1.0)
    assert [bool(frame.flags & Flags.SATURATED) for frame in line.frames] == [False, True, False]


def test_undecidable_until_there_is_enough_evidence() -> None:
    line = Line()
    line.tone(0.0, 8.0)
    line.tone(8.0, 200.0)
    assert line.frames[0].flags & Flags.VALID
    assert line.frames[0].flags & Flags.UNDECIDABLE
    assert not line.frames[1].flags & Flags.UNDECIDABLE
    assert line.frames[1].p < 0.01


def test_silence_has_no_phase() -> None:
    line = Line(floor=0.05)
    times = 0.02 * np.arange(1000)
    frames = line.give(block(0, 3.0 + 0.01 * tone(times), spacing_s=0.02))
    assert not frames[-1].flags & Flags.VALID
    assert not frames[-1].phasors.any()


def test_missing_samples_have_no_phase_and_are_told() -> None:
    line = Line()
    line.tone(0.0, 40.0)
    samples = tone(40.0 + 0.02 * np.arange(50))
    samples[10:20] = np.nan
    (frame,) = line.give(block(40 * SECOND_NS, samples, spacing_s=0.02))
    assert np.flatnonzero(frame.phasors == 0).tolist() == list(range(10, 20))
    assert frame.flags & Flags.GAP
    assert frame.flags & Flags.VALID
    assert not line.tone(41.0, 1.0)[0].flags & Flags.GAP


def test_a_block_without_samples_changes_nothing() -> None:
    line, other = Line(), Line()
    for each in (line, other):
        each.tone(0.0, 40.0)
    assert line.give(block(41 * SECOND_NS, [], spacing_s=0.02)) == []
    frames = [each.tone(42.0, 1.0)[0] for each in (line, other)]
    assert encode_frame(frames[0]) == encode_frame(frames[1])


# Gaps


def test_a_gap_in_time_is_told_and_does_not_bend_the_phase() -> None:
    line = Line()
    line.tone(0.0, 60.0)
    (frame,) = line.tone(62.5, 1.0)
    assert frame.flags & Flags.GAP
    assert frame.flags & Flags.VALID
    # The filter's memory is carried on at the band's centre: 2π·0.01 Hz·2.5 s off, and fading.
    assert np.abs(errors(frame)).max() < 0.17
    assert frame.time_us == START_US + 62_500_000
    (after,) = line.tone(63.5, 30.0)
    assert not after.flags & Flags.GAP
    assert abs(errors(after)[-1]) < 0.01
    assert [frame.seq for frame in line.frames] == [0, 1, 2]


def test_a_long_gap_begins_anew() -> None:
    line = Line()
    line.tone(0.0, 60.0)
    (frame,) = line.tone(600.0, 1.0)
    assert frame.flags & Flags.GAP
    assert not frame.flags & Flags.VALID


def test_jitter_of_a_block_is_no_gap() -> None:
    line = Line()
    for n, jitter_s in enumerate([0.0, 0.009, 0.0, -0.009, 0.0]):
        line.tone(n * 0.5 + jitter_s, 0.5)
    assert not any(frame.flags & Flags.GAP for frame in line.frames)


def test_a_device_may_tell_of_a_gap_that_time_does_not_show() -> None:
    line = Line()
    line.tone(0.0, 1.0)
    line.tone(1.0, 1.0, gap=True)
    line.tone(2.0, 1.0)
    assert [bool(frame.flags & Flags.GAP) for frame in line.frames] == [False, True, False]


def test_time_that_goes_back_is_told() -> None:
    line = Line()
    line.tone(0.0, 10.0)
    line.tone(5.0, 1.0)
    line.tone(6.0, 1.0)
    assert [bool(frame.flags & Flags.GAP) for frame in line.frames] == [False, True, False]


# The longest frame


def test_a_block_longer_than_a_frame_is_split() -> None:
    line = Line(rate_hz=5000.0)
    stride = 5_000 // PER_TAU
    n = MAX_SAMPLES + 3
    spacing_s = 1 / 5000.0
    frames = line.give(block(0, tone(spacing_s * np.arange(n)), spacing_s=spacing_s))
    assert [len(frame.phasors) for frame in frames] == [-(-MAX_SAMPLES // stride), 1]
    assert [frame.seq for frame in frames] == [0, 1]
    assert [frame.last_time_us for frame in frames] == [START_US + (MAX_SAMPLES - 1) * 200, START_US + (n - 1) * 200]
    assert not any(frame.flags & Flags.GAP for frame in frames)
    after = line.give(block(n * 200_000, tone(spacing_s * np.arange(n, n + 5)), spacing_s=spacing_s))
    assert not after[0].flags & Flags.GAP


def test_a_single_sample_left_over_is_a_frame_without_spacing() -> None:
    line = Line(rate_hz=5000.0)
    spacing_s = 1 / 5000.0
    first, second = line.give(block(0, tone(spacing_s * np.arange(MAX_SAMPLES + 1)), spacing_s=spacing_s, gap=True))
    assert first.flags & Flags.GAP
    assert not second.flags & Flags.GAP
    assert (len(second.phasors), second.spacing_us) == (1, None)


# Single values


def test_values_of_a_slow_device_are_a_frame_each() -> None:
    line = Line(rate_hz=5.0, frame_s=0.2)
    for n in range(50):
        line.value(n * 0.2)
    assert [frame.seq for frame in line.frames] == list(range(50))
    assert [frame.time_us for frame in line.frames] == [START_US + 200_000 * n for n in range(50)]
    assert all(frame.spacing_us is None for frame in line.frames)


def test_values_of_a_fast_device_make_frames_at_the_frame_pace() -> None:
    line = Line(rate_hz=100.0, frame_s=0.1)
    for n in range(1001):
        line.value(n * 0.01)
    assert [(frame.time_us - START_US) / 1e5 for frame in line.frames] == list(range(101))
    assert [frame.seq for frame in line.frames] == list(range(101))


def test_the_frame_pace_does_not_beat_with_jitter() -> None:
    rng = np.random.default_rng(1)
    line = Line(rate_hz=10.0, frame_s=0.1)
    for n in range(500):
        line.value(n * 0.1 + rng.uniform(0, 0.03))
    assert len(line.frames) == 500


def test_the_phase_of_jittered_values_is_right_at_their_own_times() -> None:
    rng = np.random.default_rng(2)
    line = Line(rate_hz=20.0, frame_s=0.1)
    for n in range(2400):
        line.value(n * 0.05 + rng.uniform(-0.005, 0.005))
    for frame in line.frames[-100:]:
        assert abs(errors(frame)[0]) < 0.01
        assert frame.coherence > 0.99


def test_evenly_spaced_values_and_blocks_agree() -> None:
    blocks, values = Line(), Line(frame_s=0.02)
    blocks.tone(0.0, 40.0)
    for n in range(2000):
        values.value(n * 0.02)
    assert blocks.frames[-1].phasors[-1] == pytest.approx(values.frames[-1].phasors[0], abs=1e-5)
    assert blocks.frames[-1].coherence == pytest.approx(values.frames[-1].coherence, abs=1e-4)


def test_a_late_value_is_no_gap_and_a_very_late_one_is() -> None:
    line = Line(rate_hz=10.0, frame_s=0.1)
    for n in range(600):
        line.value(n * 0.1)
    (late,) = line.value(60.2)  # 3 spacings after 59.9
    assert not late.flags & Flags.GAP
    (very_late,) = line.value(61.0)
    assert very_late.flags & Flags.GAP
    assert very_late.flags & Flags.VALID
    assert abs(errors(very_late)[0]) < 0.17
    frames = [frame for n in range(611, 900) for frame in line.value(n * 0.1)]
    assert not any(frame.flags & Flags.GAP for frame in frames)
    assert abs(errors(frames[-1])[0]) < 0.01


def test_a_value_at_the_same_instant_is_ignored() -> None:
    line, other = Line(rate_hz=10.0), Line(rate_hz=10.0)
    for n in range(300):
        line.value(n * 0.1)
        assert line.value(n * 0.1, 99.0) == []
        other.value(n * 0.1)
    assert encode_frame(line.frames[-1]) == encode_frame(other.frames[-1])


def test_values_whose_time_jumped_ahead_once_go_on() -> None:
    """A single wrong time stamp must not silence the channel until that time has come."""
    line = Line(rate_hz=10.0)
    for n in range(100):
        line.value(n * 0.1)
    line.value(100_000.0)
    frames = [frame for n in range(101, 301) for frame in line.value(n * 0.1)]
    assert len(frames) == 200
    assert frames[0].flags & Flags.GAP
    assert not any(frame.flags & Flags.GAP for frame in frames[1:])
    assert frames[-1].flags & Flags.VALID


def test_a_missing_value_is_told_even_where_its_frame_is_not_due() -> None:
    line = Line(rate_hz=100.0, frame_s=0.1)
    for n in range(1001):
        line.value(n * 0.01)
    line.value(10.01, math.nan)
    frames = [frame for n in range(1002, 1021) for frame in line.value(n * 0.01)]
    assert [bool(frame.flags & Flags.GAP) for frame in frames] == [True, False]


def test_a_missing_value_has_no_phase() -> None:
    line = Line(rate_hz=10.0)
    for n in range(300):
        line.value(n * 0.1)
    (frame,) = line.value(30.0, math.nan)
    assert not frame.flags & Flags.VALID
    assert frame.flags & Flags.GAP
    assert frame.phasors[0] == 0
    (frame,) = line.value(30.1)
    assert frame.flags & Flags.VALID


def test_flags_of_values_that_make_no_frame_are_not_lost() -> None:
    line = Line(rate_hz=100.0, frame_s=0.1)
    for n in range(31):
        line.value(n * 0.01, saturated=n == 15, gap=n == 16)
    told = [frame.flags & (Flags.SATURATED | Flags.GAP) for frame in line.frames]
    assert told == [Flags.NONE, Flags.NONE, Flags.SATURATED | Flags.GAP, Flags.NONE]


def test_a_bulk_source_that_gives_one_sample_at_times_stays_right() -> None:
    line = Line()
    at = 0
    for size in [1, 5, 1, 1, 3] * 300:
        line.give(block(at * 20_000_000, tone(0.02 * np.arange(at, at + size)), spacing_s=0.02))
        at += size
    blocks = [frame for frame in line.frames if len(frame.phasors) > 1]
    assert not any(frame.flags & Flags.GAP for frame in line.frames)
    assert np.abs(errors(blocks[-1])).max() < 0.01
    assert [frame.seq for frame in line.frames] == list(range(len(line.frames)))


# Whatever comes


SAMPLES = st.lists(
    st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf, 1e300, 0.0]), min_size=0, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1.0, 3.0), SAMPLES, st.booleans(), st.sampled_from([0.02, 0.1, 1.0])), max_size=12)
)
def test_any_stream_makes_frames_that_a_hub_takes(stream: list[tuple[float, list[float], bool, float]]) -> None:
    line = Line()
    at_s = 10.0
    for step_s, samples, flag, spacing_s in stream:
        at_s += step_s
        line.give(block(round(at_s * 1e9), samples, spacing_s=spacing_s, gap=flag, saturated=flag))
    assert [frame.seq for frame in line.frames] == list(range(len(line.frames)))
    assert all(bool(frame.flags & Flags.VALID) == bool(frame.phasors[-1] != 0) for frame in line.frames)


# More samples than the band can show


@pytest.mark.parametrize("length", [1, 5, 2_400, 9_601])
def test_of_very_many_samples_as_many_phasors_are_sent_as_the_band_can_show(length: int) -> None:
    every, thinned = Line(128.0), Line(48_000.0)
    stride = 48_000 // PER_TAU
    (frame,) = thinned.give(block(0, np.cos(np.arange(length) / 50.0), spacing_s=1 / 48_000)) or [None]
    assert frame is not None
    assert len(frame.phasors) == -(-length // stride)
    assert frame.last_time_us - START_US == pytest.approx((length - 1) / 0.048, abs=2.0)  # the last is always there
    assert frame.spacing_us == (None if len(frame.phasors) == 1 else pytest.approx(stride / 0.048, rel=1e-6))
    assert len(every.tone(0.0, 1.0)[0].phasors) == 128


# A device with several channels


def test_a_device_feeds_each_channel_in_each_of_its_bands() -> None:
    got: list[tuple[ChannelId, PhaseFrame]] = []
    clock = MeshClock(VirtualScheduler(START_US))
    motion = Band.of("motion", 1.5, 0.5)
    arguments: dict[str, Any] = {"boot": 1, "clock": clock, "p_false": 0.01}
    device = DevicePipeline(
        [
            (
                name,
                ChannelPipeline(
                    ChannelId(band.name, f"x_{name}"), Stream(band, channel(name), "live", 0.1), **arguments
                ),
            )
            for name in ("a", "b")
            for band in (STRIDE, motion)
        ]
    )
    device.take(
        [block(0, [1.0], name="a"), block(0, [1.0], name="b"), block(0, [1.0], name="unknown")],
        lambda identity, frame: got.append((identity, frame)),
    )
    assert [identity for identity, _ in got] == [
        ChannelId("stride", "x_a"),
        ChannelId("motion", "x_a"),
        ChannelId("stride", "x_b"),
        ChannelId("motion", "x_b"),
    ]
    assert [frame.seq for _, frame in got] == [0, 0, 0, 0]
