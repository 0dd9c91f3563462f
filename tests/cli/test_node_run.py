"""`becomingone node run` as a supervisor sees it: real processes, a real socket, a real broker."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys

import pytest

from becomingone.cli.node_life import STOP_S
from becomingone.cli.node_run import _supervised

from .listening import Stranger
from .node_process import TONE, WIRE, Machine

BASE = "becomingone/home/node/n"
FAR = {"file": "/nowhere.csv", "columns": {"a": "a"}, "unit": "V", "quantity": "voltage", "rate_hz": 10, "floor": 0}
EARLY = {"failed_starts": 2, "stable_s": 3600}


def test_a_life_is_ready_then_fed_then_reloads_then_stops(machine: Machine) -> None:
    machine.configure(inputs=[{**TONE, "keep": True}])
    with Stranger(machine.port, f"{BASE}/state") as stranger, machine.start(watchdog_s=0.2) as node:
        node.ready("connected; 1 of 1 devices at work")
        for _ in range(5):
            machine.supervisor.heard.clear()
            machine.supervisor.wait(lambda message: "WATCHDOG" in message)
        node.until(lambda: machine.spooled)
        machine.configure(health_s=20, inputs=[{**TONE, "keep": True}])
        machine.supervisor.heard.clear()
        node.signal(signal.SIGHUP)
        node.ready("connected; 1 of 1")
        assert [word for word in machine.supervisor.words if word != "WATCHDOG"] == ["RELOADING", "READY"]
        reloading = machine.supervisor.wait(lambda message: "RELOADING" in message)
        assert int(machine.supervisor.heard[reloading]["MONOTONIC_USEC"]) > 0
        node.until(lambda: "configuration read: health_s" in node.said)
        machine.configure(health_s=0)
        machine.supervisor.heard.clear()
        node.signal(signal.SIGHUP)
        node.ready("configuration refused, nothing has changed")
        node.until(lambda: "health_s: must be" in node.said)
        machine.supervisor.heard.clear()
        code, _ = node.end(signal.SIGTERM)
        machine.supervisor.listen()
        assert code == 0, node.said
        assert machine.supervisor.words[-1] == "STOPPING"
        assert set(machine.supervisor.words[:-1]) <= {"WATCHDOG"}
        assert stranger.until(lambda heard: heard[-1] == (f"{BASE}/state", b"disconnected"))
        assert [payload for _, payload in stranger.messages][-2:] == [b"ready", b"disconnected"]
        assert machine.starts["failed"] == 0


def test_a_sensor_that_worked_and_hangs_starves_the_watchdog_and_is_shown_when_it_strikes(machine: Machine) -> None:
    machine.configure(inputs=[TONE, WIRE], life={"hung_s": 0.5})
    with machine.start(watchdog_s=0.2) as node:
        node.ready("connected; 2 of 2")
        (machine.devices / "block-read").touch()
        at = machine.supervisor.wait(lambda message: message.get("STATUS", "").startswith("hung"))
        assert "wire has not returned from a read" in machine.supervisor.heard[at]["STATUS"]
        assert "the watchdog is no longer fed: wire" in node.said
        node.until(lambda: machine.starts["strikes"] == 1)
        machine.supervisor.listen()
        machine.supervisor.heard.clear()
        machine.supervisor.listen_for(1.0)  # five of the supervisor's intervals
        assert "WATCHDOG" not in machine.supervisor.words
        code, _ = node.end(signal.SIGABRT)  # what systemd does then
        assert code == -signal.SIGABRT
        assert "wire.py" in node.said  # where the thread was


@pytest.mark.slow
def test_a_sensor_that_hangs_from_the_first_read_on_is_lived_with(machine: Machine) -> None:
    machine.configure(inputs=[TONE, WIRE], life={"hung_s": 0.5})
    (machine.devices / "block-read").touch()
    with machine.start(watchdog_s=0.2) as node:
        node.until(lambda: "wire: unavailable: its read has not returned" in node.said)
        for _ in range(5):
            machine.supervisor.listen()
            machine.supervisor.heard.clear()
            machine.supervisor.wait(lambda message: "WATCHDOG" in message)
        assert "no longer fed" not in node.said


def test_it_can_be_stopped_while_it_reads_its_configuration(machine: Machine) -> None:
    machine.configure(inputs=[WIRE])
    (machine.devices / "block-import").touch()
    with machine.start() as node:
        node.until(lambda: machine.imports == 1)
        assert node.end(signal.SIGTERM)[0] == 0, node.said
    assert machine.starts["failed"] == 0


@pytest.mark.parametrize("silent", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_it_can_be_stopped_while_it_connects(machine: Machine, silent: bool) -> None:
    with socket.socket() as listener:  # not listening: refused; listening: accepted by the kernel, and never answered
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()
        machine.port = listener.getsockname()[1]
        machine.configure()
        with machine.start() as node:
            node.until(lambda: "available" in node.said)  # the loop runs
            code, took = node.end(signal.SIGTERM)
            assert code == 0, node.said
            assert took < STOP_S + 15.0
    machine.supervisor.listen()
    assert machine.supervisor.words == ["STOPPING"]
    assert machine.starts["failed"] == 0


@pytest.mark.slow
def test_a_broker_that_has_stopped_answering_delays_the_end_by_a_bounded_time_and_a_second_signal_by_none(
    machine: Machine, node_broker: tuple[int, subprocess.Popen[bytes]]
) -> None:
    with machine.start() as node:
        node.ready("connected")
        node_broker[1].send_signal(signal.SIGSTOP)
        try:
            node.signal(signal.SIGTERM)
            machine.supervisor.wait(lambda message: "STOPPING" in message)
            code, _ = node.end(signal.SIGTERM)
        finally:
            node_broker[1].send_signal(signal.SIGCONT)
        assert (code == 1) == ("told twice" in node.said)  # it may have ended by itself just before
    with machine.start() as node:
        node.ready("connected")
        node_broker[1].send_signal(signal.SIGSTOP)
        try:
            code, took = node.end(signal.SIGTERM)
        finally:
            node_broker[1].send_signal(signal.SIGCONT)
        assert code == 0, node.said
        assert took < STOP_S + 15.0


ONCE = """\
import os, sys
from becomingone.cli import main, node_life
start = node_life.NodeLife.start
def restarting(self):
    start(self)
    if not os.path.exists(os.environ["ONCE"]):
        open(os.environ["ONCE"], "w").close()
        self._host.restart("asked to")
