"""One whole run: a cell, faults, a length of virtual time; and what came of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from becomingone import __version__
from becomingone.errors import ConfigError
from becomingone.hub.config import HubConfig
from becomingone.hub.memory.checkpoint import text_of
from becomingone.hub.memory.protocol import FRAME, Entry, Memory
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.events import EventLog, Lines
from becomingone.sim.plan import FaultPlan

_HEAD = "becomingone simulation"


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a run depends on.

    Parameters
    ----------
    seed : int
        Of everything that is drawn.
    duration_s : float
        Virtual seconds.
    hub : HubConfig
    nodes : sequence of NodeConfig
        Their devices must be foreseeable: see `cells.foreseeable`.
    faults : FaultPlan
    sealed : bool
        Whether hub and nodes have keys and know each other's messages, as in a provisioned cell.
    """

    seed: int
    duration_s: float
    hub: HubConfig
    nodes: Sequence[NodeConfig]
    faults: FaultPlan
    sealed: bool = True

    def head(self) -> dict[str, Any]:
        """Give the first line of a trace, from which the run can be repeated."""
        return {
            "trace": _HEAD,
            "version": __version__,
            "seed": self.seed,
            "sealed": self.sealed,
            "duration_s": self.duration_s,
            "hub": self.hub.model_dump(mode="json"),
            "nodes": [node.model_dump(mode="json") for node in self.nodes],
            "faults": self.faults.model_dump(mode="json"),
        }

    @classmethod
    def of(cls, line: str) -> Setting:
        """Read a trace's first line.

        Raises
        ------
        ConfigError
            It is no trace, or one of another version.
        """
        try:
            head = json.loads(line)
            if head["trace"] != _HEAD or head["version"] != __version__:
                msg = f"it is of version {head['version']}, and this is {__version__}"
                raise ConfigError(msg)
            return cls(
                int(head["seed"]),
                float(head["duration_s"]),
                HubConfig.model_validate(head["hub"]),
                [NodeConfig.model_validate(node) for node in head["nodes"]],
                FaultPlan.model_validate(head["faults"]),
                bool(head["sealed"]),
            )
        except ConfigError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            msg = f"the first line is not a trace's: {str(error).splitlines()[0]}"
            raise ConfigError(msg) from error


def simulate(
    setting: Setting,
    *,
    trace: Lines | None = None,
    payloads: bool = False,
    progress: Callable[[float], None] = lambda _virtual_s: None,
) -> dict[str, Any]:
    """Run a cell in virtual time.

    Parameters
    ----------
    setting : Setting
        What to run.
    trace : optional
        Takes the trace, a line at a time.
    payloads : bool
        Whether the trace holds whole payloads.
    progress : callable
        Told the virtual seconds that have passed, once each.

    Returns
    -------
    dict
        The figures, ready for JSON; the same for the same setting.
    """
    scheduler = VirtualScheduler()
    log = EventLog(scheduler.monotonic_ns, trace, payloads=payloads)
    log.head(setting.head())
    bench = Bench(setting.seed, faults=setting.faults, scheduler=scheduler, log=log, keep_trace=False)
    hub, nodes = setting.hub, setting.nodes
    if setting.sealed:
        hub, nodes = authenticated(hub, nodes, seed=setting.seed)
    bench.add_hub(hub)
    for node in nodes:
        bench.add_node(node)
    passed = 0.0
    while passed < setting.duration_s:
        step = min(1.0, setting.duration_s - passed)
        bench.run_for(step)
        passed += step
        progress(passed)
    return figures(bench, log, of=len(setting.nodes))


def figures(bench: Bench, log: EventLog, *, of: int) -> dict[str, Any]:
    """Say what came of a run.

    Parameters
    ----------
    bench, log
        After the run.
    of : int
        How many nodes it was to have.
    """
    last = bench.snapshot()
    told = list(bench.snapshots.values())
    dropped: Counter[str] = Counter({"never arrived": sum(snapshot["missing"] for snapshot in told)})
    commands: Counter[str] = Counter()
    for agent in bench.agents:
        dropped.update({f"node: {reason}": count for reason, count in agent.dropped.items()})
        commands.update(agent.refused)
    dropped.update({f"broker: {reason}": count for reason, count in bench.broker.counts.items()})
    refused: Counter[str] = Counter()
    for snapshot in told:
        refused.update(snapshot["refused"])
    events = list(bench.memory.reader().entries("event", 0, 1 << 62))
    states = Counter(node["state"] for node in last.get("nodes", {}).values())
    return {
        "simulation": True,
        "nodes": states["ready"],
        "nodes_configured": of,
        "states": dict(sorted(states.items())),
        "frames": sum(snapshot["frames"] for snapshot in told),
        "dropped": dropped.total(),
        "dropped_reasons": _counts(dropped),
        "refused": refused.total(),
        "refused_reasons": _counts(refused),
        "refused_commands": _counts(commands),
        "connects": sum(link.metrics.connects for link in bench.links),
        "attempts": sum(link.metrics.attempts for link in bench.links),
        "coherence": last.get("coherence"),
        "order": last.get("order"),
        "locking": last.get("locking"),
        "events": _counts(log.counts),
        "told": _counts(Counter(str(entry.body["kind"]) for entry in events)),
        "emergences": emergences(events),
        "memory": memory_digest(bench.memory),
        "digest": log.digest,
        "virtual_s": round(bench.scheduler.monotonic_ns() / 1e9, 6),
    }


def emergences(events: Sequence[Entry]) -> list[dict[str, Any]]:
    """Give each emergence: its band, and when it came and went, s of calendar time; None where it has not gone."""
    found: list[dict[str, Any]] = []
    for entry in events:
        content = entry.body
        if content["kind"] == "emergence":
            found.append({"band": content["band"], "from_s": round(entry.time_us / 1e6, 3), "until_s": None})
        elif content["kind"] == "dissolution":
            latest = [one for one in found if one["band"] == content["band"]]
            latest[-1]["until_s"] = round(entry.time_us / 1e6, 3)
    return found


def memory_digest(memory: Memory) -> str:
    """Give 32 hexadecimal digits that stand for every entry and every kept frame of a memory."""
    digest, reader = hashlib.blake2b(digest_size=16), memory.reader()
    for kind in reader.summary():
        if kind == FRAME:
            for record in reader.frames(0, 1 << 62):
                digest.update(repr((record.stream, record.seq, record.time_us)).encode() + record.frame)
        else:
            for entry in reader.entries(kind, 0, 1 << 62):
                digest.update(f"{kind} {entry.number} {entry.time_us} {text_of(entry.body)}\n".encode())
    return digest.hexdigest()


def _counts(counter: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in sorted(counter.items()) if count}
