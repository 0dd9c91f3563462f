"""How many messages a second a client takes: in a closed loop, so that it is as fast as it can be and drops nothing.

What is under way is bounded by what the client answers: a question follows every few thousand messages, and only so
many questions may be open. Publisher, broker and client are processes of their own.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from becomingone.bench import broker_hosts, hub_host
from becomingone.bench.raw_mqtt import RawClient, publish_packet
from becomingone.errors import LinkError

if TYPE_CHECKING:
    import random

    from becomingone.bench.hub_host import HubProcess
    from becomingone.bench.mesh_traffic import Cell

CHUNK_BYTES: Final = 300_000
"""Bytes, about, between two questions whether they have been taken."""

WINDOW: Final = 4
"""Questions that may be open."""

_MARK: Final = "becomingone/other/mark"
_PAHO: Final = """
import sys
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
def take(client, data, message):
    pass
def mark(client, data, message):
    sys.stdout.write(".")
    sys.stdout.flush()
client = mqtt.Client(CallbackAPIVersion.VERSION2)
client.on_message = take
client.message_callback_add({mark!r}, mark)
client.connect({host!r}, {port})
client.on_subscribe = lambda *_: mark(*_[:3])
client.subscribe([("becomingone/other/node/+/phase/+/+", 0), ({mark!r}, 0)])
client.loop_forever()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    rounds : int
        Each measures a bare paho-mqtt and the hub, ≥ 1.
    nodes, channels : int
        Nodes, and channels of each.
    frames : int
        Frames of each channel in a round.
    """

    rounds: int
    nodes: int
    channels: int
    frames: int


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement.

    Parameters
    ----------
    baseline, ours : float
        Messages a second of a bare paho-mqtt that throws them away, and of the hub.
    baseline_cpu_s, cpu_s : float
        Seconds in the processor for one, of paho-mqtt and of the whole hub: what others do on the machine disturbs them
        less than the rates.
    """

    baseline: float
    ours: float
    baseline_cpu_s: float
    cpu_s: float

    @property
    def ratio(self) -> float:
        """Ours over the baseline."""
        return self.ours / self.baseline


def median(rounds: list[Round], figure: Callable[[Round], float]) -> float:
    """Give the median round's figure."""
    return statistics.median(map(figure, rounds))


def measure(cell: Cell, *, rounds: int, each: int, samples: int, rng: random.Random) -> list[Round]:
    """Have a hub take the frames of a cell, and a bare paho-mqtt the same packets, in turn.

    Parameters
    ----------
    cell : Cell
        Whose frames.
    rounds : int
        Each asks both, ≥ 1.
    each, samples : int
        Frames of each channel in a round, and complex samples in each.
    rng : random.Random
        Draws the figures.

    Raises
    ------
    LinkError
        There is no Mosquitto, or the hub's own count is not complete: a frame is missing or was refused.
    """
    mosquitto = broker_hosts.find("mosquitto")
    if mosquitto is None:
        msg = "this needs Mosquitto: apt install mosquitto"
        raise LinkError(msg)
    taken = 0
    measured: list[Round] = []
    with (
        broker_hosts.mosquitto(mosquitto) as port,
        tempfile.TemporaryDirectory(prefix="becomingone-bench-") as folder,
        contextlib.closing(RawClient(port, "bench-sender")) as sender,
        hub_host.hub(port, Path(folder), cell, sender) as hub,
    ):
        for _ in range(rounds):
            packets = cell.frames(each, samples=samples, rng=rng)
            taken += len(packets)
            before_s = hub.cpu_s()
            ours = _rate(sender, packets, cell.ping, hub.pong)
            cpu_s = hub.cpu_s() - before_s
            _check(hub, taken)
            with _paho(port) as (pid, answer):
                before_s = hub_host.cpu_s(pid)
                theirs = _rate(sender, _elsewhere(packets), lambda: publish_packet(_MARK, b""), answer)
                their_cpu_s = hub_host.cpu_s(pid) - before_s
            measured.append(Round(theirs, ours, their_cpu_s / len(packets), cpu_s / len(packets)))
    return measured


def processor(rounds: list[Round]) -> dict[str, float]:
    """Give what a message costs, for a report."""
    return {
        "hub's processor, µs a frame": 1e6 * median(rounds, lambda one: one.cpu_s),
        "paho's, µs a message": 1e6 * median(rounds, lambda one: one.baseline_cpu_s),
    }


def _check(hub: HubProcess, taken: int) -> None:
    content = hub.counted(taken)
    if content.get("frames") != taken or content["missing"] or content["refused"]:
        found = {name: content.get(name) for name in ("frames", "missing", "refused")}
        msg = f"the hub was sent {taken} frames and says {found}"
        raise LinkError(msg)


def _elsewhere(packets: list[bytes]) -> list[bytes]:
    """Give packets of the same length for another cell, which the hub does not hear."""
    return [packet.replace(b"/bench/", b"/other/", 1) for packet in packets]


def _rate(sender: RawClient, packets: list[bytes], question: Callable[[], bytes], answer: Callable[[], None]) -> float:
    """Messages a second, from the first packet to the answer to the last question."""
    in_chunk = max(1, CHUNK_BYTES // len(packets[0]))
    chunks = [b"".join(packets[at : at + in_chunk]) for at in range(0, len(packets), in_chunk)]
    open_questions = 0
    begun = time.perf_counter()
    for chunk in chunks:
        while open_questions >= WINDOW:
            answer()
            open_questions -= 1
        sender.send(chunk + question())
        open_questions += 1
    for _ in range(open_questions):
        answer()
    return len(packets) / (time.perf_counter() - begun)


@contextlib.contextmanager
def _paho(port: int) -> Generator[tuple[int, Callable[[], None]]]:
    """Run a bare subscriber; gives its process, and what waits for its next answer."""
    program = _PAHO.format(mark=_MARK, host=broker_hosts.HOST, port=port)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        out = process.stdout

        def answer() -> None:
            if out is None or not out.read(1):
                msg = "the paho-mqtt subscriber ended"
                raise LinkError(msg)

        try:
            answer()
            yield process.pid, answer
        finally:
            process.kill()
