"""What the hub takes for a node's, rule by rule; the adversary who tries everything is next door."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from becomingone.errors import FrameError
from becomingone.hub.config import HubConfig, IngestSection
from becomingone.hub.intake.ingest import Ingest
from becomingone.hub.intake.trust import Trust
from becomingone.wire.announce import About
from becomingone.wire.frame import Flags, encode_frame
from becomingone.wire.replay import Start
from becomingone.wire.seal import node_key, open_sealed, seal, seal_json

from .hostile import SECRET, EpochMemory
from .parts import BANDS, NOW_NS, NOW_US, TOPICS, Intake, about, frame

TOPIC = TOPICS.phase("n", "stride", "tone")
PLAIN = encode_frame(frame())
EARLY = Start(NOW_US - 10_000_000, 1.0)


def key(node: str = "n") -> bytes:
    return node_key(SECRET, "becomingone", "home", node)


def trust_of(store: EpochMemory | None = None, *, start: Start = EARLY) -> Trust:
    return Trust(SECRET, root="becomingone", cell="home", start=start, store=store)


def reason(call: Any, *args: Any) -> str | None:
    try:
        call(*args)
    except FrameError as error:
        return error.reason
    return None


class SealedIntake(Intake):
    """The same, in a cell with a secret; frames are sealed for the life that they are said to be sent in."""

    def __init__(self, *nodes: About, start: Start = EARLY) -> None:
        super().__init__(*nodes)
        self.trust = trust_of(start=start)
        self.ingest = Ingest(TOPICS, BANDS, self.roster, self.table, rules=IngestSection(), trust=self.trust)

    def take_sealed(
        self, topic: str = "n/phase/stride/tone", *, life: int | None = None, now_us: int = NOW_US, **fields: Any
    ) -> str | None:
        given = frame(**fields)
        whole = f"{TOPICS.base}/node/{topic}"
        sealed = seal(
            key(topic.split("/", maxsplit=1)[0]), whole, encode_frame(given), given.boot if life is None else life
        )
        return self.take(sealed, topic, now_us=now_us)


# -- a cell without a secret -------------------------------------------------------------------------------------------


def test_a_cell_without_a_secret_takes_everything_as_before() -> None:
    store = EpochMemory()
    trust = Trust.of(HubConfig(), now_us=NOW_US, store=store)
    assert not trust.authenticated
    assert trust.open("n", TOPIC, b"anything") is None
    trust.open_json("n", TOPIC, b"anything", 3)
    assert trust.seal("n", TOPIC, PLAIN) == PLAIN
    assert trust.knows("n")
    trust.check_start(0.0)
    trust.keep()
    assert store.saves == 0


# -- a cell with one ---------------------------------------------------------------------------------------------------


def test_the_configuration_makes_it() -> None:
    config = HubConfig.model_validate({"security": {"secret": SECRET.hex()}, "ingest": {"max_ahead_s": 2.5}})
    trust = Trust.of(config, now_us=NOW_US)
    assert trust.authenticated
    assert trust.open("n", TOPIC, seal(key(), TOPIC, PLAIN, 1)) == 1
    assert reason(trust.check_start, NOW_US + 2.5e6) == "before_start"
    assert reason(trust.check_start, NOW_US + 2.6e6) is None


def test_a_node_is_known_once_it_has_proved_a_life_and_is_spoken_to_in_it() -> None:
    trust = trust_of()
    assert not trust.knows("n")
    assert trust.seal("n", "t", PLAIN) is None
    assert reason(trust.open, "n", TOPIC, PLAIN) == "unsealed"
    assert reason(trust.open, "n", TOPIC, seal(key("m"), TOPIC, PLAIN, 1)) == "forged"
    assert not trust.knows("n")
    assert trust.open("n", TOPIC, seal(key(), TOPIC, PLAIN, 1)) == 1
    assert trust.knows("n")
    assert not trust.knows("m")
    sealed = trust.seal("n", "t", PLAIN)
    assert sealed is not None
    assert open_sealed(key(), "t", sealed, 1) == sealed
    later = encode_frame(frame(boot=4))
    assert trust.open("n", TOPIC, seal(key(), TOPIC, later, 4)) == 4
    assert trust.seal("n", "t", PLAIN) == seal(key(), "t", PLAIN, 4)


def test_what_cannot_be_opened_leaves_nothing_behind() -> None:
    trust = trust_of()
    for number in range(1000):
        assert reason(trust.open, f"s{number}", TOPIC, seal(SECRET, TOPIC, PLAIN, 1)) == "forged"
        assert reason(trust.open_json, f"s{number}", TOPIC, b"{}", 1) == "unsealed"
    assert trust._keys == {}
    assert trust._lives.known() == {}


def test_lives_outlive_the_hub_and_are_written_only_when_they_grow() -> None:
    store = EpochMemory()
    trust = trust_of(store)
    for boot in (3, 3, 3):
        trust.open("n", TOPIC, seal(key(), TOPIC, encode_frame(frame(boot=boot)), boot))
        trust.keep()
    assert (store.kept, store.saves) == ({"n": 3}, 1)
    again = trust_of(store)
    assert again.knows("n")
    assert reason(again.open, "n", TOPIC, seal(key(), TOPIC, encode_frame(frame(boot=2)), 2)) == "wrong_epoch"
    again.keep()
    assert store.saves == 1
    again.open_json("n", TOPIC, seal_json(key(), TOPIC, b"{}", 7), 7)
    again.keep()
    assert (store.kept, store.saves) == ({"n": 7}, 2)


# -- frames ------------------------------------------------------------------------------------------------------------


def test_a_sealed_frame_enters_the_table_and_no_other() -> None:
    intake = SealedIntake(about())
    assert intake.take(frame()) == "unsealed"
    assert intake.take(seal(key("m"), TOPIC, PLAIN, 1)) == "forged"
    assert intake.take(seal(key(), TOPIC, PLAIN, 2)) == "forged"
    assert intake.take(seal(key(), TOPICS.phase("n", "motion", "tone"), PLAIN, 1)) == "forged"
    assert len(intake.table) == 0
    assert intake.take_sealed(phase=0.5) is None
    assert intake.phase() == pytest.approx(0.5)
    assert intake.take_sealed(phase=-0.5) == "replayed"
    (member,) = intake.roster.members
    assert member.refused == {"unsealed": 1, "forged": 3, "replayed": 1}


def test_a_forged_frame_is_no_sign_of_life() -> None:
    intake = SealedIntake(about())
    member = intake.roster.enrol("n", 0)
    intake.take(seal(key("m"), TOPIC, PLAIN, 1))
    assert member.heard_ns == 0
    intake.take_sealed()
    assert member.heard_ns == NOW_NS


def test_a_forgery_in_a_stranger_s_name_is_counted_and_leaves_no_member() -> None:
    intake = SealedIntake()
    assert intake.take(frame()) == "unsealed"
    assert intake.ingest.refused == {"unsealed": 1}
    assert intake.roster.members == []


def test_a_later_life_ends_the_earlier_ones() -> None:
    intake = SealedIntake(about(boot=2))
    assert intake.take_sealed(boot=2, seq=900) is None
    assert intake.take_sealed(boot=1, seq=901) == "wrong_epoch"
    assert intake.take_sealed(boot=3, seq=0) == "boot"  # it describes itself first
    assert intake.take_sealed(boot=2, seq=901) == "wrong_epoch"  # and that it is alive again counts at once
    intake.describe(about(boot=3))
    assert intake.take_sealed(boot=3, seq=0) is None
    assert intake.take_sealed(boot=2, seq=902) == "wrong_epoch"
    intake.describe(about(boot=2))  # whatever described it
    assert intake.take_sealed(boot=2, seq=903) == "wrong_epoch"


def test_what_may_have_been_taken_before_the_hub_started_is_refused() -> None:
    intake = SealedIntake(about(), start=Start(NOW_US - 500_000, 1.0))
    for seq, time_us in enumerate((NOW_US - 600_000, NOW_US, NOW_US + 500_000)):
        assert intake.take_sealed(seq=seq, time_us=time_us) == "before_start"
    block = {"phasors": np.ones(11, np.complex64), "spacing_us": 50_000.1}
    assert intake.take_sealed(seq=3, time_us=NOW_US, **block) is None  # its last sample is what counts


def test_the_memory_s_frames_are_of_any_age_and_life_and_sealed_by_the_present_one() -> None:
    """What a spool has kept over a restart: it is not new, but it must come from the node as it is now."""
    old: dict[str, Any] = {"time_us": NOW_US - 3_600_000_000, "flags": Flags.VALID | Flags.HISTORICAL}
    intake = SealedIntake(about(boot=5))
    assert intake.take_sealed(boot=5, seq=10) is None
    for boot, seq in ((5, 3), (5, 10), (2, 7)):
        assert intake.take_sealed(boot=boot, seq=seq, life=5, **old) == "historical"  # nobody keeps it yet
    assert intake.take_sealed(boot=2, seq=7, **old) == "wrong_epoch"  # sealed by the life that recorded it
    assert intake.take_sealed(boot=2, seq=7, life=4, **old) == "forged"
    assert intake.take_sealed(boot=2, seq=7, life=6, **old) == "forged"
    assert intake.take_sealed(boot=2, seq=11, life=5) == "wrong_epoch"  # for the live state it must be of this life
    assert intake.take_sealed(boot=5, seq=11) is None


def test_an_about_is_opened_by_the_boot_that_it_names() -> None:
    trust = trust_of()
    topic = TOPICS.about("n")
    text = about(boot=4).model_dump_json().encode()
    assert reason(trust.open_json, "n", topic, text, 4) == "unsealed"
    assert reason(trust.open_json, "n", topic, seal_json(key(), topic, text, 3), 4) == "forged"
    assert reason(trust.open_json, "m", topic, seal_json(key(), topic, text, 4), 4) == "forged"
    sealed = seal_json(key(), topic, text, 4)
    assert reason(trust.open_json, "n", topic, sealed, 4) is None
    assert {**json.loads(sealed), "mac": None} == {**json.loads(text), "mac": None}  # people read it as ever
    assert reason(
        trust.open_json, "n", topic, seal_json(key(), topic, about(boot=3).model_dump_json().encode(), 3), 3
    ) == ("wrong_epoch")
