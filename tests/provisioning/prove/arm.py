"""The node in an ARM user space: its packages, its wheel, and a minute of sampling, emulated by qemu-user.

Started by scripts/arm-test. What it cannot show: hardware, speed, and the ARMv6 hard-float binaries of Raspberry Pi OS;
Debian's armel on an emulated ARM1176 is the nearest to a Pi Zero that can be had.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from tests.provisioning.machines import wait
from tests.provisioning.prove import debian, roots
from tests.provisioning.prove.steps import Steps, Told, VitalStepError, require

PACKAGES = (
    "python3-cbor2,python3-cffi,python3-cryptography,python3-numpy,python3-psutil,python3-pydantic,"
    "python3-venv,python3-yaml"
)
SAMPLED_S = 60
ILLEGAL_INSTRUCTION = f"{128 + signal.SIGILL}"
CONFIG = """\
node: kitchen
cell: proof
hardware: pi_zero
broker: {{url: "mqtt://127.0.0.1:{port}"}}
inputs:
  - {{name: tone, kind: synthetic, bands: [stride], keep: true, options: {{frequency_hz: 0.78, rate_hz: 20}}}}
"""
HUB = """\
cell: proof
broker: {{url: "mqtt://127.0.0.1:{port}"}}
http: {{enabled: false}}
state_dir: {state}
"""


@dataclass(frozen=True)
class Target:
    """One user space."""

    suite: str
    architecture: str
    cpu: str = ""

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return f"{self.suite}-{'armv6' if self.cpu else self.architecture}"


TARGETS = (
    Target("trixie", "armhf"),
    Target("bookworm", "armhf"),
    Target("trixie", "armel", "arm1176"),
    Target("bookworm", "armel", "arm1176"),
)


class UserSpace:
    """A root, and what runs in it.

    Parameters
    ----------
    target : Target
        Which.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        mark = hashlib.sha256(PACKAGES.encode()).hexdigest()[:8]
        self.folder = roots.cache().parent / "arm" / f"{target.suite}-{target.architecture}-{mark}"
        self.root = self.folder / "root"

    def make(self) -> bool:
        """Make it, unless it is there; tells whether it was made."""
        if (self.folder / "complete").exists():
            return False
        debian.remove(self.folder)
        self.folder.mkdir(parents=True)
        debian.bootstrap(self.root, self.target.suite, PACKAGES, architecture=self.target.architecture)
        (self.folder / "complete").touch()
        return True

    def ready(self) -> None:
        """Give it name servers, certificates and a clean place."""
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        (self.root / "etc/resolv.conf").write_text(roots.resolver())
        bundle = Path("/etc/ssl/certs/ca-certificates.crt")
        if bundle.exists():
            (self.root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle, self.root / "etc/ssl/certs/ca-certificates.crt")
        for folder in ("opt/becomingone", "var/lib/becomingone", "etc/becomingone"):
            debian.remove(self.root / folder)
            (self.root / folder).mkdir(parents=True)

    def line(self, words: Sequence[str], *, cpu: str | None = None) -> tuple[list[str], dict[str, str]]:
        """Give command line and environment that run something inside; all of it ends with its first process.

        That one is the shell: an illegal instruction does not end a first process, which waits for ever instead.
        """
        script = (
            'mount -t proc proc "$0/proc" && mount --bind /dev/null "$0/dev/null" && '
            'mount --bind /dev/urandom "$0/dev/urandom" || exit; chroot "$0" "$@"; exit $?'
        )
        for name in ("null", "urandom"):
            node = self.root / "dev" / name
            if not node.exists():
                node.touch()
        space = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, str(self.root), *words]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        environment |= {"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "OPENBLAS_NUM_THREADS": "1"}
        chosen = self.target.cpu if cpu is None else cpu
        return space, environment | ({"QEMU_CPU": chosen} if chosen else {})

    def run(self, *words: str, cpu: str | None = None, timeout: float = 900, check: bool = True) -> str:
        """Run a command inside, and give what it printed.

        Raises
        ------
        RuntimeError
            It failed (only with `check`).
        """
        line, environment = self.line(words, cpu=cpu)
        done = subprocess.run(
            line, env=environment, capture_output=True, text=True, timeout=timeout, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if check and done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            msg = f"{' '.join(words)}: {done.returncode}: {tail}"
            raise RuntimeError(msg)
        return done.stdout.strip() or (f"{done.returncode}" if not check else "")


class Ear:
    """Counts what a node publishes, and what the hub has committed of it."""

    def __init__(self, port: int) -> None:
        self.states: list[str] = []
        self.frames: list[float] = []
        self.snapshot: dict[str, Any] = {}
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("becomingone/proof/#")
        self._client.loop_start()

    def _heard(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic.endswith("/snapshot"):
            self.snapshot = json.loads(message.payload)
        elif message.topic.endswith("/node/kitchen/state"):
            self.states.append(message.payload.decode())
        elif "/phase/" in message.topic:
            self.frames.append(time.monotonic())

    def close(self) -> None:
        """Hear no more."""
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def mosquitto() -> Iterator[int]:
    """A Mosquitto on a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or "mosquitto"
    process = subprocess.Popen([program, "-p", str(port)], stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:

        def listens() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        wait(listens, 10, "Mosquitto")
        yield port
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def hub(port: int) -> Iterator[None]:
    """A hub outside, on this machine's own processor: without one, kept frames stop after a hundred."""
    with tempfile.TemporaryDirectory(prefix="becomingone-arm-") as folder:
        config, log = Path(folder, "hub.yaml"), Path(folder, "hub.log")
        config.write_text(HUB.format(port=port, state=folder))
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "becomingone", "hub", "run", str(config)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        try:
            yield
            require(process.poll() is None, f"the hub ended: {log.read_text()[-500:]}")
        finally:
            process.kill()
            process.wait()


def sample(space: UserSpace, python: str, port: int, told: Told) -> None:
    """Run the node for a minute: it stays ready, its kept frames keep coming, and the hub commits them."""
    shutil.rmtree(space.root / "var/lib/becomingone", ignore_errors=True)  # an earlier run's spool would count, too
    (space.root / "etc/becomingone/node.yaml").write_text(CONFIG.format(port=port))
    words = [python, "-P", "-m", "becomingone", "node", "run", "/etc/becomingone/node.yaml"]
    line, environment = space.line(words)
    ear = Ear(port)
    log = space.folder / "node.log"
    began = time.monotonic()
    with log.open("w") as out:
        process = subprocess.Popen(
            line, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:

        def said(state: str) -> bool:
            require(process.poll() is None, f"the node ended: {log.read_text()[-500:]}")
            return ear.states[-1:] == [state]

        wait(lambda: said("ready") and bool(ear.frames), 180, f"the node; {log} has what it said")
        since = time.monotonic()
        told(ready_s=f"{since - began:.1f}")
        ear.frames.clear()
        wait(lambda: not said("ready") or time.monotonic() > since + SAMPLED_S, SAMPLED_S + 5, "a minute")
        frames = list(ear.frames)
        gap = max(b - a for a, b in zip([since, *frames], [*frames, since + SAMPLED_S], strict=True))
        told(frames=len(frames), longest_gap_s=f"{gap:.2f}")
        require(gap < 5, f"no frame for {gap:.1f} s")
        kept = ear.snapshot.get("kept", {})
        told(committed=kept.get("committed"), missing_of_them=kept.get("lost"))
        require(kept.get("committed", 0) > len(frames) * 0.9, f"the hub has committed {kept} of {len(frames)} frames")
        require(not kept.get("lost"), f"kept frames are lost: {kept}")
        require(ear.states[-1] == "ready", f"the node ended as {ear.states[-1]}")
    finally:
        ear.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def prove(target: Target, steps: Steps, wheel: Path, indexes: Sequence[str]) -> None:
    """Install and run the node in one user space."""
    space = UserSpace(target)
    with steps(f"{target.name}: apt installs what a node needs", vital=True) as told:
        told(made=space.make())
        space.ready()
        shown = space.run("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES.split(","))
        told(**{name.removeprefix("python3-"): version for name, version in map(str.split, shown.splitlines())})
        told(machine=space.run("uname", "-m"))
    python = "/opt/becomingone/venv/bin/python"
    with steps(f"{target.name}: pip installs the wheel", vital=True) as told:
        shutil.copyfile(wheel, space.root / "opt/becomingone" / wheel.name)
        space.run("python3", "-m", "venv", "--system-site-packages", "/opt/becomingone/venv")
        words = [python, "-m", "pip", "install", "-q", "--no-input", "--only-binary", ":all:"]
        words += [word for index in indexes for word in ("--extra-index-url", index)]
        space.run(*words, f"/opt/becomingone/{wheel.name}[node]")
        code = (
            "import sys, importlib.metadata as m\n"
            "names = 'becomingone numpy pydantic pydantic-core paho-mqtt cbor2 cryptography gpiozero smbus2'.split()\n"
            "print('python', sys.version.split()[0], *(x for n in names for x in (n, m.version(n))))"
        )
        found = space.run(python, "-c", code).split()
        told(**dict(zip(found[::2], found[1::2], strict=True)))
    with steps(f"{target.name}: the node samples for {SAMPLED_S} s") as told, mosquitto() as port, hub(port):
        sample(space, python, port, told)
    if target.cpu:
        other = UserSpace(Target(target.suite, "armhf"))
        if (other.folder / "complete").exists():
            with steps(f"{target.suite}: Debian's armhf does not run on {target.cpu}") as told:
                ended = other.run("python3", "-c", "print(1)", cpu=target.cpu, check=False)
                told(ended=ended)
                require(ended == ILLEGAL_INSTRUCTION, f"it ended with {ended}, not with an illegal instruction")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="arm-test", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *(target.name for target in TARGETS)], metavar="TARGET")
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--index", action="append", default=[], help="a further index of wheels, such as piwheels'")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    steps = Steps(as_json=given.json)
    for target in TARGETS:
        if not given.targets or target.name in given.targets:
            with contextlib.suppress(VitalStepError):
                prove(target, steps, given.wheel, given.index)
    return steps.finish()


if __name__ == "__main__":
    sys.exit(main())
