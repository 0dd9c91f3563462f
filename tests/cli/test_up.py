"""`becomingone up`, run for real: processes, sockets, brokers."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from pathlib import Path

import cbor2
import pytest
from tests.broker.fabrics import MosquittoFabric

from becomingone.broker.embedded import free_port
from becomingone.cli.folder import state_folder
from becomingone.errors import ConfigError

from .listening import Stranger
from .running import PROGRAM, Up, pid_of, run

BASE = "becomingone/home"


@pytest.fixture
def port() -> int:
    return free_port("127.0.0.1")


@pytest.fixture
def mosquitto():
    fabric = MosquittoFabric()
    yield fabric
    fabric.close()


def check_report(report: dict) -> None:
    assert report["nodes"] >= 5
    assert report["frames"] > 100
    assert report["dropped"] == 0, report["dropped_reasons"]
    assert report["real_inputs"] >= 3
    assert report["replayed_inputs"] >= 2
    assert report["simulated_inputs"] == 0
    assert 0.0 <= report["coherence"] <= 1.0
    assert 0.0 <= report["order"] <= 1.0
    assert 0.0 < report["first_coherence_s"] < report["duration_s"] + 5
    stride = report["bands"]["stride"]
    assert stride["channels"] == 2
    assert stride["n_eff"] >= 1.0
    assert 0.0 <= stride["p"] <= 1.0


def test_the_first_run_ends_with_one_json_object(tmp_path: Path, port: int) -> None:
    with Up(tmp_path, "--port", str(port), "--duration", "14") as up:
        code, report, told = up.end()
    assert code == 0
    check_report(report)
    assert report["bands"]["stride"]["locking"] > 0.9  # one leg
    assert f"mqtt://127.0.0.1:{port}" in told
    assert "mosquitto_sub -h 127.0.0.1" in told
    assert "Traceback" not in told
    assert "at an hour a second" in told  # a recording that is replayed faster says so


@pytest.mark.mosquitto
def test_the_same_under_a_real_mosquitto(tmp_path: Path, mosquitto: MosquittoFabric) -> None:
    with Up(tmp_path, "--broker", f"mqtt://127.0.0.1:{mosquitto.port}", "--duration", "9") as up:
        code, report, _ = up.end()
    assert code == 0
    check_report(report)


def test_a_stranger_sees_everything_and_a_killed_node_comes_back(tmp_path: Path, port: int) -> None:
    shank = f"{BASE}/node/shank/state"
    frames = f"{BASE}/node/thigh/phase/stride/gyr_z"
    with Up(tmp_path, "--port", str(port)) as up:
        up.wait_for_line("stop     Ctrl-C")
        with Stranger(port, f"{BASE}/+", f"{BASE}/node/+/state", f"{BASE}/band/stride/+", frames) as stranger:
            assert stranger.until(lambda _: stranger.of(shank)[-1:] == [b"ready"])
            assert stranger.until(lambda _: len(set(stranger.of(f"{BASE}/band/stride/order"))) >= 5)
            figures = stranger.of(f"{BASE}/band/stride/order") + stranger.of(f"{BASE}/coherence")
            assert all(0.0 <= float(text) <= 1.0 for text in figures if text)  # an empty one is taken back

            assert stranger.until(lambda _: len(stranger.of(frames)) > 3)
            frame = cbor2.loads(stranger.of(frames)[-1])
            assert frame[5].tag == 85
            assert frame[14] & 4  # it says that it is replayed

            os.kill(pid_of(tmp_path, "shank"), signal.SIGKILL)
            assert stranger.until(lambda _: b"lost" in stranger.of(shank))
            after = len(stranger.of(frames))
            assert stranger.until(lambda _: len(stranger.of(frames)) > after)  # the mesh goes on
            assert stranger.until(lambda _: stranger.of(shank)[-1] == b"ready")

            assert up.interrupt() < 2.0
            assert stranger.until(lambda _: stranger.of(shank)[-1] == b"disconnected", timeout_s=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_within_two_seconds_and_leaves_nobody_behind(tmp_path: Path, port: int, number: int) -> None:
    with Up(tmp_path, "--port", str(port)) as up:
        up.wait_for_line("joined: thigh")
        assert up.interrupt(number) < 2.0
        assert up.process.returncode == 0
    with pytest.raises(AssertionError, match="no process"):
        pid_of(tmp_path, "thigh")


def test_its_parts_end_when_it_is_killed(tmp_path: Path, port: int) -> None:
    with Up(tmp_path, "--port", str(port)) as up:
        up.wait_for_line("joined: thigh")
        parts = [pid_of(tmp_path, "thigh"), pid_of(tmp_path, "hub")]
        handles = [os.pidfd_open(part) for part in parts]
        up.process.kill()
        for handle in handles:
            assert select.select([handle], [], [], 5.0)[0], "a part outlived the program that started it"
            os.close(handle)


def test_it_ends_when_nobody_reads_it_any_more(tmp_path: Path, port: int) -> None:
    command = [*PROGRAM, "up", "--port", str(port), "--state", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert up.stderr is not None
        assert "BecomingONE" in up.stdout.readline()
        up.stdout.close()  # as `| head -1` does
        assert up.wait(20) == 1
        assert up.stderr.read() == ""


def test_a_taken_port_is_said_aloud(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with Up(tmp_path, "--port", str(number), "--duration", "2") as up:
            assert f"port {number} is in use" in up.wait_for_line("broker ")
            assert up.end()[0] == 0


def test_an_unreachable_broker_is_one_clear_line(tmp_path: Path, port: int) -> None:
    result = run("up", "--broker", f"mqtt://127.0.0.1:{port}", "--state", str(tmp_path))
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"becomingone: the broker mqtt://127.0.0.1:{port} cannot be reached: 127.0.0.1:{port}: Connection refused\n"
    )


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    with (
        state_folder(mine, {}),
        pytest.raises(ConfigError, match=r"another run uses .*--state"),
        state_folder(mine, {}),
    ):
        pass
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    with state_folder(None, environ) as first, state_folder(None, environ) as second:
        assert [first.name, second.name] == ["becomingone", "becomingone-2"]
    with state_folder(None, environ) as again:
        assert again == first
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"), state_folder(tmp_path / "file" / "x", {}):
        pass


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--scenario", "nowhere"], "there is no scenario 'nowhere'; there are home"),
        (["--broker", "http://127.0.0.1"], "must be mqtt://host or mqtt://host:port"),
        (["--set", "nodes[0].hardware=pi_9"], "--set nodes[0].hardware: must be 'pi_zero'"),
        (["--port", "70000"], "must be a port, 0..65535, not '70000'"),
        (["--duration", "soon"], "must be a number of seconds above 0, not 'soon'"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(tmp_path: Path, arguments: list[str], says: str) -> None:
    result = run("up", "--state", str(tmp_path), *arguments)
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_is_there_for_who_asks(tmp_path: Path) -> None:
    result = run("up", "--debug", "--scenario", "nowhere", "--state", str(tmp_path))
    assert result.returncode == 2
    assert "Traceback" in result.stderr


def test_broker_run_refuses_a_taken_port(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        result = run("broker", "run", "--port", str(port))
    assert result.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in result.stderr
    assert "Traceback" not in result.stderr


def test_broker_run_serves_until_told_to_stop(port: int) -> None:

    with subprocess.Popen(
        [*PROGRAM, "broker", "run", "--port", str(port)], stdout=subprocess.PIPE, text=True
    ) as broker:
        assert broker.stdout is not None
        assert broker.stdout.readline() == f"broker: mqtt://127.0.0.1:{port}\n"
        with Stranger(port, "t") as stranger:
            stranger._client.publish("t", b"!", retain=True)
            assert stranger.until(lambda _: stranger.of("t") == [b"!"])
        broker.terminate()
        assert broker.wait(5) == 0