node_life.NodeLife.start = restarting
sys.exit(main())
"""


def test_without_a_supervisor_it_runs_and_a_restart_begins_anew(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONCE", str(machine.folder / "once"))
    with (
        Stranger(machine.port, f"{BASE}/state") as stranger,
        machine.start(program=[sys.executable, "-c", ONCE], supervised=False) as node,
    ):
        assert stranger.until(lambda heard: bool(heard) and heard[-1][1] == b"ready", 60)
        assert machine.boot == 2
        assert node.process.poll() is None, "the same process"
        assert "restarts: asked to" in node.said
        assert node.end(signal.SIGINT)[0] == 0
    assert machine.starts["failed"] == 0


def test_where_somebody_starts_it_again_a_restart_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    assert _supervised(argparse.Namespace(stop_with_stdin=False))
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getppid()))  # inherited: somebody else's
    assert not _supervised(argparse.Namespace(stop_with_stdin=False))
    assert _supervised(argparse.Namespace(stop_with_stdin=True))


IMPATIENT = """\
import sys
from becomingone.cli import main
from becomingone.node.readiness import Readiness
Readiness.__init__.__kwdefaults__["within_s"] = 1.0
sys.exit(main())
"""


def test_it_is_ready_without_a_broker_and_says_so(machine: Machine) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        machine.port = nobody.getsockname()[1]
        machine.configure(inputs=[TONE, {"name": "far", "kind": "recording", "options": FAR}])
        with machine.start(watchdog_s=0.5, program=[sys.executable, "-c", IMPATIENT]) as node:
            status = node.ready("degraded: the broker is out of reach")
            assert "; 1 of 2 devices at work; far: " in status
            machine.supervisor.heard.clear()
            machine.supervisor.wait(lambda message: "WATCHDOG" in message)
            assert node.end(signal.SIGTERM)[0] == 0
    machine.supervisor.listen()
    assert machine.supervisor.words[-1] == "STOPPING"


@pytest.mark.slow
def test_a_window_that_is_closed_stops_it(machine: Machine) -> None:
    ours, theirs = os.openpty()
    try:
        with machine.start(stdin=theirs) as node:
            node.ready("connected")
            assert node.end(signal.SIGHUP)[0] == 0
    finally:
        os.close(ours)
        os.close(theirs)
