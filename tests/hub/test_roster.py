"""Who belongs to the mesh: who was heard when, who is silent for too long, and how many there can be."""

from __future__ import annotations

import pytest

from becomingone.errors import FrameError
from becomingone.hub.intake.roster import MAX_MEMBERS, MAX_TOLD, Rebirths, Roster
from becomingone.wire.announce import State

from .parts import about

S = 1_000_000_000


def roster_of(*states: State | None, interval_s: float | None = 0.1) -> Roster:
    roster = Roster()
    for number, state in enumerate(states):
        member = roster.enrol(f"n{number}", 0)
        member.state = state
        member.about = about(f"n{number}", interval_s=interval_s) if interval_s is not None else None
    return roster


def silent(roster: Roster, seconds: float) -> list[str]:
    return [member.id for member in roster.silent(round(seconds * S))]


def test_members_have_numbers_that_stay() -> None:
    roster = Roster()
    a, b = roster.enrol("a", 1), roster.enrol("b", 2)
    assert roster.enrol("a", 3) is a
    assert (a.number, b.number, a.heard_ns, b.heard_ns) == (0, 1, 3, 2)
    assert roster.members == [a, b]
    assert roster.get("a") is a
    assert roster.get("c") is None


def test_hearing_of_a_stranger_makes_no_member() -> None:
    roster = Roster()
    assert roster.heard("a", 1) is None
    assert roster.members == []
    member = roster.enrol("a", 1)
    assert roster.heard("a", 5) is member
    assert member.heard_ns == 5


def test_there_is_an_end_to_members() -> None:
    roster = Roster()
    for number in range(MAX_MEMBERS):
        roster.enrol(f"n{number}", 0)
    with pytest.raises(FrameError) as caught:
        roster.enrol("one-more", 0)
    assert caught.value.reason == "too_many_nodes"
    assert len(roster.members) == MAX_MEMBERS
    assert roster.enrol("n7", 9).heard_ns == 9


def test_there_is_an_end_to_what_members_may_tell() -> None:
    roster = Roster()
    members = [roster.enrol(f"n{n}", 0) for n in range(2)]
    roster.keep(members[0], "about", MAX_TOLD - 10)
    roster.keep(members[0], "about", MAX_TOLD - 10)  # takes the place of the one before
    roster.keep(members[1], "about", 10)
    with pytest.raises(FrameError) as caught:
        roster.keep(members[1], "health", 1)
    assert caught.value.reason == "too_much"
    roster.keep(members[0], "about", 100)
    roster.keep(members[1], "health", 1)


# Silence


def test_three_intervals_of_silence_and_at_least_three_seconds() -> None:
    assert silent(roster_of(State.READY), 3.0) == []
    assert silent(roster_of(State.READY), 3.001) == ["n0"]
    slow = roster_of(State.READY, interval_s=30.0)
    assert silent(slow, 90.0) == []
    assert silent(slow, 90.001) == ["n0"]


def test_a_node_without_a_description_has_three_times_three_seconds() -> None:
    roster = roster_of(State.READY, interval_s=None)
    assert silent(roster, 9.0) == []
    assert silent(roster, 9.001) == ["n0"]


def test_only_a_node_that_says_it_is_there_can_be_silent() -> None:
    roster = roster_of(None, State.INIT, State.READY, State.SLEEPING, State.DISCONNECTED, State.LOST)
    assert silent(roster, 100.0) == ["n1", "n2"]


def test_hearing_of_it_ends_its_silence() -> None:
    roster = roster_of(State.READY)
    roster.heard("n0", 10 * S)
    assert silent(roster, 13.0) == []
    assert silent(roster, 13.1) == ["n0"]


def test_nobody_is_silent_while_the_hub_could_not_hear() -> None:
    roster = roster_of(State.READY)
    roster.listen(100 * S)
    assert silent(roster, 102.0) == []
    assert silent(roster, 103.1) == ["n0"]


def test_a_node_is_given_up_once_a_silence() -> None:
    roster = roster_of(State.READY)
    roster.give_up(roster.members[0], 4 * S)
    assert silent(roster, 5.0) == []  # until the broker has brought the news back
    assert silent(roster, 7.1) == ["n0"]  # and if it never does, once more


# Asking for a description


def test_a_node_is_asked_at_most_once_in_a_while() -> None:
    rebirths = Rebirths(5 * S, most=10)
    assert rebirths.due("a", 0)
    assert not rebirths.due("a", 5 * S - 1)
    assert rebirths.due("b", 5 * S - 1)
    assert rebirths.due("a", 5 * S)
    assert not rebirths.due("a", 5 * S)


def test_many_strangers_are_not_all_asked() -> None:
    rebirths = Rebirths(5 * S, most=10)
    assert sum(rebirths.due(f"s{n}", n) for n in range(1000)) == 10
    assert len(rebirths) == 10
    assert sum(rebirths.due(f"s{n}", 6 * S) for n in range(1000)) == 10
    assert len(rebirths) == 10
