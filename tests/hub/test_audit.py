"""A witness hub sees what the hub sees, says nothing to anybody else, and finds out a hub that says what is not so."""

from __future__ import annotations

import cmath
import json
from typing import Any

import pytest

from becomingone.broker.link import Message
from becomingone.hub.audit import Audit, AuditSection
from becomingone.hub.config import HubConfig
from becomingone.hub.machine import HubMachine
from becomingone.hub.memory.volatile import VolatileMemory
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.observer import Observer
from becomingone.node.config import NodeConfig
from becomingone.scheduling import MeshClock
from becomingone.sim.bench import Bench
from becomingone.wire.signature import Signer, Verifier
from becomingone.wire.sync import SyncFrame, encode_sync
from becomingone.wire.topics import Topics

TOPICS = Topics("becomingone", "home")
BANDS = {"motion": {"frequency_hz": 1.5, "tau_s": 0.4}}
T0 = 1_000_000_000


def node(name: str, phase: float) -> NodeConfig:
    options = {"frequency_hz": 1.5, "phase_rad": phase, "rate_hz": 20, "noise": 0.05, "seed": 1, "floor": 0.05}
    tone = {"name": "leg", "kind": "synthetic", "bands": ["motion"], "options": options}
    return NodeConfig.model_validate({"node": name, "bands": BANDS, "inputs": [tone]})


