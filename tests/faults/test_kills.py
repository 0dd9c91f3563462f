"""The campaigns of kills in small, and what they count with."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.hub.parts import frame

from becomingone.hub.memory.protocol import StreamKey
from becomingone.wire.frame import decode_frame, encode_frame
from becomingone.wire.phase import Flags

from . import end_to_end, hub_clock, hub_kills, table
from .cases import CASES
from .end_to_end_simulated import Struck
from .noting_node import Notes
from .outcome import Outcome
from .tally import Tally, digest, tally

STREAM = StreamKey("n", "stride", "leg", 1)
FRAMES = [encode_frame(frame(seq=seq, time_us=1_000_000 * seq)) for seq in range(4)]
MADE = {STREAM: [digest(payload) for payload in FRAMES]}
ALL = [(STREAM, seq, payload) for seq, payload in enumerate(FRAMES)]


def assert_nothing_is_lost(name: str, outcome: Outcome) -> None:
    """How fast it was is the campaign's business, on a machine that has nothing else to do."""
    case = next(case for case in CASES if case.name == name)
    assert all(figure.ok for figure in outcome.figures if figure.relation == "="), table.as_text({case: outcome})


@pytest.mark.slow
@pytest.mark.mosquitto
def test_a_hub_that_is_killed_loses_nothing_that_it_has_acknowledged() -> None:
    outcome = hub_kills.campaign(2, hub_kills.NODES[:1])
    assert_nothing_is_lost("hub-kills", outcome)
    assert next(figure.value for figure in outcome.figures if figure.name == "frames in the memory") > 0


@pytest.mark.slow
@pytest.mark.mosquitto
def test_what_real_nodes_keep_reaches_the_memory_whatever_is_killed() -> None:
    outcome = end_to_end.campaign(1, 1_000, end_to_end.NODES[:2])
    assert_nothing_is_lost("end-to-end", outcome)


def test_what_simulated_nodes_keep_reaches_the_memory_whatever_is_killed() -> None:
    found = Struck(3, 8.0, 10.0)
    assert found.kills + found.broker_kills >= 3
    assert found.tally.committed > 2_000
    lost = (found.tally.lost, found.tally.twice, found.tally.altered, found.tally.disordered, found.written_twice)
    assert (*lost, found.gone, found.same_time) == (0,) * 7


@pytest.mark.slow
def test_a_hub_whose_clock_is_set_loses_nothing() -> None:
    outcome = hub_clock.run(True)
    assert outcome.ok, outcome


# What they count with


def test_what_is_all_there_is_lost_nowhere() -> None:
    assert tally(MADE, ALL[:3], ALL[2:]) == Tally(made=4, committed=3, waiting=1)


def test_what_is_neither_committed_nor_kept_is_lost() -> None:
    assert tally(MADE, [ALL[0], ALL[2]], []).lost == 2
    assert tally(MADE, ALL[:3], [], unsure={STREAM: 1}).lost == 0
    assert tally(MADE, ALL[:2], [], unsure={STREAM: 1}).lost == 1


def test_a_frame_is_counted_that_is_there_twice_out_of_order_or_another() -> None:
    assert (found := tally(MADE, [*ALL, ALL[1]], [])).twice == 1
    assert found.disordered == 1
    assert tally(MADE, [ALL[1], ALL[0], *ALL[2:]], []).disordered == 1
    assert tally(MADE, [*ALL[:3], (STREAM, 3, FRAMES[2])], []).altered == 1
    assert tally(MADE, [*ALL, (STREAM._replace(boot=2), 0, FRAMES[0])], []).altered == 1


def test_a_frame_that_is_sent_late_is_the_same() -> None:
    seen = decode_frame(FRAMES[1])
    assert digest(encode_frame(seen._replace(flags=seen.flags | Flags.HISTORICAL))) == digest(FRAMES[1])
    assert digest(encode_frame(seen._replace(coherence=seen.coherence / 2))) != digest(FRAMES[1])


def test_what_a_killed_node_was_about_to_keep_is_no_loss_of_the_disk(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    makes = [f"makes stride/leg 1 {seq} {found.hex()}\n" for seq, found in enumerate(MADE[STREAM])]
    notes.write_text(f"{makes[0]}keeps 0\n{makes[1]}keeps 3\n{makes[2]}")
    found = Notes("n", notes)
    assert found.made == {STREAM: MADE[STREAM][:3]}
    assert found.unsure == {STREAM: 1}
    assert found.gone == 3
