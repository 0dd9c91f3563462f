"""A node as a process of its own, under a supervisor for tests."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from tests.node.supervisor import Supervisor

from .running import PROGRAM

TONE = {"name": "tone", "kind": "synthetic", "bands": ["stride"], "options": {"rate_hz": 10}}
WIRE = {"name": "wire", "kind": "wire"}

DEVICE = '''\
"""A sensor that keeps how often it was imported, and blocks for ever where a file says so."""

import time
from pathlib import Path

from pydantic import BaseModel

from becomingone.devices.contract import Channel

FOLDER = Path(__file__).parent
with (FOLDER / "imported").open("a") as file:
    file.write(".")


def block(where):
    while (FOLDER / where).exists():
        time.sleep(0.01)


block("block-import")


class Options(BaseModel, frozen=True, extra="forbid"):
    pass


class Device:
    origin = "live"
    channels = (Channel("a", "V", 20.0, "voltage", 0.0),)

    def __init__(self, options, ports):
        pass

    def read(self):
        block("block-read")
        return {"a": 1.0}

    def close(self):
        pass
'''


class Machine:
    """A machine with a node's configuration, a drop-in device, a state folder and a supervisor."""

    def __init__(self, folder: Path, supervisor: Supervisor, port: int) -> None:
        self.folder = folder
        self.supervisor = supervisor
        self.config = folder / "node.yaml"
        self.devices = folder / "devices"
        self.devices.mkdir()
        (self.devices / "wire.py").write_text(DEVICE)
        self.port = port
        self.running: list[subprocess.Popen[bytes]] = []

    def configure(self, **fields: Any) -> None:
        whole = {
            "node": "n",
            "broker": {"url": f"mqtt://127.0.0.1:{self.port}", "protocol": "3.1.1"},
            "state_dir": str(self.folder / "state"),
            "drop_in": str(self.devices),
            "inputs": [TONE],
            **fields,
        }
        fresh = self.config.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(whole))
        fresh.replace(self.config)

    def start(
        self,
        *arguments: str,
        watchdog_s: float | None = None,
        program: list[str] = PROGRAM,
        supervised: bool = True,
        stdin: int = subprocess.PIPE,
    ) -> NodeProcess:
        theirs = ("SYSTEMD_EXEC_PID", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        environ = {name: text for name, text in os.environ.items() if name not in theirs}
        if supervised:
            environ["NOTIFY_SOCKET"] = self.supervisor.address
        if watchdog_s is not None:
            environ["WATCHDOG_USEC"] = str(round(watchdog_s * 1e6))
        self.supervisor.listen()
        self.supervisor.heard.clear()
        return NodeProcess(self, [*program, "node", "run", str(self.config), *arguments], environ, stdin)

    @property
    def starts(self) -> dict[str, Any]:
        """The count of failed starts; empty before the first."""
        try:
            found: dict[str, Any] = json.loads((self.folder / "state/home/n/starts.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    @property
    def boot(self) -> int:
        return int((self.folder / "state/home/n/boot").read_text())

    @property
    def spooled(self) -> list[Path]:
        """The files in which kept frames wait."""
        return [path for path in (self.folder / "state/home/n/spool").glob("*") if path.name != "format"]

    @property
    def imports(self) -> int:
        """How often the drop-in device was imported."""
        path = self.devices / "imported"
        return len(path.read_text()) if path.exists() else 0


class NodeProcess:
    """One life; killed at the end whatever happens."""

    def __init__(self, machine: Machine, command: list[str], environ: dict[str, str], stdin: int) -> None:
        self._machine = machine
        self.log = machine.folder / f"log-{time.monotonic_ns()}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=stdin, stderr=log, env=environ)

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def ready(self, status: str = "", timeout_s: float = 60.0) -> str:
        """Wait until it is ready with a status that begins so; give the status."""
        supervisor = self._machine.supervisor
        found: list[str] = []

        def told() -> bool:
            supervisor.listen()
            ready = [said.get("STATUS", "") for said in supervisor.heard if "READY" in said]
            found[:] = [text for text in ready if text.startswith(status)]
            return bool(found)

        self.until(told, timeout_s)
        return found[0]

    def until(self, condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int | None = None, timeout_s: float = 60.0) -> tuple[int, float]:
        """Send a signal, wait for the end; give the exit code, and the seconds that it took."""
        began = time.monotonic()
        if number is not None:
            self.signal(number)
        code = self.process.wait(timeout_s)
        return code, time.monotonic() - began

    @property
    def said(self) -> str:
        return self.log.read_text()