class Remembered(VolatileMemory):
    """A memory that says how often it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


def test_it_agrees_with_an_honest_hub_and_publishes_nothing_but_its_own() -> None:
    bench = Bench(seed=3)
    config = HubConfig.model_validate({"bands": BANDS})
    bench.add_hub(config)
    for name, phase in (("a", 0.0), ("b", 0.7), ("c", -0.4)):
        bench.add_node(node(name, phase))
    memory = Remembered(bench.scheduler)
    observer = Observer(
        config,
        HubMachine(
            boot=1, links=bench.broker.link, clock=MeshClock(bench.scheduler), scheduler=bench.scheduler, memory=memory
        ),
    )
    observer.start()
    bench.run_for(40.0)
    report = json.loads(bench.broker.retained["becomingone/home/audit/witness/report"])
    assert (report["agrees"], report["disagreements"], report["nodes_ready"]) == (True, {}, 3)
    assert report["checked"]["snapshot"] > 20
    assert report["checked"]["sync"] > 100
    own = "becomingone.home.witness.witness"
    said = {one.topic for one in bench.broker.trace if one.client_id == own}
    assert said
    assert all(topic.startswith("becomingone/home/audit/witness/") for topic in said)
    assert any(kind in memory.told for kind in ("mesh", "event"))
    gone: list[bool] = []
    memory.closed = 0  # its reader is itself
    observer.stop(lambda: gone.append(True))
    bench.run_for(2.0)
    assert gone == [True]
    assert memory.closed == 1  # a real one would lose what waits
    assert bench.broker.retained["becomingone/home/audit/witness/state"] == b"disconnected"


class Heard:
    """An audit that has seen a steady mesh, and a hub that says whatever a test has it say."""

    def __init__(self, verifier: Verifier | None = None) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.bench = Bench(seed=1)
        self.link = self.bench.client("witness")
        self.audit = Audit(
            AuditSection(),
            TOPICS,
            link=self.link,
            verifier=verifier,
            tell=lambda kind, content: self.told.append((kind, content)),
        )
        self.time_us = T0

    def see(self, coherence: float = 0.9, phase: float = 0.5) -> None:
        self.time_us += 1_000_000
        field = coherence * cmath.rect(1.0, phase)
        band = BandState(
            name="motion", valid=True, time_us=self.time_us, coherence=coherence, order=0.8, mean_field=field
        )
        self.audit.take(MeshState(self.time_us, (band,)))

    def say(self, **band: Any) -> None:
        said = {"coherence": 0.9, "order": 0.8, "phase": 0.5, **band}
        content = {"time_us": self.time_us, "bands": {"motion": said} if band.get("there", True) else {}}
        self.audit._snapshot(Message(TOPICS.snapshot, json.dumps(content).encode()))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        ({"coherence": 0.99}, "motion/coherence"),
        ({"order": 0.2}, "motion/order"),
        ({"phase": 1.5}, "motion/phase"),
        ({"there": False}, "motion/there"),
        ({"coherence": "much"}, "motion/coherence"),
        ({"coherence": None}, "motion/coherence"),
    ],
)
def test_a_hub_that_says_what_is_not_so_is_found_out_and_told_of_once(lie: dict[str, Any], what: str) -> None:
    heard = Heard()
    for _ in range(4):
        heard.see()
        heard.say(**lie)
    assert heard.told == []  # a frame may have come later here than there
    for _ in range(10):
        heard.see()
        heard.say(**lie)
    assert heard.kinds() == ["disagreement"]
    assert heard.told[0][1]["what"] == what
    assert heard.audit.figures()["agrees"] is False
    for _ in range(6):
        heard.see()
        heard.say()
    assert heard.kinds() == ["disagreement", "agreement"]
    assert heard.audit.figures()["agrees"] is True


def test_small_differences_are_borne() -> None:
    heard = Heard()
    for turn in range(50):
        heard.see()
        heard.say(coherence=0.9 + 0.04 * (-1) ** turn, order=0.85, phase=0.5 + 0.2)
    assert heard.told == []


def test_phases_on_both_sides_of_pi_are_near() -> None:
    heard = Heard()
    for _ in range(20):
        heard.see(phase=3.1)
        heard.say(phase=-3.1)
    assert heard.told == []


def test_an_event_that_nothing_stands_behind_is_told() -> None:
    heard = Heard()
    heard.see(coherence=0.2)
    event = {"kind": "emergence", "id": "1-7", "band": "motion", "coherence": 0.95, "time_us": heard.time_us}
    heard.audit._event(Message(TOPICS.event("emergence"), json.dumps(event).encode()))
    [(kind, content)] = heard.told
    assert (kind, content["id"], content["own"]) == ("unfounded", "1-7", 0.2)
    heard.see(coherence=0.93)
    honest = {**event, "time_us": heard.time_us}
    heard.audit._event(Message(TOPICS.event("emergence"), json.dumps(honest).encode()))
    assert len(heard.told) == 1


def test_sync_frames_that_are_not_the_hubs_are_counted_and_false_ones_told() -> None:
    signer = Signer(bytes(range(32)))
    heard = Heard(Verifier(signer.public_key))
    topic = TOPICS.sync("motion")

    def frame(phase: float) -> bytes:
        field = 0.9 * cmath.rect(1.0, phase)
        return encode_sync(SyncFrame(boot=1, seq=1, time_us=heard.time_us, field=field, omega=0.0, cell_size=3))

    heard.see()
    heard.audit._sync(Message(topic, frame(0.5)))
    assert heard.audit.checked["forged"] == 1
    for _ in range(6):
        heard.see()
        heard.audit._sync(Message(topic, signer.sign(topic, frame(2.5))))
    assert heard.kinds() == ["disagreement"]
    assert heard.told[0][1]["what"] == "motion/sync"


def test_rubbish_is_counted_and_harms_nothing() -> None:
    heard = Heard()
    heard.see()
    for payload in (b"", b"{", b"[]", b'{"time_us":"x"}', b'{"time_us":1,"bands":3}', b"[" * 10_000):
        heard.audit._snapshot(Message(TOPICS.snapshot, payload))
        heard.audit._event(Message(TOPICS.event("emergence"), payload))
        heard.audit._sync(Message(TOPICS.sync("motion"), payload))
    assert heard.told == []
    assert heard.audit.checked["unreadable"] >= 10


NUMBERS = ("Infinity", "-Infinity", "NaN", "1" + "0" * 400, "-1" + "0" * 400, "1e308")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("figure", ["coherence", "order", "phase", "time_us"])
def test_numbers_that_json_does_not_have_are_none(number: str, figure: str) -> None:
    heard = Heard()
    for _ in range(8):
        heard.see()
        said = {"coherence": "0.9", "order": "0.8", "phase": "0.5", "time_us": str(heard.time_us), figure: number}
        band = ",".join(f'"{name}":{value}' for name, value in said.items() if name != "time_us")
        snapshot = f'{{"time_us":{said["time_us"]},"bands":{{"motion":{{{band}}}}}}}'
        heard.audit._snapshot(Message(TOPICS.snapshot, snapshot.encode()))
        event = f'{{"kind":"collapse","band":"motion","id":[[7]],"time_us":{said["time_us"]},{band}}}'
        heard.audit._event(Message(TOPICS.event("collapse"), event.encode()))
    json.dumps([heard.told, heard.audit.figures()], allow_nan=False)
    assert heard.kinds() == (["disagreement"] if figure in ("coherence", "order") else [])


def test_a_clock_that_goes_back_leaves_nothing_behind() -> None:
    heard = Heard()
    heard.see()
    heard.time_us -= 3_600_000_000
    for _ in range(100):
        heard.see()
    assert len(heard.audit._own) <= 4
