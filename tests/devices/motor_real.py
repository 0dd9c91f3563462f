"""Real processes on this machine: Mosquitto, a hub, nodes, a link that can be cut, and pins that keep a log.

The hub may be the real one, whose motor moves some 30 s after its start when it has found the walk, or `motor_source`.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

from becomingone.broker.ports import free_port
from becomingone.sim.pins import PinChange
from becomingone.wire.seal import node_key

from .cable import Cable
from .motor_result import rest_after
from .motor_trials import NODE, OPTIONS

HERE = Path(__file__).parent
TOPIC = f"becomingone/home/node/{NODE}/output/m/set"
SECRET = bytes(range(32))
WATCHED_S = 1.0
BACK_S = 120.0
PROGRAM = [sys.executable, "-m", "becomingone"]


def mosquitto() -> str | None:
    """Debian puts it where ordinary users do not look."""
    return shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")


class RealCell:
    """Everything that drives one motor, each part a process of its own."""

    def __init__(self, folder: Path, *, hub: bool) -> None:
        self.rng = random.Random(1)
        self.folder = folder
        self.real_hub = hub
        self.port = free_port("127.0.0.1")
        self.log = folder / "pins.log"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.heard: list[bytes] = []
        self.sent: set[bytes] = set()
        self._pins()
        self.cable = Cable(self.port)
        self.start("broker")
        self._configure()
        for name in ("hub", NODE, *(["n002"] if hub else [])):
            self.start(name)
        self.enemy = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.enemy.reconnect_delay_set(1, 1)
        self.enemy.on_connect = lambda client, *_: client.subscribe(TOPIC)
        self.enemy.on_message = lambda _client, _data, message: self._hear(message.payload)
        self.enemy.connect_async("127.0.0.1", self.port)
        self.enemy.loop_start()

    def __enter__(self) -> RealCell:
        return self

    def __exit__(self, *_: object) -> None:
        self.enemy.loop_stop()
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.cable.close()

    def _hear(self, payload: bytes) -> None:
        if payload not in self.sent:
            self.heard = [*self.heard[-99:], payload]

    def _pins(self) -> None:
        """Install the pin factory as another package would: a module, and an entry point of gpiozero's."""
        site = self.folder / "site"
        info = site / "logged_pins-0.dist-info"
        info.mkdir(parents=True)
        shutil.copy(HERE / "logged_pins.py", site)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: logged-pins\nVersion: 0\n")
        (info / "entry_points.txt").write_text("[gpiozero_pin_factories]\nlogged = logged_pins:LoggedFactory\n")

    def _configure(self) -> None:
        def tone(seed: int) -> dict[str, Any]:
            options = {"frequency_hz": 0.784, "noise": 0.1, "rate_hz": 50.0, "floor": 0.05, "seed": seed}
            return {"name": "leg", "kind": "synthetic", "bands": ["stride"], "options": options}

        for seed, name in enumerate((NODE, "n002")):
            port = self.cable.port if name == NODE else self.port
            content: dict[str, Any] = {
                "node": name,
                "broker": {"url": f"mqtt://127.0.0.1:{port}"},
                "state_dir": str(self.folder / "state"),
                "security": {"key": node_key(SECRET, "becomingone", "home", name).hex()},
                "inputs": [tone(seed)],
                "clock": {"sigma_s": 1e-4},
            }
            if name == NODE:
                content["outputs"] = [{"name": "m", "kind": "motor", "options": dict(OPTIONS)}]
            self._write(name, content)
        self._write(
            "hub",
            {
                "broker": {"url": f"mqtt://127.0.0.1:{self.port}"},
                "state_dir": str(self.folder / "state"),
                "security": {"secret": SECRET.hex()},
                "decision": {"dwell_s": 0.2},
            },
        )

    def _write(self, name: str, content: dict[str, Any]) -> None:
        file = self.folder / f"{name}.yaml"
        file.write_text(json.dumps(content))
        file.chmod(0o600)

    def start(self, name: str) -> None:
        if name == "broker":
            program = mosquitto()
            assert program is not None, "mosquitto is not installed: apt install mosquitto"
            command = [program, "-p", str(self.port)]
        elif name == "hub" and not self.real_hub:
            key = node_key(SECRET, "becomingone", "home", NODE).hex()
            command = [sys.executable, str(HERE / "motor_source.py"), str(self.port), key]
        else:
            command = [*PROGRAM, "hub" if name == "hub" else "node", "run", str(self.folder / f"{name}.yaml")]
        paths = os.pathsep.join([str(self.folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
        environ = {"GPIOZERO_PIN_FACTORY": "logged", "LOGGED_PINS": str(self.log), "PYTHONPATH": paths}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environ})

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)
        if number == signal.SIGKILL:
            self.processes[name].wait()

    # -- the motor ---------------------------------------------------------------------------------------------

    def changes(self) -> list[PinChange]:
        if not self.log.exists():
            return []
        found = []
        for line in self.log.read_text("ascii").splitlines(keepends=True):
            if line.endswith("\n"):  # else it is being written
                time_ns, pin, value = line.split()
                found.append(PinChange(int(time_ns), int(pin), float(value)))
        return found

    def wait_until_moving(self) -> None:
        """Wait until it has moved for 0.3 s without a stop."""
        end = time.monotonic() + BACK_S
        since_ns: int | None = None
        pause = threading.Event()
        while since_ns is None or time.monotonic_ns() - since_ns < 300_000_000:
            if not any({change.pin: change.value for change in self.changes() if change.pin != 24}.values()):
                since_ns = None
            elif since_ns is None:
                since_ns = time.monotonic_ns()
            if time.monotonic() > end:
                logs = [file.read_text("utf-8", "replace")[-2_000:] for file in self.folder.glob("*.log")]
                raise AssertionError(f"the motor does not move: {logs}")
            pause.wait(0.01)
        pause.wait(self.rng.uniform(0.0, 0.1))

    def trial(self, name: str) -> float:
        """Let something fail; give the seconds until the motor was at rest for good."""
        self.wait_until_moving()
        failed_ns = time.monotonic_ns()
        mend = FAILURES[name](self)
        threading.Event().wait(WATCHED_S)
        rest_s = rest_after(self.changes(), failed_ns)
        mend()
        return rest_s

    # -- failures; each returns how to mend it -----------------------------------------------------------------

    def kill(self, name: str) -> Callable[[], None]:
        self.signal(name, signal.SIGKILL)
        return lambda: self.start(name)

    def stop(self, name: str) -> Callable[[], None]:
        self.signal(name, signal.SIGSTOP)
        return lambda: self.signal(name, signal.SIGCONT)

    def cut_link(self) -> Callable[[], None]:
        self.cable.cut()
        return self.cable.mend

    def stop_link(self) -> Callable[[], None]:
        self.cable.stop()
        return self.cable.mend

    def flood(self, make: Callable[[], bytes]) -> Callable[[], None]:
        """Kill the hub, and send something else in its place."""
        mend = self.kill("hub")
        end = time.monotonic() + WATCHED_S
        pause = threading.Event()
        while time.monotonic() < end - 0.05:
            payload = make()
            self.sent.add(payload)
            self.enemy.publish(TOPIC, payload, qos=1)
            pause.wait(0.002)
        return mend

    def replay(self) -> Callable[[], None]:
        return self.flood(lambda: self.rng.choice(self.heard))

    def malformed(self) -> Callable[[], None]:
        def make() -> bytes:
            payload = bytearray(self.rng.choice(self.heard))
            kind = self.rng.randrange(3)
            if kind == 0:
                return self.rng.randbytes(self.rng.randint(0, 200))
            if kind == 1:
                return bytes(payload[: self.rng.randrange(len(payload))])
            payload[self.rng.randrange(len(payload))] ^= 1 << self.rng.randrange(8)
            return bytes(payload)

        return self.flood(make)


