"""A real cell on this machine: Mosquitto, a hub and nodes, each a process of its own, and somebody who listens."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from tests.broker.bench import Mosquitto
from tests.cli.running import PROGRAM

from becomingone.broker.ports import free_port
from becomingone.errors import FrameError
from becomingone.node.spool.spool import Spool
from becomingone.runner import InlineRunner
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.frame import decode_frame
from becomingone.wire.seal import node_key

from .means import need_mosquitto

SECRET = bytes(range(32))
BASE = "becomingone/home"
Seqs = dict[tuple[str, int], set[int]]
"""Numbers of frames by channel and boot id."""


def tone(name: str, *, keep: bool = False, rate_hz: float = 50.0) -> dict[str, Any]:
    options = {"frequency_hz": 0.784, "noise": 0.1, "rate_hz": rate_hz, "floor": 0.05}
    found = {"name": name, "kind": "synthetic", "prefix": f"{name}_", "bands": ["stride"], "options": options}
    return {**found, "keep": True} if keep else found


class Watcher:
    """A client of its own that comes back within some 20 ms, and keeps what it hears of frames and figures."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.lock = threading.Lock()
        self.frames: Seqs = defaultdict(set)
        self.newest: dict[str, bytes] = {}
        self.times: dict[str, float] = {}
        self.gaps: dict[str, float] = defaultdict(float)
        self.counts: Counter[str] = Counter()
        self.bad = 0
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"watcher-{os.getpid()}-{id(self)}")
        self._client.on_connect = lambda client, *_: client.subscribe([(f"{BASE}/#", 1)])
        self._client.on_message = self._hear
        self._client.connect_timeout = 2.0
        self._over = False
        self._thread = threading.Thread(target=self._run, args=(host, port), daemon=True)
        self._thread.start()

    def _run(self, host: str, port: int) -> None:
        """paho's own loop waits a second at least before it connects again."""
        pause = threading.Event()
        while not self._over:
            try:
                self._client.connect(host, port)
                while not self._over and self._client.loop(0.1) == mqtt.MQTT_ERR_SUCCESS:
                    pass
            except OSError:
                pass
            pause.wait(0.02)
        self._client.disconnect()

    def close(self) -> None:
        self._over = True
        self._thread.join(10.0)

    def publish(self, topic: str, payload: bytes, qos: int = 0) -> None:
        self._client.publish(topic, payload, qos=qos)

    def _hear(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        topic = message.topic.removeprefix(f"{BASE}/")
        now = time.monotonic()
        with self.lock:
            if "/phase/" in topic:
                try:
                    frame = decode_frame(message.payload)
                except FrameError:
                    self.bad += 1
                    return
                self.frames[topic.rpartition("/")[2], frame.boot].add(frame.seq)
            if topic in self.times:
                self.gaps[topic] = max(self.gaps[topic], now - self.times[topic])
            self.times[topic] = now
            self.newest[topic] = message.payload
            self.counts[topic] += not topic.endswith("/last")

    def heard_after(self, begin: str, since: float) -> bool:
        with self.lock:
            return any(when > since for topic, when in self.times.items() if topic.startswith(begin))

    def when(self, topic: str) -> float:
        with self.lock:
            return self.times[topic]

    def count(self, begin: str) -> int:
        """Count what was heard of topics that begin so, without what is only stored there."""
        with self.lock:
            return sum(number for topic, number in self.counts.items() if topic.startswith(begin))

    def json(self, topic: str) -> dict[str, Any]:
        with self.lock:
            payload = self.newest.get(topic, b"{}")
        found: dict[str, Any] = json.loads(payload or b"{}")
        return found

    def seqs(self) -> Seqs:
        with self.lock:
            return {name: set(numbers) for name, numbers in self.frames.items()}


class Cell:
    """Everything in one folder; parts are called ``broker``, ``hub`` and by the nodes' ids."""

    def __init__(
        self,
        folder: Path,
        nodes: Mapping[str, Mapping[str, Any]],
        *,
        state: Path | None = None,
        hub: Mapping[str, Any] | None = None,
        from_afar: bool = False,
    ) -> None:
        need_mosquitto()
        self.folder = folder
        self.state = state or folder / "state"
        self.memory = Path((hub or {}).get("state_dir", folder / "hub"), "home/hub/memory.db")
        self.far_port = free_port("0.0.0.0")
        """Where the broker also listens, if wanted, for whoever comes from another network."""
        self.broker = Mosquitto(folder, *([f"listener {self.far_port}"] if from_afar else []))
        self.port = self.broker.port
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.watcher: Watcher | None = None
        self._write(
            "hub",
            {
                "broker": {"url": f"mqtt://127.0.0.1:{self.port}"},
                "state_dir": str(folder / "hub"),
                "security": {"secret": SECRET.hex()},
                "http": {"port": 0},
                **(hub or {}),
            },
        )
        for name, fields in nodes.items():
            self.configure(name, **fields)

    def configure(self, name: str, *, sealed: bool = True, **fields: Any) -> None:
        key = {"security": {"key": node_key(SECRET, "becomingone", "home", name).hex()}} if sealed else {}
        url = f"mqtt://127.0.0.1:{self.port}"
        own = {"node": name, "broker": {"url": url}, "state_dir": str(self.state), "health_s": 1, **key}
        self._write(name, {**own, **fields})

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        file = self.folder / f"{name}.yaml"
        file.write_text(json.dumps(content))
        file.chmod(0o600)

    def __enter__(self) -> Cell:
        self.broker.start()
        self.watcher = Watcher(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        if self.watcher is not None:
            self.watcher.close()
        self.broker.kill()

    @property
    def ear(self) -> Watcher:
        assert self.watcher is not None
        return self.watcher

    def start(self, name: str, *, within: str = "", program: Sequence[str] = PROGRAM, **environ: str) -> None:
        """Start a part, within a network namespace where one is named."""
        namespace = ["ip", "netns", "exec", within] if within else []
        command = [*namespace, *program, "hub" if name == "hub" else "node", "run", str(self.folder / f"{name}.yaml")]
        theirs = {"SYSTEMD_EXEC_PID": "", "NOTIFY_SOCKET": ""}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **theirs, **environ}
            )

    def cpu_s(self, name: str) -> float:
        """Give the processor's time that a part has had so far."""
        words = Path(f"/proc/{self.processes[name].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self, name: str) -> float:
        """Give the memory that a part has."""
        pages = int(Path(f"/proc/{self.processes[name].pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def stop(self, name: str, timeout_s: float = 30.0) -> int:
        self.processes[name].send_signal(signal.SIGTERM)
        return self.processes[name].wait(timeout_s)

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wait(
        self, condition: Callable[[], object], what: str, timeout_s: float = 60.0, *, expected: tuple[str, ...] = ()
    ) -> float:
        """Wait until a condition holds; give the seconds that it took. No part may end unless it is expected to."""
        began = time.monotonic()
        pause = threading.Event()
        while not condition():
            for name, process in self.processes.items():
                over = process.poll() not in (None, 0, -signal.SIGKILL)
                assert not over or name in expected, f"{name} has ended: {self.said(name)[-2000:]}"
            if time.monotonic() - began > timeout_s:
                logs = {name: self.said(name)[-800:] for name in self.processes}
                raise AssertionError(f"not within {timeout_s:g} s: {what}; {logs}")
            pause.wait(0.005)
        return time.monotonic() - began

    # -- what has become of the kept frames ------------------------------------------------------------------------

    def committed(self, node: str = "n") -> tuple[Seqs, int]:
        """Give the numbers in the hub's database, and how many frames are there twice by the time of their sample."""
        path = self.memory
        if not path.exists():
            return {}, 0
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept'").fetchone():
                return {}, 0  # the hub is making it
            rows = database.execute(
                "SELECT band || '/' || channel, boot, seq, time_us, frame FROM kept WHERE node = ?", (node,)
            ).fetchall()
        seqs: Seqs = defaultdict(set)
        times: dict[str, set[int]] = defaultdict(set)
        twice = 0
        for name, boot, seq, time_us, payload in rows:
            frame = decode_frame(payload)
            assert (frame.boot, frame.seq, frame.time_us) == (boot, seq, time_us), "a row that is not its frame"
            seqs[name.rpartition("/")[2], boot].add(seq)
            twice += time_us in times[name]
            times[name].add(time_us)
        return seqs, twice

    def kept(self, node: str = "n") -> Seqs:
        """Give what a node that has ended still keeps."""
        scheduler = VirtualScheduler()
        spool = Spool(
            self.state / "home" / node / "spool", max_bytes=64_000_000, scheduler=scheduler,
            runner=InlineRunner(scheduler),
        )  # fmt: skip
        found: Seqs = defaultdict(set)
        try:
            assert spool.fault == "", spool.fault
            for stream in spool.streams():
                seq = -1
                while (entry := spool.next(stream, seq)) is not None:
                    seq = entry.seq
                    found[stream[0].rpartition("/")[2], stream[1]].add(seq)
        finally:
            spool.close()
        return found


def holes(committed: Seqs) -> int:
    """Count what is missing before the last committed frame of each channel and life: none where order was kept."""
    return sum(max(seqs) + 1 - len(seqs) for seqs in committed.values() if seqs)


def lost(committed: Seqs, kept: Seqs, heard: Seqs) -> int:
    """Count the kept frames that are neither committed nor kept although later ones are, or somebody heard them."""
    count = 0
    for name in committed.keys() | kept.keys() | {name for name in heard if name[0].startswith("kept_")}:
        safe = committed.get(name, set()) | kept.get(name, set())
        must = set(range(max(safe, default=-1) + 1)) | heard.get(name, set())
        count += len(must - safe)
    return count


@contextmanager
def cell(nodes: Mapping[str, Mapping[str, Any]], **options: Any) -> Generator[Cell, None, None]:
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, Cell(Path(folder), nodes, **options) as made:
        yield made
