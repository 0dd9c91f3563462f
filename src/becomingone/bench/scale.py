"""How many nodes one hub carries through relays of 100 nodes each, against as many as it takes itself.

The parent is a real hub on a real Mosquitto; its relays are simulated: each sends, once a second, the sums of 100
nodes that do not exist, sealed, as a hub with a ``relay`` sends its own. The parent keeps up where it has taken every
one, and answers pings meanwhile. The sums of all are then added as they came over the wire, and compared with one flat
sum.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from becomingone.bench import broker_hosts, hub_host, hub_load
from becomingone.bench.mesh_traffic import BAND, FREQUENCY_HZ, SECRET, Cell
from becomingone.bench.raw_mqtt import RawClient, publish_packet
from becomingone.bench.report import Report, Row
from becomingone.errors import LinkError
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.wire.aggregate import AggregateFrame, cell_id, decode_aggregate, encode_aggregate
from becomingone.wire.seal import node_key, seal

if TYPE_CHECKING:
    from becomingone.bench.hub_host import HubProcess

TARGET: Final = 100_000
EXACT: Final = 1e-12
MOST_MS: Final = 250.0
"""A hub that answers 99 of 100 pings within this is not behind: it is a quarter of the time between two sums."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    relays, nodes : int
        Relays, and nodes of each.
    seconds : int
        For how long they send, ≥ 2.
    flat : int
        Frames of each of 1,000 channels with which the hub is measured alone; 0: it is not.
    """

    relays: int = 1_000
    nodes: int = 100
    seconds: int = 15
    flat: int = 60


QUICK: Final = Effort(relays=20, nodes=10, seconds=2, flat=0)


def run(effort: Effort | None = None) -> Report:
    """Measure.

    Raises
    ------
    LinkError
        There is no Mosquitto, or the hub does not get ready.
    """
    effort = effort or Effort()
    mosquitto = broker_hosts.find("mosquitto")
    if mosquitto is None:
        msg = "this needs Mosquitto: apt install mosquitto"
        raise LinkError(msg)
    rng = np.random.default_rng(1)
    arrays = [_draw(rng, effort.nodes) for _ in range(effort.relays)]
    cell = Cell(1, 1)
    children = "children: {" + ", ".join(f"r{number}: {{}}" for number in range(effort.relays)) + "}"
    with (
        broker_hosts.mosquitto(mosquitto) as port,
        tempfile.TemporaryDirectory(prefix="becomingone-bench-") as folder,
        contextlib.closing(RawClient(port, "bench-sender")) as sender,
        hub_host.hub(port, Path(folder), cell, sender, more=children) as hub,
    ):
        sent, pings_ms, cpu = _send(hub, sender, effort, [PartialSum.of(**given) for given in arrays])
        taken, wrong = _taken(hub, sent)
    nodes = effort.relays * effort.nodes
    p99 = statistics.quantiles(pings_ms, n=100, method="inclusive")[98]
    kept_up = taken == sent and not wrong and p99 <= MOST_MS
    flat = _alone(effort.flat) if effort.flat else None
    more = {
        "processor, % of a core": 100.0 * cpu,
        "aggregates sent": float(sent),
        "taken": float(taken),
        "missing or refused": float(wrong),
        "ping p99, ms": p99,
    }
    carried = float(nodes) if kept_up else nodes * taken / sent
    enough = kept_up and nodes >= TARGET
    return Report(
        "scale",
        [
            Row(
                "nodes at 1 Hz", "nodes", flat, carried, carried / flat if flat else None, f"≥ {TARGET:,}", enough, more
            ),
            _exact(arrays),
        ],
    )


def _alone(each: int) -> float:
    """Give the frames a second that a hub takes without relays: so many nodes at 1 Hz, if ticks were free."""
    rng = random.Random(1)  # noqa: S311 - draws figures
    (one,) = hub_load.measure(Cell(100, 10), rounds=1, each=each, samples=1, rng=rng)
    return one.ours


def _draw(rng: np.random.Generator, nodes: int) -> dict[str, Any]:
    """Draw the nodes of one relay: near one phase, as a mesh that is locked, each with its own weight."""
    return {
        "weight": rng.uniform(0.05, 2.0, nodes),
        "phasor": np.exp(1j * rng.normal(0.5, 0.6, nodes)),
        "coherence": rng.uniform(0.0, 1.0, nodes),
        "time_us": time.time_ns() // 1_000 - rng.integers(0, 1_000_000, nodes),
    }


def _exact(arrays: list[dict[str, Any]]) -> Row:
    """Compare the sums that came over the wire, added one by one, with one sum over all nodes."""
    merged = PartialSum.empty()
    for number, given in enumerate(arrays):
        merged = merged + decode_aggregate(encode_aggregate(_frame(number, 0, 0, PartialSum.of(**given)))).bands[BAND]
    flat = PartialSum.of(**{name: np.concatenate([given[name] for given in arrays]) for name in arrays[0]})
    pairs = [(getattr(merged, name), getattr(flat, name)) for name in ("weight", "resonance", "order", "coherence")]
    worst = max(abs(mine - theirs) / abs(theirs) for mine, theirs in pairs)
    same = merged.count == flat.count and merged.oldest_time_us == flat.oldest_time_us
    return Row("merged against flat", "", None, worst, None, f"≤ {EXACT:g}", same and worst <= EXACT)


def _frame(number: int, seq: int, time_us: int, total: PartialSum) -> AggregateFrame:
    return AggregateFrame(
        boot=1,
        seq=seq,
        time_us=time_us,
        bands={BAND: total},
        omega={BAND: 2.0 * np.pi * FREQUENCY_HZ},
        cells=frozenset({cell_id(f"becomingone/r{number}")}),
    )


def _send(hub: HubProcess, sender: RawClient, effort: Effort, sums: list[PartialSum]) -> tuple[int, list[float], float]:
    """Send the sums of all relays once a second, evenly spread; ping meanwhile.

    Returns
    -------
    sent : int
        Aggregates.
    pings_ms : list of float
        How long each ping took to be answered, behind what was sent before it.
    cpu : float
        The hub's share of a core.
    """
    keys = [node_key(SECRET, "becomingone", "bench", f"cell-r{number}") for number in range(effort.relays)]
    topics = [hub.cell.topics.aggregate(f"r{number}") for number in range(effort.relays)]
    sent, pings_ms = 0, list[float]()
    begun, before_s = time.monotonic(), hub.cpu_s()
    while sent < effort.relays * effort.seconds:
        due = min(effort.relays * effort.seconds, int((time.monotonic() - begun) * effort.relays))
        packets: list[bytes] = []
        while sent < due:
            number, seq = sent % effort.relays, sent // effort.relays
            payload = encode_aggregate(_frame(number, seq, time.time_ns() // 1_000, sums[number]))
            packets.append(publish_packet(topics[number], seal(keys[number], topics[number], payload, 1)))
            sent += 1
        asked = time.monotonic()
        sender.send(b"".join(packets) + hub.cell.ping())
        hub.pong()
        pings_ms.append(1e3 * (time.monotonic() - asked))
        time.sleep(max(0.0, 0.1 - (time.monotonic() - asked)))  # at most ten pings a second
    return sent, pings_ms, (hub.cpu_s() - before_s) / (time.monotonic() - begun)


def _taken(hub: HubProcess, sent: int) -> tuple[int, int]:
    """Give the aggregates that the hub says it has taken, and those that are missing or were refused."""
    taken, wrong = 0, 0
    end = time.monotonic() + 5.0
    while taken + wrong < sent and time.monotonic() < end:
        content = hub.snapshot(end - time.monotonic())
        if content is not None and "children" in content:
            children = content["children"].values()
            taken = sum(child["taken"] for child in children)
            wrong = sum(child["missing"] + sum(child["refused"].values()) for child in children)
    return taken, wrong
