"""`becomingone broker run` and the broker of `up`, run for real."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.broker.raw_mqtt import RawClient, RefusedError

from becomingone.broker.ports import free_port
from becomingone.cli import main
from becomingone.cli.motors import motors
from becomingone.node.config import NodeBody

from .running import PROGRAM, Up

PASSWORD = "a password that is long"
MOTOR = '''"""A motor that only counts."""

from pydantic import BaseModel


class Options(BaseModel, frozen=True, extra="forbid"):
    """None."""


class Device:
    """It turns."""

    ROLE

    def __init__(self, options, ports):
        self.applied = 0

    def apply(self, values):
        self.applied += 1

    def rest(self):
        pass
'''


@pytest.fixture
def port() -> int:
    return free_port("127.0.0.1")


def drop_in(folder: Path, role: str = 'role = "motor"') -> Path:
    folder = folder / "devices"
    folder.mkdir()
    (folder / "arm.py").write_text(MOTOR.replace("ROLE", role))
    return folder


def scenario(folder: Path) -> Path:
    path = folder / "robot.yaml"
    node = {
        "node": "robot", "hardware": "pi_4", "drop_in": str(drop_in(folder)),
        "inputs": [{"name": "tone", "kind": "synthetic", "bands": ["motion"]}],
        "outputs": [{"name": "arm", "kind": "arm"}],
    }  # fmt: skip
    path.write_text(yaml.safe_dump({"title": "a robot", "cell": "lab", "nodes": [node]}))
    return path


def config(folder: Path, content: dict) -> Path:
    path = folder / "broker.yaml"
    path.write_text(yaml.safe_dump({"state_dir": str(folder / "state"), **content}))
    return path


class Running:
    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, "broker", "run", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()

    def child(self) -> int:
        """The Mosquitto that it has started."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert len(children) == 1, children
        return int(children[0])


@contextmanager
def running(*arguments: str | Path) -> Iterator[Running]:
    made = Running(*arguments)
    with made.process:  # which closes its pipes
        try:
            yield made
        finally:
            made.process.kill()


def ends(handle: int, timeout_s: float = 10.0) -> bool:
    return bool(select.select([handle], [], [], timeout_s)[0])


def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def lets_in(port: int, user: str) -> bool:
    try:
        RawClient(port, username=user, password=PASSWORD).drop()
    except (RefusedError, ConnectionRefusedError):
        return False
    return True


@pytest.mark.mosquitto
def test_a_mosquitto_is_managed_until_told_to_stop(tmp_path: Path, port: int) -> None:
    wanted = {"kind": "mosquitto", "listeners": [{"port": port}]}
    with running(config(tmp_path, wanted)) as broker:
        assert broker.first == f"broker: mqtt://127.0.0.1:{port}\n"
        with RawClient(port) as client:
            client.subscribe("#")
            client.publish("t", b"!")
            assert [one.payload for one in client.drain()] == [b"!"]
        child = os.pidfd_open(broker.child())
        broker.process.terminate()
        _, said = broker.process.communicate(timeout=10)
        assert broker.process.returncode == 0
        assert ends(child, 0.0)
        os.close(child)
        assert "INFO becomingone.mosquitto: mosquitto version" in said


@pytest.mark.mosquitto
def test_the_mosquitto_ends_with_us_also_when_we_are_killed(tmp_path: Path, port: int) -> None:
    with running(config(tmp_path, {"kind": "mosquitto", "listeners": [{"port": port}]})) as broker:
        child = os.pidfd_open(broker.child())
        broker.process.kill()
        assert ends(child), "Mosquitto outlived the program that started it"
        os.close(child)


@pytest.mark.mosquitto
def test_a_changed_configuration_is_taken_on_at_sighup_and_a_wrong_one_is_not(tmp_path: Path, port: int) -> None:
    def wanted(*nodes: str) -> dict:
        passwords = dict.fromkeys(("hub", *nodes), PASSWORD)
        return {"listeners": [{"port": port}], "identities": {"nodes": list(nodes)}, "passwords": passwords}

    path = config(tmp_path, wanted("kitchen"))
    with running(path) as broker:
        child = broker.child()
        assert lets_in(port, "kitchen")
        assert not lets_in(port, "desk")
        config(tmp_path, wanted("kitchen", "desk"))
        broker.process.send_signal(signal.SIGHUP)
        assert until(lambda: lets_in(port, "desk"))
        for wrong in ("{", "listeners: [{port: nonsense}]", "kind: embedded"):
            path.write_text(wrong)
            broker.process.send_signal(signal.SIGHUP)
        config(tmp_path, wanted("desk"))
        broker.process.send_signal(signal.SIGHUP)
        assert until(lambda: not lets_in(port, "kitchen"))
        assert lets_in(port, "desk")
        assert broker.child() == child
        broker.process.terminate()
        _, said = broker.process.communicate(timeout=10)
        assert "not reloaded: " in said
        assert "Traceback" not in said


