"""What is written of the mesh, and how often."""

from __future__ import annotations

import cmath
import json
import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from becomingone.errors import ConfigError
from becomingone.hub.memory import recorder as recorder_module
from becomingone.hub.memory.beats import Beat
from becomingone.hub.memory.protocol import Reading
from becomingone.hub.memory.reader import MemoryReader
from becomingone.hub.memory.recorder import Recorder, RememberSection
from becomingone.hub.memory.section import MemorySection
from becomingone.hub.memory.store import SqliteMemory
from becomingone.hub.memory.tier_entries import as_written
from becomingone.hub.memory.tiers import BATCH, Tiers
from becomingone.runner import DirectRunner, Outcome

from .posts import Posts
from .remembering import BANDS, START_US, STRIDE, TICK_US, Listed, Walk, recorder, run

SECOND = 1_000_000


def beats(memory: Listed, band: str) -> list[Beat]:
    return [
        Beat.from_json(entry.body["bands"][band]["time_us"], entry.body["bands"][band]["beat"])
        for entry in memory.of("mesh")
        if "beat" in entry.body["bands"].get(band, {})
    ]


def test_a_band_is_written_once_a_second_and_a_slow_one_once_in_its_tau() -> None:
    memory, walk = Listed(), Walk(1)
    made = recorder(memory, walk)
    run(made, walk, START_US, START_US + 40 * SECOND)
    made.close()
    assert len(beats(memory, "stride")) == 40
    assert len(beats(memory, "breath")) == 10
    assert made.figures()["dropped"] == 0


