"""What a node agent costs with three channels at 100 Hz: memory, time to be ready, processor time.

The baseline is a Python that has imported what a node cannot do without (numpy, paho-mqtt, cbor2, pydantic) and does
nothing. Both are children of this process, in turn, on a broker of their own. Both are started once before, not
counted, so that their modules are compiled as an installed package's are.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from becomingone.bench import broker_hosts
from becomingone.bench.report import Report, Row
from becomingone.errors import LinkError

_BARE: Final = "import numpy, paho.mqtt.client, cbor2, pydantic; print(flush=True); input()"
_READY_S: Final = 60.0

_CONFIG: Final = """
node: bench
hardware: pi_zero
state_dir: {folder}/state
broker: {{url: "mqtt://127.0.0.1:{port}"}}
inputs:
  - {{name: a, kind: synthetic, prefix: a_, options: {{frequency_hz: 0.78, seed: 1}}}}
  - {{name: b, kind: synthetic, prefix: b_, options: {{frequency_hz: 1.5, seed: 2}}}}
  - {{name: c, kind: synthetic, prefix: c_, options: {{frequency_hz: 10, seed: 3}}}}
"""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    rounds : int
        Each starts the baseline and then a node, ≥ 1.
    settle_s, watch_s : float
        Seconds that the node is given before, and during which, its processor time is counted.
    """

    rounds: int = 5
    settle_s: float = 5.0
    watch_s: float = 10.0


@dataclass(frozen=True, slots=True)
class _Figures:
    start_s: float
    start_cpu_s: float
    rss_bytes: float
    pss_bytes: float
    cpu: float = 0.0


def run(effort: Effort | None = None) -> Report:
    """Measure.

    Raises
    ------
    LinkError
        When no broker can be started, or a node does not become ready.
    """
    effort = effort or Effort()
    mosquitto = broker_hosts.find("mosquitto")
    host = broker_hosts.embedded() if mosquitto is None else broker_hosts.mosquitto(mosquitto)
    bare: list[_Figures] = []
    ours: list[_Figures] = []
    with host as port, tempfile.TemporaryDirectory(prefix="becomingone-bench-") as name, _states(port) as states:
        folder = Path(name)
        (folder / "node.yaml").write_text(_CONFIG.format(folder=folder, port=port), "utf-8")
        _bare(folder)
        _node(folder, states, Effort(settle_s=0.0, watch_s=0.1))
        for _ in range(effort.rounds):
            bare.append(_bare(folder))
            ours.append(_node(folder, states, effort))
            shutil.rmtree(folder / "state")
    return Report("node", _rows(bare, ours))


def _rows(bare: list[_Figures], ours: list[_Figures]) -> list[Row]:
    def row(bench: str, unit: str, most: float, figure: Callable[[_Figures], float]) -> Row:
        theirs, mine = (statistics.median(map(figure, figures)) for figures in (bare, ours))
        ratio = statistics.median(figure(m) / figure(t) for t, m in zip(bare, ours, strict=True))
        return Row(bench, unit, theirs, mine, ratio, f"≤ {most:g} × baseline", ratio <= most)

    cpu = statistics.median(figures.cpu for figures in ours)
    return [
        row("resident memory", "MB", 1.2, lambda figures: figures.rss_bytes / 1e6),
        row("start", "s", 2.0, lambda figures: figures.start_s),
        Row("processor", "% of a core", None, 100 * cpu, None, "≤ 2 %", cpu <= 0.02),
        _reported("memory of its own (PSS)", "MB", bare, ours, lambda figures: figures.pss_bytes / 1e6),
        _reported("processor time of the start", "s", bare, ours, lambda figures: figures.start_cpu_s),
    ]


def _reported(
    bench: str, unit: str, bare: list[_Figures], ours: list[_Figures], figure: Callable[[_Figures], float]
) -> Row:
    theirs, mine = (statistics.median(map(figure, figures)) for figures in (bare, ours))
    return Row(bench, unit, theirs, mine, mine / theirs, "reported", ok=True)


def _bare(folder: Path) -> _Figures:
    began = time.monotonic()
    with _child([sys.executable, "-c", _BARE], folder) as child:
        if child.stdout is not None:
            child.stdout.readline()
        return _look(child.pid, time.monotonic() - began)


def _node(folder: Path, states: queue.Queue[bytes], effort: Effort) -> _Figures:
    while not states.empty():
        states.get_nowait()
    began = time.monotonic()
    with _child([sys.executable, "-m", "becomingone", "node", "run", str(folder / "node.yaml")], folder) as child:
        _until_ready(states, child)
        started = _look(child.pid, time.monotonic() - began)
        time.sleep(effort.settle_s)
        before_s, before = time.monotonic(), _cpu_s(child.pid)
        time.sleep(effort.watch_s)
        cpu = (_cpu_s(child.pid) - before) / (time.monotonic() - before_s)
        settled = _look(child.pid, started.start_s)
        return _Figures(started.start_s, started.start_cpu_s, settled.rss_bytes, settled.pss_bytes, cpu)


def _until_ready(states: queue.Queue[bytes], child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and child.poll() is None:
        with contextlib.suppress(queue.Empty):
            if states.get(timeout=0.1) == b"ready":
                return
    msg = "the node did not become ready"
    raise LinkError(msg)


@contextlib.contextmanager
def _child(command: list[str], folder: Path) -> Generator[subprocess.Popen[bytes]]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads would be counted for nothing
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)  # noqa: S603 - our own
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def _states(port: int) -> Generator[queue.Queue[bytes]]:
    """Hear the node's states: live ones alone, not what an earlier round left behind."""
    heard: queue.Queue[bytes] = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)

    def subscribe(client: mqtt.Client, *_: object) -> None:
        client.subscribe("becomingone/home/node/bench/state", qos=1)

    def take(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if not message.retain:
            heard.put(bytes(message.payload))

    client.on_connect = subscribe
    client.on_message = take
    client.connect(broker_hosts.HOST, port)
    client.loop_start()
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def _look(pid: int, start_s: float) -> _Figures:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024.0 for line in lines[1:]}
    return _Figures(start_s, _cpu_s(pid), sizes["Rss"], sizes["Pss"])


def _cpu_s(pid: int) -> float:
    """Give a process's seconds in user and system mode (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
