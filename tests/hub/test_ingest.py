"""What enters the live state, and what is refused, counted, and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from becomingone.hub.intake.described import MAX_NODE_ROWS
from becomingone.kairos.bands import DEFAULT_BANDS
from becomingone.wire import cbor
from becomingone.wire.frame import Flags, encode_frame

from .parts import MOTION, NOW_US, STRIDE, TOPICS, Intake, about, band_about, channel_about, frame


def test_a_frame_enters_the_table() -> None:
    intake = Intake(about())
    assert intake.take(frame(0.5)) is None
    assert intake.take(frame(-0.5), "n/phase/motion/tone") is None
    assert intake.phase() == pytest.approx(0.5)
    assert intake.phase(band="motion") == pytest.approx(-0.5)
    assert intake.table["band"].tolist() == [0, 1]
    (member,) = intake.roster.members
    assert (member.frames, member.missing, member.refused) == (2, 0, {})
    assert intake.ingest.frames == 2


# Refusals: each is counted against its node and changes nothing

REFUSALS: list[tuple[str, str, Any]] = [
    ("n/phase/stride/other", "unknown_channel", frame(seq=5)),
    ("n/phase/strife/tone", "unknown_channel", frame(seq=5)),
    ("n/phase/stride", "unknown_channel", frame(seq=5)),
    ("n/phase/stride/tone/more", "unknown_channel", frame(seq=5)),
    ("n/phase/stride/tone", "replayed", frame(seq=4)),
    ("n/phase/stride/tone", "replayed", frame(seq=3)),
    ("n/phase/stride/tone", "boot", frame(boot=0, seq=900)),
    ("n/phase/stride/tone", "boot", frame(boot=2, seq=5)),
    ("n/phase/stride/tone", "late", frame(seq=5, time_us=NOW_US - 6_000_000)),
    ("n/phase/stride/tone", "historical", frame(seq=5, flags=Flags.VALID | Flags.HISTORICAL)),
    ("n/phase/stride/tone", "future", frame(seq=5, time_us=NOW_US + 1_000_001)),
    (
        "n/phase/stride/tone",
        "future",
        frame(seq=5, phasors=np.ones(11, np.complex64), spacing_us=100_001.0),
    ),
    ("n/phase/stride/tone", "type", b""),
    ("n/phase/stride/tone", "trailing", encode_frame(frame(seq=5)) + b"\0"),
    ("n/phase/stride/tone", "truncated", encode_frame(frame(seq=5))[:-1]),
    ("n/phase/stride/tone", "missing", cbor.encode({1: 1})),
    ("n/phase/stride/tone", "oversize", b"\xa1" * (2**20 + 1)),
]


@pytest.mark.parametrize(
    ("topic", "reason", "given_frame"), REFUSALS, ids=[f"{reason}-{n}" for n, (_, reason, _) in enumerate(REFUSALS)]
)
def test_what_is_refused_is_counted_and_changes_nothing(topic: str, reason: str, given_frame: Any) -> None:
    intake = Intake(about())
    assert intake.take(frame(0.5, seq=4)) is None
    before = intake.content
    assert intake.take(given_frame, topic) == reason
    assert intake.content == before
    (member,) = intake.roster.members
    assert member.refused == {reason: 1}
    assert (member.frames, member.missing, intake.ingest.frames) == (1, 0, 1)
    assert intake.take(frame(seq=5)) is None  # nothing was used up
    assert member.missing == 0


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "becomingone/home/node",
        "becomingone/home/node/n",
        "becomingone/office/node/n/phase/stride/tone",
        "becomingone/home/node/N/phase/stride/tone",
        "becomingone/home/node/n/phase//tone",
        "becomingone/home/node/n/phase/stride/../x",
        "becomingone/home/node/n/oscillator/stride/tone",
        "becomingone/home/node/" + "n" * 64 + "/phase/stride/tone",
        "becomingone/home/node/n/phase/stride/tone\n",
    ],
)
def test_a_topic_that_is_no_channel_s_is_refused(topic: str) -> None:
    intake = Intake(about())
    error = intake.ingest.take(topic, encode_frame(frame()), now_us=NOW_US, now_ns=0)
    assert error is not None
    assert error.reason == "topic"
    assert len(intake.table) == 0
    assert intake.ingest.refused == {"topic": 1}
    assert [member.id for member in intake.roster.members] == ["n"]


# Strangers


def test_a_node_that_has_not_described_itself_is_refused() -> None:
    intake = Intake()
    member = intake.roster.enrol("n", 0)
    assert intake.take(frame()) == "no_about"
    assert member.refused == {"no_about": 1}


def test_strangers_leave_nothing_behind() -> None:
    intake = Intake(about())
    for number in range(1000):
        assert intake.take(frame(), f"s{number}/phase/stride/tone") == "no_about"
        assert intake.take(b"junk", f"n/phase/stride/c{number}") in ("type", "trailing")
        assert intake.take(frame(seq=number), f"n/phase/b{number}/tone") == "unknown_channel"
    assert [member.id for member in intake.roster.members] == ["n"]
    assert len(intake.table) == 0
    assert intake.ingest.streams == 0
    assert intake.ingest.refused == {"no_about": 1000}


def test_a_node_cannot_have_more_rows_than_its_share() -> None:
    intake = Intake()
    bands = {f"b{n}": band_about(band) for n, band in enumerate(DEFAULT_BANDS)}
    intake.ingest.bands = [type(band)(f"b{n}", *_figures(band)) for n, band in enumerate(DEFAULT_BANDS)]
    payload = encode_frame(frame())
    refused = 0
    for life in range(2):
        channels = tuple(channel_about(f"c{life}-{n}", *bands) for n in range(MAX_NODE_ROWS // 10))
        intake.describe(about(channels=channels, bands=bands))
        for channel in channels:
            for band in bands:
                refused += intake.take(payload, f"n/phase/{band}/{channel['name']}") == "too_many_channels"
    assert len(intake.table) == MAX_NODE_ROWS
    assert intake.ingest.streams == MAX_NODE_ROWS
    assert refused == 2 * 6 * (MAX_NODE_ROWS // 10) - MAX_NODE_ROWS
    intake.describe(about("m"))
    assert intake.take(frame(), "m/phase/b0/tone") == "unknown_channel"
    intake.describe(about("m", channels=(channel_about("tone", "b0"),), bands=bands))
    assert intake.take(frame(), "m/phase/b0/tone") is None  # others still fit


def _figures(band: Any) -> tuple[float, float, float, float]:
    return band.frequency_hz, band.tau_s, band.lag_s, band.coherence_tau_s


# Order


def test_a_new_boot_begins_anew() -> None:
    intake = Intake(about())
    assert intake.take(frame(0.1, boot=1, seq=900)) is None
    assert intake.take(frame(0.2, boot=2, seq=0)) == "boot"  # it describes itself first
    intake.describe(about(boot=2))
    assert intake.take(frame(0.2, boot=2, seq=0)) is None
    assert intake.take(frame(0.3, boot=1, seq=901)) == "boot"
    assert intake.phase() == pytest.approx(0.2)
    intake.describe(about(boot=1))  # a card written anew counts from the beginning
    assert intake.take(frame(0.4, boot=1, seq=0)) is None
    assert intake.roster.members[0].missing == 0


def test_gaps_are_counted_per_channel_and_boot() -> None:
    intake = Intake(about())
    for seq in (5, 6, 9, 10):  # the hub came when 5 had been reached
        assert intake.take(frame(seq=seq)) is None
    for seq in (0, 2):
        assert intake.take(frame(seq=seq), "n/phase/motion/tone") is None
    intake.describe(about(boot=2))
    assert intake.take(frame(boot=2, seq=3)) is None
    assert intake.take(frame(boot=2, seq=5)) is None
    assert intake.roster.members[0].missing == 2 + 1 + 1


def test_a_frame_a_little_ahead_is_taken() -> None:
    intake = Intake(about())
    assert intake.take(frame(time_us=NOW_US + 1_000_000)) is None


def test_a_frame_is_late_when_it_would_have_no_weight() -> None:
    intake = Intake(about())
    age_us = round(4 / STRIDE.frequency_hz * 1e6)
    assert intake.take(frame(seq=0), now_us=NOW_US + age_us - 1_000) is None
    assert intake.take(frame(seq=1), now_us=NOW_US + age_us + 1_000) == "late"


# Bands


@pytest.mark.parametrize("factor", [1.0, 1.0 + 1e-9, 1.0 - 1e-9])
def test_the_same_band_within_rounding(factor: float) -> None:
    bands = {"stride": {**band_about(STRIDE), "frequency_hz": STRIDE.frequency_hz * factor}}
    assert Intake(about(bands=bands)).take(frame()) is None


def test_a_band_of_another_frequency_is_refused() -> None:
    intake = Intake(about(bands={"stride": band_about(STRIDE) | {"frequency_hz": 0.79}}))
    assert intake.take(frame()) == "band_mismatch"
    assert intake.roster.members[0].refused == {"band_mismatch": 1}
    assert len(intake.table) == 0


def test_a_band_that_the_cell_has_not_is_refused() -> None:
    intake = Intake(about(bands={"own": band_about(STRIDE)}, channels=(channel_about("tone", "own"),)))
    assert intake.take(frame(), "n/phase/own/tone") == "unknown_band"
    assert len(intake.table) == 0


def test_a_channel_that_is_not_in_a_band_is_refused() -> None:
    intake = Intake(about(channels=(channel_about("tone", "motion"),)))
    assert intake.take(frame()) == "unknown_channel"
    assert intake.take(frame(), "n/phase/motion/tone") is None


# A description that changes


def test_a_new_description_is_taken_into_the_table() -> None:
    intake = Intake(about(capability=1.0))
    intake.take(frame())
    intake.describe(about(capability=0.25, channels=(channel_about(interval_s=2.0),)))
    assert intake.table["capability"].tolist() == [0.25]
    assert intake.table["max_age_s"].tolist() == [6.0]  # three intervals, more than four periods of 1/0.78 s
    assert intake.phase() == pytest.approx(0.5)


def test_a_channel_that_vanishes_from_the_description_counts_no_more() -> None:
    intake = Intake(about(), about("other"))
    intake.take(frame())
    intake.take(frame(), "other/phase/stride/tone")
    intake.describe(about(channels=()))
    assert intake.table["alive"].tolist() == [False, True]
    assert intake.take(frame(seq=1)) == "unknown_channel"
    assert intake.table["alive"].tolist() == [False, True]
    intake.describe(about())
    assert intake.take(frame(seq=1)) is None
    assert intake.table["alive"].tolist() == [True, True]
    assert len(intake.table) == 2  # its old row


def test_a_band_that_moves_away_counts_no_more() -> None:
    intake = Intake(about())
    intake.take(frame())
    intake.describe(about(bands={"stride": band_about(MOTION)}))
    assert intake.table["alive"].tolist() == [False]
    assert intake.take(frame(seq=1)) == "unknown_channel"


def test_a_node_s_name_that_begins_like_another_s_is_another() -> None:
    intake = Intake(about("n"), about("n1"))
    intake.take(frame(), "n1/phase/stride/tone")
    intake.describe(about("n", channels=()))
    assert intake.table["alive"].tolist() == [True]


# Whatever comes

VALID = encode_frame(frame(seq=1))
LEVELS = st.sampled_from(["n", "m", "phase", "stride", "motion", "tone", "", "N", "+", "#", "\0", "x" * 70, "state"])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(VALID)
    for _ in range(draw(st.integers(1, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


@settings(max_examples=500, deadline=None)
@given(payload=st.binary(max_size=64) | damaged())
@example(payload=b"\xa1" * 1000)
@example(payload=b"\x9f" * 1000)
@example(payload=b"")
def test_hostile_payloads_raise_nothing_and_what_is_refused_changes_nothing(payload: bytes) -> None:
    intake = Intake(about())
    intake.take(frame())
    before = intake.content
    reason = intake.take(payload)
    if reason is not None:
        assert intake.content == before
        assert intake.roster.members[0].refused == {reason: 1}
    assert all(np.isfinite(intake.table[name]).all() for name in ("phasor", "time_us", "omega", "p", "n_eff"))


@settings(max_examples=300, deadline=None)
@given(topic=st.text(max_size=40) | st.lists(LEVELS, max_size=7).map("/".join))
def test_hostile_topics_raise_nothing_and_change_nothing(topic: str) -> None:
    intake = Intake(about())
    intake.take(frame())
    before = intake.content
    for whole in (topic, f"{TOPICS.base}/node/{topic}"):
        error = intake.ingest.take(whole, VALID, now_us=NOW_US, now_ns=0)
        if topic not in ("n/phase/stride/tone", "n/phase/motion/tone"):
            assert error is not None
            assert intake.content == before
    assert [member.id for member in intake.roster.members] == ["n"]
