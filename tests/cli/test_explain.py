"""`becomingone explain`: the event is found in the memory or at the broker, and told in words."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.broker.fabrics import EmbeddedFabric
from tests.hub.memory.posts import Posts
from tests.hub.memory.remembering import START_US

from becomingone.broker.link import Will
from becomingone.cli import explain, main
from becomingone.hub.memory.section import MemorySection
from becomingone.hub.memory.store import SqliteMemory
from becomingone.wire.topics import Topics

TOPICS = Topics("becomingone", "home")
EVENTS = [
    {"id": "7-1", "kind": "collapse", "time_us": START_US, "band": "stride", "coherence": 0.8, "p": 1e-4, "n_eff": 30},
    {"id": "7-2", "kind": "lost", "time_us": START_US + 1, "node": "kitchen"},
    {"id": "7-3", "kind": "collapse", "time_us": START_US + 2, "band": "breath", "coherence": 0.7, "p": 1e-3},
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory") / "memory.db"
    memory = SqliteMemory(path, Posts(), section=MemorySection(commit_s=0.01))
    for event in EVENTS:
        assert memory.append("event", int(str(event["time_us"])), event)
    memory.close()
    return path


@pytest.mark.parametrize(("wanted", "found"), [("7-1", "7-1"), ("collapse", "7-3"), ("lost", "7-2"), ("last", "7-3")])
def test_an_event_is_found_by_id_kind_or_as_the_last(
    database: Path, wanted: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", wanted, "--database", str(database), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == found
    assert main(["explain", wanted, "--database", str(database)]) == 0
    text = capsys.readouterr().out
    assert next(str(e.get("band", e.get("node"))) for e in EVENTS if e["id"] == found) in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("7-9",), "has no such event; there are events of kind collapse, lost"),
        (("emergence",), "has no such event"),
        (("No Such",), "must be an id such as 7-12, a kind such as emergence, or last"),
        (("last", "--broker", "mqtt://127.0.0.1:1"), "give one of them"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    database: Path, words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *words, "--database", str(database)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_without_a_place_to_look_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "last"]) == 2
    assert "give either CONFIG" in capsys.readouterr().err
    assert main(["explain", "last", "--broker", "nonsense"]) == 2
    assert "--broker must be mqtt://host:port" in capsys.readouterr().err


@pytest.fixture
def fabric() -> Generator[EmbeddedFabric, None, None]:
    made = EmbeddedFabric()
    try:
        yield made
    finally:
        made.close()


def asked(fabric: EmbeddedFabric, *words: str) -> int:
    """Run the program on another thread, while the broker goes on on this one."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["explain", *words, "--broker", fabric.url])))
    thread.start()
    assert fabric.until(lambda: not thread.is_alive(), timeout_s=60.0)
    thread.join()
    return codes[0]


def test_the_broker_is_asked_for_what_it_has_kept(
    fabric: EmbeddedFabric, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "ANSWER_S", 20.0)
    link = fabric.link(TOPICS.client_id("hub"), Will(TOPICS.hub_state, b"lost"))
    got: list[bytes] = []
    link.subscribe(f"{TOPICS.event('+')}/last", lambda message: got.append(message.payload), qos=1)
    link.start()
    assert fabric.until(lambda: link.connected)
    for event in EVENTS[1:]:
        link.publish(f"{TOPICS.event(str(event['kind']))}/last", json.dumps(event).encode(), qos=1, retain=True)
    link.publish(TOPICS.hub_state, b"ready", qos=1, retain=True)
    assert fabric.until(lambda: len(got) == 2)
    assert asked(fabric, "last", "--json") == 0
    assert json.loads(capsys.readouterr().out)["id"] == "7-3"
    assert asked(fabric, "7-9") == 2
    assert "EVENT 7-9: becomingone/home/event/+/last holds none" in capsys.readouterr().err


def test_a_broker_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(explain, "ANSWER_S", 0.5)
    assert main(["explain", "last", "--broker", "mqtt://127.0.0.1:1"]) == 1
    assert "cannot be reached" in capsys.readouterr().err