@pytest.mark.mosquitto
def test_it_stops_when_its_starter_has_gone(tmp_path: Path, port: int) -> None:
    path = config(tmp_path, {"kind": "mosquitto", "listeners": [{"port": port}]})
    with running(path, "--stop-with-stdin") as broker:
        broker.process.communicate(timeout=10)  # which closes its standard input
        assert broker.process.returncode == 0


def test_the_embedded_one_does_not_mind_sighup(port: int) -> None:
    with running("--port", str(port)) as broker:
        broker.process.send_signal(signal.SIGHUP)
        RawClient(port).drop()
        broker.process.terminate()
        _, said = broker.process.communicate(timeout=10)
        assert broker.process.returncode == 0
        assert "nothing to read anew" in said


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ({"listeners": [{"address": "0.0.0.0"}]}, 2, "listeners[0].tls: must be true beyond loopback"),
        (
            {"program": "/nowhere/mosquitto", "passwords": {"hub": PASSWORD}},
            1,
            "this takes Mosquitto (listeners[0].login: clients are to prove who they are). Mosquitto is not installed",
        ),
        (
            {"program": "/nowhere/mosquitto", "kind": "mosquitto"},
            1,
            "becomingone: Mosquitto is not installed at /nowhere/mosquitto: sudo apt install mosquitto",
        ),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: dict, code: int, says: str
) -> None:
    assert main(["broker", "run", str(config(tmp_path, content))]) == code
    told = capsys.readouterr()
    assert says in told.err
    assert len(told.err.splitlines()) == 1
    assert told.out == ""


@pytest.mark.mosquitto
def test_a_taken_port_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        path = config(tmp_path, {"kind": "mosquitto", "listeners": [{"port": port}]})
        assert main(["broker", "run", str(path)]) == 1
    assert f"becomingone: port {port} on 127.0.0.1 is in use: " in capsys.readouterr().err


def test_options_that_do_not_fit_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["broker", "run", str(config(tmp_path, {})), "--port", "1"]) == 2
    assert "--port: the ports stand in the configuration; use --set listeners[0].port=N" in capsys.readouterr().err
    assert main(["broker", "run", "--set", "kind=mosquitto"]) == 2
    assert "becomingone config example broker" in capsys.readouterr().err


def node(folder: Path, role: str) -> NodeBody:
    outputs = [{"name": "arm", "kind": "arm"}, {"name": "light", "kind": "terminal"}]
    return NodeBody.model_validate({"node": "robot", "outputs": outputs, "drop_in": str(drop_in(folder, role))})


@pytest.mark.parametrize(
    ("role", "found"),
    [
        ('role = "motor"', ["robot/arm"]),
        ('role = "display"', []),
        ('role = property(lambda self: "display")', ["robot/arm"]),  # it will say only when it is made
        ("role: str", ["robot/arm"]),
    ],
)
def test_motors_are_found_before_anything_is_opened(tmp_path: Path, role: str, found: list[str]) -> None:
    assert motors([node(tmp_path, role)]) == found


def test_the_embedded_broker_does_not_start_where_there_is_a_motor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], port: int
) -> None:
    robot = str(scenario(tmp_path))
    path = config(tmp_path, {"kind": "embedded", "listeners": [{"port": port}]})
    state = str(tmp_path / "up")
    for arguments in (
        ["broker", "run", str(path), "--scenario", robot],
        ["up", "--broker-kind", "embedded", "--scenario", robot, "--port", str(port), "--state", state],
    ):
        assert main(arguments) == 1
        told = capsys.readouterr().err
        assert "anybody on this machine could drive the motor robot/arm" in told
        assert "sudo apt install mosquitto" in told


@pytest.mark.mosquitto
def test_a_motor_brings_mosquitto_by_itself(tmp_path: Path, port: int) -> None:
    path = config(tmp_path, {"listeners": [{"port": port}]})
    with running(path, "--scenario", scenario(tmp_path)) as broker:
        assert broker.first == f"broker: mqtt://127.0.0.1:{port}\n"
        assert Path(f"/proc/{broker.child()}/comm").read_text().strip() == "mosquitto"


@pytest.mark.slow
@pytest.mark.mosquitto
def test_a_whole_mesh_runs_on_a_mosquitto_of_its_own(tmp_path: Path, port: int) -> None:
    arguments = ("--scenario", str(scenario(tmp_path)), "--port", str(port), "--set", "nodes[0].health_s=1")
    with Up(tmp_path / "up", *arguments) as up:
        assert f"mqtt://127.0.0.1:{port}  (Mosquitto 2." in up.wait_for_line("broker ")
        up.wait_for_line("joined: robot")
        pids = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
        comms = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}
        mosquitto = next(int(pid) for pid, comm in comms.items() if comm == "mosquitto")
        os.kill(mosquitto, signal.SIGKILL)
        up.wait_for_line("Mosquitto was killed by SIGKILL; it is started again")
        up.wait_for_line("the broker is back")
        handles = [os.pidfd_open(int(pid)) for pid in pids if int(pid) != mosquitto]
        assert up.interrupt() < 4.0
        assert up.process.returncode == 0
        for handle in handles:
            assert ends(handle, 1.0)
            os.close(handle)
    assert not lets_in(port, "anybody")