def test_a_beat_is_the_weighted_mean_of_its_evaluations() -> None:
    memory, walk = Listed(), Walk(2)
    made = recorder(memory, walk)
    states = run(made, walk, START_US, START_US + 2 * SECOND)
    made.close()
    first = [state.bands[0] for state in states[: SECOND // TICK_US]]
    held = [band.weight * band.coherence for band in first]
    still = [band.mean_field * cmath.rect(1, -STRIDE.omega * (band.time_us - START_US) / 1e6) for band in first]
    mean = sum(w * u for w, u in zip(held, still, strict=True)) / sum(held)
    beat = beats(memory, "stride")[0]
    # the carrier's phase at the epoch is another than at the start: the modulus and the weights are what is compared
    assert abs(beat.still) == pytest.approx(abs(mean), abs=2e-6)
    assert beat.still_weight == pytest.approx(sum(held), rel=1e-5)
    total = sum(band.weight for band in first)
    assert beat.coherence == pytest.approx(sum(b.weight * b.coherence for b in first) / total, abs=1e-6)
    assert beat.order == pytest.approx(sum(b.weight * b.order for b in first) / total, abs=1e-6)
    assert beat.count == 20
    assert beat.time_us == first[-1].time_us


def test_a_decision_is_signed_at_once_and_figures_wait() -> None:
    memory, walk = Listed(), Walk(3)
    made = recorder(memory, walk, flush_s=600)
    made.take(walk.tick(START_US))
    made.take(walk.tick(START_US + TICK_US))
    assert not memory.told
    walk.table.phasors("resonance")[:2] = (0.5, 0.7j)
    made.take(walk.tick(START_US + 2 * TICK_US, collapsed=True))
    signatures = memory.of("signature")
    assert [entry.body["why"] for entry in signatures] == ["collapse", "collapse"]
    assert signatures[0].body["band"] == "stride"
    assert signatures[0].body["witnesses"]["figures"]["collapsed"] is True
    assert signatures[0].body["witnesses"]["resonance"] == [0.25, 0.35]
    made.take(walk.tick(START_US + 3 * TICK_US))
    assert [entry.body["why"] for entry in memory.of("signature")][2:] == ["dissipation", "dissipation"]


def test_an_event_is_written_with_a_signature_of_its_band() -> None:
    memory, walk = Listed(), Walk(4)
    made = recorder(memory, walk)
    made.take(walk.tick(START_US))
    made.event(
        "7-1", "emergence", START_US, {"band": "stride", "p": math.nan, "nodes": ("a", "b"), "r": np.float64(0.5)}
    )
    made.event("7-2", "lost", START_US, {"node": "a"})
    events = memory.of("event")
    assert [entry.body["id"] for entry in events] == ["7-1", "7-2"]
    assert events[0].body["p"] is None
    assert events[0].body["nodes"] == ["a", "b"]
    assert [entry.body["why"] for entry in memory.of("signature")] == ["emergence"]


def test_a_band_without_channels_is_told_once() -> None:
    memory, walk = Listed(), Walk(5)
    made = recorder(memory, walk)
    run(made, walk, START_US, START_US + 1 * SECOND)
    for number in range(40):
        made.take(walk.tick(START_US + SECOND + number * TICK_US, valid=False))
    run(made, walk, START_US + 3 * SECOND, START_US + 5 * SECOND)
    made.close()
    none = [entry for entry in memory.of("mesh") if entry.body["bands"].get("stride", {}).get("channels") == 0]
    assert [entry.time_us for entry in none] == [START_US + SECOND]
    assert len(beats(memory, "stride")) == 3


def test_witnesses_are_limited_and_the_last_of_each_layer_stands_in_signatures() -> None:
    memory, walk = Listed(), Walk(6)
    made = recorder(memory, walk, witness_per_s=5)
    made.take(walk.tick(START_US))
    for number in range(20):
        made.witnessed("micro", START_US, {"number": number, "nis": 1.0})
    made.take(walk.tick(START_US + TICK_US, collapsed=True))
    assert len(memory.of("witness")) == 5
    assert made.figures()["dropped"] == 15
    assert memory.of("signature")[0].body["witnesses"]["micro"]["number"] == 19


def test_without_room_entries_wait_up_to_a_limit_and_what_goes_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MOST_WAITING", 10)
    memory, walk = Listed(), Walk(7)
    made = recorder(memory, walk, flush_s=0)
    memory.room = False
    for number in range(30):
        made.event(f"1-{number}", "lost", START_US, {})
    assert made.figures()["waiting"] == 10
    assert made.figures()["dropped"] == 20
    memory.room = True
    made.take(walk.tick(START_US))
    assert [entry.body["id"] for entry in memory.of("event")] == [f"1-{number}" for number in range(20, 30)]
    assert made.figures()["waiting"] == 0


def test_the_same_mesh_gives_the_same_bytes() -> None:
    texts = []
    for _ in range(2):
        memory, walk = Listed(), Walk(8)
        made = recorder(memory, walk)
        run(made, walk, START_US, START_US + 20 * SECOND)
        made.close()
        texts.append(json.dumps(memory.told))
    assert texts[0] == texts[1]


def same(first: Tiers, second: Tiers) -> bool:
    if first.until_us != second.until_us or first.pending != second.pending:
        return False
    for name in ("blend", "field", "coherence", "order"):
        one, other = getattr(first, name).state(), getattr(second, name).state()
        for key, value in one.items():
            if not np.array_equal(np.asarray(value), np.asarray(other[key])):
                return False
    return True


@pytest.mark.parametrize("copied", [False, True])
def test_a_restart_is_no_difference_to_the_tiers_bit_for_bit(copied: bool) -> None:
    """After an orderly end, and after a power cut that left the entries and an earlier copy of the tiers."""
    end = START_US + 700 * SECOND
    middle = START_US + 400 * SECOND
    tick = 250_000
    memory, walk = Listed(), Walk(9)
    whole = recorder(memory, walk, tier_s=150, flush_s=0)
    run(whole, walk, START_US, end, tick_us=tick)

    memory, walk = Listed(), Walk(9)
    first = recorder(memory, walk, tier_s=150, flush_s=0)
    run(first, walk, START_US, middle, tick_us=tick)
    if copied:
        first.close()
    else:
        # the beats under way close with the first tick of the next second, which is the other's to take
        for maker, name in zip(first._makers, first.tiers, strict=True):
            beat = maker.close()
            if beat is not None:
                first._now("mesh", beat.time_us, {"bands": {name: {"time_us": beat.time_us, "beat": beat.as_json()}}})
    assert len(memory.of("tier")) == (4 if copied else 3)
    second = recorder(memory, walk, tier_s=150)
    assert second.figures()["replayed"] > 0
    assert second.figures()["problems"] == 0
    run(second, walk, middle, end, tick_us=tick)
    for band in BANDS:
        assert same(whole.tiers[band.name], second.tiers[band.name]), band.name
        assert whole.tiers[band.name].blend.count > BATCH or band.name == "breath"


def test_tiers_of_another_plan_or_that_cannot_be_read_begin_anew_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    memory, walk = Listed(), Walk(10)
    made = recorder(memory, walk)
    run(made, walk, START_US, START_US + 200 * SECOND, tick_us=500_000)
    made.close()
    entry = memory.of("tier")[-1]
    entry.body["bands"]["stride"]["field"] = "AAAA"
    entry.body["bands"]["breath"]["frequency_hz"] = 0.2
    again = recorder(memory, walk)
    assert again.figures()["problems"] == 2
    assert "stride" in caplog.text
    assert "breath" in caplog.text
    # the entries are still there: nothing was lost
    assert again.tiers["stride"].pyramids()[0].count == made.tiers["stride"].pyramids()[0].count


def test_what_is_told_of_a_clock_that_has_not_been_set_is_not_remembered() -> None:
    memory, walk = Listed(), Walk(12)
    made = recorder(memory, walk)
    run(made, walk, 5 * SECOND, 10 * SECOND)
    run(made, walk, START_US, START_US + 2 * SECOND)
    made.close()
    assert made.figures()["unset"] == 100
    assert made.tiers["stride"].pyramids()[0].oldest_us == START_US + SECOND - TICK_US


def test_a_restart_on_a_disk_finds_what_was_written(tmp_path: Path) -> None:
    counts = []
    walk = Walk(13)
    for start_s in (0, 100):
        memory = SqliteMemory(tmp_path / "memory.db", Posts(), section=MemorySection(commit_s=0.01))
        made = Recorder(RememberSection(), walk.bands, walk.table, memory=memory)
        counts.append(made.tiers["stride"].pyramids()[0].count)
        run(made, walk, START_US + start_s * SECOND, START_US + (start_s + 100) * SECOND, tick_us=500_000)
        made.close()
        memory.close()
    with closing(MemoryReader(tmp_path / "memory.db")) as past:
        bands, tiers, problems = as_written(past)
    assert [band.name for band in bands] == ["stride", "breath"]
    assert problems == []
    assert [*counts, tiers["stride"].pyramids()[0].count] == [0, 100, 200]


class Later:
    """A runner whose work is done when the test says so."""

    def __init__(self) -> None:
        self.work: list[tuple[Callable[[], object], Outcome]] = []

    def submit(self, work: Callable[[], object], outcome: Outcome) -> None:
        self.work.append((work, outcome))

    def run(self) -> None:
        work, self.work = self.work, []
        for call, outcome in work:
            DirectRunner().submit(call, outcome)

    def close(self) -> None:
        """Nothing is held."""


def test_while_the_past_is_read_the_present_waits_and_is_not_taken_twice() -> None:
    end = START_US + 400 * SECOND
    memory, walk = Listed(), Walk(14)
    whole = recorder(memory, walk)
    run(whole, walk, START_US, end, tick_us=500_000)

    memory, walk = Listed(), Walk(14)
    first = recorder(memory, walk)
    run(first, walk, START_US, START_US + 200 * SECOND, tick_us=500_000)
    first.close()
    before = len(memory.told)
    later = Later()
    second = Recorder(RememberSection(flush_s=0), walk.bands, walk.table, memory=memory, runner=later)
    run(second, walk, START_US + 200 * SECOND, START_US + 300 * SECOND, tick_us=500_000)
    assert len(memory.told) == before
    assert second.figures()["restoring"] is True
    later.run()
    assert second.figures()["restoring"] is False
    run(second, walk, START_US + 300 * SECOND, end, tick_us=500_000)
    for band in BANDS:
        assert same(whole.tiers[band.name], second.tiers[band.name])
    assert len(memory.of("mesh")) >= 399


def test_a_past_that_cannot_be_read_is_told_and_what_comes_is_remembered(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Listed):
        def reader(self) -> Reading:
            raise ConfigError("memory.db is not whole")

    memory, walk = Broken(), Walk(15)
    made = recorder(memory, walk)
    run(made, walk, START_US, START_US + 5 * SECOND)
    made.close()
    assert made.figures()["problems"] == 1
    assert "not whole" in caplog.text
    assert len(beats(memory, "stride")) == 5


def test_a_hub_that_ends_before_its_past_was_read_writes_its_beats_and_no_tiers() -> None:
    memory, walk = Listed(), Walk(16)
    made = Recorder(RememberSection(), walk.bands, walk.table, memory=memory, runner=Later())
    run(made, walk, START_US, START_US + 5 * SECOND)
    made.close()
    assert len(beats(memory, "stride")) == 5
    assert memory.of("tier") == []


def test_a_clock_that_is_set_back_is_counted_and_remembering_goes_on() -> None:
    memory, walk = Listed(), Walk(11)
    made = recorder(memory, walk)
    run(made, walk, START_US, START_US + 100 * SECOND, tick_us=500_000)
    run(made, walk, START_US - 50 * SECOND, START_US, tick_us=500_000)
    made.close()
    assert made.figures()["backwards"] == 1
    assert made.tiers["stride"].pyramids()[0].count == 150
