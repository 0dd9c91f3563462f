"""The process as the node sees it, with a supervisor that listens."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.node.supervisor import Supervisor

from becomingone.cli.node_host import NodeHost
from becomingone.errors import ConfigError
from becomingone.node.log_ring import Log
from becomingone.node.process import Host, Reloaded
from becomingone.node.starts import Starts
from becomingone.sim.clock import VirtualScheduler


class Made:
    def __init__(self, folder: Path, supervisor: Supervisor) -> None:
        for _ in range(3):
            self.starts = Starts(folder, most=2, fingerprint="a")
            self.starts.begin()
        self.end = asyncio.Event()
        self.log = Log(io.StringIO(), {})
        self.host = NodeHost(
            notifier=supervisor.notifier(),
            log=self.log,
            starts=self.starts,
            clock=VirtualScheduler(),
            end=self.end,
        )

    def next_is_safe(self, folder: Path) -> bool:
        life = Starts(folder, most=2, fingerprint="a")
        life.begin()
        return life.safe


@pytest.fixture
def supervisor(tmp_path: Path) -> Generator[Supervisor, None, None]:
    with Supervisor(tmp_path) as made:
        yield made


@pytest.fixture
def made(tmp_path: Path, supervisor: Supervisor) -> Generator[Made, None, None]:
    root = logging.getLogger()
    before, level = [*root.handlers], root.level
    yield Made(tmp_path, supervisor)
    root.handlers[:] = before
    root.setLevel(level)


def test_a_restart_ends_the_process_and_is_the_way_out_of_safe_mode(made: Made, tmp_path: Path) -> None:
    host: Host = made.host
    assert made.starts.safe
    host.restart("asked to")
    assert made.end.is_set()
    assert not made.next_is_safe(tmp_path)


def test_another_try_from_safe_mode_is_a_single_one(made: Made, tmp_path: Path) -> None:
    made.host.try_again("after a while")
    assert made.end.is_set()
    assert not made.next_is_safe(tmp_path)
    assert made.next_is_safe(tmp_path)


def test_a_reload_is_told_from_its_beginning_to_its_end(made: Made, supervisor: Supervisor) -> None:
    made.host.ready("connected")
    made.host.serve(lambda: Reloaded(("health_s",), ()))
    assert made.host.reload() == Reloaded(("health_s",), ())
    supervisor.listen()
    assert supervisor.words == ["READY", "RELOADING", "READY"]
    assert supervisor.heard[-1]["STATUS"] == "connected"


@pytest.mark.parametrize("error", [ConfigError("node.yaml:3: no"), ZeroDivisionError()])
def test_a_reload_that_fails_ends_for_the_supervisor_too(made: Made, supervisor: Supervisor, error: Exception) -> None:
    def failing() -> Reloaded:
        raise error

    made.host.serve(failing)
    with pytest.raises(type(error)):
        made.host.reload()
    supervisor.listen()
    assert supervisor.words == ["RELOADING", "READY"]
    assert "configuration" in supervisor.heard[-1]["STATUS"]


def test_before_there_is_a_node_nothing_is_reloaded(made: Made, supervisor: Supervisor) -> None:
    with pytest.raises(ConfigError, match="ask again"):
        made.host.reload()
    supervisor.listen()
    assert supervisor.words == []


def test_a_hangup_tells_the_log_what_became_of_it(made: Made) -> None:
    made.host.serve(lambda: Reloaded((), ("broker.url",)))
    made.host.hang_up()

    def refusing() -> Reloaded:
        raise ConfigError("node.yaml:3: no")

    made.host.serve(refusing)
    made.host.hang_up()
    lines = made.host.log_lines(10)
    assert "takes effect with the next start only: broker.url" in lines[-2]
    assert "nothing has changed: node.yaml:3: no" in lines[-1]


def test_the_level_of_the_log_can_be_changed(made: Made) -> None:
    made.host.log_level("error")
    logging.getLogger("becomingone.x").warning("unheard")
    logging.getLogger("becomingone.x").error("heard")
    assert [line.split(": ")[-1] for line in made.host.log_lines(5)] == ["heard"]
