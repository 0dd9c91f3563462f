"""Explanations: what they must say, and that nothing in an event can break or fool them."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hub.emergence.rig import BANDS, Cell, frames, gyroscope

from becomingone.hub.emergence.explain import explain
from becomingone.hub.emergence.telling import probability, span, table

TIME_US = 1_700_000_000_000_000
KINDS = (
    "emergence",
    "dissolution",
    "clock_limited",
    "collapse",
    "dissipation",
    "we",
    "we_dissolution",
    "lost",
    "distrusted",
    "restored",
    "witness",
)


@pytest.fixture(scope="module")
def walk():
    channels = [frames(gyroscope(leg), 120.0, BANDS["stride"], 0.05, 12) for leg in ("upper_leg", "lower_leg")]
    content = Cell(["thigh", "shank"]).run(channels).first("emergence")[1]
    return json.loads(json.dumps({"kind": "emergence", "time_us": TIME_US, **content}, allow_nan=False))


def test_an_emergence_says_why_how_sure_and_what_it_does_not_mean(walk):
    text = explain(walk)
    words = " ".join(text.split())
    assert "The 2 nodes of the band stride (0.7800 Hz) became one on 2023-11-14 at 22:13:20 UTC." in words
    assert f"r = {walk['fluctuation']['r']:.2f}" in words
    assert "at most 0.01 (1 in 100) in any 4 minutes, once in 13.3 hours or less" in words
    assert "does not say that one drives the other" in words
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith(("thigh", "shank"))}
    assert len(rows) == 2
    assert f"{walk['members']['thigh']['offset']:.2f}" in rows["thigh"]
    assert max(len(line) for line in text.splitlines()) <= 120


def test_a_dissolution_says_what_was_no_longer_so(walk):
    words = " ".join(
        explain({**walk, "kind": "dissolution", "why": ["coherence", "locking"], "lasted_s": 7300}).split()
    )
    assert "after 2.03 hours: the nodes' own rhythms had become too irregular, and the phase differences" in words
    assert "fluctuation r" in words


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"kind": "clock_limited", "band": "fast", "clock_ceiling": 0.6, "coherence_needed": 0.75}, "at most 0.60"),
        ({"kind": "collapse", "band": "stride", "coherence": 0.9, "p": 1e-4}, "0.0001 (1 in 10,000)"),
        ({"kind": "dissipation", "band": "stride", "coherence": 0.2, "p": 0.3}, "probability 0.3."),
        (
            {"kind": "we", "name": "couple", "band": "stride", "a_nodes": ["anna"], "b_nodes": ["ben", "rex"]},
            "One side: anna; the other: ben, rex.",
        ),
        (
            {"kind": "we_dissolution", "name": "couple", "why": ["cross"]},
            "the difference of the two had begun to wander",
        ),
        ({"kind": "lost", "node": "desk", "before": "ready"}, "Before, it was ready."),
        (
            {"kind": "distrusted", "node": "desk", "reason": "liar", "why": "it claims", "factor": 0.1, "trust": 0.1},
            "multiplied by 0.10",
        ),
        ({"kind": "distrusted", "node": "desk", "reason": "mac", "messages": 9, "last_topic": "a/b"}, "9 messages"),
        ({"kind": "restored", "node": "desk", "reason": "liar", "trust": 1.0}, "by 1.000 now"),
        (
            {"kind": "witness", "layer": "meso", "fault": "stuck", "node": "desk", "channel": "x", "lowered": True},
            "at desk/x",
        ),
        ({"kind": "joined", "node": "desk"}, "An event of the kind joined, at an unknown time."),
        ({}, "An event of the kind –"),
    ],
)
def test_every_kind_has_its_words(event, expected):
    assert expected in " ".join(explain(event).split())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("time_us", "band", "nodes", "members", "fluctuation", "spending", "simple", "why", "figures", "p", "for_s")


@given(st.sampled_from(KINDS) | VALUES, st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_nothing_in_an_event_breaks_it_or_reaches_a_terminal_raw(kind, fields):
    text = explain({**fields, "kind": kind})
    assert text
    assert all(c.isprintable() or c == "\n" for c in text)


def test_what_comes_from_elsewhere_is_one_line_and_not_too_long():
    text = explain({"kind": "lost", "node": "a\x1b[2J\nb", "before": "x" * 10_000})
    assert "\x1b" not in text
    assert "a [2J b" in " ".join(text.split())
    assert len(text) < 1500


def test_figures_as_people_read_them():
    assert probability(0.0) == "below 1e-300"
    assert probability(0.5) == "0.5"
    assert probability(0.004) == "0.004 (1 in 250)"
    assert probability(None) == "–"
    assert span(1.5) == "1.5 s"
    assert span(240) == "4 minutes"
    assert span(48_000) == "13.3 hours"
    assert span(2_880_000) == "33.3 days"
    assert table(("a", "long"), [("x", "1"), ("yy", "22")]).splitlines() == [
        "a   long",
        "--------",
        "x      1",
        "yy    22",
    ]
    assert math.isfinite(len(table(("a",), [])))
