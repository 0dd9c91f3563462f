"""`becomingone operate`: asks, waits, tells; against a hub and a node on a real broker."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.broker.fabrics import EmbeddedFabric
from tests.hub.operated import TOPICS, OperatedNode

from becomingone.cli import main, operate
from becomingone.cli.parser import parse
from becomingone.hub.config import HubConfig
from becomingone.hub.dispatch import operations
from becomingone.hub.machine import HubMachine
from becomingone.hub.service import Hub
from becomingone.scheduling import LoopScheduler, MeshClock
from becomingone.wire.verbs import FORGET, OPERATORS


class House:
    """A broker, a hub and a node on this thread; the program runs on another."""

    def __init__(self) -> None:
        self.fabric = EmbeddedFabric()
        self.scheduler = LoopScheduler(self.fabric.loop)
        self.config: list[str] = []

    def start_hub(self) -> None:
        config = HubConfig.model_validate({"operate": {"verbs": ["identify", "log", "restart"]}})
        clock = MeshClock(self.scheduler)
        self.hub = Hub(config, HubMachine(boot=1, links=self.fabric.link, clock=clock, scheduler=self.scheduler))
        self.hub.start()

    def start_node(self) -> None:
        made = OperatedNode("n", 1, links=self.fabric.link, scheduler=self.scheduler, sealed=False)
        made.operations._started_ns -= 60 * 10**9  # its first second, in which it takes nothing, is long over
        self.node = made.start()
        assert self.fabric.until(lambda: self.hub.operations._absence("n") is None)

    def configure(self, folder: Path) -> None:
        """Give the program a file, which knows what this broker speaks."""
        file = folder / "operator.yaml"
        file.write_text(f"cell: home\nbroker: {{url: '{self.fabric.url}', protocol: 3.1.1}}\n")
        self.config = ["--config", str(file)]

    def operate(self, *words: str) -> int:
        """Run the program while the house goes on."""
        codes: list[int] = []
        arguments = ["operate", *words, *(self.config or ["--broker", self.fabric.url])]
        thread = threading.Thread(target=lambda: codes.append(main(arguments)))
        thread.start()
        assert self.fabric.until(lambda: not thread.is_alive(), timeout_s=40.0)
        thread.join()
        return codes[0]

    def close(self) -> None:
        if hasattr(self, "hub"):
            for turn in self.hub._turns:
                turn.cancel()
        self.fabric.close()


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.close()


def test_the_verbs_are_those_that_operators_have() -> None:
    for verb in (*OPERATORS, FORGET):
        assert parse(["operate", "n", verb]).verb == verb
    for verb in ("rebirth", "realign", "dance"):
        with pytest.raises(SystemExit) as ended:
            parse(["operate", "n", verb])
        assert ended.value.code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["N", "log"], "the node 'N' must be"),
        (["n", "log", "3"], "3: must be key=value"),
        (["n", "log", "lines=257"], "lines must be 1..256, not 257"),
        (["n", "log", "line=3"], "log takes lines, nothing else"),
        (["n", "loglevel"], "loglevel needs level"),
        (["n", "identify", "seconds=long"], "seconds must be a number"),
        (["n", "restart", "--broker", "here"], "--broker must be mqtt://host:port"),
        (["n", "forget", "all=yes"], "forget takes no arguments"),
        (["n", "restart", "--cell", "a/b"], "--cell"),
    ],
)
def test_what_cannot_be_asked_is_bad_input(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operate", *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("timeout", ["0.5", "11", "nan", "soon"])
def test_a_time_that_no_command_holds_for_is_bad_input(timeout: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["operate", "n", "log", "--timeout", timeout])
    assert ended.value.code == 2


def test_what_is_done_is_told_and_what_is_not_fails(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    house.start_hub()
    house.start_node()
    assert house.operate("n", "log", "lines=2") == 0
    house.configure(tmp_path)
    assert capsys.readouterr().out == "line 298\nline 299\n"
    assert house.operate("n", "identify", "seconds=2.5") == 0
    assert capsys.readouterr().out == "n: identify: done: look for light\n"
    assert house.operate("n", "restart", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["node"], told["verb"], told["result"]) == ("n", "restart", "done")
    assert house.node.host.calls[-1] == ("restart", "a command")

    assert house.operate("n", "reload") == 1
    assert "n: reload: refused: not_allowed" in capsys.readouterr().err
    assert house.operate("nobody", "restart", "--json") == 1
    assert json.loads(capsys.readouterr().out)["result"] == "refused"
    house.node.operations._reply = lambda *_: None  # type: ignore[method-assign]
    monkeypatch.setattr(operations, "GRACE_S", 0.1)
    assert house.operate("n", "restart", "--timeout", "1") == 1
    assert "n: restart: unanswered: no answer in time" in capsys.readouterr().err

    house.config += ["--cell", "attic"]
    monkeypatch.setattr(operate, "HUB_S", 0.5)
    assert house.operate("n", "log", "--timeout", "1") == 1  # there is no such cell
    assert "no hub of becomingone/attic has answered within 1.5 s" in capsys.readouterr().err


def test_a_hub_that_has_gone_is_told_at_once(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house.configure(tmp_path)
    speaker = house.fabric.link("speaker")
    speaker.start()
    assert house.fabric.until(lambda: speaker.connected)
    settled: list[bool] = []
    speaker.publish(TOPICS.hub_state, b"disconnected", qos=1, retain=True, settled=settled.append)
    assert house.fabric.until(lambda: bool(settled))
    assert house.operate("n", "restart") == 1
    assert "the hub of becomingone/home is disconnected" in capsys.readouterr().err


def test_no_broker_no_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operate", "n", "restart", "--broker", "mqtt://127.0.0.1:1"]) == 1
    assert "cannot be reached" in capsys.readouterr().err
