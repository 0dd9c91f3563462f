"""One hub a cell: the second hears where the first is and does not start; what is dead or itself holds up nobody."""

import json
from pathlib import Path

import pytest

from becomingone.errors import ConfigError
from becomingone.hub.claim import LISTEN_S, RETAINED_S, Claim, HubAbout, instance_in
from becomingone.hub.intake.trust import Trust
from becomingone.hub.rivals import Rivals
from becomingone.scheduling import MeshClock
from becomingone.sim.bench import Bench
from becomingone.wire.topics import Topics

TOPICS = Topics("becomingone", "home")
MINE, THEIRS = "0" * 16, "1" * 16


def about(instance: str = THEIRS, **changed: object) -> HubAbout:
    given = {"protocol": 1, "boot": 7, "host": "attic", "pid": 812, "started_us": 5, "software": "becomingone 1"}
    return HubAbout.model_validate({**given, "instance": instance, **changed})


class Cell:
    """A broker with what an earlier hub has left, and one that asks."""

    def __init__(
        self, state: str | None, other: HubAbout | None, snapshot: bytes | None = None, *, snapshot_s: float = 1.0
    ) -> None:
        self.bench = Bench(seed=1)
        self.other = self.bench.client("becomingone.home.hub")
        self.other.start()
        self.bench.run_for(0.5)
        if state is not None:
            self.other.publish(TOPICS.hub_state, state.encode(), retain=True)
        if other is not None:
            self.other.publish(TOPICS.hub_about, other.model_dump_json().encode(), retain=True)
        if snapshot is not None:
            self.other.publish(TOPICS.snapshot, snapshot, retain=True)
        self.bench.run_for(0.5)
        self.outcome: list[str] = []
        self.claim = Claim(
            TOPICS,
            MINE,
            links=lambda client_id, will, session_s=0: self.bench.client(client_id),
            scheduler=self.bench.scheduler,
            granted=lambda: self.outcome.append("granted"),
            refused=self.outcome.append,
            snapshot_s=snapshot_s,
        )
        self.claim.start()

    def live(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.other.publish(TOPICS.snapshot, b"{}", retain=True)
            self.bench.run_for(1.0)


@pytest.mark.parametrize(
    ("state", "other"),
    [(None, None), ("lost", about()), ("disconnected", about()), ("ready", about(MINE)), ("nonsense", about())],
)
def test_a_cell_without_another_hub_is_granted_at_once(state: str | None, other: HubAbout | None) -> None:
    cell = Cell(state, other)
    cell.bench.run_for(RETAINED_S + 0.2)
    assert cell.outcome == ["granted"]


def test_a_second_hub_is_refused_and_told_where_the_first_is() -> None:
    cell = Cell("ready", about())
    cell.live(5)
    [line] = cell.outcome
    assert "on attic as process 812" in line
    assert "becomingone/home has a hub already" in line


def test_a_hub_that_only_claims_to_be_there_is_dead_after_three_silent_seconds() -> None:
    cell = Cell("ready", about())
    cell.bench.run_for(LISTEN_S - 0.2)
    assert cell.outcome == []
    cell.bench.run_for(0.5)
    assert cell.outcome == ["granted"]


def test_what_the_broker_had_stored_is_no_sign_of_life() -> None:
    cell = Cell("ready", about(), snapshot=b"{}")
    cell.bench.run_for(LISTEN_S + 0.5)
    assert cell.outcome == ["granted"]


def test_a_hub_that_is_seldom_heard_is_waited_for() -> None:
    cell = Cell("ready", about(), snapshot_s=10.0)
    cell.bench.run_for(9.0)
    assert cell.outcome == []
    cell.live(1)
    assert "has a hub already" in cell.outcome[0]


def test_a_garbled_description_is_no_reason_to_let_a_second_hub_in() -> None:
    cell = Cell("ready", None)
    cell.other.publish(TOPICS.hub_about, b"\xff{", retain=True)
    cell.live(4)
    [line] = cell.outcome
    assert "does not say where it is" in line


class TestRivals:
    """Two hubs that are at work."""

    def met(
        self, mine: HubAbout, theirs: HubAbout | bytes, times: int = 1, trust: Trust | None = None
    ) -> tuple[list[str], list[str], list[str]]:
        bench = Bench(seed=1)
        told: list[str] = []
        ended: list[str] = []
        refused: list[str] = []
        link = bench.client("becomingone.home.hub")
        rivals = Rivals(
            mine,
            topics=TOPICS,
            link=link,
            scheduler=bench.scheduler,
            clock=MeshClock(bench.scheduler),
            trust=trust or Trust(),
            tell=lambda kind, _content: told.append(kind),
            give_way=ended.append,
            refuse=lambda _message, error: refused.append(str(error)),
        )
        rivals.start()
        link.start()
        other = bench.client("somebody")
        other.start()
        bench.run_for(2.0)
        for _ in range(times):
            said = theirs if isinstance(theirs, bytes) else theirs.model_dump_json().encode()
            other.publish(TOPICS.hub_about, said, retain=True)
            bench.run_for(0.1)
        bench.run_for(1.0)
        self.stored = json.loads(bench.broker.retained[TOPICS.hub_about])
        return told, ended, refused

    def test_the_older_one_stays_and_says_so_again(self) -> None:
        told, ended, _ = self.met(about(MINE, started_us=1), about(started_us=9), times=5)
        assert (told, ended) == (["second_hub"] * 2, [])  # not one answer for each word
        assert self.stored["instance"] == MINE

    def test_the_younger_one_ends_and_says_where_the_older_is(self) -> None:
        told, ended, _ = self.met(about(MINE, started_us=9), about(started_us=1))
        assert told == []
        assert "older hub, on attic" in ended[0]

    def test_a_copied_folder_makes_two_hubs_of_one_instance_and_one_of_them_ends_all_the_same(self) -> None:
        _, ended, _ = self.met(about(MINE, started_us=9), about(MINE, started_us=1, host="copy"))
        assert "on copy" in ended[0]

    def test_with_keys_nobody_ends_a_hub_who_has_none_or_only_a_recording(self) -> None:
        trust = Trust(bytes(32), root="becomingone", cell="home")
        now_us = Bench(seed=1).scheduler.time_us()
        mine = about(MINE, started_us=now_us)

        def said(age_s: float, key: Trust = trust) -> bytes:
            older = about(started_us=1, said_us=now_us + 2_000_000 - round(age_s * 1e6))
            return key.seal_hub(TOPICS.hub_about, older.model_dump_json().encode(), older.boot)

        for word, why in (
            (about(started_us=1), "a sealed object"),
            (said(0.0, Trust(bytes(31) + b"1", root="becomingone", cell="home")), "the MAC"),
            (said(40.0), "ago or more"),
            (said(3.0), "before this hub began"),
        ):
            told, ended, refused = self.met(mine, word, trust=trust)
            assert (told, ended) == ([], [])
            assert why in refused[0]
        _, ended, _ = self.met(mine, said(0.0), trust=trust)
        assert "older hub, on attic" in ended[0]
        assert len(self.stored["mac"]) == 32


def test_the_identity_is_drawn_once_and_a_broken_one_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    first = instance_in(folder)
    assert instance_in(folder) == first
    (folder / "instance").write_text("not one")
    with pytest.raises(ConfigError, match="16 hexadecimal digits"):
        instance_in(folder)
