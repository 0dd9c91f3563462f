"""Remote operation on a real Mosquitto: an operator with nothing but mosquitto_pub and mosquitto_sub."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tests.broker.fabrics import MosquittoFabric

from becomingone.hub.config import HubConfig
from becomingone.hub.machine import HubMachine
from becomingone.hub.service import Hub
from becomingone.scheduling import LoopScheduler, MeshClock
from becomingone.sim.world import KeptEpochs
from becomingone.wire.verbs import OPERATORS

from .operated import SEALED, TOPICS, OperatedNode

pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="apt install mosquitto-clients"),
]
GIVEN = {"identify": {"seconds": 1}, "loglevel": {"level": "debug"}, "log": {"lines": 3}}


class House:
    """A hub and a node with keys on this thread, on a Mosquitto of their own."""

    def __init__(self) -> None:
        self.fabric = MosquittoFabric()
        self.scheduler = LoopScheduler(self.fabric.loop)
        self.clock = MeshClock(self.scheduler)
        self.epochs = KeptEpochs()
        self.hub = Hub(
            HubConfig.model_validate(SEALED),
            HubMachine(
                boot=1,
                links=self.fabric.link,
                clock=self.clock,
                scheduler=self.scheduler,
                epochs=self.epochs,
            ),
        )
        self.hub.start()
        self.boot = 0
        self.start_node()

    def start_node(self, session_s: int = 0) -> None:
        self.boot += 1
        self.node = OperatedNode(
            "n", self.boot, links=self.fabric.link, scheduler=self.scheduler, sealed=True, session_s=session_s
        ).start()
        newest = self.hub._trust._lives.newest
        assert self.fabric.until(lambda: newest("n") == self.boot and self.hub.operations._absence("n") is None)

    def tool(self, name: str, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["stdbuf", "-oL", name, "-p", str(self.fabric.port), *words],  # else what it says waits for its end
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def operate(self, verb: str, content: dict[str, Any], node: str = "n") -> dict[str, Any]:
        """Ask as the manual says, and give the answer."""
        topic = TOPICS.answer(node, content["token"])
        listener = self.tool("mosquitto_sub", "-t", topic, "-C", "1", "-W", "20", "-q", "1", "-d")
        assert listener.stdout is not None
        try:
            assert self.until_line(listener, "SUBACK")
            self.ask(verb, content, node)
            assert self.fabric.until(lambda: listener.poll() is not None, timeout_s=25.0)
            lines = listener.stdout.read().splitlines()
            found: dict[str, Any] = json.loads(next(line for line in lines if line.startswith("{")))
            return found
        finally:
            listener.kill()
            listener.communicate()

    def ask(self, verb: str, content: dict[str, Any], node: str = "n") -> None:
        speaker = self.tool("mosquitto_pub", "-t", TOPICS.operate(node, verb), "-m", json.dumps(content), "-q", "1")
        assert self.fabric.until(lambda: speaker.poll() is not None)
        assert speaker.communicate() == ("", "")
        assert speaker.returncode == 0

    def until_line(self, process: subprocess.Popen[str], word: str) -> bool:
        """Read what a tool says until a word comes; it says so within the time of a round trip."""
        assert process.stdout is not None
        while line := process.stdout.readline():
            if word in line:
                return True
        return False

    def close(self) -> None:
        for turn in self.hub._turns:
            turn.cancel()
        self.fabric.close()


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.close()


def test_an_operator_s_tools_are_enough(house: House) -> None:
    for verb in OPERATORS:
        answer = house.operate(verb, {"token": f"anna-{verb}", "arguments": GIVEN.get(verb, {})})
        assert (answer["node"], answer["verb"], answer["token"]) == ("n", verb, f"anna-{verb}")
        assert answer["result"] == "done", answer
        assert answer["log"] == (["line 297", "line 298", "line 299"] if verb == "log" else [])
    assert [call[0] for call in house.node.host.calls] == ["reload", "log_level", "log_lines", "restart"]
    assert house.node.identify.begun == 1
    answer = house.operate("restart", {"token": "anna"}, node="m")
    assert (answer["result"], answer["why"].split(":")[0]) == ("refused", "unknown_node")
    assert house.hub.operations.realign("n", "stride", phase=0.25, omega=4.5, time_us=house.clock.now_us())
    assert house.fabric.until(lambda: len(house.node.realigned) == 1)
    assert house.node.operations.refused == {}


def test_a_restart_that_the_broker_delivers_again_to_the_next_life_is_not_obeyed_twice(house: House) -> None:
    """A session that outlives its node: what was not acknowledged waits for the next life of it, at QoS 1."""
    house.node.presence.leave(lambda: None)
    assert house.fabric.until(lambda: not house.node.link.connected)
    house.start_node(session_s=3600)
    # It is cut off before it can acknowledge; to the broker the message is still under way.
    node = house.node
    node.host.on_restart = lambda: house.fabric.cut(node.link)  # type: ignore[arg-type]
    house.ask("restart", {})
    assert house.fabric.until(lambda: bool(node.host.calls))
    node.link.close()
    house.start_node(session_s=3600)
    again = house.operate("log", {"token": "later", "arguments": {"lines": 1}})
    assert again["result"] == "done"
    assert [call[0] for call in house.node.host.calls] == ["log_lines"]
    assert house.node.operations.refused == {"wrong_epoch": 1}  # it did come again
