"""A hub that is measured: a process of its own, as ``becomingone hub run`` starts it, and what it says of itself."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from becomingone.bench.broker_hosts import HOST
from becomingone.bench.mesh_traffic import BAND, FREQUENCY_HZ, TAU_S, Cell
from becomingone.bench.raw_mqtt import TIMEOUT_S, RawClient
from becomingone.errors import LinkError

_CONFIG: Final = """
cell: {cell}
state_dir: {folder}
broker: {{url: "mqtt://{host}:{port}"}}
bands: {{{band}: {{frequency_hz: {frequency}, tau_s: {tau}}}}}
security: {security}
logging: {{level: WARNING}}
{more}
"""


@dataclass(frozen=True, slots=True)
class HubProcess:
    """A hub that knows all nodes of a cell.

    Parameters
    ----------
    pid : int
        Its process.
    cell : Cell
        Whose hub it is.
    client : RawClient
        Hears its snapshots and pongs.
    """

    pid: int
    cell: Cell
    client: RawClient

    def pong(self) -> None:
        """Wait for the next pong.

        Raises
        ------
        LinkError
            None comes.
        """
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            message = self.client.next()
            if message is not None and "/clock/pong/" in message.topic:
                return
        msg = "the hub does not answer"
        raise LinkError(msg)

    def counted(self, frames: int) -> dict[str, Any]:
        """Give the first snapshot that counts so many frames, or the last of those that come within 5 s."""
        end = time.monotonic() + 5.0
        content: dict[str, Any] = {}
        while time.monotonic() < end and content.get("frames", -1) < frames:
            content = self.snapshot(end - time.monotonic()) or content
        return content

    def snapshot(self, timeout_s: float) -> dict[str, Any] | None:
        """Give the next snapshot; None when none came in time."""
        end = time.monotonic() + timeout_s
        while (left_s := end - time.monotonic()) > 0:
            message = self.client.next(left_s)
            if message is not None and message.topic == self.cell.topics.snapshot:
                content: dict[str, Any] = json.loads(message.payload)
                return content
        return None

    def cpu_s(self) -> float:
        """Give the hub's `cpu_s`."""
        return cpu_s(self.pid)


def cpu_s(pid: int) -> float:
    """Give a process's seconds in user and system mode so far (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def hub(port: int, folder: Path, cell: Cell, sender: RawClient, *, more: str = "") -> Generator[HubProcess]:
    """Run a hub until it knows a cell's nodes; it is gone afterwards whatever happens.

    Parameters
    ----------
    port : int
        Of the broker, on loopback.
    folder : Path
        For its configuration and what it keeps.
    cell : Cell
        Its nodes.
    sender : RawClient
        Introduces them.
    more : str
        More lines of its configuration.

    Raises
    ------
    LinkError
        It does not get ready, or does not take all nodes.
    """
    topics = cell.topics
    path = folder / f"hub-{topics.base.rpartition('/')[2]}.yaml"
    text = _CONFIG.format(
        cell=topics.base.rpartition("/")[2],
        folder=folder,
        host=HOST,
        port=port,
        band=BAND,
        frequency=FREQUENCY_HZ,
        tau=TAU_S,
        security=cell.security,
        more=more,
    )
    path.write_text(text, "utf-8")
    command = [sys.executable, "-m", "becomingone", "hub", "run", str(path)]
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environ)  # noqa: S603 - our own
    try:
        heard = (topics.snapshot, topics.clock_pong("+"))
        with contextlib.closing(RawClient(port, f"bench-listener-{process.pid}", heard)) as client:
            measured = HubProcess(process.pid, cell, client)
            sender.send(cell.introductions())
            _until_known(measured, process)
            yield measured
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_known(measured: HubProcess, process: subprocess.Popen[bytes]) -> None:
    """Wait until the hub knows all nodes, and would take their frames for new ones: a second after its start."""
    end = time.monotonic() + TIMEOUT_S
    known = 0
    while time.monotonic() < end and process.poll() is None:
        content = measured.snapshot(1.0)
        if content is not None:
            known = content["states"].get(
                "ready", 0
            )  # which only who has described itself can be, where there are keys
            if known >= measured.cell.nodes:
                measured.snapshot(5.0)
                measured.snapshot(5.0)
                return
    msg = f"the hub did not get to know its nodes: {known} of {measured.cell.nodes}"
    raise LinkError(msg)