FAILURES: dict[str, Callable[[RealCell], Callable[[], None]]] = {
    "hub killed": lambda cell: cell.kill("hub"),
    "hub stopped": lambda cell: cell.stop("hub"),
    "broker killed": lambda cell: cell.kill("broker"),
    "broker stopped": lambda cell: cell.stop("broker"),
    "link cut": RealCell.cut_link,
    "link stopped": RealCell.stop_link,
    "fed replayed commands": RealCell.replay,
    "fed malformed commands": RealCell.malformed,
}


def run(
    trials: int, tell: Callable[[str], None] = lambda _text: None, *, hub: bool = True
) -> Iterator[tuple[str, float]]:
    """Let everything that drives the motor fail in turn; give what failed, and the seconds until it was at rest.

    Parameters
    ----------
    trials : int
        How many.
    tell : callable
        Told of every trial.
    hub : bool
        The hub is the real one; otherwise `motor_source`, which starts in a moment.
    """
    names = list(FAILURES)
    with tempfile.TemporaryDirectory() as folder, RealCell(Path(folder), hub=hub) as cell:
        for number in range(trials):
            name = names[number % len(names)]
            rest_s = cell.trial(name)
            tell(f"{number + 1} of {trials}: {name}: {rest_s:.6f} s")
            yield name, rest_s
