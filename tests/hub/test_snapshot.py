"""The snapshot is JSON that every program reads, whatever the table and the nodes hold."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.config.sections import BandSection
from becomingone.hub.config import HubConfig
from becomingone.hub.mesh.evaluator import MeshEvaluator
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.showing.snapshot import Milestones, snapshot
from becomingone.wire.announce import State
from becomingone.wire.frame import Flags, encode_frame

from .parts import BANDS, NOW_NS, NOW_US, Intake, about, channel_about, frame, health

CONFIG = HubConfig(bands={band.name: BandSection(frequency_hz=band.frequency_hz, tau_s=band.tau_s) for band in BANDS})


def look(intake: Intake, *ticks_us: int) -> dict[str, Any]:
    """Evaluate at some instants and read the last snapshot back as a strict reader does."""
    evaluator = MeshEvaluator(CONFIG, intake.table)
    state = MeshState(NOW_US, ())
    for tick_us in ticks_us or (NOW_US, NOW_US + 50_000):
        state = evaluator.evaluate(tick_us)
    return text(intake, state)


def text(intake: Intake, state: MeshState) -> dict[str, Any]:
    content = snapshot(
        state,
        roster=intake.roster,
        table=intake.table,
        now_ns=NOW_NS + 1_500_000_000,
        frames=intake.ingest.frames,
        refused=Counter({"topic": 2}),
        milestones=Milestones(first_coherence_us=5),
        broker={"clients": 3},
    )
    read: dict[str, Any] = json.loads(json.dumps(content, allow_nan=False))
    assert read == content  # no tuples, no numpy numbers, no keys that are not texts
    return read


def test_of_nothing() -> None:
    seen = text(Intake(), MeshState(NOW_US, ()))
    assert seen == {
        "time_us": NOW_US,
        "authenticated": False,
        "broker": {"clients": 3},
        "kept": {},
        "valid": False,
        "coherence": None,
        "order": None,
        "locking": None,
        "phase": None,
        "dominant_band": None,
        "mode": "robust",
        "simple": {"coherence": None, "coherent": False, "threshold": 0.75},
        "bands": {},
        "nodes": {},
        "states": {},
        "left_out": {"nodes": 0, "channels": 0, "parts": [], "why": None},
        "frames": 0,
        "missing": 0,
        "refused": {"topic": 2},
        "first_coherence_us": 5,
        "first_significant_us": None,
    }


def test_of_a_mesh() -> None:
    intake = Intake(
        about(
            channels=(channel_about(origin="replayed"),),
            devices=(
                {"name": "d", "kind": "x", "available": True},
                {"name": "e", "kind": "x", "available": False, "reason": "gone"},
            ),
            outputs=({"name": "light", "kind": "terminal", "role": "display"},),
            pid=77,
        ),
        about("m"),
    )
    intake.roster.members[0].state = State.READY
    intake.take(frame(0.5))
    intake.take(frame(0.5, seq=3, flags=Flags.VALID | Flags.GAP | Flags.UNDECIDABLE))
    intake.take(frame(0.5, seq=3))
    intake.take(frame(-0.5), "m/phase/stride/tone")
    seen = look(intake, NOW_US, NOW_US + 50_000)
    assert seen["valid"]
    assert seen["dominant_band"] == "stride"
    assert list(seen["bands"]) == ["stride"]
    assert seen["bands"]["stride"]["channels"] == 2
    assert seen["phase"] == seen["bands"]["stride"]["phase"]
    assert (seen["frames"], seen["missing"]) == (3, 2)
    assert seen["refused"] == {"replayed": 1, "topic": 2}
    node = seen["nodes"]["n"]
    assert (node["state"], node["silent_s"], node["pid"], node["hardware"]) == ("ready", 1.5, 77, "pi_4")
    assert (node["frames"], node["missing"], node["dropped"], node["refused"]) == (2, 2, 0, {"replayed": 1})
    assert (node["devices"], node["outputs"]) == ({"d": "ok", "e": "gone"}, ["light"])
    channel = node["channels"]["tone"]
    assert (channel["origin"], channel["unit"]) == ("replayed", "V")
    stride = channel["bands"]["stride"]
    assert (stride["valid"], stride["gap"], stride["decidable"]) == (True, True, False)
    assert (stride["age_s"], stride["frequency_hz"], stride["weight"]) == (0.05, 0.78, 1.0)
    assert seen["nodes"]["m"]["state"] == "init"  # nothing announced yet


def test_a_stale_channel_has_no_phase_but_says_how_old_it_is() -> None:
    intake = Intake(about())
    intake.take(frame())
    seen = look(intake, NOW_US + 60_000_000)
    assert not seen["valid"]
    stride = seen["nodes"]["n"]["channels"]["tone"]["bands"]["stride"]
    assert (stride["valid"], stride["phase"], stride["offset"], stride["age_s"]) == (False, None, None, 60.0)


def test_a_channel_that_is_not_described_any_more_is_not_shown() -> None:
    intake = Intake(about())
    intake.take(frame())
    intake.describe(about(channels=()))
    assert look(intake)["nodes"]["n"]["channels"] == {}


def test_dropped_frames_are_those_that_the_node_tells_of() -> None:
    intake = Intake(about())
    intake.roster.members[0].health = health()
    assert look(intake)["nodes"]["n"]["dropped"] == 3


def test_offsets_that_are_not_learnt_are_null() -> None:
    intake = Intake(about())
    intake.take(frame())
    intake.table.floats("offset")[:] = np.nan
    evaluator = MeshEvaluator(CONFIG, intake.table)
    seen = text(intake, evaluator.evaluate(NOW_US))  # one tick: nothing has been learnt
    assert seen["nodes"]["n"]["channels"]["tone"]["bands"]["stride"]["offset"] is None


NUMBERS = st.floats(0, 3e38) | st.sampled_from([0.0, 1e-45, 1.0, 5.0, 3.4e38])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "channel": st.sampled_from(["a", "b", "c"]),
                "time_us": st.integers(0, NOW_US + 1_000_000) | st.integers(NOW_US - 10**6, NOW_US),
                "phasor": st.complex_numbers(max_magnitude=1.0, allow_nan=False),
                "coherence": st.floats(0, 1),
                "n_eff": st.floats(1, 3e38),
                "p": st.floats(0, 1),
                "omega": st.floats(-1e9, 1e9),
                "omega_sigma": NUMBERS,
                "phase_sigma": NUMBERS,
                "clock_sigma_s": NUMBERS,
                "flags": st.integers(0, 2**32 - 1).map(lambda flags: Flags((flags | 1) & ~2)),
            }
        ),
        max_size=6,
    ),
    st.floats(0, 1000),
)
def test_whatever_a_frame_may_say_the_snapshot_is_json(frames: list[dict[str, Any]], capability: float) -> None:
    intake = Intake(about(capability=capability, channels=tuple(channel_about(name) for name in "abc")))
    evaluator = MeshEvaluator(CONFIG, intake.table)
    for tick, fields in enumerate(frames):
        phasors = np.array([fields.pop("phasor")], np.complex64)
        name = fields.pop("channel")
        reason = intake.take(encode_frame(frame(**fields, seq=tick, phasors=phasors)), f"n/phase/stride/{name}")
        assert reason in (None, "late")
        seen = text(intake, evaluator.evaluate(NOW_US + 50_000 * tick))
        for figure in ("coherence", "order", "locking"):
            assert seen[figure] is None or 0.0 <= seen[figure] <= 1.0
        assert seen["phase"] is None or abs(seen["phase"]) <= round(math.pi, 4)
