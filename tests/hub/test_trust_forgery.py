"""The broker as the adversary: 20,000 messages of its own making, none of them taken (10⁶ in the campaign)."""

from __future__ import annotations

from becomingone.wire.audit import FORGERY

from .adversary import siege
from .hostile import MEMBERS

TOTAL = 20_000
SECONDS = 35.0


def test_nothing_that_the_broker_invents_is_taken_and_all_that_is_honest_is() -> None:
    cell, adversary = siege(1, TOTAL, SECONDS)
    assert adversary.accepted == []
    assert adversary.sent.total() == TOTAL
    assert min(adversary.sent.values()) > 200, adversary.sent
    assert cell.expected > 1000  # each of them was taken: see `HostileCell`
    assert {sent.kind for sent in cell.archive if sent.taken} == {"phase", "about", "set", "rebirth"}
    assert {sent.boot for sent in cell.archive} == {1, 2, 3}
    refused = cell.refused()
    assert refused.total() >= TOTAL + cell.honest - cell.expected
    assert sum(refused[reason] for reason in FORGERY) > 0.7 * TOTAL
    assert {member.id for member in cell.hub._roster.members} == set(MEMBERS)


def test_without_seals_the_same_broker_has_its_way() -> None:
    """Else the test above would prove nothing: these are messages that would be taken."""
    _, adversary = siege(1, 2000, 14.0, sealed=False)
    ways = {name for name, _ in adversary.accepted}
    assert {"moved", "edited", "unsealed", "sealed with a stolen key"} <= ways
    assert len(adversary.accepted) > 200
